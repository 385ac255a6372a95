/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entry of a flow in the table, and what depends on it: its times, its place in the lists, the
 * counters of what is open, and the grant that carries it.
 */
#include "worker/worker.h"

static pol_mono idle_time(const pol_worker *worker, const struct flow *flow)
{
    const pol_idle *idle = &worker->opts.idle;

    if (flow->state == FLOW_DENIED)
        return idle->denied;
    switch (flow->key.proto) {
    case PROTO_TCP:
        if (flow->phase == TCP_OPENING)
            return idle->tcp_opening;
        return flow->phase == TCP_CLOSING ? idle->tcp_closing : idle->tcp_established;
    case PROTO_UDP:
    case PROTO_UDPLITE:
        return flow->both_ways ? idle->udp_two_way : idle->udp_one_way;
    case PROTO_ICMP:
    case PROTO_ICMPV6:
        return idle->icmp;
    default:
        return idle->other;
    }
}

pol_mono silent_until(const pol_worker *worker, const struct flow *flow)
{
    return mono_after(flow->alive, idle_time(worker, flow));
}

pol_mono flow_deadline(const pol_worker *worker, const struct flow *flow)
{
    pol_mono idle = silent_until(worker, flow);

    return flow->tls_deadline < idle ? flow->tls_deadline : idle;
}

static void count_pending(pol_worker *worker, struct flow *flow)
{
    bool pending = flow->state == FLOW_PENDING;

    if (pending == flow->counted_pending)
        return;
    flow->counted_pending = pending;
    if (pending) {
        counter_add(&worker->counters, COUNT_PENDING_TLS_FLOWS, 1);
        counter_add(&worker->counters, COUNT_TLS_PENDING, 1);
    } else {
        counter_sub(&worker->counters, COUNT_PENDING_TLS_FLOWS, 1);
    }
}

static void set_slot(pol_worker *worker, struct flow *flow, uint8_t slot)
{
    counter_sub(&worker->counters, COUNT_ACTIVE_FLOWS_BY_GROUP + flow->slot, 1);
    flow->slot = slot;
    counter_add(&worker->counters, COUNT_ACTIVE_FLOWS_BY_GROUP + flow->slot, 1);
}

static void release_grant(pol_worker *worker, struct flow *flow)
{
    if (flow->grant != POL_NONE)
        grants_unpin(worker->opts.grants, flow->grant);
    flow->grant = POL_NONE;
}

/* `grant` has been pinned for the flow; the one it held before stays pinned until now, so that a
 * held one stays held. Its newest use is the flow's newest packet: to judge is none. */
static void take_grant(pol_worker *worker, struct flow *flow, uint32_t grant)
{
    if (grant != flow->grant)
        release_grant(worker, flow);
    flow->grant = grant;
    if (grant != POL_NONE) {
        grants_touch(worker->opts.grants, grant, flow->last, flow->both_ways);
        flow->touched = flow->last;
    }
}

static bool is_half_open(const struct flow *flow)
{
    return flow->key.proto == PROTO_TCP ? !flow->established : !flow->both_ways;
}

enum flow_list list_of(const struct flow *flow)
{
    if (flow->state == FLOW_DENIED)
        return LIST_DENIED;
    if (flow->key.proto == PROTO_TCP && flow->phase == TCP_CLOSING)
        return LIST_CLOSING;
    return is_half_open(flow) ? LIST_HALF_OPEN : LIST_NONE;
}

uint32_t make_flow(pol_worker *worker, const struct passage *passage)
{
    struct flow *flow;
    uint32_t index;

    if (worker->flows.capacity == 0)
        return POL_NONE;
    flow_clock(&worker->flows, worker->now);
    if (worker->flows.free == POL_NONE && flow_victim(&worker->flows) != POL_NONE) {
        counter_add(&worker->counters, COUNT_FLOW_EVICTIONS, 1);
        end_flow(worker, flow_victim(&worker->flows), POL_END_EVICTED);
    }
    index = flow_insert(&worker->flows, &passage->key, passage->hash);
    if (index == POL_NONE)
        return POL_NONE;
    flow = &worker->flows.flows[index];
    flow->opener = passage->swapped ? !passage->end : passage->end;
    flow->side = passage->side;
    if (passage->swapped && passage->side != POL_SIDE_UNKNOWN)
        flow->side = passage->side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
    flow->verdict_flags = passage->inferred ? POL_V_SIDE_INFERRED : 0;
    flow->first = flow->last = flow->alive = worker->now;
    flow->icmp_type = passage->packet->icmp_type;
    flow->icmp_code = passage->packet->icmp_code;
    flow->slot = GROUP_SLOT_DEFAULT;
    counter_set(&worker->counters, COUNT_ACTIVE_FLOWS, worker->flows.count);
    counter_add(&worker->counters, COUNT_ACTIVE_FLOWS_BY_GROUP + flow->slot, 1);
    return index;
}

