/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_WORKER_H
#define LIBPOLICY_WORKER_H

/*
 * Where decisions are made.
 *
 * A worker belongs to one thread. It holds a policy, the flows that thread has seen, and a ring of
 * events that the caller drains. The way of a packet:
 *
 *   pol_packet_parse() takes the frame apart
 *   pol_worker_decide() looks for its flow
 *       known, same generation:  the flow's verdict; nothing is evaluated
 *       known, new generation:   judged again on the facts kept with the flow
 *       unknown:                 judged; an allowed packet opens a flow
 *   pol_verdict says what to do with this packet, and why
 *   pol_worker_drain() hands out what happened, for audit, tap and records
 *
 * DNS over UDP and TCP to trusted resolvers is judged and learned on the way, when the worker has a
 * grant table: the verdict of a denied query is POL_ANSWER, and pol_dns_refuse() writes the answer.
 * A grant is visible to every worker before the verdict on the DNS answer is returned.
 *
 * A decision never fails. Malformed packets, full tables, regex limits and a missing policy are
 * verdicts with a reason, and they deny.
 *
 * Time: `now` is the caller's monotonic clock in nanoseconds. pol_worker_deadline() says when there
 * is something to do without a packet; pol_worker_tick() does it. A worker that is never ticked
 * still decides correctly, it only holds dead flows longer.
 *
 * Certificates (docs/decisions/0010): where a rule has a condition on the server's certificate, what
 * the server says after the ClientHello is collected while it passes, and the segment that completes
 * the certificate is judged before it is forwarded. This one packet is the exception to "allocates
 * nothing": the crypto library takes memory from libc to read and verify a chain, gives all of it
 * back before the verdict, and may take milliseconds. Chains are remembered, so it is the first flow
 * to a server that pays. Of chains not seen before, 128 certificates are verified in a second (256 at
 * once); a flow beyond that is denied ("pending_full"). Whether one is valid needs the time of day:
 * pol_worker_wall().
 */

#include <libpolicy/compile.h>
#include <libpolicy/grants.h>
#include <libpolicy/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Thread class: One thread at a time. The library takes no lock. The object may move between
 * threads if the caller orders the hand-over. pol_counters_add() is the exception: it may read a
 * worker's counters from any thread. A library built with assertions (without NDEBUG) ends the
 * program where two threads meet in one worker.
 */
typedef struct pol_worker pol_worker;

/** What to do with a packet, query or request. POL_DENY is zero, so a cleared struct is safe. */
enum pol_action {
    POL_DENY = 0,  /* drop it silently */
    POL_ALLOW,     /* forward it */
    POL_REJECT,    /* drop it and tell the sender: TCP RST, ICMP 3/13, ICMPv6 1/1 */
    POL_PENDING,   /* forward it; the flow is not decided yet */
    POL_INTERCEPT, /* hand the flow to TLS interception; a capture only reports it */
    POL_ANSWER     /* drop the DNS query and answer it with pol_dns_refuse() */
};

