/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

/*
 * The inside of pol_worker, shared by the files of this room:
 *
 *   worker.c    making, using a policy, time, draining
 *   decide.c    packet -> verdict, from the top
 *   control.c   what is no IP flow: link control, multicast from outside
 *   walk.c      facts -> the first step of the policy that matches and holds
 *   judge.c     facts of a flow -> verdict and state of the flow; re-judgement
 *   entry.c     the entry of a flow: made, accounted for, denied, ended
 *   tlsjudge.c  TLS facts that arrive late or never -> what waits for them
 *   tlswatch.c  the client's first octets of a TCP flow -> TLS facts
 *   tlscert.c   the server's, where a rule asks for its certificate
 *   chains.c    certificates seen, and whether they verify
 *   dnsjudge.c  a name asked for -> verdict and grantees (wire and proxy)
 *   dnswire.c   DNS over UDP and TCP on the wire -> queries, lessons
 *   report.c    what happened -> event ring and counters
 */

#include <libpolicy/dns.h>
#include <libpolicy/worker.h>

#include <assert.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/mono.h"
#include "flow/stream.h"
#include "flow/table.h"
#include "flow/tcp.h"
#include "net/proto.h"
#include "observe/counters.h"
#include "program/program.h"
#include "wire/dns.h"
#include "wire/tls_hello.h"
#include "wire/tls_server.h"
#include "worker/events.h"
#include "worker/fragments.h"
#include "worker/members.h"
#include "worker/queries.h"
#include "worker/walk.h"

enum {
    ANSWER_ADDRESSES = 512, /* learned from one answer at most */
    HELLO_BYTES = 16384,    /* collected of a ClientHello */
    DNS_STREAM_BYTES = 2 + 65535,
    SIGNATURES_PER_SECOND = 128, /* verified of chains not seen before: each takes milliseconds */
    SIGNATURES_AT_ONCE = 256
};

struct ipset;

struct pol_worker {
    pol_ctx *ctx;
    pol_worker_options opts;
    struct arena arena;                                /* of the sets below */
    struct ipset *inside, *trusted, *inside_resolvers; /* NULL: empty */
    struct ipset *own;                                 /* NULL: empty */

    pol_policy *policy; /* may be NULL */
    uint64_t generation;
    pol_mono now;     /* the latest moment seen */
    pol_mono started; /* first packet; POL_NEVER before */

    struct walker walker;
    struct flow_table flows;
    struct stream_pool hellos, flights, dns_streams;
    struct queries queries;
    struct fragments fragments;
    struct members members;                     /* of multicast groups */
    struct members dhcp_requests, dhcp_servers; /* under way; that have answered one */
    struct events events;
    pol_mono report_interval; /* of FLOW_ACTIVE; POL_NEVER when nobody reads it */
    struct counters counters;
    struct group_slots slots;

    pol_wall wall; /* the time of day at `wall_at`; 0: unknown */
    pol_mono wall_at;

    struct tls_hello hello;        /* scratch of one ClientHello */
    int32_t signatures;            /* that may be verified without waiting; below 0: owed, */
    pol_mono signatures_at;        /* at this moment */
    uint8_t chain[TLS_FLIGHT_MAX]; /* scratch of one server's certificates */
    struct dns_message message;    /* scratch of one DNS message */
    struct dns_address addresses[ANSWER_ADDRESSES];
    pol_addr lesson_addrs[ANSWER_ADDRESSES];
    uint32_t lesson_ttls[ANSWER_ADDRESSES];
#ifndef NDEBUG
    atomic_bool busy; /* a thread is inside */
#endif
};

/*
 * Stands at the top of the public functions that change a worker: where assertions are on, two
 * threads that meet inside one worker end the program there, and not with a puzzle later. Relaxed,
 * so that the mark orders nothing that ThreadSanitizer should see unordered.
 */
#ifdef NDEBUG
#define WORKER_ENTER(worker)
#else
#define WORKER_ENTER(worker)                                                                       \
    pol_worker *inside __attribute__((cleanup(worker_leave), unused)) = worker_enter(worker)

