// SPDX-License-Identifier: Apache-2.0
/*
 * One lock for the hub and its streams. Under it the control thread filters, writes an event's JSON
 * once whoever wants it, and copies it; readers copy out. Nobody sends or waits while holding it.
 * Without a stream an event costs one atomic read.
 */
#include "control/tap_hub.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <libpolicy/json.h>

#include "control/tap_ring.h"
#include "core/clock.h"
#include "core/json.h"

#define RING_OCTETS ((size_t)512 * 1024) /* some 800 events */
#define SECOND      UINT64_C(1000000000)
#define FILTER_NS   (SECOND / 20)       /* of each second that the filter of one stream may take */
#define TAKE_OCTETS ((size_t)64 * 1024) /* how much of it a reader gets at once, about */

struct tap_stream {
    struct tap_hub *hub;
    struct tap_stream *next;
    pol_tap *filter;
    uint32_t kinds; /* enum tap_kind */
    struct tap_ring *ring;
    uint64_t dropped;  /* since the reader was told last */
    uint64_t since;    /* clock_mono() when the second below began */
    uint64_t spent;    /* nanoseconds that its filter has taken in that second */
    const char *ended; /* why; NULL: it goes on */
    int wake;          /* eventfd */
};

struct tap_hub {
    pthread_mutex_t lock;
    const char *node_id;
    size_t max_streams, count;
    struct tap_stream *streams;
    const char *closed; /* why no stream may open; NULL: they may */
    bool for_good;
    _Atomic(uint32_t) kinds; /* of worker events that a stream wants */
    uint64_t sequence;       /* of the newest event that a stream wanted */
    struct text record;      /* scratch */
    struct tap_hub_stats stats;
};

/* The event that is being written. */
struct offer {
    const pol_event *event;
    const pol_policy *policy;
    const char *node_id;
    pol_wall wall;
};

#define FLOW_EVENTS (1u << POL_EV_FLOW_OPEN | 1u << POL_EV_FLOW_ACTIVE | 1u << POL_EV_FLOW_END)

static const struct {
    enum tap_kind kind;
    uint32_t events; /* of the workers */
} sources[] = {
    {TAP_FLOW, FLOW_EVENTS},
    {TAP_UPDATE, 1u << POL_EV_FLOW_UPDATE},
    {TAP_DENY, 1u << POL_EV_DENY | 1u << POL_EV_DNS},
    {TAP_DNS, 1u << POL_EV_DNS},
};

static enum tap_kind kind_of(const pol_event *event)
{
    switch (event->kind) {
    case POL_EV_FLOW_UPDATE:
        return TAP_UPDATE;
    case POL_EV_DENY:
        return TAP_DENY;
    case POL_EV_DNS:
        return event->verdict.raw_action == POL_ALLOW ? TAP_DNS : TAP_DENY;
    default:
        return TAP_FLOW;
    }
}

static const char *name_of(const pol_event *event, enum tap_kind kind)
{
    switch (kind) {
    case TAP_UPDATE:
        return "flow_update";
    case TAP_DENY:
        return "deny";
    case TAP_DNS:
        return "dns";
    default:
        return event->kind == POL_EV_FLOW_END ? "flow_end" : "flow";
    }
}

int tap_hub_new(const char *node_id, size_t max_streams, struct tap_hub **ret_hub)
{
    struct tap_hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return -ENOMEM;

    pthread_mutex_init(&hub->lock, NULL);
    hub->node_id = node_id;
    hub->max_streams = max_streams;
    *ret_hub = hub;
    return 0;
}

void tap_hub_free(struct tap_hub *hub)
{
    if (!hub)
        return;

    pthread_mutex_destroy(&hub->lock);
    text_fini(&hub->record);
    free(hub);
}

static void ask_for_kinds(struct tap_hub *hub)
{
    uint32_t kinds = 0;

    for (const struct tap_stream *stream = hub->streams; stream; stream = stream->next)
        for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
            if (!stream->ended && stream->kinds & sources[i].kind)
                kinds |= sources[i].events;
    atomic_store(&hub->kinds, kinds);
}

