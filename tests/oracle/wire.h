/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_WIRE_H
#define ORACLE_WIRE_H

/*
 * What should become of the packets on a wire: lists of grants, open queries, flows and datagrams
 * in pieces, each searched from end to end (decisions.md 3, "Queries", "Whom to believe", "What an
 * answer grants", "Lifetimes", "Flows", "Direction", "Fragments"). What the list of rules says is
 * asked of linear.c. A DNS message over UDP comes as what it means; only the library gets its
 * octets. Over TCP there is nothing but octets: what a message means is looked up among all that
 * the world has written.
 */

#include "linear.h"

enum {
    WIRE_FLOWS = 2048,
    WIRE_QUERIES = 2048,
    WIRE_DATAGRAMS = 512,
    WIRE_PIECES = 8,
    WIRE_STREAMS = 256,
    WIRE_OCTETS = 4096, /* of a stream */
    WIRE_PHRASES = 400,
    WIRE_PHRASE = 1400, /* octets */
    WIRE_TAUGHT = 1500, /* grants per world, so that no cap is near: grants_oracle tests those */
    WIRE_RECORDS = 24,
    WIRE_LINKS = 16, /* names that stand in chains only */
    WIRE_NAMES = NAME_COUNT + WIRE_LINKS
};

struct wire_times {
    pol_idle idle;
    pol_mono grant_idle, grant_idle_two_way, ttl_min, ttl_max;
    pol_mono query, midstream, datagram;
    pol_mono octets; /* until what came over TCP is judged and acknowledged */
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
    bool dns;           /* over TCP, with a trusted resolver: every message is judged */
    bool told;          /* a packet has met the denied entry */
    uint8_t seen, fins; /* bit 0: from who opened it, bit 1: to it */
    uint32_t isn, peer_isn;
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
    bool refused;  /* seen on one port: it would never have been asked */
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

/* What the world has written once. */
struct wire_phrase {
    uint32_t len;
    uint8_t octets[WIRE_PHRASE];
    struct wire_message message;
};

struct wire_book {
    uint32_t count;
    struct wire_phrase phrases[WIRE_PHRASES];
};

/* What one end of a connection with a resolver has said, from its first octet on. */
struct wire_stream {
    uint64_t flow;
    bool reply;
    uint32_t judged; /* the messages before it have been */
    uint32_t acked;  /* of these, what the other end has */
    pol_mono since; /* that something is not judged and acknowledged; or the last acknowledgement */
    bool seen[WIRE_OCTETS];
    uint8_t octets[WIRE_OCTETS];
};

struct wire_verdict {
    uint8_t action, raw_action;
    uint16_t reason;
    uint32_t group, rule, flags;
    uint8_t side;       /* enum pol_side, given or inferred */
    bool vague;         /* who decided, and by what way it passed, is not compared */
    uint64_t own;       /* number of the flow it belongs to, or 0 */
    uint64_t flow;      /* number of the flow that a grant must carry from now on, or 0 */
    uint32_t pin_count; /* the grants that may do so: any of them is right */
    uint32_t pins[GRANTS_MAX];
};

struct wire {
    const struct linear_list *list; /* of the policy in use */
    uint64_t generation;
    struct wire_times times;
    bool admit_outside;
    bool one_port;            /* sides are inferred */
    const pol_prefix *inside; /* with one port; none: the sources of all groups */
    uint32_t inside_count;
    uint32_t capacity;         /* flows there is room for */
    const pol_addr *resolvers; /* the trusted ones */
    uint32_t resolver_count;
    const pol_addr *inside_resolver; /* asks on behalf of all; NULL: nobody does */
    const struct wire_book *book;
    pol_mono now, begun; /* begun: the first packet */
    bool has_begun;
    bool was_late; /* wire_clock() has denied a connection that was late */

    struct linear_grants view; /* of `grants`, as the list is asked */
    uint32_t grant_count, flow_count, query_count, datagram_count, stream_count;
    struct wire_grant grants[GRANTS_MAX];
    struct wire_flow flows[WIRE_FLOWS];
    struct wire_query queries[WIRE_QUERIES];
    struct wire_datagram datagrams[WIRE_DATAGRAMS];
    struct wire_stream streams[WIRE_STREAMS];
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
/* Whose groups are asked about a query of the client; NULL: all are. */
const pol_addr *wire_asker(const struct wire *wire, const pol_addr *client);
/* Whether the list alone lets a packet of the flow pass. */
bool wire_passes(struct wire *wire, const struct wire_flow *flow);

/* A connection for DNS, without a packet rule. */
bool wire_opens_dns(const struct wire *wire, const pol_packet *packet);
void wire_begin_streams(struct wire *wire, const struct wire_flow *flow);
void wire_end_streams(struct wire *wire, const struct wire_flow *flow);
/* The octets and the acknowledgement of a segment; they may deny the flow. */
void wire_read(struct wire *wire, struct wire_flow *flow, const pol_packet *packet, bool reply);
/* When the flow is denied for what it has not said to the end; POL_NEVER: not at all. */
pol_mono wire_late(const struct wire *wire, const struct wire_flow *flow);

/* A message of a connection is judged as it would be over UDP; NULL: it is none. */
void wire_tcp_query(struct wire *wire, struct wire_flow *flow, const struct wire_message *message);
/* A client that does not ask: denied, unless audit mode or the list lets it pass unread. */
void wire_no_query(struct wire *wire, struct wire_flow *flow);
void wire_tcp_answer(struct wire *wire, struct wire_flow *flow, const struct wire_message *message);
void wire_deny_dns(struct wire *wire, struct wire_flow *flow, uint16_t reason, uint32_t group,
                   uint32_t rule);

#endif
