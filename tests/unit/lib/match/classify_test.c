/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier against a scan over all steps. Every address and port that borders on a selector
 * is kept while a rule set is made, and half of the headers are drawn from them and their
 * neighbours.
 */
#include "match/classify.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/slice.h"
#include "match/rule.h"
#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"

enum { STEPS_MAX = 300000, GROUPS_MAX = 20000, BORDERS_MAX = 4096 };

/* ---- A rule set under construction --------------------------------------------------------- */

struct world {
    struct arena arena;
    uint64_t random;
    struct pp_step *steps;
    struct pp_group *groups;
    uint32_t step_count, group_count;
    pol_addr *borders[2]; /* of sources, of destinations */
    size_t border_count[2];
    uint16_t ports[BORDERS_MAX];
    size_t port_count;
    struct classifier *classifier;
};

enum { SRC, DST };

static uint32_t draw(struct world *world, uint32_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (uint32_t)((world->random * UINT64_C(0x2545f4914f6cdd1d) >> 32) * below >> 32);
}

static bool chance(struct world *world, uint32_t percent)
{
    return draw(world, 100) < percent;
}

static struct world *world_new(uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));

    arena_init(&world->arena, &mem_libc);
    world->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world->steps = calloc(STEPS_MAX, sizeof(*world->steps));
    world->groups = calloc(GROUPS_MAX, sizeof(*world->groups));
    for (unsigned i = 0; i < 2; i++)
        world->borders[i] = calloc(BORDERS_MAX, sizeof(pol_addr));
    return world;
}

static void world_free(struct world *world)
{
    arena_fini(&world->arena);
    free(world->steps);
    free(world->groups);
    free(world->borders[SRC]);
    free(world->borders[DST]);
    free(world);
}

/* The next or previous address of the whole space, wrapping. */
static pol_addr neighbour(pol_addr addr, bool up)
{
    for (int i = addr.family == 4 ? 3 : 15; i >= 0; i--) {
        addr.bytes[i] = (uint8_t)(addr.bytes[i] + (up ? 1 : -1));
        if (addr.bytes[i] != (up ? 0 : 255))
            break;
    }
    return addr;
}

static void keep_border(struct world *world, unsigned side, const pol_addr *addr)
{
    size_t i = world->border_count[side];

    if (i < BORDERS_MAX)
        world->border_count[side]++;
    else
        i = draw(world, BORDERS_MAX);
    world->borders[side][i] = *addr;
}

static const struct ipset *ipset_of(struct world *world, unsigned side, const pol_prefix *prefixes,
                                    size_t count)
{
    struct ipset *set = NULL;

    cr_assert_eq(ipset_build(&world->arena, prefixes, count, &set), POL_OK);
    for (size_t i = 0; i < ipset_range_count(set) && i < 64; i++) {
        struct iprange range = ipset_range(set, i);

        keep_border(world, side, &range.first);
        keep_border(world, side, &range.last);
    }
    return set;
}

static const struct portset *portset_of(struct world *world, const struct portrange *ranges,
                                        size_t count)
{
    struct portset *set = NULL;

    cr_assert_eq(portset_build(&world->arena, ranges, count, &set), POL_OK);
    for (size_t i = 0; i < count; i++) {
        size_t at = world->port_count < BORDERS_MAX - 1 ? world->port_count : draw(world, 4000);

        world->ports[at] = ranges[i].first;
        world->ports[at + 1] = ranges[i].last;
        if (world->port_count < BORDERS_MAX - 1)
            world->port_count += 2;
    }
    return set;
}

static pol_prefix prefix_v4(uint32_t value, unsigned len)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    pol_addr addr = addr_v4(bytes);

    return prefix_of(&addr, len);
}

/* Under 2001:db8::/32, with the variation in the octets the mask selects. */
static pol_addr random_v6(struct world *world)
{
    uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};

    for (unsigned i = 4; i < 16; i++)
        bytes[i] = (uint8_t)(chance(world, 60) ? draw(world, 4) : draw(world, 256));
    return addr_v6(bytes);
}

static pol_prefix random_prefix(struct world *world, uint32_t v6_percent)
{
    if (chance(world, v6_percent)) {
        pol_addr addr = random_v6(world);

        return prefix_of(&addr, chance(world, 5) ? draw(world, 33) : 32 + draw(world, 97));
    }
    return prefix_v4((10u << 24) | draw(world, 1u << 24),
                     chance(world, 5) ? draw(world, 9) : 8 + draw(world, 25));
}

