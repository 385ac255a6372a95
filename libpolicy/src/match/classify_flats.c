/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step becomes the products of its destination ranges and port ranges: boxes in (destination
 * number, destination port, source port, protocol). ICMP type and code stand in the place of the
 * ports. Where a step would become too many boxes, or its set is none, the flat is a box around it
 * and marked; a hit is then checked with rule_selects(). Steps that select everything are no flats
 * but a sorted array, one entry of which bounds a search from the start.
 *
 * The bound on a step's boxes sinks until all of them together stay in proportion to the steps, so
 * memory is linear in steps. Flats and alls are in step order, and as steps are sorted by group,
 * what a group has of either is one extent.
 */
#include "match/classify_flats.h"

#include "base/mem.h"
#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"

enum { PRODUCTS_MAX = 256 }; /* flats of one step; measured with classify_bench */

/* ---- Division ------------------------------------------------------------------------------ */

/* How a step is divided: the products, and whether they are the step or boxes around it. */
struct division {
    size_t dsts, ports;
    bool exact;
};

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

static bool is_flat(const struct flats *b, const struct pp_step *step)
{
    return step->group != POL_NONE && b->take(step);
}

static bool selects_all(const struct pp_step *step)
{
    return step->any_proto && !step->dst && !step->src_ports && !step->dst_ports && !step->icmp;
}

/* The bound on a step's products under which all of them together stay in proportion. */
static uint32_t products_limit(const struct flats *b)
{
    size_t budget = 8 * (size_t)b->step_count + (1 << 18);
    uint32_t limit = PRODUCTS_MAX;

    for (; limit > 1; limit /= 2) {
        size_t total = 0;

        for (uint32_t i = 0; i < b->step_count; i++) {
            struct division division = {0};

            if (is_flat(b, &b->steps[i]))
                division = divide(&b->steps[i], limit);
            total += division.dsts * division.ports;
        }
        if (total <= budget)
            break;
    }
    return limit;
}

/* ---- Destinations -------------------------------------------------------------------------- */

static int gather_dsts(struct flats *b, const struct pp_step *step)
{
    struct division division = divide(step, b->products_max);

    for (size_t i = 0; step->dst && i < division.dsts; i++) {
        struct iprange range = dst_chunk(step->dst, i, division.dsts);

        if (edges_before(&b->edges, range.first.family == 6, wide_of(&range.first)) < 0 ||
            edges_after(&b->edges, range.last.family == 6, wide_last(&range.last)) < 0)
            return POL_E_NOMEM;
    }
    return POL_OK;
}

static int build_dsts(struct flats *b)
{
    b->products_max = products_limit(b);
    for (uint32_t i = 0; i < b->step_count; i++) {
        if (is_flat(b, &b->steps[i]) && gather_dsts(b, &b->steps[i]) < 0)
            return POL_E_NOMEM;
    }
    return partition_build(&b->edges, b->dst);
}

/* ---- Flats --------------------------------------------------------------------------------- */

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

static void flat_dst(const struct flats *b, const struct pp_step *step, size_t i, size_t chunks,
                     struct flat *flat)
{
    const struct partition *dst = b->dst;
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

static int add_flats(struct flats *b, uint32_t number)
{
    const struct pp_step *step = &b->steps[number];
    struct division division = divide(step, b->products_max);
    struct flat flat = flat_common(step, number, division.exact);

    for (size_t i = 0; i < division.dsts && can_match(step); i++) {
        flat_dst(b, step, i, division.dsts, &flat);
        for (size_t j = 0; j < division.ports; j++) {
            struct flat *added = vec_add(b->arena, &b->boxes, 1);

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

static int add_all(struct flats *b, uint32_t number)
{
    int32_t *tag = vec_add(b->arena, &b->alls, 1);

    if (!tag)
        return POL_E_NOMEM;
    *tag = (int32_t)(number << 1);
    return POL_OK;
}

static int build_flats(struct flats *b)
{
    uint32_t number = 0;

    for (uint32_t group = 0; group < b->group_count; group++) {
        struct extent *extent = &b->extents[group];

        extent->flat_first = b->boxes.count;
        extent->all_first = b->alls.count;
        for (; number < b->step_count && b->steps[number].group == group; number++) {
            int rc = POL_OK;

            if (is_flat(b, &b->steps[number]))
                rc = selects_all(&b->steps[number]) ? add_all(b, number) : add_flats(b, number);
            if (rc < 0)
                return rc;
        }
        extent->flat_end = b->boxes.count;
        extent->all_end = b->alls.count;
    }
    return POL_OK;
}

int flats_build(struct flats *flats, struct arena *arena, const struct pp_step *steps,
                uint32_t step_count, uint32_t group_count, bool (*take)(const struct pp_step *step),
                struct partition *ret_dst)
{
    int rc;

    *flats = (struct flats){
        .arena = arena,
        .steps = steps,
        .step_count = step_count,
        .group_count = group_count,
        .take = take,
        .dst = ret_dst,
        .boxes.size = sizeof(struct flat),
        .alls.size = sizeof(int32_t),
        .extents = mem_array(arena->mem, group_count, sizeof(struct extent)),
    };
    edges_init(&flats->edges, arena);
    if (!flats->extents)
        return POL_E_NOMEM;

    rc = build_dsts(flats);
    if (rc < 0)
        return rc;
    return build_flats(flats);
}

void flats_fini(struct flats *flats)
{
    edges_fini(&flats->edges);
    vec_free(flats->arena, &flats->boxes);
    vec_free(flats->arena, &flats->alls);
    mem_free(flats->arena->mem, flats->extents, flats->group_count * sizeof(*flats->extents));
}
