/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "../base/counting_mem.h"
#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(worker, .fini = teardown);

Test(worker, generations_only_grow)
{
    pol_policy *policy;
    uint64_t generation;

    rig_start(&rig, "{}");
    policy = pol_worker_policy(rig.worker, &generation);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 1), POL_E_INVALID);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 0), POL_E_INVALID);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 9), POL_OK); /* the same one again */
    cr_assert_eq(pol_worker_policy(rig.worker, NULL), policy);
    cr_assert_eq(pol_worker_policy(rig.worker, &generation), policy);
    cr_assert_eq(generation, 9);
}

Test(worker, capacities_out_of_range_are_refused)
{
    static const size_t fields[] = {
        offsetof(pol_worker_options, flow_capacity),
        offsetof(pol_worker_options, event_capacity),
        offsetof(pol_worker_options, memo_capacity),
        offsetof(pol_worker_options, pending_capacity),
        offsetof(pol_worker_options, query_capacity),
        offsetof(pol_worker_options, stream_capacity),
        offsetof(pol_worker_options, fragment_capacity),
        offsetof(pol_worker_options, member_capacity),
    };

    cr_assert_eq(pol_ctx_new(NULL, &rig.ctx), POL_OK);
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        pol_worker_options options = *rig_options(&rig);
        const uint32_t much = (1 << 24) + 1;

        memcpy((char *)&options + fields[i], &much, sizeof(much));
        cr_expect_eq(pol_worker_new(rig.ctx, &options, &rig.worker), POL_E_INVALID, "%zu", i);
    }
}

Test(worker, choices_out_of_range_are_refused)
{
    pol_worker_options options = *rig_options(&rig);

    cr_assert_eq(pol_ctx_new(NULL, &rig.ctx), POL_OK);
    options.sni_check = POL_SNI_ENFORCE + 1;
    cr_expect_eq(pol_worker_new(rig.ctx, &options, &rig.worker), POL_E_INVALID);
    options = *rig_options(&rig);
    options.midstream = POL_MIDSTREAM_DENY + 1;
    cr_expect_eq(pol_worker_new(rig.ctx, &options, &rig.worker), POL_E_INVALID);
}

static int with_addresses(const pol_addr *addrs, size_t option, size_t count_option)
{
    pol_worker_options options = *rig_options(&rig);
    const size_t count = 2;

    memcpy((char *)&options + option, &addrs, sizeof(addrs));
    memcpy((char *)&options + count_option, &count, sizeof(count));
    return pol_worker_new(rig.ctx, &options, &rig.worker);
}

Test(worker, addresses_that_are_none_are_refused)
{
    static const size_t lists[][2] = {
        {offsetof(pol_worker_options, own), offsetof(pol_worker_options, own_count)},
        {offsetof(pol_worker_options, trusted_resolvers),
         offsetof(pol_worker_options, trusted_resolver_count)},
        {offsetof(pol_worker_options, inside_resolvers),
         offsetof(pol_worker_options, inside_resolver_count)},
    };
    const pol_addr good = addr_from("192.0.2.1"), v6 = addr_from("2001:db8::1");
    const pol_addr bad[] = {{0, {1, 2, 3, 4}}, {9, {1, 2, 3, 4}}, {4, {1, 2, 3, 4, 5}}};

    cr_assert_eq(pol_ctx_new(NULL, &rig.ctx), POL_OK);
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        cr_expect_eq(with_addresses((pol_addr[]){good, v6}, lists[i][0], lists[i][1]), POL_OK);
        pol_worker_free(rig.worker);
        rig.worker = NULL;
        for (size_t j = 0; j < sizeof(bad) / sizeof(*bad); j++)
            cr_expect_eq(with_addresses((pol_addr[]){good, bad[j]}, lists[i][0], lists[i][1]),
                         POL_E_INVALID, "%zu %zu", i, j);
    }
}

/* 10.0.0.5/24 would be the part of the network from there on. */
Test(worker, prefixes_that_are_none_are_refused)
{
    const pol_prefix bad[] = {
        {{0, {0}}, 0},   {{4, {10}}, 33}, {{6, {0x20, 1}}, 129}, {{4, {10, 0, 0, 5}}, 24},
        {{4, {0}}, 255}, {{7, {0}}, 8},
    };

    cr_assert_eq(pol_ctx_new(NULL, &rig.ctx), POL_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        rig_options(&rig)->inside = &bad[i];
        rig_options(&rig)->inside_count = 1;
        cr_expect_eq(pol_worker_new(rig.ctx, &rig.options, &rig.worker), POL_E_INVALID, "%zu", i);
    }
}

