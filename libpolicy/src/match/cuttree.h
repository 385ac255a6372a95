/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_CUTTREE_H
#define MATCH_CUTTREE_H

/*
 * Trees that find the first flat a key is in. A flat is a box in (destination number, destination
 * port, source port, protocol) and belongs to a step; many trees share the arrays of one forest.
 * See cuttree.c for how they are built.
 */

#include "match/classify.h"
#include "match/classify_vec.h"
#include "match/rule.h"

enum {
    LANES = 8,        /* flats in a block */
    CUTTREE_FORKS = 3 /* on the way from the root to a leaf */
};

typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));

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

/*
 * A step's box, both ends inclusive. ICMP type and code stand in the place of the destination and
 * source ports. The tag is step * 2, plus 1 when the box is only around what the step selects, and
 * a hit has to be checked.
 */
struct flat {
    int32_t dst_low, dst_high;
    uint16_t dst_port_low, dst_port_high, src_port_low, src_port_high;
    uint16_t proto, proto_mask;
    int32_t tag;
};

/* child is the number of the first child, or of a leaf's first block. */
struct cut_node {
    uint32_t child;
    int32_t base;  /* cut: where the first part begins; leaf: number of blocks */
    int32_t first; /* lowest tag beneath; NO_TAG when empty */
    uint16_t last; /* cut: number of the last part */
    uint8_t shift; /* cut: size of a part, as a power of two */
    uint8_t kind;  /* enum dim, NODE_LEAF or NODE_FORK */
};

/* Bounds are inclusive. Ports are stored minus 32768, to be compared as signed numbers. Lanes not
 * in use have dst_low > dst_high. */
struct leaf_block {
    i32x4 dst_low[2], dst_high[2];
    i32x4 tag[2];
    i16x8 dst_port_low, dst_port_high, src_port_low, src_port_high;
    i16x8 proto, proto_mask;
};

/* What the trees of a classifier share. */
struct forest {
    struct cut_node *nodes;
    struct leaf_block *blocks;
    const struct pp_step *steps; /* by tag / 2 */
};

/* ---- Build --------------------------------------------------------------------------------- */

struct cuttree_builder {
    struct arena *arena;
    const struct flat *flats; /* in step order */
    int32_t dst_last;         /* highest destination number */
    size_t leaf_flats;        /* a node of that many is not cut further */
    struct vec nodes, blocks; /* of all trees so far */
    struct vec ids;           /* uint32_t: stack of flat numbers, used by the tree in work */
};

/* The flats must outlive the builder and be in the order of their tags; destinations are below
 * dst_count. */
void cuttree_init(struct cuttree_builder *builder, struct arena *arena, const struct flat *flats,
                  size_t flat_count, uint32_t dst_count);
void cuttree_fini(struct cuttree_builder *builder);

/* Flats [first, end), which come after those added before, will be in the next tree. POL_OK or
 * POL_E_NOMEM. */
int cuttree_add(struct cuttree_builder *builder, size_t first, size_t end);

/* Builds the tree of the flats added since the last one; ret_last is their highest tag, -1 when
 * there are none. POL_OK or POL_E_NOMEM. */
int cuttree_build(struct cuttree_builder *builder, struct cut_node *ret_root, int32_t *ret_last);

/* Moves all trees into the arena. POL_OK or POL_E_NOMEM. */
int cuttree_keep(struct cuttree_builder *builder, struct forest *forest);

static inline size_t at_most(size_t value, size_t limit)
{
    return value < limit ? value : limit;
}

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
static inline unsigned block_hits(const struct leaf_block *block, const struct probe *probe)
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

static inline int32_t block_tag(const struct leaf_block *block, unsigned lane)
{
    return block->tag[lane / 4][lane % 4];
}

static inline int32_t block_find(const struct forest *forest, const struct leaf_block *block,
                                 const struct probe *probe)
{
    unsigned hits = block_hits(block, probe);

    for (; hits; hits &= hits - 1) {
        int32_t tag = block_tag(block, (unsigned)__builtin_ctz(hits));

        if (!(tag & 1) || rule_selects(&forest->steps[tag >> 1], probe->key))
            return tag;
    }
    return NO_TAG;
}

/* The first block of a leaf that reaches to `from`. */
static inline uint32_t leaf_start(const struct leaf_block *blocks, uint32_t count, int32_t from)
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

static inline int32_t leaf_find(const struct forest *forest, const struct cut_node *leaf,
                                const struct probe *probe, int32_t best)
{
    const struct leaf_block *blocks = forest->blocks + leaf->child;
    uint32_t count = (uint32_t)leaf->base;
    uint32_t i = count > 4 ? leaf_start(blocks, count, probe->from) : 0;

    for (; i < count && block_tag(&blocks[i], 0) < best; i++) {
        int32_t tag = block_find(forest, &blocks[i], probe);

        if (tag != NO_TAG)
            return tag < best ? tag : best;
    }
    return best;
}

static inline uint32_t cut_child(const struct cut_node *node, int32_t at)
{
    int32_t part = (at - node->base) >> node->shift;

    part = part < 0 ? 0 : part;
    return (uint32_t)(part > node->last ? node->last : part);
}

static inline const struct cut_node *
cut_step(const struct forest *forest, const struct cut_node *node, const struct probe *probe)
{
    return &forest->nodes[node->child + cut_child(node, probe->at[node->kind])];
}

/* The second branch of a fork, one step on and already on its way into the cache. */
static inline const struct cut_node *
fork_later(const struct forest *forest, const struct cut_node *node, const struct probe *probe)
{
    const struct cut_node *later = &forest->nodes[node->child + 1];

    if (later->kind < DIM_COUNT)
        later = cut_step(forest, later, probe);
    __builtin_prefetch(later);
    return later;
}

/* The first tag in the tree, or best if there is none below it. */
static inline int32_t cuttree_find(const struct forest *forest, const struct cut_node *node,
                                   const struct probe *probe, int32_t best)
{
    const struct cut_node *later[CUTTREE_FORKS];
    unsigned waiting = 0;

    for (;;) {
        while (node->kind < DIM_COUNT)
            node = cut_step(forest, node, probe);

        if (node->kind == NODE_FORK) {
            later[waiting++] = fork_later(forest, node, probe);
            node = &forest->nodes[node->child];
            continue;
        }
        if (node->first < best)
            best = leaf_find(forest, node, probe, best);
        if (!waiting)
            return best;
        node = later[--waiting];
    }
}

#endif
