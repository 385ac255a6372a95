/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees that the classifier is made of. Any cut finds the right flat (classify_test.c shows
 * that they do), but a bad one costs memory and time, and no test of results would notice. So the
 * size of the trees of a few rule sets, and what a lookup meets in them, is written down here. Who
 * changes how a cut is chosen measures with classify_bench, and writes the new figures.
 */
#include "match/cuttree.h"

#include <criterion/criterion.h>
#include <string.h>

#include "../net/prng.h"
#include "base/arena.h"
#include "base/mem.h"
#include "net/proto.h"

enum { FLATS_MAX = 20000, DSTS = 4096, LOOKUPS = 3000 };

static struct flat flats[FLATS_MAX];
static struct arena arena;
static struct cuttree_builder builder;
static struct forest forest;
static struct cut_node root;
static int32_t last;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)prng_below(&random_state, below);
}

static void set_up(void)
{
    arena_init(&arena, &mem_libc);
    random_state = 1;
}

static void tear_down(void)
{
    arena_fini(&arena);
}

TestSuite(cuttree, .init = set_up, .fini = tear_down);

/* ---- Rule sets ----------------------------------------------------------------------------- */

static void any_of(struct flat *flat, int32_t tag)
{
    *flat = (struct flat){
        .dst_high = DSTS - 1,
        .dst_port_high = UINT16_MAX,
        .src_port_high = UINT16_MAX,
        .tag = tag,
    };
}

static void to_dst(struct flat *flat, uint32_t low, uint32_t count)
{
    flat->dst_low = (int32_t)low;
    flat->dst_high = (int32_t)(low + count < DSTS ? low + count : DSTS) - 1;
}

static void to_port(struct flat *flat, uint32_t low, uint32_t count)
{
    flat->proto = PROTO_TCP | HAS_PORTS;
    flat->proto_mask = PROTO_MASK | HAS_PORTS;
    flat->dst_port_low = (uint16_t)low;
    flat->dst_port_high = (uint16_t)(low + count < 65536 ? low + count - 1 : 65535);
}

static void host_and_port(struct flat *flat)
{
    static const uint16_t ports[] = {22, 53, 80, 123, 443, 8080, 8443, 50051};

    to_dst(flat, draw(DSTS), 1);
    to_port(flat, ports[draw(8)], 1);
}

static void network_or_service(struct flat *flat)
{
    if (draw(4) == 0)
        to_port(flat, draw(1024), 1);
    else
        to_dst(flat, draw(DSTS), 1 + draw(64));
}

static void port_alone(struct flat *flat)
{
    to_port(flat, draw(65536), 1);
}

static void port_range(struct flat *flat)
{
    to_port(flat, draw(65536), 1 + draw(500));
    flat->src_port_low = (uint16_t)draw(32768);
}

static void nested(struct flat *flat)
{
    uint32_t size = 1u << draw(12);

    to_dst(flat, draw(DSTS / size) * size, size);
    if (draw(2))
        to_port(flat, draw(100), 1 + draw(10));
}

static void around_one_point(struct flat *flat)
{
    uint32_t low = draw(2000), port = draw(30000);

    to_dst(flat, low, 4000 - low);
    to_port(flat, port, 60000 - port);
}

static void half(struct flat *flat)
{
    to_dst(flat, draw(2) * (DSTS / 2), DSTS / 2);
}

static void protocol(struct flat *flat)
{
    flat->proto = (uint16_t)draw(256);
    flat->proto_mask = PROTO_MASK;
    if (draw(2))
        to_dst(flat, draw(DSTS), 16);
}

/* ---- What comes of them -------------------------------------------------------------------- */

static void build(void (*make)(struct flat *), size_t count)
{
    for (size_t i = 0; i < count; i++) {
        any_of(&flats[i], (int32_t)i * 2);
        make(&flats[i]);
    }
    cuttree_init(&builder, &arena, flats, count, DSTS);
    cr_assert_eq(cuttree_add(&builder, 0, count), POL_OK);
    cr_assert_eq(cuttree_build(&builder, &root, &last), POL_OK);
}

