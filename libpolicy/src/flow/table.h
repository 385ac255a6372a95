/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOW_TABLE_H
#define FLOW_TABLE_H

/*
 * The flows of one worker: a hash table over a fixed pool, and a wheel of one-second slots for what
 * runs out. A key does not know who opened the flow: its two ends are in order of address and port,
 * so both directions find the same entry, and the packet's end (0 or 1) comes with the key.
 */

#include <libpolicy/packet.h>
#include <libpolicy/worker.h>

struct flow_key {
    uint8_t addr[2][16];
    uint16_t port[2];
    uint16_t vlan[2];
    uint8_t proto, family;
    uint8_t icmp_kind[2]; /* flow_key_icmp() */
};

enum flow_state {
    FLOW_ALLOWED,
    FLOW_PENDING, /* forwarded, waits for TLS facts */
    FLOW_INTERCEPT,
    FLOW_DENIED /* both directions are dropped */
};

enum tcp_phase {
    TCP_OPENING,
    TCP_ESTABLISHED,
    TCP_CLOSING /* a FIN from both ends, or a RST */
};

/* What is known about TLS on a flow. */
enum tls_fact {
    TLS_UNKNOWN,   /* no client payload yet, or an incomplete ClientHello */
    TLS_HELLO,     /* a ClientHello was read; the flow's name is its SNI */
    TLS_NOT,       /* the flow does not begin with a ClientHello, or nobody saw it */
    TLS_INCOMPLETE /* it began with one that was broken, too long, too late or not kept: a rule
                      with a TLS condition denies */
};

/* What is known of the server's certificate, beside TLS_HELLO. */
enum certificate_fact {
    CERTIFICATE_UNKNOWN, /* the server has not shown it yet */
    CERTIFICATE_SEEN,    /* the flow's chain */
    CERTIFICATE_HIDDEN,  /* the server chose TLS 1.3 */
    CERTIFICATE_MISSING  /* none was sent, or it was broken, too long, too late or not looked at: a
                            rule that asks for it denies */
};

/* What a flow keeps of its streams until it is acknowledged, or-ed. */
enum guard {
    GUARD_CLIENT = 1, /* the ClientHello */
    GUARD_SERVER = 2  /* the server's first messages */
};

/* Why the client's first octets are being read, or behind its ClientHello the server's. Greater
 * values matter more. */
enum tls_watch {
    WATCH_NONE,
    WATCH_RECORD, /* for the records only */
    WATCH_RULE,   /* allowed whatever comes; the recorded rule may change */
    WATCH_CHECK,  /* sni_check: enforce may deny */
    WATCH_PENDING /* the flow's verdict depends on it */
};

/* In order of use: a packet of a settled flow touches the first three cache lines only. */
struct flow {
    _Alignas(64) struct flow_key key;
    uint32_t next;         /* in the hash chain */
    uint8_t state;         /* enum flow_state */
    uint8_t raw_action;    /* enum pol_action */
    uint8_t opener;        /* which end of the key opened it: 0 or 1 */
    uint8_t side;          /* enum pol_side of the opener */
    uint8_t phase;         /* enum tcp_phase; TCP only */
    uint8_t tls;           /* enum tls_fact */
    uint8_t watch;         /* enum tls_watch */
    uint8_t slot;          /* counter slot of its group */
    uint8_t syn_ack, fins; /* seen; fins: bit per direction */
    uint8_t both_ways;     /* packets in both directions */
    uint8_t list;          /* enum flow_list */

    uint64_t id;
    uint64_t generation; /* that judged it last */
    uint64_t group_key;
    pol_mono last;         /* newest packet */
    pol_mono alive;        /* what idle time counts from */
    pol_mono tls_deadline; /* POL_NEVER: none */
    pol_mono touched;      /* newest refresh of its grant */
    pol_mono reported;     /* newest FLOW_ACTIVE */

    uint64_t packets[2], bytes[2]; /* [0] from the opener, [1] to it */
    uint32_t group, rule;          /* of the policy that judged it, or POL_NONE */
    uint32_t verdict_flags;        /* enum pol_verdict_flag that stay with the flow */
    uint32_t grant;                /* pinned slot, or POL_NONE */
    uint16_t reason;
    uint8_t midstream; /* opened without a SYN */
    uint8_t is_dns;    /* DNS over TCP to a trusted resolver */
    uint8_t has_isn;
    uint8_t syn_again;            /* the opener has sent a SYN of another connection since */
    uint8_t established;          /* the handshake was complete once */
    uint8_t guarded;              /* enum guard */
    uint8_t icmp_type, icmp_code; /* of the opening packet */
    uint8_t counted_pending;
    uint8_t certificate; /* enum certificate_fact; with TLS_HELLO */

