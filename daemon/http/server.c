// SPDX-License-Identifier: Apache-2.0
/*
 * The only file that knows civetweb. Every request is answered in its first callback, so that none
 * of civetweb's own paths (files, directories, redirects, forms) is ever taken; no document root
 * is set, and TLS is never switched on.
 */
#include "http/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <civetweb.h>

#include "core/log.h"
#include "core/thread.h"
#include "http/head.h"
#include "http/respond.h"

#define DRAIN_LIMIT                                                                                \
    (UINT64_C(16) * HTTP_BODY_LIMIT) /* what is read from a client before it is cut off */

struct server {
    struct server_options options;
    struct mg_context *context;
    struct thread stopper;
    _Atomic(uint16_t) port; /* 0 while starting */
};

/* civetweb's view of a request, and ours. */
struct exchange {
    struct mg_connection *connection;
    const struct mg_request_info *info;
    struct http_request request;
    struct http_reply reply;
    char *body;
};

static void send_reply(struct exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;
    struct text head = {0};

    respond_head(reply, exchange->request.path, &head);
    if (!head.failed && mg_write(exchange->connection, head.ptr, head.len) > 0 && reply->body.len &&
        strcmp(exchange->request.method, "HEAD") != 0)
        mg_write(exchange->connection, reply->body.ptr, reply->body.len);
    text_fini(&head);
}

static int check_head(const struct mg_request_info *info, const char **ret_reason)
{
    struct http_field fields[MG_MAX_HEADERS];
    struct http_head head = {
        .method = info->request_method,
        .target = info->request_uri,
        .version = info->http_version ? info->http_version : "",
        .fields = fields,
        .field_count = (size_t)info->num_headers,
    };

    for (int i = 0; i < info->num_headers; i++)
        fields[i] = (struct http_field){info->http_headers[i].name, info->http_headers[i].value};
    return head_check(&head, ret_reason);
}

/* A client that is still sending would lose the answer if the connection were closed on it. */
static void drain(struct exchange *exchange, uint64_t length)
{
    char piece[16384];
    int got = 1;

    for (uint64_t left = length < DRAIN_LIMIT ? length : 0; left && got > 0; left -= (uint64_t)got)
        got = mg_read(exchange->connection, piece, left < sizeof(piece) ? left : sizeof(piece));
}

