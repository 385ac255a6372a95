// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

void api_health(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    (void)api;
    (void)request;
    text_add(&reply->body, "{\"status\":\"ok\"}");
}

void api_ready(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    reply->status = readiness_report(api->readiness, &reply->body) ? 200 : 503;
}