static void add_group(struct world *world, const pol_prefix *sources, size_t count)
{
    struct pp_group *group = &world->groups[world->group_count++];

    cr_assert(world->group_count <= GROUPS_MAX);
    group->first = world->step_count;
    group->sources = ipset_of(world, SRC, sources, count);
}

static struct pp_step *add_step(struct world *world, enum pp_kind kind)
{
    struct pp_step *step = &world->steps[world->step_count++];

    cr_assert(world->step_count <= STEPS_MAX);
    *step = (struct pp_step){
        .kind = (uint8_t)kind,
        .action = POL_ALLOW,
        .any_proto = true,
        .by_packet = true,
        .group = kind == PP_POLICY_DEFAULT ? POL_NONE : world->group_count - 1,
        .rule = POL_NONE,
        .pattern = POL_NONE,
    };
    return step;
}

static void end_group(struct world *world, bool has_default)
{
    struct pp_step *step = add_step(world, PP_GROUP_DEFAULT);

    step->by_packet = has_default;
    world->groups[world->group_count - 1].end = world->step_count - 1;
}

static bool take(const struct pp_step *step)
{
    return step->by_packet;
}

static void build(struct world *world)
{
    cr_assert_eq(classify_build(&world->arena, world->steps, world->step_count, world->groups,
                                world->group_count, take, &world->classifier),
                 POL_OK);
}

static void finish(struct world *world)
{
    add_step(world, PP_POLICY_DEFAULT);
    build(world);
}

/* ---- What it must say ---------------------------------------------------------------------- */

static uint32_t scan_group(const struct world *world, const pol_addr *src, uint32_t from)
{
    for (uint32_t i = from; i < world->group_count; i++) {
        if (ipset_has(world->groups[i].sources, src))
            return i;
    }
    return POL_NONE;
}

static bool scan_holds(const struct world *world, const struct pp_step *step, const pol_addr *src,
                       const struct classify_key *key)
{
    if (!step->by_packet)
        return false;
    return step->group == POL_NONE ||
           (ipset_has(world->groups[step->group].sources, src) && rule_selects(step, key));
}

static uint32_t scan_next(const struct world *world, const pol_addr *src,
                          const struct classify_key *key, uint32_t from)
{
    for (uint32_t i = from; i < world->step_count; i++) {
        if (scan_holds(world, &world->steps[i], src, key))
            return i;
    }
    return POL_NONE;
}

static pol_addr random_addr(struct world *world, unsigned side)
{
    if (world->border_count[side] && chance(world, 85)) {
        pol_addr addr = world->borders[side][draw(world, (uint32_t)world->border_count[side])];

        return chance(world, 60) ? addr : neighbour(addr, chance(world, 50));
    }
    if (chance(world, 3))
        return (pol_addr){0};
    if (chance(world, 30))
        return random_v6(world);
    return prefix_v4(
               chance(world, 50) ? (10u << 24) | draw(world, 1u << 24) : draw(world, 1u << 31), 32)
        .addr;
}

static uint16_t random_port(struct world *world)
{
    static const int near[] = {0, 0, 0, -1, 1};

    if (world->port_count && chance(world, 85)) {
        int port = world->ports[draw(world, (uint32_t)world->port_count)];

        return (uint16_t)(port + near[draw(world, 5)]);
    }
    return (uint16_t)draw(world, 65536);
}

static struct classify_key random_key(struct world *world)
{
    static const uint8_t protos[] = {PROTO_TCP,    PROTO_TCP, PROTO_UDP, PROTO_ICMP,
                                     PROTO_ICMPV6, PROTO_ESP, PROTO_SCTP};
    struct classify_key key = {.dst = random_addr(world, DST)};

    key.proto = chance(world, 95) ? protos[draw(world, 7)] : (uint8_t)draw(world, 256);
    key.has_ports = proto_has_ports(key.proto) && chance(world, 95);
    if (key.has_ports) {
        key.src_port = random_port(world);
        key.dst_port = random_port(world);
    }
    key.is_icmp = (key.proto == PROTO_ICMP || key.proto == PROTO_ICMPV6) && chance(world, 95);
    if (key.is_icmp) {
        key.icmp_type = (uint8_t)draw(world, chance(world, 80) ? 16 : 256);
        key.icmp_code = (uint8_t)draw(world, chance(world, 80) ? 4 : 256);
    }
    return key;
}

