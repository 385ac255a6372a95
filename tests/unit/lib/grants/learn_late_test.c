/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow begins on a grant after a learner has chosen it to go and before it is released. Here the
 * moment is certain: the slots are read-only, so the release faults, and the handler pins before
 * the release goes on.
 */
#include "grants/table.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>

#include "../base/paged_mem.h"

#define S POL_SECONDS

static pol_ctx *ctx;
static pol_grants *grants;
static uint32_t pinned = POL_NONE; /* the slot that a flow has begun on */
static struct grants_learned learned;

static size_t slots_size(void)
{
    return grants->opts.capacity * sizeof(struct slot);
}

static void faulted(int number, siginfo_t *info, void *context)
{
    size_t at = (size_t)((char *)info->si_addr - (char *)grants->slots);

    (void)context;
    if ((char *)info->si_addr < (char *)grants->slots || at >= slots_size()) {
        signal(number, SIG_DFL);
        return;
    }
    mprotect(grants->slots, slots_size(), PROT_READ | PROT_WRITE);
    pinned = (uint32_t)(at / sizeof(struct slot));
    grants_pin(grants, pinned, (uint32_t)(grants->slots[pinned].pin >> 32));
}

static void start(uint32_t names_per_address)
{
    pol_grants_options options;

    ctx = paged_ctx();
    cr_assert_not_null(ctx);
    pol_grants_options_init(&options, sizeof(options));
    options.capacity = (uint32_t)(2 * paged_size() / sizeof(struct slot));
    options.names_per_address = names_per_address;
    cr_assert_eq(pol_grants_new(ctx, &options, &grants), POL_OK);
}

static void stop(void)
{
    pol_grants_free(grants);
    pol_ctx_unref(ctx);
}

TestSuite(learn_late, .fini = stop);

/* The address is that of the number, or the same for all. */
static void learn(unsigned number, bool same, uint8_t kind, pol_mono now)
{
    pol_addr addr = {.family = 4, .bytes = {192, 0, 2, same ? 0 : (uint8_t)number}};
    uint64_t key = 1;
    uint32_t ttl = 60;
    char name[32];
    struct grants_lesson lesson = {
        .keys = &key,
        .key_count = 1,
        .kind = kind,
        .name = {name, (size_t)snprintf(name, sizeof(name), "n%u.example", number)},
        .addrs = &addr,
        .ttls = &ttl,
        .addr_count = 1,
    };

    grants_learn(grants, &lesson, now, &learned);
}

static void learn_late(unsigned number, bool same, uint8_t kind, pol_mono now)
{
    struct sigaction action = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO}, before;

    sigaction(SIGSEGV, &action, &before);
    mprotect(grants->slots, slots_size(), PROT_READ);
    learn(number, same, kind, now);
    mprotect(grants->slots, slots_size(), PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &before, NULL);
    cr_assert_neq(pinned, POL_NONE);
    cr_assert_eq(flows_of(grants->slots[pinned].pin), 1);
}

Test(learn_late, another_grant_of_a_full_table_goes)
{
    uint32_t capacity;

    start(8);
    capacity = grants->opts.capacity;
    for (unsigned i = 0; i < capacity; i++)
        learn(i, false, POL_GRANT_ALLOWED, i * S);
    learn_late(capacity, false, POL_GRANT_ALLOWED, capacity * S);
    cr_assert_eq(learned.added, 1);
    cr_assert_not(learned.full);
}

Test(learn_late, another_name_of_an_address_goes)
{
    start(2);
    learn(1, true, POL_GRANT_ALLOWED, 1 * S);
    learn(2, true, POL_GRANT_ALLOWED, 2 * S);
    learn_late(3, true, POL_GRANT_ALLOWED, 3 * S);
    cr_assert_eq(learned.added, 1);
    cr_assert_not(learned.full);
}

Test(learn_late, nothing_is_taken_over_from_under_a_flow)
{
    start(8);
    learn(1, true, POL_GRANT_ALLOWED, 0);
    learn_late(1, true, POL_GRANT_RECORDED, 10000 * S);
    cr_assert_eq(grants->slots[pinned].kind, POL_GRANT_ALLOWED);
    cr_assert_lt(live_until(grants, &grants->slots[pinned]), 10000 * S);
}
