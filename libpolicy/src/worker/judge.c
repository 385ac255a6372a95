/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <string.h>

#include "net/proto.h"
#include "wire/tls_hello.h"

enum {
    GRANT_WALKS = 4 /* of one packet, as long as learners take away what they find */
};

/* --- facts ---------------------------------------------------------------------------------- */

static void key_of_tuple(const pol_tuple *tuple, uint8_t icmp_type, uint8_t icmp_code,
                         struct classify_key *key)
{
    bool icmp = tuple->proto == PROTO_ICMP || tuple->proto == PROTO_ICMPV6;

    *key = (struct classify_key){
        .dst = tuple->dst,
        .proto = tuple->proto,
        .has_ports = proto_has_ports(tuple->proto),
        .is_icmp = icmp,
    };
    if (icmp) {
        key->icmp_type = icmp_type;
        key->icmp_code = icmp_code;
    } else {
        key->src_port = tuple->src_port;
        key->dst_port = tuple->dst_port;
    }
}

static pol_wall wall_now(const pol_worker *worker)
{
    pol_mono since = worker->now > worker->wall_at ? worker->now - worker->wall_at : 0;

    return worker->wall ? worker->wall + since / (POL_SECONDS / 1000) : 0;
}

static void certificate_facts(const pol_worker *worker, const struct flow *flow,
                              struct walk_facts *facts)
{
    facts->certificate = flow->certificate;
    if (flow->certificate != CERTIFICATE_SEEN)
        return;
    facts->chain = flow->chain;
    facts->wall = wall_now(worker);
    if (!chains_has(&worker->walker.chains, flow->chain, flow->chain_version))
        facts->certificate = CERTIFICATE_MISSING;
}

static void facts_of_flow(const pol_worker *worker, uint32_t index, struct walk_facts *facts)
{
    const struct flow *flow = &worker->flows.flows[index];
    pol_tuple tuple;

    flow_tuple(flow, &tuple);
    facts->src = tuple.src;
    key_of_tuple(&tuple, flow->icmp_type, flow->icmp_code, &facts->key);
    facts->tls = flow->key.proto == PROTO_TCP ? flow->tls : TLS_NOT;
    facts->sni = (pol_str){worker->flows.names[index], flow->name_len};
    certificate_facts(worker, flow, facts);
    facts->held_counts = true;
    facts->forwarded = flow->state != FLOW_INTERCEPT;
    facts->spoken = true;
}

pol_tuple tuple_swapped(const pol_tuple *tuple)
{
    return (pol_tuple){
        .src = tuple->dst,
        .dst = tuple->src,
        .src_port = tuple->dst_port,
        .dst_port = tuple->src_port,
        .proto = tuple->proto,
    };
}

/* --- verdicts ------------------------------------------------------------------------------- */

uint8_t denial(const pol_worker *worker, uint8_t side)
{
    return worker->opts.reject_inside && side == POL_SIDE_INSIDE ? POL_REJECT : POL_DENY;
}

void flow_verdict(const pol_worker *worker, const struct flow *flow, bool reply,
                  pol_verdict *verdict)
{
    static const uint8_t actions[] = {
        [FLOW_ALLOWED] = POL_ALLOW,
        [FLOW_PENDING] = POL_PENDING,
        [FLOW_INTERCEPT] = POL_INTERCEPT,
    };
    uint8_t side = flow->side;

    if (reply && side != POL_SIDE_UNKNOWN)
        side = side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
    *verdict = (pol_verdict){
        .action = flow->state == FLOW_DENIED ? denial(worker, side) : actions[flow->state],
        .raw_action = flow->raw_action,
        .side = side,
        .reason = flow->reason,
        .flags = flow->verdict_flags | (reply ? POL_V_REPLY : 0),
        .group = flow->group,
        .rule = flow->rule,
        .group_key = flow->group_key,
        .generation = flow->generation,
        .flow = flow->id,
    };
}

