/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   address -> interval -> spot -> parent spot -> ...    at most one spot per prefix length
 *                           |        |
 *                         list     list                  groups that have exactly this prefix
 *
 * Group sources are taken apart into prefixes. Two prefixes are nested or apart, so those that hold
 * an address are a chain, and each spot names the next wider one. The partition is cut at all their
 * borders, and an interval keeps a copy of its deepest spot: a lookup is one search and then one
 * access for every further prefix around the address.
 *
 * Lists are interned, so there are as many as there are different sets of groups. Memory is linear
 * in prefixes.
 */
#include "match/classify_sources.h"

#include <stdlib.h>
#include <string.h>

#include "match/classify.h"
#include "net/ipset.h"

struct trie_build {
    struct arena *arena;
    struct source_trie *trie;
    const struct pp_group *groups;
    uint32_t group_count;

    struct edges edges;
    struct vec sources; /* struct source */
    struct vec spots, lists, list_groups;
    struct vec table; /* uint32_t: hash of interned lists, by list id */
};

/* One prefix of one group. */
struct source {
    struct wide first, last;
    uint32_t group;
    uint8_t plane;
};

/* ---- Prefixes ------------------------------------------------------------------------------ */

static struct wide block_last(struct wide first, unsigned len)
{
    first.hi |= len >= 64 ? 0 : UINT64_MAX >> len;
    first.lo |= len >= 128 ? 0 : len <= 64 ? UINT64_MAX : UINT64_MAX >> (len - 64);
    return first;
}

/* The shortest prefix that could begin here. */
static unsigned widest(struct wide first)
{
    if (first.lo)
        return 128 - (unsigned)__builtin_ctzll(first.lo);
    return first.hi ? 64 - (unsigned)__builtin_ctzll(first.hi) : 0;
}

/* Takes a range apart into the prefixes it consists of. */
static int add_sources(struct trie_build *b, uint32_t group, const struct iprange *range)
{
    struct wide first = wide_of(&range->first), last = wide_last(&range->last), end;

    do {
        struct source *source = vec_add(b->arena, &b->sources, 1);
        unsigned len = widest(first);

        if (!source)
            return POL_E_NOMEM;
        while (wide_compare(block_last(first, len), last) > 0)
            len++;
        end = block_last(first, len);
        *source = (struct source){first, end, group, range->first.family == 6};
        if (edges_before(&b->edges, source->plane, first) < 0 ||
            edges_after(&b->edges, source->plane, end) < 0)
            return POL_E_NOMEM;
        first = wide_after(end);
    } while (wide_compare(end, last) < 0);
    return POL_OK;
}

static int compare_prefixes(const struct source *a, const struct source *b)
{
    int order = a->plane - b->plane;

    if (!order)
        order = wide_compare(a->first, b->first);
    return order ? order : wide_compare(b->last, a->last);
}

static int compare_sources(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    int order = compare_prefixes(x, y);

    return order ? order : (x->group > y->group) - (x->group < y->group);
}

static int gather_sources(struct trie_build *b)
{
    for (uint32_t group = 0; group < b->group_count; group++) {
        const struct ipset *set = b->groups[group].sources;

        for (size_t i = 0; i < ipset_range_count(set); i++) {
            struct iprange range = ipset_range(set, i);
            int rc = add_sources(b, group, &range);

            if (rc < 0)
                return rc;
        }
    }
    if (b->sources.count)
        qsort(b->sources.at, b->sources.count, b->sources.size, compare_sources);
    return POL_OK;
}

/* ---- Lists --------------------------------------------------------------------------------- */