static inline pol_worker *worker_enter(pol_worker *worker)
{
    bool busy = atomic_exchange_explicit(&worker->busy, true, memory_order_relaxed);

    assert(!busy && "two threads use one worker at the same time");
    (void)busy;
    return worker;
}

static inline void worker_leave(pol_worker **worker)
{
    atomic_store_explicit(&(*worker)->busy, false, memory_order_relaxed);
}
#endif

/* A packet on its way, with what has been worked out about it. */
struct passage {
    const pol_packet *packet;
    struct flow_key key;
    uint64_t hash;
    uint8_t end;  /* which end of the key sent it */
    uint8_t side; /* enum pol_side, after inference */
    bool inferred;
    bool depends;   /* opening a flow: the verdict was based on the packet's own data */
    bool swapped;   /* judged as the reply of the flow it would belong to */
    bool multicast; /* from outside to a group, and may pass or be judged as control.c knows */
    bool groups;    /* a multicast report that is left to the list */
    uint32_t flow;  /* its entry, or POL_NONE */
    pol_str sni;    /* of a ClientHello in an opening packet */
};

/* --- report.c --- */

void report_flow(pol_worker *worker, uint32_t flow, enum pol_event_kind kind, enum pol_end end);
/* A denial, real or softened, of a packet that has no flow; or of a flow (flow != POL_NONE). */
void report_deny(pol_worker *worker, const struct passage *passage, uint32_t flow,
                 const pol_verdict *verdict);
void report_dns(pol_worker *worker, const struct query *query, const pol_verdict *verdict,
                const struct dns_answer *answer, uint8_t rcode, unsigned learned);
/* A denial of a query by an audit-mode rule that did not decide. */
void report_query_deny(pol_worker *worker, const struct query *query, const pol_verdict *verdict);
/* Adds the packet and its verdict to the counters. */
void count_packet(pol_worker *worker, const struct passage *passage, const pol_verdict *verdict);

/* --- decide.c --- */

/* Which side the packet came from, given or inferred; needs a policy if it has to be inferred. */
void passage_side(const pol_worker *worker, struct passage *passage, pol_verdict *verdict);
/* As the two addresses tell, without a port; POL_SIDE_UNKNOWN: they do not. Needs a policy. */
enum pol_side side_of_addresses(const pol_worker *worker, const pol_tuple *tuple);

/* --- control.c --- */

/* Whether the options of pol_worker_new() treat every kind in a way that it can be treated. */
bool control_fits(const pol_worker_options *opts);
/* A frame without IP. */
void control_frame(pol_worker *worker, const pol_packet *packet, pol_verdict *verdict);
/* A datagram that control_concerns(). True: the verdict is there. False: it is judged like others,
 * and with passage->groups, control_judged() is told what came of it. */
bool control_datagram(pol_worker *worker, struct passage *passage, pol_verdict *verdict);
void control_judged(pol_worker *worker, const struct passage *passage, const pol_verdict *verdict);
/* The verdict on a datagram with passage->multicast. */
void control_multicast(pol_worker *worker, const struct passage *passage, pol_verdict *verdict);

/* Whether a datagram may be of a kind of enum pol_control: most of what an ordinary packet pays for
 * them. */
static inline bool control_concerns(const pol_packet *packet)
{
    uint8_t proto = packet->tuple.proto;
    unsigned port = packet->tuple.dst_port;
    bool group = packet->tuple.dst.bytes[0] >= (packet->tuple.dst.family == 4 ? 0xe0 : 0xff);

    if (proto == PROTO_TCP)
        return group;
    if (proto == PROTO_UDP)
        return group | (port - 67 <= 1) | (port - 546 <= 1);
    return group | (proto == PROTO_ICMPV6) | (proto == PROTO_IGMP);
}

/* --- entry.c --- */

enum { ROOM_LOOKS = 8 }; /* flows looked at, when something is full, for one whose time is over */

