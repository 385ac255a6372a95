/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <string.h>

#include "net/addr.h"
#include "net/ipset.h"
#include "net/proto.h"

enum {
    DNS_PORT = 53,
    ICMP_REDIRECT = 5,
    ICMPV6_REDIRECT = 137,
    BATCH = 32 /* packets whose table lines are fetched ahead */
};

/* --- sides ---------------------------------------------------------------------------------- */

static bool is_inside(const pol_worker *worker, const pol_addr *addr)
{
    struct classify_path path;

    if (worker->inside)
        return ipset_has(worker->inside, addr);
    classify_source(worker->policy->by_packet, addr, &path);
    return classify_group(worker->policy->by_packet, &path, 0) != POL_NONE;
}

enum pol_side side_of_addresses(const pol_worker *worker, const pol_tuple *tuple)
{
    bool src = is_inside(worker, &tuple->src), dst = is_inside(worker, &tuple->dst);

    if (src == dst)
        return POL_SIDE_UNKNOWN;
    return src ? POL_SIDE_INSIDE : POL_SIDE_OUTSIDE;
}

/* One port only: the side follows from the addresses; where they do not tell, whoever opens the
 * flow stands inside. */
static void infer_side(const pol_worker *worker, struct passage *passage)
{
    const pol_packet *packet = passage->packet;
    bool answers = packet->tuple.proto == PROTO_TCP &&
                   (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) == (POL_TCP_SYN | POL_TCP_ACK);
    enum pol_side side = side_of_addresses(worker, &packet->tuple);

    if (side == POL_SIDE_UNKNOWN)
        side = answers ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
    passage->side = side;
    passage->inferred = true;
}

void passage_side(const pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    if (passage->packet->side != POL_SIDE_UNKNOWN)
        passage->side = passage->packet->side;
    else
        infer_side(worker, passage);
    verdict->side = passage->side;
    if (passage->inferred)
        verdict->flags |= POL_V_SIDE_INFERRED;
}

/* --- verdicts without a flow ---------------------------------------------------------------- */

static void deny(const pol_worker *worker, enum pol_reason reason, pol_verdict *verdict)
{
    verdict->action =
        worker->opts.reject_inside && verdict->side == POL_SIDE_INSIDE ? POL_REJECT : POL_DENY;
    verdict->raw_action = POL_DENY;
    verdict->reason = (uint16_t)reason;
}

static void deny_and_report(pol_worker *worker, struct passage *passage, enum pol_reason reason,
                            pol_verdict *verdict)
{
    deny(worker, reason, verdict);
    report_deny(worker, passage, POL_NONE, verdict);
}

/* --- known flows ---------------------------------------------------------------------------- */

static void refresh(pol_worker *worker, struct flow *flow, const pol_packet *packet, bool reply)
{
    bool from_inside = (flow->side == POL_SIDE_OUTSIDE) == reply;

    flow->last = worker->now;
    flow->packets[reply]++;
    flow->bytes[reply] += packet->ip_len;
    /* Only packets from inside keep connectionless flows open (RFC 4787 REQ-6). */
    if (from_inside || flow->key.proto == PROTO_TCP || flow->state == FLOW_DENIED)
        flow->alive = worker->now;
}

static void follow(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];
    bool moved = false;

    refresh(worker, flow, packet, reply);
    /* Midstream, a reply may have opened it: more replies are still one way. */
    if (!flow->both_ways && flow->packets[0] && flow->packets[1]) {
        flow->both_ways = 1;
        moved = true;
    }
    if (flow->key.proto == PROTO_TCP)
        moved |= tcp_follow(flow, packet, reply);
    if (moved) {
        flow_put_on(&worker->flows, index, list_of(flow));
        flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
    }
    if (flow->grant != POL_NONE && (moved || worker->now - flow->touched >= POL_SECONDS)) {
        grants_touch(worker->opts.grants, flow->grant, worker->now, flow->both_ways);
        flow->touched = worker->now;
    }
}

