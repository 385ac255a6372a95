/* SPDX-License-Identifier: Apache-2.0 */
#include "grants/table.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "../base/counting_mem.h"

#define S POL_SECONDS

static pol_ctx *ctx;
static pol_grants *grants;
static pol_grants_options options;
static struct grants_learned learned;
static struct grants_hit hits[GRANTS_HITS_MAX];

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    pol_grants_options_init(&options, sizeof(options));
    options.capacity = 8;
    options.idle = 100 * S;
    options.idle_two_way = 500 * S;
}

static void teardown(void)
{
    pol_grants_free(grants);
    pol_ctx_unref(ctx);
}

TestSuite(grants, .init = setup, .fini = teardown);

static void make(void)
{
    cr_assert_eq(pol_grants_new(ctx, &options, &grants), POL_OK);
}

static pol_addr address(int number)
{
    return (pol_addr){.family = 4, .bytes = {192, 0, 2, (uint8_t)number}};
}

static void learn_kind(uint64_t key, const char *name, int number, uint32_t ttl, pol_mono now,
                       uint8_t kind)
{
    pol_addr addr = address(number);
    struct grants_lesson lesson = {
        .keys = &key,
        .key_count = 1,
        .kind = kind,
        .name = {name, strlen(name)},
        .addrs = &addr,
        .ttls = &ttl,
        .addr_count = 1,
    };

    grants_learn(grants, &lesson, now, &learned);
}

static void learn(uint64_t key, const char *name, int number, uint32_t ttl, pol_mono now)
{
    learn_kind(key, name, number, ttl, now, POL_GRANT_ALLOWED);
}

static size_t look(uint64_t key, int number, pol_mono now)
{
    pol_addr addr = address(number);

    return grants_lookup(grants, key, &addr, now, hits);
}

/* The state of the only grant of an address. */
static unsigned state(uint64_t key, int number, pol_mono now)
{
    cr_assert_eq(look(key, number, now), 1);
    return hits[0].state;
}

static void pin(uint64_t key, int number, pol_mono now)
{
    cr_assert_eq(look(key, number, now), 1);
    cr_assert(grants_pin(grants, hits[0].slot, hits[0].version));
}

static const struct {
    uint32_t ttl;
    pol_mono ttl_min, ttl_max, touched; /* 0: never */
    bool two_way;
    pol_mono live; /* until */
} lifetimes[] = {
    {60, 0, 86400 * S, 0, false, 1100 * S},        /* idle is longer than the TTL */
    {300, 0, 86400 * S, 0, false, 1300 * S},       /* TTL is longer than idle */
    {0, 200 * S, 86400 * S, 0, false, 1200 * S},   /* raised to the minimum */
    {UINT32_MAX, 0, 400 * S, 0, false, 1400 * S},  /* lowered to the maximum */
    {60, 0, 86400 * S, 1050 * S, false, 1150 * S}, /* used since */
    {60, 0, 86400 * S, 1050 * S, true, 1550 * S},  /* by a flow with packets both ways */
    {300, 0, 86400 * S, 1050 * S, false, 1300 * S},
};

Test(grants, memory_is_what_was_taken)
{
    struct counting counting = {0};

    pol_ctx_unref(ctx);
    ctx = counting_ctx(&counting);
    for (uint32_t capacity = 1; capacity < 5000; capacity = capacity * 3 + 1) {
        size_t before = counting.bytes;

        options.capacity = capacity;
        make();
        cr_expect_eq(pol_grants_memory(grants), counting.bytes - before, "%u", capacity);
        pol_grants_free(grants);
        grants = NULL;
    }
    pol_ctx_unref(ctx);
    ctx = NULL;
}

Test(grants, a_duration_without_end_never_runs_out)
{
    static const size_t fields[] = {offsetof(pol_grants_options, idle),
                                    offsetof(pol_grants_options, ttl_min)};

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        pol_mono *field = (pol_mono *)((char *)&options + fields[i]), before = *field;

        *field = POL_NEVER;
        make();
        learn(1, "a.example", 1, 60, 1000 * S);
        cr_expect_eq(state(1, 1, 1000 * S), POL_GRANT_LIVE, "%zu", i);
        cr_expect_eq(state(1, 1, INT64_MAX), POL_GRANT_LIVE, "%zu", i);
        pol_grants_free(grants);
        grants = NULL;
        *field = before;
    }
}

