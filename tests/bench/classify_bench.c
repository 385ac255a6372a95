/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet classification one lookup at a time, against a scan over the ordered list (the group's
 * sources looked at once per group, then its rules).
 *
 *   classify_bench [rules ...]
 *
 * The policies look like those of a site: groups of about ten rules (about a hundred from 10 000
 * rules on), one to four source prefixes each, mostly subnets and hosts of 10.0.0.0/8 or
 * 2001:db8::/32, rules with up to three destination prefixes and a few popular or random ports. 85
 * % of the headers are made from a rule. "random": a new header each time; "hot": 256 headers again
 * and again. "walk" follows the matches from the first to the default. CPU time, the best
 * of seven rounds.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "clock.h"
#include "draw.h"
#include "match/classify.h"
#include "match/rule.h"
#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"

enum { HEADERS = 1 << 17, HOT = 256, LOOKUPS = 1 << 18, ROUNDS = 7, PEER_RULES_MAX = 10000 };

struct header {
    pol_addr src;
    struct classify_key key;
};

/* The hosts some rule speaks of. */
struct example {
    pol_prefix src, dst;
    uint16_t dst_port;
    uint8_t proto;
};

struct bench {
    struct arena arena, classifier_arena;
    struct draw random;
    struct pp_step *steps;
    struct pp_group *groups;
    struct example *examples;
    uint32_t rules, step_count, group_count, example_count, v6_percent;
    struct header *headers;
    struct classifier *classifier;
    double build_ms;
};

static uint32_t draw(struct bench *bench, uint32_t below)
{
    return draw_below(&bench->random, below);
}

static bool chance(struct bench *bench, uint32_t percent)
{
    return draw(bench, 100) < percent;
}

/* ---- Policies ------------------------------------------------------------------------------ */

/* A prefix of 32 + len bits for IPv6, len for IPv4, from the same 32 random bits. */
static pol_prefix prefix_make(bool v6, uint32_t value, unsigned len)
{
    const uint8_t bytes[16] = {0x20,
                               0x01,
                               0x0d,
                               0xb8,
                               (uint8_t)(value >> 24),
                               (uint8_t)(value >> 16),
                               (uint8_t)(value >> 8),
                               (uint8_t)value};
    pol_addr addr = v6 ? addr_v6(bytes) : addr_v4(bytes + 4);

    return prefix_of(&addr, v6 ? 32 + len : len);
}

static pol_prefix source_prefix(struct bench *bench, bool v6)
{
    static const uint8_t lengths[] = {16, 20, 22, 24, 24, 24, 26, 28, 32, 32};

    return prefix_make(v6, 10u << 24 | draw(bench, 1u << 24), lengths[draw(bench, 10)]);
}

static pol_prefix dst_prefix(struct bench *bench, bool v6)
{
    static const uint8_t lengths[] = {8, 16, 20, 24, 24, 24, 28, 32, 32, 32};
    uint32_t value = chance(bench, 40) ? 10u << 24 | draw(bench, 1u << 24)
                                       : (1 + draw(bench, 223)) << 24 | draw(bench, 1u << 24);

    return prefix_make(v6, value, lengths[draw(bench, 10)]);
}

static const struct ipset *make_set(struct bench *bench, const pol_prefix *prefixes, size_t count)
{
    struct ipset *set;

    if (ipset_build(&bench->arena, prefixes, count, &set) < 0)
        errx(1, "out of memory");
    return set;
}

static const struct portset *make_ports(struct bench *bench, uint16_t *ret_one)
{
    static const uint16_t popular[] = {443, 80, 22, 53, 25, 123, 389, 3306, 5432, 8080};
    struct portrange ranges[3];
    uint32_t count = chance(bench, 60) ? 1 : 1 + draw(bench, 3);
    struct portset *set;

    for (uint32_t i = 0; i < count; i++) {
        uint16_t first = popular[draw(bench, 10)], last = first;

        if (chance(bench, 25))
            first = last = (uint16_t)draw(bench, 65536);
        if (chance(bench, 10))
            last = (uint16_t)(first + draw(bench, 65536u - first));
        ranges[i] = (struct portrange){first, last};
    }
    *ret_one = ranges[0].first;
    if (portset_build(&bench->arena, ranges, count, &set) < 0)
        errx(1, "out of memory");
    return set;
}

static struct pp_step *add_step(struct bench *bench, enum pp_kind kind, uint32_t group)
{
    struct pp_step *step = &bench->steps[bench->step_count++];

