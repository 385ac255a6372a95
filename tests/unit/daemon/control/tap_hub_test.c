// SPDX-License-Identifier: Apache-2.0
#include "control/tap_hub.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/clock.h"
#include "core/thread.h"

#define FLOW_EVENTS (1u << POL_EV_FLOW_OPEN | 1u << POL_EV_FLOW_ACTIVE | 1u << POL_EV_FLOW_END)

static pol_ctx *ctx;
static struct tap_hub *hub;
static struct text out;

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(tap_hub_new("7c7b-node", 2, &hub), 0);
}

static void teardown(void)
{
    text_fini(&out);
    tap_hub_free(hub);
    pol_ctx_unref(ctx);
}

TestSuite(tap_hub, .init = setup, .fini = teardown, .timeout = 60);

static pol_tap *filter_for_port(uint16_t port)
{
    pol_port_range range = {port, port};
    pol_tap_filter filter;
    pol_tap *tap;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.dst_ports = &range;
    filter.dst_port_count = port ? 1 : 0;
    cr_assert_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_OK);
    return tap;
}

static struct tap_stream *open_stream(uint16_t port, uint32_t kinds)
{
    struct tap_stream *stream;

    cr_assert_eq(tap_stream_open(hub, filter_for_port(port), kinds, &stream), 0);
    return stream;
}

static int open_refused(void)
{
    pol_tap *filter = filter_for_port(0);
    struct tap_stream *stream;
    int rc = tap_stream_open(hub, filter, TAP_FLOW, &stream);

    pol_tap_free(filter); /* still ours, since it was refused */
    return rc;
}

static void offer(enum pol_event_kind kind, uint16_t port, enum pol_action raw_action)
{
    pol_event event = {
        .kind = (uint8_t)kind,
        .end = POL_END_FIN,
        .tuple = {.src = {4, {10, 0, 0, 5}}, .dst = {4, {192, 0, 2, 1}}, .proto = 6}};

    event.tuple.dst_port = port;
    event.verdict.raw_action = (uint8_t)raw_action;
    event.verdict.group = event.verdict.rule = POL_NONE;
    tap_hub_offer(hub, &event, NULL, 1770000000000);
}

static const char *take(struct tap_stream *stream)
{
    text_clear(&out);
    text_add(&out, "");
    tap_stream_take(stream, &out);
    return out.ptr;
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (; (text = strstr(text, what)); text++)
        count++;
    return count;
}

static bool is_awake(const struct tap_stream *stream)
{
    struct pollfd wake = {.fd = tap_stream_wake(stream), .events = POLLIN};

    return poll(&wake, 1, 0) == 1;
}

Test(tap_hub, an_event_is_a_server_sent_event_with_an_id)
{
    struct tap_stream *stream = open_stream(0, TAP_FLOW);

    offer(POL_EV_FLOW_OPEN, 443, POL_ALLOW);
    cr_assert(is_awake(stream));
    cr_assert(strncmp(take(stream), "id: 1\nevent: flow\ndata: {\"flow_id\":", 35) == 0, "%s",
              out.ptr);
    cr_assert_str_eq(out.ptr + out.len - 3, "}\n\n");
    cr_assert(
        strstr(out.ptr, "\"last_seen\":1770000000,\"hostname\":null,\"node_id\":\"7c7b-node\""));
    cr_assert_not(is_awake(stream));
    cr_assert_str_eq(take(stream), "");
    tap_stream_close(stream);
}

static const struct {
    enum pol_event_kind kind;
    enum pol_action raw_action;
    enum tap_kind wanted;
    const char *name;
} names[] = {
    {POL_EV_FLOW_OPEN, POL_ALLOW, TAP_FLOW, "\nevent: flow\n"},
    {POL_EV_FLOW_ACTIVE, POL_ALLOW, TAP_FLOW, "\nevent: flow\n"},
    {POL_EV_FLOW_END, POL_ALLOW, TAP_FLOW, "\nevent: flow_end\n"},
    {POL_EV_FLOW_UPDATE, POL_DENY, TAP_UPDATE, "\nevent: flow_update\n"},
    {POL_EV_DENY, POL_DENY, TAP_DENY, "\nevent: deny\n"},
    {POL_EV_DNS, POL_DENY, TAP_DENY, "\nevent: deny\n"},
    {POL_EV_DNS, POL_ALLOW, TAP_DNS, "\nevent: dns\n"},
};

