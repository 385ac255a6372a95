/* SPDX-License-Identifier: Apache-2.0 */
#include "net/portset.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/mem.h"
#include "prng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_RANGES = 12, ROUNDS = 3000 };

static struct arena arena;

static void begin(void)
{
    arena_init(&arena, &mem_libc);
}

static void end(void)
{
    arena_fini(&arena);
}

TestSuite(portset, .init = begin, .fini = end);

static struct portset *build(const struct portrange *ranges, size_t count)
{
    struct portset *set = NULL;

    cr_assert_eq(portset_build(&arena, ranges, count, &set), POL_OK);
    return set;
}

static const struct {
    struct portrange given[4];
    size_t given_count;
    struct portrange merged[4];
    uint32_t merged_count;
} merges[] = {
    {{{0}}, 0, {{0}}, 0},
    {{{443, 443}, {80, 80}}, 2, {{80, 80}, {443, 443}}, 2},
    {{{80, 80}, {80, 80}}, 2, {{80, 80}}, 1},
    {{{81, 90}, {80, 80}}, 2, {{80, 90}}, 1}, /* adjacent */
    {{{80, 100}, {85, 90}}, 2, {{80, 100}}, 1},
    {{{80, 90}, {85, 100}, {102, 103}}, 3, {{80, 100}, {102, 103}}, 2},
    {{{65535, 65535}, {0, 0}}, 2, {{0, 0}, {65535, 65535}}, 2},
    {{{1, 65535}, {0, 0}}, 2, {{0, 65535}}, 1},
    {{{65534, 65535}, {65535, 65535}}, 2, {{65534, 65535}}, 1},
};

Test(portset, ranges_are_merged)
{
    for (size_t i = 0; i < COUNT(merges); i++) {
        struct portset *set = build(merges[i].given, merges[i].given_count);

        cr_assert_eq(set->count, merges[i].merged_count, "case %zu", i);
        for (uint32_t j = 0; j < set->count; j++) {
            cr_expect_eq(set->ranges[j].first, merges[i].merged[j].first, "case %zu", i);
            cr_expect_eq(set->ranges[j].last, merges[i].merged[j].last, "case %zu", i);
        }
    }
}

Test(portset, empty_set_has_nothing_and_is_covered_by_all)
{
    static const struct portrange all[] = {{0, 65535}};
    struct portset *empty = build(NULL, 0), *full = build(all, 1);

    cr_expect(!portset_has(empty, 0) && !portset_has(empty, 65535));
    cr_expect(portset_has(full, 0) && portset_has(full, 65535));
    cr_expect(portset_covers(full, empty) && portset_covers(empty, empty));
    cr_expect(!portset_covers(empty, full));
}

/* Ports fall into 64 places near both ends of the space, so that ranges meet often. */
static uint16_t random_port(uint64_t *seed)
{
    unsigned place = prng_below(seed, 64);

    return (uint16_t)(place < 32 ? place : 65535 - (place - 32));
}

static size_t random_ranges(uint64_t *seed, struct portrange *ret_ranges)
{
    size_t count = prng_below(seed, MAX_RANGES + 1);

    for (size_t i = 0; i < count; i++) {
        uint16_t a = random_port(seed);
        uint16_t b = prng_below(seed, 2) ? a : random_port(seed);

        ret_ranges[i] = (struct portrange){a < b ? a : b, a < b ? b : a};
    }
    return count;
}

static bool oracle_has(const struct portrange *ranges, size_t count, unsigned port)
{
    for (size_t i = 0; i < count; i++) {
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    }
    return false;
}

Test(portset, agrees_with_a_scan)
{
    struct portrange a[MAX_RANGES], b[MAX_RANGES];
    uint64_t seed = 1;

    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t a_count = random_ranges(&seed, a), b_count = random_ranges(&seed, b);
        struct portset *outer = build(a, a_count), *inner = build(b, b_count);
        bool covered = true;

        /* 0..63 and the 64 last ports are where ranges end; between them nothing changes. */
        for (unsigned i = 0; i < 128; i++) {
            unsigned port = i < 64 ? i : 65535 - (i - 64);
            bool in_outer = oracle_has(a, a_count, port);

            cr_assert_eq(portset_has(outer, (uint16_t)port), in_outer, "round %u port %u", round,
                         port);
            covered = covered && (in_outer || !oracle_has(b, b_count, port));
        }
        cr_assert_eq(portset_covers(outer, inner), covered, "round %u", round);
        for (uint32_t i = 1; i < outer->count; i++)
            cr_assert_gt(outer->ranges[i].first, outer->ranges[i - 1].last + 1);
    }
}

static void *no_memory(void *user, size_t size)
{
    (void)user;
    (void)size;
    return NULL;
}

Test(portset, without_memory_there_is_no_set)
{
    static const struct portrange web[] = {{80, 80}};
    pol_mem none = {.alloc = no_memory};
    struct portset *set = NULL;
    struct arena poor;

    arena_init(&poor, &none);
    cr_expect_eq(portset_build(&poor, web, 1, &set), POL_E_NOMEM);
    cr_expect_eq(portset_build(&arena, NULL, (size_t)UINT32_MAX + 1, &set), POL_E_NOMEM);
    cr_expect_null(set);
    arena_fini(&poor);
}
