/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the address inwards:
 *
 *   src -> interval -> spot -> parent spot -> ...      at most one spot per prefix length
 *                       |        |
 *                      list     list                   groups that have exactly this prefix
 *                       |
 *                     tree(s) -> leaf -> blocks of 8 flats in columns
 *
 * partition          addresses of both families -> numbers of intervals
 * cuttree            trees over (destination number, ports, protocol)
 * classify_sources   a source -> the lists of groups on its way, by way of a partition
 * classify_flats     steps -> boxes for the trees, by way of another partition
 *
 * This file puts a tree behind each list. A list of several groups wants one tree of all their
 * steps. Since a group may be in many lists, that is done only while all merged trees together stay
 * within a multiple of the number of flats; after that a list is a chain of its groups' own trees,
 * in the order of their steps, and the walk ends at the first that is certain. So memory is linear
 * in prefixes and flats in every case.
 */
#include "match/classify.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "match/classify_flats.h"
#include "match/classify_sources.h"
#include "match/cuttree.h"

/* Measured with classify_bench. */
enum {
    MERGE_FACTOR = 3, /* flats in merged trees, for each flat of the policy */
    MERGE_FLOOR = 20000
};

/* A tree and the steps of its groups that select everything. */
struct part {
    struct cut_node root;
    int32_t last;       /* highest tag of a flat; -1 when there is none */
    uint32_t all_first; /* in classifier.alls, ascending */
    uint32_t all_count;
};

/* The trees of a group list. */
struct list {
    struct part part;                  /* when chain_count is 0 */
    uint32_t chain_first, chain_count; /* in classifier.chain */
};

struct classifier {
    struct source_trie sources;
    struct partition dst;
    struct forest forest;
    struct list *lists; /* by number in sources.lists */
    struct part *chain;
    int32_t *alls; /* tags */
    uint32_t step_count;
    int32_t policy_default; /* its tag, or NO_TAG */
};

/* ---- Lookup -------------------------------------------------------------------------------- */

static inline int32_t part_find(const struct classifier *c, const struct part *part,
                                const struct probe *probe, int32_t best)
{
    const int32_t *alls = c->alls + part->all_first;
    uint32_t low = 0, high = part->all_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (alls[middle] < probe->from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < part->all_count && alls[low] < best)
        best = alls[low];
    if (part->last < probe->from || part->root.first >= best)
        return best;
    return cuttree_find(&c->forest, &part->root, probe, best);
}

static inline int32_t list_find(const struct classifier *c, const struct list *list,
                                const struct probe *probe, int32_t best)
{
    const struct part *part = list->chain_count ? c->chain + list->chain_first : &list->part;
    const struct part *end = part + (list->chain_count ? list->chain_count : 1);

    for (; part < end; part++) {
        int32_t found = part_find(c, part, probe, best);

        /* The steps of the next groups come later. */
        if (found < best)
            return found;
    }
    return best;
}

uint32_t classify_next(const struct classifier *classifier, const struct classify_path *path,
                       const struct classify_key *key, uint32_t from)
{
    uint32_t dst = path->dst;
    int32_t best = classifier->policy_default;
    struct probe probe;

    if (from >= classifier->step_count)
        return POL_NONE;
    if (dst == POL_NONE)
        dst = partition_find(&classifier->dst, &key->dst);

    probe_init(&probe, key, dst, (int32_t)(from << 1));
    for (unsigned i = 0; i < path->count; i++)
        best = list_find(classifier, &classifier->lists[path->nodes[i]], &probe, best);
    return best == NO_TAG ? POL_NONE : (uint32_t)best >> 1;
}

void classify_source(const struct classifier *classifier, const pol_addr *src,
                     struct classify_path *ret_path)
{
    const struct spot *spot = source_trie_find(&classifier->sources, src);
    uint16_t count = 0;