Test(grants, live_until_the_later_of_answer_and_use)
{
    for (size_t i = 0; i < sizeof(lifetimes) / sizeof(*lifetimes); i++) {
        options.ttl_min = lifetimes[i].ttl_min;
        options.ttl_max = lifetimes[i].ttl_max;
        make();
        learn(1, "a.example", 1, lifetimes[i].ttl, 1000 * S);
        if (lifetimes[i].touched) {
            pin(1, 1, 1000 * S);
            grants_touch(grants, hits[0].slot, lifetimes[i].touched, lifetimes[i].two_way);
            grants_unpin(grants, hits[0].slot);
        }
        cr_expect_eq(state(1, 1, lifetimes[i].live - 1), POL_GRANT_LIVE, "%zu", i);
        cr_expect_eq(state(1, 1, lifetimes[i].live), POL_GRANT_GONE, "%zu", i);
        pol_grants_free(grants);
        grants = NULL;
    }
}

Test(grants, open_flow_keeps_slot_past_expiry)
{
    uint32_t slot;

    make();
    learn(1, "a.example", 1, 60, 0);
    pin(1, 1, 0);
    slot = hits[0].slot;
    cr_assert_eq(state(1, 1, 5000 * S), POL_GRANT_HELD);
    cr_assert_eq(pol_grants_expire(grants, 50000 * S, 8), 0);
    grants_unpin(grants, slot);
    cr_assert_eq(state(1, 1, 5000 * S), POL_GRANT_GONE);
    cr_assert_eq(pol_grants_expire(grants, 50000 * S, 8), 1);
    cr_assert_eq(look(1, 1, 50000 * S), 0);
}

Test(grants, gone_grant_is_remembered_for_an_hour)
{
    make();
    learn(1, "a.example", 1, 100, 0);
    cr_assert_eq(pol_grants_expire(grants, 3699 * S, 8), 0);
    cr_assert_eq(state(1, 1, 3699 * S), POL_GRANT_GONE);
    cr_assert_eq(pol_grants_expire(grants, 3700 * S, 8), 1);
}

Test(grants, expired_grant_counts_once)
{
    pol_grants_stats stats;

    make();
    learn(1, "a.example", 1, 100, 0);
    for (int i = 0; i < 3; i++)
        pol_grants_expire(grants, 1000 * S, 8);
    pol_grants_stats_get(grants, &stats);
    cr_assert_eq(stats.expired, 1);
    cr_assert_eq(stats.live, 0);
    learn(1, "a.example", 1, 100, 1000 * S);
    pol_grants_stats_get(grants, &stats);
    cr_assert_eq(stats.live, 1);
}

Test(grants, families_and_groups_are_kept_apart)
{
    pol_addr six = {.family = 6, .bytes = {192, 0, 2, 1}};

    make();
    learn(1, "a.example", 1, 60, 0);
    cr_assert_eq(look(2, 1, 0), 0);
    cr_assert_eq(grants_lookup(grants, 1, &six, 0, hits), 0);
}

Test(grants, answer_refreshes_and_never_shortens)
{
    make();
    learn(1, "a.example", 1, 600, 0);
    learn(1, "a.example", 1, 10, 1 * S);
    cr_assert_eq(learned.added, 0);
    cr_assert_eq(learned.refreshed, 1);
    cr_assert_eq(state(1, 1, 599 * S), POL_GRANT_LIVE);
}

static const struct {
    uint8_t first, second;
    pol_mono at;
    uint8_t kind;
} kinds[] = {
    {POL_GRANT_OBSERVED, POL_GRANT_ALLOWED, 1 * S, POL_GRANT_ALLOWED},
    {POL_GRANT_ALLOWED, POL_GRANT_OBSERVED, 1 * S, POL_GRANT_ALLOWED},
    {POL_GRANT_RECORDED, POL_GRANT_OBSERVED, 1 * S, POL_GRANT_OBSERVED},
    {POL_GRANT_ALLOWED, POL_GRANT_OBSERVED, 200 * S, POL_GRANT_OBSERVED},
};

Test(grants, stronger_kind_stays_while_the_grant_lives)
{
    make();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        learn_kind(1, "a.example", (int)i, 60, 0, kinds[i].first);
        learn_kind(1, "a.example", (int)i, 60, kinds[i].at, kinds[i].second);
        cr_assert_eq(look(1, (int)i, 0), 1);
        cr_expect_eq(hits[0].kind, kinds[i].kind, "%zu", i);
    }
}

static pol_grant only_grant(pol_mono now)
{
    pol_grant found[2];
    uint32_t position = 0;

    cr_assert_eq(pol_grants_list(grants, &position, now, found, 2), 1);
    return found[0];
}

