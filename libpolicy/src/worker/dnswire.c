/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS with trusted resolvers, on the wire. Over UDP a query and its answer need no flow: the query
 * stays open until the first answer that fits, or for query_timeout. Over TCP the messages are
 * taken from both directions' streams in order; the segment that completes a message is judged with
 * it, so what has not been judged is never whole at the receiver.
 */
#include "worker/worker.h"

#include <string.h>

#include "net/ipset.h"
#include "net/proto.h"

enum {
    DNS_PORT = 53,
    NO_RCODE = UINT8_MAX,
    QUOTE_SEARCH = 256 /* newest open queries looked at for the one an ICMP error quotes */
};

bool dns_trusts(const pol_worker *worker, const pol_addr *resolver)
{
    return worker->opts.trust_all_resolvers ||
           (worker->trusted && ipset_has(worker->trusted, resolver));
}

bool dns_is_quoted(const pol_worker *worker, const pol_packet *error)
{
    const pol_tuple *inner = &error->inner;

    return worker->opts.grants && inner->proto == PROTO_UDP && inner->src_port == DNS_PORT &&
           memcmp(&inner->dst, &error->tuple.src, sizeof(inner->dst)) == 0 &&
           dns_trusts(worker, &inner->src);
}

static void vlans_of(const pol_packet *packet, uint16_t vlan[2])
{
    vlan[0] = packet->vlan_count > 0 ? packet->vlan[0] : 0;
    vlan[1] = packet->vlan_count > 1 ? packet->vlan[1] : 0;
}

static void close_oldest(pol_worker *worker)
{
    uint32_t index = worker->queries.aged.oldest;
    const struct query *query = &worker->queries.entries[index];

    if (!query->refused)
        report_dns(worker, query, &query->verdict, NULL, NO_RCODE, 0);
    queries_close(&worker->queries, index);
}

static void open_query(pol_worker *worker, struct query *query, const pol_verdict *verdict)
{
    if (worker->queries.aged.capacity == 0)
        return;
    if (worker->queries.aged.free == POL_NONE)
        close_oldest(worker);
    query->verdict = *verdict;
    query->first = query->asked = worker->now;
    queries_open(&worker->queries, query);
}

static bool waits(const pol_worker *worker, uint32_t index)
{
    return index != POL_NONE &&
           worker->now - worker->queries.entries[index].asked <= worker->opts.query_timeout;
}

bool dns_query_is_quoted(const pol_worker *worker, const pol_packet *error)
{
    const pol_tuple *inner = &error->inner;
    uint32_t index = worker->queries.aged.newest;

    if (inner->dst_port != DNS_PORT)
        return false;
    for (int i = 0; i < QUOTE_SEARCH && waits(worker, index); i++) {
        if (tuple_equal(&worker->queries.entries[index].tuple, inner))
            return true;
        index = worker->queries.aged.links[index].older;
    }
    return false;
}

size_t dns_expire(pol_worker *worker, size_t budget, bool everything)
{
    const struct aged *aged = &worker->queries.aged;
    size_t count = 0;

    while (count < budget && aged->oldest != POL_NONE && !events_full(&worker->events) &&
           (everything || !waits(worker, aged->oldest))) {
        close_oldest(worker);
        count++;
    }
    return count;
}

static void refuse_query(pol_worker *worker, const struct query *query, const pol_verdict *verdict)
{
    struct query refused = *query;

    refused.first = worker->now;
    report_dns(worker, &refused, verdict, NULL, NO_RCODE, 0);
}

/* --- UDP ------------------------------------------------------------------------------------ */

/* A super-frame: each of its datagrams is a message of its own, and only one is judged. */
static bool is_several(const pol_packet *packet)
{
    return packet->segment_len > 0 && packet->payload.len > packet->segment_len;
}

