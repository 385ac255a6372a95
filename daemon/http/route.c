// SPDX-License-Identifier: Apache-2.0
#include "http/route.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "http/respond.h"

/* What the table knows about a request's path. */
struct match {
    const struct route *route; /* for this method; NULL: none */
    const struct route *any;   /* the first one for the path */
    char allow[64];            /* the methods there are */
};

static bool is_method(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void add_allowed(struct match *match, const char *method)
{
    size_t len = strlen(match->allow);

    snprintf(match->allow + len, sizeof(match->allow) - len, "%s%s%s", len ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

static struct match find(const struct route_table *table, const char *method, const char *path)
{
    struct match match = {0};

    for (size_t i = 0; i < table->count; i++) {
        const struct route *route = &table->routes[i];

        if (strcmp(route->path, path) != 0)
            continue;
        add_allowed(&match, route->method);
        if (!match.any)
            match.any = route;
        if (!match.route && is_method(route, method))
            match.route = route;
    }
    return match;
}

static enum auth_outcome check(const struct route_context *context,
                               const struct http_request *request, const struct match *match)
{
    enum auth_access access = match->route ? match->route->access : match->any->access;
    enum auth_outcome outcome = auth_check(context->auth, request, access);

    if (access != AUTH_OPEN)
        http_metrics_auth(context->metrics, outcome);
    return outcome;
}

static void handle(const struct route_context *context, const struct http_request *request,
                   route_handler handler, struct http_reply *reply)
{
    struct http_request whole = *request;

    if (whole.receive && !whole.receive(whole.receiver, &whole, reply))
        return;
    reply->status = 200;
    handler(context->api, &whole, reply);
}

/* 404 needs no token, since the list of paths is public; a wrong method on a protected path does.
 */
static void serve(const struct route_context *context, const struct http_request *request,
                  const struct match *match, struct http_reply *reply)
{
    enum auth_outcome outcome;

    if (!match->any) {
        respond_error(reply, 404, "no such path: %s", request->path);
        return;
    }

    outcome = check(context, request, match);
    if (outcome != AUTH_VALID) {
        auth_refuse(outcome, reply);
    } else if (!match->route) {
        respond_error(reply, 405, "method not allowed: %s", request->method);
        memcpy(reply->allow, match->allow, sizeof(reply->allow));
    } else {
        handle(context, request, match->route->handle, reply);
    }
}

/* Methods of the metrics are the table's or these, so that nobody can make new series. */
static const char *method_label(const struct match *match, const char *method)
{
    if (match->route)
        return strcmp(method, "HEAD") == 0 ? "HEAD" : match->route->method;
    return "other";
}

void route_serve(const struct route_context *context, const struct http_request *request,
                 struct http_reply *reply)
{
    uint64_t began = clock_mono();
    struct match match;

    if (reply->status) {
        http_metrics_request(context->metrics, "other", "other", reply->status, 0);
        return;
    }

    match = find(context->table, request->method, request->path);
    serve(context, request, &match, reply);
    if (reply->body.failed)
        respond_error(reply, 500, "out of memory");
    http_metrics_request(context->metrics, match.any ? match.any->path : "other",
                         method_label(&match, request->method), reply->status,
                         clock_mono() - began);
}
