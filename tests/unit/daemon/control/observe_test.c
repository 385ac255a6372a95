// SPDX-License-Identifier: Apache-2.0
#include "control/observe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support/node.h"

static struct node node;
static struct text found;

static void teardown(void)
{
    text_fini(&found);
    node_free(&node);
}

TestSuite(observe, .fini = teardown, .timeout = 30);

static int find(void)
{
    pol_audit_query query;
    int count = 0;

    pol_audit_query_init(&query, sizeof(query));
    text_clear(&found);
    text_add(&found, "");
    observe_findings(node.observe, &query, &found);
    for (const char *at = found.ptr; (at = strstr(at, "\"finding_type\"")); at++)
        count++;
    return count;
}

static void run(unsigned frames)
{
    node.frames = frames;
    node.end = -ENODATA;
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    observe_collect(node.observe);
}

Test(observe, denials_become_findings_with_the_times_of_the_capture)
{
    run(3);
    cr_assert_eq(find(), 3);
    cr_assert(strncmp(found.ptr, "{\"finding_type\":\"l4_deny\"", 25) == 0, "%s", found.ptr);
    cr_assert(strstr(found.ptr, "\"dst_ip\":\"203.0.113.3\",\"dst_port\":443,\"proto\":6"));
    cr_assert(strstr(found.ptr, "\"first_seen\":1002,\"last_seen\":1002,\"count\":1"));
    cr_assert(strstr(found.ptr, store_node_id(node.store)));
}

static void keep_dir_and_restart(unsigned frames)
{
    char *dir = node.dir;

    node.dir = strdup("/nonexistent");
    node_free(&node);
    node = (struct node){.dir = dir};
    run(frames);
}

Test(observe, findings_come_back_after_a_restart_and_go_on)
{
    run(2);
    observe_save(node.observe, false);
    keep_dir_and_restart(3);
    cr_assert_eq(find(), 3);
    cr_assert(strstr(found.ptr, "\"count\":2"), "%s", found.ptr);
}

static pol_grant grant_learned_at(uint64_t seconds, const char *name)
{
    pol_grant grant = {.group_key = 7,
                       .addr = {4, {203, 0, 113, 9}},
                       .kind = POL_GRANT_ALLOWED,
                       .ttl = 300,
                       .learned = seconds * POL_SECONDS,
                       .answered = seconds * POL_SECONDS,
                       .used = seconds * POL_SECONDS,
                       .expires = (seconds + 420) * POL_SECONDS};

    snprintf(grant.name, sizeof(grant.name), "%s", name);
    grant.name_len = (uint8_t)strlen(name);
    return grant;
}

Test(observe, grants_come_back_when_the_first_packet_tells_the_time)
{
    pol_grant past = grant_learned_at(900, "past.example");
    pol_grant future = grant_learned_at(2000, "future.example");
    pol_grant gone = grant_learned_at(10, "gone.example");
    pol_grant listed[4];
    uint32_t position = 0;

    node.frames = 0;
    node_make(&node);
    pol_policy_unref(node_publish(&node, NODE_DENY_ALL, 1));
    cr_assert_eq(store_grant_put(node.store, &past), 0);
    cr_assert_eq(store_grant_put(node.store, &future), 0);
    cr_assert_eq(store_grant_put(node.store, &gone), 0);
    keep_dir_and_restart(1);
    cr_assert_eq(pol_grants_list(node.grants, &position, 1000 * POL_SECONDS, listed, 4), 1);
    cr_assert_str_eq(listed[0].name, "past.example");
}
