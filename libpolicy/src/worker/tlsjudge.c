/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flow has waited for: TLS facts that have arrived, or that will not in time. tlswatch.c and
 * tlscert.c bring them; the walk goes on where it stopped.
 */
#include "worker/worker.h"

/* What the flow has waited for has not come. */
static void judge_late(pol_worker *worker, uint32_t index)
{
    const struct flow *flow = &worker->flows.flows[index];
    bool certificate = certificate_awaited(flow) || flow->guarded == GUARD_SERVER;

    if (certificate)
        judge_no_certificate(worker, index, POL_WHY_CERTIFICATE_MISSING);
    if (!certificate || flow->tls_deadline <= worker->now)
        judge_incomplete(worker, index, POL_WHY_TLS_INCOMPLETE);
}

/* What is noticed late is denied since it was due, and no longer than if a tick had noticed. */
static void run_out_at(pol_worker *worker, uint32_t index, pol_mono due)
{
    struct flow *flow = &worker->flows.flows[index];

    judge_late(worker, index);
    if (flow->state == FLOW_DENIED)
        flow->alive = due;
}

bool flow_ran_out(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];

    if (flow->tls_deadline <= worker->now)
        run_out_at(worker, index, flow->tls_deadline);
    if (silent_until(worker, flow) > worker->now)
        return false;
    /* A pending connection that runs out becomes denied, never forgotten. */
    if (flow->state == FLOW_PENDING && flow->phase == TCP_ESTABLISHED) {
        run_out_at(worker, index, silent_until(worker, flow));
        if (flow->state == FLOW_DENIED && silent_until(worker, flow) > worker->now)
            return false;
    }
    end_flow(worker, index, flow_end(flow));
    return true;
}

/* The walk goes on where it stopped, with what is known now. `why`: if something is missing. */
static void resume(pol_worker *worker, uint32_t index, enum pol_reason why)
{
    const struct flow *flow = &worker->flows.flows[index];
    bool same = flow->generation == worker->generation && flow->resume != POL_NONE;

    if (worker->policy)
        judge_flow(worker, index, same ? flow->resume : 0, POL_END_NONE,
                   why == POL_WHY_PENDING_FULL);
}

static void count_incomplete(pol_worker *worker, enum pol_reason reason)
{
    counter_add(&worker->counters, COUNT_TLS_DENY, 1);
    if (reason == POL_WHY_PENDING_FULL)
        counter_add(&worker->counters, COUNT_PENDING_CAP_REJECTIONS, 1);
}

void judge_incomplete(pol_worker *worker, uint32_t index, enum pol_reason reason)
{
    struct flow *flow = &worker->flows.flows[index];
    uint8_t watch = flow->state == FLOW_PENDING ? WATCH_PENDING : flow->watch;

    flow->tls_deadline = POL_NEVER;
    if (flow->is_dns) {
        dns_tcp_late(worker, index);
        return;
    }
    if (flow->guarded && watch != WATCH_PENDING)
        watch = WATCH_CHECK;
    flow->tls = TLS_INCOMPLETE;
    flow->watch = WATCH_NONE;
    tls_forget(worker, flow);
    if (watch >= WATCH_CHECK)
        count_incomplete(worker, reason);
    if (watch == WATCH_PENDING) {
        resume(worker, index, reason);
        check_sni(worker, index);
    } else if (watch == WATCH_CHECK) {
        deny_flow(worker, index, reason, flow->in_audit);
    }
}

void judge_no_certificate(pol_worker *worker, uint32_t index, enum pol_reason reason)
{
    struct flow *flow = &worker->flows.flows[index];
    bool waits = certificate_awaited(flow), guarded = flow->guarded & GUARD_SERVER;
    bool pending = flow->state == FLOW_PENDING;
    bool reloaded = flow->generation != worker->generation;

    flow->certificate = CERTIFICATE_MISSING;
    flow->watch = WATCH_NONE;
    if (!(flow->guarded & GUARD_CLIENT))
        flow->tls_deadline = POL_NEVER;
    certificate_forget(worker, flow);
    if (pending || guarded)
        count_incomplete(worker, reason);
    if (guarded)
        deny_flow(worker, index, reason, flow->in_audit);
    else if (waits && flow->resume != POL_NONE)
        resume(worker, index, reason);
    if (pending || (reloaded && flow->generation == worker->generation))
        check_sni(worker, index);
}

static void count_tls(pol_worker *worker, const struct flow *flow)
{
    if (flow->state == FLOW_PENDING)
        return;
    if (flow->state != FLOW_DENIED)
        counter_add(&worker->counters, COUNT_TLS_ALLOW, 1);
    else
        counter_add(&worker->counters,
                    flow->tls == TLS_NOT ? COUNT_TLS_DENY_AFTER_DATA : COUNT_TLS_DENY, 1);
}

void judge_facts(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];
    bool was_pending = flow->state == FLOW_PENDING, guard = flow->watch >= WATCH_CHECK;

    flow->watch = WATCH_NONE;
    if (!guard)
        hello_forget(worker, flow);
    if (!was_pending)
        flow->tls_deadline = POL_NEVER;
    if (flow->resume != POL_NONE && (was_pending || flow->verdict_flags & POL_V_WATCHED)) {
        resume(worker, index, POL_WHY_TLS_INCOMPLETE);
        if (was_pending)
            count_tls(worker, flow);
    } else if (flow->tls == TLS_HELLO) {
        report_flow(worker, index, POL_EV_FLOW_UPDATE, POL_END_NONE);
    }
    check_sni(worker, index);
    if (guard)
        tls_guard(worker, index);
}

void judge_certificate(pol_worker *worker, uint32_t index)
{
    struct flow *flow = &worker->flows.flows[index];
    bool was_pending = flow->state == FLOW_PENDING;

    flow->watch = WATCH_NONE;
    if (!flow->guarded)
        flow->tls_deadline = POL_NEVER;
    resume(worker, index, POL_WHY_CERTIFICATE_MISSING);
    if (was_pending) {
        count_tls(worker, flow);
        check_sni(worker, index);
    }
}
