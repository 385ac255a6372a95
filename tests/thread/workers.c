/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four workers learn names and four others decide by them, all on one grant table, while a ninth
 * thread reads everybody's counters, lists the grants and expires some. With room for all, what was
 * learned opens its address at once; without, whoever has a flow open keeps it.
 *
 *   workers [rounds]
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dnsmsg.h"
#include "frames.h"
#include "thread.h"

enum { PAIRS = 4, ADDRS = 200, ROOMY = 4096, CROWDED = 48, LEAD = 8 };

/* A learner tells its reader what it has just learned. */
struct pair {
    unsigned number;
    pol_worker *learner, *reader;
    atomic_uint learned; /* lessons so far: the newest is about address_of(pair, learned) */
    atomic_uint seen;    /* the newest lesson that the reader has tried */
    uint64_t judged;     /* by the reader */
    uint64_t held;       /* its flows that pinned their grant */
    pol_mono now;        /* the reader's: a flow does not idle while its thread does */
    struct dnsmsg query, answer;
};

static struct pair pairs[PAIRS];
static pol_grants *grants;
static pol_policy *policy;
static unsigned rounds;
static bool crowded;
static atomic_uint running;
static _Atomic pol_mono moment;

static const char policy_text[] =
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["
    "{'id':'n','action':'allow','match':{'dns_hostname':'^n[0-9]+\\\\.ex.mple$'}}]}]}";

static void address_of(const struct pair *pair, unsigned lesson, char text[32])
{
    snprintf(text, 32, "198.18.%u.%u", pair->number, 1 + lesson % ADDRS);
}

static void lesson(struct pair *pair, unsigned number)
{
    pol_addr client = {4, {10, 0, 0, (uint8_t)(1 + pair->number)}};
    pol_mono now = atomic_fetch_add(&moment, POL_SECONDS / 10);
    char name[32], address[32];
    pol_dns_learned learned;
    pol_dns_query query;
    pol_verdict verdict;
    int rc;

    snprintf(name, sizeof(name), "n%u.example", number % 50);
    address_of(pair, number, address);
    dnsmsg_query(&pair->query, name, 1, (uint16_t)number, 0);
    dnsmsg_response(&pair->answer, &pair->query, 0);
    dnsmsg_address(&pair->answer, name, 1, address);
    if (pol_dns_decide(pair->learner, &client, (pol_bytes){pair->query.bytes, pair->query.len}, now,
                       &query, &verdict) != POL_ALLOW)
        thread_fault("%s is not allowed", name);
    rc = pol_dns_learn(pair->learner, &query, (pol_bytes){pair->answer.bytes, pair->answer.len},
                       now, &learned);
    if (rc != POL_OK && !(crowded && rc == POL_E_FULL))
        thread_fault("%s is not learned: %s", name, pol_status_name(rc));
}

static void *learn(void *argument)
{
    struct pair *pair = argument;

    for (unsigned i = 1; i <= rounds; i++) {
        while (i > atomic_load(&pair->seen) + LEAD)
            sched_yield();
        lesson(pair, i);
        atomic_store(&pair->learned, i);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static enum pol_action judge(struct pair *pair, const pol_packet *packet, pol_verdict *ret_verdict)
{
    pair->judged++;
    return pol_worker_decide(pair->reader, packet, pair->now, ret_verdict);
}

/* A flow holds its grant from the moment it opens, so no learner can evict it meanwhile. */
static bool is_pinned(struct pair *pair, const pol_packet *syn)
{
    uint64_t key = pol_policy_group_key(policy, 0);
    pol_grant names[4];
    size_t count = pol_grants_names(grants, key, &syn->tuple.dst, pair->now, names, 4);

    for (size_t i = 0; i < count && i < 4; i++) {
        if (names[i].flows)
            return true;
    }
    return false;
}

/* The flow is open: it stays so whatever is learned meanwhile, also when it is judged again. */
static void go_on(struct pair *pair, const pol_packet *syn, uint64_t *generation)
{
    pol_packet data = *syn;
    pol_verdict verdict;

    data.tcp_flags = POL_TCP_ACK;
    data.tcp_seq++;
    if (judge(pair, &data, &verdict) != POL_ALLOW)
        thread_fault("an open flow ends: %s", pol_reason_word(verdict.reason));
    if (pol_worker_use(pair->reader, policy, ++*generation) != POL_OK)
        thread_fault("no reload");
    if (judge(pair, &data, &verdict) != POL_ALLOW)
        thread_fault("a reload ends an open flow: %s", pol_reason_word(verdict.reason));
    data.tcp_flags = POL_TCP_RST;
    judge(pair, &data, &verdict);
}

static void *read_on(void *argument)
{
    struct pair *pair = argument;
    uint64_t generation = 1;
    unsigned seen = 0;
    pol_event events[16];

    while (seen < rounds) {
        unsigned newest = atomic_load(&pair->learned);
        char address[32];
        pol_verdict verdict;
        pol_packet syn;

        if (newest == seen) {
            sched_yield();
            continue;
        }
        seen = newest;
        atomic_store(&pair->seen, seen);
        pair->now = atomic_load(&moment);
        address_of(pair, seen, address);
        syn = packet_tcp("10.0.0.9", (uint16_t)(1024 + seen % 60000), address, 443, POL_TCP_SYN,
                         seen * 1000, (pol_bytes){NULL, 0});
        if (judge(pair, &syn, &verdict) == POL_ALLOW) {
            if (!is_pinned(pair, &syn))
                thread_fault("an open flow holds no grant");
            pair->held++;
            go_on(pair, &syn, &generation);
        } else if (!crowded) {
            thread_fault("what was learned does not open: %s", pol_reason_word(verdict.reason));
        }
        while (pol_worker_drain(pair->reader, events, 16) == 16)
            ;
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static uint64_t packets(pol_counters *counters)
{
    pol_counters_clear(counters);
    for (int i = 0; i < PAIRS; i++) {
        pol_counters_add(counters, pairs[i].learner);
        pol_counters_add(counters, pairs[i].reader);
    }
    pol_counters_add_grants(counters, grants);
    return pol_counters_value(counters, "dp_packets_total", "");
}

static void check_grant(const pol_grant *grant)
{
    if (grant->name[0] != 'n' || strlen(grant->name) != grant->name_len ||
        !strstr(grant->name, ".example"))
        thread_fault("a torn name");
}

static void *watch(void *argument)
{
    pol_counters *counters = argument;
    pol_grant listed[16];
    uint64_t before = 0;

    while (atomic_load(&running)) {
        pol_mono now = atomic_load(&moment);
        uint64_t count = packets(counters);
        uint32_t position = 0;
        size_t found;

        if (count < before)
            thread_fault("a counter fell");
        before = count;
        do {
            found = pol_grants_list(grants, &position, now, listed, 16);
            for (size_t i = 0; i < found; i++)
                check_grant(&listed[i]);
        } while (found == 16);
        pol_grants_expire(grants, now, crowded ? CROWDED : 0);
        sched_yield();
    }
    return NULL;
}

static pol_worker *worker(pol_ctx *ctx)
{
    pol_worker_options options;
    pol_worker *made;

    pol_worker_options_init(&options, sizeof(options));
    options.flow_capacity = 1024;
    options.pending_capacity = options.stream_capacity = options.query_capacity = 1;
    options.grants = grants;
    if (pol_worker_new(ctx, &options, &made) != POL_OK || pol_worker_use(made, policy, 1) != POL_OK)
        exit(2);
    return made;
}

static void make_grants(pol_ctx *ctx)
{
    pol_grants_options options;

    pol_grants_options_init(&options, sizeof(options));
    options.capacity = crowded ? CROWDED : ROOMY;
    options.idle = crowded ? 5 * POL_SECONDS : 1000000 * POL_SECONDS;
    if (pol_grants_new(ctx, &options, &grants) != POL_OK)
        exit(2);
}

static void run(pol_counters *counters)
{
    atomic_store(&running, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        thread_start(learn, &pairs[i]);
        thread_start(read_on, &pairs[i]);
    }
    thread_start(watch, counters);
    thread_join();
}

static void check_end(pol_counters *counters)
{
    uint64_t judged = 0, held = 0, counted = packets(counters);
    pol_grants_stats stats;
    uint32_t position = 0;
    pol_grant grant;

    for (int i = 0; i < PAIRS; i++) {
        held += pairs[i].held;
        judged += pairs[i].judged;
        pol_worker_free(pairs[i].learner);
        pol_worker_free(pairs[i].reader);
    }
    if (!held)
        thread_fault("no flow ever held its grant");
    if (judged != counted)
        thread_fault("%llu packets judged, %llu counted", (unsigned long long)judged,
                     (unsigned long long)counted);
    while (pol_grants_list(grants, &position, 0, &grant, 1) == 1) {
        if (grant.flows)
            thread_fault("%s is pinned by nobody's flow", grant.name);
    }
    pol_grants_stats_get(grants, &stats);
    if (crowded ? !stats.evicted_total : stats.live != (rounds < ADDRS ? rounds : ADDRS) * PAIRS)
        thread_fault("%u grants live, %llu evicted", stats.live,
                     (unsigned long long)stats.evicted_total);
}

static void play(pol_ctx *ctx)
{
    pol_counters *counters;

    make_grants(ctx);
    if (pol_counters_new(ctx, &counters) != POL_OK)
        exit(2);
    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i] = (struct pair){.number = i, .learner = worker(ctx), .reader = worker(ctx)};
    }
    run(counters);
    check_end(counters);
    pol_counters_free(counters);
    pol_grants_free(grants);
}

int main(int argc, char **argv)
{
    pol_ctx *ctx = thread_ctx();

    rounds = thread_count(argc, argv, 20000);
    policy = thread_policy(ctx, policy_text);
    play(ctx);
    crowded = true;
    play(ctx);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    if (thread_held())
        thread_fault("%zu octets left behind", thread_held());
    return thread_result();
}