static void check_groups(struct world *world, const pol_addr *src, const struct classify_path *path)
{
    uint32_t at = 0;

    for (unsigned i = 0; at != POL_NONE && i < 20; i++, at++) {
        uint32_t expected = scan_group(world, src, at);

        cr_assert_eq(classify_group(world->classifier, path, at), expected);
        at = expected;
        if (at == POL_NONE)
            break;
    }
}

/* Follows the chain of matches; `matches` bounds its length. */
static void check_header(struct world *world, unsigned matches)
{
    pol_addr src = random_addr(world, SRC);
    struct classify_key key = random_key(world);
    struct classify_path path;
    uint32_t from = 0;

    classify_prefetch(world->classifier, &src);
    classify_source(world->classifier, &src, &path);
    check_groups(world, &src, &path);
    if (chance(world, 50))
        classify_destination(world->classifier, &key.dst, &path);
    for (unsigned i = 0; i < matches; i++) {
        uint32_t expected = scan_next(world, &src, &key, from);
        uint32_t found = classify_next(world->classifier, &path, &key, from);

        cr_assert_eq(found, expected, "from %u: %u instead of %u", from, found, expected);
        if (found == POL_NONE)
            return;
        from = found + 1;
    }
    from = draw(world, world->step_count + 2);
    cr_assert_eq(classify_next(world->classifier, &path, &key, from),
                 scan_next(world, &src, &key, from));
}

static void check(struct world *world, unsigned headers, unsigned matches)
{
    for (unsigned i = 0; i < headers; i++)
        check_header(world, matches);
}

/* ---- Random rules -------------------------------------------------------------------------- */

static const struct portset *random_ports(struct world *world, uint32_t span)
{
    static const uint16_t popular[] = {80, 443, 22, 53, 123, 8080, 0, 65535};
    struct portrange ranges[6];
    size_t count = chance(world, 70) ? 1 : 1 + draw(world, 6);

    for (size_t i = 0; i < count; i++) {
        uint32_t first = draw(world, 65536), last = first + draw(world, span);

        if (chance(world, 50))
            first = last = popular[draw(world, 8)];
        ranges[i] = (struct portrange){(uint16_t)first, (uint16_t)(last > 65535 ? 65535 : last)};
    }
    return portset_of(world, ranges, count);
}

static const struct pp_icmp *random_icmp(struct world *world)
{
    struct pp_icmp *icmp = arena_alloc(&world->arena, sizeof(*icmp));

    icmp->any_type = chance(world, 30);
    icmp->any_code = chance(world, 50);
    for (unsigned i = draw(world, 5); i > 0; i--) {
        icmp->types.bits[0] |= 1u << draw(world, 16);
        icmp->codes.bits[0] |= 1u << draw(world, 4);
        icmp->codes.bits[7] |= 1u << draw(world, 32);
    }
    return icmp;
}

static void random_dst(struct world *world, struct pp_step *step, uint32_t v6_percent, size_t most)
{
    pol_prefix prefixes[64];
    size_t count = draw(world, (uint32_t)most + 1);

    for (size_t i = 0; i < count; i++)
        prefixes[i] = random_prefix(world, v6_percent);
    step->dst = ipset_of(world, DST, prefixes, count);
}

static void random_step(struct world *world, uint32_t v6_percent, uint32_t wild_percent)
{
    static const uint8_t protos[] = {PROTO_TCP,  PROTO_TCP,    PROTO_UDP,
                                     PROTO_ICMP, PROTO_ICMPV6, PROTO_ESP};
    struct pp_step *step = add_step(world, PP_RULE);

    step->by_packet = chance(world, 90);
    if (!chance(world, wild_percent))
        random_dst(world, step, v6_percent, chance(world, 90) ? 4 : 64);
    if (!chance(world, wild_percent)) {
        step->any_proto = false;
        step->proto = protos[draw(world, 6)];
    }
    if (chance(world, 15) || step->proto == PROTO_ICMP || step->proto == PROTO_ICMPV6) {
        step->icmp = chance(world, 70) ? random_icmp(world) : NULL;
        if (chance(world, 95))
            return;
    }
    if (!chance(world, wild_percent))
        step->dst_ports = random_ports(world, chance(world, 50) ? 100 : 65536);
    if (chance(world, 10))
        step->src_ports = random_ports(world, 65536);
}

