/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

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
