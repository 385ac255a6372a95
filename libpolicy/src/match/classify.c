/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the address inwards:
 *
 *   src -> interval -> node -> parent node -> ...      at most one node per prefix length
 *                       |        |
 *                      list     list                   groups that have exactly this prefix
 *                       |
 *                     tree(s) -> leaf -> blocks of 8 flats in columns
 *
 * Addresses. A `partition` cuts both address spaces into intervals no prefix border lies inside,
 * and numbers them in address order, IPv4 first. One partition of the sources leads to the deepest
 * node; one of the destinations turns every destination set into ranges of numbers, so that the
 * trees know no families and no 128-bit arithmetic. For IPv4 a table by the upper
 * bits leads to a few borders that are compared all at once, two dependent accesses; for IPv6 a
 * search takes one cache line for every factor of nine in borders.
 *
 * Flats. A step becomes the products of its destination ranges and port ranges: boxes in
 * (destination number, destination port, source port, protocol). ICMP type and code stand in the
 * place of the ports. Where a step would become too many boxes, or its set is none, the flat is a
 * box around it and marked; a hit is then checked with rule_selects(). Steps that select everything
 * are no flats but a sorted array per tree, one entry of which bounds the search from the start.
 *
 * Trees. A node cuts one dimension into equal parts, a leaf is searched in full, eight flats at a
 * time; leaves check every field, so a cut may ignore whatever it likes. Flats are ordered by step
 * everywhere, and the number kept with a flat is (step * 2 + inexact), so "next match from i" is
 * one more comparison and the first hit in a leaf is the answer. A cut copies the flats that cross
 * it. A tree may hold at most COPIES_MAX flats for each of its own. A `fork` separates the flats
 * that span a dimension from those that do not, and both branches are searched: at the root of a
 * tree for destinations, elsewhere when no cut is worth its copies. What can be neither cut nor
 * forked becomes a long leaf: correct, 8 flats in a few ns.
 *
 * Lists. A node with several groups wants one tree of all their steps. Since a group may be in many
 * lists, that is done only while all merged trees together stay within a multiple of the number of
 * flats; after that a list is a chain of its groups' own trees, in the order of their steps, and
 * the walk ends at the first that is certain. So memory is linear in prefixes and flats in every
 * case.
 */
#include "match/classify.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "match/rule.h"
#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"

enum {
    LINE = 64,
    INDEX_FAN = LINE / sizeof(uint64_t),
    INDEX_LEVELS = 12, /* 8 * 9^11 values, more than 32 bits count */
    SCAN = LINE / sizeof(int32_t),
    LANES = 8
};

/* Sizes that were measured with classify_bench. */
enum {
    ROOTS_MIN = 8, /* bits of an IPv4 address that a partition resolves by table */
    ROOTS_MAX = 16,
    PRODUCTS_MAX = 256, /* flats of one step */

    LEAF_FLATS = 8,      /* a node of that many is not cut further */
    LEAF_FLATS_MAX = 16, /* the same in a large policy, which saves half of its memory: */
    LARGE_POLICY = 8192, /* flats from which a copy less is worth more than a comparison less */
    DEPTH_MAX = 24,
    CUT_BITS = 8,   /* children of a node, as a power of two */
    ROOT_BITS = 12, /* the same for the root of a tree */
    COPIES_MAX = 4,
    SAMPLE_MAX = 2048, /* flats a cut is judged by */
    FORKS_MAX = 3,     /* on the way from the root to a leaf */
    FORK_FLATS = 32,   /* a node of fewer is not forked */

    MERGE_FACTOR = 3, /* flats in merged trees, for each flat of the policy */
    MERGE_FLOOR = 20000
};

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));

/* ---- Addresses ---------------------------------------------------------------------------- */

/* An address of either family, IPv4 in the upper 32 bits. */
struct wide {
    uint64_t hi, lo;
};

/* Sorted values, laid out so that a search reads one cache line per level. */
struct index {
    uint64_t *levels[INDEX_LEVELS]; /* [0] holds the values, the others the last value below */
    unsigned top;
};

/* The intervals of a family are given by the last address of each but the last one. */

/* IPv4: the upper bits of an address lead to a few neighbours, compared all at once. */
struct plane4 {
    int32_t *lasts;  /* minus 2^31, to be compared as signed numbers; SCAN more behind the end */
    uint32_t *roots; /* by the upper bits: how many lasts lie below all such addresses */
    unsigned shift;
};

struct plane6 {
    struct index highs; /* distinct upper halves */
    uint32_t *first;    /* where the lows of each begin, and one more */
    uint64_t *lows;
    uint32_t high_count;
    uint32_t base; /* number of the first interval */
};

struct partition {
    struct plane4 v4;
    struct plane6 v6;
    uint32_t count; /* intervals; the last one stands for "no address" */
};

static inline uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t load64(const uint8_t *p)
{
    return (uint64_t)load32(p) << 32 | load32(p + 4);
}

static inline struct wide wide_of(const pol_addr *addr)
{
    return (struct wide){load64(addr->bytes), load64(addr->bytes + 8)};
}

/* The last address of a range: what is behind an IPv4 address is all ones. */
static struct wide wide_last(const pol_addr *addr)
{
    struct wide wide = wide_of(addr);

    if (addr->family == 4) {
        wide.hi |= UINT32_MAX;
        wide.lo = UINT64_MAX;
    }
    return wide;
}

static int wide_compare(struct wide a, struct wide b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return (a.lo > b.lo) - (a.lo < b.lo);
}

static struct wide wide_before(struct wide wide)
{
    wide.hi -= wide.lo == 0;
    wide.lo--;
    return wide;
}

static struct wide wide_after(struct wide wide)
{
    wide.lo++;
    wide.hi += wide.lo == 0;
    return wide;
}

static inline unsigned line_below(const uint64_t *line, uint64_t value)
{
    unsigned below = 0;

    for (unsigned i = 0; i < INDEX_FAN; i++)
        below += line[i] < value;
    return below;
}

