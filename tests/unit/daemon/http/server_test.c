// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "http/respond.h"

static struct server *server;

/* A stream that counts to `last`, or for ever; and how often one was closed. */
static int last;
static _Atomic(int) closed;

static bool count_on(void *source, struct text *out)
{
    int *number = source;

    text_addf(out, "%d\n", ++*number);
    return *number != last;
}

static void close_count(void *source)
{
    free(source);
    closed++;
}

static void begin_stream(struct http_reply *reply)
{
    int *number = calloc(1, sizeof(*number));

    reply->type = "text/event-stream";
    text_add(&reply->body, "first\n");
    /* Nothing wakes it: the server comes back after a second. */
    reply->stream = (struct http_stream){-1, count_on, close_count, number};
}

/* Says back what arrived, so that a test sees what the handlers would. */
static void echo(void *user, const struct http_request *sent, struct http_reply *reply)
{
    struct http_request whole = *sent, *request = &whole;

    (void)user;
    if (reply->status || (whole.receive && !whole.receive(whole.receiver, &whole, reply)))
        return;
    reply->status = strcmp(request->path, "/refused") == 0 ? 503 : 200;
    if (strncmp(request->path, "/stream", 7) == 0 || reply->status == 503) {
        begin_stream(reply);
        return;
    }
    reply->type = "text/plain";
    text_addf(&reply->body, "%s %s ?%s a=%s c=%s len=%zu %.10s", request->method, request->path,
              request->query ? request->query : "",
              request->authorization ? request->authorization : "-",
              request->cookie ? request->cookie : "-", request->body_len, request->body);
}

static void setup(void)
{
    struct server_options options = {
        .address = {.addr = {4, {127, 0, 0, 1}}}, .threads = 3, .serve = echo};
    struct text error = {0};

    cr_assert_eq(server_start(&options, &server, &error), 0, "%s", error.ptr);
}

static void teardown(void)
{
    cr_assert(server_stop(server, UINT64_C(5000000000)));
}

TestSuite(server, .init = setup, .fini = teardown, .timeout = 30);

static int connect_to_it(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void send_all(int fd, const char *octets, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, octets, len, MSG_NOSIGNAL);

        cr_assert_gt(sent, 0);
        octets += sent;
        len -= (size_t)sent;
    }
}

