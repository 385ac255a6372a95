/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <string.h>

#include "net/proto.h"

enum {
    OTHER_GROUPS = 8 /* groups of the opener that are asked for a name */
};

/* NULL: nobody reads this kind, or there is no room. */
static pol_event *place(pol_worker *worker, enum pol_event_kind kind)
{
    pol_event *event;

    if (!events_wanted(&worker->events, kind))
        return NULL;
    event = events_place(&worker->events);
    if (event)
        event->kind = (uint8_t)kind;
    else
        counter_add(&worker->counters, COUNT_EVENTS_DROPPED, 1);
    return event;
}

static const struct grants_hit *newest_name(pol_worker *worker, uint64_t key, const pol_addr *addr)
{
    const struct grants_hit *best = NULL;
    size_t count = grants_lookup(worker->opts.grants, key, addr, worker->now, worker->walker.hits);

    for (size_t i = 0; i < count; i++) {
        const struct grants_hit *hit = &worker->walker.hits[i];

        if (hit->state != POL_GRANT_GONE && (!best || hit->used > best->used))
            best = hit;
    }
    worker->walker.hits_group = POL_NONE; /* the scratch now holds something else */
    return best;
}

/* A name that one of the opener's other groups has resolved: a default that denied has no names of
 * its own, but the finding should say what the client was after. */
static const struct grants_hit *name_of_others(pol_worker *worker, pol_event *event)
{
    const pol_policy *policy = worker->policy;
    const struct grants_hit *best = NULL;
    struct classify_path path;
    uint32_t group;

    if (!policy)
        return NULL;
    classify_source(policy->by_packet, &event->tuple.src, &path);
    group = classify_group(policy->by_packet, &path, 0);
    for (int i = 0; i < OTHER_GROUPS && group != POL_NONE && !best; i++) {
        event->names_key = policy->groups[group].key;
        if (policy->groups[group].has_query_rules)
            best = newest_name(worker, event->names_key, &event->tuple.dst);
        group = classify_group(policy->by_packet, &path, group + 1);
    }
    return best;
}

/* The newest name known for the destination: in the deciding group, in another group of the opener,
 * or recorded without a group. */
static void put_fqdn(pol_worker *worker, uint64_t group_key, pol_event *event)
{
    const struct grants_hit *best;

    event->names_key = group_key;
    if (!worker->opts.grants)
        return;
    best = newest_name(worker, group_key, &event->tuple.dst);
    if (!best)
        best = name_of_others(worker, event);
    if (!best) {
        event->names_key = group_key;
        best = newest_name(worker, 0, &event->tuple.dst);
    }
    if (best && !grants_name(worker->opts.grants, best->name, best->name_hash, event->fqdn,
                             &event->fqdn_len))
        event->fqdn[event->fqdn_len = 0] = '\0';
}

static void put_name(pol_event *event, pol_str name)
{
    event->name_len = (uint8_t)name.len;
    if (name.len)
        memcpy(event->name, name.ptr, name.len);
    event->name[name.len] = '\0';
}

static void put_flow(pol_worker *worker, uint32_t index, pol_event *event)
{
    const struct flow *flow = &worker->flows.flows[index];

    flow_tuple(flow, &event->tuple);
    event->icmp_type = flow->icmp_type;
    event->icmp_code = flow->icmp_code;
    event->vlan = flow->key.vlan[0];
    event->first = flow->first;
    event->last = flow->last;
    event->packets_out = flow->packets[0];
    event->packets_in = flow->packets[1];
    event->bytes_out = flow->bytes[0];
    event->bytes_in = flow->bytes[1];
    put_name(event, (pol_str){worker->flows.names[index], flow->name_len});
}

void report_flow(pol_worker *worker, uint32_t index, enum pol_event_kind kind, enum pol_end end)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_event *event = place(worker, kind);

    if (events_wanted(&worker->events, kind))
        flow->reported = worker->now;
    if (!event)
        return;
    event->end = (uint8_t)end;
    event->at = worker->now;
    put_flow(worker, index, event);
    flow_verdict(worker, flow, false, &event->verdict);
    if (flow->state == FLOW_DENIED)
        event->verdict.reason = flow->reason; /* why, not that it was denied before */
    put_fqdn(worker, flow->group_key, event);
}

