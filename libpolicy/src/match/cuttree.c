/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node cuts one dimension into equal parts, a leaf is searched in full, eight flats at a time;
 * leaves check every field, so a cut may ignore whatever it likes. Flats are ordered by step
 * everywhere, and the number kept with a flat is (step * 2 + inexact), so "next match from i" is
 * one more comparison and the first hit in a leaf is the answer.
 *
 * A cut copies the flats that cross it. A tree may hold at most COPIES_MAX flats for each of its
 * own, so memory is linear in flats; each child gets its share of what is left, by its size. A
 * `fork` separates the flats that span a dimension from those that do not, and both branches are
 * searched: at the root of a tree for destinations, elsewhere when no cut is worth its copies. What
 * can be neither cut nor forked becomes a long leaf: correct, 8 flats in a few ns.
 *
 * A lookup passes at most DEPTH_MAX nodes on the way to a leaf and looks into at most
 * 2^CUTTREE_FORKS leaves.
 */
#include "match/cuttree.h"

#include <string.h>

/* Sizes that were measured with classify_bench, as was CUTTREE_FORKS. */
enum {
    LEAF_FLATS = 8,      /* a node of that many is not cut further */
    LEAF_FLATS_MAX = 16, /* the same in a large policy, which saves half of its memory: */
    LARGE_POLICY = 8192, /* flats from which a copy less is worth more than a comparison less */
    DEPTH_MAX = 24,
    CUT_BITS = 8,   /* children of a node, as a power of two */
    ROOT_BITS = 12, /* the same for the root of a tree */
    COPIES_MAX = 4,
    SAMPLE_MAX = 2048, /* flats a cut is judged by */
    FORK_FLATS = 32    /* a node of fewer is not forked */
};

/* ---- Flats of a part ----------------------------------------------------------------------- */

struct box {
    int32_t low[DIM_COUNT], high[DIM_COUNT];
};

struct span {
    int32_t low, high;
};

/* A part of a tree still to be built: ids[first .. first + count). */
struct task {
    size_t first, count;
    struct box box;
    unsigned depth, forks;
    size_t spare; /* copies it may still make */
};

struct cut {
    uint8_t dim, shift;
    uint16_t last;
    int32_t base;
    double cost;
    size_t copies; /* beyond the flats themselves */
};

static const struct flat *task_flat(const struct cuttree_builder *b, const struct task *task,
                                    size_t i)
{
    const uint32_t *ids = (const uint32_t *)b->ids.at + task->first;

    return b->flats + ids[i];
}

static struct span port_low_span(const struct flat *flat)
{
    int32_t low = flat->dst_port_low & PORT_LOW_MASK, high = flat->dst_port_high & PORT_LOW_MASK;

    if (flat->dst_port_high - flat->dst_port_low > PORT_LOW_MASK || low > high)
        return (struct span){0, PORT_LOW_MASK};
    return (struct span){low, high};
}

static struct span flat_span(const struct flat *flat, unsigned dim)
{
    switch (dim) {
    case DIM_DST:
        return (struct span){flat->dst_low, flat->dst_high};
    case DIM_DST_PORT:
        return (struct span){flat->dst_port_low, flat->dst_port_high};
    case DIM_SRC_PORT:
        return (struct span){flat->src_port_low, flat->src_port_high};
    case DIM_PROTO:
        if (!(flat->proto_mask & PROTO_MASK))
            return (struct span){0, PROTO_MASK};
        return (struct span){flat->proto & PROTO_MASK, flat->proto & PROTO_MASK};
    default:
        return port_low_span(flat);
    }
}

static struct span clip(struct span span, const struct box *box, unsigned dim)
{
    if (span.low < box->low[dim])
        span.low = box->low[dim];
    if (span.high > box->high[dim])
        span.high = box->high[dim];
    return span;
}

/* The first and the last place inside the box where a flat begins or has ended. */
static bool find_edges(const struct cuttree_builder *b, const struct task *task, unsigned dim,
                       struct span *ret_edges)
{
    struct span edges = {INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < task->count; i++) {
        struct span span = clip(flat_span(task_flat(b, task, i), dim), &task->box, dim);

        if (span.low > task->box.low[dim]) {
            edges.low = span.low < edges.low ? span.low : edges.low;
            edges.high = span.low > edges.high ? span.low : edges.high;
        }
        if (span.high < task->box.high[dim]) {
            edges.low = span.high + 1 < edges.low ? span.high + 1 : edges.low;
            edges.high = span.high + 1 > edges.high ? span.high + 1 : edges.high;
        }
    }
    *ret_edges = edges;
    return edges.low <= edges.high;
}

