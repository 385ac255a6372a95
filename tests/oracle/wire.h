/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_WIRE_H
#define ORACLE_WIRE_H

/*
 * What should become of the packets on a wire: lists of grants, open queries, flows and datagrams
 * in pieces, each searched from end to end (decisions.md 3, "Queries", "Whom to believe", "What an
 * answer grants", "Lifetimes", "Flows", "Direction", "Fragments"). What the list of rules says is
 * asked of linear.c. A DNS message comes as what it means; only the library gets its octets.
 */

#include "linear.h"

enum {
    WIRE_FLOWS = 2048,
    WIRE_QUERIES = 2048,
    WIRE_DATAGRAMS = 512,
    WIRE_PIECES = 8,
    WIRE_TAUGHT = 1500, /* grants per world, so that no cap is near: grants_oracle tests those */
    WIRE_RECORDS = 24,
    WIRE_LINKS = 16, /* names that stand in chains only */
    WIRE_NAMES = NAME_COUNT + WIRE_LINKS
};

struct wire_times {
    pol_idle idle;
    pol_mono grant_idle, grant_idle_two_way, ttl_min, ttl_max;
    pol_mono query, midstream, datagram;
};

struct wire_grant {
    uint32_t group_id; /* POL_NONE: recorded without a group */
    pol_addr addr;
    int name;
    uint8_t kind;
    pol_mono by_answer; /* answer and TTL, the latest of all answers */
    pol_mono used;      /* newest answer, or packet of a flow it carries */
    bool two_way;
    uint32_t flows; /* open on it */
};

/* Who makes room for another when the table is full, in this order; the last one does not. */
enum wire_room { ROOM_CLOSING, ROOM_HALF_OPEN, ROOM_DENIED, ROOM_NONE };

struct wire_flow {
    uint64_t number; /* never used twice */
    pol_tuple tuple; /* from who opened it */
    uint8_t side;    /* of who opened it */
    struct linear_facts facts;
    uint64_t generation;
    bool denied, established, closing;
    bool midstream; /* nobody saw its beginning */
    bool syn_ack;
    uint8_t seen, fins; /* bit 0: from who opened it, bit 1: to it */
    uint32_t isn;
    pol_mono alive; /* the last packet that keeps it alive */
    pol_mono last;  /* the last packet */
    uint8_t room;   /* enum wire_room */
    uint64_t turn;  /* when it came to be so */
    struct linear_outcome out;
    uint32_t grant; /* that carries it, or POL_NONE */
};

/* A query that was let through. */
struct wire_query {
    pol_tuple tuple;
    uint16_t id, type;
    int name;
    pol_mono at;
    bool recorded; /* by packet rules: nobody gets the grants */
    struct linear_query asked;
    uint32_t group_ids[GROUPS_MAX]; /* of asked.grantees, under the policy of that time */
};

struct wire_datagram {
    pol_tuple tuple; /* addresses and protocol */
    uint32_t id;
    uint8_t side;
    pol_mono at; /* of its first piece */
    uint64_t flow;
    struct linear_outcome out;
    uint32_t piece_count, end; /* end: where the last piece ends; 0: not known yet */
    struct {
        uint32_t from, to;
    } pieces[WIRE_PIECES];
};

/* A record of an answer: an address, or a link of a chain. */
struct wire_record {
    int owner;
    int target;    /* of a CNAME; NO_NAME: an address */
    pol_addr addr; /* if there is no target */
    uint32_t ttl;  /* seconds */
    bool hint;     /* the address is in an HTTPS record */
    bool aside;    /* in the additional section: it says nothing */
};

struct wire_message {
    bool present; /* the payload is DNS at all */
    bool answers;
    uint16_t id, type;
    int name;
    uint8_t rcode;
    uint32_t record_count;
    struct wire_record records[WIRE_RECORDS];
};

struct wire_verdict {
    uint8_t action, raw_action;
    uint16_t reason;
    uint32_t group, rule, flags;
    bool vague;         /* who decided, and by what way it passed, is not compared */
    uint64_t flow;      /* number of the flow that a grant must carry from now on, or 0 */
    uint32_t pin_count; /* the grants that may do so: any of them is right */
    uint32_t pins[GRANTS_MAX];
};

struct wire {
    const struct linear_list *list; /* of the policy in use */
    uint64_t generation;
    struct wire_times times;
    bool admit_outside;
    uint32_t capacity;         /* flows there is room for */
    const pol_addr *resolvers; /* the trusted ones */
    uint32_t resolver_count;
    pol_mono now, begun; /* begun: the first packet */
    bool has_begun;

    struct linear_grants view; /* of `grants`, as the list is asked */
    uint32_t grant_count, flow_count, query_count, datagram_count;
    struct wire_grant grants[GRANTS_MAX];
    struct wire_flow flows[WIRE_FLOWS];
    struct wire_query queries[WIRE_QUERIES];
    struct wire_datagram datagrams[WIRE_DATAGRAMS];
    uint64_t last_number, last_turn;
};

/* The verdict on a packet at wire->now. `message` is what its payload says as DNS. */
void wire_decide(struct wire *wire, const pol_packet *packet, const struct wire_message *message,
                 struct wire_verdict *out);
/* Which grant carries the flow of the verdict, out of verdict->pins. */
void wire_carry(struct wire *wire, const struct wire_verdict *verdict, uint32_t grant);

/* The flow of a packet without ICMP error, or NULL. */
struct wire_flow *wire_find(struct wire *wire, const pol_packet *packet);
/* Ends what is over at wire->now. */
void wire_clock(struct wire *wire);

bool wire_is_live(const struct wire *wire, const struct wire_grant *grant);
pol_mono wire_live_until(const struct wire *wire, const struct wire_grant *grant);

/* --- between the parts --- */

void wire_view(struct wire *wire);
void wire_unpin(struct wire *wire, struct wire_flow *flow);
void wire_ordinary(struct wire *wire, const pol_packet *packet, struct wire_verdict *out);
/* Judges a query or answer; false: it is an ordinary packet. */
bool wire_dns(struct wire *wire, const pol_packet *packet, const struct wire_message *message,
              struct wire_verdict *out);
bool wire_trusts(const struct wire *wire, const pol_addr *addr);

#endif
