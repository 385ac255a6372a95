/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A learner in another thread takes a grant away after a walk has found it and before it is pinned.
 * Here the moment is certain: the slots are read-only, so the pin faults, and the handler evicts
 * before the pin goes on.
 */
#include "worker/worker.h"

#include <signal.h>
#include <stdio.h>

#include "../base/paged_mem.h"
#include "grants/table.h"
#include "rig.h"

#define GONE_MEMORY (3600 * POL_SECONDS)
#define ADDRESS     "192.0.2.1"

static struct rig rig;
static struct {
    int wanted, done;
    bool strange; /* a fault that was no pin */
} thefts;

/* a, b, c and d in the order of the rules; f only fills pages. */
#define RULE(name)                                                                                 \
    "{'id':'" name "','action':'allow','match':{'dns_hostname':'^" name "[0-9]*\\\\.example$'}}"
#define POLICY(first)                                                                              \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},"             \
    "'rules':[" first RULE("a") "," RULE("b") "," RULE("c") "," RULE("d") "," RULE("f") "]}]}"
#define PENDING_RULE                                                                               \
    "{'id':'t','action':'deny','match':{'proto':'tcp','tls':{'sni':['x.example']}}},"

static char *slots(void)
{
    return (char *)rig.grants->slots;
}

static size_t slots_size(void)
{
    return rig.grants->opts.capacity * sizeof(struct slot);
}

/* --- the thief ------------------------------------------------------------------------------ */

/* The names have TTLs of 10, 20, 30 and 40 s: the next one goes. */
static void steal(void)
{
    pol_mono gone = rig.now + (pol_mono)(10 * ++thefts.done + 1) * POL_SECONDS;

    pol_grants_expire(rig.grants, gone + GONE_MEMORY, rig.grants->opts.capacity);
}

static void faulted(int number, siginfo_t *info, void *context)
{
    size_t at = (size_t)((char *)info->si_addr - slots());

    (void)context;
    if ((char *)info->si_addr < slots() || at >= slots_size()) {
        signal(number, SIG_DFL);
        return;
    }
    thefts.strange |= at % sizeof(struct slot) != offsetof(struct slot, pin);
    mprotect(slots(), slots_size(), PROT_READ | PROT_WRITE);
    steal();
    if (thefts.done == thefts.wanted)
        return;
    mprotect(slots(), slots_size(), PROT_READ);
    mprotect(slots() + at / paged_size() * paged_size(), paged_size(), PROT_READ | PROT_WRITE);
}

static enum pol_action judge_under_theft(const pol_packet *packet, int wanted)
{
    struct sigaction action = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO}, before;
    enum pol_action judged;

    thefts.wanted = wanted;
    thefts.done = 0;
    sigaction(SIGSEGV, &action, &before);
    mprotect(slots(), slots_size(), PROT_READ);
    judged = rig_judge(&rig, packet);
    mprotect(slots(), slots_size(), PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &before, NULL);
    cr_assert_eq(thefts.done, wanted);
    cr_assert_not(thefts.strange);
    return judged;
}

/* --- the tests ------------------------------------------------------------------------------ */

static void start(const char *policy)
{
    rig.ctx = paged_ctx();
    cr_assert_not_null(rig.ctx);
    pol_grants_options_init(&rig.grants_options, sizeof(rig.grants_options));
    rig.grants_options.capacity = (uint32_t)(8 * paged_size() / sizeof(struct slot));
    rig.grants_options.idle = POL_SECONDS;
    rig_start(&rig, policy);
}

static void stop(void)
{
    rig_stop(&rig);
}

TestSuite(judge_stolen, .fini = stop);

/* One after the other, no two in one page. */
static void learn(const char *name, uint32_t ttl)
{
    static unsigned fillers;
    char filler[32];

    rig_learn(&rig, "10.0.0.5", name, ADDRESS, ttl);
    for (size_t i = 0; i <= paged_size() / sizeof(struct slot); i++) {
        snprintf(filler, sizeof(filler), "f%u.example", ++fillers);
        rig_learn(&rig, "10.0.0.5", filler, "192.0.2.200", 600);
    }
}

static pol_packet syn_to_address(void)
{
    return rig_syn("10.0.0.5", 40000, ADDRESS, 443);
}

static uint32_t flows_on(const char *name)
{
    uint32_t position = 0;
    pol_grant grant;

    while (pol_grants_list(rig.grants, &position, rig.now, &grant, 1) == 1) {
        if (strcmp(grant.name, name) == 0)
            return grant.flows;
    }
    return 0;
}

static void must_be_open_on(const pol_packet *syn, const char *name)
{
    pol_packet data = rig_data(syn, (pol_bytes){NULL, 0});

    cr_assert_eq(flows_on(name), 1);
    rig_use(&rig, POLICY(""));
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    cr_assert_eq(flows_on(name), 1);
}

Test(judge_stolen, the_only_grant_opens_nothing)
{
    pol_packet syn = syn_to_address();

    start(POLICY(""));
    learn("a.example", 10);
    cr_assert_eq(judge_under_theft(&syn, 1), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_POLICY_DEFAULT);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
}

Test(judge_stolen, the_next_name_carries_a_flow_that_opens)
{
    pol_packet syn = syn_to_address();

    start(POLICY(""));
    learn("a.example", 10);
    learn("b.example", 20);
    cr_assert_eq(judge_under_theft(&syn, 1), POL_ALLOW);
    cr_assert_eq(rig.verdict.rule, 1);
    must_be_open_on(&syn, "b.example");
}

Test(judge_stolen, no_flow_opens_when_each_grant_that_is_found_goes)
{
    pol_packet syn = syn_to_address();

    start(POLICY(""));
    learn("a.example", 10);
    learn("b.example", 20);
    learn("c.example", 30);
    learn("d.example", 40);
    cr_assert_eq(judge_under_theft(&syn, 3), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DNS_EXPIRED);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
    cr_assert_eq(flows_on("d.example"), 0);
}

Test(judge_stolen, a_flow_that_is_open_stays_on_its_own_grant)
{
    pol_packet syn = syn_to_address(), data = rig_data(&syn, (pol_bytes){NULL, 0});

    for (int others = 1; others <= 3; others++) {
        start(POLICY(""));
        learn("d.example", 40);
        cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
        learn("a.example", 10);
        learn("b.example", others > 1 ? 20 : 10);
        learn("c.example", others > 2 ? 30 : 10);
        rig_use(&rig, POLICY(""));
        cr_assert_eq(judge_under_theft(&data, others), POL_ALLOW);
        cr_assert_eq(rig.verdict.rule, 3);
        must_be_open_on(&syn, "d.example");
        rig_stop(&rig);
    }
}

Test(judge_stolen, a_pending_flow_goes_on_by_its_own_grant)
{
    pol_packet syn = syn_to_address(), data = rig_data(&syn, rig_hello("y.example"));

    start(POLICY(PENDING_RULE));
    learn("b.example", 20);
    cr_assert_eq(rig_judge(&rig, &syn), POL_PENDING);
    learn("a.example", 10);
    cr_assert_eq(judge_under_theft(&data, 1), POL_ALLOW);
    cr_assert_eq(rig.verdict.rule, 2);
    must_be_open_on(&syn, "b.example");
}
