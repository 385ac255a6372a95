/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hand-over of policies that policyd does: a control thread compiles and publishes one policy
 * after the other through a slot of each worker, while the workers decide. No verdict by an older
 * policy than the last one, none by a mixture, the last publication arrives, every old policy is
 * freed, and the process does not grow.
 *
 *   reload [reloads]
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/slot.h"
#include "dnsmsg.h"
#include "frames.h"
#include "hello.h"
#include "thread.h"

enum { WORKERS = 3, BATCH = 16, GROWTH_BYTES = 4 << 20 };

struct hand {
    struct slot slot;
    pol_worker *worker;
    unsigned number;
    uint64_t seen; /* generation of the newest verdict */
    uint64_t judged;
    pol_mono now;
    struct hello hello;
    struct dnsmsg query, answer;
};

static struct hand hands[WORKERS];
static atomic_bool stop;
static uint64_t last; /* generation, before the threads start */

/* Every policy names its generation and decides by it: even ones allow port 80, odd ones 81. */
static pol_policy *policy_of(pol_ctx *ctx, uint64_t generation)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},"
             "'rules':[{'id':'r%llu','action':'allow','match':{'proto':'udp','dst_ports':[%u]}},"
             "{'id':'n','action':'allow','match':{'dns_hostname':'^a(%llu)?\\\\.ex.mple$'}},"
             "{'id':'t','action':'allow','match':{'proto':'tcp','dst_ports':[443],"
             "'tls':{'sni':{'exact':['a.example']}}}}]}]}",
             (unsigned long long)generation, 80 + (unsigned)(generation & 1),
             (unsigned long long)generation);
    return thread_policy(ctx, text);
}

static void check_policy(struct hand *hand, uint64_t generation)
{
    char expected[32];
    pol_policy *policy = pol_worker_policy(hand->worker, &generation);
    pol_str id = pol_policy_rule_id(policy, 0);
    int len = snprintf(expected, sizeof(expected), "r%llu", (unsigned long long)generation);

    if (id.len != (size_t)len || memcmp(id.ptr, expected, id.len) != 0)
        thread_fault("generation %llu decides by rule %.*s", (unsigned long long)generation,
                     (int)id.len, id.ptr);
}

static void check_verdict(struct hand *hand, const pol_packet *packet, const pol_verdict *verdict)
{
    bool allowed = packet->tuple.dst_port == 80 + (verdict->generation & 1);

    hand->judged++;
    if (verdict->generation < hand->seen)
        thread_fault("generation %llu after %llu", (unsigned long long)verdict->generation,
                     (unsigned long long)hand->seen);
    hand->seen = verdict->generation;
    if (packet->tuple.proto == 17 && (verdict->action == POL_ALLOW) != allowed)
        thread_fault("port %u under generation %llu", packet->tuple.dst_port,
                     (unsigned long long)verdict->generation);
}

/* Flows that stay: from generation to generation they are judged again. */
static void decide(struct hand *hand)
{
    static const pol_bytes none = {NULL, 0};
    pol_packet packets[BATCH];
    pol_verdict verdicts[BATCH];

    for (unsigned i = 0; i < BATCH; i++)
        packets[i] =
            packet_udp("10.0.0.1", (uint16_t)(1000 + i), "192.0.2.1", (uint16_t)(80 + i % 2), none);
    pol_worker_decide_batch(hand->worker, packets, BATCH, hand->now, verdicts);
    for (unsigned i = 0; i < BATCH; i++)
        check_verdict(hand, &packets[i], &verdicts[i]);
}

static void judge(struct hand *hand, const pol_packet *packet)
{
    pol_verdict verdict;

    pol_worker_decide(hand->worker, packet, hand->now, &verdict);
    check_verdict(hand, packet, &verdict);
    if (verdict.action == POL_DENY)
        thread_fault("a.example is denied: %s", pol_reason_word(verdict.reason));
}

/* A flow that waits for its ClientHello, and whose server takes it. */
static void collect(struct hand *hand)
{
    static const pol_bytes none = {NULL, 0};
    pol_packet syn = packet_tcp("10.0.0.1", (uint16_t)(2000 + hand->judged % 1000), "192.0.2.2",
                                443, POL_TCP_SYN, 1, none);
    pol_packet hello = syn, answer;

    hello.tcp_flags = POL_TCP_ACK;
    hello.tcp_seq = 2;
    hello.payload = (pol_bytes){hand->hello.bytes, hand->hello.len};
    answer = packet_reply(&hello, POL_TCP_ACK, 1, none);
    answer.tcp_ack = 2 + (uint32_t)hand->hello.len;
    judge(hand, &syn);
    judge(hand, &hello);
    judge(hand, &answer);
}

static void learn(struct hand *hand)
{
    pol_addr client = {4, {10, 0, 0, (uint8_t)hand->number}};
    pol_dns_learned learned;
    pol_dns_query query;
    pol_verdict verdict;

    if (pol_dns_decide(hand->worker, &client, (pol_bytes){hand->query.bytes, hand->query.len},
                       hand->now, &query, &verdict) != POL_ALLOW)
        thread_fault("the query is %s", pol_reason_word(verdict.reason));
    else if (pol_dns_learn(hand->worker, &query, (pol_bytes){hand->answer.bytes, hand->answer.len},
                           hand->now, &learned) != POL_OK)
        thread_fault("the answer is refused");
}