static bool in_flat(const struct flat *flat, const struct classify_key *key, int32_t dst)
{
    uint16_t proto = (uint16_t)(key->proto | (key->has_ports ? HAS_PORTS : 0));

    return dst >= flat->dst_low && dst <= flat->dst_high && key->dst_port >= flat->dst_port_low &&
           key->dst_port <= flat->dst_port_high && key->src_port >= flat->src_port_low &&
           key->src_port <= flat->src_port_high && !((proto ^ flat->proto) & flat->proto_mask);
}

static int32_t scan(size_t count, const struct classify_key *key, int32_t dst, int32_t from)
{
    for (size_t i = (size_t)from / 2; i < count; i++) {
        if (in_flat(&flats[i], key, dst))
            return flats[i].tag;
    }
    return NO_TAG;
}

/* A key that some flat takes, more often than not. */
static struct classify_key random_key(size_t count, int32_t *ret_dst)
{
    const struct flat *flat = &flats[draw((uint32_t)count)];
    struct classify_key key = {.proto = PROTO_TCP, .has_ports = true, .src_port = 40000};
    uint32_t near = draw(3);

    *ret_dst = near ? flat->dst_low + (int32_t)draw((uint32_t)(flat->dst_high - flat->dst_low) + 1)
                    : (int32_t)draw(DSTS);
    key.dst_port = (uint16_t)(near ? flat->dst_port_low : draw(65536));
    if (!(flat->proto_mask & HAS_PORTS))
        key = (struct classify_key){.proto = (uint8_t)flat->proto};
    return key;
}

/* The blocks of all leaves that a lookup meets when it finds nothing. */
static size_t blocks_met(const struct cut_node *node, const struct probe *probe)
{
    while (node->kind < DIM_COUNT)
        node = cut_step(&forest, node, probe);
    if (node->kind != NODE_FORK)
        return (size_t)node->base;
    return blocks_met(&forest.nodes[node->child], probe) +
           blocks_met(&forest.nodes[node->child + 1], probe);
}

struct figures {
    size_t nodes, blocks, met;
};

static struct figures figures_of(void (*make)(struct flat *), size_t count)
{
    struct figures figures;

    build(make, count);
    figures = (struct figures){builder.nodes.count, builder.blocks.count, 0};
    cr_assert_eq(cuttree_keep(&builder, &forest), POL_OK);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        int32_t dst, from = (int32_t)draw(3) ? 0 : 2 * (int32_t)draw((uint32_t)count);
        struct classify_key key = random_key(count, &dst);
        struct probe probe;

        probe_init(&probe, &key, (uint32_t)dst, from);
        cr_assert_eq(cuttree_find(&forest, &root, &probe, NO_TAG), scan(count, &key, dst, from));
        figures.met += blocks_met(&root, &probe);
    }
    cuttree_fini(&builder);
    return figures;
}

static const struct {
    const char *name;
    void (*make)(struct flat *);
    size_t count;
    struct figures expected; /* blocks met in all lookups */
} sets[] = {
    {"one", host_and_port, 1, {0, 1, 3000}},
    {"hosts, few", host_and_port, 50, {32, 7, 3000}},
    {"hosts", host_and_port, 1000, {257, 161, 3060}},
    {"hosts, very many", host_and_port, FLATS_MAX, {4096, 2912, 5959}},
    {"networks and services", network_or_service, 2000, {469, 589, 14225}},
    {"ports", port_alone, 1500, {1023, 208, 3017}},
    {"ranges of ports", port_range, 1500, {311, 503, 5738}},
    {"nested", nested, 1500, {562, 648, 38239}},
    {"around one point", around_one_point, 600, {0, 75, 225000}},
    {"halves", half, 100, {2, 14, 21000}},
    {"protocols", protocol, 700, {514, 97, 6000}},
};

Test(cuttree, trees_are_as_good_as_they_were)
{
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        struct figures found = figures_of(sets[i].make, sets[i].count);

        cr_expect(memcmp(&found, &sets[i].expected, sizeof(found)) == 0, "%s: {%zu, %zu, %zu}",
                  sets[i].name, found.nodes, found.blocks, found.met);
    }
}

Test(cuttree, no_flat_is_a_leaf_of_nothing)
{
    struct figures found;

    build(host_and_port, 0);
    found = (struct figures){builder.nodes.count, builder.blocks.count, 0};
    cr_expect_eq(found.nodes, 0);
    cr_expect_eq(found.blocks, 0);
    cr_expect_eq(last, -1);
    cr_expect_eq(root.first, NO_TAG);
    cuttree_fini(&builder);
}