Test(worker, deadline_says_when_a_tick_has_something_to_do)
{
    pol_packet packet = packet_udp("10.0.0.5", 40000, "192.0.2.1", 123, (pol_bytes){NULL, 0});
    pol_mono deadline;

    rig_start(&rig, "{'default_policy':'allow'}");
    cr_assert_eq(pol_worker_deadline(rig.worker), POL_NEVER);
    rig_judge(&rig, &packet);
    deadline = pol_worker_deadline(rig.worker);
    cr_assert_geq(deadline, rig.now + 30 * POL_SECONDS);
    cr_assert_leq(deadline, rig.now + 32 * POL_SECONDS);
    cr_assert_eq(pol_worker_tick(rig.worker, rig.now + 29 * POL_SECONDS, 100), 0);
    cr_assert_eq(pol_worker_tick(rig.worker, deadline, 100), 1);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
    cr_assert_eq(pol_worker_deadline(rig.worker), POL_NEVER);
}

Test(worker, tick_keeps_to_its_budget)
{
    rig_start(&rig, "{'default_policy':'allow'}");
    for (uint16_t port = 1; port <= 10; port++) {
        pol_packet packet = packet_udp("10.0.0.5", port, "192.0.2.1", 123, (pol_bytes){NULL, 0});

        rig_judge(&rig, &packet);
    }
    rig.now += 1000 * POL_SECONDS;
    cr_assert_eq(pol_worker_tick(rig.worker, rig.now, 4), 4);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 6);
    cr_assert_eq(pol_worker_tick(rig.worker, rig.now, 100), 6);
}

Test(worker, flush_ends_what_the_ring_has_room_for)
{
    size_t left, ended = 0;

    rig_options(&rig)->event_capacity = 8;
    rig_start(&rig, "{'default_policy':'allow'}");
    for (uint16_t port = 1; port <= 20; port++) {
        pol_packet packet = packet_udp("10.0.0.5", port, "192.0.2.1", 123, (pol_bytes){NULL, 0});

        rig_judge(&rig, &packet);
        rig_drain(&rig);
    }
    do {
        left = pol_worker_flush(rig.worker, rig.now);
        rig_drain(&rig);
        for (size_t i = 0; i < rig.event_count; i++) {
            cr_assert_eq(rig.events[i].kind, POL_EV_FLOW_END);
            cr_assert_eq(rig.events[i].end, POL_END_FLUSHED);
        }
        ended += rig.event_count;
    } while (left);
    cr_assert_eq(ended, 20);
}

/* Every duration that an option can have. */
static void set_durations(pol_worker_options *options, pol_mono duration)
{
    options->idle =
        (pol_idle){duration, duration, duration, duration, duration, duration, duration, duration};
    options->query_timeout = options->tls_timeout = options->midstream_window = duration;
}

Test(worker, a_duration_without_end_never_runs_out)
{
    pol_packet udp = packet_udp("10.0.0.5", 40000, "192.0.2.1", 123, (pol_bytes){NULL, 0});
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443), begun, query;
    struct dnsmsg message;
    pol_bytes hello = rig_hello("a.example");
    pol_addr resolver = addr_from("192.0.2.53");

    set_durations(rig_options(&rig), POL_NEVER);
    rig_options(&rig)->trusted_resolvers = &resolver;
    rig_options(&rig)->trusted_resolver_count = 1;
    rig_start(&rig,
              "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']"
              "},'rules':[{'id':'u','action':'allow','match':{'proto':'udp'}},{'id':'n',"
              "'action':'allow','match':{'dns_hostname':'^b\\\\.example$'}},{'id':'t','action':"
              "'allow','match':{'proto':'tcp','tls':{'sni':{'exact':['a.example']}}}}]}]}");
    cr_assert_eq(rig_judge(&rig, &udp), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &syn), POL_PENDING);
    hello.len /= 2;
    begun = rig_data(&syn, hello);
    cr_assert_eq(rig_judge(&rig, &begun), POL_PENDING);
    dnsmsg_query(&message, "b.example", 1, 7, 0);
    query =
        packet_udp("10.0.0.5", 40001, "192.0.2.53", 53, (pol_bytes){message.bytes, message.len});
    cr_assert_eq(rig_judge(&rig, &query), POL_ALLOW);

    cr_assert_gt(pol_worker_deadline(rig.worker), rig.now);
    rig.now += UINT64_C(100) * 365 * 86400 * POL_SECONDS;
    cr_expect_eq(pol_worker_tick(rig.worker, rig.now, 1), 1); /* looked at, and put back */
    pol_worker_tick(rig.worker, rig.now, 100);
    cr_expect_eq(pol_worker_flow_count(rig.worker), 2);
    rig_judge(&rig, &begun);
    cr_expect_eq(rig.verdict.action, POL_PENDING);
    cr_expect(rig.verdict.flags & POL_V_KNOWN);
}