static bool malformed_query(pol_worker *worker, const pol_packet *packet, struct passage *passage,
                            pol_verdict *verdict)
{
    bool header = packet->payload.len >= DNS_HEADER_LEN;
    bool response = header && worker->message.flags & DNS_QR;

    if (response && !is_several(packet))
        return false; /* a server asking from port 53 of its own: an ordinary packet */
    if (dns_judge_unreadable(worker, &packet->tuple.src, verdict) == DNS_NOT_JUDGED)
        return false;
    if (verdict->action == POL_ANSWER && (!header || response))
        verdict->action = POL_DENY;
    dns_count(worker, verdict);
    report_deny(worker, passage, POL_NONE, verdict);
    return true;
}

/* A query that is already open, repeated. False: it has to be judged (again). */
static bool repeated(pol_worker *worker, uint32_t index, pol_verdict *verdict)
{
    const struct query *open;

    if (index == POL_NONE)
        return false;
    open = &worker->queries.entries[index];
    if (!waits(worker, index) || open->verdict.generation != worker->generation) {
        queries_close(&worker->queries, index);
        return false;
    }
    queries_renew(&worker->queries, index, worker->now);
    *verdict = open->verdict;
    return true;
}

static bool udp_query(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    struct query query = {.tuple = packet->tuple};
    uint32_t index;

    vlans_of(packet, query.vlan);
    if (!dns_read_query(worker, &packet->tuple.src, packet->payload, &query.dns) ||
        is_several(packet) || packet->marks & POL_MARK_FRAGMENT) /* more follows, unread */
        return malformed_query(worker, packet, passage, verdict);
    index = queries_find(&worker->queries, &query.tuple, query.vlan, &query.dns);
    if (repeated(worker, index, verdict))
        return worker->queries.entries[index].refused ||
               worker->queries.entries[index].dns.kind != POL_GRANT_RECORDED;
    if (dns_judge(worker, &packet->tuple.src, &query.dns, verdict) == DNS_NOT_JUDGED)
        return false;
    dns_count(worker, verdict);
    dns_report_shadow(worker, &query, verdict);
    query.refused = verdict->action != POL_ALLOW;
    if (query.refused)
        refuse_query(worker, &query, verdict);
    if (!query.refused || packet->side == POL_SIDE_UNKNOWN)
        open_query(worker, &query, verdict);
    return true;
}

/* Finds the open query a response answers. The message has been read. */
static uint32_t question_of(pol_worker *worker, const pol_tuple *asked, const uint16_t vlan[2])
{
    struct dns_message *m = &worker->message;
    pol_dns_query dns = {
        .id = m->id,
        .qtype = m->qtype,
        .qclass = m->qclass,
        .name_len = m->name_len,
    };

    if (!(m->flags & DNS_QR) || m->opcode != DNS_OPCODE_QUERY)
        return POL_NONE;
    memcpy(dns.name, m->name, m->name_len);
    return queries_find(&worker->queries, asked, vlan, &dns);
}

/* Learns an answer and closes its query. False: no room, the answer must not pass. */
static bool take_answer(pol_worker *worker, uint32_t index, pol_verdict *verdict)
{
    const struct query *query = &worker->queries.entries[index];
    struct grants_learned learned;
    struct dns_answer answer;

    dns_teach(worker, &query->dns, &answer, &learned);
    report_dns(worker, query, &query->verdict, &answer, worker->message.rcode,
               learned.added + learned.refreshed);
    verdict->action = learned.full ? POL_DENY : POL_ALLOW;
    verdict->raw_action = verdict->action;
    verdict->reason = learned.full ? POL_WHY_DNS_NO_ROOM : POL_WHY_DNS_QUERY;
    verdict->group = query->verdict.group;
    verdict->rule = query->verdict.rule;
    verdict->group_key = query->verdict.group_key;
    verdict->generation = query->verdict.generation;
    queries_close(&worker->queries, index);
    return !learned.full;
}

/* The answer to a query that would never have been asked. */
static void refused_answer(pol_worker *worker, uint32_t index, pol_verdict *verdict)
{
    uint32_t flags = verdict->flags;
    uint8_t side = verdict->side;

    *verdict = worker->queries.entries[index].verdict;
    verdict->action = POL_DENY;
    verdict->flags = flags;
    verdict->side = side;
    queries_close(&worker->queries, index);
}