    ret_path->dst = POL_NONE;
    if (spot->list != POL_NONE) {
        ret_path->nodes[count++] = spot->list;
        while (spot->parent != POL_NONE) {
            spot = &classifier->sources.spots[spot->parent];
            ret_path->nodes[count++] = spot->list;
        }
    }
    ret_path->count = count;
}

void classify_destination(const struct classifier *classifier, const pol_addr *dst,
                          struct classify_path *path)
{
    path->dst = partition_find(&classifier->dst, dst);
}

static uint32_t list_group(const struct source_trie *sources, const struct group_list *list,
                           uint32_t from)
{
    const uint32_t *groups = sources->groups + list->first;
    uint32_t low = 0, high = list->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (groups[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count ? groups[low] : POL_NONE;
}

uint32_t classify_group(const struct classifier *classifier, const struct classify_path *path,
                        uint32_t from)
{
    const struct source_trie *sources = &classifier->sources;
    uint32_t best = POL_NONE;

    for (unsigned i = 0; i < path->count; i++) {
        uint32_t group = list_group(sources, &sources->lists[path->nodes[i]], from);

        if (group < best)
            best = group;
    }
    return best;
}

void classify_prefetch(const struct classifier *classifier, const pol_addr *src)
{
    __builtin_prefetch(source_trie_find(&classifier->sources, src));
}

/* ---- Build: lists -------------------------------------------------------------------------- */

struct build {
    struct arena *arena;
    struct classifier *c;
    uint32_t group_count;
    struct flats flats;
    struct cuttree_builder trees;
    struct vec parts;       /* struct part: of one group each */
    struct vec chain, alls; /* what the classifier's will be */
    uint32_t *group_parts;  /* by group: the part of it alone, in parts; POL_NONE */
    size_t merge_left;      /* flats that merged trees may still have */
};

static int add_group(struct build *b, uint32_t group)
{
    const struct extent *extent = &b->flats.extents[group];
    size_t alls = extent->all_end - extent->all_first;
    int32_t *tags = vec_add(b->arena, &b->alls, alls);

    if (!tags)
        return POL_E_NOMEM;
    if (alls)
        memcpy(tags, (const int32_t *)b->flats.alls.at + extent->all_first, alls * sizeof(*tags));
    return cuttree_add(&b->trees, extent->flat_first, extent->flat_end);
}

/* One tree for all steps of some groups. */
static int build_part(struct build *b, const uint32_t *groups, size_t count, struct part *ret_part)
{
    struct part part = {.all_first = (uint32_t)b->alls.count};
    int rc;

    for (size_t i = 0; i < count; i++) {
        rc = add_group(b, groups[i]);
        if (rc < 0)
            return rc;
    }
    part.all_count = (uint32_t)b->alls.count - part.all_first;
    rc = cuttree_build(&b->trees, &part.root, &part.last);
    *ret_part = part;
    return rc;
}

static size_t group_size(const struct build *b, uint32_t group)
{
    const struct extent *extent = &b->flats.extents[group];

    return extent->flat_end - extent->flat_first + extent->all_end - extent->all_first;
}

/* The tree of one group alone, built when it is first wanted. */
static int group_part(struct build *b, uint32_t group, struct part *ret_part)
{
    if (b->group_parts[group] == POL_NONE) {
        struct part *part = vec_add(b->arena, &b->parts, 1);

        if (!part || build_part(b, &group, 1, part) < 0)
            return POL_E_NOMEM;
        b->group_parts[group] = (uint32_t)b->parts.count - 1;
    }
    *ret_part = ((const struct part *)b->parts.at)[b->group_parts[group]];
    return POL_OK;
}

static int build_chain(struct build *b, const uint32_t *groups, size_t count, struct list *list)
{
    list->chain_first = (uint32_t)b->chain.count;
    for (size_t i = 0; i < count; i++) {
        struct part part, *added;

        if (!group_size(b, groups[i]))
            continue;
        added = vec_add(b->arena, &b->chain, 1);
        if (!added || group_part(b, groups[i], &part) < 0)
            return POL_E_NOMEM;
        *added = part;
    }
    list->chain_count = (uint32_t)b->chain.count - list->chain_first;
    return POL_OK;
}

static int build_list(struct build *b, const struct group_list *from, struct list *list)
{
    const uint32_t *groups = b->c->sources.groups + from->first;
    size_t size = 0;

    if (from->count == 1)
        return group_part(b, groups[0], &list->part);
    for (size_t i = 0; i < from->count; i++)
        size += group_size(b, groups[i]);
    if (size > b->merge_left)
        return build_chain(b, groups, from->count, list);
    b->merge_left -= size;
    return build_part(b, groups, from->count, &list->part);
}

static int build_lists(struct build *b)
{
    const struct source_trie *sources = &b->c->sources;
    struct list *lists = arena_lines(b->arena, sources->list_count * sizeof(*lists));

    if (!lists)
        return POL_E_NOMEM;
    b->c->lists = lists;
    b->merge_left = MERGE_FACTOR * (b->flats.boxes.count + b->flats.alls.count) + MERGE_FLOOR;
    memset(b->group_parts, 0xff, b->group_count * sizeof(*b->group_parts));
    for (uint32_t i = 0; i < sources->list_count; i++) {
        int rc = build_list(b, &sources->lists[i], &lists[i]);

        if (rc < 0)
            return rc;
    }
    return POL_OK;
}

/* ---- Build: all of it ---------------------------------------------------------------------- */

static int build_trees(struct build *b)
{
    struct classifier *c = b->c;
    int rc;

    b->group_parts = mem_array(b->arena->mem, b->group_count, sizeof(*b->group_parts));
    if (!b->group_parts)
        return POL_E_NOMEM;

    cuttree_init(&b->trees, b->arena, b->flats.boxes.at, b->flats.boxes.count, c->dst.count);
    rc = build_lists(b);
    if (rc == POL_OK)
        rc = vec_keep(b->arena, &b->chain, &c->chain);
    if (rc == POL_OK)
        rc = cuttree_keep(&b->trees, &c->forest);
    if (rc == POL_OK)
        rc = vec_keep(b->arena, &b->alls, &c->alls);
    cuttree_fini(&b->trees);
    return rc;
}

static void build_fini(struct build *b)
{
    flats_fini(&b->flats);
    vec_free(b->arena, &b->parts);
    vec_free(b->arena, &b->chain);
    vec_free(b->arena, &b->alls);
    mem_free(b->arena->mem, b->group_parts, b->group_count * sizeof(*b->group_parts));
}

/* The policy default is the last step and belongs to no group. */
static int32_t default_tag(const struct pp_step *steps, uint32_t step_count,
                           bool (*take)(const struct pp_step *step))
{
    uint32_t last = step_count - 1;

    if (!step_count || steps[last].group != POL_NONE || !take(&steps[last]))
        return NO_TAG;
    return (int32_t)(last << 1);
}

int classify_build(struct arena *arena, const struct pp_step *steps, uint32_t step_count,
                   const struct pp_group *groups, uint32_t group_count,
                   bool (*take)(const struct pp_step *step), struct classifier **ret_classifier)
{
    struct classifier *c = arena_alloc(arena, sizeof(*c));
    struct build b = {
        .arena = arena,
        .c = c,
        .group_count = group_count,
        .parts.size = sizeof(struct part),
        .chain.size = sizeof(struct part),
        .alls.size = sizeof(int32_t),
    };
    int rc;

    if (!c)
        return POL_E_NOMEM;
    assert(step_count < 1u << 30);
    c->forest.steps = steps;
    c->step_count = step_count;
    c->policy_default = default_tag(steps, step_count, take);

    rc = source_trie_build(arena, groups, group_count, &c->sources);
    if (rc < 0)
        return rc;

    rc = flats_build(&b.flats, arena, steps, step_count, group_count, take, &c->dst);
    if (rc == POL_OK)
        rc = build_trees(&b);
    build_fini(&b);
    if (rc == POL_OK)
        *ret_classifier = c;
    return rc;
}