static void read_payload(pol_worker *worker, uint32_t index, const pol_packet *packet, bool reply)
{
    struct flow *flow = &worker->flows.flows[index];

    if (flow->key.proto != PROTO_TCP || flow->state == FLOW_DENIED)
        return;
    if (flow->is_dns)
        dns_tcp_segment(worker, index, packet, reply);
    else if (flow->watch | flow->guarded)
        tls_segment(worker, index, packet, reply);
}

static bool wrong_side(const struct flow *flow, const pol_packet *packet, bool reply)
{
    return packet->side != POL_SIDE_UNKNOWN && flow->side != POL_SIDE_UNKNOWN &&
           !(flow->verdict_flags & POL_V_SIDE_INFERRED) && (packet->side == flow->side) == reply;
}

/* RSTs are not checked, so the flow may be alive: it stays. */
static bool opens_from_outside(const pol_worker *worker, const struct flow *flow,
                               const pol_packet *packet, bool reply)
{
    return packet->side == POL_SIDE_OUTSIDE && !worker->opts.admit_outside &&
           packet->tuple.proto == PROTO_TCP && tcp_opens_backwards(flow, packet, reply);
}

static void known(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    uint32_t index = passage->flow;
    struct flow *flow = &worker->flows.flows[index];
    const pol_packet *packet = passage->packet;
    bool reply = passage->end != flow->opener;
    bool rejudged = flow->generation != worker->generation;
    bool told = flow->told;

    if (wrong_side(flow, packet, reply)) {
        deny_and_report(worker, passage, POL_WHY_WRONG_SIDE, verdict);
        return;
    }
    if (opens_from_outside(worker, flow, packet, reply)) {
        deny_and_report(worker, passage, POL_WHY_OUTSIDE, verdict);
        return;
    }
    follow(worker, index, packet, reply);
    if (rejudged)
        judge_again(worker, index);
    read_payload(worker, index, packet, reply);
    if (worker->now - flow->reported >= worker->report_interval)
        report_flow(worker, index, POL_EV_FLOW_ACTIVE, POL_END_NONE);
    flow_verdict(worker, flow, reply, verdict);
    verdict->flags |= POL_V_KNOWN | (rejudged ? POL_V_REJUDGED : 0);
    if (flow->state == FLOW_DENIED && !told)
        verdict->flags |= POL_V_CUT;
    if (told && !rejudged)
        verdict->reason = POL_WHY_DENIED_FLOW;
    flow->told = flow->state == FLOW_DENIED;
}

/* --- packets without a flow ----------------------------------------------------------------- */

static bool may_be_midstream_reply(const pol_worker *worker, const pol_packet *packet)
{
    if (worker->opts.midstream != POL_MIDSTREAM_JUDGE ||
        worker->now - worker->started > worker->opts.midstream_window ||
        addr_is_group(&packet->tuple.dst)) /* never asks, so nothing answers it */
        return false;
    if (packet->tuple.proto == PROTO_UDP)
        return true;
    if (packet->tuple.proto != PROTO_TCP)
        return false;
    /* Never a SYN. A port that cannot hold a denied SYN back sees its SYN+ACK too: the same
     * conversation. */
    return !(packet->tcp_flags & POL_TCP_SYN) ||
           (packet->side == POL_SIDE_UNKNOWN && packet->tcp_flags & POL_TCP_ACK);
}

static void from_outside(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    if (worker->opts.admit_outside)
        judge_fresh(worker, passage, verdict);
    else if ((passage->swapped = may_be_midstream_reply(worker, passage->packet)))
        judge_fresh(worker, passage, verdict);
    else
        deny_and_report(worker, passage, POL_WHY_OUTSIDE, verdict);
}

static void fresh(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    bool midstream = packet->tuple.proto == PROTO_TCP &&
                     (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) != POL_TCP_SYN;

    passage_side(worker, passage, verdict);
    /* What is over is in nobody's way, whether anybody ticks or not. */
    if (worker->flows.free == POL_NONE)
        flows_expire(worker, ROOM_LOOKS);
    if (passage->side == POL_SIDE_OUTSIDE)
        from_outside(worker, passage, verdict);
    else if (midstream && worker->opts.midstream == POL_MIDSTREAM_DENY)
        deny_and_report(worker, passage, POL_WHY_MIDSTREAM, verdict);
    else
        judge_fresh(worker, passage, verdict);
}

