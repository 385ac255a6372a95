// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker_loop.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "support/node.h"

static struct node node;

static void teardown(void)
{
    node_free(&node);
}

TestSuite(worker_loop, .fini = teardown, .timeout = 30);

static size_t collect_all(void)
{
    struct event_ring *ring = worker_loop_events(node.loops[0]);
    size_t count, total = 0;

    while (event_ring_waiting(ring, &count) && count) {
        event_ring_done(ring, count);
        total += count;
    }
    return total;
}

Test(worker_loop, judges_to_the_end_and_stays)
{
    node = (struct node){.frames = 10, .end = -ENODATA};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    cr_assert_eq(worker_loop_packets(node.loops[0]), 10);
    cr_assert_eq(worker_loop_now(node.loops[0]), 1009 * POL_SECONDS);
    cr_assert_eq(worker_loop_wall(node.loops[0], 1009 * POL_SECONDS), 1009000);
    cr_assert_eq(node.starts, 1);
    cr_assert_eq(node.started_at, 1000 * POL_SECONDS);
    cr_assert_eq(collect_all(), 10, "every denial is an event");
}

Test(worker_loop, a_broken_port_leaves_what_was_judged)
{
    node = (struct node){.frames = 3, .end = -EIO};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FAILED);
    cr_assert_str_eq(worker_loop_problem(node.loops[0]), "packet 7 is made of cheese");
    cr_assert_eq(collect_all(), 3);
}

Test(worker_loop, a_full_ring_makes_it_wait_and_loses_nothing)
{
    struct timespec pause = {.tv_nsec = 1000000};
    size_t total = 0;

    node = (struct node){.frames = 200, .end = -ENODATA, .event_capacity = 4};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    node_run_worker(&node);
    while (worker_loop_phase(node.loops[0]) == WORKER_READING) {
        total += collect_all();
        nanosleep(&pause, NULL);
    }
    cr_assert_eq(total + collect_all(), 200);
}

Test(worker_loop, waiting_for_room_is_no_turn)
{
    struct timespec pause = {.tv_nsec = 1000000};
    struct text report = {0};
    uint64_t turned;

    node = (struct node){.frames = 200, .end = -ENODATA, .event_capacity = 4};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    node_run_worker(&node);
    while (!worker_loop_waiting(node.loops[0]))
        nanosleep(&pause, NULL);
    turned = worker_loop_turned(node.loops[0]);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
    cr_assert_eq(worker_loop_turned(node.loops[0]), turned);
    cr_assert_not(readiness_report(node.readiness, &report));
    cr_assert(strstr(report.ptr, "worker-0 waits for the control thread"), "%s", report.ptr);
    text_fini(&report);

    while (worker_loop_phase(node.loops[0]) == WORKER_READING) {
        collect_all();
        nanosleep(&pause, NULL);
    }
    cr_assert_not(worker_loop_waiting(node.loops[0]));
}

Test(worker_loop, policies_are_taken_after_the_end_too)
{
    struct timespec pause = {.tv_nsec = 1000000};

    node = (struct node){.frames = 1, .end = -ENODATA};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    pol_policy_unref(node_publish(&node, NODE_ALLOW_ALL, 2));
    for (int i = 0; i < 5000 && slot_applied(worker_loop_slot(node.loops[0])) != 2; i++)
        nanosleep(&pause, NULL);
    cr_assert_eq(slot_applied(worker_loop_slot(node.loops[0])), 2);
}

Test(worker_loop, makes_the_events_that_are_wanted)
{
    node = (struct node){.frames = 10, .end = -ENODATA};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    worker_loop_report(node.loops[0], 1u << POL_EV_FLOW_OPEN);
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    cr_assert_eq(worker_loop_packets(node.loops[0]), 10);
    cr_assert_eq(collect_all(), 0, "denials are not asked for");
}
