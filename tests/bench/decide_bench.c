/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision costs: packets of known flows and packets that open flows, one by one and in
 * batches, at 10, 1 000 and 10 000 rules; and what a flow, a rule and a grant weigh.
 *
 *   decide_bench [rules ...]
 *
 * The policy is a site's: groups of 20 rules over one /24 each, a tenth of the rules with a
 * hostname, the rest with destinations and ports. Nine in ten new flows match a rule of their
 * group.
 *
 * Peers in the same run: for known flows a bare hash table with the same keys and nothing else
 * (what any flow table must cost); for new flows a scan over the group's and its predecessors'
 * rules in order, without a flow table, events or counters. CPU time, the best of five rounds.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpolicy/policy.h>

#include "base/hash.h"
#include "clock.h"
#include "draw.h"
#include "grants/grants.h"
#include "match/rule.h"
#include "net/ipset.h"
#include "net/proto.h"
#include "program/program.h"

enum {
    FLOWS = 1 << 16,
    PACKETS = 1 << 18,
    NEW_FLOWS = 1 << 16,
    BATCH = 256,
    ROUNDS = 5,
    RULES_PER_GROUP = 20,
    SCAN_RULES_MAX = 10000
};

static struct draw numbers = {.state = 1};

/* --- the policy ----------------------------------------------------------------------------- */

static char *make_policy(uint32_t rules, size_t *ret_len)
{
    uint32_t groups = (rules + RULES_PER_GROUP - 1) / RULES_PER_GROUP;
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);

    fprintf(out, "{\"default_policy\":\"deny\",\"source_groups\":[");
    for (uint32_t g = 0; g < groups; g++) {
        fprintf(
            out,
            "%s{\"id\":\"g%u\",\"mode\":\"enforce\",\"sources\":{\"cidrs\":[\"10.%u.%u.0/24\"]},"
            "\"rules\":[",
            g ? "," : "", g, g >> 8 & 255, g & 255);
        for (uint32_t r = 0; r < RULES_PER_GROUP && g * RULES_PER_GROUP + r < rules; r++) {
            fprintf(out, "%s{\"id\":\"r%u\",\"action\":\"allow\",\"match\":{", r ? "," : "", r);
            if (r % 10 == 9)
                fprintf(out, "\"dns_hostname\":\"^h%u\\\\.g%u\\\\.example$\"", r, g);
            else
                fprintf(out, "\"dst_cidrs\":[\"198.%u.%u.0/24\"],\"proto\":\"tcp\"", 18 + r % 2,
                        (g * 7 + r) & 255);
            fprintf(out, ",\"dst_ports\":[%u]}}", 400 + r);
        }
        fprintf(out, "]}");
    }
    fprintf(out, "]}");
    fclose(out);
    return text;
}

struct bench {
    pol_ctx *ctx;
    pol_policy *policy;
    pol_grants *grants;
    uint32_t rules;
    pol_packet *packets; /* one SYN per flow */
};

static pol_packet make_syn(uint32_t rules, uint32_t number)
{
    uint32_t rule = draw_below(&numbers, rules), group = rule / RULES_PER_GROUP,
             r = rule % RULES_PER_GROUP;
    pol_packet packet = {
        .kind = POL_PKT_IP,
        .side = POL_SIDE_INSIDE,
        .hop_limit = 64,
        .tcp_flags = POL_TCP_SYN,
        .wire_len = 74,
        .ip_len = 60,
        .tuple = {.proto = PROTO_TCP, .src = {.family = 4}, .dst = {.family = 4}},
    };
    uint8_t src[4] = {10, (uint8_t)(group >> 8), (uint8_t)group, (uint8_t)(1 + number % 250)};
    uint8_t dst[4] = {198, (uint8_t)(18 + r % 2), (uint8_t)(group * 7 + r),
                      (uint8_t)draw_below(&numbers, 256)};

    memcpy(packet.tuple.src.bytes, src, 4);
    memcpy(packet.tuple.dst.bytes, dst, 4);
    packet.tuple.src_port = (uint16_t)(1024 + (number / 250) % 60000);
    packet.tuple.dst_port = (uint16_t)(400 + r);
    packet.tcp_seq = number;
    return packet;
}