static void verdict_of(const pol_worker *worker, const struct walk_outcome *out, uint8_t side,
                       pol_verdict *verdict)
{
    const struct pp_step *step = out->step == POL_NONE ? NULL : &worker->policy->steps[out->step];
    const struct pp_step *waits =
        out->action == POL_PENDING ? &worker->policy->steps[out->resume] : step;

    verdict->action = out->action == POL_DENY ? denial(worker, side) : out->action;
    verdict->raw_action = out->raw_action;
    verdict->reason = out->reason;
    verdict->generation = worker->generation;
    verdict->group = waits ? waits->group : POL_NONE;
    verdict->rule = step ? step->rule : POL_NONE;
    verdict->group_key = pol_policy_group_key(worker->policy, verdict->group);
    if (out->audit)
        verdict->flags |= POL_V_AUDIT;
    if (out->watched)
        verdict->flags |= POL_V_WATCHED;
    if (step && step->pattern != POL_NONE && step->action == POL_ALLOW)
        verdict->flags |= POL_V_NAMED;
}

/* An audit-mode rule that would have denied, besides the one that decided. */
static void report_shadow(pol_worker *worker, const struct passage *passage, uint32_t flow,
                          uint32_t step, const pol_verdict *decided)
{
    const struct pp_step *shadow = &worker->policy->steps[step];
    pol_verdict verdict = *decided;

    verdict.raw_action = POL_DENY;
    verdict.reason = POL_WHY_RULE;
    verdict.flags |= POL_V_AUDIT;
    verdict.group = shadow->group;
    verdict.rule = shadow->rule;
    verdict.group_key = pol_policy_group_key(worker->policy, shadow->group);
    report_deny(worker, passage, flow, &verdict);
}

static void report_findings(pol_worker *worker, const struct passage *passage, uint32_t flow,
                            const struct walk_outcome *out, const pol_verdict *verdict)
{
    if (out->audit || out->action == POL_DENY)
        report_deny(worker, passage, flow, verdict);
    else if (out->shadow != POL_NONE)
        report_shadow(worker, passage, flow, out->shadow, verdict);
}

/* --- judging -------------------------------------------------------------------------------- */

static void walk(pol_worker *worker, const struct walk_facts *facts, uint32_t from,
                 struct walk_outcome *out)
{
    struct memo *memo = &worker->walker.memo;
    uint64_t misses = memo->misses, exceptions = memo->exceptions;

    worker->walker.now = worker->now;
    walk_packet(&worker->walker, facts, from, out);
    counter_add(&worker->counters, COUNT_CLASSIFIER_LOOKUPS, 1);
    counter_add(&worker->counters, COUNT_MEMO_MISSES, memo->misses - misses);
    counter_add(&worker->counters, COUNT_REGEX_EXCEPTIONS, memo->exceptions - exceptions);
}

/* False: a learner has taken the grant away since the walk found it. */
static bool pin_grant(pol_worker *worker, uint32_t held, const struct walk_outcome *out)
{
    return out->grant == POL_NONE || out->grant == held ||
           grants_pin(worker->opts.grants, out->grant, out->grant_version);
}

/*
 * The walk of a flow that is open on the grant `held`, or of one that would open. The grant that
 * carries the outcome is pinned before anybody hears of it, since a learner in another thread may
 * take it away at any moment; then the walk is repeated by what is granted now. The last one goes
 * by the held grant alone, which nobody can take away. A denial carries no grant.
 */
static void walk_flow(pol_worker *worker, struct walk_facts *facts, uint32_t from, uint32_t held,
                      struct walk_outcome *out)
{
    facts->held = held;
    for (int walks = 0; walks < GRANT_WALKS; walks++) {
        facts->only_held = walks == GRANT_WALKS - 1;
        walk(worker, facts, from, out);
        if (out->action == POL_DENY)
            out->grant = POL_NONE;
        if (pin_grant(worker, held, out))
            break;
    }
}

static bool may_show_certificate(const struct flow *flow)
{
    return flow->tls == TLS_HELLO && flow->certificate == CERTIFICATE_UNKNOWN;
}

