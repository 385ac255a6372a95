/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_API_H
#define HTTP_API_H

#include <libpolicy/context.h>
#include <libpolicy/grants.h>

#include "control/control.h"
#include "control/readiness.h"
#include "dataplane/worker_loop.h"
#include "http/metrics.h"
#include "http/route.h"

/* What the handlers work on. Everything in it may be used by any thread. */
struct api {
    pol_ctx *ctx;
    struct control *control;
    struct publish *publish;
    struct readiness *readiness;
    struct performance *performance;
    struct tap_hub *tap;
    struct http_metrics *metrics;
    const pol_grants *grants;
    struct worker_loop *const *loops;
    size_t loop_count;
};

extern const struct route_table api_routes;

void api_health(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_ready(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_metrics(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_stats(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_dns_cache(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_findings(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_policy_get(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_policy_put(struct api *api, const struct http_request *request, struct http_reply *reply);
void api_performance_get(struct api *api, const struct http_request *request,
                         struct http_reply *reply);
void api_performance_put(struct api *api, const struct http_request *request,
                         struct http_reply *reply);
void api_wiretap(struct api *api, const struct http_request *request, struct http_reply *reply);

#endif
