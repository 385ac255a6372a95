/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "core/clock.h"
#include "ctl/http_client.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/sse.h"
#include "ctl/tap_line.h"
#include "ctl/verb.h"

#define STREAM   "/api/v1/wiretap/stream"
#define SECOND   UINT64_C(1000000000)
#define AGAIN_NS (2 * SECOND) /* between two attempts to get back a lost stream */
#define LOOK_NS  100000000    /* how soon Ctrl-C is noticed meanwhile */

/* The first of the filters; the id of filters[i] is that of FILTER + i. */
#define FILTER 1

static const char *const filters[] = {"src_cidr", "dst_cidr", "hostname", "proto",
                                      "src_port", "dst_port", "kind"};

#define KIND (sizeof(filters) / sizeof(filters[0]) - 1)

struct tap {
    const char *url, *token_file;
    int format; /* enum output_format */
    bool no_color, colours;
    uint64_t count, seconds; /* 0: without end */
    char *token;
    struct text path; /* with the filters */
    bool filtered, kinds_given;
    uint64_t deadline; /* clock_mono(); 0: none */
    uint64_t shown;
    struct sse sse;
    bool connected; /* it was, at least once */
    bool broken;    /* the output cannot be written, or what comes is no stream of ours */
};

static const struct args_option options[] = {
    {FILTER + 0, 0, "src", "CIDR", "flows opened from this address or network"},
    {FILTER + 1, 0, "dst", "CIDR", "flows to this address or network"},
    {FILTER + 2, 0, "hostname", "REGEX", "names this is found in, caseless"},
    {FILTER + 3, 0, "proto", "PROTO", "tcp, udp, icmp, icmpv6 or a number"},
    {FILTER + 4, 0, "src-port", "PORTS", "source port, or range such as 8000-8999"},
    {FILTER + 5, 0, "dst-port", "PORTS", "destination port, or range"},
    {FILTER + 6, 0, "kind", "KIND", "flow, update, deny or dns (all but dns)"},
    {ARGS_NUMBER(struct tap, count), 'n', "count", "N", "end after so many events"},
    {ARGS_NUMBER(struct tap, seconds), 0, "for", "SECONDS", "end after this time"},
    {VERB_URL(struct tap)},
    {VERB_TOKEN_FILE(struct tap)},
    {VERB_OUTPUT(struct tap, "table|json", "a line for people or a JSON object (table)")},
    {VERB_JSON(struct tap)},
    {VERB_NO_COLOR(struct tap)},
    {0},
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Filters are checked by policyd, which knows them; here they only become part of the path. */
static void add_filter(struct tap *tap, size_t which, const char *value)
{
    text_addf(&tap->path, "%c%s=", tap->filtered ? '&' : '?', filters[which]);
    for (const char *at = value; *at; at++)
        text_addf(&tap->path, "%%%02X", (unsigned char)*at);
    tap->filtered = true;
    tap->kinds_given |= which == KIND;
}

static int take_filter(struct args *args, int id, const char *value, void *user)
{
    (void)args;
    if (id != ARGS_WORD)
        add_filter(user, (size_t)(id - FILTER), value);
    return id;
}

static bool read_request(struct args *args, struct tap *tap)
{
    text_add(&tap->path, STREAM);
    if (!args_read(args, take_filter, tap))
        return false;

    if (!tap->kinds_given) {
        add_filter(tap, KIND, "flow");
        add_filter(tap, KIND, "update");
        add_filter(tap, KIND, "deny");
    }
    return http_client_read_token(tap->token_file, "the stream needs", &tap->token, &args->error);
}

static bool is_over(const struct tap *tap)
{
    return interrupted || tap->broken || (tap->count && tap->shown >= tap->count) ||
           (tap->deadline && clock_mono() >= tap->deadline);
}

static bool write_out(struct tap *tap, struct text *out)
{
    tap->broken |= !output_write(out);
    text_fini(out);
    return !is_over(tap);
}

static bool show(struct tap *tap, const char *name, const char *data)
{
    struct text out = {0};

    if (tap->format == OUTPUT_JSON)
        text_addf(&out, "%s\n", data);
    else if (!tap_line(&out, name, data, tap->colours))
        return true; /* an event of a later version */
    tap->shown++;
    return write_out(tap, &out);
}

/* Adds the text or number of a member, made safe for a terminal. */
static void add_member(struct text *out, const char *data, const char *key)
{
    cJSON *object = cJSON_Parse(data);
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);

    if (cJSON_IsString(member))
        show_safely(out, (pol_str){member->valuestring, strlen(member->valuestring)});
    else if (cJSON_IsNumber(member))
        text_addf(out, "%.0f", member->valuedouble);
    cJSON_Delete(object);
}