/* --- ICMP errors ---------------------------------------------------------------------------- */

static bool is_redirect(const pol_packet *packet)
{
    return packet->icmp_type ==
           (packet->tuple.proto == PROTO_ICMP ? ICMP_REDIRECT : ICMPV6_REDIRECT);
}

/* The flow with the key, unless its time is over. */
static uint32_t flow_alive(pol_worker *worker, const struct flow_key *key)
{
    uint32_t index = flow_find(&worker->flows, key, flow_hash(&worker->flows, key));

    return index == POL_NONE || flow_ran_out(worker, index) ? POL_NONE : index;
}

/* The quote of an ICMP message does not tell its type here: every kind with a reply is tried, asked
 * or answered by the sender. */
static uint32_t related_icmp(pol_worker *worker, struct flow_key key, uint8_t end)
{
    static const uint8_t types[] = {8, 0, 13, 14, 15, 16, 17, 18, 10, 9};
    static const uint8_t types6[] = {128, 129, 139, 140};
    const uint8_t *list = key.proto == PROTO_ICMP ? types : types6;
    size_t count = key.proto == PROTO_ICMP ? sizeof(types) : sizeof(types6);
    uint32_t index = POL_NONE;

    for (size_t i = 0; i < count && index == POL_NONE; i++) {
        flow_key_icmp(&key, end, list[i]);
        index = flow_alive(worker, &key);
    }
    return index;
}

/* An error goes to who sent what it quotes, or it is forged. */
static bool goes_to_sender(const pol_packet *error)
{
    return memcmp(&error->tuple.dst, &error->inner.src, sizeof(error->inner.src)) == 0;
}

static uint32_t related_flow(pol_worker *worker, const pol_packet *packet, uint8_t *ret_end)
{
    struct flow_key key;

    if (!goes_to_sender(packet))
        return POL_NONE;
    flow_key_of(&packet->inner, packet->vlan, packet->vlan_count, &key, ret_end);
    if (key.proto != PROTO_ICMP && key.proto != PROTO_ICMPV6)
        return flow_alive(worker, &key);
    return related_icmp(worker, key, *ret_end);
}

static void unrelated_error(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;

    passage_side(worker, passage, verdict);
    if (!is_redirect(packet) && goes_to_sender(packet) && dns_query_is_quoted(worker, packet)) {
        verdict->action = verdict->raw_action = POL_ALLOW;
        verdict->reason = POL_WHY_DNS_QUERY;
        verdict->flags |= POL_V_RELATED | POL_V_REPLY;
    } else if (passage->side == POL_SIDE_OUTSIDE || is_redirect(packet)) {
        deny_and_report(worker, passage, POL_WHY_UNRELATED, verdict);
    } else if (goes_to_sender(packet) && dns_is_quoted(worker, packet)) {
        verdict->action = verdict->raw_action = POL_ALLOW;
        verdict->reason = POL_WHY_DNS_QUERY;
        verdict->flags |= POL_V_RELATED;
    } else {
        judge_fresh(worker, passage, verdict);
    }
}

/* The error goes to who sent the datagram it quotes. */
static void error_of_flow(pol_worker *worker, const struct flow *flow, uint8_t sender,
                          pol_verdict *verdict)
{
    flow_verdict(worker, flow, sender == flow->opener, verdict);
    verdict->flags |= POL_V_KNOWN | POL_V_RELATED;
    if (flow->state == FLOW_DENIED) {
        verdict->reason = POL_WHY_DENIED_FLOW;
        return;
    }
    verdict->action = POL_ALLOW;
}

/* An error belongs to the flow of the datagram it quotes. One from inside that belongs to none is
 * judged by its own type, but opens nothing. */
static void icmp_error(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    uint8_t sender = 0;
    uint32_t index = is_redirect(packet) ? POL_NONE : related_flow(worker, packet, &sender);

    if (index == POL_NONE) {
        unrelated_error(worker, passage, verdict);
        return;
    }
    if (worker->flows.flows[index].generation != worker->generation)
        judge_again(worker, index);
    error_of_flow(worker, &worker->flows.flows[index], sender, verdict);
}