/* ---- Choosing a cut ------------------------------------------------------------------------ */

/* Equal parts from just before the first edge to behind the last, at most 2^bits. */
static struct cut cut_of(unsigned dim, struct span edges, unsigned bits)
{
    struct cut cut = {.dim = (uint8_t)dim};
    int32_t span = edges.high - edges.low;

    while ((span >> cut.shift) + 2 > 1 << bits)
        cut.shift++;
    cut.base = edges.low - (1 << cut.shift);
    cut.last = (uint16_t)((edges.high - cut.base) >> cut.shift);
    return cut;
}

static uint32_t cut_part(const struct cut *cut, int32_t at)
{
    struct cut_node node = {.base = cut->base, .last = cut->last, .shift = cut->shift};

    return cut_child(&node, at);
}

/* How many flats each child would get; judged by a sample. Cost is what a flat picked at random
 * meets in its leaf. */
static void judge(const struct cuttree_builder *b, const struct task *task, struct cut *cut)
{
    int32_t change[(1 << ROOT_BITS) + 1];
    size_t stride = task->count / SAMPLE_MAX + 1, sampled = 0, total = 0, here = 0;
    double scanned = 0;

    memset(change, 0, ((size_t)cut->last + 2) * sizeof(change[0]));
    for (size_t i = 0; i < task->count; i += stride, sampled++) {
        struct span span = clip(flat_span(task_flat(b, task, i), cut->dim), &task->box, cut->dim);

        change[cut_part(cut, span.low)]++;
        change[cut_part(cut, span.high) + 1]--;
    }
    for (unsigned i = 0; i <= cut->last; i++) {
        here += (size_t)(int64_t)change[i];
        total += here;
        scanned += (double)here * (double)(here < b->leaf_flats ? b->leaf_flats : here);
    }
    cut->cost = scanned / (double)total * (double)stride;
    cut->copies = (total - sampled) * stride;
}

static unsigned bits_limit(const struct task *task)
{
    unsigned limit = task->depth ? CUT_BITS : ROOT_BITS, bits = 1;

    while (bits < limit && (size_t)2 << bits <= task->count)
        bits++;
    return bits;
}

/* The cheapest cut that pays for its copies. */
static bool choose_cut(const struct cuttree_builder *b, const struct task *task,
                       struct cut *ret_cut)
{
    size_t copies_max =
        at_most(task->depth ? task->count * 6 / 10 : task->count * 12 / 10, task->spare);
    double best = 0.8 * (double)task->count;
    bool found = false;

    for (unsigned dim = 0; dim < DIM_COUNT; dim++) {
        struct span edges;

        if (!find_edges(b, task, dim, &edges))
            continue;
        for (unsigned bits = bits_limit(task); bits > 0; bits--) {
            struct cut cut = cut_of(dim, edges, bits);

            judge(b, task, &cut);
            if (cut.copies > copies_max || cut.cost >= best)
                continue;
            best = cut.cost;
            *ret_cut = cut;
            found = true;
        }
    }
    return found;
}

/* ---- Leaves -------------------------------------------------------------------------------- */

static void block_set(struct leaf_block *block, unsigned lane, const struct flat *flat)
{
    block->dst_low[lane / 4][lane % 4] = flat->dst_low;
    block->dst_high[lane / 4][lane % 4] = flat->dst_high;
    block->tag[lane / 4][lane % 4] = flat->tag;
    block->dst_port_low[lane] = (int16_t)(flat->dst_port_low ^ 0x8000);
    block->dst_port_high[lane] = (int16_t)(flat->dst_port_high ^ 0x8000);
    block->src_port_low[lane] = (int16_t)(flat->src_port_low ^ 0x8000);
    block->src_port_high[lane] = (int16_t)(flat->src_port_high ^ 0x8000);
    block->proto[lane] = (int16_t)flat->proto;
    block->proto_mask[lane] = (int16_t)flat->proto_mask;
}

static const struct flat no_flat = {.dst_low = INT32_MAX, .dst_high = -1, .tag = NO_TAG};

/* A leaf of these flats, ascending. */
static int tree_leaf(struct cuttree_builder *b, const uint32_t *ids, size_t count,
                     struct cut_node *ret_node)
{
    const struct flat *flats = b->flats;
    size_t lanes = (count + LANES - 1) / LANES * LANES, first = b->blocks.count;
    struct leaf_block *blocks = vec_add(b->arena, &b->blocks, lanes / LANES);