/* The first piece of an answer whose rest cannot be read. It must not pass where a client would
 * take addresses from the rest; it will ask again over TCP. */
static bool hides_addresses(const pol_worker *worker, const pol_packet *packet)
{
    switch (worker->message.qtype) {
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
    case DNS_TYPE_SVCB:
    case DNS_TYPE_HTTPS:
    case DNS_TYPE_ANY:
        return packet->marks & POL_MARK_FRAGMENT;
    default:
        return false;
    }
}

static bool udp_answer(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    pol_tuple asked = tuple_swapped(&packet->tuple);
    uint32_t index = POL_NONE;
    uint16_t vlan[2];
    bool recorded;

    verdict->flags |= POL_V_REPLY;
    vlans_of(packet, vlan);
    if (is_several(packet)) {
        verdict->reason = POL_WHY_MALFORMED;
        report_deny(worker, passage, POL_NONE, verdict);
        return true;
    }
    if (dns_message_read(packet->payload, &worker->message) == POL_OK)
        index = question_of(worker, &asked, vlan);
    if (!waits(worker, index)) {
        verdict->reason = POL_WHY_DNS_UNSOLICITED;
        counter_add(&worker->counters, COUNT_DNS_UNSOLICITED, 1);
        report_deny(worker, passage, POL_NONE, verdict);
        return true;
    }
    if (worker->queries.entries[index].refused) {
        refused_answer(worker, index, verdict);
        return true;
    }
    if (hides_addresses(worker, packet)) {
        verdict->reason = POL_WHY_FRAGMENT;
        counter_add(&worker->counters, COUNT_FRAGMENTS_DROPPED, 1);
        report_deny(worker, passage, POL_NONE, verdict);
        return true;
    }
    recorded = worker->queries.entries[index].dns.kind == POL_GRANT_RECORDED;
    if (take_answer(worker, index, verdict) && recorded)
        return false; /* its flow was opened by packet rules and carries the answer */
    return true;
}

/* Between two ports 53 only the message tells which way it goes, if the addresses do not. */
static bool answers_port_53(const pol_packet *packet, enum pol_side side)
{
    return packet->tuple.src_port == DNS_PORT && side == POL_SIDE_UNKNOWN &&
           packet->payload.len > 2 && packet->payload.ptr[2] & DNS_QR >> 8;
}

bool dns_udp(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    const pol_tuple *tuple = &packet->tuple;
    enum pol_side side = (enum pol_side)packet->side;

    if (tuple->proto != PROTO_UDP || !worker->opts.grants || packet->marks & POL_MARK_NO_L4 ||
        (tuple->dst_port != DNS_PORT && tuple->src_port != DNS_PORT))
        return false;
    if (side == POL_SIDE_UNKNOWN) {
        verdict->flags |= POL_V_SIDE_INFERRED;
        side = side_of_addresses(worker, tuple);
    }
    if (tuple->dst_port == DNS_PORT && side != POL_SIDE_OUTSIDE &&
        dns_trusts(worker, &tuple->dst) && !answers_port_53(packet, side)) {
        verdict->side = POL_SIDE_INSIDE;
        return udp_query(worker, passage, verdict);
    }
    if (tuple->src_port == DNS_PORT && side != POL_SIDE_INSIDE && dns_trusts(worker, &tuple->src)) {
        verdict->side = POL_SIDE_OUTSIDE;
        return udp_answer(worker, passage, verdict);
    }
    return false;
}

void dns_record_query(pol_worker *worker, const struct passage *passage, const pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    struct query query;

    if (!worker->opts.grants || verdict->action != POL_ALLOW || verdict->flags & POL_V_REPLY ||
        verdict->side == POL_SIDE_OUTSIDE || packet->marks & POL_MARK_FRAGMENT ||
        !dns_trusts(worker, &packet->tuple.dst) ||
        !dns_read_query(worker, &packet->tuple.src, packet->payload, &query.dns))
        return;
    query.tuple = packet->tuple;
    vlans_of(packet, query.vlan);
    query.dns.kind = POL_GRANT_RECORDED;
    query.refused = false;
    if (queries_find(&worker->queries, &query.tuple, query.vlan, &query.dns) == POL_NONE)
        open_query(worker, &query, verdict);
}

