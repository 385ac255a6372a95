// SPDX-License-Identifier: Apache-2.0
#include "control/readiness.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support/node.h"

static struct node node;
static struct text report;

static void teardown(void)
{
    text_fini(&report);
    node_free(&node);
}

TestSuite(readiness, .fini = teardown, .timeout = 30);

static void begin(int end, const char *document)
{
    node = (struct node){.frames = 1, .end = end};
    node_make(&node);
    pol_policy_unref(node_publish(&node, document, 1));
}

static bool is_ready(void)
{
    text_clear(&report);
    return readiness_report(node.readiness, &report);
}

static void expect(const char *line)
{
    cr_assert(strstr(report.ptr, line), "%s is not in %s", line, report.ptr);
}

Test(readiness, a_worker_that_has_not_begun_is_told)
{
    begin(-ENODATA, NODE_DENY_ALL);
    cr_assert_not(is_ready());
    expect("{\"name\":\"dataplane_running\",\"ok\":false,\"detail\":\"worker-0 has not started\"}");
    expect(
        "{\"name\":\"policy_ready\",\"ok\":false,\"detail\":\"generation 1 is published, worker-0 "
        "still decides by 0\"}");
}

Test(readiness, a_finished_capture_is_ready_and_says_so)
{
    begin(-ENODATA, NODE_DENY_ALL);
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    cr_assert(is_ready(), "%s", report.ptr);
    expect("{\"name\":\"dataplane_running\",\"ok\":true,\"detail\":\"capture finished\"}");
    expect("{\"name\":\"policy_ready\",\"ok\":true,\"detail\":null}");
}

Test(readiness, a_broken_capture_is_told_and_names_are_no_longer_learned)
{
    begin(-EIO, "{\"source_groups\":[{\"id\":\"g\",\"mode\":\"enforce\",\"sources\":{\"ips\":"
                "[\"10.0.0.1\"]},\"rules\":[{\"id\":\"r\",\"action\":\"allow\",\"match\":"
                "{\"dns_hostname\":\"^a\\\\.example$\"}}]}]}");
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FAILED);
    cr_assert_not(is_ready());
    expect(
        "{\"name\":\"dataplane_running\",\"ok\":false,\"detail\":\"packet 7 is made of cheese\"}");
    expect(
        "{\"name\":\"dns_allowlist\",\"ok\":false,\"detail\":\"rules have hostnames, but no DNS");
}

Test(readiness, draining_and_a_refused_policy_are_remembered)
{
    begin(-ENODATA, NODE_DENY_ALL);
    node_run_worker(&node);
    node_wait_for(&node, WORKER_FINISHED);
    readiness_refuse_policy(node.readiness, "the stored policy is refused");
    cr_assert_not(is_ready());
    expect("{\"name\":\"policy_ready\",\"ok\":false,\"detail\":\"the stored policy is refused\"}");
    readiness_refuse_policy(node.readiness, NULL);
    cr_assert(is_ready());
    readiness_drain(node.readiness);
    cr_assert_not(is_ready());
    expect("{\"name\":\"draining\",\"ok\":false,\"detail\":\"the daemon is stopping\"}");
}

Test(readiness, advisory_checks_are_marked)
{
    char name[] = "cluster";
    char *names[] = {name};
    struct config_list advisory = {names, 1};

    begin(-ENODATA, NODE_DENY_ALL);
    readiness_advise(node.readiness, &advisory);
    is_ready();
    expect("{\"name\":\"cluster\",\"ok\":true,\"detail\":null,\"advisory\":true}");
}
