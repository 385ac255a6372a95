// SPDX-License-Identifier: Apache-2.0
#include "http/respond.h"

#include <string.h>

#include <criterion/criterion.h>

static struct text head;

static void teardown(void)
{
    text_fini(&head);
}

TestSuite(respond, .fini = teardown);

Test(respond, errors_are_one_json_object)
{
    struct http_reply reply = {0};

    text_add(&reply.body, "half an answer");
    respond_error(&reply, 400, "no \"%s\" here", "x");
    cr_assert_eq(reply.status, 400);
    cr_assert_str_eq(reply.body.ptr, "{\"error\":\"no \\\"x\\\" here\"}");
    text_fini(&reply.body);
}

Test(respond, every_response_carries_the_security_headers)
{
    static const char *const headers[] = {
        "\r\nx-content-type-options: nosniff\r\n",
        "\r\nx-frame-options: DENY\r\n",
        "\r\nreferrer-policy: no-referrer\r\n",
        "\r\npermissions-policy: accelerometer=(), camera=(), geolocation=(), microphone=()\r\n",
        "\r\nstrict-transport-security: max-age=31536000; includeSubDomains\r\n",
        "\r\ncontent-security-policy: default-src 'self'; script-src 'self'; style-src 'self' "
        "'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'self'\r\n",
        "\r\ncontent-type: application/json\r\n",
        "\r\ncontent-length: 0\r\n",
    };
    struct http_reply reply = {.status = 200};

    respond_head(&reply, "/api/v1/stats", &head);
    cr_assert(strncmp(head.ptr, "HTTP/1.1 200 OK\r\n", 17) == 0);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        cr_assert(strstr(head.ptr, headers[i]), "%s", headers[i]);
    cr_assert_str_eq(head.ptr + head.len - 4, "\r\n\r\n");
    cr_assert_not(strstr(head.ptr, "cache-control"));
}

Test(respond, other_paths_have_the_stricter_style_rule)
{
    struct http_reply reply = {.status = 405, .allow = "GET, HEAD"};

    respond_head(&reply, "/health", &head);
    cr_assert(strstr(head.ptr, "style-src 'self'; img-src 'self' data:; font-src 'self' data:;"));
    cr_assert(strstr(head.ptr, "\r\nallow: GET, HEAD\r\n"));
}

Test(respond, answers_about_sessions_are_not_stored)
{
    struct http_reply reply = {.status = 204};

    respond_head(&reply, "/api/v1/auth/logout", &head);
    cr_assert(strstr(head.ptr, "\r\ncache-control: no-store\r\n"));
    cr_assert_not(strstr(head.ptr, "content-length"));
}

Test(respond, a_refusal_may_say_when_to_come_back)
{
    struct http_reply reply = {.status = 503, .retry_after = 5};

    respond_head(&reply, "/api/v1/wiretap/stream", &head);
    cr_assert(strstr(head.ptr, "\r\nretry-after: 5\r\n"), "%s", head.ptr);
}