/* --- TCP ------------------------------------------------------------------------------------ */

bool dns_tcp_opens(pol_worker *worker, const struct passage *passage)
{
    const pol_packet *packet = passage->packet;
    const pol_policy *policy = worker->policy;
    uint32_t group;

    if (packet->tuple.proto != PROTO_TCP || packet->tuple.dst_port != DNS_PORT ||
        !worker->opts.grants || passage->side == POL_SIDE_OUTSIDE ||
        !dns_trusts(worker, &packet->tuple.dst))
        return false;
    if (worker->inside_resolvers && ipset_has(worker->inside_resolvers, &packet->tuple.src))
        return policy->needs & POL_NEEDS_DNS;
    classify_source(policy->by_packet, &packet->tuple.src, &worker->walker.path);
    group = classify_group(policy->by_packet, &worker->walker.path, 0);
    while (group != POL_NONE && !policy->groups[group].has_query_rules)
        group = classify_group(policy->by_packet, &worker->walker.path, group + 1);
    return group != POL_NONE;
}

void dns_tcp_forget(pol_worker *worker, struct flow *flow)
{
    if (!flow->is_dns)
        return;
    stream_drop(&worker->dns_streams, flow->stream);
    stream_drop(&worker->dns_streams, flow->reply_stream);
    flow->stream = flow->reply_stream = POL_NONE;
}

/* Findings name the group that denied. */
static void decided_by(struct flow *flow, const pol_verdict *verdict)
{
    flow->group = verdict->group;
    flow->rule = verdict->rule;
    flow->group_key = verdict->group_key;
}

/* Octets of a client that are no DNS, or that cannot be read. Ordinary packets if DNS policy has no
 * say; in audit mode they pass too. `message`: they are one, which is counted. */
static void tcp_unreadable(pol_worker *worker, uint32_t index, enum pol_reason reason, bool message)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_verdict verdict = {.group = POL_NONE, .rule = POL_NONE, .flow = flow->id};
    bool judged, pass;
    pol_tuple tuple;

    flow_tuple(flow, &tuple);
    verdict.side = flow->side;
    judged = dns_judge_unreadable(worker, &tuple.src, &verdict) == DNS_JUDGED;
    pass = judged ? verdict.action == POL_ALLOW : judge_plain(worker, index);
    if (judged && message)
        dns_count(worker, &verdict);
    if (!pass) {
        decided_by(flow, &verdict);
        deny_flow(worker, index, reason, false);
        return;
    }
    verdict.reason = (uint16_t)reason;
    if (verdict.flags & POL_V_AUDIT)
        report_deny(worker, NULL, index, &verdict);
    dns_tcp_forget(worker, flow);
    flow->is_dns = 0;
    flow->tls = TLS_NOT;
    flow->tls_deadline = POL_NEVER;
}

static void tcp_refused(pol_worker *worker, uint32_t index, const struct query *query,
                        const pol_verdict *verdict)
{
    refuse_query(worker, query, verdict);
    decided_by(&worker->flows.flows[index], verdict);
    close_flow(worker, index, (enum pol_reason)verdict->reason, false); /* the query was reported */
}

static void tcp_query(pol_worker *worker, uint32_t index, pol_bytes message)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_verdict verdict = {.group = POL_NONE, .rule = POL_NONE, .flow = flow->id};
    struct query query = {.vlan = {flow->key.vlan[0], flow->key.vlan[1]}};

    flow_tuple(flow, &query.tuple);
    verdict.side = flow->side;
    if (!dns_read_query(worker, &query.tuple.src, message, &query.dns)) {
        tcp_unreadable(worker, index, POL_WHY_MALFORMED, true);
        return;
    }
    if (dns_judge(worker, &query.tuple.src, &query.dns, &verdict) == DNS_NOT_JUDGED) {
        query.dns.kind = POL_GRANT_RECORDED;
        verdict.reason = POL_WHY_DNS_NO_RULE;
        if (judge_plain(worker, index))
            verdict.action = verdict.raw_action = POL_ALLOW;
    }
    if (verdict.action == POL_ANSWER) /* over TCP the connection is reset */
        verdict.action = denial(worker, flow->side);
    dns_count(worker, &verdict);
    dns_report_shadow(worker, &query, &verdict);
    if (verdict.action == POL_ALLOW)
        open_query(worker, &query, &verdict);
    else
        tcp_refused(worker, index, &query, &verdict);
}

