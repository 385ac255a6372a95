/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interval is what no edge lies inside, so all addresses of one interval are in the same of the
 * ranges the edges were taken from, and comparing numbers replaces comparing addresses: whoever
 * works with numbers knows no families and no 128-bit arithmetic.
 *
 * The intervals are given by their last addresses, sorted; a number is how many of them lie below
 * an address, plus a base for IPv6. The last interval of a family has no edge, and one more number
 * stands for "no address".
 *
 * IPv4. A table by the upper bits of an address leads to the few edges that share them, compared
 * all at once: two dependent accesses. The table grows with the edges, up to 2^16 entries; a
 * crowded bucket is halved before it is compared.
 *
 * IPv6. The distinct upper halves are searched through an index of one cache line per level, a
 * factor of nine in edges each; the lower halves that belong to the one that is hit, by halving.
 * Few ranges are finer than a /64, so those are few.
 *
 * Memory is linear in edges.
 */
#include "match/partition.h"

#include <stdlib.h>

enum {
    ROOTS_MIN = 8, /* bits of an IPv4 address that are resolved by table */
    ROOTS_MAX = 16
};

/* ---- Edges --------------------------------------------------------------------------------- */

void edges_init(struct edges *edges, struct arena *arena)
{
    *edges = (struct edges){
        .arena = arena,
        .planes = {{.size = sizeof(struct wide)}, {.size = sizeof(struct wide)}},
    };
}

void edges_fini(struct edges *edges)
{
    vec_free(edges->arena, &edges->planes[0]);
    vec_free(edges->arena, &edges->planes[1]);
}

static int edge_add(struct edges *edges, unsigned plane, struct wide last)
{
    struct wide *edge = vec_add(edges->arena, &edges->planes[plane], 1);

    if (!edge)
        return POL_E_NOMEM;
    *edge = last;
    return POL_OK;
}

int edges_before(struct edges *edges, unsigned plane, struct wide first)
{
    return first.hi || first.lo ? edge_add(edges, plane, wide_before(first)) : POL_OK;
}

int edges_after(struct edges *edges, unsigned plane, struct wide last)
{
    return ~last.hi || ~last.lo ? edge_add(edges, plane, last) : POL_OK;
}

static int compare_wide(const void *a, const void *b)
{
    return wide_compare(*(const struct wide *)a, *(const struct wide *)b);
}

/* Sorts, removes duplicates. */
static void edges_sort(struct vec *edges)
{
    struct wide *at = edges->at;
    size_t kept = 0;

    if (!edges->count)
        return;
    qsort(at, edges->count, sizeof(*at), compare_wide);
    for (size_t i = 0; i < edges->count; i++) {
        if (i == 0 || wide_compare(at[i], at[kept - 1]) != 0)
            at[kept++] = at[i];
    }
    edges->count = kept;
}

/* ---- IPv4 ---------------------------------------------------------------------------------- */

/* Enough roots that a bucket seldom holds more than SCAN lasts, and memory stays in proportion. */
static unsigned root_bits(size_t count)
{
    unsigned bits = ROOTS_MIN;

    while (bits < ROOTS_MAX && (size_t)1 << bits < 8 * count)
        bits++;
    return bits;
}

static int plane4_build(struct arena *arena, const struct wide *edges, size_t count,
                        struct plane4 *plane)
{
    unsigned bits = root_bits(count);
    size_t at = 0;

    plane->shift = 32 - bits;
    plane->roots = arena_lines(arena, (((size_t)1 << bits) + 1) * sizeof(*plane->roots));
    plane->lasts = arena_lines(arena, (count + SCAN) * sizeof(*plane->lasts));
    if (!plane->roots || !plane->lasts)
        return POL_E_NOMEM;