struct shape {
    uint32_t groups, rules; /* at most so many, and so many in each group */
    uint32_t v6_percent, wild_percent, default_percent;
};

static struct world *random_world(uint64_t seed, const struct shape *shape)
{
    struct world *world = world_new(seed);
    uint32_t groups = 1 + draw(world, shape->groups);

    while (groups-- > 0) {
        pol_prefix sources[8];
        size_t count = draw(world, 8);

        for (size_t i = 0; i < count; i++)
            sources[i] = random_prefix(world, shape->v6_percent);
        add_group(world, sources, count);
        for (uint32_t i = draw(world, shape->rules + 1); i > 0; i--)
            random_step(world, shape->v6_percent, shape->wild_percent);
        end_group(world, chance(world, shape->default_percent));
    }
    finish(world);
    return world;
}

static void check_shape(const struct shape *shape, unsigned seeds, unsigned headers)
{
    for (unsigned seed = 1; seed <= seeds; seed++) {
        struct world *world = random_world(seed, shape);

        check(world, headers, 40);
        world_free(world);
    }
}

Test(classify, agrees_with_scan_on_ipv4)
{
    check_shape(&(struct shape){20, 20, 0, 20, 30}, 60, 300);
}

Test(classify, agrees_with_scan_on_ipv6)
{
    check_shape(&(struct shape){20, 20, 100, 20, 30}, 60, 300);
}

Test(classify, agrees_with_scan_on_both_families)
{
    check_shape(&(struct shape){40, 30, 50, 10, 50}, 60, 300);
}

Test(classify, agrees_with_scan_on_one_large_group)
{
    check_shape(&(struct shape){1, 3000, 30, 10, 0}, 10, 500);
}

Test(classify, agrees_with_scan_on_wild_rules)
{
    check_shape(&(struct shape){3, 2000, 30, 80, 10}, 10, 300);
}

Test(classify, agrees_with_scan_on_many_groups)
{
    check_shape(&(struct shape){1000, 6, 30, 20, 10}, 10, 500);
}

/* ---- Adversarial shapes -------------------------------------------------------------------- */

Test(classify, thousand_groups_with_nested_sources)
{
    struct world *world = world_new(1);

    for (unsigned i = 0; i < 1000; i++) {
        pol_prefix source = prefix_v4(draw(world, UINT32_MAX), 8 + draw(world, 6));

        add_group(world, &source, 1);
        for (unsigned rule = 0; rule < 10; rule++)
            random_step(world, 0, 10);
        end_group(world, chance(world, 10));
    }
    finish(world);
    check(world, 2000, 10);
    world_free(world);
}

Test(classify, thousands_of_groups_with_the_same_source)
{
    struct world *world = world_new(2);
    pol_prefix everyone = prefix_v4(0, 0);

    for (unsigned i = 0; i < 5000; i++) {
        add_group(world, &everyone, 1);
        random_step(world, 0, 5);
        random_step(world, 0, 5);
        end_group(world, i > 4000 && chance(world, 1));
    }
    finish(world);
    check(world, 2000, 10);
    world_free(world);
}

/* Every prefix has another list of groups, so the merged trees would hold 500 times all rules. */
Test(classify, groups_that_share_prefixes_at_random)
{
    struct world *world = world_new(3);
    pol_prefix sources[500];

    for (unsigned i = 0; i < 200; i++) {
        size_t count = 0;

        for (unsigned j = 0; j < 1000; j++) {
            if (count < 500 && chance(world, 50))
                sources[count++] = prefix_v4((10u << 24) | j << 9, 24);
        }
        add_group(world, sources, count);
        for (unsigned rule = 0; rule < 10; rule++)
            random_step(world, 0, 5);
        end_group(world, chance(world, 5));
    }
    finish(world);
    check(world, 2000, 10);
    cr_assert_lt(world->arena.bytes, (size_t)32 << 20);
    world_free(world);
}

/* More than may be merged, a few groups for each prefix and none with a default: after the last of
 * them there is nothing, not the first of the next prefix. */