uint32_t tap_hub_kinds(const struct tap_hub *hub)
{
    return atomic_load(&hub->kinds);
}

static void wake(const struct tap_stream *stream)
{
    /* Fails only when the counter is full, and then the reader is awake anyway. */
    if (eventfd_write(stream->wake, 1) < 0)
        return;
}

static int write_event(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    const struct offer *offer = object;

    return pol_json_event(offer->event, offer->policy,
                          (pol_str){offer->node_id, strlen(offer->node_id)}, offer->wall, buf,
                          capacity, ret_len);
}

static bool write_record(struct tap_hub *hub, const struct offer *offer, enum tap_kind kind)
{
    text_clear(&hub->record);
    text_addf(&hub->record, "id: %" PRIu64 "\nevent: %s\ndata: ", ++hub->sequence,
              name_of(offer->event, kind));
    json_append(&hub->record, write_event, offer);
    text_add(&hub->record, "\n\n");
    return !hub->record.failed;
}

static void lose(struct tap_hub *hub, struct tap_stream *stream, size_t events)
{
    stream->dropped += events;
    hub->stats.dropped += events;
}

static void hand_to(struct tap_hub *hub, struct tap_stream *stream)
{
    bool waits = tap_ring_is_empty(stream->ring);

    lose(hub, stream, tap_ring_put(stream->ring, hub->record.ptr, hub->record.len));
    hub->stats.events++;
    if (waits)
        wake(stream);
}

static bool has_time(struct tap_stream *stream, uint64_t now)
{
    if (now - stream->since >= SECOND) {
        stream->since = now;
        stream->spent = 0;
    }
    return stream->spent < FILTER_NS;
}

/*
 * A regular expression may take its time, up to the library's limit, and a reader may have chosen
 * it for that. What its filter has no time for is lost to that reader, and to nobody else.
 */
static bool passes(struct tap_hub *hub, struct tap_stream *stream, const pol_event *event)
{
    uint64_t began = clock_mono();
    bool match;

    if (!has_time(stream, began)) {
        hub->stats.events++;
        lose(hub, stream, 1);
        return false;
    }

    match = pol_tap_match(stream->filter, event);
    stream->spent += clock_mono() - began;
    return match;
}

static void offer_to_all(struct tap_hub *hub, const struct offer *offer, enum tap_kind kind)
{
    bool written = false;

    for (struct tap_stream *stream = hub->streams; stream; stream = stream->next) {
        if (stream->ended || !(stream->kinds & kind) || !passes(hub, stream, offer->event))
            continue;
        if (!written && !write_record(hub, offer, kind)) {
            text_fini(&hub->record);
            hub->record = (struct text){0};
            return;
        }
        written = true;
        hand_to(hub, stream);
    }
}

void tap_hub_offer(struct tap_hub *hub, const pol_event *event, const pol_policy *policy,
                   pol_wall wall)
{
    struct offer offer = {event, policy, hub->node_id, wall};

    if (!(tap_hub_kinds(hub) & 1u << event->kind))
        return;

    pthread_mutex_lock(&hub->lock);
    offer_to_all(hub, &offer, kind_of(event));
    pthread_mutex_unlock(&hub->lock);
}

static void end_all(struct tap_hub *hub, const char *why, bool for_good)
{
    pthread_mutex_lock(&hub->lock);
    if (!hub->for_good)
        hub->closed = why;
    hub->for_good |= for_good;
    for (struct tap_stream *stream = hub->streams; stream; stream = stream->next) {
        if (stream->ended)
            continue;
        stream->ended = why;
        wake(stream);
    }
    ask_for_kinds(hub);
    pthread_mutex_unlock(&hub->lock);
}

void tap_hub_suspend(struct tap_hub *hub, const char *why)
{
    end_all(hub, why, false);
}

