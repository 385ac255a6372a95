// SPDX-License-Identifier: Apache-2.0
#include "dataplane/slot.h"

#include <criterion/criterion.h>

#include "support/node.h"

static struct node node;
static struct slot slot;
static pol_worker *worker;

static void setup(void)
{
    pol_worker_options options;

    node_make(&node);
    pol_worker_options_init(&options, sizeof(options));
    cr_assert_eq(pol_worker_new(node.ctx, &options, &worker), POL_OK);
}

static void teardown(void)
{
    slot_fini(&slot);
    pol_worker_free(worker);
    node_free(&node);
}

TestSuite(slot, .init = setup, .fini = teardown);

Test(slot, nothing_waits_at_first)
{
    cr_assert_not(slot_apply(&slot, worker));
    cr_assert_eq(slot_applied(&slot), 0);
}

Test(slot, the_newest_policy_wins_and_each_is_taken_once)
{
    pol_policy *one = node_compile(&node, NODE_DENY_ALL),
               *two = node_compile(&node, NODE_ALLOW_ALL);
    uint64_t generation;

    cr_assert_eq(slot_publish(&slot, one, 4), 0);
    cr_assert_eq(slot_publish(&slot, two, 5), 0);
    cr_assert_eq(slot_applied(&slot), 0, "not before the worker took it");
    cr_assert(slot_apply(&slot, worker));
    cr_assert_eq(slot_applied(&slot), 5);
    cr_assert_eq(pol_worker_policy(worker, &generation), two);
    cr_assert_eq(generation, 5);
    cr_assert_not(slot_apply(&slot, worker));
    pol_policy_unref(one);
    pol_policy_unref(two);
}

Test(slot, a_policy_never_taken_is_freed_with_the_slot)
{
    pol_policy *one = node_compile(&node, NODE_DENY_ALL);

    cr_assert_eq(slot_publish(&slot, one, 1), 0);
    pol_policy_unref(one);
}