static const char *receive_all(int fd)
{
    static char answer[65536];
    size_t len = 0;
    ssize_t got;

    while ((got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
        len += (size_t)got;
    answer[len] = '\0';
    close(fd);
    return answer;
}

static const char *ask(const char *request)
{
    int fd = connect_to_it();

    send_all(fd, request, strlen(request));
    return receive_all(fd);
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    return end ? end + 4 : "";
}

Test(server, a_request_reaches_the_handler_as_it_was_sent)
{
    const char *answer =
        ask("PUT /a%2Fb/../c?x=%41&y HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer t"
            "\r\nCookie: k=v\r\nContent-Length: 5\r\n\r\nhello");

    cr_assert(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0, "%s", answer);
    cr_assert_str_eq(body_of(answer), "PUT /a%2Fb/../c ?x=%41&y a=Bearer t c=k=v len=5 hello");
}

Test(server, a_head_request_has_the_length_and_no_body)
{
    const char *answer = ask("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");

    cr_assert(strstr(answer, "content-length: 24\r\n"), "%s", answer);
    cr_assert_str_eq(body_of(answer), "");
}

static const struct {
    const char *request, *status;
} refused[] = {
    {"GET /////////////////////////////////////////////////////// HTTP/1.1\r\nHost: h\r\n\r\n",
     "400 "},
    {"GET /a\\b HTTP/1.1\r\nHost: h\r\n\r\n", "400 "},
    {"GET / HTTP/1.1\r\n\r\n", "400 "},
    {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", ""},
    {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411 "},
    {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     "400 "},
    {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2097153\r\nExpect: 100-continue\r\n\r\n",
     "413 "},
    {"complete nonsense\r\n\r\n", "400 "},
    {"GET http://127.0.0.1:8080/health HTTP/1.1\r\nHost: h\r\n\r\n", "400 "},
    {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "400 "},
};

Test(server, what_is_refused_is_refused_in_json_with_the_headers)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const char *answer = ask(refused[i].request);
        const char *status = answer + 9;

        cr_assert(strncmp(answer, "HTTP/1.1 4", 10) == 0 || strncmp(answer, "HTTP/1.1 5", 10) == 0,
                  "%s gave %s", refused[i].request, answer);
        cr_assert(strncmp(status, refused[i].status, strlen(refused[i].status)) == 0, "%s gave %s",
                  refused[i].request, answer);
        cr_assert(strstr(answer, "\r\nx-frame-options: DENY\r\n"), "%s", answer);
        cr_assert(strncmp(body_of(answer), "{\"error\":\"", 10) == 0, "%s", answer);
    }
}

Test(server, the_body_of_a_get_is_not_read)
{
    const char *answer = ask("GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");

    cr_assert(strstr(answer, "len=0 "), "%s", answer);
}

Test(server, a_body_that_drips_has_a_deadline)
{
    const char *head = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n";
    int fd = connect_to_it();
    char answer[64] = "";

    send_all(fd, head, strlen(head));
    for (int i = 0; i < 60 && recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT) < 0; i++) {
        send_all(fd, "x", 1);
        usleep(250000);
    }
    close(fd);
    cr_assert(strncmp(answer, "HTTP/1.1 408 ", 13) == 0, "%s", answer);
}

Test(server, a_body_of_the_largest_size_passes)
{
    char head[128], *body = malloc(HTTP_BODY_LIMIT);
    int fd = connect_to_it();

    memset(body, 'x', HTTP_BODY_LIMIT);
    snprintf(head, sizeof(head), "PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
             HTTP_BODY_LIMIT);
    send_all(fd, head, strlen(head));
    send_all(fd, body, HTTP_BODY_LIMIT);
    cr_assert(strstr(receive_all(fd), "len=2097152 xxxxxxxxxx"));
    free(body);
}

Test(server, a_client_that_sends_too_much_still_reads_the_answer)
{
    size_t len = HTTP_BODY_LIMIT + 100000;
    char head[128], *body = malloc(len);
    int fd = connect_to_it();

    memset(body, 'x', len);
    snprintf(head, sizeof(head), "PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
             len);
    send_all(fd, head, strlen(head));
    send_all(fd, body, len);
    cr_assert(strncmp(receive_all(fd), "HTTP/1.1 413 ", 13) == 0);
    free(body);
}

Test(server, a_client_that_waits_for_it_is_invited_to_send)
{
    const char *head =
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    char invitation[64] = "";
    int fd = connect_to_it();

    send_all(fd, head, strlen(head));
    cr_assert_gt(recv(fd, invitation, sizeof(invitation) - 1, 0), 0);
    cr_assert_str_eq(invitation, "HTTP/1.1 100 Continue\r\n\r\n");
    send_all(fd, "ok", 2);
    cr_assert(strstr(receive_all(fd), "len=2 ok"));
}

Test(server, a_stream_goes_on_without_a_length_until_its_source_ends)
{
    const char *answer;

    last = 2;
    answer = ask("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    cr_assert_null(strstr(answer, "content-length"), "%s", answer);
    cr_assert(strstr(answer, "\r\ncontent-type: text/event-stream\r\n"), "%s", answer);
    cr_assert(strstr(answer, "\r\ncache-control: no-cache\r\n"), "%s", answer);
    cr_assert_str_eq(body_of(answer), "first\n1\n2\n");
    cr_assert_eq(closed, 1);
}

Test(server, a_stream_that_is_only_looked_at_or_refused_is_closed_unused)
{
    cr_assert_str_eq(body_of(ask("HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n")), "");
    cr_assert_str_eq(body_of(ask("GET /refused HTTP/1.1\r\nHost: h\r\n\r\n")), "first\n");
    for (int i = 0; i < 1000 && closed < 2; i++)
        usleep(1000);
    cr_assert_eq(closed, 2);
}

Test(server, a_stream_ends_when_its_reader_hangs_up)
{
    const char *request = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    char piece[4096];
    int fd = connect_to_it();

    send_all(fd, request, strlen(request));
    cr_assert_gt(recv(fd, piece, sizeof(piece), 0), 0);
    close(fd);
    for (int i = 0; i < 2000 && !closed; i++)
        usleep(1000);
    cr_assert_eq(closed, 1);
}

Test(server, streams_end_with_the_server)
{
    const char *request = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    char piece[64];
    int fds[3];

    for (int i = 0; i < 3; i++) {
        fds[i] = connect_to_it();
        send_all(fds[i], request, strlen(request));
        cr_assert_gt(recv(fds[i], piece, sizeof(piece), 0), 0);
    }
    cr_assert(server_stop(server, UINT64_C(5000000000)));
    server = NULL;
    cr_assert_eq(closed, 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}