static size_t hash_groups(const uint32_t *groups, size_t count)
{
    uint64_t hash = count;

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ groups[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
    return (size_t)(hash ^ hash >> 32);
}

static bool list_is(struct trie_build *b, uint32_t id, const uint32_t *groups, size_t count)
{
    const struct group_list *list = (const struct group_list *)b->lists.at + id;
    const uint32_t *own = (const uint32_t *)b->list_groups.at + list->first;

    return list->count == count && memcmp(own, groups, count * sizeof(*own)) == 0;
}

/* The number of the list with these groups, which are the last ones in list_groups. */
static int intern_list(struct trie_build *b, size_t first, uint32_t *ret_id)
{
    const uint32_t *groups = (const uint32_t *)b->list_groups.at + first;
    size_t count = b->list_groups.count - first, mask = b->table.count - 1;
    uint32_t *table = b->table.at;
    struct group_list *list;
    size_t slot = hash_groups(groups, count) & mask;

    for (; table[slot] != POL_NONE; slot = (slot + 1) & mask) {
        if (list_is(b, table[slot], groups, count)) {
            b->list_groups.count = first;
            *ret_id = table[slot];
            return POL_OK;
        }
    }
    list = vec_add(b->arena, &b->lists, 1);
    if (!list)
        return POL_E_NOMEM;
    *list = (struct group_list){.first = (uint32_t)first, .count = (uint32_t)count};
    *ret_id = table[slot] = (uint32_t)b->lists.count - 1;
    return POL_OK;
}

/* ---- Spots --------------------------------------------------------------------------------- */

/* Adds the spot for sources [first, end), which are one prefix. */
static int add_spot(struct trie_build *b, size_t first, size_t end, uint32_t parent)
{
    const struct source *sources = b->sources.at;
    size_t groups_first = b->list_groups.count;
    uint32_t *groups = vec_add(b->arena, &b->list_groups, end - first);
    struct spot *spot = vec_add(b->arena, &b->spots, 1);

    if (!groups || !spot)
        return POL_E_NOMEM;
    for (size_t i = first; i < end; i++)
        groups[i - first] = sources[i].group;
    spot->parent = parent;
    return intern_list(b, groups_first, &spot->list);
}

/* What lies inside a prefix belongs to it until a longer one, which comes later, takes it. */
static void take_intervals(struct trie_build *b, const struct source *source,
                           const struct spot *spot)
{
    const struct partition *src = &b->trie->partition;
    uint32_t last = partition_number(src, source->plane, source->last);

    for (uint32_t i = partition_number(src, source->plane, source->first); i <= last; i++)
        b->trie->intervals[i] = *spot;
}

static int build_spots(struct trie_build *b)
{
    const struct source *sources = b->sources.at;
    struct {
        const struct source *source;
        uint32_t spot;
    } open[CLASSIFY_PATH_MAX];
    unsigned depth = 0;

    for (size_t first = 0, end; first < b->sources.count; first = end) {
        const struct source *source = &sources[first];
        uint32_t spot = (uint32_t)b->spots.count;
        int rc;

        for (end = first + 1; end < b->sources.count; end++) {
            if (compare_prefixes(source, &sources[end]) != 0)
                break;
        }
        while (depth && (open[depth - 1].source->plane != source->plane ||
                         wide_compare(open[depth - 1].source->last, source->first) < 0))
            depth--;
        rc = add_spot(b, first, end, depth ? open[depth - 1].spot : POL_NONE);
        if (rc < 0)
            return rc;
        take_intervals(b, source, (const struct spot *)b->spots.at + spot);
        open[depth].source = source;
        open[depth++].spot = spot;
    }
    return POL_OK;
}

static int build_table(struct trie_build *b)
{
    size_t size = 16;

    while (size < 2 * b->sources.count)
        size *= 2;
    if (!vec_add(b->arena, &b->table, size))
        return POL_E_NOMEM;
    memset(b->table.at, 0xff, size * b->table.size);
    return POL_OK;
}

static int trie_run(struct trie_build *b)
{
    struct source_trie *trie = b->trie;
    int rc = gather_sources(b);

    if (rc < 0)
        return rc;
    rc = partition_build(&b->edges, &trie->partition);
    if (rc < 0)
        return rc;
    trie->intervals = arena_array(b->arena, trie->partition.count, sizeof(*trie->intervals));
    if (!trie->intervals)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < trie->partition.count; i++)
        trie->intervals[i] = (struct spot){POL_NONE, POL_NONE};
    rc = build_table(b);
    if (rc < 0)
        return rc;
    rc = build_spots(b);
    if (rc < 0)
        return rc;

    trie->list_count = (uint32_t)b->lists.count;
    if (vec_keep(b->arena, &b->spots, &trie->spots) < 0 ||
        vec_keep(b->arena, &b->lists, &trie->lists) < 0)
        return POL_E_NOMEM;
    return vec_keep(b->arena, &b->list_groups, &trie->groups);
}

int source_trie_build(struct arena *arena, const struct pp_group *groups, uint32_t group_count,
                      struct source_trie *ret_trie)
{
    struct trie_build b = {
        .arena = arena,
        .trie = ret_trie,
        .groups = groups,
        .group_count = group_count,
        .sources.size = sizeof(struct source),
        .spots.size = sizeof(struct spot),
        .lists.size = sizeof(struct group_list),
        .list_groups.size = sizeof(uint32_t),
        .table.size = sizeof(uint32_t),
    };
    struct vec *vecs[] = {&b.sources, &b.spots, &b.lists, &b.list_groups, &b.table};
    int rc;

    edges_init(&b.edges, arena);
    rc = trie_run(&b);
    for (size_t i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++)
        vec_free(arena, vecs[i]);
    edges_fini(&b.edges);
    return rc;
}