    *step = (struct pp_step){
        .kind = (uint8_t)kind, .any_proto = true, .by_packet = true, .group = group};
    return step;
}

static void add_rule(struct bench *bench, uint32_t group, const pol_prefix *src)
{
    struct pp_step *step = add_step(bench, PP_RULE, group);
    struct example *example = &bench->examples[bench->example_count++];
    bool v6 = src->addr.family == 6;
    pol_prefix dsts[3];
    uint32_t count = chance(bench, 50) ? 1 : 1 + draw(bench, 3);

    for (uint32_t i = 0; i < count; i++)
        dsts[i] = dst_prefix(bench, v6);
    *example = (struct example){*src, dsts[0], (uint16_t)draw(bench, 65536), PROTO_TCP};
    if (!chance(bench, 10))
        step->dst = make_set(bench, dsts, count);
    step->any_proto = chance(bench, 10);
    if (step->any_proto)
        return;
    step->proto = example->proto = chance(bench, 75) ? PROTO_TCP : PROTO_UDP;
    if (!chance(bench, 10))
        step->dst_ports = make_ports(bench, &example->dst_port);
}

static void add_group(struct bench *bench, uint32_t rules)
{
    struct pp_group *group = &bench->groups[bench->group_count];
    bool v6 = chance(bench, bench->v6_percent);
    pol_prefix sources[4];
    uint32_t count = 1 + draw(bench, 4);

    for (uint32_t i = 0; i < count; i++)
        sources[i] = source_prefix(bench, v6);
    group->first = bench->step_count;
    group->sources = make_set(bench, sources, count);
    for (uint32_t i = 0; i < rules; i++)
        add_rule(bench, bench->group_count, &sources[draw(bench, count)]);
    group->end = bench->step_count;
    add_step(bench, PP_GROUP_DEFAULT, bench->group_count)->by_packet = chance(bench, 20);
    bench->group_count++;
}

static void make_policy(struct bench *bench)
{
    uint32_t size = bench->rules >= 10000 ? 100 : 10;

    bench->steps = calloc(2 * (size_t)bench->rules + 2, sizeof(*bench->steps));
    bench->groups = calloc(bench->rules + 1, sizeof(*bench->groups));
    bench->examples = calloc(bench->rules + 1, sizeof(*bench->examples));
    bench->headers = calloc(HEADERS, sizeof(*bench->headers));
    if (!bench->steps || !bench->groups || !bench->examples || !bench->headers)
        errx(1, "out of memory");

    while (bench->example_count < bench->rules) {
        uint32_t rules = 1 + draw(bench, 2 * size - 1);
        uint32_t left = bench->rules - bench->example_count;

        add_group(bench, rules < left ? rules : left);
    }
    add_step(bench, PP_POLICY_DEFAULT, POL_NONE);
}

/* An address inside a prefix. */
static pol_addr inside(struct bench *bench, const pol_prefix *prefix)
{
    pol_addr addr = prefix->addr;
    unsigned bits = addr.family == 4 ? 32 : 128;

    for (unsigned i = prefix->len; i < bits; i++)
        addr.bytes[i / 8] |= (uint8_t)(draw(bench, 2) << (7 - i % 8));
    return addr;
}

static struct header make_header(struct bench *bench)
{
    struct example example = bench->examples[draw(bench, bench->example_count)];
    struct header header;

    if (chance(bench, 15)) {
        bool v6 = chance(bench, bench->v6_percent);

        example = (struct example){source_prefix(bench, v6), dst_prefix(bench, v6),
                                   (uint16_t)draw(bench, 65536), PROTO_TCP};
    }
    header.src = inside(bench, &example.src);
    header.key = (struct classify_key){
        .dst = inside(bench, &example.dst),
        .src_port = (uint16_t)(1024 + draw(bench, 64512)),
        .dst_port = example.dst_port,
        .proto = example.proto,
        .has_ports = true,
    };
    return header;
}

static bool take(const struct pp_step *step)
{
    return step->by_packet;
}

static void build(struct bench *bench)
{
    uint64_t start = thread_ns();

    if (classify_build(&bench->classifier_arena, bench->steps, bench->step_count, bench->groups,
                       bench->group_count, take, &bench->classifier) < 0)
        errx(1, "out of memory");
    bench->build_ms = (double)(thread_ns() - start) / 1e6;
}

/* ---- What is measured ---------------------------------------------------------------------- */

typedef uint32_t (*lookup_fn)(const struct bench *bench, const struct header *header);