/* A clock may begin anywhere; what would run out behind its end does not run out. */
Test(worker, a_clock_may_stand_anywhere)
{
    static const pol_mono clocks[] = {0, 1, INT64_MAX, POL_NEVER - 40 * POL_SECONDS, POL_NEVER - 1};

    for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
        pol_packet packet = packet_udp("10.0.0.5", 40000, "192.0.2.1", 123, (pol_bytes){NULL, 0});
        pol_mono deadline;

        rig_start(&rig, "{'default_policy':'allow'}");
        rig.now = clocks[i];
        cr_expect_eq(rig_judge(&rig, &packet), POL_ALLOW, "%zu", i);
        cr_expect(rig.verdict.flags & POL_V_OPENED, "%zu", i);
        deadline = pol_worker_deadline(rig.worker);
        cr_expect_gt(deadline, rig.now, "%zu", i);
        cr_expect_eq(pol_worker_tick(rig.worker, rig.now, 100), 0, "%zu", i);
        cr_expect_eq(rig_judge(&rig, &packet), POL_ALLOW, "%zu", i);
        cr_expect(rig.verdict.flags & POL_V_KNOWN, "%zu", i);
        rig_stop(&rig);
    }
}

Test(worker, nothing_is_freed_when_there_is_nothing)
{
    pol_worker_free(NULL);
    pol_grants_free(NULL);
}

/* Flows hold grants, and are let go of when the worker is freed. */
Test(worker, objects_may_be_freed_in_any_order)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);
    pol_worker *second;
    pol_grants *grants;

    rig_start(&rig, "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']"
                    "},'rules':[{'id':'n','action':'allow','match':{'dns_hostname':'.*'}}]}]}");
    cr_assert_eq(pol_worker_new(rig.ctx, &rig.options, &second), POL_OK);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    grants = rig.grants;
    rig.grants = NULL;
    pol_grants_free(grants);
    pol_ctx_unref(rig.ctx);
    rig.ctx = NULL;
    pol_worker_free(second);
    cr_expect_eq(rig_judge(&rig, &syn), POL_ALLOW);
    pol_worker_free(rig.worker);
    rig.worker = NULL;
}

Test(worker, memory_is_what_was_taken)
{
    static const pol_prefix inside = {{4, {10}}, 8};
    struct counting counting = {0};
    pol_policy *policy;
    size_t before;

    rig.ctx = counting_ctx(&counting);
    rig_options(&rig)->inside = &inside;
    rig_options(&rig)->inside_count = 1;
    policy = rig_compile(&rig, "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':"
                               "['10.0.0.0/8']},'rules':[{'id':'n','action':'allow','match':"
                               "{'dns_hostname':'^a'}},{'id':'m','action':'allow','match':"
                               "{'dns_hostname':'^b'}}]}]}");
    before = counting.bytes;
    cr_assert_eq(pol_worker_new(rig.ctx, &rig.options, &rig.worker), POL_OK);
    cr_expect_eq(pol_worker_memory(rig.worker), counting.bytes - before);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 1), POL_OK);
    cr_expect_eq(pol_worker_memory(rig.worker), counting.bytes - before);
    pol_policy_unref(policy);
    rig_stop(&rig);
    cr_expect_eq(counting.bytes, 0);
}

Test(worker, memory_grows_with_the_tables)
{
    size_t small;

    rig_start(&rig, "{}");
    small = pol_worker_memory(rig.worker);
    rig_stop(&rig);
    rig_options(&rig)->flow_capacity = 6400;
    rig_start(&rig, "{}");
    cr_assert_gt(pol_worker_memory(rig.worker), small + 6000 * sizeof(struct flow));
}