static void *work(void *argument)
{
    /* Or the control thread waits for its time slice, on two cores. */
    static const struct timespec breath = {0, 200000};
    struct hand *hand = argument;
    pol_event events[32];

    while (!atomic_load(&stop)) {
        if (slot_is_waiting(&hand->slot) && slot_apply(&hand->slot, hand->worker))
            check_policy(hand, slot_applied(&hand->slot));
        decide(hand);
        collect(hand);
        learn(hand);
        hand->now += POL_SECONDS / 100;
        pol_worker_tick(hand->worker, hand->now, 64);
        while (pol_worker_drain(hand->worker, events, 32) == 32)
            ;
        nanosleep(&breath, NULL);
    }
    if (slot_apply(&hand->slot, hand->worker))
        check_policy(hand, slot_applied(&hand->slot));
    decide(hand);
    if (hand->seen != last)
        thread_fault("generation %llu is in force at the end", (unsigned long long)hand->seen);
    return NULL;
}

static void publish(pol_ctx *ctx, uint64_t generation)
{
    pol_policy *policy = policy_of(ctx, generation);

    for (int i = 0; i < WORKERS; i++) {
        if (slot_publish(&hands[i].slot, policy, generation) != 0)
            thread_fault("not published");
    }
    pol_policy_unref(policy);
}

static void await_all(uint64_t generation)
{
    for (int i = 0; i < WORKERS; i++) {
        while (slot_applied(&hands[i].slot) != generation)
            sched_yield();
    }
}

struct size {
    size_t held, resident;
};

/* Every sixteenth is waited for; the others overtake each other in the slots. */
static struct size reload(pol_ctx *ctx, uint64_t from, uint64_t to)
{
    for (uint64_t generation = from; generation <= to; generation++) {
        publish(ctx, generation);
        if (generation % 16 == 0 || generation == to)
            await_all(generation);
    }
    return (struct size){thread_held(), thread_resident()};
}

static void check_growth(const struct size *tenth, const struct size *now, const char *when)
{
    printf("%s: %zu KiB held, %zu KiB resident\n", when, now->held / 1024, now->resident / 1024);
    /* Policies differ by the digits of their number. */
    if (now->held > tenth->held + 4096)
        thread_fault("%zu octets held, %zu at 10 %%", now->held, tenth->held);
    if (now->resident > tenth->resident + GROWTH_BYTES)
        thread_fault("%zu octets resident, %zu at 10 %%", now->resident, tenth->resident);
}

static void prepare(struct hand *hand, unsigned number, pol_ctx *ctx, pol_grants *grants)
{
    pol_worker_options options;

    pol_worker_options_init(&options, sizeof(options));
    options.flow_capacity = 4096;
    options.event_capacity = 1024;
    options.memo_capacity = 64; /* cleared with every reload */
    options.pending_capacity = 16;
    options.stream_capacity = 2;
    options.query_capacity = options.fragment_capacity = options.member_capacity = 16;
    options.grants = grants;
    hand->number = number;
    hello_build(&hand->hello, &(struct hello_options){.sni = "a.example", .tls13 = true});
    dnsmsg_query(&hand->query, "a.example", 1, 7, 0);
    dnsmsg_response(&hand->answer, &hand->query, 0);
    dnsmsg_address(&hand->answer, "a.example", 60, "192.0.2.9");
    if (pol_worker_new(ctx, &options, &hand->worker) != POL_OK)
        exit(2);
}

int main(int argc, char **argv)
{
    unsigned reloads = thread_count(argc, argv, 10000);
    pol_ctx *ctx = thread_ctx();
    pol_grants_options options;
    pol_grants *grants;
    struct size tenth, half, end;

    last = reloads;
    pol_grants_options_init(&options, sizeof(options));
    options.capacity = 64;
    if (pol_grants_new(ctx, &options, &grants) != POL_OK)
        return 2;
    for (unsigned i = 0; i < WORKERS; i++)
        prepare(&hands[i], i, ctx, grants);
    publish(ctx, 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        slot_apply(&hands[i].slot, hands[i].worker);
        thread_start(work, &hands[i]);
    }
    tenth = reload(ctx, 2, reloads / 10);
    half = reload(ctx, reloads / 10 + 1, reloads / 2);
    end = reload(ctx, reloads / 2 + 1, reloads);
    atomic_store(&stop, true);
    thread_join();
    check_growth(&tenth, &tenth, "10 %");
    check_growth(&tenth, &half, "50 %");
    check_growth(&tenth, &end, "100 %");
    for (unsigned i = 0; i < WORKERS; i++) {
        printf("worker %u judged %llu\n", i, (unsigned long long)hands[i].judged);
        slot_fini(&hands[i].slot);
        pol_worker_free(hands[i].worker);
    }
    pol_grants_free(grants);
    pol_ctx_unref(ctx);
    if (thread_held())
        thread_fault("%zu octets left behind", thread_held());
    return thread_result();
}