Test(grants, weaker_answer_leaves_a_live_grant_as_it_is)
{
    pol_grant before, after;

    make();
    learn(1, "a.example", 1, 60, 0);
    before = only_grant(0);
    learn_kind(1, "a.example", 1, 6000, 50 * S, POL_GRANT_OBSERVED);
    learn_kind(1, "a.example", 1, 6000, 51 * S, POL_GRANT_RECORDED);
    cr_assert_eq(learned.refreshed, 1);
    after = only_grant(51 * S);
    cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
    cr_assert_eq(state(1, 1, 100 * S), POL_GRANT_GONE);
}

Test(grants, weaker_answer_leaves_a_held_grant_as_it_is)
{
    uint32_t slot;

    make();
    learn(1, "a.example", 1, 60, 0);
    pin(1, 1, 0);
    slot = hits[0].slot;
    learn_kind(1, "a.example", 1, 6000, 200 * S, POL_GRANT_OBSERVED);
    cr_assert_eq(state(1, 1, 200 * S), POL_GRANT_HELD);
    cr_assert_eq(hits[0].kind, POL_GRANT_ALLOWED);
    grants_unpin(grants, slot);
    cr_assert_eq(state(1, 1, 200 * S), POL_GRANT_GONE);
}

Test(grants, weaker_answer_takes_over_what_is_gone_with_its_own_times)
{
    make();
    learn(1, "a.example", 1, 60, 0);
    pin(1, 1, 0);
    grants_touch(grants, hits[0].slot, 10 * S, true);
    grants_unpin(grants, hits[0].slot);
    learn_kind(1, "a.example", 1, 60, 1000 * S, POL_GRANT_OBSERVED);
    cr_assert_eq(state(1, 1, 1100 * S - 1), POL_GRANT_LIVE);
    cr_assert_eq(hits[0].kind, POL_GRANT_OBSERVED);
    cr_assert_eq(state(1, 1, 1100 * S), POL_GRANT_GONE);
}

/* Whether anybody has freed the slot meanwhile makes no difference. */
Test(grants, what_is_learned_after_it_was_gone_is_another_grant)
{
    for (int freed = 0; freed < 2; freed++) {
        make();
        learn(1, "a.example", 1, 60, 0);
        pin(1, 1, 0);
        grants_touch(grants, hits[0].slot, 10 * S, true);
        grants_unpin(grants, hits[0].slot);
        if (freed)
            cr_assert_eq(pol_grants_expire(grants, 9000 * S, 100), 1);
        learn(1, "a.example", 1, 60, 9000 * S);
        cr_expect_eq(state(1, 1, 9100 * S - 1), POL_GRANT_LIVE);
        cr_expect_eq(state(1, 1, 9100 * S), POL_GRANT_GONE, "freed: %d", freed);
        pol_grants_free(grants);
        grants = NULL;
    }
}

/* A reader whose clock is behind has found it live. */
Test(grants, what_was_taken_over_cannot_be_pinned_for_what_it_was)
{
    struct grants_hit old;

    make();
    learn(1, "a.example", 1, 60, 0);
    cr_assert_eq(state(1, 1, 0), POL_GRANT_LIVE);
    old = hits[0];
    learn_kind(1, "a.example", 1, 60, 1000 * S, POL_GRANT_OBSERVED);
    cr_assert_not(grants_pin(grants, old.slot, old.version));
    pin(1, 1, 1000 * S);
    cr_assert_eq(state(1, 1, 5000 * S), POL_GRANT_HELD);
}

Test(grants, weaker_grant_restored_extends_nothing)
{
    pol_grant grant = {
        .group_key = 1,
        .addr = address(1),
        .kind = POL_GRANT_OBSERVED,
        .name_len = 9,
        .ttl = 6000,
        .answered = 50 * S,
        .used = 50 * S,
        .name = "a.example",
    };

    make();
    learn(1, "a.example", 1, 60, 0);
    cr_assert_eq(pol_grants_restore(grants, &grant, 50 * S), POL_OK);
    cr_assert_eq(state(1, 1, 100 * S), POL_GRANT_GONE);
}

Test(grants, least_recently_used_address_of_a_name_goes_first)
{
    options.addresses_per_name = 3;
    make();
    for (int i = 1; i <= 3; i++)
        learn(1, "a.example", i, 60, (pol_mono)i * S);
    learn(1, "a.example", 1, 60, 4 * S);
    learn(1, "b.example", 9, 60, 5 * S);
    learn(1, "a.example", 4, 60, 6 * S);
    cr_assert_eq(look(1, 2, 6 * S), 0);
    cr_assert_eq(look(1, 1, 6 * S), 1);
    cr_assert_eq(look(1, 9, 6 * S), 1);
}