static void set_up(struct bench *bench, uint32_t rules)
{
    size_t len;
    char *text = make_policy(rules, &len);
    int rc;

    *bench = (struct bench){.rules = rules};
    rc = pol_ctx_new(NULL, &bench->ctx);
    if (rc == POL_OK)
        rc = pol_compile(bench->ctx, (pol_str){text, len}, NULL, &bench->policy, NULL);
    if (rc == POL_OK)
        rc = pol_grants_new(bench->ctx, NULL, &bench->grants);
    if (rc < 0)
        errx(1, "set up: %s", pol_status_name(rc));
    free(text);
    bench->packets = calloc(FLOWS, sizeof(*bench->packets));
    for (uint32_t i = 0; i < FLOWS; i++)
        bench->packets[i] = make_syn(rules, i);
}

static void tear_down(struct bench *bench)
{
    free(bench->packets);
    pol_grants_free(bench->grants);
    pol_policy_unref(bench->policy);
    pol_ctx_unref(bench->ctx);
}

static pol_worker *make_worker(const struct bench *bench, uint32_t flows)
{
    pol_worker_options opts;
    pol_worker *worker;
    int rc;

    pol_worker_options_init(&opts, sizeof(opts));
    opts.flow_capacity = flows;
    opts.grants = bench->grants;
    rc = pol_worker_new(bench->ctx, &opts, &worker);
    if (rc == POL_OK)
        rc = pol_worker_use(worker, bench->policy, 1);
    if (rc < 0)
        errx(1, "worker: %s", pol_status_name(rc));
    return worker;
}

static void drain(pol_worker *worker)
{
    static pol_event events[64];

    while (pol_worker_drain(worker, events, 64))
        ;
}

/* --- ours ----------------------------------------------------------------------------------- */

static double time_decisions(pol_worker *worker, const pol_packet *packets, uint32_t count,
                             bool batch)
{
    static pol_verdict verdicts[BATCH];
    uint64_t spent = 0;

    for (uint32_t i = 0; i < count; i += BATCH) {
        uint64_t begin = thread_ns();

        if (batch) {
            pol_worker_decide_batch(worker, packets + i, BATCH, POL_SECONDS, verdicts);
        } else {
            for (uint32_t k = 0; k < BATCH; k++)
                pol_worker_decide(worker, &packets[i + k], POL_SECONDS, &verdicts[k]);
        }
        spent += thread_ns() - begin;
        drain(worker);
    }
    return (double)spent / count;
}

static double new_flows(const struct bench *bench, bool batch)
{
    pol_worker *worker = make_worker(bench, FLOWS);
    double best = 1e9;

    /* The first round also pays for the kernel's first touch of every page; the best does not. */
    for (int round = 0; round < ROUNDS; round++) {
        double ns = time_decisions(worker, bench->packets, NEW_FLOWS, batch);

        best = ns < best ? ns : best;
        while (pol_worker_flush(worker, POL_SECONDS))
            drain(worker);
        drain(worker);
    }
    pol_worker_free(worker);
    return best;
}

/* Packets of the flows in random order, as acknowledgements behind the handshake. */
static pol_packet *known_trace(const struct bench *bench, uint32_t flows)
{
    pol_packet *trace = calloc(PACKETS, sizeof(*trace));

    for (uint32_t i = 0; i < PACKETS; i++) {
        trace[i] = bench->packets[draw_below(&numbers, flows)];
        trace[i].tcp_flags = POL_TCP_ACK;
    }
    return trace;
}

static double known_flows(const struct bench *bench, const pol_packet *trace, bool batch)
{
    pol_worker *worker = make_worker(bench, FLOWS);
    double best = 1e9;

    time_decisions(worker, bench->packets, FLOWS, false);
    for (int round = 0; round < ROUNDS; round++) {
        double ns = time_decisions(worker, trace, PACKETS, batch);

        best = ns < best ? ns : best;
    }
    pol_worker_free(worker);
    return best;
}

/* --- peers ---------------------------------------------------------------------------------- */

struct bare {
    pol_tuple tuple;
    uint32_t next;
};

static uint64_t bare_hash(const pol_tuple *tuple)
{
    static const uint64_t seed[2] = {1, 2};

    return hash_bytes(seed, tuple, sizeof(*tuple));
}

