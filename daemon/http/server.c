// SPDX-License-Identifier: Apache-2.0
/*
 * The only file that knows civetweb. Every request is answered in its first callback, so that none
 * of civetweb's own paths (files, directories, redirects, forms) is ever taken; no document root
 * is set, and TLS is never switched on.
 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <civetweb.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"
#include "http/head.h"
#include "http/respond.h"

#define SECOND          UINT64_C(1000000000)
#define CONNECTIONS_MIN 32     /* threads, most of which wait for clients */
#define SILENCE_MS      "3000" /* after which a client that says nothing is given up */
#define SILENCE_NS      (3 * SECOND)
#define BODY_NS         (10 * SECOND) /* what a whole body may take */
#define DRAIN_NS        SECOND
#define DRAIN_LIMIT     ((size_t)16 * HTTP_BODY_LIMIT)
#define DESCRIPTORS     4096          /* among which a connection's socket is looked for */
#define LOOK_MS         250           /* how long a stream waits before it looks whether to stop */
#define STREAM_BUFFER   65536         /* octets the kernel holds for the reader of a stream */
#define AT_ONCE         16384         /* octets of a body that leave together with its head */
#define STALL_NS        (30 * SECOND) /* after which a reader that takes nothing is given up */

struct server {
    struct server_options options;
    struct mg_context *context;
    struct thread stopper;
    _Atomic(uint16_t) port; /* 0 while starting */
    _Atomic(bool) stopping;
};

/* civetweb's view of a request, and ours. */
struct exchange {
    struct mg_connection *connection;
    const struct mg_request_info *info;
    struct http_request request;
    struct http_reply reply;
    char *body;
    bool received; /* nothing of the body is left to read */
};

static char answered; /* marks connections that need no answer any more */

static void send_reply(struct exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;
    bool has_body = reply->body.len && strcmp(exchange->request.method, "HEAD") != 0;
    bool at_once = has_body && reply->body.len <= AT_ONCE;
    struct text head = {0};

    mg_set_user_connection_data(exchange->connection, &answered);
    respond_head(reply, exchange->request.path, &head);
    /* civetweb writes nothing more once it is told to stop: a small last answer is whole or
     * none. */
    if (at_once)
        text_add_bytes(&head, reply->body.ptr, reply->body.len);
    if (!head.failed && mg_write(exchange->connection, head.ptr, head.len) > 0 && has_body &&
        !at_once)
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

/* Every reply passes here: `serve` counts refusals and makes all others. */
static void finish(const struct server *server, struct exchange *exchange)
{
    server->options.serve(server->options.user, &exchange->request, &exchange->reply);
    send_reply(exchange);
}

static bool is_socket(int fd, const struct mg_request_info *info)
{
    struct sockaddr_in peer = {0}, local = {0};
    socklen_t peer_len = sizeof(peer), local_len = sizeof(local);
    const struct server *server = info->user_data;
    struct in_addr remote;

    return getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
           peer.sin_family == AF_INET && ntohs(peer.sin_port) == info->remote_port &&
           inet_pton(AF_INET, info->remote_addr, &remote) == 1 &&
           peer.sin_addr.s_addr == remote.s_addr &&
           getsockname(fd, (struct sockaddr *)&local, &local_len) == 0 &&
           ntohs(local.sin_port) == server->port;
}

/*
 * civetweb hides the socket, and mg_read() returns only when all it was asked for is there or the
 * client has been silent for a while: without the socket nothing has a deadline.
 */
static int find_socket(const struct mg_request_info *info)
{
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (is_socket(fd, info))
            return fd;
    return -1;
}

/* A client that is still sending would lose the answer if the connection were closed on it. */
static void drain(const struct exchange *exchange)
{
    uint64_t now = clock_mono(), end = now + DRAIN_NS;
    struct pollfd wait = {.fd = find_socket(exchange->info), .events = POLLIN};
    char piece[16384];
    size_t total = 0;
    ssize_t got = 1;

    if (wait.fd < 0)
        return;

    shutdown(wait.fd, SHUT_WR);
    for (; got > 0 && total < DRAIN_LIMIT && now < end; now = clock_mono()) {
        if (poll(&wait, 1, (int)((end - now) / 1000000) + 1) <= 0)
            break;
        got = recv(wait.fd, piece, sizeof(piece), MSG_DONTWAIT);
        total += got > 0 ? (size_t)got : 0;
    }
}

/* --- streams: to the socket itself, since mg_write() neither gives up nor tells of a hang-up ----
 */

static bool write_all(const struct server *server, int fd, const struct text *out)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    uint64_t last = clock_mono();
    ssize_t sent;

    for (size_t at = 0; at < out->len;) {
        sent = send(fd, out->ptr + at, out->len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            at += (size_t)sent;
            last = clock_mono();
        } else if (errno != EAGAIN && errno != EINTR) {
            return false;
        } else if (server->stopping || clock_mono() - last > STALL_NS) {
            return false;
        } else {
            poll(&room, 1, LOOK_MS);
        }
    }
    return true;
}