/* How closely the client's first octets are to be read, now that the flow has been judged. */
static uint8_t watch_for(const pol_worker *worker, const struct flow *flow, bool watched)
{
    if (flow->key.proto != PROTO_TCP || flow->is_dns ||
        (flow->tls != TLS_UNKNOWN && !may_show_certificate(flow)))
        return WATCH_NONE;
    if (flow->state == FLOW_PENDING)
        return WATCH_PENDING;
    if (flow->state != FLOW_ALLOWED)
        return WATCH_NONE;
    if (flow->tls == TLS_HELLO)
        return watched ? WATCH_RULE : WATCH_NONE;
    if (worker->opts.sni_check == POL_SNI_ENFORCE && flow->verdict_flags & POL_V_NAMED)
        return WATCH_CHECK;
    return watched ? WATCH_RULE : WATCH_RECORD;
}

/* Whether the rule or group default that decides is in audit mode. */
static bool decides_in_audit(const pol_policy *policy, const pol_verdict *verdict)
{
    uint32_t step;

    if (!policy || verdict->group == POL_NONE)
        return false;
    step = verdict->rule == POL_NONE ? policy->groups[verdict->group].end
                                     : policy->rule_steps[verdict->rule];
    return policy->steps[step].mode == POL_MODE_AUDIT;
}

/* Writes what a walk has found into the flow. */
static void settle_flow(pol_worker *worker, uint32_t index, const struct walk_outcome *out,
                        const pol_verdict *verdict)
{
    static const uint8_t states[] = {
        [POL_DENY] = FLOW_DENIED,
        [POL_ALLOW] = FLOW_ALLOWED,
        [POL_PENDING] = FLOW_PENDING,
        [POL_INTERCEPT] = FLOW_INTERCEPT,
    };
    const uint32_t judged = POL_V_AUDIT | POL_V_WATCHED | POL_V_NAMED;
    struct flow *flow = &worker->flows.flows[index];

    flow->state = states[out->action];
    flow->raw_action = out->raw_action;
    flow->reason = out->reason;
    flow->group = verdict->group;
    flow->rule = verdict->rule;
    flow->group_key = verdict->group_key;
    flow->generation = worker->generation;
    flow->resume = out->resume;
    flow->in_audit = decides_in_audit(worker->policy, verdict);
    flow->verdict_flags = (flow->verdict_flags & ~judged) | (verdict->flags & judged);
    flow->watch = watch_for(worker, flow, out->watched);
    if (flow->state != FLOW_PENDING && flow->watch == WATCH_NONE && !flow->guarded &&
        !certificate_awaited(flow))
        flow->tls_deadline = POL_NEVER;
    if (flow->tls == TLS_HELLO && flow->watch == WATCH_NONE && !(flow->guarded & GUARD_SERVER))
        certificate_forget(worker, flow);
    flow_judged(worker, index, out->grant);
}

static void count_midstream(pol_worker *worker, const struct passage *passage, bool allowed)
{
    counter_add(&worker->counters, counter_midstream((enum pol_side)passage->side, allowed), 1);
}

static bool is_midstream(const pol_packet *packet)
{
    return packet->tuple.proto == PROTO_TCP &&
           (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) != POL_TCP_SYN;
}

/* A deny because nothing is known of a port-53 conversation says so. */
static void explain_dns(const pol_worker *worker, const pol_tuple *tuple, struct walk_outcome *out)
{
    bool by_default = out->reason == POL_WHY_GROUP_DEFAULT || out->reason == POL_WHY_POLICY_DEFAULT;

    if (out->raw_action == POL_DENY && by_default && tuple->dst_port == 53 &&
        (tuple->proto == PROTO_UDP || tuple->proto == PROTO_TCP) && worker->opts.grants &&
        !dns_trusts(worker, &tuple->dst))
        out->reason = POL_WHY_DNS_UNTRUSTED_RESOLVER;
}

static void begin_tcp(struct flow *flow, const pol_packet *packet, bool swapped)
{
    flow->midstream = is_midstream(packet);
    if (packet->tcp_flags & POL_TCP_FIN)
        flow->fins = (uint8_t)(1 << swapped);
    if (packet->tuple.proto != PROTO_TCP || flow->midstream)
        return;
    flow->isn = packet->tcp_seq;
    flow->has_isn = 1;
    flow->dns_next[0] = flow->isn + 1;
}