    if (!blocks)
        return POL_E_NOMEM;
    for (size_t i = 0; i < lanes; i++)
        block_set(&blocks[i / LANES], i % LANES, i < count ? &flats[ids[i]] : &no_flat);
    *ret_node = (struct cut_node){
        .child = (uint32_t)first,
        .base = (int32_t)(lanes / LANES),
        .first = count ? flats[ids[0]].tag : NO_TAG,
        .kind = NODE_LEAF,
    };
    return POL_OK;
}

static int tree_node(struct cuttree_builder *b, const struct task *task, struct cut_node *ret_node);

/* ---- Cuts ---------------------------------------------------------------------------------- */

static uint32_t *ids_at(const struct cuttree_builder *b, size_t i)
{
    return (uint32_t *)b->ids.at + i;
}

static struct span task_parts(const struct cuttree_builder *b, const struct task *task,
                              const struct cut *cut, size_t i)
{
    struct span span = clip(flat_span(task_flat(b, task, i), cut->dim), &task->box, cut->dim);

    return (struct span){(int32_t)cut_part(cut, span.low), (int32_t)cut_part(cut, span.high)};
}

/*
 * Deals the flats of a task out to the children of a cut, on top of the ids: first where each
 * child's begin, one more for the end of the last, then the ids. Returns the place of the former
 * and how many of the latter there are, or POL_E_NOMEM.
 */