/* False when the reader has gone. */
static bool wait_for_more(const struct server *server, int fd, int wake)
{
    struct pollfd both[2] = {{.fd = fd, .events = POLLRDHUP}, {.fd = wake, .events = POLLIN}};

    for (int waited = 0; waited < 1000 && !server->stopping; waited += LOOK_MS)
        if (poll(both, 2, LOOK_MS) > 0)
            break;
    return !(both[0].revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void send_stream(const struct server *server, const struct exchange *exchange)
{
    const struct http_stream *stream = &exchange->reply.stream;
    int fd = find_socket(exchange->info), octets = STREAM_BUFFER;
    struct text out = {0};
    bool more = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets)) == 0;

    while (more) {
        text_clear(&out);
        more = stream->more(stream->source, &out);
        more = !out.failed && write_all(server, fd, &out) && more && !server->stopping &&
               wait_for_more(server, fd, stream->wake);
    }
    text_fini(&out);
}

static void follow(const struct server *server, const struct exchange *exchange)
{
    const struct http_reply *reply = &exchange->reply;

    if (http_is_stream(reply) && strcmp(exchange->request.method, "HEAD") != 0)
        send_stream(server, exchange);
    if (reply->stream.close)
        reply->stream.close(reply->stream.source);
}

static bool is_body_left(const struct exchange *exchange)
{
    return !exchange->received &&
           (exchange->info->content_length > 0 ||
            mg_get_header(exchange->connection, "Transfer-Encoding")) &&
           !mg_get_header(exchange->connection, "Expect");
}

static void invite_body(struct exchange *exchange)
{
    const char *expect = mg_get_header(exchange->connection, "Expect");

    if (expect && mg_strcasecmp(expect, "100-continue") == 0)
        mg_write(exchange->connection, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Asks for what has arrived, else for one octet: mg_read() waits for all it is asked for. */
static size_t next_piece(int fd, size_t left)
{
    int there = 0;

    if (fd < 0 || ioctl(fd, FIONREAD, &there) < 0 || there < 1)
        return 1;
    return (size_t)there < left ? (size_t)there : left;
}

/* Returns 0, or the status to answer with. */
static int read_exactly(struct exchange *exchange, size_t length)
{
    uint64_t began = clock_mono(), last = began, now;
    int fd = find_socket(exchange->info), got;

    for (size_t have = 0; have < length; have += (size_t)got, last = now) {
        got = mg_read(exchange->connection, exchange->body + have, next_piece(fd, length - have));
        now = clock_mono();
        if (now - began > BODY_NS || (got <= 0 && now - last >= SILENCE_NS))
            return 408;
        if (got <= 0)
            return 400;
    }
    exchange->body[length] = '\0';
    return 0;
}

static bool receive(void *receiver, struct http_request *request, struct http_reply *reply)
{
    struct exchange *exchange = receiver;
    long long announced = exchange->info->content_length;
    size_t length = announced > 0 ? (size_t)announced : 0;
    int status;

    if (length > HTTP_BODY_LIMIT) {
        respond_error(reply, 413, "request body too large: %zu octets, the limit is %d", length,
                      HTTP_BODY_LIMIT);
        return false;
    }

    exchange->body = malloc(length + 1);
    if (!exchange->body) {
        respond_error(reply, 503, "out of memory");
        return false;
    }

    if (length)
        invite_body(exchange);
    status = read_exactly(exchange, length);
    if (status) {
        respond_error(reply, status, "%s",
                      status == 408 ? "the request body came too slowly"
                                    : "the request body ended early");
        return false;
    }

    exchange->received = true;
    request->body = exchange->body;
    request->body_len = length;
    return true;
}

static void answer(const struct server *server, struct exchange *exchange)
{
    const char *method = exchange->request.method, *reason = "";
    int status = check_head(exchange->info, &reason);

    if (status) {
        respond_error(&exchange->reply, status, "%s", reason);
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        exchange->request.receive = receive;
        exchange->request.receiver = exchange;
    }
    finish(server, exchange);
    follow(server, exchange);
    if (is_body_left(exchange))
        drain(exchange);
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
                    .cookie = mg_get_header(connection, "Cookie"),
                    .body = ""},
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
    finish(mg_get_user_data(mg_get_context(connection)), &exchange);
    text_fini(&exchange.reply.body);
    return 0;
}

/*
 * civetweb closes without a word, and without another callback, on targets that are not paths:
 * "*" and those of proxies.
 */
static void on_close(const struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);

    if (info && info->request_uri && !info->local_uri &&
        mg_get_user_connection_data(connection) != &answered)
        on_error((struct mg_connection *)connection, 400, "request target must be a path");
    mg_set_user_connection_data(connection, NULL);
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
    struct mg_callbacks callbacks = {.begin_request = on_request,
                                     .http_error = on_error,
                                     .connection_close = on_close,
                                     .log_message = on_log};
    char host[POL_ADDR_TEXT], port[POL_ADDR_TEXT + 8], threads[16];
    const char *options[] = {
        "listening_ports",
        port,
        "num_threads",
        threads,
        "request_timeout_ms",
        SILENCE_MS,
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
    snprintf(threads, sizeof(threads), "%u",
             server->options.streams + (server->options.threads > CONNECTIONS_MIN
                                            ? server->options.threads
                                            : CONNECTIONS_MIN));

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

    server->stopping = true;
    if (thread_start(&server->stopper, "http-stop", stop, server->context) < 0 ||
        !thread_join_within(&server->stopper, timeout_ns))
        return false;

    mg_exit_library();
    free(server);
    return true;
}