/* The opening packet's own data. What the verdict was based on must not be replaced by another
 * copy, so it is watched as if the verdict still depended on it. */
static void read_first_data(pol_worker *worker, uint32_t index, const struct passage *passage)
{
    struct flow *flow = &worker->flows.flows[index];
    const pol_packet *packet = passage->packet;
    bool swapped = passage->swapped;

    if (flow->is_dns) {
        dns_tcp_segment(worker, index, packet, swapped);
        return;
    }
    if (packet->payload.len == 0 && !(packet->tcp_flags & POL_TCP_URG))
        return;
    if (passage->depends && flow->watch != WATCH_NONE && flow->watch < WATCH_CHECK)
        flow->watch = WATCH_CHECK;
    tls_segment(worker, index, packet, swapped);
}

/* The flow that walk_flow() has pinned a grant for does not open. */
static void leave_grant(pol_worker *worker, const struct walk_outcome *out)
{
    if (out->grant != POL_NONE)
        grants_unpin(worker->opts.grants, out->grant);
}

static void open_flow(pol_worker *worker, struct passage *passage, const struct walk_outcome *out,
                      bool is_dns, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    uint32_t index = make_flow(worker, passage);
    bool swapped = passage->swapped;
    struct flow *flow;

    if (index == POL_NONE && worker->flows.capacity) {
        leave_grant(worker, out);
        counter_add(&worker->counters, COUNT_FLOW_CAP_REJECTIONS, 1);
        verdict->action = denial(worker, passage->side);
        verdict->raw_action = POL_DENY;
        verdict->reason = POL_WHY_FLOWS_FULL;
        verdict->flags &= ~(uint32_t)(POL_V_AUDIT | POL_V_WATCHED); /* it does not pass */
        report_deny(worker, passage, POL_NONE, verdict);
        return;
    }
    if (index == POL_NONE)
        return;
    passage->flow = index;
    flow = &worker->flows.flows[index];
    flow->is_dns = is_dns;
    begin_tcp(flow, packet, swapped);
    settle_flow(worker, index, out, verdict);
    counter_add(&worker->counters,
                counter_flow_opens(counter_proto(packet->tuple.proto), flow->slot), 1);
    flow->packets[swapped] = 1;
    flow->bytes[swapped] = packet->ip_len;
    report_flow(worker, index, POL_EV_FLOW_OPEN, POL_END_NONE);
    report_findings(worker, passage, index, out, verdict);
    read_first_data(worker, index, passage);
    flow->told = flow->state == FLOW_DENIED;
    flow_verdict(worker, flow, swapped, verdict);
    verdict->flags |= POL_V_OPENED;
}

static void open_dns_flow(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    struct walk_outcome out = {
        .action = POL_ALLOW,
        .raw_action = POL_ALLOW,
        .reason = POL_WHY_DNS_QUERY,
        .step = POL_NONE,
        .resume = POL_NONE,
        .shadow = POL_NONE,
        .grant = POL_NONE,
    };

    verdict_of(worker, &out, passage->side, verdict);
    open_flow(worker, passage, &out, true, verdict);
}

/* What the opening packet itself tells about TLS: it is judged with its data, so that a denial
 * leaves no entry. */
static void read_opening(pol_worker *worker, const struct passage *passage,
                         struct walk_facts *facts)
{
    pol_bytes payload = passage->packet->payload;
    struct tls_hello *hello = &worker->hello;
    enum tls_hello_verdict verdict;

    if (facts->tls != TLS_UNKNOWN || payload.len == 0)
        return;
    /* A server that speaks first does not speak TLS. */
    verdict = passage->swapped ? TLS_HELLO_NOT_TLS : tls_hello_read(payload, hello);
    if (verdict == TLS_HELLO_COMPLETE) {
        facts->tls = TLS_HELLO;
        facts->sni = (pol_str){hello->sni, hello->sni_len};
    } else if (verdict == TLS_HELLO_NOT_TLS) {
        facts->tls = TLS_NOT;
        facts->spoken = true;
    } else if (verdict == TLS_HELLO_MALFORMED) {
        facts->tls = TLS_INCOMPLETE;
    }
}