    for (size_t i = 0; i < count + SCAN; i++) {
        plane->lasts[i] =
            i < count ? (int32_t)((uint32_t)(edges[i].hi >> 32) ^ 0x80000000u) : INT32_MAX;
    }
    for (size_t root = 0; root <= (size_t)1 << bits; root++) {
        while (at < count && edges[at].hi >> 32 < (uint64_t)root << plane->shift)
            at++;
        plane->roots[root] = (uint32_t)at;
    }
    return POL_OK;
}

/* ---- IPv6 ---------------------------------------------------------------------------------- */

static int index_level(struct arena *arena, size_t below, size_t span, struct line_index *index)
{
    size_t lines = (below + INDEX_FAN) / (INDEX_FAN + 1);
    const uint64_t *values = index->levels[0];
    uint64_t *level = arena_lines(arena, lines * CACHE_LINE);

    if (!level)
        return POL_E_NOMEM;
    for (size_t line = 0; line < lines; line++) {
        for (size_t i = 0; i < INDEX_FAN; i++) {
            size_t next = line * (INDEX_FAN + 1) + i + 1;

            level[line * INDEX_FAN + i] =
                next < below ? values[next * span * INDEX_FAN - 1] : UINT64_MAX;
        }
    }
    index->levels[++index->top] = level;
    return POL_OK;
}

/* values are sorted and distinct. The last line is padded, so values[count] can be read. */
static int index_build(struct arena *arena, const struct wide *values, size_t count,
                       size_t distinct, struct line_index *ret_index)
{
    size_t lines = distinct / INDEX_FAN + 1, used = 0;
    uint64_t *level = arena_lines(arena, lines * CACHE_LINE);

    if (!level)
        return POL_E_NOMEM;
    memset(level, 0xff, lines * CACHE_LINE);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || values[i].hi != values[i - 1].hi)
            level[used++] = values[i].hi;
    }

    ret_index->top = 0;
    ret_index->levels[0] = level;
    for (size_t span = 1; lines > 1; span *= INDEX_FAN + 1) {
        if (index_level(arena, lines, span, ret_index) < 0)
            return POL_E_NOMEM;
        lines = (lines + INDEX_FAN) / (INDEX_FAN + 1);
    }
    return POL_OK;
}

static int plane6_lows(struct arena *arena, const struct wide *edges, size_t count,
                       struct plane6 *plane)
{
    uint32_t high = 0;

    plane->first = arena_array(arena, (size_t)plane->high_count + 1, sizeof(*plane->first));
    plane->lows = arena_array(arena, count, sizeof(*plane->lows));
    if (!plane->first || !plane->lows)
        return POL_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && edges[i].hi != edges[i - 1].hi)
            plane->first[++high] = (uint32_t)i;
        plane->lows[i] = edges[i].lo;
    }
    plane->first[plane->high_count] = (uint32_t)count;
    return POL_OK;
}

static int plane6_build(struct arena *arena, const struct wide *edges, size_t count,
                        struct plane6 *plane)
{
    int rc;

    plane->high_count = 0;
    for (size_t i = 0; i < count; i++)
        plane->high_count += i == 0 || edges[i].hi != edges[i - 1].hi;
    rc = index_build(arena, edges, count, plane->high_count, &plane->highs);
    if (rc < 0)
        return rc;
    return plane6_lows(arena, edges, count, plane);
}

/* ---- Both ---------------------------------------------------------------------------------- */

int partition_build(struct edges *edges, struct partition *ret_partition)
{
    struct vec *v4 = &edges->planes[0], *v6 = &edges->planes[1];
    int rc;

    edges_sort(v4);
    edges_sort(v6);
    ret_partition->v6.base = (uint32_t)v4->count + 1;
    ret_partition->count = (uint32_t)(v4->count + v6->count) + 3;
    rc = plane4_build(edges->arena, v4->at, v4->count, &ret_partition->v4);
    if (rc == POL_OK)
        rc = plane6_build(edges->arena, v6->at, v6->count, &ret_partition->v6);
    return rc;
}
