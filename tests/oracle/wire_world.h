/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_WIRE_WORLD_H
#define ORACLE_WIRE_WORLD_H

/*
 * Packets for wire_oracle: conversations between a few hosts that go on side by side, with DNS,
 * datagrams in pieces, wrong sides and openings from outside. What a conversation does next
 * depends on the model's flow of it, so that the interesting moments of a life are met often.
 */

#include <libpolicy/packet.h>

#include "dnsmsg.h"
#include "wire.h"

enum {
    TALKS = 10,
    CLIENTS = 5,
    POOL = 36,
    ASKED = 8,
    OCTETS = 2048,
    SCRIPT = 3000, /* octets that an end of a connection says at most */
    OPEN = 4       /* newest queries of a connection, which are answered */
};

/* A query that was sent. */
struct asked {
    pol_tuple tuple;
    uint16_t id, type;
    int name;
};

/* What an end of a connection with a resolver says. */
struct script {
    uint32_t len, sent;
    uint8_t octets[SCRIPT];
};

struct talk {
    pol_packet packet; /* from who opens it */
    uint32_t isn, server_isn;
    struct script says[2]; /* who opened it, and the other */
    struct asked open[OPEN];
    uint32_t open_count;
};

struct wire_world {
    struct draw draw;
    const struct wire *wire;
    const pol_addr *resolvers;
    pol_addr clients[CLIENTS], pool[POOL];
    struct talk talks[TALKS];
    struct asked asked[ASKED];
    uint32_t asked_count, newest;
    pol_packet pieces[4]; /* first pieces that were sent */
    uint32_t piece_count;

    struct talk *dns_talk; /* the connection with a resolver that went on last, or NULL */
    uint16_t next_id;      /* of queries over TCP: none is used twice */
    struct wire_book book;

    struct wire_message message; /* what the packet says as DNS over UDP */
    pol_packet packet;
    struct dnsmsg query, answer;
    size_t ends[WIRE_RECORDS]; /* where each record of the answer ends */
    uint8_t octets[OCTETS];
};

const char *wire_name(int name);

/* Hosts of the policy, from world->draw. */
void wire_world_begin(struct wire_world *world, const struct model *model);
/* The next packet, in world->packet and world->message. */
void wire_world_next(struct wire_world *world);

#endif