Test(tap_hub, each_kind_goes_to_those_who_asked_for_it_under_its_name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tap_stream *fits = open_stream(0, names[i].wanted);
        struct tap_stream *others = open_stream(0, (uint32_t)~names[i].wanted);

        offer(names[i].kind, 443, names[i].raw_action);
        cr_assert(strstr(take(fits), names[i].name), "%zu: %s", i, out.ptr);
        cr_assert_str_eq(take(others), "", "%zu", i);
        tap_stream_close(fits);
        tap_stream_close(others);
    }
}

Test(tap_hub, workers_make_what_somebody_reads)
{
    struct tap_stream *flows, *denials;

    cr_assert_eq(tap_hub_kinds(hub), 0);
    flows = open_stream(0, TAP_FLOW);
    cr_assert_eq(tap_hub_kinds(hub), FLOW_EVENTS);
    denials = open_stream(0, TAP_DENY | TAP_UPDATE);
    cr_assert_eq(tap_hub_kinds(hub),
                 FLOW_EVENTS | 1u << POL_EV_DENY | 1u << POL_EV_DNS | 1u << POL_EV_FLOW_UPDATE);
    tap_stream_close(flows);
    tap_stream_close(denials);
    cr_assert_eq(tap_hub_kinds(hub), 0);
}

Test(tap_hub, a_filter_decides_before_anything_is_kept)
{
    struct tap_stream *web = open_stream(443, TAP_FLOW), *mail = open_stream(25, TAP_FLOW);

    offer(POL_EV_FLOW_OPEN, 443, POL_ALLOW);
    offer(POL_EV_FLOW_OPEN, 80, POL_ALLOW); /* nobody's, and so without an id */
    offer(POL_EV_FLOW_OPEN, 25, POL_ALLOW);
    cr_assert_eq(count_of(take(web), "event: flow\n"), 1);
    cr_assert(strstr(out.ptr, "id: 1\n"));
    cr_assert_eq(count_of(take(mail), "event: flow\n"), 1);
    cr_assert(strstr(out.ptr, "id: 2\n"));
    tap_stream_close(web);
    tap_stream_close(mail);
}

static size_t count_taken(struct tap_stream *stream)
{
    size_t count = 0;

    while (is_awake(stream))
        count += count_of(take(stream), "event: flow\n");
    return count;
}

Test(tap_hub, a_slow_reader_loses_the_oldest_and_is_told_first)
{
    struct tap_stream *stream = open_stream(0, TAP_FLOW);
    struct tap_hub_stats stats;
    unsigned long long told = 0;

    for (int i = 0; i < 5000; i++)
        offer(POL_EV_FLOW_OPEN, 443, POL_ALLOW);
    tap_hub_stats(hub, &stats);
    cr_assert_eq(stats.events, 5000);
    cr_assert_gt(stats.dropped, 0);

    cr_assert_eq(sscanf(take(stream), "event: dropped\ndata: {\"count\":%llu}\n\n", &told), 1);
    cr_assert_eq(told, stats.dropped);
    cr_assert_eq(count_of(out.ptr, "event: flow\n") + count_taken(stream), 5000 - told);
    cr_assert(strstr(out.ptr, "id: 5000\n"));
    cr_assert_null(strstr(take(stream), "dropped"));
    tap_stream_close(stream);
}

/* Patterns that run into the library's limit on a name of 250 times "a". */
static pol_tap *slow_filter(void)
{
    pol_str patterns[64];
    pol_tap_filter filter;
    pol_tap *tap;

    for (size_t i = 0; i < 64; i++)
        patterns[i] = (pol_str){"(a|aa)+$", 8};
    pol_tap_filter_init(&filter, sizeof(filter));
    filter.hostnames = patterns;
    filter.hostname_count = 64;
    cr_assert_eq(pol_tap_new(ctx, &filter, &tap, NULL), POL_OK);
    return tap;
}