/* A chained hash table of tuples: found or not, and nothing more. */
static double bare_table(const struct bench *bench, const pol_packet *trace, uint32_t flows)
{
    uint32_t mask = FLOWS - 1, *heads = malloc(FLOWS * sizeof(*heads));
    struct bare *entries = calloc(flows, sizeof(*entries));
    volatile uint32_t sink = 0;
    double best = 1e9;

    memset(heads, 0xff, FLOWS * sizeof(*heads));
    for (uint32_t i = 0; i < flows; i++) {
        uint64_t hash = bare_hash(&bench->packets[i].tuple);

        entries[i] = (struct bare){bench->packets[i].tuple, heads[hash & mask]};
        heads[hash & mask] = i;
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = thread_ns();
        double ns;

        for (uint32_t i = 0; i < PACKETS; i++) {
            uint32_t at = heads[bare_hash(&trace[i].tuple) & mask];

            while (at != POL_NONE && !tuple_equal(&entries[at].tuple, &trace[i].tuple))
                at = entries[at].next;
            sink += at;
        }
        ns = (double)(thread_ns() - begin) / PACKETS;
        best = ns < best ? ns : best;
    }
    free(entries);
    free(heads);
    return best;
}

static uint32_t scan(const pol_policy *policy, const pol_packet *packet)
{
    struct classify_key key = {
        .dst = packet->tuple.dst,
        .src_port = packet->tuple.src_port,
        .dst_port = packet->tuple.dst_port,
        .proto = packet->tuple.proto,
        .has_ports = true,
    };

    for (uint32_t g = 0; g < policy->group_count; g++) {
        const struct pp_group *group = &policy->groups[g];

        if (!ipset_has(group->sources, &packet->tuple.src))
            continue;
        for (uint32_t s = group->first; s < group->end; s++) {
            if (policy->steps[s].pattern == POL_NONE && rule_selects(&policy->steps[s], &key))
                return s;
        }
    }
    return policy->step_count - 1;
}

static double linear_scan(const struct bench *bench)
{
    uint32_t count = bench->rules > 1000 ? NEW_FLOWS / 16 : NEW_FLOWS;
    volatile uint32_t sink = 0;
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = thread_ns();
        double ns;

        for (uint32_t i = 0; i < count; i++)
            sink += scan(bench->policy, &bench->packets[i]);
        ns = (double)(thread_ns() - begin) / count;
        best = ns < best ? ns : best;
    }
    return best;
}

/* --- report --------------------------------------------------------------------------------- */

static void report(const char *what, uint32_t rules, const char *form, double ns, const char *peer,
                   double peer_ns)
{
    printf("{\"bench\":\"decide\",\"what\":\"%s\",\"rules\":%" PRIu32 ",\"form\":\"%s\","
           "\"ns\":%.0f,\"peer\":\"%s\",\"peer_ns\":%.0f,\"ratio\":%.2f}\n",
           what, rules, form, ns, peer, peer_ns, ns / peer_ns);
    fflush(stdout);
}

static void report_memory(const struct bench *bench)
{
    pol_worker *small = make_worker(bench, 1 << 10), *large = make_worker(bench, 1 << 17);
    size_t span = (1 << 17) - (1 << 10);
    double flow = (double)(pol_worker_memory(large) - pol_worker_memory(small)) / (double)span;

    printf("{\"bench\":\"decide\",\"what\":\"memory\",\"rules\":%" PRIu32
           ",\"bytes_per_flow\":%.0f,\"bytes_per_rule\":%.0f,\"bytes_per_grant\":%.0f}\n",
           bench->rules, flow, (double)pol_policy_memory(bench->policy) / bench->rules,
           (double)pol_grants_memory(bench->grants) / 65536);
    pol_worker_free(small);
    pol_worker_free(large);
}

static void run(uint32_t rules)
{
    static const uint32_t flow_counts[] = {256, FLOWS};
    double scanned;
    struct bench bench;

    set_up(&bench, rules);
    for (size_t i = 0; i < 2; i++) {
        pol_packet *trace = known_trace(&bench, flow_counts[i]);
        double bare = bare_table(&bench, trace, flow_counts[i]);
        const char *what = i ? "known, 65536 flows" : "known, 256 flows";

        report(what, rules, "single", known_flows(&bench, trace, false), "bare hash table", bare);
        report(what, rules, "batch", known_flows(&bench, trace, true), "bare hash table", bare);
        free(trace);
    }
    scanned = linear_scan(&bench);
    report("new", rules, "single", new_flows(&bench, false), "linear scan", scanned);
    report("new", rules, "batch", new_flows(&bench, true), "linear scan", scanned);
    report_memory(&bench);
    tear_down(&bench);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {10, 1000, 10000};

    if (argc == 1) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
            run(sizes[i]);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        long rules = strtol(argv[i], NULL, 10);

        if (rules < 1 || rules > SCAN_RULES_MAX * 10) {
            fprintf(stderr, "decide_bench: \"%s\" is no number of rules from 1 to 100000\n",
                    argv[i]);
            return 2;
        }
        run((uint32_t)rules);
    }
    return 0;
}
