/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"

/*
 * Network interfaces as ports of a firewall. A packet socket is a tap: the host's kernel sees every
 * frame too, and would answer and forward it. So before anything is received, a port is *guarded*:
 *
 *   a clsact ingress filter of one instruction (BPF, direct action: shot) drops every frame for the
 *   kernel; taps run earlier and still see it. It has preference 1, so no other filter comes before
 *   it, and is never handed to the network card, which would leave nothing for the tap
 *   net.ipv6.conf.IF.disable_ipv6 is on, ARP is off: the kernel says nothing of its own there
 *
 * The guard outlives the process: the wire is closed without policyd. link_release() undoes it.
 * An address is never removed: whoever set it wants it. XDP and tcx programs run before the filter;
 * who loads them there decides what they do.
 *
 * A name may be an alternative one (up to 15 octets); it stands for the interface that has it.
 *
 * All of this is rtnetlink(7) through libmnl, ethtool's ioctl and one file of /proc/sys. Any
 * thread; in the network namespace of the calling thread.
 */

#define LINK_REASON 256

struct link_facts {
    int index;    /* 0: there is no such interface; nothing else is set then */
    bool up;      /* administratively */
    bool carrier; /* the other end is there (IFF_LOWER_UP) */
    bool guarded; /* filter, disable_ipv6 and ARP are as link_guard() leaves them; no other
                     filter of its preference is there. Says nothing about `up` */
    bool lro;     /* large receive offload is on: its frames cannot be sent on */
    bool udp_segments_lost; /* the kernel cannot hand UDP super-frames over (before Linux 6.2) and
                               the interface may receive some */
    uint32_t mtu;
    uint32_t receive_max; /* octets of the longest super-frame (the larger of gro_max_size and
                             gro_ipv4_max_size); above 65 536: BIG TCP. What a veth receives
                             depends on its other end's gso_max_size instead */
    uint8_t mac[6];
    char taken[LINK_REASON]; /* why it cannot be a port, and the command that frees it, to follow
                                its name: has the address 192.0.2.1/24; "ip addr del ..." frees it.
                                The first of: loopback, no Ethernet, a bridge, bond, team or VRF or
                                a member of one, a VLAN or macvlan on it, an IPv4 or global IPv6
                                address, a route, a filter of our preference. Empty: it can */
};

/*
 * @return 0, also when there is no such interface; or a negative errno with *ret_facts untouched:
 *         rtnetlink does not answer (-ETIMEDOUT), or things changed at every attempt (-EAGAIN)
 */
int link_look(const char *name, struct link_facts *ret_facts);

/*
 * Guards an interface and sets it up. Nothing is changed when it is taken. Idempotent, with no
 * moment without the filter. Looks again at the end. What was done before a failure stays: the
 * filter is the first step, so the wire is closed then too.
 *
 * @return 0; -ENODEV, -EBUSY (taken), -EPERM (CAP_NET_ADMIN), -EROFS (/proc/sys), -EAGAIN (somebody
 *         undoes it at once) or another negative errno; the reason and the command that helps are
 * in `ret_error`
 */
int link_guard(const char *name, struct text *ret_error);

/*
 * The same for a port in use that someone has opened again, also when it has been taken meanwhile:
 * its frames are ours, and what the host would do with them is worse than what it loses.
 */
int link_guard_again(const char *name, struct text *ret_error);

/*
 * Undoes link_guard(): ARP on, disable_ipv6 as the host's new interfaces have it, filter away, and
 * the clsact qdisc too when no filter is on it any more. The interface stays up. What does not bear
 * our marks (the filter; or, without it, both ARP and IPv6 off) is left as it is.
 *
 * @return 0, also when it was not guarded; -ENODEV or another negative errno with the reason in
 *         `ret_error`; calling again goes on where it stopped
 */
int link_release(const char *name, struct text *ret_error);

/* Administratively up or down; for handing the loss of one side on to the other. 0 or a negative
 * errno. Leaves the guard as it is. */
int link_set_up(const char *name, bool up);

/* --- being told of changes ------------------------------------------------------------------- */

/* A descriptor that is readable when some interface, address, route or qdisc has changed. */
struct link_watch;

int link_watch_open(struct link_watch **ret_watch); /* 0 or a negative errno */
void link_watch_close(struct link_watch *watch);
int link_watch_fd(const struct link_watch *watch);

/* Reads what waits, at most some thousand messages; then look again. */
void link_watch_clear(struct link_watch *watch);

#endif
