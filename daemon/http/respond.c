// SPDX-License-Identifier: Apache-2.0
#include "http/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
};

const char *respond_phrase(int status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Error";
}

void respond_error(struct http_reply *reply, int status, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    reply->status = status;
    reply->type = NULL;
    text_clear(&reply->body);
    text_add(&reply->body, "{\"error\":");
    text_add_json(&reply->body, message);
    text_add(&reply->body, "}");
}

static void add_policy_header(const char *path, struct text *out)
{
    bool api = path && strncmp(path, "/api/", 5) == 0;

    text_addf(out,
              "content-security-policy: default-src 'self'; script-src 'self'; style-src 'self'%s; "
              "img-src 'self' data:;%s connect-src 'self'; object-src 'none'; "
              "frame-ancestors 'none'; base-uri 'self'; form-action 'self'\r\n",
              api ? " 'unsafe-inline'" : "", api ? "" : " font-src 'self' data:;");
    if (path && strncmp(path, "/api/v1/auth/", 13) == 0)
        text_add(out, "cache-control: no-store\r\n");
}

void respond_head(const struct http_reply *reply, const char *path, struct text *out)
{
    text_addf(out, "HTTP/1.1 %d %s\r\n", reply->status, respond_phrase(reply->status));
    text_add(out, "connection: close\r\n");
    if (http_is_stream(reply))
        text_addf(out, "content-type: %s\r\ncache-control: no-cache\r\n", reply->type);
    else if (reply->status != 204)
        text_addf(out, "content-type: %s\r\ncontent-length: %zu\r\n",
                  reply->type ? reply->type : "application/json", reply->body.len);
    if (*reply->allow)
        text_addf(out, "allow: %s\r\n", reply->allow);
    if (reply->retry_after)
        text_addf(out, "retry-after: %u\r\n", reply->retry_after);
    if (reply->challenge)
        text_add(out, "www-authenticate: Bearer\r\n");

    text_add(out,
             "x-content-type-options: nosniff\r\n"
             "x-frame-options: DENY\r\n"
             "referrer-policy: no-referrer\r\n"
             "permissions-policy: accelerometer=(), camera=(), geolocation=(), microphone=()\r\n"
             "strict-transport-security: max-age=31536000; includeSubDomains\r\n");
    add_policy_header(path, out);
    text_add(out, "\r\n");
}