Test(grants, least_recently_used_name_of_an_address_goes_first)
{
    char text[POL_NAME_MAX + 1];
    uint8_t len;

    options.names_per_address = 2;
    make();
    learn(1, "a.example", 1, 60, 1 * S);
    learn(1, "b.example", 1, 60, 2 * S);
    learn(1, "c.example", 1, 60, 3 * S);
    cr_assert_eq(look(1, 1, 3 * S), 2);
    for (int i = 0; i < 2; i++) {
        cr_assert(grants_name(grants, hits[i].name, hits[i].name_hash, text, &len));
        cr_assert_neq(text[0], 'a');
    }
}

Test(grants, eviction_spares_a_grant_with_an_open_flow)
{
    pol_grants_stats stats;

    options.capacity = 2;
    make();
    learn(1, "a.example", 1, 60, 1 * S);
    learn(1, "b.example", 2, 60, 2 * S);
    pin(1, 1, 2 * S);
    learn(1, "c.example", 3, 60, 3 * S);
    cr_assert_eq(learned.added, 1);
    cr_assert_eq(look(1, 1, 3 * S), 1);
    pin(1, 3, 3 * S);
    learn(1, "d.example", 4, 60, 4 * S);
    cr_assert(learned.full);
    cr_assert_eq(learned.added, 0);
    pol_grants_stats_get(grants, &stats);
    cr_assert_eq(stats.refused_full, 1);
    cr_assert_eq(stats.evicted_total, 1);
}

Test(grants, name_exceeds_its_cap_only_by_open_flows)
{
    options.addresses_per_name = 1;
    make();
    learn(1, "a.example", 1, 60, 1 * S);
    pin(1, 1, 1 * S);
    learn(1, "a.example", 2, 60, 2 * S);
    learn(1, "a.example", 3, 60, 3 * S);
    cr_assert_eq(look(1, 1, 3 * S), 1);
    cr_assert_eq(look(1, 2, 3 * S), 0);
    cr_assert_eq(look(1, 3, 3 * S), 1);
}

Test(grants, use_by_a_flow_counts_for_who_goes_first)
{
    options.addresses_per_name = 3;
    make();
    for (int i = 1; i <= 3; i++)
        learn(1, "a.example", i, 60, (pol_mono)i * S);
    pin(1, 1, 3 * S);
    grants_touch(grants, hits[0].slot, 4 * S, false);
    grants_unpin(grants, hits[0].slot);
    learn(1, "a.example", 4, 60, 5 * S);
    cr_assert_eq(look(1, 1, 5 * S), 1);
    cr_assert_eq(look(1, 2, 5 * S), 0);
}

static void restore(int number, pol_mono answered, pol_mono now)
{
    pol_grant grant = {.group_key = 1, .addr = address(number), .ttl = 60, .answered = answered};

    grant.name_len = (uint8_t)strlen(strcpy(grant.name, "a.example"));
    cr_assert_eq(pol_grants_restore(grants, &grant, now), POL_OK);
}

/* Grants are restored in any order. */
Test(grants, late_answer_with_an_early_time_goes_first)
{
    options.addresses_per_name = 3;
    make();
    restore(1, 5 * S, 7 * S);
    restore(2, 7 * S, 7 * S);
    restore(3, 3 * S, 7 * S);
    learn(1, "a.example", 4, 60, 8 * S);
    cr_assert_eq(look(1, 3, 8 * S), 0);
    learn(1, "a.example", 5, 60, 9 * S);
    cr_assert_eq(look(1, 1, 9 * S), 0);
    cr_assert_eq(look(1, 2, 9 * S), 1);
}

/* Here by 95 seconds, as two learners' clocks may differ by less. */
/* Of all sets, a grant counted in each of its own. */
static uint32_t count_strays(void)
{
    uint32_t strays = 0;

    for (uint32_t i = 0; i < SET_KINDS * options.capacity; i++)
        strays += grants->sets[i].count ? grants->sets[i].strays : 0;
    return strays;
}

/* While answers come in order, who goes first is known without a search. */
Test(grants, only_late_answers_are_out_of_order)
{
    pol_grant early = {
        .group_key = 1,
        .addr = address(4),
        .name_len = 9,
        .ttl = 6000,
        .answered = 1 * S,
        .used = 1 * S,
        .name = "a.example",
    };

    make();
    for (int i = 1; i <= 3; i++)
        learn(1, "a.example", i, 6000, (pol_mono)(i / 2 + 1) * S);
    cr_expect_eq(count_strays(), 0);
    cr_assert_eq(pol_grants_restore(grants, &early, 3 * S), POL_OK);
    cr_expect_eq(count_strays(), 2); /* in its group and in its name */
}