/* An entry for the key; evicts half-open flows when the table is full. POL_NONE: no room. */
uint32_t make_flow(pol_worker *worker, const struct passage *passage);
/* Ends what has run out, looking at no more than `budget` flows. Returns at how many. */
size_t flows_expire(pol_worker *worker, size_t budget);
/* A stream of the pool for octets at `base`. What is over is in nobody's way, whether anybody ticks
 * or not. POL_NONE: no room. */
uint32_t take_stream(pol_worker *worker, struct stream_pool *pool, uint32_t base);
/* Ends a flow and removes its entry. */
void end_flow(pol_worker *worker, uint32_t flow, enum pol_end end);
/* Why the flow would end if it did now. */
enum pol_end flow_end(const struct flow *flow);
/* Its state and group are newly written: counters, list and deadline follow. `grant` carries it,
 * has been pinned for it, and takes the place of the one that did; or POL_NONE. */
void flow_judged(pol_worker *worker, uint32_t flow, uint32_t grant);
/* Its state has become FLOW_DENIED: what it held is given back. `cause` is told when it ends;
 * POL_END_NONE: what its TLS has shown. */
void to_denied(pol_worker *worker, uint32_t flow, enum pol_end cause);
/* Turns the entry into a denied one; in audit mode it goes on. deny_flow() also makes a finding. */
void close_flow(pol_worker *worker, uint32_t flow, enum pol_reason reason, bool audit);
void deny_flow(pol_worker *worker, uint32_t flow, enum pol_reason reason, bool audit);
enum flow_list list_of(const struct flow *flow); /* where it waits to make room */
/* When the flow will have been idle for too long; that, or its TLS deadline, whichever is first. */
pol_mono silent_until(const pol_worker *worker, const struct flow *flow);
pol_mono flow_deadline(const pol_worker *worker, const struct flow *flow);

/* --- judge.c --- */

/* Judges a packet to a multicast group as if a member of it had sent it. False: no rule allows that
 * member the group, and the verdict says why. */
bool judge_member(pol_worker *worker, const struct passage *passage, const pol_addr *member,
                  pol_verdict *verdict);
/* Judges a packet without a flow as opening one; if swapped, as the reply of the flow it would
 * belong to. Opens the flow when it may pass. */
void judge_fresh(pol_worker *worker, struct passage *passage, pol_verdict *verdict);
/* Whether packet rules let a flow pass as it stands, which speaks DNS and so no TLS. */
bool judge_plain(pol_worker *worker, uint32_t flow);
/* Judges a flow on the facts kept with it, from `step`. `cause`: see to_denied(). `no_room`: what
 * is missing is so because nothing was left to collect it. */
void judge_flow(pol_worker *worker, uint32_t flow, uint32_t step, enum pol_end cause, bool no_room);
/* Judges a flow again, from step 0. */
void judge_again(pol_worker *worker, uint32_t flow);
/* sni_check on a flow that a rule with a hostname has allowed. */
void check_sni(pol_worker *worker, uint32_t flow);
/* How a denial looks towards a side: enum pol_action. */
uint8_t denial(const pol_worker *worker, uint8_t side);
/* The verdict on one more packet of a flow. */
void flow_verdict(const pol_worker *worker, const struct flow *flow, bool reply,
                  pol_verdict *verdict);
/* The same ends the other way round. */
pol_tuple tuple_swapped(const pol_tuple *tuple);

/* --- tlsjudge.c --- */

/* TLS facts have arrived: decides what waits for them. */
void judge_facts(pol_worker *worker, uint32_t flow);
/* No usable ClientHello: too long, too late, malformed, or no room to collect it. */
void judge_incomplete(pol_worker *worker, uint32_t flow, enum pol_reason reason);
/* The server has shown its certificate, or that it will show none: decides what waits for it. */
void judge_certificate(pol_worker *worker, uint32_t flow);
/* No usable certificate: refused, malformed, too long, too late, replaced, or no room to collect
 * it. */
void judge_no_certificate(pol_worker *worker, uint32_t flow, enum pol_reason reason);
/* Looks whether the flow's time is over, idle or waiting for TLS, and does what follows. True: it
 * has ended and its entry is gone. */