/* --- the way of a packet -------------------------------------------------------------------- */

static void locate(const pol_worker *worker, const pol_packet *packet, struct passage *passage)
{
    *passage = (struct passage){.packet = packet, .side = packet->side, .flow = POL_NONE};
    if (packet->kind != POL_PKT_IP)
        return;
    flow_key_of(&packet->tuple, packet->vlan, packet->vlan_count, &passage->key, &passage->end);
    flow_key_icmp(&passage->key, passage->end, packet->icmp_type);
    passage->hash = flow_hash(&worker->flows, &passage->key);
}

/* A flow ends when another connection takes its place. True: this is the answer to a SYN that was
 * taken for one of the old connection; the client will repeat it, and it will be judged. */
static bool give_way(pol_worker *worker, struct passage *passage)
{
    const struct flow *flow = &worker->flows.flows[passage->flow];
    bool reply = passage->end != flow->opener;
    bool answers = tcp_answers_another(flow, passage->packet, reply);

    if (wrong_side(flow, passage->packet, reply) ||
        (!answers && !tcp_begins_anew(flow, passage->packet, reply)))
        return false;
    end_flow(worker, passage->flow, POL_END_REUSED);
    passage->flow = POL_NONE;
    return answers;
}

static void judge_datagram(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;

    if (passage->multicast) {
        control_multicast(worker, passage, verdict);
        return;
    }
    if (packet->marks & POL_MARK_ICMP_ERROR) {
        icmp_error(worker, passage, verdict);
        return;
    }
    if (dns_udp(worker, passage, verdict))
        return;
    passage->flow = flow_find(&worker->flows, &passage->key, passage->hash);
    if (passage->flow != POL_NONE && flow_ran_out(worker, passage->flow))
        passage->flow = POL_NONE;
    if (passage->flow != POL_NONE && packet->tuple.proto == PROTO_TCP &&
        give_way(worker, passage)) {
        verdict->side = packet->side;
        deny_and_report(worker, passage, POL_WHY_MIDSTREAM, verdict);
        return;
    }
    memset(verdict, 0, sizeof(*verdict));
    verdict->group = verdict->rule = POL_NONE;
    verdict->generation = worker->generation;
    verdict->side = passage->side;
    if (passage->flow != POL_NONE)
        known(worker, passage, verdict);
    else
        fresh(worker, passage, verdict);
    if (packet->tuple.dst_port == DNS_PORT && packet->tuple.proto == PROTO_UDP)
        dns_record_query(worker, passage, verdict);
}

static void drop_fragment(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    passage_side(worker, passage, verdict);
    counter_add(&worker->counters, COUNT_FRAGMENTS_DROPPED, 1);
    deny_and_report(worker, passage, POL_WHY_FRAGMENT, verdict);
}

static struct flow *flow_of_first(pol_worker *worker, const struct fragment *first)
{
    struct flow *flow;

    if (first->flow == POL_NONE)
        return NULL;
    flow = &worker->flows.flows[first->flow];
    if (flow->id != first->verdict.flow || flow_ran_out(worker, first->flow))
        return NULL;
    return flow;
}

/* Octets of a stream that has to be read must not pass in pieces that cannot be. */
static bool must_be_read(const struct flow *flow)
{
    return flow->key.proto == PROTO_TCP &&
           (flow->state == FLOW_PENDING || flow->watch >= WATCH_CHECK || flow->guarded ||
            flow->is_dns);
}