Test(grants, clock_that_goes_back_stands_still)
{
    pol_grant grant;
    uint32_t position = 0;
    pol_addr addr = address(1);

    make();
    learn(1, "a.example", 1, 60, 100 * S);
    learn(1, "b.example", 2, 60, 5 * S);
    cr_assert_eq(state(1, 2, 199 * S), POL_GRANT_LIVE);
    cr_assert_eq(pol_grants_expire(grants, 200 * S, SIZE_MAX), 0);
    cr_assert_eq(pol_grants_list(grants, &position, 5 * S, &grant, 1), 0);
    cr_assert_eq(pol_grants_names(grants, 1, &addr, 5 * S, &grant, 1), 0);
    grant = (pol_grant){.addr = addr, .ttl = 60, .answered = 20 * S, .name_len = 1, .name = "a"};
    cr_assert_eq(pol_grants_restore(grants, &grant, 5 * S), POL_E_NOTFOUND);
    learn(1, "a.example", 1, 60, 5 * S);
    cr_assert_eq(pol_grants_expire(grants, 5 * S, SIZE_MAX), 0);
    cr_assert_eq(state(1, 1, 299 * S), POL_GRANT_LIVE);
}

/* What is gone goes before what was used earlier but lives by its TTL. */
Test(grants, gone_address_of_a_name_goes_first)
{
    options.addresses_per_name = 3;
    make();
    learn(1, "a.example", 1, 6000, 1 * S);
    learn(1, "a.example", 2, 60, 2 * S);
    learn(1, "a.example", 3, 6000, 300 * S);
    learn(1, "a.example", 4, 60, 301 * S);
    cr_assert_eq(look(1, 1, 301 * S), 1);
    cr_assert_eq(look(1, 2, 301 * S), 0);
}

Test(grants, address_goes_first_from_the_moment_that_it_is_gone)
{
    options.addresses_per_name = 2;
    for (int late = 0; late < 2; late++) {
        make();
        learn(1, "a.example", 1, 6000, 1 * S);
        learn(1, "a.example", 2, 60, 2 * S);
        learn(1, "a.example", 3, 6000, 102 * S - 1 + late);
        cr_expect_eq(look(1, 1, 102 * S), late);
        cr_expect_eq(look(1, 2, 102 * S), 1 - late);
        pol_grants_free(grants);
        grants = NULL;
    }
}

/* A full table gives up what is gone, of whichever group. */
Test(grants, grant_of_the_table_goes_first_from_the_moment_that_it_is_gone)
{
    for (int late = 0; late < 2; late++) {
        make();
        learn(3, "gone.example", 100, 60, 2 * S);
        for (int i = 0; i < 7; i++)
            learn(1, "greedy.example", i, 6000, (pol_mono)(i + 3) * S);
        learn(2, "new.example", 101, 60, 102 * S - 1 + late);
        cr_expect_eq(look(3, 100, 102 * S), 1 - late);
        cr_expect_eq(look(1, 0, 102 * S), late);
        pol_grants_free(grants);
        grants = NULL;
    }
}

Test(grants, expiry_looks_at_no_more_than_it_is_allowed)
{
    make();
    for (int i = 0; i < 8; i++)
        learn(1, "a.example", i, 60, 0);
    cr_expect_eq(pol_grants_expire(grants, 50000 * S, 0), 0);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(pol_grants_expire(grants, 50000 * S, 1), 1);
}

static uint32_t count_live(pol_mono now)
{
    static pol_grant all[1024];
    uint32_t position = 0;

    return (uint32_t)pol_grants_list(grants, &position, now, all, 1024);
}

/* 512 slots for one that is gone, and 32 more for each address that a flow makes it look. */
Test(grants, lesson_looks_at_a_bounded_part_of_the_table)
{
    enum { MANY = 20000, ADDRESSES = 16 };
    pol_addr addrs[ADDRESSES];
    uint32_t ttls[ADDRESSES] = {0};
    uint64_t key = 2;
    struct grants_lesson lesson = {&key,  1,    POL_GRANT_ALLOWED, {"late.example", 12},
                                   addrs, ttls, ADDRESSES};
    pol_grants_stats stats;
    char name[32];

    options.capacity = MANY;
    make();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        learn(1, name, i % 200, 6000, S);
    }
    pol_grants_stats_get(grants, &stats);
    cr_assert_eq(stats.live, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        cr_assert(grants_pin(grants, i, (uint32_t)(grants->slots[i].pin >> 32)));
    for (int i = 0; i < ADDRESSES; i++)
        addrs[i] = address(i);
    grants_learn(grants, &lesson, 2 * S, &learned);
    cr_expect(learned.full);
    cr_expect_eq(grants->sweep, 512 + ADDRESSES * 32);
}

