// SPDX-License-Identifier: Apache-2.0
#include "http/route.h"

#include <string.h>

#include <criterion/criterion.h>

static void say_hello(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    (void)api;
    (void)request;
    text_add(&reply->body, "hello");
}

static const struct route routes[] = {
    {"GET", "/open", AUTH_OPEN, say_hello},
    {"GET", "/thing", AUTH_TOKEN, say_hello},
    {"PUT", "/thing", AUTH_ADMIN, say_hello},
};
static const struct route_table table = {routes, 3};

static struct auth *auth;
static struct http_metrics *metrics;
static struct http_reply reply;

static void setup(void)
{
    struct auth_token token = {.admin = false};

    secret_hash("a-reading-token", 15, token.hash);
    cr_assert_eq(auth_new(&auth), 0);
    cr_assert_eq(http_metrics_new(&metrics), 0);
    auth_replace(auth, &token, 1);
}

static void teardown(void)
{
    text_fini(&reply.body);
    auth_free(auth);
    http_metrics_free(metrics);
}

TestSuite(route, .init = setup, .fini = teardown);

static const struct {
    const char *method, *path, *token;
    int status;
    const char *allow;
} cases[] = {
    {"GET", "/open", NULL, 200, ""},
    {"HEAD", "/open", NULL, 200, ""},
    {"POST", "/open", NULL, 405, "GET, HEAD"},
    {"GET", "/nothing", NULL, 404, ""},
    {"GET", "/open/", NULL, 404, ""},
    {"GET", "/thing", NULL, 401, ""},
    {"DELETE", "/thing", NULL, 401, ""},
    {"GET", "/thing", "Bearer a-reading-token", 200, ""},
    {"PUT", "/thing", "Bearer a-reading-token", 403, ""},
    {"DELETE", "/thing", "Bearer a-reading-token", 405, "GET, HEAD, PUT"},
};

Test(route, path_then_token_then_method)
{
    struct route_context context = {&table, auth, metrics, NULL};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_request request = {
            .method = cases[i].method, .path = cases[i].path, .authorization = cases[i].token};

        text_fini(&reply.body);
        reply = (struct http_reply){0};
        route_serve(&context, &request, &reply);
        cr_assert_eq(reply.status, cases[i].status, "%s %s: %d", cases[i].method, cases[i].path,
                     reply.status);
        cr_assert_str_eq(reply.allow, cases[i].allow);
        cr_assert(reply.status == 200 || strncmp(reply.body.ptr, "{\"error\":", 9) == 0);
    }
}

Test(route, strangers_cannot_make_new_series)
{
    struct route_context context = {&table, auth, metrics, NULL};
    struct http_request request = {.method = "PATCH", .path = "/made/up"};
    struct text printed = {0};

    route_serve(&context, &request, &reply);
    http_metrics_print(metrics, &printed);
    cr_assert(strstr(printed.ptr,
                     "http_requests_total{path=\"other\",method=\"other\",status=\"404\"} 1\n"));
    cr_assert_not(strstr(printed.ptr, "made"));
    text_fini(&printed);
}

static bool receive(void *receiver, struct http_request *request, struct http_reply *refusal)
{
    (void)request;
    (void)refusal;
    ++*(int *)receiver;
    return true;
}

Test(route, a_body_is_read_only_for_those_who_may_send_it)
{
    struct route_context context = {&table, auth, metrics, NULL};
    int read = 0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_request request = {.method = cases[i].method,
                                       .path = cases[i].path,
                                       .authorization = cases[i].token,
                                       .receive = receive,
                                       .receiver = &read};

        text_fini(&reply.body);
        reply = (struct http_reply){0};
        read = 0;
        route_serve(&context, &request, &reply);
        cr_assert_eq(read, cases[i].status == 200, "%s %s", cases[i].method, cases[i].path);
    }
}

Test(route, what_the_listener_refused_is_counted_and_left_alone)
{
    struct route_context context = {&table, auth, metrics, NULL};
    struct http_request request = {.method = "GET"};
    struct text printed = {0};

    reply.status = 411;
    route_serve(&context, &request, &reply);
    http_metrics_print(metrics, &printed);
    cr_assert_eq(reply.status, 411);
    cr_assert(strstr(printed.ptr,
                     "http_requests_total{path=\"other\",method=\"other\",status=\"411\"} 1\n"));
    text_fini(&printed);
}