/* The verdict of the first fragment covers its datagram. */
static void judge_fragment(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    struct fragment *first = fragments_find(&worker->fragments, packet, worker->now);
    struct flow *flow;

    if (packet->frag_offset == 0 && !first) {
        judge_datagram(worker, passage, verdict);
        /* Later pieces of what was denied find nothing, and are dropped for that. */
        if (verdict->action == POL_DENY || verdict->action == POL_REJECT ||
            verdict->action == POL_ANSWER)
            return;
        /* Its rest may be there already, let through as that of another datagram. */
        if (passage->flow != POL_NONE && must_be_read(&worker->flows.flows[passage->flow])) {
            drop_fragment(worker, passage, verdict);
            return;
        }
        first = fragments_begin(&worker->fragments, packet, worker->now);
        if (!first)
            return;
        first->verdict = *verdict;
        first->flow = passage->flow;
        fragment_note(first, packet);
        return;
    }
    if (first && first->side != packet->side) {
        deny_and_report(worker, passage, POL_WHY_WRONG_SIDE, verdict);
        return;
    }
    flow = first ? flow_of_first(worker, first) : NULL;
    if (!first || (flow && (must_be_read(flow) || flow->state == FLOW_DENIED)) ||
        !fragment_note(first, packet)) {
        drop_fragment(worker, passage, verdict);
        return;
    }
    *verdict = first->verdict;
    verdict->flags = (verdict->flags & ~(uint32_t)POL_V_OPENED) | POL_V_KNOWN;
    if (flow)
        refresh(worker, flow, packet, first->verdict.flags & POL_V_REPLY);
    if (fragment_is_whole(first))
        fragments_end(&worker->fragments, first);
}

static void judge_ip(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    if (!worker->policy)
        deny_and_report(worker, passage, POL_WHY_NO_POLICY, verdict);
    else if (passage->packet->marks & POL_MARK_FRAGMENT)
        judge_fragment(worker, passage, verdict);
    else
        judge_datagram(worker, passage, verdict);
}

static void judge(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;

    *verdict = (pol_verdict){
        .group = POL_NONE,
        .rule = POL_NONE,
        .side = packet->side,
        .generation = worker->generation,
    };
    /* A kind that nobody knows is as broken as what the parser calls so. */
    if (packet->kind > POL_PKT_NOT_IP || packet->marks & POL_MARK_MALFORMED) {
        counter_add(&worker->counters, COUNT_MALFORMED, 1);
        deny_and_report(worker, passage, POL_WHY_MALFORMED, verdict);
    } else if (packet->kind == POL_PKT_NOT_IP) {
        control_frame(worker, packet, verdict);
    } else if (!control_concerns(packet) || !control_datagram(worker, passage, verdict)) {
        judge_ip(worker, passage, verdict);
        if (passage->groups)
            control_judged(worker, passage, verdict);
    }
}

static void advance(pol_worker *worker, pol_mono now)
{
    if (now > worker->now)
        worker->now = now;
    if (worker->started == POL_NEVER)
        worker->started = worker->now;
    worker->walker.now = worker->now;
}

enum pol_action pol_worker_decide(pol_worker *worker, const pol_packet *packet, pol_mono now,
                                  pol_verdict *ret_verdict)
{
    WORKER_ENTER(worker);
    struct passage passage;

    advance(worker, now);
    locate(worker, packet, &passage);
    judge(worker, &passage, ret_verdict);
    count_packet(worker, &passage, ret_verdict);
    return (enum pol_action)ret_verdict->action;
}

void pol_worker_decide_batch(pol_worker *worker, const pol_packet *packets, size_t count,
                             pol_mono now, pol_verdict *ret_verdicts)
{
    WORKER_ENTER(worker);
    struct passage passages[BATCH];

    /* midstream_window begins with the first packet, and here is none yet. */
    if (count == 0)
        return;
    advance(worker, now);
    while (count) {
        size_t batch = count < BATCH ? count : BATCH;

        for (size_t i = 0; i < batch; i++) {
            locate(worker, &packets[i], &passages[i]);
            flow_prefetch_head(&worker->flows, passages[i].hash);
        }
        for (size_t i = 0; i < batch; i++)
            flow_prefetch_entry(&worker->flows, passages[i].hash);
        for (size_t i = 0; i < batch; i++) {
            judge(worker, &passages[i], &ret_verdicts[i]);
            count_packet(worker, &passages[i], &ret_verdicts[i]);
        }
        packets += batch;
        ret_verdicts += batch;
        count -= batch;
    }
}
