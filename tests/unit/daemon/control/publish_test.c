// SPDX-License-Identifier: Apache-2.0
#include "control/publish.h"

#include <errno.h>

#include <criterion/criterion.h>

#include "support/node.h"

static struct node node;

static void setup(void)
{
    node = (struct node){.end = -ENODATA};
    node_make(&node);
}

static void teardown(void)
{
    node_free(&node);
}

TestSuite(publish, .init = setup, .fini = teardown, .timeout = 30);

Test(publish, what_was_sent_last_is_in_force_before_a_worker_took_it)
{
    pol_policy *one = node_publish(&node, NODE_DENY_ALL, 1), *current;
    pol_policy *two = node_publish(&node, NODE_ALLOW_ALL, 2);
    uint64_t generation, oldest;

    current = publish_current(node.publish, &generation);
    cr_assert_eq(current, two);
    cr_assert_eq(generation, 2);
    cr_assert_not(publish_applied(node.publish, &oldest));
    cr_assert_eq(oldest, 0);
    pol_policy_unref(current);
    pol_policy_unref(one);
    pol_policy_unref(two);
}

Test(publish, policies_are_kept_while_a_worker_may_decide_by_them)
{
    pol_policy *one = node_publish(&node, NODE_DENY_ALL, 1);
    pol_policy *two = node_publish(&node, NODE_ALLOW_ALL, 2);

    cr_assert_eq(publish_find(node.publish, 1), one);
    cr_assert_eq(publish_find(node.publish, 2), two);
    publish_forget(node.publish, 2);
    cr_assert_null(publish_find(node.publish, 1));
    publish_forget(node.publish, 100);
    cr_assert_eq(publish_find(node.publish, 2), two, "the one in force stays");
    pol_policy_unref(one);
    pol_policy_unref(two);
}