/* What answers no query, DNS or not, is never sent on: as over UDP, in no mode. */
static void tcp_unsolicited(pol_worker *worker, uint32_t index)
{
    counter_add(&worker->counters, COUNT_DNS_UNSOLICITED, 1);
    deny_flow(worker, index, POL_WHY_DNS_UNSOLICITED, false);
}

static void tcp_answer(pol_worker *worker, uint32_t index, pol_bytes message)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_verdict verdict = {0};
    uint32_t query = POL_NONE;
    pol_tuple asked;

    flow_tuple(flow, &asked);
    if (dns_message_read(message, &worker->message) == POL_OK)
        query = question_of(worker, &asked, flow->key.vlan);
    if (!waits(worker, query))
        tcp_unsolicited(worker, index);
    else if (!take_answer(worker, query, &verdict))
        deny_flow(worker, index, POL_WHY_DNS_NO_ROOM, false);
}

/* Whether the beginning of a message that is not there yet can be one: as soon as its header is
 * there, what is no DNS is found out, before more of it is forwarded. */
static bool may_be_message(const struct stream *stream, bool reply)
{
    struct cursor in =
        cursor_of((pol_bytes){stream->data + stream->done, stream->have - stream->done});
    uint16_t flags;

    if (cursor_left(&in) < 2 + DNS_HEADER_LEN)
        return true;
    cursor_skip(&in, 4); /* length, id */
    flags = cursor_u16(&in);
    return (flags & DNS_QR) == (reply ? DNS_QR : 0) && cursor_u16(&in) == 1;
}

/* Handles every whole message that has not been; all of them stay until they are acknowledged. */
static void take_messages(pol_worker *worker, uint32_t index, uint32_t stream_index, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];
    struct stream *stream = &worker->dns_streams.streams[stream_index];

    while (flow->state == FLOW_ALLOWED && flow->is_dns) {
        pol_bytes left = {stream->data + stream->done, stream->have - stream->done};
        pol_bytes message;
        size_t used;
        int rc = dns_frame_read(left, &message, &used);

        if (rc == POL_E_TRUNCATED && may_be_message(stream, reply))
            return;
        if (rc < 0) {
            if (reply)
                tcp_unsolicited(worker, index);
            else
                tcp_unreadable(worker, index, POL_WHY_MALFORMED, true);
            return;
        }
        stream->done += (uint32_t)used; /* before the flow may be denied and the stream dropped */
        if (reply)
            tcp_answer(worker, index, message);
        else
            tcp_query(worker, index, message);
    }
}

static uint32_t *slot_of_end(struct flow *flow, bool reply)
{
    return reply ? &flow->reply_stream : &flow->stream;
}

/* Nothing of what this end has said waits any more. */
static void leave_if_empty(pol_worker *worker, struct flow *flow, bool reply)
{
    uint32_t *slot = slot_of_end(flow, reply);
    const struct stream *stream = &worker->dns_streams.streams[*slot];

    if (stream->have || stream->piece_count)
        return;
    flow->dns_next[reply] = stream->base;
    stream_drop(&worker->dns_streams, *slot);
    *slot = POL_NONE;
}

/* The other end has these octets now: no other copy can take their place. */
static void acknowledge(pol_worker *worker, struct flow *flow, const pol_packet *packet, bool reply)
{
    const uint32_t *slot = slot_of_end(flow, !reply);
    struct stream *stream;
    int32_t acked;

    if (*slot == POL_NONE || !(packet->tcp_flags & POL_TCP_ACK))
        return;
    stream = &worker->dns_streams.streams[*slot];
    acked = (int32_t)(packet->tcp_ack - stream->base);
    if (acked <= 0)
        return;
    if (stream->done)
        stream->since = worker->now;
    stream_consume(stream, (uint32_t)acked < stream->done ? (uint32_t)acked : stream->done);
    leave_if_empty(worker, flow, !reply);
}