/* More flows than candidates are looked at, all on the grants that would go first. */
Test(grants, flows_in_the_way_hide_nobody)
{
    options.capacity = 1024;
    options.addresses_per_name = 200;
    make();
    for (int i = 0; i < 200; i++)
        learn(1, "a.example", i, 6000, (pol_mono)(i + 1) * S);
    for (int i = 0; i < 150; i++)
        pin(1, i, 200 * S);
    for (int i = 200; i < 250; i++)
        learn(1, "a.example", i, 6000, (pol_mono)(i + 1) * S);
    for (int i = 0; i < 250; i++)
        cr_expect_eq(look(1, i, 250 * S), i < 150 || i >= 200, "%d", i);
    cr_assert_eq(count_live(250 * S), 200);
}

Test(grants, name_comes_back_to_its_cap_when_its_flows_are_over)
{
    options.addresses_per_name = 2;
    make();
    for (int i = 1; i <= 6; i++) {
        learn(1, "a.example", i, 6000, (pol_mono)i * S);
        pin(1, i, 6 * S);
    }
    for (int i = 1; i <= 6; i++) {
        cr_assert_eq(look(1, i, 6 * S), 1);
        grants_unpin(grants, hits[0].slot);
    }
    for (int i = 7; i <= 10; i++) {
        learn(1, "a.example", i, 6000, (pol_mono)i * S);
        cr_expect_eq(count_live(10 * S), i < 10 ? 12u - (unsigned)i : 2u); /* two go for one */
    }
}

Test(grants, others_take_from_the_largest_group)
{
    options.capacity = 16;
    make();
    for (int i = 0; i < 6; i++)
        learn(1, "a.example", i, 6000, 1 * S);
    for (int i = 0; i < 10; i++)
        learn(2, "a.example", i, 6000, 2 * S);
    for (int i = 0; i < 4; i++)
        learn(3, "a.example", i, 6000, 3 * S);
    for (int i = 0; i < 6; i++)
        cr_expect_eq(look(1, i, 3 * S), 1, "%d", i);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(look(2, i, 3 * S), i >= 4, "%d", i);
}

/* The worst answer: 512 addresses, 16 groups, into a table that is full. */
Test(grants, largest_lesson_fits_into_a_full_table)
{
    static pol_addr addrs[512];
    static uint32_t ttls[512];
    uint64_t keys[16];
    struct grants_lesson lesson = {.keys = keys,
                                   .key_count = 16,
                                   .addrs = addrs,
                                   .ttls = ttls,
                                   .addr_count = 512,
                                   .name = {"a.example", 9}};
    pol_grants_stats stats;

    options.capacity = 10000;
    options.addresses_per_name = 400;
    make();
    for (uint64_t i = 0; i < 16; i++)
        keys[i] = i + 1;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 512; i++) {
            addrs[i] =
                (pol_addr){.family = 6, .bytes = {(uint8_t)round, (uint8_t)i, (uint8_t)(i >> 8)}};
        }
        lesson.name.len = round % 2 ? 8 : 9;
        grants_learn(grants, &lesson, (round + 1) * S, &learned);
        cr_assert_eq(learned.added, 512 * 16);
    }
    pol_grants_stats_get(grants, &stats);
    cr_assert_eq(stats.live, stats.learned - stats.evicted_name - stats.evicted_total);
    cr_assert_eq(stats.live, 10000);
    cr_assert_eq(grants_lookup(grants, 16, &addrs[511], 20 * S, hits), 1);
    cr_assert_eq(grants_lookup(grants, 16, &addrs[111], 20 * S, hits), 0);
}

Test(grants, group_above_its_fair_share_evicts_its_own)
{
    char name[32];

    make();
    learn(2, "quiet.example", 100, 60, 0);
    learn(2, "quiet.example", 101, 60, 0);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        learn(1, name, i, 60, (pol_mono)(i + 1) * S);
        cr_assert_eq(learned.added, 1);
    }
    cr_assert_eq(look(2, 100, 41 * S), 1);
    cr_assert_eq(look(2, 101, 41 * S), 1);
}