Test(classify, lists_of_few_groups_end_where_they_end)
{
    enum { GROUPS = 200, RULES = 40, PREFIXES = 2000 };
    struct world *world = world_new(14);
    pol_prefix(*sources)[PREFIXES] = calloc(GROUPS, sizeof(*sources));
    size_t counts[GROUPS] = {0};

    for (uint32_t i = 0; i < PREFIXES; i++) {
        for (unsigned k = 0; k < 3; k++) {
            uint32_t group = draw(world, GROUPS);

            sources[group][counts[group]] = prefix_v4((10u << 24) | i << 9, 24);
            counts[group] +=
                !counts[group] || memcmp(&sources[group][counts[group] - 1],
                                         &sources[group][counts[group]], sizeof(pol_prefix)) != 0;
        }
    }
    for (unsigned i = 0; i < GROUPS; i++) {
        add_group(world, sources[i], counts[i]);
        for (unsigned rule = 0; rule < RULES; rule++)
            random_step(world, 0, 5);
        end_group(world, false);
    }
    finish(world);
    check(world, 2000, 10);
    free(sources);
    world_free(world);
}

Test(classify, every_prefix_length_on_one_path)
{
    struct world *world = world_new(4);
    pol_addr deep = random_v6(world);

    for (unsigned len = 0; len <= 128; len++) {
        pol_prefix source = prefix_of(&deep, 128 - len);

        add_group(world, &source, 1);
        random_step(world, 50, 30);
        end_group(world, chance(world, 5));
    }
    finish(world);
    check(world, 3000, 130);
    world_free(world);
}

/* All rules contain one point in every dimension: nothing to cut. */
Test(classify, rules_no_cut_separates)
{
    struct world *world = world_new(5);
    pol_prefix everyone = prefix_v4(0, 0);

    add_group(world, &everyone, 1);
    for (uint32_t i = 0; i < 4000; i++) {
        struct pp_step *step = add_step(world, PP_RULE);
        pol_prefix dst = prefix_v4(0x0a0a0a0a, draw(world, 33));
        struct portrange ports = {(uint16_t)(30000 - draw(world, 30001)),
                                  (uint16_t)(30000 + draw(world, 35536))};

        step->dst = ipset_of(world, DST, &dst, 1);
        step->dst_ports = portset_of(world, &ports, 1);
    }
    end_group(world, false);
    finish(world);
    check(world, 1000, 30);
    cr_assert_lt(world->arena.bytes, (size_t)8 << 20);
    world_free(world);
}

/* Ports, addresses, or both: each is more than a rule may have boxes. */
Test(classify, sets_with_thousands_of_members)
{
    struct world *world = world_new(6);
    struct portrange ports[3000];
    pol_prefix *prefixes = calloc(5000, sizeof(*prefixes));
    pol_prefix everyone = prefix_v4(0, 0);

    add_group(world, &everyone, 1);
    for (unsigned i = 0; i < 30; i++) {
        struct pp_step *step = add_step(world, PP_RULE);

        for (unsigned j = 0; j < 5000; j++)
            prefixes[j] = j % 2 ? prefix_v4(draw(world, UINT32_MAX), 24)
                                : (pol_prefix){random_v6(world), 128};
        if (i % 3 != 0)
            step->dst = ipset_of(world, DST, prefixes, 5000);
        for (unsigned j = 0; j < 3000; j++)
            ports[j].first = ports[j].last = (uint16_t)(j * 20 + i % 7);
        if (i % 3 != 1)
            step->dst_ports = portset_of(world, ports, i % 3 ? 200 : 3000);
    }
    end_group(world, false);
    finish(world);
    check(world, 3000, 10);
    free(prefixes);
    world_free(world);
}

/* Each rule alone may have 256 boxes; all of them together stay in proportion. */
Test(classify, many_rules_with_thousands_of_members)
{
    enum { RULES = 3000, MEMBERS = 1000 };
    struct world *world = world_new(13);
    pol_prefix *prefixes = calloc(MEMBERS, sizeof(*prefixes));
    pol_prefix everyone = prefix_v4(0, 0);
    const struct ipset *set;
    size_t before;

    for (unsigned i = 0; i < MEMBERS; i++)
        prefixes[i] = prefix_v4(i << 16, 24);
    set = ipset_of(world, DST, prefixes, MEMBERS);
    add_group(world, &everyone, 1);
    for (unsigned i = 0; i < RULES; i++) {
        struct pp_step *step = add_step(world, PP_RULE);
        struct portrange port = {(uint16_t)i, (uint16_t)i};

        step->dst = set;
        step->dst_ports = portset_of(world, &port, 1);
    }
    end_group(world, false);
    before = world->arena.bytes;
    finish(world);
    cr_expect_lt(world->arena.bytes - before, (size_t)12 << 20); /* not the 25 of 256 each */
    check(world, 1000, 10);
    free(prefixes);
    world_free(world);
}