void report_deny(pol_worker *worker, const struct passage *passage, uint32_t index,
                 const pol_verdict *verdict)
{
    pol_event *event = place(worker, POL_EV_DENY);
    const pol_packet *packet = passage ? passage->packet : NULL;

    if (!event)
        return;
    event->at = worker->now;
    if (index != POL_NONE) {
        put_flow(worker, index, event);
    } else {
        event->tuple = passage->swapped ? tuple_swapped(&packet->tuple) : packet->tuple;
        event->icmp_type = packet->icmp_type;
        event->icmp_code = packet->icmp_code;
        event->vlan = packet->vlan_count ? packet->vlan[0] : 0;
        event->first = event->last = worker->now;
        *(passage->swapped ? &event->packets_in : &event->packets_out) = 1;
        *(passage->swapped ? &event->bytes_in : &event->bytes_out) = packet->ip_len;
    }
    /* A flow that opens with its ClientHello has been judged on it, and keeps it a moment later. */
    if (passage)
        put_name(event, passage->sni);
    event->verdict = *verdict;
    put_fqdn(worker, verdict->group_key, event);
}

static void put_query(pol_worker *worker, const struct query *query, const pol_verdict *verdict,
                      pol_event *event)
{
    event->at = worker->now;
    event->first = query->first;
    event->last = worker->now;
    event->tuple = query->tuple;
    event->vlan = query->vlan[0];
    event->verdict = *verdict;
    event->qtype = query->dns.qtype;
    event->qclass = query->dns.qclass;
    event->name_len = query->dns.name_len;
    memcpy(event->name, query->dns.name, (size_t)query->dns.name_len + 1);
}

void report_query_deny(pol_worker *worker, const struct query *query, const pol_verdict *verdict)
{
    pol_event *event = place(worker, POL_EV_DENY);

    if (event)
        put_query(worker, query, verdict, event);
}

void report_dns(pol_worker *worker, const struct query *query, const pol_verdict *verdict,
                const struct dns_answer *answer, uint8_t rcode, unsigned learned)
{
    pol_event *event = place(worker, POL_EV_DNS);
    size_t count = answer ? answer->count : 0;

    if (!event)
        return;
    put_query(worker, query, verdict, event);
    event->rcode = rcode;
    event->answer_count = (uint8_t)(count < UINT8_MAX ? count : UINT8_MAX);
    event->learned = (uint16_t)(learned < UINT16_MAX ? learned : UINT16_MAX);
    for (size_t i = 0; i < count && i < POL_EVENT_ADDRESSES; i++)
        event->answers[i] = worker->addresses[i].addr;
}

/* A flow remembers the slot of its group; without a flow it is looked up. */
static unsigned slot_for(const pol_worker *worker, const struct passage *passage,
                         const pol_verdict *verdict)
{
    if (passage->flow != POL_NONE && worker->flows.flows[passage->flow].id == verdict->flow)
        return worker->flows.flows[passage->flow].slot;
    return slot_of(&worker->slots, verdict->group_key);
}

void count_packet(pol_worker *worker, const struct passage *passage, const pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    struct counters *counters = &worker->counters;
    enum counter_direction direction = counter_direction((enum pol_side)verdict->side);
    enum counter_decision decision = counter_decision((enum pol_action)verdict->action);
    enum counter_proto proto = counter_proto(packet->tuple.proto);
    unsigned slot = slot_for(worker, passage, verdict);

    if (decision == COUNTER_DENY)
        counter_add(counters, counter_denies((enum pol_reason)verdict->reason), 1);
    if (packet->kind != POL_PKT_IP) {
        counter_add(counters, decision == COUNTER_DENY ? COUNT_NOT_IP_DROP : COUNT_NOT_IP_PASS, 1);
        return;
    }
    counter_add(counters, counter_packets(direction, proto, decision, slot), 1);
    counter_add(counters, counter_bytes(direction, proto, decision, slot), packet->ip_len);
    if (proto == COUNTER_ICMP)
        counter_add(counters, counter_icmp(direction, decision, slot), 1);
    if (packet->hop_limit == 0)
        counter_add(counters, COUNT_TTL_EXCEEDED, 1);
}
