// SPDX-License-Identifier: Apache-2.0
#include "http/metrics.h"

#include <string.h>

#include <criterion/criterion.h>

Test(metrics, durations_fall_into_cumulative_buckets)
{
    struct http_metrics *metrics;
    struct text out = {0};

    cr_assert_eq(http_metrics_new(&metrics), 0);
    http_metrics_request(metrics, "/a", "GET", 200, 6000000);
    http_metrics_request(metrics, "/a", "GET", 200, UINT64_C(60000000000));
    http_metrics_auth(metrics, AUTH_ROLE);
    http_metrics_print(metrics, &out);
    cr_assert(
        strstr(out.ptr, "http_requests_total{path=\"/a\",method=\"GET\",status=\"200\"} 2\n"));
    cr_assert(strstr(out.ptr, "status=\"200\",le=\"0.005\"} 0\n"));
    cr_assert(strstr(out.ptr, "status=\"200\",le=\"0.01\"} 1\n"));
    cr_assert(strstr(out.ptr, "status=\"200\",le=\"10\"} 1\n"));
    cr_assert(strstr(out.ptr, "status=\"200\",le=\"+Inf\"} 2\n"));
    cr_assert(
        strstr(out.ptr, "http_auth_total{outcome=\"deny\",reason=\"insufficient_role\"} 1\n"));
    text_fini(&out);
    http_metrics_free(metrics);
}
