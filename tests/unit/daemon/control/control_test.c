// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

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