/* Whether the verdict would wait for the data if the opening packet did not bring it. */
static bool depends_on_data(pol_worker *worker, const struct passage *passage,
                            const struct walk_facts *facts)
{
    struct walk_facts blind = *facts;
    struct walk_outcome out;

    if (passage->packet->payload.len == 0 || passage->swapped ||
        (facts->tls != TLS_HELLO && !facts->spoken))
        return false;
    blind.tls = TLS_UNKNOWN;
    walk(worker, &blind, 0, &out);
    return out.action == POL_PENDING;
}

static void deny_outcome(struct walk_outcome *out, enum pol_reason reason)
{
    out->action = out->raw_action = POL_DENY;
    out->reason = (uint16_t)reason;
    out->resume = POL_NONE;
    out->watched = false;
}

/* sni_check: enforce would deny the flow with its opening packet. */
static bool sni_denies(pol_worker *worker, const struct walk_facts *facts,
                       const struct walk_outcome *out)
{
    const struct pp_step *step;

    if (worker->opts.sni_check != POL_SNI_ENFORCE || facts->tls != TLS_HELLO ||
        out->action != POL_ALLOW || out->step == POL_NONE)
        return false;
    step = &worker->policy->steps[out->step];
    return step->pattern != POL_NONE && step->mode != POL_MODE_AUDIT &&
           !walk_sni_granted(&worker->walker, facts, step->group);
}

void judge_fresh(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    bool swapped = passage->swapped;
    pol_tuple tuple = swapped ? tuple_swapped(&packet->tuple) : packet->tuple;
    bool reset = packet->tuple.proto == PROTO_TCP && packet->tcp_flags & POL_TCP_RST;
    /* An ICMP reply without its query would open the way for the other side to ask. */
    bool opens = !reset && !(packet->marks & POL_MARK_ICMP_ERROR) &&
                 !flow_icmp_replies(packet->tuple.proto, packet->icmp_type);
    bool midstream = is_midstream(packet) || swapped;
    struct walk_facts facts = {.src = tuple.src};
    struct walk_outcome out;

    if (!swapped && !midstream && dns_tcp_opens(worker, passage)) {
        open_dns_flow(worker, passage, verdict);
        return;
    }
    key_of_tuple(&tuple, packet->icmp_type, packet->icmp_code, &facts.key);
    /* A reset begins nothing, so nothing will ever be known about its TLS. */
    facts.tls = tuple.proto == PROTO_TCP && !reset ? TLS_UNKNOWN : TLS_NOT;
    facts.forwarded = midstream && tuple.proto == PROTO_TCP;
    read_opening(worker, passage, &facts);
    passage->depends = depends_on_data(worker, passage, &facts);
    if (opens && worker->flows.capacity)
        walk_flow(worker, &facts, 0, POL_NONE, &out);
    else
        walk(worker, &facts, 0, &out);
    explain_dns(worker, &tuple, &out);
    if (sni_denies(worker, &facts, &out)) {
        leave_grant(worker, &out);
        deny_outcome(&out, POL_WHY_SNI_MISMATCH);
        verdict->flags |= POL_V_SNI_MISMATCH;
    }
    passage->sni = facts.sni;
    verdict_of(worker, &out, passage->side, verdict);
    if (swapped)
        verdict->flags |= POL_V_REPLY;
    if (midstream)
        count_midstream(worker, passage, out.action != POL_DENY);
    if (out.action == POL_DENY || !opens)
        report_findings(worker, passage, POL_NONE, &out, verdict);
    else
        open_flow(worker, passage, &out, false, verdict);
}

bool judge_member(pol_worker *worker, const struct passage *passage, const pol_addr *member,
                  pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    struct walk_facts facts = {.src = *member, .tls = TLS_NOT};
    struct walk_outcome out;

    key_of_tuple(&packet->tuple, packet->icmp_type, packet->icmp_code, &facts.key);
    walk(worker, &facts, 0, &out);
    if (out.action != POL_ALLOW)
        deny_outcome(&out, (enum pol_reason)out.reason);
    verdict_of(worker, &out, passage->side, verdict);
    if (out.action != POL_ALLOW)
        return false;
    report_findings(worker, passage, POL_NONE, &out, verdict);
    return true;
}