/** XX(name, word, text): why. Words are stable and appear in JSON; the list grows at the end. */
#define POL_REASON_MAP(XX)                                                                         \
    XX(NO_POLICY, "no_policy", "no policy is in use yet")                                          \
    XX(RULE, "rule", "a rule matched")                                                             \
    XX(GROUP_DEFAULT, "group_default", "no rule of the group matched")                             \
    XX(POLICY_DEFAULT, "policy_default", "no group decided")                                       \
    XX(MALFORMED, "malformed", "the packet or message is malformed")                               \
    XX(FLOWS_FULL, "flows_full", "the flow table is full")                                         \
    XX(LIMIT, "limit", "a regular expression hit its limit")                                       \
    XX(NEED_TLS, "need_tls", "waiting for the TLS ClientHello or certificate")                     \
    XX(NOT_TLS, "not_tls", "the flow does not speak TLS where a rule needs it")                    \
    XX(TLS_INCOMPLETE, "tls_incomplete", "no complete ClientHello in the time or size allowed")    \
    XX(PENDING_FULL, "pending_full", "too many flows wait for a ClientHello or a certificate")     \
    XX(SNI_MISMATCH, "sni_mismatch", "the SNI is missing or no name granted for the address")      \
    XX(INTERCEPT_TOO_LATE, "intercept_too_late", "an intercept rule was reached after forwarding") \
    XX(DNS_EXPIRED, "dns_expired", "the name that would open this address has expired")            \
    XX(DNS_UNTRUSTED_RESOLVER, "dns_untrusted_resolver", "DNS to a resolver that is not trusted")  \
    XX(DNS_UNSOLICITED, "dns_unsolicited", "a DNS answer that nobody asked for")                   \
    XX(DNS_NO_RULE, "dns_no_rule", "no hostname rule allows the name")                             \
    XX(DNS_NO_ROOM, "dns_no_room", "the answer's addresses could not be kept")                     \
    XX(DNS_QUERY, "dns_query", "DNS with a trusted resolver")                                      \
    XX(FRAGMENT, "fragment", "a fragment without its first one, or overlapping")                   \
    XX(OUTSIDE, "outside", "opened from outside")                                                  \
    XX(UNRELATED, "unrelated", "an ICMP error that belongs to no flow")                            \
    XX(WRONG_SIDE, "wrong_side", "the packet came from the wrong end of the wire")                 \
    XX(DENIED_FLOW, "denied_flow", "the flow was denied earlier")                                  \
    XX(LINK, "link", "link-scope control traffic")                                                 \
    XX(NOT_IP, "not_ip", "a frame that is neither IP nor link control")                            \
    XX(MIDSTREAM, "midstream", "a TCP segment that belongs to no flow")                            \
    XX(CERTIFICATE_UNTRUSTED, "certificate_untrusted",                                             \
       "the server's certificate does not verify, or is not valid now")                            \
    XX(CERTIFICATE_HIDDEN, "certificate_hidden",                                                   \
       "a rule asks for the server's certificate, which TLS 1.3 hides")                            \
    XX(CERTIFICATE_MISSING, "certificate_missing",                                                 \
       "the server showed no certificate that could be read, in the time or size allowed")

/** Why a verdict is what it is: pol_verdict.reason. */
enum pol_reason {
#define XX(name, word, text) POL_WHY_##name,
    POL_REASON_MAP(XX)
#undef XX
    POL_WHY_COUNT /* how many there are in this version */
};

/** The word of a reason, such as "dns_expired"; "unknown" for a number out of range. Static
 *  storage. */
POL_API const char *pol_reason_word(unsigned reason);

/** A reason in a few English words, such as "a rule matched"; "unknown" for a number out of range.
 *  Static storage. */
POL_API const char *pol_reason_text(unsigned reason);

/** The word of an action: "deny", "allow", "reject", "pending", "intercept", "answer"; "unknown"
 *  for a number out of range. Static storage. */
POL_API const char *pol_action_word(unsigned action);

/** The bits of pol_verdict.flags. */
enum pol_verdict_flag {
    POL_V_OPENED = 1 << 0,       /* this packet opened the flow */
    POL_V_KNOWN = 1 << 1,        /* the packet belongs to a flow that was there */
    POL_V_REJUDGED = 1 << 2,     /* the flow was judged again (new generation or new facts) */
    POL_V_WATCHED = 1 << 3,      /* allowed whatever the TLS facts are; the rule may be corrected */
    POL_V_AUDIT = 1 << 4,        /* raw_action is a denial that audit mode softened */
    POL_V_SIDE_INFERRED = 1 << 5, /* the side was not given by the port */
    POL_V_REPLY = 1 << 6,        /* the packet goes from the flow's responder to its opener */
    POL_V_RELATED = 1 << 7,      /* an ICMP error that belongs to the flow */
    POL_V_NAMED = 1 << 8,        /* a rule with a hostname decided */
    POL_V_SNI_SEEN = 1 << 9,     /* a ClientHello with a server name was read on this flow */
    POL_V_SNI_MISMATCH = 1 << 10, /* sni_check found a mismatch (log or enforce) */
    POL_V_CUT = 1 << 11          /* this packet turned an open flow into a denied one, or is the
                                    first since a tick did: of TCP, both ends are to be reset */
};