/* ---- Edges --------------------------------------------------------------------------------- */

Test(classify, nothing_to_classify)
{
    struct world *world = world_new(7);

    build(world);
    check(world, 10, 1);
    world_free(world);
}

Test(classify, policy_default_alone)
{
    struct world *world = world_new(8);

    finish(world);
    check(world, 100, 2);
    world_free(world);
}

Test(classify, default_that_is_not_taken_is_no_match)
{
    struct world *world = world_new(9);

    add_step(world, PP_POLICY_DEFAULT)->by_packet = false;
    build(world);
    check(world, 100, 1);
    world_free(world);
}

Test(classify, groups_are_found_though_none_of_their_steps_is_taken)
{
    struct world *world = world_new(10);

    for (unsigned i = 0; i < 20; i++) {
        pol_prefix source = random_prefix(world, 30);

        add_group(world, &source, 1);
        add_step(world, PP_RULE)->by_packet = false;
        end_group(world, false);
    }
    finish(world);
    check(world, 1000, 2);
    world_free(world);
}

Test(classify, both_ends_of_both_address_spaces)
{
    struct world *world = world_new(11);
    pol_addr last6;
    pol_prefix ends[4] = {prefix_v4(0, 32), prefix_v4(UINT32_MAX, 32)};

    cr_assert_eq(pol_addr_parse(STR("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), &last6), POL_OK);
    ends[2] = prefix_of(&last6, 128);
    cr_assert_eq(pol_prefix_parse(STR("::/128"), &ends[3]), POL_OK);
    for (unsigned i = 0; i < 16; i++) {
        add_group(world, &ends[i % 4], 1);
        add_step(world, PP_RULE)->dst = ipset_of(world, DST, &ends[i / 4], 1);
        end_group(world, i % 4 == 0);
    }
    finish(world);
    check(world, 2000, 5);
    world_free(world);
}

/* ---- Size and failure ---------------------------------------------------------------------- */

/* The bound holds under sanitizers and on slow machines; classify_bench has the real figures. */
Test(classify, hundred_thousand_rules_take_bounded_memory)
{
    struct world *world = world_new(12);
    size_t before;

    while (world->step_count < 100000) {
        pol_prefix sources[3];

        for (unsigned i = 0; i < 3; i++)
            sources[i] = random_prefix(world, 30);
        add_group(world, sources, 3);
        for (unsigned i = draw(world, 200); i > 0; i--)
            random_step(world, 30, 10);
        end_group(world, chance(world, 50));
    }
    add_step(world, PP_POLICY_DEFAULT);
    before = world->arena.bytes;
    build(world);
    cr_assert_lt(world->arena.bytes - before, (size_t)400 << 20);
    check(world, 200, 5);
    world_free(world);
}

struct failing {
    unsigned left; /* allocations that still succeed */
    size_t held;
};

static void *failing_alloc(void *user, size_t size)
{
    struct failing *failing = user;

    if (!failing->left)
        return NULL;
    failing->left--;
    failing->held += size;
    return malloc(size);
}

static void *failing_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    struct failing *failing = user;
    void *grown;

    if (!failing->left)
        return NULL;
    failing->left--;
    grown = realloc(ptr, new_size);
    failing->held += new_size - old_size;
    return grown;
}

static void failing_release(void *user, void *ptr, size_t size)
{
    ((struct failing *)user)->held -= size;
    free(ptr);
}

Test(classify, running_out_of_memory_anywhere_leaks_nothing)
{
    struct world *world = random_world(13, &(struct shape){30, 30, 50, 20, 50});
    unsigned successes = 0;

    for (unsigned i = 0; i < 1000 && !successes; i++) {
        struct failing failing = {.left = i};
        pol_mem mem = {&failing, failing_alloc, failing_resize, failing_release};
        struct classifier *classifier = NULL;
        struct arena arena;
        int rc;

        arena_init(&arena, &mem);
        rc = classify_build(&arena, world->steps, world->step_count, world->groups,
                            world->group_count, take, &classifier);
        cr_assert(rc == POL_OK || (rc == POL_E_NOMEM && !classifier));
        successes += rc == POL_OK;
        arena_fini(&arena);
        cr_assert_eq(failing.held, 0);
    }
    cr_assert_eq(successes, 1);
    world_free(world);
}
