/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_TRAFFIC_H
#define ORACLE_TRAFFIC_H

/*
 * Mixed traffic for a random policy: a handful of conversations that go on side by side (TCP with
 * and without TLS, DNS over UDP and TCP with its answers, UDP, ICMP and its errors, other
 * protocols, control frames), in order and out of order, whole and in fragments, from the right
 * side and from the wrong one. What it sends never depends on a verdict.
 */

#include <libpolicy/packet.h>

#include "dnsmsg.h"
#include "hello.h"
#include "model.h"

enum {
    TALKS = 14,    /* conversations at a time */
    RESOLVERS = 3, /* the last one is trusted by nobody */
    SERVERS = 10,
    CLIENTS = 4,
    TRAFFIC_ARENA = 1 << 17 /* octets of payload that one batch can hold */
};

struct talk {
    uint8_t what;      /* enum talk_kind */
    pol_packet packet; /* from the opener, without payload */
    uint32_t client_seq, server_seq;
    int name; /* asked for, or the SNI */
    bool asked;
    uint32_t hello_sent; /* octets of the hello */
    uint16_t query_id;
    uint32_t frag_id;
};

struct traffic {
    struct draw draw;
    const struct model *model;
    bool steady;   /* no DNS, so that nothing is learned */
    bool one_port; /* sides are not given */
    bool control;  /* control frames, too */
    pol_addr clients[CLIENTS], servers[SERVERS], resolvers[RESOLVERS];
    struct talk talks[TALKS];
    struct dnsmsg query, answer;
    struct hello hello;
    size_t used; /* of the arena */
    uint8_t arena[TRAFFIC_ARENA];
};

/* Names that are asked for: those of names.h, and some that need escapes. */
const char *traffic_name(int number);
int traffic_name_draw(struct draw *draw);

void traffic_begin(struct traffic *traffic, const struct model *model, uint64_t seed);

/* The next packets; their payload is valid until the next call. */
void traffic_next(struct traffic *traffic, pol_packet *ret_packets, size_t count);

#endif