static uint32_t classifier_first(const struct bench *bench, const struct header *header)
{
    struct classify_path path;

    classify_source(bench->classifier, &header->src, &path);
    return classify_next(bench->classifier, &path, &header->key, 0);
}

/* All matches, as a walk over conditional rules would see them. */
static uint32_t classifier_walk(const struct bench *bench, const struct header *header)
{
    struct classify_path path;
    uint32_t sum = 0, from = 0;

    classify_source(bench->classifier, &header->src, &path);
    classify_destination(bench->classifier, &header->key.dst, &path);
    while ((from = classify_next(bench->classifier, &path, &header->key, from)) != POL_NONE)
        sum += from++;
    return sum;
}

static uint32_t scan_first(const struct bench *bench, const struct header *header)
{
    for (uint32_t i = 0; i < bench->group_count; i++) {
        const struct pp_group *group = &bench->groups[i];

        if (!ipset_has(group->sources, &header->src))
            continue;
        for (uint32_t step = group->first; step <= group->end; step++) {
            if (bench->steps[step].by_packet && rule_selects(&bench->steps[step], &header->key))
                return step;
        }
    }
    return bench->step_count - 1;
}

static double measure(const struct bench *bench, lookup_fn lookup, uint32_t headers,
                      uint32_t lookups, uint64_t *ret_sum)
{
    uint64_t best = UINT64_MAX;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start = thread_ns(), sum = 0, spent;

        for (uint32_t i = 0; i < lookups; i++)
            sum += lookup(bench, &bench->headers[i & (headers - 1)]);
        spent = thread_ns() - start;
        best = spent < best ? spent : best;
        *ret_sum = sum;
    }
    return (double)best / lookups;
}

static void report(const struct bench *bench, const char *headers, double ns, double peer_ns)
{
    printf("{\"bench\":\"classify\",\"rules\":%" PRIu32 ",\"groups\":%" PRIu32
           ",\"v6_percent\":%" PRIu32 ",\"headers\":\"%s\",\"ns\":%.1f",
           bench->rules, bench->group_count, bench->v6_percent, headers, ns);
    if (peer_ns > 0)
        printf(",\"peer\":\"linear\",\"peer_ns\":%.1f,\"ratio\":%.4f", peer_ns, ns / peer_ns);
    printf(",\"bytes_per_rule\":%.0f,\"build_ms\":%.2f}\n",
           (double)bench->classifier_arena.bytes / bench->rules, bench->build_ms);
    fflush(stdout);
}

static void compare_first(const struct bench *bench, const char *name, uint32_t headers)
{
    uint32_t peer_lookups = LOOKUPS / (1 + bench->rules / 100);
    uint64_t sum, peer_sum, check;
    double ns = measure(bench, classifier_first, headers, LOOKUPS, &sum), peer_ns = 0;

    if (bench->rules <= PEER_RULES_MAX) {
        peer_ns = measure(bench, scan_first, headers, peer_lookups, &peer_sum);
        measure(bench, classifier_first, headers, peer_lookups, &check);
        if (check != peer_sum) {
            fputs("classify_bench: the scan disagrees\n", stderr);
            exit(1);
        }
    }
    report(bench, name, ns, peer_ns);
}

static void run(uint32_t rules, uint32_t v6_percent)
{
    struct bench bench = {.random.state = 1, .rules = rules, .v6_percent = v6_percent};
    uint64_t sum;

    arena_init(&bench.arena, &mem_libc);
    arena_init(&bench.classifier_arena, &mem_libc);
    make_policy(&bench);
    for (uint32_t i = 0; i < HEADERS; i++)
        bench.headers[i] = make_header(&bench);
    build(&bench);

    compare_first(&bench, "random", HEADERS);
    compare_first(&bench, "hot", HOT);
    report(&bench, "walk", measure(&bench, classifier_walk, HEADERS, LOOKUPS, &sum), 0);

    arena_fini(&bench.classifier_arena);
    arena_fini(&bench.arena);
    free(bench.steps);
    free(bench.groups);
    free(bench.examples);
    free(bench.headers);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {10, 100, 1000, 10000, 100000};

    for (int i = 1; i < argc; i++) {
        run((uint32_t)strtoul(argv[i], NULL, 10), 0);
        run((uint32_t)strtoul(argv[i], NULL, 10), 50);
    }
    for (size_t i = 0; argc == 1 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
        run(sizes[i], 0);
    for (size_t i = 0; argc == 1 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
        run(sizes[i], 50);
    return 0;
}