Test(grants, group_below_its_share_takes_from_the_greedy)
{
    make();
    for (int i = 0; i < 8; i++)
        learn(1, "greedy.example", i, 60, (pol_mono)(i + 1) * S);
    learn(2, "quiet.example", 100, 60, 20 * S);
    cr_assert_eq(learned.added, 1);
    cr_assert_eq(look(1, 0, 20 * S), 0);
    cr_assert_eq(look(1, 1, 20 * S), 1);
}

Test(grants, pin_of_a_reused_slot_fails)
{
    struct grants_hit old;

    options.capacity = 1;
    make();
    learn(1, "a.example", 1, 60, 0);
    cr_assert_eq(look(1, 1, 0), 1);
    old = hits[0];
    learn(1, "b.example", 2, 60, 1 * S);
    cr_assert_not(grants_pin(grants, old.slot, old.version));
}

/* A reader may find a slot in its chain that a learner has just released: with the version it has
 * while it is free. */
Test(grants, released_slot_cannot_be_pinned)
{
    make();
    learn(1, "a.example", 1, 60, 0);
    cr_assert_eq(look(1, 1, 0), 1);
    cr_assert_eq(pol_grants_expire(grants, 10000 * S, 8), 1);
    cr_assert_not(grants_pin(grants, hits[0].slot, hits[0].version));
    cr_assert_not(grants_pin(grants, hits[0].slot, hits[0].version + 1));
}

Test(grants, slot_that_is_being_released_is_not_found)
{
    make();
    learn(1, "a.example", 1, 60, 0);
    cr_assert_eq(look(1, 1, 0), 1);
    atomic_fetch_add(&grants->slots[hits[0].slot].pin, UINT64_C(1) << 32);
    cr_assert_eq(look(1, 1, 0), 0);
    atomic_fetch_sub(&grants->slots[hits[0].slot].pin, UINT64_C(1) << 32);
    cr_assert_eq(look(1, 1, 0), 1);
}

Test(grants, one_lesson_serves_several_groups_and_addresses)
{
    const uint64_t keys[] = {1, 2, 3};
    const pol_addr addrs[] = {address(1), address(2)};
    const uint32_t ttls[] = {60, 60};
    struct grants_lesson lesson = {.keys = keys,
                                   .key_count = 3,
                                   .name = {"a.example", 9},
                                   .addrs = addrs,
                                   .ttls = ttls,
                                   .addr_count = 2};

    make();
    grants_learn(grants, &lesson, 0, &learned);
    cr_assert_eq(learned.added, 6);
    for (uint64_t key = 1; key <= 3; key++)
        cr_assert_eq(look(key, 2, 0), 1);
}

Test(grants, list_comes_in_batches_without_what_is_gone)
{
    pol_grant batch[2];
    uint32_t position = 0;
    size_t total = 0, count;

    make();
    for (int i = 0; i < 5; i++)
        learn(1, "a.example", i, i == 2 ? 60 : 600, 0);
    do {
        count = pol_grants_list(grants, &position, 300 * S, batch, 2);
        total += count;
    } while (count == 2);
    cr_assert_eq(total, 4);
}

Test(grants, names_come_newest_use_first_with_those_of_nobody)
{
    pol_addr addr = address(1);
    pol_grant found[2];

    make();
    learn(1, "a.example", 1, 60, 1 * S);
    learn(1, "c.example", 1, 60, 2 * S);
    learn_kind(0, "b.example", 1, 60, 3 * S, POL_GRANT_RECORDED);
    learn(2, "d.example", 1, 60, 4 * S);
    cr_assert_eq(pol_grants_names(grants, 1, &addr, 5 * S, found, 2), 3);
    cr_assert_str_eq(found[0].name, "b.example");
    cr_assert_str_eq(found[1].name, "c.example");
}

Test(grants, names_beyond_the_room_given_are_counted_and_not_written)
{
    const pol_grant untouched = {.group_key = 77};

    make();
    learn(1, "a.example", 1, 60, 1 * S);
    learn(1, "b.example", 1, 60, 2 * S);
    learn(1, "c.example", 2, 60, 2 * S);
    learn(1, "d.example", 2, 60, 1 * S);
    for (int number = 1; number <= 2; number++) {
        pol_grant found[2] = {untouched, untouched};
        pol_addr addr = address(number);

        cr_expect_eq(pol_grants_names(grants, 1, &addr, 5 * S, found, 1), 2);
        cr_expect_eq(found[0].used, 2 * S);
        cr_expect_eq(found[1].group_key, untouched.group_key);
        cr_expect_eq(pol_grants_names(grants, 1, &addr, 5 * S, found, 0), 2);
    }
}

