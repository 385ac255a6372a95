// SPDX-License-Identifier: Apache-2.0
#include "control/policy_file.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

static pol_ctx *ctx;
static pol_policy *policy;
static struct text report;

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
}

static void teardown(void)
{
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    text_fini(&report);
}

TestSuite(policy_file, .init = setup, .fini = teardown);

static int compile(const char *document)
{
    return policy_file_compile(ctx, "p.json", (pol_str){document, strlen(document)}, false, &policy,
                               &report);
}

Test(policy_file, each_error_is_a_line_with_its_place)
{
    cr_assert_eq(compile("{\n\"source_group\": [],\n\"default_policy\": 7\n}"), -EINVAL);
    cr_assert_null(policy);
    cr_assert(strstr(report.ptr, "p.json:2:1: error: "), "%s", report.ptr);
    cr_assert(strstr(report.ptr, "p.json:3:"), "%s", report.ptr);
    cr_assert(strstr(report.ptr, " (at /default_policy)\n"), "%s", report.ptr);
}

Test(policy_file, warnings_do_not_refuse)
{
    cr_assert_eq(compile("{\"source_groups\":[{\"id\":\"g\",\"mode\":\"enforce\",\"sources\":"
                         "{\"ips\":[\"10.0.0.1\"]},\"rules\":[{\"id\":\"r\",\"action\":\"allow\","
                         "\"match\":{\"dns_hostname\":\"example.com\"}}]}]}"),
                 0);
    cr_assert_not_null(policy);
    cr_assert(strstr(report.ptr, ": warning: "), "%s", report.ptr);
}
