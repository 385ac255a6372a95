// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "core/clock.h"

#include "support/node.h"

static struct node node;
static struct control_applied applied;

static void teardown(void)
{
    node_free(&node);
}

TestSuite(control, .fini = teardown, .timeout = 30);

static void begin(bool pinned)
{
    node = (struct node){.frames = 1, .end = -ENODATA, .policy_pinned = pinned};
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    cr_assert_eq(control_start(node.control), 0);
}

static enum control_result put(const char *document, bool from_file)
{
    pol_policy *policy = node_compile(&node, document);
    enum control_result result = control_apply(node.control, policy, from_file, &applied);

    pol_policy_unref(policy);
    return result;
}

/* The control thread must not be asked while this looks into its store. */
static uint64_t stored_generation(void)
{
    struct store_policy policy = {0};

    control_stop(node.control);
    if (store_policy_active(node.store, &policy) < 0)
        return 0;
    free(policy.document);
    return policy.generation;
}

Test(control, an_applied_policy_is_stored_and_in_force)
{
    begin(false);
    node_run_worker(&node);
    cr_assert_eq(put(NODE_ALLOW_ALL, false), CONTROL_DONE);
    cr_assert_eq(applied.generation, 2);
    cr_assert_eq(applied.in_force, 2);
    cr_assert(control_default_allow(node.control));
    cr_assert_eq(put(NODE_DENY_ALL, false), CONTROL_DONE);
    cr_assert_eq(applied.generation, 3);
    cr_assert_not(control_default_allow(node.control));
    cr_assert_eq(stored_generation(), 3);
}

Test(control, a_worker_that_does_not_take_it_brings_the_old_policy_back)
{
    pol_policy *current;
    uint64_t generation;

    begin(false);
    cr_assert_eq(put(NODE_ALLOW_ALL, false), CONTROL_TIMED_OUT, "the worker does not run");
    cr_assert_eq(applied.generation, 2);
    cr_assert_eq(applied.slowest, 0);
    cr_assert_eq(applied.in_force, 3);
    current = publish_current(node.publish, &generation);
    cr_assert_eq(generation, 3);
    cr_assert_not(control_default_allow(node.control));
    pol_policy_unref(current);

    node_run_worker(&node);
    cr_assert_eq(put(NODE_ALLOW_ALL, false), CONTROL_DONE);
    cr_assert_eq(applied.generation, 4);
    cr_assert_eq(stored_generation(), 4);
}

Test(control, a_pinned_policy_changes_by_its_file_only)
{
    begin(true);
    node_run_worker(&node);
    cr_assert_eq(put(NODE_ALLOW_ALL, false), CONTROL_PINNED);
    cr_assert_eq(put(NODE_ALLOW_ALL, true), CONTROL_DONE);
}

Test(control, who_asks_after_the_end_is_told)
{
    pol_audit_query query;
    struct text out = {0};

    begin(false);
    control_stop(node.control);
    pol_audit_query_init(&query, sizeof(query));
    cr_assert_eq(control_findings(node.control, &query, &out), CONTROL_STOPPING);
    cr_assert_eq(put(NODE_ALLOW_ALL, false), CONTROL_STOPPING);
    text_fini(&out);
}

#define NO_DEFAULT "{\"source_groups\":[]}"

/* A request of its own thread, like those of HTTP. */
struct request {
    pthread_t thread;
    const char *document;
    enum control_result result;
    bool default_allow;
};

static void *serve(void *arg)
{
    struct request *request = arg;
    struct control_applied ignored;
    pol_policy *policy;
    pol_diags *diags;

    request->result =
        control_put(node.control, node.ctx, (pol_str){request->document, strlen(request->document)},
                    &ignored, &policy, &diags);
    request->default_allow = policy && pol_policy_default_allow(policy);
    pol_policy_unref(policy);
    pol_diags_free(diags);
    return NULL;
}

static void post(struct request *request, const char *document)
{
    request->document = document;
    cr_assert_eq(pthread_create(&request->thread, NULL, serve, request), 0);
}

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};

    nanosleep(&pause, NULL);
}

static void wait_until_published(uint64_t wanted)
{
    uint64_t generation = 0;

    for (int i = 0; i < 5000 && generation != wanted; i++) {
        pol_policy_unref(publish_current(node.publish, &generation));
        pause_ms(1);
    }
    cr_assert_eq(generation, wanted);
}

Test(control, a_policy_that_is_taken_back_gives_its_default_to_nobody)
{
    struct request first, second;
    pol_policy *shown;

    begin(false);
    post(&first, NODE_ALLOW_ALL);
    wait_until_published(2);
    shown = publish_accepted(node.publish);
    cr_assert_not(pol_policy_default_allow(shown), "it is only tried");
    pol_policy_unref(shown);

    post(&second, NO_DEFAULT);
    pthread_join(first.thread, NULL);
    cr_assert_eq(first.result, CONTROL_TIMED_OUT);
    node_run_worker(&node);
    pthread_join(second.thread, NULL);
    cr_assert_eq(second.result, CONTROL_DONE);
    cr_assert_not(second.default_allow);
    cr_assert_not(control_default_allow(node.control));
}