/* A keep-alive repeats the octet before the stream. Anything else there belongs to a stream that
 * nobody reads; so does what the responder says before it has agreed to talk. */
static bool is_before_stream(const struct flow *flow, const pol_packet *packet, bool reply)
{
    uint32_t first = (reply ? flow->peer_isn : flow->isn) + 1;
    uint32_t seq = packet->tcp_seq + (packet->tcp_flags & POL_TCP_SYN ? 1 : 0);

    if (reply && !flow->syn_ack)
        return true;
    return (int32_t)(seq - first) < 0 && !(packet->payload.len == 1 && seq + 1 == first);
}

static struct stream *tcp_stream(pol_worker *worker, struct flow *flow, bool reply)
{
    uint32_t *slot = slot_of_end(flow, reply);
    struct stream *stream;

    if (reply && !flow->dns_replied)
        flow->dns_next[1] = flow->peer_isn + 1;
    flow->dns_replied |= reply;
    if (*slot != POL_NONE)
        return &worker->dns_streams.streams[*slot];
    *slot = take_stream(worker, &worker->dns_streams, flow->dns_next[reply]);
    if (*slot == POL_NONE)
        return NULL;
    stream = &worker->dns_streams.streams[*slot];
    stream->since = worker->now;
    return stream;
}

static pol_mono due(const pol_worker *worker, uint32_t slot)
{
    if (slot == POL_NONE)
        return POL_NEVER;
    return mono_after(worker->dns_streams.streams[slot].since, worker->opts.tls_timeout);
}

/* A message under way, or one that is not acknowledged, has only so much time; each direction its
 * own, and anew with what is acknowledged: a busy connection never rests. */
static void set_deadline(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_mono asked = due(worker, flow->stream), answered = due(worker, flow->reply_stream);
    pol_mono deadline = asked < answered ? asked : answered;

    if (deadline == flow->tls_deadline)
        return;
    flow->tls_deadline = deadline;
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

void dns_tcp_late(pol_worker *worker, uint32_t index)
{
    deny_flow(worker, index, POL_WHY_MALFORMED, false);
}

/* Octets that nobody can follow. A resolver's pass unread in no mode. */
static void tcp_unread(pol_worker *worker, uint32_t index, enum pol_reason reason, bool reply)
{
    if (reply)
        deny_flow(worker, index, reason, false);
    else
        tcp_unreadable(worker, index, reason, false);
}

static void tcp_octets(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];
    uint32_t seq = packet->tcp_seq + (packet->tcp_flags & POL_TCP_SYN ? 1 : 0);
    struct stream *stream;

    if (packet->tcp_flags & POL_TCP_URG || is_before_stream(flow, packet, reply)) {
        tcp_unread(worker, index, POL_WHY_MALFORMED, reply);
        return;
    }
    stream = tcp_stream(worker, flow, reply);
    if (!stream) {
        tcp_unread(worker, index, POL_WHY_PENDING_FULL, reply);
        return;
    }
    if (stream_add(stream, seq, packet->payload) != STREAM_OK) {
        tcp_unread(worker, index, POL_WHY_MALFORMED, reply);
        return;
    }
    take_messages(worker, index, (uint32_t)(stream - worker->dns_streams.streams), reply);
    if (*slot_of_end(flow, reply) != POL_NONE)
        leave_if_empty(worker, flow, reply); /* it brought only what was there before */
}

void dns_tcp_segment(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];

    acknowledge(worker, flow, packet, reply);
    if (packet->payload.len || packet->tcp_flags & POL_TCP_URG)
        tcp_octets(worker, index, packet, reply);
    if (flow->state == FLOW_ALLOWED && flow->is_dns)
        set_deadline(worker, index);
}