Test(tap_hub, a_filter_that_takes_too_long_costs_only_its_own_reader)
{
    struct tap_stream *quick = open_stream(0, TAP_FLOW), *slow;
    pol_event event = {.kind = POL_EV_FLOW_OPEN, .fqdn_len = 251};
    unsigned long long told = 0;
    uint64_t began = clock_mono();

    memset(event.fqdn, 'a', 250);
    event.fqdn[250] = 'b';
    cr_assert_eq(tap_stream_open(hub, slow_filter(), TAP_FLOW, &slow), 0);
    for (int i = 0; i < 500; i++)
        tap_hub_offer(hub, &event, NULL, 0);
    cr_assert_lt(clock_mono() - began, UINT64_C(3000000000), "500 unbounded searches take longer");
    cr_assert_eq(count_taken(quick), 500);
    cr_assert_eq(sscanf(take(slow), "event: dropped\ndata: {\"count\":%llu}\n\n", &told), 1);
    cr_assert_gt(told, 400);
    tap_stream_close(quick);
    tap_stream_close(slow);
}

Test(tap_hub, there_are_no_more_streams_than_allowed)
{
    struct tap_stream *first = open_stream(0, TAP_FLOW), *second = open_stream(0, TAP_FLOW);
    struct tap_hub_stats stats;

    cr_assert_eq(open_refused(), -EBUSY);
    tap_hub_stats(hub, &stats);
    cr_assert_eq(stats.streams, 2);
    cr_assert_eq(stats.refused, 1);
    tap_stream_close(first);
    first = open_stream(0, TAP_FLOW);
    tap_stream_close(first);
    tap_stream_close(second);
}

Test(tap_hub, a_suspended_hub_ends_its_streams_behind_what_waits)
{
    struct tap_stream *stream = open_stream(0, TAP_FLOW);

    offer(POL_EV_FLOW_OPEN, 443, POL_ALLOW);
    tap_hub_suspend(hub, "said \"no\"");
    cr_assert(is_awake(stream));
    cr_assert_eq(tap_hub_kinds(hub), 0);
    offer(POL_EV_FLOW_OPEN, 443, POL_ALLOW);
    cr_assert_eq(open_refused(), -ESHUTDOWN);
    cr_assert_not(tap_stream_take(stream, &out));
    cr_assert_eq(count_of(out.ptr, "event: flow\n"), 1);
    cr_assert(strstr(out.ptr, "}\n\nevent: end\ndata: {\"reason\":\"said \\\"no\\\"\"}\n\n"));
    tap_stream_close(stream);

    tap_hub_resume(hub);
    tap_stream_close(open_stream(0, TAP_FLOW));
}

Test(tap_hub, a_closed_hub_stays_closed)
{
    tap_hub_close(hub, "policyd is stopping");
    tap_hub_resume(hub);
    cr_assert_eq(open_refused(), -ESHUTDOWN);
}

static void *read_to_the_end(void *arg)
{
    struct tap_stream *stream = arg;
    struct pollfd wake = {.fd = tap_stream_wake(stream), .events = POLLIN};
    struct text text = {0};
    uintptr_t count = 0;
    bool more = true;

    while (more) {
        poll(&wake, 1, 1000);
        text_clear(&text);
        text_add(&text, "");
        more = tap_stream_take(stream, &text);
        count += count_of(text.ptr, "event: flow\n");
    }
    text_fini(&text);
    tap_stream_close(stream);
    return (void *)count;
}

Test(tap_hub, readers_in_threads_of_their_own_miss_nothing_untold)
{
    struct tap_stream *streams[2] = {open_stream(0, TAP_FLOW), open_stream(443, TAP_FLOW)};
    struct tap_hub_stats stats;
    uintptr_t total = 0;
    pthread_t threads[2];
    void *count;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_to_the_end, streams[i]), 0);
    for (int i = 0; i < 20000; i++)
        offer(POL_EV_FLOW_ACTIVE, 443, POL_ALLOW);
    tap_hub_close(hub, "over");
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &count);
        total += (uintptr_t)count;
    }
    tap_hub_stats(hub, &stats);
    cr_assert_eq(stats.events, 40000);
    cr_assert_eq(total + stats.dropped, 40000);
    cr_assert_eq(stats.streams, 0);
}
