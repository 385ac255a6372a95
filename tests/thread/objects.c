/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "one thread at a time" and "shareable" mean: findings, readiness, a tap and counters that go
 * from thread to thread, each taking its turn; a context and a policy that many threads reference,
 * and that the last of them frees.
 *
 *   objects [turns]
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "thread.h"

enum { THREADS = 6 };

static const char *const checks[] = POL_READY_CHECKS;
static const char policy_text[] =
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["
    "{'id':'n','action':'allow','match':{'dns_hostname':'^a[0-9]+\\\\.ex.mple$'}}]}]}";

static unsigned turns;
static atomic_uint turn;
static pol_ctx *ctx;
static pol_policy *policy;
static pol_audit *audit;
static pol_ready *ready;
static pol_tap *tap;
static pol_counters *counters;

static pol_event denial(unsigned number)
{
    pol_event event = {
        .kind = POL_EV_DENY, /* one of fifty findings */
        .tuple = {{4, {10, 0, 0, 1}}, {4, {192, 0, 2, (uint8_t)(number % 50)}}, 40000, 80, 6},
        .verdict = {.reason = POL_WHY_POLICY_DEFAULT, .group = POL_NONE, .rule = POL_NONE},
    };

    event.fqdn_len = (uint8_t)snprintf(event.fqdn, sizeof(event.fqdn), "a%u.example", number % 50);
    return event;
}

static bool count_event(void *user, const pol_finding *finding)
{
    *(uint64_t *)user += finding->count;
    return true;
}

static void check_findings(unsigned number)
{
    uint64_t events = 0;

    if (pol_audit_find(audit, NULL, count_event, &events) < 0 || events != number)
        thread_fault("%llu events where there were %u", (unsigned long long)events, number);
}

static void take_turn(unsigned number)
{
    pol_event event = denial(number);
    char text[4096];
    size_t len;

    if (pol_audit_add(audit, NULL, NULL, &event, number) != POL_OK)
        thread_fault("a finding is refused");
    if (!pol_tap_match(tap, &event))
        thread_fault("the tap does not see %s", event.fqdn);
    pol_ready_set(ready, checks[number % 8], number % 3 == 0, "in turn");
    if (pol_json_ready(ready, text, sizeof(text), &len) != POL_OK)
        thread_fault("readiness cannot be shown");
    pol_counters_clear(counters);
    if (number % 97 == 0)
        check_findings(number + 1);
}

static void *in_turn(void *argument)
{
    unsigned me = (unsigned)(uintptr_t)argument;

    for (unsigned number = me; number < turns; number += THREADS) {
        while (atomic_load(&turn) != number)
            sched_yield();
        take_turn(number);
        atomic_store(&turn, number + 1);
    }
    return NULL;
}

static void hand_around(void)
{
    static const pol_str pattern[] = {{"^a[0-9]+\\.ex.mple$", 17}};
    pol_tap_filter filter;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.hostnames = pattern;
    filter.hostname_count = 1;
    if (pol_audit_new(ctx, 64, &audit) != POL_OK ||
        pol_ready_new(ctx, checks, 8, &ready) != POL_OK ||
        pol_tap_new(ctx, &filter, &tap, NULL) != POL_OK ||
        pol_counters_new(ctx, &counters) != POL_OK) {
        thread_fault("no memory");
        return;
    }
    for (uintptr_t i = 0; i < THREADS; i++)
        thread_start(in_turn, (void *)i);
    thread_join();
    pol_audit_free(audit);
    pol_ready_free(ready);
    pol_tap_free(tap);
    pol_counters_free(counters);
}

/* Each owns a reference of both from the start. */
static void *refer(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < turns; i++) {
        pol_policy *mine = pol_policy_ref(policy);
        pol_ctx *same = pol_ctx_ref(ctx);
        pol_ready *object;

        if (i % 64 == 0 && pol_ready_new(same, checks, 8, &object) == POL_OK)
            pol_ready_free(object);
        if (pol_policy_group_key(mine, 0) == 0)
            thread_fault("a policy that is not whole");
        pol_ctx_unref(same);
        pol_policy_unref(mine);
    }
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    return NULL;
}

static void share(void)
{
    for (int i = 0; i < THREADS; i++) {
        pol_policy_ref(policy);
        pol_ctx_ref(ctx);
    }
    for (int i = 0; i < THREADS; i++)
        thread_start(refer, NULL);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    thread_join();
}

int main(int argc, char **argv)
{
    turns = thread_count(argc, argv, 60000);
    ctx = thread_ctx();
    policy = thread_policy(ctx, policy_text);
    hand_around();
    share();
    if (thread_held())
        thread_fault("%zu octets left behind", thread_held());
    return thread_result();
}