/** One answer, all of it. Frozen for the life of the SONAME. */
typedef struct pol_verdict {
    uint8_t action;      /* enum pol_action: what to do */
    uint8_t raw_action;  /* what the rules said, before audit mode softened it */
    uint8_t side;        /* enum pol_side the packet came from, given or inferred */
    uint8_t reserved0;   /* zero */
    uint16_t reason;     /* enum pol_reason */
    uint16_t reserved1;  /* zero */
    uint32_t flags;      /* enum pol_verdict_flag, or-ed */
    uint32_t group;      /* index into the policy of `generation`, or POL_NONE; POL_PENDING: of the
                            first rule that waits */
    uint32_t rule;       /* index into the policy of `generation`, or POL_NONE */
    uint64_t group_key;  /* stable across reloads; 0 without a group */
    uint64_t generation; /* of the policy that decided */
    uint64_t flow;       /* id within this worker, never reused; 0 when there is no entry */
    uint64_t reserved[2]; /* zero */
} pol_verdict;

/** What happened. */
enum pol_event_kind {
    POL_EV_FLOW_OPEN,   /* a flow was allowed, or waits for TLS */
    POL_EV_FLOW_UPDATE, /* its verdict, rule or server name changed */
    POL_EV_FLOW_ACTIVE, /* packets arrived since the last report (report_interval) */
    POL_EV_FLOW_END,    /* it is over; totals are final */
    POL_EV_DENY,        /* a packet or flow was denied, or would have been (POL_V_AUDIT); with
                           qclass set: a query that an audit rule behind the deciding one denies */
    POL_EV_DNS          /* a query was answered, refused or ran out of time */
};

/** Why a flow ended. */
enum pol_end {
    POL_END_NONE,    /* it has not ended */
    POL_END_FIN,     /* both ends have closed it */
    POL_END_RST,     /* one end has reset it */
    POL_END_IDLE,    /* silent for longer than pol_idle allows */
    POL_END_POLICY,  /* it was denied after it had been opened; its end comes when the denied entry has
                        been silent for pol_idle.denied */
    POL_END_EVICTED, /* made room for another */
    POL_END_REUSED,  /* the same addresses and ports began anew */
    POL_END_FLUSHED  /* pol_worker_flush() */
};

/** The word of a kind of event: "flow_open", "flow_update", "flow_active", "flow_end", "deny", "dns";
 *  "unknown" for a number out of range. Static storage. */
POL_API const char *pol_event_word(unsigned kind);

/** The word of an end: "none", "tcp_fin", "tcp_rst", "idle_timeout", "policy_deny", "evicted",
 *  "reused", "flushed", as dp_flow_closes_total has them; "unknown" for a number out of range. Static
 *  storage. */
POL_API const char *pol_end_word(unsigned end);

#define POL_EVENT_ADDRESSES 16 /* addresses of a DNS answer that an event has room for */

/**
 * Something that happened. A plain value; indexes belong to the policy of verdict.generation. Frozen
 * for the life of the SONAME.
 */