void end_flow(pol_worker *worker, uint32_t index, enum pol_end end)
{
    struct flow *flow = &worker->flows.flows[index];
    bool tls = end == POL_END_POLICY && flow->end_cause == POL_END_NONE;

    report_flow(worker, index, POL_EV_FLOW_END, end);
    counter_add(&worker->counters, tls ? (size_t)COUNT_FLOW_CLOSES_TLS : counter_flow_closes(end),
                1);
    counter_sub(&worker->counters, COUNT_ACTIVE_FLOWS_BY_GROUP + flow->slot, 1);
    if (flow->counted_pending)
        counter_sub(&worker->counters, COUNT_PENDING_TLS_FLOWS, 1);
    release_grant(worker, flow);
    tls_forget(worker, flow);
    dns_tcp_forget(worker, flow);
    flow_remove(&worker->flows, index);
    counter_set(&worker->counters, COUNT_ACTIVE_FLOWS, worker->flows.count);
}

size_t flows_expire(pol_worker *worker, size_t budget)
{
    for (size_t done = 0; done < budget; done++) {
        uint32_t index = flow_due(&worker->flows, worker->now);

        if (index == POL_NONE)
            return done;
        if (!flow_ran_out(worker, index))
            flow_schedule(&worker->flows, index,
                          flow_deadline(worker, &worker->flows.flows[index]));
    }
    return budget;
}

uint32_t take_stream(pol_worker *worker, struct stream_pool *pool, uint32_t base)
{
    if (pool->free == POL_NONE)
        flows_expire(worker, ROOM_LOOKS);
    return stream_take(pool, base);
}

enum pol_end flow_end(const struct flow *flow)
{
    if (flow->state == FLOW_DENIED)
        return POL_END_POLICY;
    if (flow->phase == TCP_CLOSING)
        return flow->fins == 3 ? POL_END_FIN : POL_END_RST;
    return POL_END_IDLE;
}

void flow_judged(pol_worker *worker, uint32_t index, uint32_t grant)
{
    struct flow *flow = &worker->flows.flows[index];

    if (flow->list == LIST_DENIED)
        flow_put_on(&worker->flows, index, list_of(flow));
    take_grant(worker, flow, grant);
    set_slot(worker, flow, (uint8_t)slot_of(&worker->slots, flow->group_key));
    count_pending(worker, flow);
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

void to_denied(pol_worker *worker, uint32_t index, enum pol_end cause)
{
    struct flow *flow = &worker->flows.flows[index];

    flow->end_cause = (uint8_t)cause;
    flow->tls_deadline = POL_NEVER;
    flow->alive = worker->now;
    flow_put_on(&worker->flows, index, list_of(flow));
    release_grant(worker, flow); /* a denied entry is no flow that a name could carry */
    tls_forget(worker, flow);
    dns_tcp_forget(worker, flow);
    flow->watch = WATCH_NONE;
    flow_schedule(&worker->flows, index, flow_deadline(worker, flow));
}

void close_flow(pol_worker *worker, uint32_t index, enum pol_reason reason, bool audit)
{
    struct flow *flow = &worker->flows.flows[index];

    flow->reason = (uint16_t)reason;
    flow->raw_action = POL_DENY;
    flow->tls_deadline = POL_NEVER;
    flow->resume = POL_NONE;
    if (audit) {
        /* Audit never drops: what would have ended the flow is reported, and the flow goes on. */
        flow->state = FLOW_ALLOWED;
        flow->verdict_flags |= POL_V_AUDIT;
        flow->watch = WATCH_NONE;
        tls_forget(worker, flow);
    } else {
        flow->state = FLOW_DENIED;
        flow->verdict_flags &= ~(uint32_t)POL_V_AUDIT;
        to_denied(worker, index, POL_END_NONE);
    }
    count_pending(worker, flow);
    report_flow(worker, index, POL_EV_FLOW_UPDATE, POL_END_NONE);
}

void deny_flow(pol_worker *worker, uint32_t index, enum pol_reason reason, bool audit)
{
    pol_verdict verdict;

    close_flow(worker, index, reason, audit);
    flow_verdict(worker, &worker->flows.flows[index], false, &verdict);
    report_deny(worker, NULL, index, &verdict);
}