bool flow_ran_out(pol_worker *worker, uint32_t flow);

/* --- tlswatch.c --- */

/* One segment of a flow that is watched, or whose judged octets are not acknowledged yet. */
void tls_segment(pol_worker *worker, uint32_t flow, const pol_packet *packet, bool reply);
/* Keeps what the verdict was based on until the responder has acknowledged it. */
void tls_guard(pol_worker *worker, uint32_t flow);
/* Gives the collectors back: that of the client's octets; both. */
void hello_forget(pol_worker *worker, struct flow *flow);
void tls_forget(pol_worker *worker, struct flow *flow);

/* --- tlscert.c --- */

/* Whether the flow has shown its ClientHello, and waits for its server's certificate. */
static inline bool certificate_awaited(const struct flow *flow)
{
    return flow->watch != WATCH_NONE && flow->tls == TLS_HELLO;
}

/* A ClientHello has been read: the wait begins, if there is one. */
void certificate_await(pol_worker *worker, uint32_t flow);
/* The payload of one segment of a flow that waits. */
void certificate_segment(pol_worker *worker, uint32_t flow, const pol_packet *packet, bool reply);
/* The flow waits no more, if it did: what its server has said is not kept. Not for DNS over TCP,
 * whose streams are of another pool. */
void certificate_forget(pol_worker *worker, struct flow *flow);

/* --- dnsjudge.c --- */

enum dns_judgement {
    DNS_NOT_JUDGED, /* no group asked has hostname rules: the packet rules decide */
    DNS_JUDGED
};

/* Judges a name for a client. Fills in the verdict, and kind and grantees of `query`. */
enum dns_judgement dns_judge(pol_worker *worker, const pol_addr *client, pol_dns_query *query,
                             pol_verdict *verdict);
/* Judges a message that cannot be read as a query: an ordinary packet unless a group asked has
 * hostname rules; in audit mode it passes with a finding. */
enum dns_judgement dns_judge_unreadable(pol_worker *worker, const pol_addr *client,
                                        pol_verdict *verdict);
/* Reads a query message; false when it is none that can be judged. */
bool dns_read_query(pol_worker *worker, const pol_addr *client, pol_bytes message,
                    pol_dns_query *ret_query);
/* Learns an answer that has been read into worker->message. */
void dns_teach(pol_worker *worker, const pol_dns_query *query, struct dns_answer *ret_answer,
               struct grants_learned *ret_learned);
void dns_count(pol_worker *worker, const pol_verdict *verdict);
/* Reports an audit-mode rule that would have denied a query that was allowed. */
void dns_report_shadow(pol_worker *worker, const struct query *query, const pol_verdict *decided);

/* --- dnswire.c --- */

/* DNS over UDP with a trusted resolver. True: the verdict is there. False: an ordinary packet. */
bool dns_udp(pol_worker *worker, struct passage *passage, pol_verdict *verdict);
/* A UDP query of a trusted resolver that packet rules let through: its names are recorded. */
void dns_record_query(pol_worker *worker, const struct passage *passage,
                      const pol_verdict *verdict);
/* May a TCP flow to port 53 open because DNS policy will judge its messages? */
bool dns_tcp_opens(pol_worker *worker, const struct passage *passage);
void dns_tcp_segment(pol_worker *worker, uint32_t flow, const pol_packet *packet, bool reply);
void dns_tcp_forget(pol_worker *worker, struct flow *flow);
/* A message has been under way for too long. */
void dns_tcp_late(pol_worker *worker, uint32_t flow);
bool dns_trusts(const pol_worker *worker, const pol_addr *resolver);
/* An ICMP error from inside about an answer of a trusted resolver. */
bool dns_is_quoted(const pol_worker *worker, const pol_packet *error);
/* An ICMP error about a query that waits for its answer. */
bool dns_query_is_quoted(const pol_worker *worker, const pol_packet *error);
/* Closes queries that have waited too long; with `everything`, all of them. */
size_t dns_expire(pol_worker *worker, size_t budget, bool everything);

#endif
