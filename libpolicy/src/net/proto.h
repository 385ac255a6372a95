/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_PROTO_H
#define NET_PROTO_H

/* IP protocol numbers (IANA "Assigned Internet Protocol Numbers") and what follows from them. */

#include <libpolicy/packet.h>

#include <string.h>

enum proto {
    PROTO_HOPOPT = 0,
    PROTO_ICMP = 1,
    PROTO_IGMP = 2,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_DCCP = 33,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_ESP = 50,
    PROTO_AH = 51,
    PROTO_ICMPV6 = 58,
    PROTO_NONE = 59, /* IPv6 "no next header" */
    PROTO_DSTOPTS = 60,
    PROTO_SCTP = 132,
    PROTO_MOBILITY = 135,
    PROTO_UDPLITE = 136
};

static inline bool proto_has_ports(uint8_t proto)
{
    return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_UDPLITE ||
           proto == PROTO_SCTP || proto == PROTO_DCCP;
}

/* "tcp", "udp", "icmp", "icmpv6", or the number. Static storage, never NULL. */
const char *proto_name(uint8_t proto);

static inline bool tuple_equal(const pol_tuple *a, const pol_tuple *b)
{
    return a->src_port == b->src_port && a->dst_port == b->dst_port && a->proto == b->proto &&
           memcmp(&a->src, &b->src, sizeof(a->src)) == 0 &&
           memcmp(&a->dst, &b->dst, sizeof(a->dst)) == 0;
}

#endif
