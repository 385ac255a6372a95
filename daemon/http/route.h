/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stddef.h>

#include "http/auth.h"
#include "http/message.h"
#include "http/metrics.h"

struct api; /* what the handlers work on; see http/api.h */

typedef void (*route_handler)(struct api *api, const struct http_request *request,
                              struct http_reply *reply);

struct route {
    const char *method;
    const char *path;
    enum auth_access access;
    route_handler handle;
};

/* The one list of what the daemon answers; see http/api.c. */
struct route_table {
    const struct route *routes;
    size_t count;
};

struct route_context {
    const struct route_table *table;
    struct auth *auth;
    struct http_metrics *metrics;
    struct api *api;
};

/*
 * Answers a request: finds the route, checks the token, has the body read, calls the handler. A
 * HEAD is answered as its GET; dropping the body is the server's. A reply that has a status when
 * it comes in is counted and left alone.
 */
void route_serve(const struct route_context *context, const struct http_request *request,
                 struct http_reply *reply);

#endif