typedef struct pol_event {
    uint8_t kind;        /* enum pol_event_kind */
    uint8_t end;         /* enum pol_end; FLOW_END only */
    uint8_t icmp_type, icmp_code; /* of the packet; 0 for other protocols */
    uint8_t name_len;    /* octets of name */
    uint8_t fqdn_len;    /* octets of fqdn */
    uint16_t vlan;       /* outermost VLAN identifier, 0 without a tag */
    pol_tuple tuple;     /* oriented as the flow was opened; DNS: client to resolver */
    pol_verdict verdict; /* of the flow, packet or query */
    uint64_t names_key;  /* group key under which names of the destination are known, for
                            pol_grants_names(): the deciding group's, or that of another group of
                            the opener if it has names and the deciding one has none */
    pol_mono at;         /* when it happened */
    pol_mono first;      /* FLOW_*: first packet. DNS: the query */
    pol_mono last;       /* FLOW_*: newest packet */
    uint64_t packets_out, packets_in; /* out: from the opener; in: to the opener */
    uint64_t bytes_out, bytes_in;     /* of IP datagrams */
    /* DNS only, and DENY events about a query: */
    uint16_t qtype, qclass;  /* of the question, RFC 1035 3.2 */
    uint8_t rcode;           /* of the answer; 255 when there was none */
    uint8_t answer_count;    /* addresses reached from the question, at most 255 */
    uint16_t learned;        /* grants added or refreshed, over all groups */
    uint64_t reserved[4];    /* zero */
    pol_addr answers[POL_EVENT_ADDRESSES]; /* the first of them */
    /* Names are in text form, lower case, NUL-terminated. */
    char name[POL_NAME_MAX + 1]; /* DNS: queried name. Otherwise the SNI; empty without one */
    char fqdn[POL_NAME_MAX + 1]; /* newest name known for the destination; may be empty */
} pol_event;

/** Idle times of flows, as durations. A denied entry that was silent that long is forgotten. */
typedef struct pol_idle {
    pol_mono tcp_opening;     /* 30 s: handshake not complete */
    pol_mono tcp_established; /* 7 440 s (RFC 5382 REQ-5) */
    pol_mono tcp_closing;     /* 120 s: a FIN from both ends, or a RST */
    pol_mono udp_one_way;     /* 30 s */
    pol_mono udp_two_way;     /* 300 s (RFC 4787 REQ-5) */
    pol_mono icmp;            /* 60 s */
    pol_mono other;           /* 600 s: every other protocol */
    pol_mono denied;          /* 60 s */
} pol_idle;

/** What becomes of a TLS connection whose SNI is no name granted for its destination. */
enum pol_sni_check {
    POL_SNI_OFF,    /* nobody looks */
    POL_SNI_LOG,    /* a mismatch is reported (POL_V_SNI_MISMATCH) */
    POL_SNI_ENFORCE /* and denied, where a rule with a hostname decided */
};

/** What becomes of packets that belong to no flow. */
enum pol_midstream {
    POL_MIDSTREAM_JUDGE, /* packets without a flow: from inside judged like an opening one; from
                            outside only during midstream_window, as the reply they would be */
    POL_MIDSTREAM_DENY   /* TCP that does not begin with a SYN is denied */
};

/** What is not an IP flow, or not one that policy can judge, each counted
 * (policyd_control_frames_total) and treated as pol_worker_options.control says. Where a kind
 * passes, it passes in link scope only. */
enum pol_control {
    POL_CONTROL_ARP,       /* RFC 826 */
    POL_CONTROL_NDP,       /* RFC 4861: hop limit 255; router advertisements and redirects from
                              outside only */
    POL_CONTROL_GROUPS,    /* IGMP with TTL 1 (RFC 3376 4), MLD with hop limit 1 (RFC 3810 5) */
    POL_CONTROL_DHCP,      /* RFC 2131: to 255.255.255.255, or unicast with a server or relay whose
                              OFFER or ACK crossed within the lease; server messages from outside */
    POL_CONTROL_DHCPV6,    /* RFC 8415: to ff02::1:2, and link-local replies from outside */
    POL_CONTROL_EAPOL,     /* IEEE 802.1X */
    POL_CONTROL_LLDP,      /* IEEE 802.1AB */
    POL_CONTROL_STP,       /* IEEE 802.1D: LLC 42/42/03 */
    POL_CONTROL_MULTICAST, /* IP multicast from outside, of no kind above. What comes from inside is
                              judged like any packet */
    POL_CONTROL_OTHER,     /* every other EtherType and LLC frame */
    POL_CONTROL_COUNT      /* how many kinds there are */
};

/** What is done with a kind of control traffic. */
enum pol_control_policy {
    POL_CONTROL_PASS,  /* in its place it passes */
    POL_CONTROL_JUDGE, /* like an ordinary packet (NDP, GROUPS, DHCP, DHCPV6); MULTICAST: passes
                          where an inside member joined the group and a rule allows that member the
                          group's address. Not for kinds without an IP header */
    POL_CONTROL_DROP   /* it never passes */
};