/* How many values are below this one. */
static inline uint32_t index_below(const struct index *index, uint64_t value)
{
    size_t line = 0;

    for (unsigned level = index->top; level > 0; level--)
        line = line * (INDEX_FAN + 1) + line_below(index->levels[level] + line * INDEX_FAN, value);
    return (uint32_t)(line * INDEX_FAN + line_below(index->levels[0] + line * INDEX_FAN, value));
}

static uint32_t lows_below(const uint64_t *lows, uint32_t count, uint64_t value)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (lows[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline uint32_t plane6_find(const struct plane6 *plane, struct wide addr)
{
    uint32_t i = index_below(&plane->highs, addr.hi), first = plane->first[i];

    if (i < plane->high_count && plane->highs.levels[0][i] == addr.hi)
        first += lows_below(plane->lows + first, plane->first[i + 1] - first, addr.lo);
    return plane->base + first;
}

/* How many of the next SCAN values are below this one. */
static inline uint32_t scan_below(const int32_t *at, int32_t value)
{
    const i32x4 x = {value, value, value, value};
    i32x4 line[4], below;

    memcpy(line, at, sizeof(line));
    below = ((line[0] < x) + (line[1] < x)) + ((line[2] < x) + (line[3] < x));
    below += __builtin_shufflevector(below, below, 2, 3, 0, 1);
    return (uint32_t) - (below[0] + below[1]);
}

static inline uint32_t plane4_find(const struct plane4 *plane, uint32_t addr)
{
    int32_t value = (int32_t)(addr ^ 0x80000000u);
    const uint32_t *root = &plane->roots[addr >> plane->shift];
    uint32_t at = root[0], count = root[1] - root[0];

    while (count > SCAN) {
        uint32_t half = count / 2;

        at += plane->lasts[at + half - 1] < value ? half : 0;
        count -= half;
    }
    return at + scan_below(plane->lasts + at, value);
}

static uint32_t partition_number(const struct partition *partition, unsigned plane,
                                 struct wide addr)
{
    return plane ? plane6_find(&partition->v6, addr)
                 : plane4_find(&partition->v4, (uint32_t)(addr.hi >> 32));
}

static inline uint32_t partition_find(const struct partition *partition, const pol_addr *addr)
{
    if (addr->family == 4)
        return plane4_find(&partition->v4, load32(addr->bytes));
    if (addr->family == 6)
        return plane6_find(&partition->v6, wide_of(addr));
    return partition->count - 1;
}

/* ---- Nodes, leaves, lists ------------------------------------------------------------------ */

enum dim {
    DIM_DST,
    DIM_DST_PORT,
    DIM_SRC_PORT,
    DIM_PROTO,
    DIM_PORT_LOW, /* the low bits of the destination port: exact ports lie close together */
    DIM_COUNT,
    NODE_LEAF = DIM_COUNT,
    NODE_FORK
};

#define PORT_LOW_MASK 63

/* In the protocol column, above the protocol number. */
enum { PROTO_MASK = 0xff, HAS_PORTS = 0x100, IS_ICMP = 0x200 };

#define NO_TAG INT32_MAX

/* child is the number of the first child, or of a leaf's first block. */
struct node {
    uint32_t child;
    int32_t base;  /* cut: where the first part begins; leaf: number of blocks */
    int32_t first; /* lowest tag beneath; NO_TAG when empty */
    uint16_t last; /* cut: number of the last part */
    uint8_t shift; /* cut: size of a part, as a power of two */
    uint8_t kind;  /* enum dim, NODE_LEAF or NODE_FORK */
};

/* Bounds are inclusive. Ports are stored minus 32768, to be compared as signed numbers. Lanes not
 * in use have dst_low > dst_high. */
struct block {
    i32x4 dst_low[2], dst_high[2];
    i32x4 tag[2];
    i16x8 dst_port_low, dst_port_high, src_port_low, src_port_high;
    i16x8 proto, proto_mask;
};

/* A tree and the steps of its groups that select everything. */
struct part {
    struct node root;
    int32_t last;       /* highest tag of a flat; -1 when there is none */
    uint32_t all_first; /* in classifier.alls, ascending */
    uint32_t all_count;
};

struct list {
    struct part part;                  /* when chain_count is 0 */
    uint32_t chain_first, chain_count; /* in classifier.chain */
    uint32_t group_first, group_count; /* in classifier.groups, ascending */
};

/* A node of the source trie. */
struct spot {
    uint32_t list;   /* POL_NONE: outside all prefixes */
    uint32_t parent; /* the next wider prefix, in classifier.spots; POL_NONE */
};

struct classifier {
    struct partition src, dst;
    struct spot *intervals; /* by source interval: a copy of the deepest node's spot */
    struct spot *spots;
    struct list *lists;
    struct part *chain;
    struct node *nodes;
    struct block *blocks;
    uint32_t *groups;
    int32_t *alls; /* tags */
    const struct pp_step *steps;
    uint32_t step_count;
    int32_t policy_default; /* its tag, or NO_TAG */
};

/* ---- Lookup -------------------------------------------------------------------------------- */

/* A key as the trees want it. */
struct probe {
    int32_t at[DIM_COUNT];
    int32_t from; /* tag */
    i32x4 dst, least;
    i16x8 dst_port, src_port, proto;
    const struct classify_key *key;
};

static inline i32x4 splat32(int32_t value)
{
    return (i32x4){value, value, value, value};
}

static inline i16x8 splat16(uint32_t value)
{
    int16_t v = (int16_t)value;

    return (i16x8){v, v, v, v, v, v, v, v};
}

static inline void probe_init(struct probe *probe, const struct classify_key *key, uint32_t dst,
                              int32_t from)
{
    uint16_t dst_port = key->is_icmp ? key->icmp_type : key->dst_port;
    uint16_t src_port = key->is_icmp ? key->icmp_code : key->src_port;

    probe->at[DIM_DST] = (int32_t)dst;
    probe->at[DIM_DST_PORT] = dst_port;
    probe->at[DIM_SRC_PORT] = src_port;
    probe->at[DIM_PROTO] = key->proto;
    probe->at[DIM_PORT_LOW] = dst_port & PORT_LOW_MASK;
    probe->from = from;
    probe->dst = splat32((int32_t)dst);
    probe->least = splat32(from);
    probe->dst_port = splat16(dst_port ^ 0x8000u);
    probe->src_port = splat16(src_port ^ 0x8000u);
    probe->proto =
        splat16(key->proto | (key->has_ports ? HAS_PORTS : 0u) | (key->is_icmp ? IS_ICMP : 0u));
    probe->key = key;
}

/* One bit per flat of the block that matches and is not before `from`. */
static inline unsigned block_hits(const struct block *block, const struct probe *probe)
{
    const i32x4 weights[2] = {{1, 2, 4, 8}, {16, 32, 64, 128}};
    i16x8 miss =
        (block->dst_port_low > probe->dst_port) | (block->dst_port_high < probe->dst_port) |
        (block->src_port_low > probe->src_port) | (block->src_port_high < probe->src_port) |
        (((block->proto ^ probe->proto) & block->proto_mask) != 0);
    i32x4 a = (i32x4)__builtin_shufflevector(miss, miss, 0, 0, 1, 1, 2, 2, 3, 3);
    i32x4 b = (i32x4)__builtin_shufflevector(miss, miss, 4, 4, 5, 5, 6, 6, 7, 7);

    a |= (block->dst_low[0] > probe->dst) | (block->dst_high[0] < probe->dst) |
         (block->tag[0] < probe->least);
    b |= (block->dst_low[1] > probe->dst) | (block->dst_high[1] < probe->dst) |
         (block->tag[1] < probe->least);
    a = (~a & weights[0]) | (~b & weights[1]);
    a += __builtin_shufflevector(a, a, 2, 3, 0, 1);
    return (unsigned)(a[0] + a[1]);
}

static inline int32_t block_tag(const struct block *block, unsigned lane)
{
    return block->tag[lane / 4][lane % 4];
}

static inline int32_t block_find(const struct classifier *c, const struct block *block,
                                 const struct probe *probe)
{
    unsigned hits = block_hits(block, probe);

    for (; hits; hits &= hits - 1) {
        int32_t tag = block_tag(block, (unsigned)__builtin_ctz(hits));

        if (!(tag & 1) || rule_selects(&c->steps[tag >> 1], probe->key))
            return tag;
    }
    return NO_TAG;
}

/* The first block of a leaf that reaches to `from`. */
static uint32_t leaf_start(const struct block *blocks, uint32_t count, int32_t from)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (block_tag(&blocks[middle], LANES - 1) < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline int32_t leaf_find(const struct classifier *c, const struct node *leaf,
                                const struct probe *probe, int32_t best)
{
    const struct block *blocks = c->blocks + leaf->child;
    uint32_t count = (uint32_t)leaf->base;
    uint32_t i = count > 4 ? leaf_start(blocks, count, probe->from) : 0;

    for (; i < count && block_tag(&blocks[i], 0) < best; i++) {
        int32_t tag = block_find(c, &blocks[i], probe);

        if (tag != NO_TAG)
            return tag < best ? tag : best;
    }
    return best;
}

static inline uint32_t cut_child(const struct node *node, int32_t at)
{
    int32_t part = (at - node->base) >> node->shift;

    part = part < 0 ? 0 : part;
    return (uint32_t)(part > node->last ? node->last : part);
}

static inline const struct node *cut_step(const struct classifier *c, const struct node *node,
                                          const struct probe *probe)
{
    return &c->nodes[node->child + cut_child(node, probe->at[node->kind])];
}

/* The second branch of a fork, one step on and already on its way into the cache. */
static inline const struct node *fork_later(const struct classifier *c, const struct node *node,
                                            const struct probe *probe)
{
    const struct node *later = &c->nodes[node->child + 1];

    if (later->kind < DIM_COUNT)
        later = cut_step(c, later, probe);
    __builtin_prefetch(later);
    return later;
}

/* The first tag in the tree, or best if there is none below it. */
static inline int32_t tree_find(const struct classifier *c, const struct node *node,
                                const struct probe *probe, int32_t best)
{
    const struct node *later[FORKS_MAX];
    unsigned waiting = 0;

    for (;;) {
        while (node->kind < DIM_COUNT)
            node = cut_step(c, node, probe);

        if (node->kind == NODE_FORK) {
            later[waiting++] = fork_later(c, node, probe);
            node = &c->nodes[node->child];
            continue;
        }
        if (node->first < best)
            best = leaf_find(c, node, probe, best);
        if (!waiting)
            return best;
        node = later[--waiting];
    }
}

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
    return tree_find(c, &part->root, probe, best);
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
    const struct spot *spot = &classifier->intervals[partition_find(&classifier->src, src)];
    uint16_t count = 0;

    ret_path->dst = POL_NONE;
    if (spot->list != POL_NONE) {
        ret_path->nodes[count++] = spot->list;
        while (spot->parent != POL_NONE) {
            spot = &classifier->spots[spot->parent];
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

static uint32_t list_group(const struct classifier *c, const struct list *list, uint32_t from)
{
    const uint32_t *groups = c->groups + list->group_first;
    uint32_t low = 0, high = list->group_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (groups[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->group_count ? groups[low] : POL_NONE;
}

uint32_t classify_group(const struct classifier *classifier, const struct classify_path *path,
                        uint32_t from)
{
    uint32_t best = POL_NONE;

    for (unsigned i = 0; i < path->count; i++) {
        uint32_t group = list_group(classifier, &classifier->lists[path->nodes[i]], from);

        if (group < best)
            best = group;
    }
    return best;
}

void classify_prefetch(const struct classifier *classifier, const pol_addr *src)
{
    __builtin_prefetch(&classifier->intervals[partition_find(&classifier->src, src)]);
}

/* ---- Build: memory ------------------------------------------------------------------------- */

/* Scratch that grows. */
struct vec {
    void *at;
    size_t count, capacity, size;
};

/* A step's box. */
struct flat {
    int32_t dst_low, dst_high;
    uint16_t dst_port_low, dst_port_high, src_port_low, src_port_high;
    uint16_t proto, proto_mask;
    int32_t tag;
};

struct build {
    struct arena *arena;
    struct classifier *c;
    const struct pp_group *groups;
    uint32_t group_count;
    bool (*take)(const struct pp_step *step);

    uint32_t products_max;  /* flats of one step */
    struct vec sources;     /* struct source */
    struct vec edges[2];    /* struct wide, by family: last addresses of intervals */
    struct vec flats;       /* struct flat, in step order */
    struct vec alls;        /* int32_t: tags of steps that select everything */
    struct extent *extents; /* by group */
    uint32_t *group_parts;  /* by group: the part of it alone, in parts; POL_NONE */

    struct vec nodes, blocks, parts, chain, part_alls, spots, lists, list_groups;
    struct vec table;  /* uint32_t: hash of interned lists, by list id */
    struct vec ids;    /* uint32_t: stack of flat numbers, used by the tree in work */
    size_t leaf_flats; /* LEAF_FLATS or LEAF_FLATS_MAX */
    size_t merge_left; /* flats that merged trees may still have */
};

/* What a group has in flats and alls. */
struct extent {
    size_t flat_first, flat_end;
    size_t all_first, all_end;
};

/* One prefix of one group. */
struct source {
    struct wide first, last;
    uint32_t group;
    uint8_t plane;
};

/* Room for `count` more elements, counted in; NULL without memory, never for a count of 0. */
static void *vec_add(struct build *b, struct vec *vec, size_t count)
{
    void *at = vec->at;
    size_t need = vec->count + (count ? count : 1);
    int rc = mem_grow(b->arena->mem, &at, &vec->capacity, need, vec->size);

    if (rc < 0)
        return NULL;
    vec->at = at;
    vec->count += count;
    return (char *)at + (vec->count - count) * vec->size;
}

static void vec_free(struct build *b, struct vec *vec)
{
    mem_free(b->arena->mem, vec->at, vec->capacity * vec->size);
    *vec = (struct vec){.size = vec->size};
}

static void *arena_lines(struct arena *arena, size_t size)
{
    uintptr_t at = (uintptr_t)arena_alloc(arena, size + LINE);

    return at ? (void *)((at + LINE - 1) & ~(uintptr_t)(LINE - 1)) : NULL;
}

/* Moves scratch into the arena. */
static int vec_keep(struct build *b, struct vec *vec, void *ret_at)
{
    void *at = arena_lines(b->arena, vec->count * vec->size);

    if (!at)
        return POL_E_NOMEM;
    if (vec->count)
        memcpy(at, vec->at, vec->count * vec->size);
    memcpy(ret_at, &at, sizeof(at));
    vec_free(b, vec);
    return POL_OK;
}

/* ---- Build: partitions --------------------------------------------------------------------- */

static int index_level(struct arena *arena, size_t below, size_t span, struct index *index)
{
    size_t lines = (below + INDEX_FAN) / (INDEX_FAN + 1);
    const uint64_t *values = index->levels[0];
    uint64_t *level = arena_lines(arena, lines * LINE);

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
                       size_t distinct, struct index *ret_index)
{
    size_t lines = distinct / INDEX_FAN + 1, used = 0;
    uint64_t *level = arena_lines(arena, lines * LINE);

    if (!level)
        return POL_E_NOMEM;
    memset(level, 0xff, lines * LINE);
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

/* Cuts at the edges gathered, which are used up. */
static int partition_build(struct build *b, struct partition *ret_partition)
{
    struct vec *v4 = &b->edges[0], *v6 = &b->edges[1];
    int rc;

    edges_sort(v4);
    edges_sort(v6);
    ret_partition->v6.base = (uint32_t)v4->count + 1;
    ret_partition->count = (uint32_t)(v4->count + v6->count) + 3;
    rc = plane4_build(b->arena, v4->at, v4->count, &ret_partition->v4);
    if (rc == POL_OK)
        rc = plane6_build(b->arena, v6->at, v6->count, &ret_partition->v6);
    v4->count = v6->count = 0;
    return rc;
}

static int edge_add(struct build *b, unsigned plane, struct wide last)
{
    struct wide *edge = vec_add(b, &b->edges[plane], 1);

    if (!edge)
        return POL_E_NOMEM;
    *edge = last;
    return POL_OK;
}

/* An interval ends before the first address of a range, and one ends with its last. */
static int edge_before(struct build *b, unsigned plane, struct wide first)
{
    return first.hi || first.lo ? edge_add(b, plane, wide_before(first)) : POL_OK;
}

static int edge_after(struct build *b, unsigned plane, struct wide last)
{
    return ~last.hi || ~last.lo ? edge_add(b, plane, last) : POL_OK;
}

/* ---- Build: sources ------------------------------------------------------------------------ */

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
static int add_sources(struct build *b, uint32_t group, const struct iprange *range)
{
    struct wide first = wide_of(&range->first), last = wide_last(&range->last), end;

    do {
        struct source *source = vec_add(b, &b->sources, 1);
        unsigned len = widest(first);

        if (!source)
            return POL_E_NOMEM;
        while (wide_compare(block_last(first, len), last) > 0)
            len++;
        end = block_last(first, len);
        *source = (struct source){first, end, group, range->first.family == 6};
        if (edge_before(b, source->plane, first) < 0 || edge_after(b, source->plane, end) < 0)
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

static int gather_sources(struct build *b)
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

static size_t hash_groups(const uint32_t *groups, size_t count)
{
    uint64_t hash = count;

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ groups[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
    return (size_t)(hash ^ hash >> 32);
}

static bool list_is(struct build *b, uint32_t id, const uint32_t *groups, size_t count)
{
    const struct list *list = (const struct list *)b->lists.at + id;
    const uint32_t *own = (const uint32_t *)b->list_groups.at + list->group_first;

    return list->group_count == count && memcmp(own, groups, count * sizeof(*own)) == 0;
}

/* The number of the list with these groups, which are the last ones in list_groups. */
static int intern_list(struct build *b, size_t first, uint32_t *ret_id)
{
    const uint32_t *groups = (const uint32_t *)b->list_groups.at + first;
    size_t count = b->list_groups.count - first, mask = b->table.count - 1;
    uint32_t *table = b->table.at;
    struct list *list;
    size_t slot = hash_groups(groups, count) & mask;

    for (; table[slot] != POL_NONE; slot = (slot + 1) & mask) {
        if (list_is(b, table[slot], groups, count)) {
            b->list_groups.count = first;
            *ret_id = table[slot];
            return POL_OK;
        }
    }
    list = vec_add(b, &b->lists, 1);
    if (!list)
        return POL_E_NOMEM;
    *list = (struct list){.group_first = (uint32_t)first, .group_count = (uint32_t)count};
    *ret_id = table[slot] = (uint32_t)b->lists.count - 1;
    return POL_OK;
}

/* Adds the spot for sources [first, end), which are one prefix. */
static int add_spot(struct build *b, size_t first, size_t end, uint32_t parent)
{
    const struct source *sources = b->sources.at;
    size_t groups_first = b->list_groups.count;
    uint32_t *groups = vec_add(b, &b->list_groups, end - first);
    struct spot *spot = vec_add(b, &b->spots, 1);

    if (!groups || !spot)
        return POL_E_NOMEM;
    for (size_t i = first; i < end; i++)
        groups[i - first] = sources[i].group;
    spot->parent = parent;
    return intern_list(b, groups_first, &spot->list);
}

/* What lies inside a prefix belongs to it until a longer one, which comes later, takes it. */
static void take_intervals(struct build *b, const struct source *source, const struct spot *spot)
{
    const struct partition *src = &b->c->src;
    uint32_t last = partition_number(src, source->plane, source->last);

    for (uint32_t i = partition_number(src, source->plane, source->first); i <= last; i++)
        b->c->intervals[i] = *spot;
}

static int build_spots(struct build *b)
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

static int build_table(struct build *b)
{
    size_t size = 16;

    while (size < 2 * b->sources.count)
        size *= 2;
    if (!vec_add(b, &b->table, size))
        return POL_E_NOMEM;
    memset(b->table.at, 0xff, size * b->table.size);
    return POL_OK;
}

static int build_sources(struct build *b)
{
    struct classifier *c = b->c;
    int rc = gather_sources(b);

    if (rc < 0)
        return rc;
    rc = partition_build(b, &c->src);
    if (rc < 0)
        return rc;
    c->intervals = arena_array(b->arena, c->src.count, sizeof(*c->intervals));
    if (!c->intervals)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < c->src.count; i++)
        c->intervals[i] = (struct spot){POL_NONE, POL_NONE};
    rc = build_table(b);
    if (rc < 0)
        return rc;
    rc = build_spots(b);
    vec_free(b, &b->sources);
    vec_free(b, &b->table);
    return rc;
}

/* ---- Build: flats -------------------------------------------------------------------------- */

/* How a step is divided: the products, and whether they are the step or boxes around it. */
struct division {
    size_t dsts, ports;
    bool exact;
};

static size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

static struct division divide(const struct pp_step *step, size_t limit)
{
    size_t dsts = step->dst ? ipset_range_count(step->dst) : 1;
    size_t ports = step->dst_ports ? step->dst_ports->count : 1;
    struct division division = {.dsts = at_most(dsts, limit)};

    division.ports = at_most(ports, division.dsts ? limit / division.dsts : 1);
    division.exact = division.dsts == dsts && division.ports == ports;
    return division;
}

static size_t chunk(size_t i, size_t chunks, size_t count)
{
    return i * count / chunks;
}

static struct iprange dst_chunk(const struct ipset *dst, size_t i, size_t chunks)
{
    size_t count = ipset_range_count(dst);

    return (struct iprange){
        ipset_range(dst, chunk(i, chunks, count)).first,
        ipset_range(dst, chunk(i + 1, chunks, count) - 1).last,
    };
}

static struct portrange port_chunk(const struct portset *ports, size_t i, size_t chunks)
{
    if (!ports)
        return (struct portrange){0, UINT16_MAX};
    return (struct portrange){
        ports->ranges[chunk(i, chunks, ports->count)].first,
        ports->ranges[chunk(i + 1, chunks, ports->count) - 1].last,
    };
}

static bool is_flat(const struct build *b, const struct pp_step *step)
{
    return step->group != POL_NONE && b->take(step);
}

static bool selects_all(const struct pp_step *step)
{
    return step->any_proto && !step->dst && !step->src_ports && !step->dst_ports && !step->icmp;
}

/* The bound on a step's products under which all of them together stay in proportion. */
static uint32_t products_limit(const struct build *b)
{
    const struct classifier *c = b->c;
    size_t budget = 8 * (size_t)c->step_count + (1 << 18);
    uint32_t limit = PRODUCTS_MAX;

    for (; limit > 1; limit /= 2) {
        size_t total = 0;

        for (uint32_t i = 0; i < c->step_count; i++) {
            struct division division = {0};

            if (is_flat(b, &c->steps[i]))
                division = divide(&c->steps[i], limit);
            total += division.dsts * division.ports;
        }
        if (total <= budget)
            break;
    }
    return limit;
}

static int gather_dsts(struct build *b, const struct pp_step *step)
{
    struct division division = divide(step, b->products_max);

    for (size_t i = 0; step->dst && i < division.dsts; i++) {
        struct iprange range = dst_chunk(step->dst, i, division.dsts);

        if (edge_before(b, range.first.family == 6, wide_of(&range.first)) < 0 ||
            edge_after(b, range.last.family == 6, wide_last(&range.last)) < 0)
            return POL_E_NOMEM;
    }
    return POL_OK;
}

static int build_dsts(struct build *b)
{
    const struct classifier *c = b->c;

    b->products_max = products_limit(b);
    for (uint32_t i = 0; i < c->step_count; i++) {
        if (is_flat(b, &c->steps[i]) && gather_dsts(b, &c->steps[i]) < 0)
            return POL_E_NOMEM;
    }
    return partition_build(b, &b->c->dst);
}

/* The smallest range around a set of octets; the flat becomes inexact if there are gaps. */
static struct portrange octet_range(const struct pp_octets *set, struct flat *flat)
{
    struct portrange range = {UINT16_MAX, 0};
    unsigned count = 0;

    for (uint16_t i = 0; i < 256; i++) {
        if (!pp_octets_has(set, (uint8_t)i))
            continue;
        if (!count++)
            range.first = i;
        range.last = i;
    }
    flat->tag |= count != (unsigned)range.last - range.first + 1;
    return range;
}

/* Types and codes stand in the columns of the ports. An empty set leaves a range no key is in. */
static void flat_icmp(struct flat *flat, const struct pp_icmp *icmp)
{
    struct portrange types = {0, UINT16_MAX}, codes = types;

    if (!icmp->any_type)
        types = octet_range(&icmp->types, flat);
    if (!icmp->any_code)
        codes = octet_range(&icmp->codes, flat);
    flat->dst_port_low = types.first;
    flat->dst_port_high = types.last;
    flat->src_port_low = codes.first;
    flat->src_port_high = codes.last;
    flat->proto |= IS_ICMP;
    flat->proto_mask |= IS_ICMP;
}

/* All of a flat but its destination and destination ports. */
static struct flat flat_common(const struct pp_step *step, uint32_t number, bool exact)
{
    const struct portset *src = step->src_ports;
    bool any_proto = step->any_proto && !step->icmp;
    struct flat flat = {
        .dst_port_high = UINT16_MAX,
        .src_port_high = UINT16_MAX,
        .proto = any_proto         ? 0
                 : step->any_proto ? PROTO_ICMP
                                   : step->proto,
        .proto_mask = any_proto ? 0 : PROTO_MASK,
        .tag = (int32_t)(number << 1 | !exact),
    };

    if (src && src->count) {
        flat.src_port_low = src->ranges[0].first;
        flat.src_port_high = src->ranges[src->count - 1].last;
        flat.tag |= src->count > 1;
    }
    if (step->icmp)
        flat_icmp(&flat, step->icmp);
    if (src || step->dst_ports) {
        flat.proto |= HAS_PORTS;
        flat.proto_mask |= HAS_PORTS;
    }
    return flat;
}

static void flat_dst(const struct build *b, const struct pp_step *step, size_t i, size_t chunks,
                     struct flat *flat)
{
    const struct partition *dst = &b->c->dst;
    struct iprange range;

    if (!step->dst) {
        flat->dst_low = 0;
        flat->dst_high = (int32_t)dst->count - 1;
        return;
    }
    range = dst_chunk(step->dst, i, chunks);
    flat->dst_low = (int32_t)partition_find(dst, &range.first);
    flat->dst_high = (int32_t)partition_find(dst, &range.last);
}

/* A step with ports or with ICMP sets never has both: no packet does. */
static bool can_match(const struct pp_step *step)
{
    return !(step->src_ports && !step->src_ports->count) &&
           !(step->icmp && (step->src_ports || step->dst_ports));
}

static int add_flats(struct build *b, uint32_t number)
{
    const struct pp_step *step = &b->c->steps[number];
    struct division division = divide(step, b->products_max);
    struct flat flat = flat_common(step, number, division.exact);

    for (size_t i = 0; i < division.dsts && can_match(step); i++) {
        flat_dst(b, step, i, division.dsts, &flat);
        for (size_t j = 0; j < division.ports; j++) {
            struct flat *added = vec_add(b, &b->flats, 1);

            if (!added)
                return POL_E_NOMEM;
            *added = flat;
            if (step->dst_ports) {
                struct portrange ports = port_chunk(step->dst_ports, j, division.ports);

                added->dst_port_low = ports.first;
                added->dst_port_high = ports.last;
            }
        }
    }
    return POL_OK;
}

static int add_all(struct build *b, uint32_t number)
{
    int32_t *tag = vec_add(b, &b->alls, 1);

    if (!tag)
        return POL_E_NOMEM;
    *tag = (int32_t)(number << 1);
    return POL_OK;
}

static int build_flats(struct build *b)
{
    const struct classifier *c = b->c;
    uint32_t number = 0;

    for (uint32_t group = 0; group < b->group_count; group++) {
        struct extent *extent = &b->extents[group];

        extent->flat_first = b->flats.count;
        extent->all_first = b->alls.count;
        for (; number < c->step_count && c->steps[number].group == group; number++) {
            int rc = POL_OK;

            if (is_flat(b, &c->steps[number]))
                rc = selects_all(&c->steps[number]) ? add_all(b, number) : add_flats(b, number);
            if (rc < 0)
                return rc;
        }
        extent->flat_end = b->flats.count;
        extent->all_end = b->alls.count;
    }
    return POL_OK;
}

/* ---- Build: trees -------------------------------------------------------------------------- */

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

static const struct flat *task_flat(const struct build *b, const struct task *task, size_t i)
{
    const uint32_t *ids = (const uint32_t *)b->ids.at + task->first;

    return (const struct flat *)b->flats.at + ids[i];
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
static bool find_edges(const struct build *b, const struct task *task, unsigned dim,
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
    struct node node = {.base = cut->base, .last = cut->last, .shift = cut->shift};

    return cut_child(&node, at);
}

/* How many flats each child would get; judged by a sample. Cost is what a flat picked at random
 * meets in its leaf. */
static void judge(const struct build *b, const struct task *task, struct cut *cut)
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
static bool choose_cut(const struct build *b, const struct task *task, struct cut *ret_cut)
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

static void block_set(struct block *block, unsigned lane, const struct flat *flat)
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
static int tree_leaf(struct build *b, const uint32_t *ids, size_t count, struct node *ret_node)
{
    const struct flat *flats = b->flats.at;
    size_t lanes = (count + LANES - 1) / LANES * LANES, first = b->blocks.count;
    struct block *blocks = vec_add(b, &b->blocks, lanes / LANES);

    if (!blocks)
        return POL_E_NOMEM;
    for (size_t i = 0; i < lanes; i++)
        block_set(&blocks[i / LANES], i % LANES, i < count ? &flats[ids[i]] : &no_flat);
    *ret_node = (struct node){
        .child = (uint32_t)first,
        .base = (int32_t)(lanes / LANES),
        .first = count ? flats[ids[0]].tag : NO_TAG,
        .kind = NODE_LEAF,
    };
    return POL_OK;
}

static int tree_node(struct build *b, const struct task *task, struct node *ret_node);

static uint32_t *ids_at(const struct build *b, size_t i)
{
    return (uint32_t *)b->ids.at + i;
}

static struct span task_parts(const struct build *b, const struct task *task, const struct cut *cut,
                              size_t i)
{
    struct span span = clip(flat_span(task_flat(b, task, i), cut->dim), &task->box, cut->dim);

    return (struct span){(int32_t)cut_part(cut, span.low), (int32_t)cut_part(cut, span.high)};
}

/*
 * Deals the flats of a task out to the children of a cut, on top of the ids: first where each
 * child's begin, one more for the end of the last, then the ids. Returns the place of the former
 * and how many of the latter there are, or POL_E_NOMEM.
 */
static int deal(struct build *b, const struct task *task, const struct cut *cut, size_t *ret_starts,
                size_t *ret_total)
{
    size_t starts = b->ids.count, children = (size_t)cut->last + 1, total = 0;

    if (!vec_add(b, &b->ids, children + 1))
        return POL_E_NOMEM;
    memset(ids_at(b, starts), 0, (children + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < task->count; i++) {
        struct span parts = task_parts(b, task, cut, i);

        for (int32_t part = parts.low; part <= parts.high; part++, total++)
            ++*ids_at(b, starts + (size_t)part);
    }
    if (!vec_add(b, &b->ids, total))
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

static struct task child_task(const struct build *b, const struct task *task, const struct cut *cut,
                              size_t starts, size_t total, unsigned i)
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

static bool same_flats(const struct build *b, const struct task *x, const struct task *y)
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

static bool run_join(const struct build *b, struct run *run, const struct task *task)
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

static int run_end(struct build *b, struct run *run)
{
    struct node leaf, *nodes = b->nodes.at;

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
static int cut_children(struct build *b, const struct task *task, const struct cut *cut, size_t at)
{
    struct run run = {.first = at, .end = at};
    struct task previous = {.count = SIZE_MAX};
    struct node child = {0};
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
        ((struct node *)b->nodes.at)[at] = child;
        run.first = run.end = at + 1;
        previous = next;
    }
    return run_end(b, &run);
}

static int tree_cut(struct build *b, const struct task *task, const struct cut *cut,
                    struct node *ret_node)
{
    size_t mark = b->ids.count, at = b->nodes.count;

    if (!vec_add(b, &b->nodes, (size_t)cut->last + 1) || cut_children(b, task, cut, at) < 0)
        return POL_E_NOMEM;
    b->ids.count = mark;
    *ret_node = (struct node){
        .child = (uint32_t)at,
        .base = cut->base,
        .first = task_flat(b, task, 0)->tag,
        .last = cut->last,
        .shift = cut->shift,
        .kind = cut->dim,
    };
    return POL_OK;
}

/* Does a flat span most of what the flats of the task differ in? */
static bool is_broad(const struct build *b, const struct task *task, size_t i, unsigned dim,
                     struct span edges)
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
static bool choose_fork(const struct build *b, const struct task *task, unsigned dims, size_t least,
                        unsigned *ret_dim, struct span *ret_edges)
{
    bool found = false;

    if (task->forks == FORKS_MAX || task->count < FORK_FLATS)
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
static bool choose_root_fork(const struct build *b, const struct task *task, unsigned *ret_dim,
                             struct span *ret_edges)
{
    return task->depth == 0 && choose_fork(b, task, DIM_DST + 1, LANES, ret_dim, ret_edges);
}

/* The narrow or the broad flats of a task, on top of the ids. */
static int fork_task(struct build *b, const struct task *task, unsigned dim, struct span edges,
                     bool broad, struct task *ret_child)
{
    struct task child = *task;

    child.first = b->ids.count;
    child.depth++;
    child.forks++;
    if (!vec_add(b, &b->ids, task->count))
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

static int tree_fork(struct build *b, const struct task *task, unsigned dim, struct span edges,
                     struct node *ret_node)
{
    struct node node = {.first = task_flat(b, task, 0)->tag, .kind = NODE_FORK}, child;
    size_t mark = b->ids.count;

    node.child = (uint32_t)b->nodes.count;
    if (!vec_add(b, &b->nodes, 2))
        return POL_E_NOMEM;
    for (unsigned i = 0; i < 2; i++) {
        struct task next;

        if (fork_task(b, task, dim, edges, i, &next) < 0 || tree_node(b, &next, &child) < 0)
            return POL_E_NOMEM;
        ((struct node *)b->nodes.at)[node.child + i] = child;
        b->ids.count = mark;
    }
    *ret_node = node;
    return POL_OK;
}

static int tree_node(struct build *b, const struct task *task, struct node *ret_node)
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

static int tree_build(struct build *b, struct node *ret_root)
{
    struct task task = {
        .count = b->ids.count,
        .box.high = {(int32_t)b->c->dst.count - 1, UINT16_MAX, UINT16_MAX, PROTO_MASK,
                     PORT_LOW_MASK},
        .spare = (COPIES_MAX - 1) * b->ids.count,
    };

    return tree_node(b, &task, ret_root);
}

/* ---- Build: lists -------------------------------------------------------------------------- */

static int add_group(struct build *b, uint32_t group)
{
    const struct extent *extent = &b->extents[group];
    size_t alls = extent->all_end - extent->all_first;
    int32_t *tags = vec_add(b, &b->part_alls, alls);
    uint32_t *ids = vec_add(b, &b->ids, extent->flat_end - extent->flat_first);

    if (!tags || !ids)
        return POL_E_NOMEM;
    if (alls)
        memcpy(tags, (const int32_t *)b->alls.at + extent->all_first, alls * sizeof(*tags));
    for (size_t i = extent->flat_first; i < extent->flat_end; i++)
        *ids++ = (uint32_t)i;
    return POL_OK;
}

/* One tree for all steps of some groups. */
static int build_part(struct build *b, const uint32_t *groups, size_t count, struct part *ret_part)
{
    struct part part = {.all_first = (uint32_t)b->part_alls.count, .last = -1};
    int rc;

    b->ids.count = 0;
    for (size_t i = 0; i < count; i++) {
        rc = add_group(b, groups[i]);
        if (rc < 0)
            return rc;
    }
    part.all_count = (uint32_t)b->part_alls.count - part.all_first;
    if (b->ids.count)
        part.last = ((const struct flat *)b->flats.at)[*ids_at(b, b->ids.count - 1)].tag;
    rc = tree_build(b, &part.root);
    *ret_part = part;
    return rc;
}

static size_t group_size(const struct build *b, uint32_t group)
{
    const struct extent *extent = &b->extents[group];

    return extent->flat_end - extent->flat_first + extent->all_end - extent->all_first;
}

/* The tree of one group alone, built when it is first wanted. */
static int group_part(struct build *b, uint32_t group, struct part *ret_part)
{
    if (b->group_parts[group] == POL_NONE) {
        struct part *part = vec_add(b, &b->parts, 1);

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
        added = vec_add(b, &b->chain, 1);
        if (!added || group_part(b, groups[i], &part) < 0)
            return POL_E_NOMEM;
        *added = part;
    }
    list->chain_count = (uint32_t)b->chain.count - list->chain_first;
    return POL_OK;
}

static int build_list(struct build *b, struct list *list)
{
    const uint32_t *groups = (const uint32_t *)b->list_groups.at + list->group_first;
    size_t size = 0;

    if (list->group_count == 1)
        return group_part(b, groups[0], &list->part);
    for (size_t i = 0; i < list->group_count; i++)
        size += group_size(b, groups[i]);
    if (size > b->merge_left)
        return build_chain(b, groups, list->group_count, list);
    b->merge_left -= size;
    return build_part(b, groups, list->group_count, &list->part);
}

static int build_lists(struct build *b)
{
    b->leaf_flats = b->flats.count < LARGE_POLICY ? LEAF_FLATS : LEAF_FLATS_MAX;
    b->merge_left = MERGE_FACTOR * (b->flats.count + b->alls.count) + MERGE_FLOOR;
    memset(b->group_parts, 0xff, b->group_count * sizeof(*b->group_parts));
    for (size_t i = 0; i < b->lists.count; i++) {
        int rc = build_list(b, (struct list *)b->lists.at + i);

        if (rc < 0)
            return rc;
    }
    return POL_OK;
}

/* ---- Build: all of it ---------------------------------------------------------------------- */

static int keep_all(struct build *b)
{
    struct classifier *c = b->c;

    if (vec_keep(b, &b->spots, &c->spots) < 0 || vec_keep(b, &b->lists, &c->lists) < 0 ||
        vec_keep(b, &b->chain, &c->chain) < 0 || vec_keep(b, &b->nodes, &c->nodes) < 0 ||
        vec_keep(b, &b->blocks, &c->blocks) < 0 || vec_keep(b, &b->part_alls, &c->alls) < 0)
        return POL_E_NOMEM;
    return vec_keep(b, &b->list_groups, &c->groups);
}

static int build_run(struct build *b)
{
    const struct pol_mem *mem = b->arena->mem;
    int rc;

    b->extents = mem_array(mem, b->group_count, sizeof(*b->extents));
    b->group_parts = mem_array(mem, b->group_count, sizeof(*b->group_parts));
    if (!b->extents || !b->group_parts)
        return POL_E_NOMEM;
    rc = build_sources(b);
    if (rc < 0)
        return rc;
    rc = build_dsts(b);
    if (rc < 0)
        return rc;
    rc = build_flats(b);
    if (rc < 0)
        return rc;
    rc = build_lists(b);
    if (rc < 0)
        return rc;
    return keep_all(b);
}

static void build_fini(struct build *b)
{
    struct vec *vecs[] = {&b->sources, &b->edges[0], &b->edges[1],    &b->flats, &b->alls,
                          &b->nodes,   &b->blocks,   &b->parts,       &b->chain, &b->part_alls,
                          &b->spots,   &b->lists,    &b->list_groups, &b->table, &b->ids};

    for (size_t i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++)
        vec_free(b, vecs[i]);
    mem_free(b->arena->mem, b->extents, b->group_count * sizeof(*b->extents));
    mem_free(b->arena->mem, b->group_parts, b->group_count * sizeof(*b->group_parts));
}

/* The policy default is the last step and belongs to no group. */
static int32_t default_tag(const struct build *b)
{
    uint32_t last = b->c->step_count - 1;

    if (!b->c->step_count || b->c->steps[last].group != POL_NONE || !b->take(&b->c->steps[last]))
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
        .groups = groups,
        .group_count = group_count,
        .take = take,
        .sources.size = sizeof(struct source),
        .edges = {{.size = sizeof(struct wide)}, {.size = sizeof(struct wide)}},
        .flats.size = sizeof(struct flat),
        .alls.size = sizeof(int32_t),
        .nodes.size = sizeof(struct node),
        .blocks.size = sizeof(struct block),
        .parts.size = sizeof(struct part),
        .chain.size = sizeof(struct part),
        .part_alls.size = sizeof(int32_t),
        .spots.size = sizeof(struct spot),
        .lists.size = sizeof(struct list),
        .list_groups.size = sizeof(uint32_t),
        .table.size = sizeof(uint32_t),
        .ids.size = sizeof(uint32_t),
    };
    int rc;

    if (!c)
        return POL_E_NOMEM;
    assert(step_count < 1u << 30);
    c->steps = steps;
    c->step_count = step_count;
    c->policy_default = default_tag(&b);

    rc = build_run(&b);
    build_fini(&b);
    if (rc == POL_OK)
        *ret_classifier = c;
    return rc;
}