Test(control, an_absent_default_is_the_one_accepted_when_its_turn_comes)
{
    struct request first, second, third;

    begin(false);
    post(&first, NODE_ALLOW_ALL);
    wait_until_published(2);
    post(&second, NO_DEFAULT);
    pause_ms(200);
    post(&third, NODE_DENY_ALL);
    pause_ms(200);
    node_run_worker(&node);
    pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    pthread_join(third.thread, NULL);
    cr_assert_eq(first.result, CONTROL_DONE);
    cr_assert_eq(second.result, CONTROL_DONE);
    cr_assert(second.default_allow);
    cr_assert_eq(third.result, CONTROL_DONE);
    cr_assert_not(third.default_allow);
    cr_assert_not(control_default_allow(node.control));
}

Test(control, nobody_waits_for_a_policy_while_the_node_drains)
{
    struct request first, second;
    uint64_t began;

    begin(false);
    post(&first, NODE_ALLOW_ALL);
    wait_until_published(2);
    began = clock_mono();
    readiness_drain(node.readiness);
    post(&second, NODE_ALLOW_ALL);
    pthread_join(second.thread, NULL);
    pthread_join(first.thread, NULL);
    cr_assert_lt(clock_mono() - began, UINT64_C(1000000000));
    cr_assert_eq(first.result, CONTROL_STOPPING);
    cr_assert_eq(second.result, CONTROL_STOPPING);
    cr_assert_not(control_default_allow(node.control));
    cr_assert_eq(stored_generation(), 0, "nothing was accepted");
}

Test(control, a_file_that_has_not_changed_keeps_the_generation)
{
    begin(true);
    node_run_worker(&node);
    cr_assert_eq(put(NODE_ALLOW_ALL, true), CONTROL_DONE);
    cr_assert_eq(applied.generation, 2);
    cr_assert_eq(put("{ \"default_policy\": \"allow\" }", true), CONTROL_DONE);
    cr_assert_eq(applied.generation, 2);
    cr_assert_eq(applied.in_force, 2);
    cr_assert_eq(put(NODE_DENY_ALL, true), CONTROL_DONE);
    cr_assert_eq(applied.generation, 3);
}

Test(control, with_performance_mode_off_nothing_is_found_and_nobody_watches)
{
    struct text before = {0}, after = {0};
    struct tap_stream *stream;
    pol_audit_query query;
    pol_tap_filter filter;
    pol_tap *tap;

    begin(false);
    pol_audit_query_init(&query, sizeof(query));
    pol_tap_filter_init(&filter, sizeof(filter));
    cr_assert_eq(pol_tap_new(node.ctx, &filter, &tap, NULL), POL_OK);
    cr_assert_eq(tap_stream_open(node.tap, tap, TAP_DENY, &stream), 0);
    cr_assert_eq(control_set_performance(node.control, false), CONTROL_DONE);
    cr_assert_not(performance_is_enabled(node.performance));
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    cr_assert_eq(control_findings(node.control, &query, &before), CONTROL_DONE);
    cr_assert_eq(before.len, 0);
    cr_assert_not(tap_stream_take(stream, &after));
    cr_assert_str_eq(after.ptr, "event: end\ndata: {\"reason\":\"performance mode is disabled; "
                                "wiretap is unavailable\"}\n\n");
    tap_stream_close(stream);
    text_fini(&after);
}

Test(control, performance_mode_that_was_off_at_the_start_lets_nobody_watch)
{
    pol_tap_filter filter;
    struct tap_stream *stream;
    pol_tap *tap;

    node = (struct node){.frames = 1, .end = -ENODATA};
    node_make(&node);
    cr_assert_eq(performance_set(node.performance, false), 0);
    control_free(node.control);
    cr_assert_eq(control_new(&(struct control_options){.publish = node.publish,
                                                       .observe = node.observe,
                                                       .readiness = node.readiness,
                                                       .store = node.store,
                                                       .performance = node.performance,
                                                       .tap = node.tap},
                             &node.control),
                 0);
    pol_tap_filter_init(&filter, sizeof(filter));
    cr_assert_eq(pol_tap_new(node.ctx, &filter, &tap, NULL), POL_OK);
    cr_assert_eq(tap_stream_open(node.tap, tap, TAP_FLOW, &stream), -ESHUTDOWN);
    pol_tap_free(tap);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    cr_assert_eq(control_start(node.control), 0);
    cr_assert_eq(control_set_performance(node.control, true), CONTROL_DONE);
    cr_assert_eq(pol_tap_new(node.ctx, &filter, &tap, NULL), POL_OK);
    cr_assert_eq(tap_stream_open(node.tap, tap, TAP_FLOW, &stream), 0);
    tap_stream_close(stream);
}