static void invite_body(struct exchange *exchange)
{
    const char *expect = mg_get_header(exchange->connection, "Expect");

    if (expect && mg_strcasecmp(expect, "100-continue") == 0)
        mg_write(exchange->connection, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

static bool read_exactly(struct exchange *exchange, size_t length)
{
    size_t have = 0;
    int got;

    while (have < length) {
        got = mg_read(exchange->connection, exchange->body + have, length - have);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    exchange->body[have] = '\0';
    return true;
}

static bool read_body(struct exchange *exchange)
{
    long long announced = exchange->info->content_length;
    size_t length = announced > 0 ? (size_t)announced : 0;

    if (length > HTTP_BODY_LIMIT) {
        respond_error(&exchange->reply, 413, "request body too large: %zu octets, the limit is %d",
                      length, HTTP_BODY_LIMIT);
        send_reply(exchange);
        if (!mg_get_header(exchange->connection, "Expect"))
            drain(exchange, length);
        return false;
    }

    exchange->body = malloc(length + 1);
    if (!exchange->body) {
        respond_error(&exchange->reply, 503, "out of memory");
        send_reply(exchange);
        return false;
    }

    if (length)
        invite_body(exchange);
    if (!read_exactly(exchange, length)) {
        respond_error(&exchange->reply, 400, "the request body ended early");
        send_reply(exchange);
        return false;
    }

    exchange->request.body = exchange->body;
    exchange->request.body_len = length;
    return true;
}

static void answer(const struct server *server, struct exchange *exchange)
{
    const char *reason = "";
    int status = check_head(exchange->info, &reason);

    if (status) {
        respond_error(&exchange->reply, status, "%s", reason);
        send_reply(exchange);
        return;
    }

    if (read_body(exchange)) {
        server->options.serve(server->options.user, &exchange->request, &exchange->reply);
        send_reply(exchange);
    }
}

static int on_request(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct exchange exchange = {
        .connection = connection,
        .info = info,
        .request = {.method = info->request_method,
                    .path = info->local_uri_raw ? info->local_uri_raw : "",
                    .query = info->query_string,
                    .authorization = mg_get_header(connection, "Authorization"),
                    .cookie = mg_get_header(connection, "Cookie")},
    };
    int status;

    mg_disable_connection_keep_alive(connection);
    answer(info->user_data, &exchange);
    status = exchange.reply.status;
    free(exchange.body);
    text_fini(&exchange.reply.body);
    return status ? status : 500;
}

/* What civetweb refuses by itself looks like everything else. */
static int on_error(struct mg_connection *connection, int status, const char *message)
{
    struct exchange exchange = {.connection = connection, .request = {.method = "GET"}};

    respond_error(&exchange.reply, status, "%s",
                  message && *message ? message : respond_phrase(status));
    send_reply(&exchange);
    text_fini(&exchange.reply.body);
    return 0;
}

/*
 * Why it cannot listen is worth a line. What it says about requests is not: it quotes them, and
 * they may carry tokens; the client is told.
 */
static int on_log(const struct mg_connection *connection, const char *message)
{
    const struct server *server = connection ? mg_get_user_data(mg_get_context(connection)) : NULL;

    if (!server || !server->port)
        log_warn("http: %s", message);
    return 1;
}

static int listen_on(struct server *server)
{
    struct mg_callbacks callbacks = {
        .begin_request = on_request, .http_error = on_error, .log_message = on_log};
    char host[POL_ADDR_TEXT], port[POL_ADDR_TEXT + 8], threads[16];
    const char *options[] = {
        "listening_ports",
        port,
        "num_threads",
        threads,
        "request_timeout_ms",
        "5000",
        "max_request_size",
        "16384",
        "decode_url",
        "no",
        "enable_directory_listing",
        "no",
        "enable_keep_alive",
        "no",
        "tcp_nodelay",
        "1",
        NULL,
    };
    struct mg_server_port taken = {0};

    pol_addr_format(&server->options.address.addr, host);
    snprintf(port, sizeof(port), "%s:%u", host, server->options.address.port);
    snprintf(threads, sizeof(threads), "%u", server->options.threads);

    server->context = mg_start(&callbacks, server, options);
    if (!server->context)
        return -EADDRINUSE;

    server->port = mg_get_server_ports(server->context, 1, &taken) == 1
                       ? (uint16_t)taken.port
                       : server->options.address.port;
    return 0;
}

int server_start(const struct server_options *options, struct server **ret_server,
                 struct text *ret_error)
{
    struct server *server = calloc(1, sizeof(*server));
    char host[POL_ADDR_TEXT];
    int rc;

    if (!server) {
        text_add(ret_error, "out of memory");
        return -ENOMEM;
    }

    mg_init_library(MG_FEATURES_DEFAULT);
    server->options = *options;
    rc = listen_on(server);
    if (rc < 0) {
        pol_addr_format(&options->address.addr, host);
        text_addf(ret_error, "http.bind: cannot listen on %s port %u; the line before says why",
                  host, options->address.port);
        mg_exit_library();
        free(server);
        return rc;
    }

    *ret_server = server;
    return 0;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

static void *stop(void *arg)
{
    mg_stop(arg);
    return NULL;
}

/* mg_stop() takes a second or two and has been known to hang, hence the helper and the deadline. */
bool server_stop(struct server *server, uint64_t timeout_ns)
{
    if (!server)
        return true;

    if (thread_start(&server->stopper, "http-stop", stop, server->context) < 0 ||
        !thread_join_within(&server->stopper, timeout_ns))
        return false;

    mg_exit_library();
    free(server);
    return true;
}
