/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from the tables against a count of the edges below an address, one by one. */
#include "match/partition.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/mem.h"

enum { EDGES_MAX = 4000, PROBES = 20000 };

static struct arena arena;
static struct edges edges;
static uint64_t state;

static void begin(void)
{
    arena_init(&arena, &mem_libc);
    edges_init(&edges, &arena);
    state = 1;
}

static void end(void)
{
    edges_fini(&edges);
    arena_fini(&arena);
}

TestSuite(partition, .init = begin, .fini = end);

static uint64_t draw(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state ^ state >> 33) * UINT64_C(0x9e3779b97f4a7c15);
}

static pol_addr addr_of(unsigned family, struct wide wide)
{
    pol_addr addr = {.family = (uint8_t)family};

    for (unsigned i = 0; i < (family == 4 ? 4 : 16); i++)
        addr.bytes[i] = (uint8_t)((i < 8 ? wide.hi : wide.lo) >> (56 - 8 * (i % 8)));
    return addr;
}

/* The upper halves of IPv6 and the upper bits of IPv4 repeat, so that buckets become crowded. */
static struct wide draw_wide(unsigned family)
{
    struct wide wide = {draw(), draw()};

    if (family == 4)
        return (struct wide){(draw() % 3 ? wide.hi : wide.hi >> 20) & ~(uint64_t)UINT32_MAX, 0};
    if (draw() % 2)
        wide.hi = draw() % 5 << 61;
    return wide;
}

/* Edges of ranges of one address each, and the partition cut there. */
static struct partition cut(size_t count)
{
    struct partition partition = {0};

    for (size_t i = 0; i < count; i++) {
        unsigned family = draw() % 2 ? 6 : 4;
        pol_addr addr = addr_of(family, draw_wide(family));

        cr_assert_eq(edges_before(&edges, family == 6, wide_of(&addr)), POL_OK);
        cr_assert_eq(edges_after(&edges, family == 6, wide_last(&addr)), POL_OK);
    }
    cr_assert_eq(partition_build(&edges, &partition), POL_OK);
    return partition;
}

/* The edges are sorted and distinct once a partition was built. */
static uint32_t count_below(const pol_addr *addr)
{
    const struct vec *plane = &edges.planes[addr->family == 6];
    const struct wide *edge = plane->at;
    struct wide wide = wide_of(addr);
    uint32_t below = addr->family == 6 ? (uint32_t)edges.planes[0].count + 1 : 0;

    for (size_t i = 0; i < plane->count && wide_compare(edge[i], wide) < 0; i++)
        below++;
    return below;
}

static void check(const struct partition *partition, unsigned family, struct wide wide)
{
    pol_addr addr = addr_of(family, wide);

    cr_assert_eq(partition_find(partition, &addr), count_below(&addr));
    cr_assert_eq(partition_number(partition, family == 6, wide_of(&addr)), count_below(&addr));
}

Test(partition, number_is_the_count_of_edges_below)
{
    static const size_t sizes[] = {1, 2, 30, 300, EDGES_MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct partition partition = cut(sizes[i]);

        for (unsigned plane = 0; plane < 2; plane++) {
            unsigned family = plane ? 6 : 4;

            for (size_t j = 0; j < edges.planes[plane].count; j++) {
                struct wide edge = ((const struct wide *)edges.planes[plane].at)[j];

                check(&partition, family, edge);
                check(&partition, family, wide_after(edge));
            }
            for (unsigned j = 0; j < PROBES / sizes[i]; j++)
                check(&partition, family, draw_wide(family));
        }
    }
}

Test(partition, families_and_no_address_are_apart_without_edges)
{
    struct partition partition = cut(0);
    pol_addr none = {0};

    cr_assert_eq(partition.count, 3);
    for (unsigned i = 0; i < 2; i++) {
        struct wide wide = i ? (struct wide){UINT64_MAX, UINT64_MAX} : (struct wide){0, 0};
        pol_addr v4 = addr_of(4, wide), v6 = addr_of(6, wide);

        cr_assert_eq(partition_find(&partition, &v4), 0);
        cr_assert_eq(partition_find(&partition, &v6), 1);
    }
    cr_assert_eq(partition_find(&partition, &none), 2);
}

Test(partition, range_to_the_last_address_has_no_edge_behind_it)
{
    pol_addr v4 = addr_of(4, (struct wide){UINT64_MAX, 0});
    pol_addr v6 = addr_of(6, (struct wide){UINT64_MAX, UINT64_MAX});

    cr_assert_eq(edges_after(&edges, 0, wide_last(&v4)), POL_OK);
    cr_assert_eq(edges_after(&edges, 1, wide_last(&v6)), POL_OK);
    cr_assert_eq(edges_before(&edges, 0, (struct wide){0, 0}), POL_OK);
    cr_assert_eq(edges.planes[0].count + edges.planes[1].count, 0);
}

/* What a packet costs does not grow with the rules: a search looks at SCAN addresses at once. */
Test(partition, one_look_is_enough_where_edges_are_spread)
{
    struct partition partition;
    uint32_t most = 0;

    for (uint32_t i = 0; i < EDGES_MAX; i++) {
        pol_addr addr = addr_of(4, (struct wide){draw(), 0});

        cr_assert_eq(edges_before(&edges, 0, wide_of(&addr)), POL_OK);
    }
    cr_assert_eq(partition_build(&edges, &partition), POL_OK);
    for (size_t root = 0; root < (size_t)1 << (32 - partition.v4.shift); root++) {
        uint32_t lasts = partition.v4.roots[root + 1] - partition.v4.roots[root];

        most = lasts > most ? lasts : most;
    }
    cr_expect_leq(most, SCAN);
}