void tap_hub_close(struct tap_hub *hub, const char *why)
{
    end_all(hub, why, true);
}

void tap_hub_resume(struct tap_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    if (!hub->for_good)
        hub->closed = NULL;
    pthread_mutex_unlock(&hub->lock);
}

void tap_hub_stats(struct tap_hub *hub, struct tap_hub_stats *ret_stats)
{
    pthread_mutex_lock(&hub->lock);
    *ret_stats = hub->stats;
    ret_stats->streams = hub->count;
    pthread_mutex_unlock(&hub->lock);
}

static void stream_free(struct tap_stream *stream)
{
    if (!stream)
        return;

    tap_ring_free(stream->ring);
    if (stream->wake >= 0)
        close(stream->wake);
    free(stream);
}

static int stream_new(struct tap_hub *hub, uint32_t kinds, struct tap_stream **ret_stream)
{
    struct tap_stream *stream = calloc(1, sizeof(*stream));
    int rc;

    if (!stream)
        return -ENOMEM;

    stream->hub = hub;
    stream->kinds = kinds;
    stream->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = stream->wake < 0 ? -errno : tap_ring_new(RING_OCTETS, &stream->ring);
    if (rc < 0)
        stream_free(stream);
    else
        *ret_stream = stream;
    return rc;
}

static int admit(struct tap_hub *hub, struct tap_stream *stream)
{
    if (hub->closed)
        return -ESHUTDOWN;
    if (hub->count == hub->max_streams) {
        hub->stats.refused++;
        return -EBUSY;
    }

    stream->next = hub->streams;
    hub->streams = stream;
    hub->count++;
    ask_for_kinds(hub);
    return 0;
}

int tap_stream_open(struct tap_hub *hub, pol_tap *filter, uint32_t kinds,
                    struct tap_stream **ret_stream)
{
    struct tap_stream *stream = NULL;
    int rc;

    rc = stream_new(hub, kinds, &stream);
    if (rc < 0)
        return rc;

    stream->filter = filter;
    pthread_mutex_lock(&hub->lock);
    rc = admit(hub, stream);
    pthread_mutex_unlock(&hub->lock);
    if (rc < 0)
        stream_free(stream);
    else
        *ret_stream = stream;
    return rc;
}

void tap_stream_close(struct tap_stream *stream)
{
    struct tap_hub *hub = stream->hub;
    struct tap_stream **link;

    pthread_mutex_lock(&hub->lock);
    for (link = &hub->streams; *link != stream; link = &(*link)->next)
        ;
    *link = stream->next;
    hub->count--;
    ask_for_kinds(hub);
    pthread_mutex_unlock(&hub->lock);
    pol_tap_free(stream->filter);
    stream_free(stream);
}

int tap_stream_wake(const struct tap_stream *stream)
{
    return stream->wake;
}

static void say_dropped(struct tap_stream *stream, struct text *out)
{
    if (stream->dropped)
        text_addf(out, "event: dropped\ndata: {\"count\":%" PRIu64 "}\n\n", stream->dropped);
    stream->dropped = 0;
}

static void say_end(const struct tap_stream *stream, struct text *out)
{
    text_add(out, "event: end\ndata: {\"reason\":");
    text_add_json(out, stream->ended);
    text_add(out, "}\n\n");
}

bool tap_stream_take(struct tap_stream *stream, struct text *out)
{
    struct tap_hub *hub = stream->hub;
    size_t most = out->len + TAKE_OCTETS;
    eventfd_t count;
    bool more;

    eventfd_read(stream->wake, &count);
    pthread_mutex_lock(&hub->lock);
    say_dropped(stream, out);
    while (out->len < most && !out->failed && tap_ring_take(stream->ring, out))
        ;
    more = !tap_ring_is_empty(stream->ring);
    if (more)
        wake(stream);
    else if (stream->ended)
        say_end(stream, out);
    more |= !stream->ended;
    pthread_mutex_unlock(&hub->lock);
    return more;
}