/** The word of a kind: "arp", "ndp", "groups", "dhcp", "dhcpv6", "eapol", "lldp", "stp", "multicast",
 *  "other"; "unknown" for a number out of range. Static storage. */
POL_API const char *pol_control_word(unsigned control);

/** What a worker is made with; see pol_worker_options_init(). */
typedef struct pol_worker_options {
    size_t size;               /* set by pol_worker_options_init() */
    uint32_t flow_capacity;    /* 32 768; 0: no flow table (DNS and interception threads) */
    uint32_t event_capacity;   /* 4 096; rounded up to a power of two */
    uint32_t memo_capacity;    /* 8 192 names whose patterns are remembered */
    uint32_t pending_capacity; /* 2 048 flows whose ClientHello is being collected, 16 KiB each */
    uint32_t query_capacity;   /* 4 096 DNS queries on the wire without an answer yet */
    uint32_t stream_capacity;  /* 64 DNS over TCP streams, 64 KiB each way */
    uint32_t fragment_capacity; /* 1 024 datagrams in pieces */
    pol_idle idle;             /* when flows are forgotten */
    pol_mono report_interval;  /* FLOW_ACTIVE at most this often per flow; 0: never (default) */
    pol_mono midstream_window; /* 120 s after the first packet */
    pol_mono query_timeout;    /* 5 s: how long a DNS answer may take */
    pol_mono tls_timeout;      /* 10 s from the first client octet to a complete ClientHello, and as
                                  long from there to the server's certificate */
    uint8_t midstream;         /* enum pol_midstream */
    uint8_t sni_check;         /* enum pol_sni_check; POL_SNI_LOG */
    bool reject_inside;        /* denials towards inside are POL_REJECT; false */
    bool admit_outside;        /* flows opened from outside are judged by the same list; false:
                                  they are denied */
    bool trust_all_resolvers;  /* captures and monitor ports; false */
    /* Borrowed for the call of pol_worker_new(). */
    const pol_prefix *inside;  /* one-port mode: what is inside; none: the union of all sources */
    size_t inside_count;       /* of inside */
    const pol_addr *trusted_resolvers; /* whose answers are believed; none: nobody's */
    size_t trusted_resolver_count; /* of trusted_resolvers */
    const pol_addr *inside_resolvers; /* resolvers that ask on behalf of others: their queries are
                                         judged against the hostname rules of all groups */
    size_t inside_resolver_count; /* of inside_resolvers */
    pol_grants *grants;        /* may be NULL: no names. The worker keeps it until it is freed
                                  itself, and is a reader and, for DNS, a learner of it */
    const pol_addr *own;       /* addresses of this host: special, like private ones: a name opens
                                  them only where the rule lists them, too */
    size_t own_count;          /* of own */
    uint8_t control[16];       /* enum pol_control_policy by enum pol_control; all POL_CONTROL_PASS
                                  but MULTICAST and OTHER, which are POL_CONTROL_DROP */
    uint32_t member_capacity;  /* 1 024 of each: multicast memberships, DHCP servers known, DHCP
                                  requests under way */
    uint32_t certificate_capacity; /* 256 of each: flows whose server's certificate is being
                                      collected, chains kept for judging again; 32 KiB each */
    pol_str trust_anchors_pem; /* certificates that a chain may end in where a rule names none of its
                                  own, PEM; empty: no chain does. Those that cannot be read are passed
                                  over. Borrowed for the call of pol_worker_new() */
} pol_worker_options;

/**
 * Fills in the defaults. Call as pol_worker_options_init(&opts, sizeof(opts)).
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API void pol_worker_options_init(pol_worker_options *opts, size_t size);

/**
 * Makes a worker. All tables are sized here: deciding allocates nothing. @p opts may be NULL for
 * the defaults.
 *
 * @return POL_OK, POL_E_NOMEM, POL_E_ABI, POL_E_INVALID (a capacity above 16 million, or no room
 *         for events or names; `midstream`, `sni_check` or a `control` out of range, or
 *         POL_CONTROL_JUDGE for a kind without an IP header; an address or prefix of no family, too
 *         long, or not zero behind its bits)
 *
 * Thread class: any thread.
 */