void judge_flow(pol_worker *worker, uint32_t index, uint32_t step, enum pol_end cause, bool no_room)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_verdict verdict = {.group = POL_NONE, .rule = POL_NONE};
    struct walk_facts facts = {0};
    struct walk_outcome out;

    /* Whether the name fits is asked again, too. */
    if (flow->generation != worker->generation)
        flow->verdict_flags &= ~(uint32_t)POL_V_SNI_MISMATCH;
    facts_of_flow(worker, index, &facts);
    walk_flow(worker, &facts, step, flow->grant, &out);
    if (no_room &&
        (out.reason == POL_WHY_TLS_INCOMPLETE || out.reason == POL_WHY_CERTIFICATE_MISSING))
        out.reason = POL_WHY_PENDING_FULL;
    verdict_of(worker, &out, flow->side, &verdict);
    settle_flow(worker, index, &out, &verdict);
    flow_verdict(worker, flow, false, &verdict);
    if (flow->state == FLOW_DENIED)
        to_denied(worker, index, cause);
    report_flow(worker, index, POL_EV_FLOW_UPDATE, POL_END_NONE);
    report_findings(worker, NULL, index, &out, &verdict);
}

/* A ClientHello that could not be read is a missing SNI where that is enforced. */
static bool may_have_sni(const pol_worker *worker, const struct flow *flow)
{
    return flow->tls == TLS_HELLO ||
           (flow->tls == TLS_INCOMPLETE && worker->opts.sni_check == POL_SNI_ENFORCE);
}

/* sni_check on a flow that a rule with a hostname has allowed. */
void check_sni(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];
    struct walk_facts facts = {0};
    pol_verdict verdict;

    if (worker->opts.sni_check == POL_SNI_OFF || flow->state != FLOW_ALLOWED ||
        !(flow->verdict_flags & POL_V_NAMED) || !may_have_sni(worker, flow))
        return;
    facts_of_flow(worker, index, &facts);
    worker->walker.hits_group = POL_NONE;
    if (walk_sni_granted(&worker->walker, &facts, flow->group))
        return;
    flow->verdict_flags |= POL_V_SNI_MISMATCH;
    if (worker->opts.sni_check == POL_SNI_ENFORCE) {
        deny_flow(worker, index, POL_WHY_SNI_MISMATCH, flow->in_audit);
        return;
    }
    flow_verdict(worker, flow, false, &verdict);
    verdict.raw_action = POL_DENY;
    verdict.reason = POL_WHY_SNI_MISMATCH;
    verdict.flags |= POL_V_AUDIT;
    report_deny(worker, NULL, index, &verdict);
}

void judge_again(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];
    pol_mono alive = flow->alive;
    bool was_denied = flow->state == FLOW_DENIED;

    counter_add(&worker->counters, COUNT_REJUDGED, 1);
    /* Its messages are judged one by one; a denied one cannot be read any further. */
    if (flow->is_dns) {
        flow->generation = worker->generation;
        flow->group = flow->rule = POL_NONE; /* indexes of the policy before */
        flow->group_key = 0;
        return;
    }
    judge_flow(worker, index, 0, POL_END_POLICY, false);
    /* Nobody waits for a certificate without an end. */
    assert(flow->state != FLOW_PENDING || flow->tls != TLS_HELLO ||
           flow->tls_deadline != POL_NEVER);
    if (flow->state != FLOW_DENIED)
        flow->told = 0;
    else if (was_denied)
        flow->alive = alive; /* who asks may be an ICMP error, which keeps nothing alive */
    check_sni(worker, index);
}

bool judge_plain(pol_worker *worker, uint32_t index)
{
    struct walk_facts facts = {0};
    struct walk_outcome out;

    facts_of_flow(worker, index, &facts);
    facts.tls = TLS_NOT;
    walk(worker, &facts, 0, &out);
    return out.action == POL_ALLOW;
}