static int deal(struct cuttree_builder *b, const struct task *task, const struct cut *cut,
                size_t *ret_starts, size_t *ret_total)
{
    size_t starts = b->ids.count, children = (size_t)cut->last + 1, total = 0;

    if (!vec_add(b->arena, &b->ids, children + 1))
        return POL_E_NOMEM;
    memset(ids_at(b, starts), 0, (children + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < task->count; i++) {
        struct span parts = task_parts(b, task, cut, i);

        for (int32_t part = parts.low; part <= parts.high; part++, total++)
            ++*ids_at(b, starts + (size_t)part);
    }
    if (!vec_add(b->arena, &b->ids, total))
        return POL_E_NOMEM;

    /* From counts to ends, and from the last flat to the first down to starts. */
    for (size_t part = 1; part <= children; part++)
        *ids_at(b, starts + part) += *ids_at(b, starts + part - 1);
    for (size_t i = task->count; i-- > 0;) {
        struct span parts = task_parts(b, task, cut, i);

        for (int32_t part = parts.low; part <= parts.high; part++) {
            size_t at = --*ids_at(b, starts + (size_t)part);

            *ids_at(b, starts + children + 1 + at) = *ids_at(b, task->first + i);
        }
    }
    *ret_starts = starts;
    *ret_total = total;
    return POL_OK;
}

static struct task child_task(const struct cuttree_builder *b, const struct task *task,
                              const struct cut *cut, size_t starts, size_t total, unsigned i)
{
    size_t begin = *ids_at(b, starts + i), end = *ids_at(b, starts + i + 1);
    int32_t low = cut->base + (int32_t)(i << cut->shift);
    struct task child = *task;

    child.first = starts + cut->last + 2 + begin;
    child.count = end - begin;
    child.depth++;
    child.spare = (task->spare - at_most(total - task->count, task->spare)) * child.count / total;
    if (i > 0)
        child.box.low[cut->dim] = low;
    if (i < cut->last)
        child.box.high[cut->dim] = low + (1 << cut->shift) - 1;
    return child;
}

static bool same_flats(const struct cuttree_builder *b, const struct task *x, const struct task *y)
{
    return x->count == y->count &&
           memcmp(ids_at(b, x->first), ids_at(b, y->first), x->count * sizeof(uint32_t)) == 0;
}

/* Neighbouring children that share a leaf. */
struct run {
    uint32_t ids[LEAF_FLATS_MAX]; /* all of their flats, ascending */
    size_t count;
    size_t first, end; /* their places in nodes */
};

static bool run_join(const struct cuttree_builder *b, struct run *run, const struct task *task)
{
    const uint32_t *ids = ids_at(b, task->first);
    struct run joined = {.first = run->first, .end = run->end + 1};
    size_t i = 0, j = 0;

    while (i < run->count || j < task->count) {
        uint32_t x = i < run->count ? run->ids[i] : UINT32_MAX;
        uint32_t y = j < task->count ? ids[j] : UINT32_MAX;

        if (joined.count == b->leaf_flats)
            return false;
        joined.ids[joined.count++] = x < y ? x : y;
        i += x <= y;
        j += y <= x;
    }
    *run = joined;
    return true;
}

static int run_end(struct cuttree_builder *b, struct run *run)
{
    struct cut_node leaf, *nodes = b->nodes.at;

    if (run->first == run->end)
        return POL_OK;
    if (tree_leaf(b, run->ids, run->count, &leaf) < 0)
        return POL_E_NOMEM;
    for (size_t i = run->first; i < run->end; i++)
        nodes[i] = leaf;
    *run = (struct run){.first = run->end, .end = run->end};
    return POL_OK;
}

/*
 * Children at nodes[at], at + 1, ... Small ones are gathered into leaves of full size. Neighbours
 * with the same flats share one subtree: it was built for the box of the first, but a key from
 * beyond falls into the outermost parts of its cuts, and every flat both have reaches there.
 */
static int cut_children(struct cuttree_builder *b, const struct task *task, const struct cut *cut,
                        size_t at)
{
    struct run run = {.first = at, .end = at};
    struct task previous = {.count = SIZE_MAX};
    struct cut_node child = {0};
    size_t starts, total;

    if (deal(b, task, cut, &starts, &total) < 0)
        return POL_E_NOMEM;
    for (unsigned i = 0; i <= cut->last; i++, at++) {
        struct task next = child_task(b, task, cut, starts, total, i);

        if (run_join(b, &run, &next))
            continue;
        if (run_end(b, &run) < 0)
            return POL_E_NOMEM;
        if (run_join(b, &run, &next))
            continue;
        if (!same_flats(b, &previous, &next) && tree_node(b, &next, &child) < 0)
            return POL_E_NOMEM;
        ((struct cut_node *)b->nodes.at)[at] = child;
        run.first = run.end = at + 1;
        previous = next;
    }
    return run_end(b, &run);
}

static int tree_cut(struct cuttree_builder *b, const struct task *task, const struct cut *cut,
                    struct cut_node *ret_node)
{
    size_t mark = b->ids.count, at = b->nodes.count;

    if (!vec_add(b->arena, &b->nodes, (size_t)cut->last + 1) || cut_children(b, task, cut, at) < 0)
        return POL_E_NOMEM;
    b->ids.count = mark;
    *ret_node = (struct cut_node){
        .child = (uint32_t)at,
        .base = cut->base,
        .first = task_flat(b, task, 0)->tag,
        .last = cut->last,
        .shift = cut->shift,
        .kind = cut->dim,
    };
    return POL_OK;
}

/* ---- Forks --------------------------------------------------------------------------------- */

/* Does a flat span most of what the flats of the task differ in? */
static bool is_broad(const struct cuttree_builder *b, const struct task *task, size_t i,
                     unsigned dim, struct span edges)
{
    struct span span = clip(flat_span(task_flat(b, task, i), dim), &task->box, dim);

    if (span.low < edges.low)
        span.low = edges.low;
    if (span.high > edges.high)
        span.high = edges.high;
    return span.high - span.low > (edges.high - edges.low) / 2;
}

/* Of the first dimensions, the one in which broad and narrow flats are best separated, and its
 * edges. There must be more than `least` of both. */
static bool choose_fork(const struct cuttree_builder *b, const struct task *task, unsigned dims,
                        size_t least, unsigned *ret_dim, struct span *ret_edges)
{
    bool found = false;

    if (task->forks == CUTTREE_FORKS || task->count < FORK_FLATS)
        return false;
    for (unsigned dim = 0; dim < dims; dim++) {
        struct span edges;
        size_t broad = 0;

        if (!find_edges(b, task, dim, &edges))
            continue;
        for (size_t i = 0; i < task->count; i++)
            broad += is_broad(b, task, i, dim, edges);
        if (at_most(broad, task->count - broad) <= least)
            continue;
        least = at_most(broad, task->count - broad);
        *ret_dim = dim;
        *ret_edges = edges;
        found = true;
    }
    return found;
}

/* Flats with broad destinations would be copied into most children of a tree's first cuts, and
 * there are some in every policy ("any to port 443"): they get a branch of their own at once. */
static bool choose_root_fork(const struct cuttree_builder *b, const struct task *task,
                             unsigned *ret_dim, struct span *ret_edges)
{
    return task->depth == 0 && choose_fork(b, task, DIM_DST + 1, LANES, ret_dim, ret_edges);
}

/* The narrow or the broad flats of a task, on top of the ids. */
static int fork_task(struct cuttree_builder *b, const struct task *task, unsigned dim,
                     struct span edges, bool broad, struct task *ret_child)
{
    struct task child = *task;

    child.first = b->ids.count;
    child.depth++;
    child.forks++;
    if (!vec_add(b->arena, &b->ids, task->count))
        return POL_E_NOMEM;
    child.count = 0;
    for (size_t i = 0; i < task->count; i++) {
        if (is_broad(b, task, i, dim, edges) == broad)
            *ids_at(b, child.first + child.count++) = *ids_at(b, task->first + i);
    }
    child.spare = task->spare * child.count / task->count;
    *ret_child = child;
    return POL_OK;
}

static int tree_fork(struct cuttree_builder *b, const struct task *task, unsigned dim,
                     struct span edges, struct cut_node *ret_node)
{
    struct cut_node node = {.first = task_flat(b, task, 0)->tag, .kind = NODE_FORK}, child;
    size_t mark = b->ids.count;

    node.child = (uint32_t)b->nodes.count;
    if (!vec_add(b->arena, &b->nodes, 2))
        return POL_E_NOMEM;
    for (unsigned i = 0; i < 2; i++) {
        struct task next;

        if (fork_task(b, task, dim, edges, i, &next) < 0 || tree_node(b, &next, &child) < 0)
            return POL_E_NOMEM;
        ((struct cut_node *)b->nodes.at)[node.child + i] = child;
        b->ids.count = mark;
    }
    *ret_node = node;
    return POL_OK;
}

static int tree_node(struct cuttree_builder *b, const struct task *task, struct cut_node *ret_node)
{
    struct cut cut = {0};
    struct span edges = {0};
    unsigned dim = 0;

    if (task->count <= b->leaf_flats || task->depth == DEPTH_MAX)
        return tree_leaf(b, ids_at(b, task->first), task->count, ret_node);
    if (choose_root_fork(b, task, &dim, &edges))
        return tree_fork(b, task, dim, edges, ret_node);
    if (choose_cut(b, task, &cut))
        return tree_cut(b, task, &cut, ret_node);
    if (choose_fork(b, task, DIM_PORT_LOW, task->count / 8, &dim, &edges))
        return tree_fork(b, task, dim, edges, ret_node);
    return tree_leaf(b, ids_at(b, task->first), task->count, ret_node);
}

/* ---- Trees, one after the other ------------------------------------------------------------ */

void cuttree_init(struct cuttree_builder *builder, struct arena *arena, const struct flat *flats,
                  size_t flat_count, uint32_t dst_count)
{
    *builder = (struct cuttree_builder){
        .arena = arena,
        .flats = flats,
        .dst_last = (int32_t)dst_count - 1,
        .leaf_flats = flat_count < LARGE_POLICY ? LEAF_FLATS : LEAF_FLATS_MAX,
        .nodes.size = sizeof(struct cut_node),
        .blocks.size = sizeof(struct leaf_block),
        .ids.size = sizeof(uint32_t),
    };
}

void cuttree_fini(struct cuttree_builder *builder)
{
    vec_free(builder->arena, &builder->nodes);
    vec_free(builder->arena, &builder->blocks);
    vec_free(builder->arena, &builder->ids);
}

int cuttree_add(struct cuttree_builder *builder, size_t first, size_t end)
{
    uint32_t *ids = vec_add(builder->arena, &builder->ids, end - first);

    if (!ids)
        return POL_E_NOMEM;
    for (size_t i = first; i < end; i++)
        *ids++ = (uint32_t)i;
    return POL_OK;
}

int cuttree_build(struct cuttree_builder *builder, struct cut_node *ret_root, int32_t *ret_last)
{
    size_t count = builder->ids.count;
    struct task task = {
        .count = count,
        .box.high = {builder->dst_last, UINT16_MAX, UINT16_MAX, PROTO_MASK, PORT_LOW_MASK},
        .spare = (COPIES_MAX - 1) * count,
    };
    int32_t last = count ? task_flat(builder, &task, count - 1)->tag : -1;
    int rc = tree_node(builder, &task, ret_root);

    if (rc < 0)
        return rc;
    builder->ids.count = 0;
    *ret_last = last;
    return POL_OK;
}

int cuttree_keep(struct cuttree_builder *builder, struct forest *forest)
{
    if (vec_keep(builder->arena, &builder->nodes, &forest->nodes) < 0)
        return POL_E_NOMEM;
    return vec_keep(builder->arena, &builder->blocks, &forest->blocks);
}