POL_API int pol_worker_new(pol_ctx *ctx, const pol_worker_options *opts, pol_worker **ret_worker);

/** Frees the worker, its flows and the events that were not drained. Its flows are taken off their
 *  grants. Only its own thread may do so, with nobody in pol_counters_add(). */
POL_API void pol_worker_free(pol_worker *worker);

/**
 * Makes the worker decide by @p policy from now on. Flows are judged again at their next packet,
 * not at once. The same policy may be used again under a new generation.
 *
 * @param policy      the worker takes its own reference; NULL: no policy, everything is denied
 * @param generation  chosen by the caller, growing; echoed in verdicts and events
 *
 * @return POL_OK
 *         POL_E_NOMEM    the policy in use before stays in use
 *         POL_E_INVALID  @p generation is not above the present one
 */
POL_API int pol_worker_use(pol_worker *worker, pol_policy *policy, uint64_t generation);

/** The policy and generation in use; NULL and 0 before the first pol_worker_use(). Borrowed.
 *  @p ret_generation may be NULL. */
POL_API pol_policy *pol_worker_policy(const pol_worker *worker, uint64_t *ret_generation);

/**
 * Judges one packet. Total: see the top of this file.
 *
 * @return ret_verdict->action
 *
 * Allocates nothing but for a certificate (see the top), takes no lock but the learner's flag for a
 * DNS answer, makes no system call.
 */
POL_API enum pol_action pol_worker_decide(pol_worker *worker, const pol_packet *packet,
                                          pol_mono now, pol_verdict *ret_verdict);

/**
 * Judges packets in order, with the same result as pol_worker_decide() on each, but with their
 * table lines fetched ahead. One policy and one moment hold for the whole batch.
 */
POL_API void pol_worker_decide_batch(pol_worker *worker, const pol_packet *packets, size_t count,
                                     pol_mono now, pol_verdict *ret_verdicts);

/**
 * Tells the worker what time of day it is: at the monotonic moment @p now it is @p wall. It reckons
 * on from there, so once a second is plenty. Certificates are valid or not by this clock; before the
 * first call, and after one with 0, none is valid.
 */
POL_API void pol_worker_wall(pol_worker *worker, pol_mono now, pol_wall wall);

/** When pol_worker_tick() has something to do; POL_NEVER when nothing is under way. It stays in the
 *  past while queries that nobody has answered wait for room in a full ring of events: drain
 *  before each tick. */
POL_API pol_mono pol_worker_deadline(const pol_worker *worker);

/** Ends what has run out, at most @p budget flows, queries and datagrams. Returns how many. */
POL_API size_t pol_worker_tick(pol_worker *worker, pol_mono now, size_t budget);

/** Ends every flow and query with an event (POL_END_FLUSHED), as far as the ring has room; returns
 *  how many are left. For the end of a capture and for an orderly stop: drain and repeat. */
POL_API size_t pol_worker_flush(pol_worker *worker, pol_mono now);

/** Moves up to @p capacity events out of the ring, oldest first; returns how many. When the ring
 *  was full, events were dropped and counted (policyd_events_dropped_total). */
POL_API size_t pol_worker_drain(pol_worker *worker, pol_event *ret_events, size_t capacity);

/**
 * Chooses which kinds of events the worker makes from now on: bit (1 << kind) of enum
 * pol_event_kind. All of them at first; FLOW_ACTIVE also needs options.report_interval. What nobody
 * reads costs nothing. Counters do not change.
 */
POL_API void pol_worker_report(pol_worker *worker, uint32_t kinds);

/** Flows in the table now, denied entries included. */
POL_API uint32_t pol_worker_flow_count(const pol_worker *worker);

/** Octets of memory the worker holds. */
POL_API size_t pol_worker_memory(const pol_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