static void tell(const char *before, const char *data, const char *key, const char *behind)
{
    struct text words = {0};

    add_member(&words, data, key);
    fprintf(stderr, "policyctl: %s%s%s\n", before, words.len ? words.ptr : "?", behind);
    text_fini(&words);
}

static bool on_event(void *user, const char *name, const char *data)
{
    struct tap *tap = user;

    if (strcmp(name, "dropped") == 0) {
        tell("", data, "count", " events were lost: they came faster than they were read");
        return true;
    }
    if (strcmp(name, "end") == 0) {
        tell("the stream has ended: ", data, "reason", "");
        return true;
    }
    return show(tap, name, data);
}

static bool begin(struct tap *tap)
{
    struct text head = {0};

    tap->connected = true;
    if (tap->format == OUTPUT_JSON)
        return true;

    tap_line_head(&head);
    return write_out(tap, &head);
}

static bool on_octets(void *user, const char *octets, size_t len)
{
    struct tap *tap = user;

    return (tap->connected || begin(tap)) && sse_feed(&tap->sse, octets, len, on_event, tap);
}

static bool on_look(void *user)
{
    return !is_over(user);
}

static int refused(const struct tap *tap, const struct http_reply *reply)
{
    struct text words = {0};

    if (reply->body.len)
        add_member(&words, reply->body.ptr, "error");
    fprintf(stderr, "policyctl: %s answered %ld: %s\n", tap->url, reply->status,
            words.len ? words.ptr : "is --url right?");
    text_fini(&words);
    switch (reply->status) {
    case 400:
        return EXIT_USAGE;
    case 401:
    case 403:
    case 503:
        return EXIT_DENIED;
    default:
        return EXIT_UNREACHABLE;
    }
}

/* One connection from its beginning to its end. EXIT_OK: it was a stream. */
static int follow(struct tap *tap)
{
    struct http_reply reply = {0};
    struct text error = {0};
    int code = EXIT_OK;

    if (!http_client_follow(&(struct http_client_stream){tap->url, tap->path.ptr, tap->token,
                                                         on_octets, on_look, tap},
                            &reply, &error)) {
        fprintf(stderr, "policyctl: %s\n", error.ptr);
        code = EXIT_UNREACHABLE;
    } else if (reply.status != 200) {
        code = refused(tap, &reply);
    }
    text_fini(&error);
    text_fini(&reply.body);
    sse_fini(&tap->sse);
    return code;
}

static void pause_before_again(const struct tap *tap)
{
    uint64_t end = clock_mono() + AGAIN_NS;

    while (!is_over(tap) && clock_mono() < end)
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

/* What was connected once is tried again for as long as it takes: a daemon may be restarted. */
static int watch(struct tap *tap)
{
    int code = follow(tap);

    while (tap->connected && !is_over(tap)) {
        fputs("policyctl: the stream was lost; events are missing until it is back\n", stderr);
        pause_before_again(tap);
        if (!is_over(tap))
            follow(tap);
    }
    if (tap->broken)
        return EXIT_FAILED;
    return tap->connected || interrupted ? EXIT_OK : code;
}

static int start(struct tap *tap)
{
    struct sigaction action = {.sa_handler = interrupt};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    tap->colours = show_colours(stdout, tap->no_color);
    if (tap->seconds)
        tap->deadline = clock_mono() + tap->seconds * SECOND;
    return watch(tap);
}

static int run(struct args *args)
{
    struct tap tap = {.url = HTTP_CLIENT_URL, .token_file = getenv("POLICYCTL_TOKEN_FILE")};
    int code = EXIT_USAGE;

    if (read_request(args, &tap))
        code = tap.path.failed ? EXIT_FAILED : start(&tap);
    text_fini(&tap.path);
    free(tap.token);
    return code;
}

const struct verb verb_tap = {
    .name = "tap",
    .synopsis = "[OPTIONS]",
    .summary = "watch flows and denials as they happen",
    .about =
        "Follows GET /api/v1/wiretap/stream of a running policyd, one line per event, until "
        "Ctrl-C.\n"
        "Filters may be repeated: values of one are alternatives, different ones must all hold. A\n"
        "stream that is lost is opened again; what happened meanwhile is missing, and said to be.",
    .options = options,
    .run = run,
};
