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
 *   kernel; taps run earlier and still see it
 *   net.ipv6.conf.IF.disable_ipv6 is on, ARP is off: the kernel says nothing of its own there
 *
 * The guard outlives the process: the wire is closed without policyd. link_release() undoes it.
 * An address is never removed: whoever set it wants it.
 *
 * All of this is rtnetlink(7) through libmnl, ethtool's ioctl and one file of /proc/sys. Any thread;
 * in the network namespace of the calling thread.
 */

#define LINK_REASON 256

struct link_facts {
    int index;          /* 0: there is no such interface; nothing else is set then */
    bool up;            /* administratively */
    bool carrier;       /* the other end is there (IFF_LOWER_UP) */
    bool guarded;       /* filter, disable_ipv6 and ARP as link_guard() leaves them */
    bool lro;           /* large receive offload is on: its frames cannot be sent on */
    bool udp_segments_lost; /* the kernel cannot hand UDP super-frames over (before Linux 6.2) and
                               the interface may receive some */
    uint32_t mtu;
    uint32_t receive_max; /* octets of the longest super-frame (gro_max_size); above 65 536: BIG TCP */
    uint8_t mac[6];
    char taken[LINK_REASON]; /* why it cannot be a port, and the command that frees it; empty: it
                                can. IPv4 address, global IPv6 address, default route, master or
                                slave of a bridge or bond, loopback, no Ethernet */
};

/* @return 0, also when there is no such interface; or a negative errno: rtnetlink does not answer */
int link_look(const char *name, struct link_facts *ret_facts);

/*
 * Guards an interface and sets it up. Nothing is changed when it is taken. Idempotent.
 *
 * @return 0; -ENODEV, -EBUSY (taken), -EPERM or another negative errno; the reason and the command
 *         that helps are in `ret_error`
 */
int link_guard(const char *name, struct text *ret_error);

/* Undoes link_guard(): filter away (and the qdisc, when nothing else is on it), disable_ipv6 off,
 * ARP on. 0, also when it was not guarded; or a negative errno with the reason. */
int link_release(const char *name, struct text *ret_error);

/* Administratively up or down; for handing the loss of one side on to the other. */
int link_set_up(const char *name, bool up);

/* --- being told of changes ------------------------------------------------------------------- */

/* A descriptor that is readable when some interface, address, route or qdisc has changed. */
struct link_watch;

int link_watch_open(struct link_watch **ret_watch); /* 0 or a negative errno */
void link_watch_close(struct link_watch *watch);
int link_watch_fd(const struct link_watch *watch);
void link_watch_clear(struct link_watch *watch); /* reads all that waits; then look again */

#endif
