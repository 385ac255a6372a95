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

#define NAMED                                                                                      \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["    \
    "{'id':'n','action':'allow','match':{'dns_hostname':'^(a|b|c|d)\\\\.ex.mple$'}}]}]}"

static const pol_prefix inside[] = {{{4, {10}}, 8}};
static const pol_addr resolvers[] = {{4, {192, 0, 2, 53}}, {4, {192, 0, 2, 54}}};

Test(worker, creation_survives_every_failing_allocation)
{
    struct counting counting = {0};
    pol_ctx *ctx = counting_ctx(&counting);
    size_t before = counting.blocks;
    pol_worker_options *options = rig_options(&rig);
    int rc;

    options->inside = inside;
    options->inside_count = 1;
    options->trusted_resolvers = options->inside_resolvers = resolvers;
    options->trusted_resolver_count = options->inside_resolver_count = 2;
    options->own = resolvers;
    options->own_count = 2;
    do {
        counting.requests = 0;
        counting.fail_at++;
        rc = pol_worker_new(ctx, options, &rig.worker);
        cr_assert(rc == POL_OK || counting.blocks == before, "request %zu", counting.fail_at);
    } while (rc == POL_E_NOMEM);
    cr_assert_eq(rc, POL_OK);
    cr_assert_gt(counting.fail_at, 10);
    pol_worker_free(rig.worker);
    rig.worker = NULL;
    cr_assert_eq(counting.blocks, before);
    pol_ctx_unref(ctx);
    cr_assert_eq(counting.blocks, 0);
}

Test(worker, policy_in_use_stays_when_there_is_no_memory_for_another)
{
    struct counting counting = {0};
    pol_packet syn = rig_syn("172.16.0.1", 40000, "192.0.2.1", 80);
    pol_policy *named;
    uint64_t generation;
    size_t before;

    rig.ctx = counting_ctx(&counting);
    rig_start(&rig, "{'default_policy':'allow'}");
    named = rig_compile(&rig, NAMED);
    before = counting.bytes;
    counting.requests = 0;
    counting.fail_at = 1;
    cr_assert_eq(pol_worker_use(rig.worker, named, 2), POL_E_NOMEM);
    cr_assert_eq(counting.bytes, before);
    cr_assert_neq(pol_worker_policy(rig.worker, &generation), named);
    cr_assert_eq(generation, 1);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    counting.fail_at = 0;
    cr_assert_eq(pol_worker_use(rig.worker, named, 2), POL_OK);
    cr_assert_eq(pol_worker_policy(rig.worker, &generation), named);
    pol_policy_unref(named);
    rig_stop(&rig);
    cr_assert_eq(counting.blocks, 0);
}

Test(worker, deciding_allocates_nothing)
{
    struct counting counting = {0};
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet data = rig_data(&syn, rig_hello("a.example"));
    size_t requests;

    rig.ctx = counting_ctx(&counting);
    rig_start(&rig, NAMED);
    requests = counting.requests;
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    rig_judge(&rig, &syn);
    rig_judge(&rig, &data);
    pol_worker_tick(rig.worker, rig.now + 10000 * POL_SECONDS, 100);
    pol_worker_flush(rig.worker, rig.now);
    rig_drain(&rig);
    cr_assert_eq(counting.requests, requests);
    rig_stop(&rig);
    cr_assert_eq(counting.blocks, 0);
}

Test(worker, generations_only_grow)
{
    pol_policy *policy;
    uint64_t generation;

    rig_start(&rig, "{}");
    policy = pol_worker_policy(rig.worker, &generation);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 1), POL_E_INVALID);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 0), POL_E_INVALID);
    cr_assert_eq(pol_worker_use(rig.worker, policy, 9), POL_OK); /* the same one again */
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

Test(worker, nothing_is_freed_when_there_is_nothing)
{
    pol_worker_free(NULL);
    pol_grants_free(NULL);
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