    pol_mono first;        /* first packet */
    uint32_t resume;       /* step at which the walk goes on when TLS facts arrive, or POL_NONE */
    uint32_t isn;          /* TCP: the opener's initial sequence number */
    uint32_t peer_isn;     /* TCP: the responder's, with syn_ack */
    uint32_t stream;       /* collector of the ClientHello, or of DNS queries; POL_NONE */
    uint32_t reply_stream; /* collector of DNS answers over TCP, or of the server's first
                              messages; POL_NONE */
    union {
        uint32_t dns_next[2]; /* DNS over TCP: sequence number of the next octet, by direction */
        uint32_t client_left; /* until the certificate is there: octets the client may send */
        struct {
            uint32_t chain, chain_version; /* CERTIFICATE_SEEN: its place in the worker's chains */
        };
    };
    uint32_t wheel_prev, wheel_next, wheel_slot; /* wheel_slot POL_NONE: not on the wheel */
    uint32_t list_prev, list_next;               /* of its list, oldest first */
    uint8_t dns_replied;                         /* DNS over TCP: the responder has sent octets */
    uint8_t end_cause;                           /* enum pol_end of a denied entry's last life */
    uint8_t in_audit;                            /* the rule or default that decided it is */
    uint8_t told;                                /* a packet has met the denied entry */
    uint8_t name_len;                            /* SNI; the text is in the table's names */
};

/* Who makes room under pressure, in this order. */
enum flow_list {
    LIST_CLOSING,   /* over, but for late segments */
    LIST_HALF_OPEN, /* no answer yet */
    LIST_DENIED,
    LIST_COUNT,
    LIST_NONE = LIST_COUNT
};

struct flow_table {
    struct flow *flows; /* on a cache line, inside `block` */
    void *block;
    char (*names)[POL_NAME_MAX +
                  1]; /* the SNI of each flow, by index; not terminated, see name_len */
    uint32_t *heads;
    uint32_t mask, capacity;
    uint32_t free, count;
    uint32_t oldest[LIST_COUNT], newest[LIST_COUNT];
    uint32_t *wheel;       /* heads of WHEEL_SLOTS lists */
    uint64_t wheel_second; /* everything before it has been handled */
    uint64_t next_id;
    uint64_t seed[2];
};

int flow_table_init(struct flow_table *table, const pol_mem *mem, uint32_t capacity,
                    const uint64_t seed[2]);
void flow_table_fini(struct flow_table *table, const pol_mem *mem);
size_t flow_table_memory(const struct flow_table *table);

/* The key of a tuple; *ret_end is the end that sent it. */
void flow_key_of(const pol_tuple *tuple, const uint16_t vlan[2], uint8_t vlan_count,
                 struct flow_key *ret_key, uint8_t *ret_end);
/* Completes the key of an ICMP or ICMPv6 query or reply: a query and its reply are one flow, seen
 * from who asks. Nothing else belongs to it. */
void flow_key_icmp(struct flow_key *key, uint8_t end, uint8_t type);
/* Whether an ICMP or ICMPv6 message of this type answers one of another. */
bool flow_icmp_replies(uint8_t proto, uint8_t type);
uint64_t flow_hash(const struct flow_table *table, const struct flow_key *key);

uint32_t flow_find(const struct flow_table *table, const struct flow_key *key, uint64_t hash);
void flow_prefetch_head(const struct flow_table *table, uint64_t hash);
void flow_prefetch_entry(const struct flow_table *table, uint64_t hash);

/* Tells an empty table what time it is, so that the wheel begins there. */
void flow_clock(struct flow_table *table, pol_mono now);
/* A fresh entry under the key, half-open, without a place on the wheel; POL_NONE when full. */
uint32_t flow_insert(struct flow_table *table, const struct flow_key *key, uint64_t hash);
void flow_remove(struct flow_table *table, uint32_t index);

void flow_put_on(struct flow_table *table, uint32_t index, enum flow_list list);
/* The entry that should make room for another, or POL_NONE. */
uint32_t flow_victim(const struct flow_table *table);

/* Puts the flow where the wheel will look at `deadline`. */
void flow_schedule(struct flow_table *table, uint32_t index, pol_mono deadline);
/* The next flow whose slot has come at `now`, taken off the wheel, or POL_NONE. */
uint32_t flow_due(struct flow_table *table, pol_mono now);
/* When flow_due() may have something; POL_NEVER when the wheel is empty. */
pol_mono flow_next_due(const struct flow_table *table);

/* The flow as it was opened: from the opener to the responder. */
void flow_tuple(const struct flow *flow, pol_tuple *ret_tuple);

#endif