static const struct {
    uint8_t family, name_len, kind;
    uint32_t ttl;
    pol_mono answered;
    int rc;
} restored[] = {
    {4, 9, POL_GRANT_ALLOWED, 60, 1000 * S, POL_OK},
    {4, 9, POL_GRANT_RECORDED, 60, 1000 * S, POL_OK},
    {0, 9, POL_GRANT_ALLOWED, 60, 1000 * S, POL_E_INVALID},
    {4, 0, POL_GRANT_ALLOWED, 60, 1000 * S, POL_E_INVALID},
    {4, 9, 3, 60, 1000 * S, POL_E_INVALID},
    {4, 9, POL_GRANT_ALLOWED, 60, 100 * S, POL_E_NOTFOUND},
    {4, 9, POL_GRANT_ALLOWED, 60, 901 * S, POL_E_NOTFOUND}, /* idle for 100 s this moment */
    {4, 9, POL_GRANT_ALLOWED, 60, 901 * S + 1, POL_OK},
    {4, 9, POL_GRANT_ALLOWED, 200, 801 * S, POL_E_NOTFOUND}, /* its TTL ends this moment */
    {4, 9, POL_GRANT_ALLOWED, 200, 801 * S + 1, POL_OK},
};

Test(grants, restore_takes_only_what_still_lives)
{
    make();
    for (size_t i = 0; i < sizeof(restored) / sizeof(*restored); i++) {
        pol_grant grant = {
            .group_key = 1,
            .addr = {.family = restored[i].family, .bytes = {192, 0, 2, 1}},
            .kind = restored[i].kind,
            .name_len = restored[i].name_len,
            .ttl = restored[i].ttl,
            .answered = restored[i].answered,
            .used = restored[i].answered,
            .name = "a.example",
        };

        cr_expect_eq(pol_grants_restore(grants, &grant, 1001 * S), restored[i].rc, "%zu", i);
    }
    cr_assert_eq(state(1, 1, 1001 * S), POL_GRANT_LIVE);
}

Test(grants, restored_row_of_the_future_lives_no_longer_than_one_of_now)
{
    pol_addr addr = address(1);
    pol_grant grant = {
        .group_key = 1,
        .addr = addr,
        .name_len = 9,
        .ttl = 60,
        .two_way = 8,
        .learned = 9000 * S,
        .answered = 9000 * S,
        .used = POL_NEVER - 1,
        .name = "a.example",
    };

    make();
    cr_assert_eq(pol_grants_restore(grants, &grant, 1000 * S), POL_OK);
    cr_assert_eq(pol_grants_names(grants, 1, &addr, 1000 * S, &grant, 1), 1);
    cr_expect_eq(grant.learned, 1000 * S);
    cr_expect_eq(grant.used, 1000 * S);
    cr_expect_eq(grant.two_way, 1);
    cr_expect_eq(state(1, 1, 1500 * S), POL_GRANT_GONE);
}

Test(grants, restored_row_that_carried_both_ways_keeps_its_longer_idle_time)
{
    pol_grant grant = {
        .group_key = 1,
        .addr = address(1),
        .name_len = 9,
        .two_way = 1,
        .answered = 1000 * S,
        .used = 1000 * S,
        .name = "a.example",
    };

    make();
    learn(1, "a.example", 1, 0, 900 * S);
    cr_assert_eq(pol_grants_restore(grants, &grant, 1400 * S), POL_OK);
    cr_expect_eq(state(1, 1, 1400 * S), POL_GRANT_LIVE);
}

Test(grants, largest_capacity_is_asked_for)
{
    struct counting counting = {.fail_at = 2}; /* the first is the context */
    pol_ctx *small = counting_ctx(&counting);

    options.capacity = 1 << 24;
    cr_expect_eq(pol_grants_new(small, &options, &grants), POL_E_NOMEM);
    options.capacity++;
    cr_expect_eq(pol_grants_new(small, &options, &grants), POL_E_INVALID);
    pol_ctx_unref(small);
}

Test(grants, capacity_out_of_range_is_refused)
{
    options.capacity = 0;
    cr_assert_eq(pol_grants_new(ctx, &options, &grants), POL_E_INVALID);
    options.capacity = UINT32_MAX;
    cr_assert_eq(pol_grants_new(ctx, &options, &grants), POL_E_INVALID);
    options.capacity = 8;
    options.names_per_address = GRANTS_HITS_MAX + 1;
    cr_assert_eq(pol_grants_new(ctx, &options, &grants), POL_E_INVALID);
}
