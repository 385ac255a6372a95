/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINK_STATE_H
#define LINK_STATE_H

#include <linux/pkt_sched.h>

#include "link/link.h"
#include "link/rtnl.h"

/*
 * Our filter. Preference 1 is the lowest there is, so nobody's filter can let a frame through
 * before; the handle ("pold") tells ours from others at that place.
 */
#define FILTER_PREFERENCE 1u
#define FILTER_HANDLE     0x706f6c64u
#define FILTER_KIND       "bpf"

#define INGRESS           TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
#define EGRESS            TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

/* What link_guard() and link_release() have to know beyond the facts. */
struct link_state {
    struct link_facts facts;
    char name[IF_NAMESIZE]; /* its own; the one asked for may be an alternative name */
    bool is_veth;
    bool ethernet;
    bool no_arp;
    bool ipv6;          /* the kernel speaks IPv6 there, or may as soon as it is up */
    bool filter;        /* ours, exactly as link_guard() makes it */
    bool filter_place;  /* something stands at its handle, whatever it does */
    bool filter_rival;  /* others of its preference, which may let a frame through before it */
    bool other_filters; /* in either direction */
};

/* @return 0; facts.index is 0 when there is no such interface; or a negative errno */
int link_state_read(struct rtnl *rtnl, const char *name, struct link_state *ret_state);

/* --- one message each, for link_state_read() and the tests --------------------------------------
 * `data` is the state that is being filled in; messages about other interfaces change nothing. */
void link_state_link(const struct nlmsghdr *message, void *data);
void link_state_upper(const struct nlmsghdr *message, void *data); /* another interface */
void link_state_address(const struct nlmsghdr *message, void *data);
void link_state_route(const struct nlmsghdr *message, void *data);
void link_state_filter(const struct nlmsghdr *message, void *data);

#endif
