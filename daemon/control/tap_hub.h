/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_TAP_HUB_H
#define CONTROL_TAP_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpolicy/tap.h>

#include "core/text.h"

/*
 * Live events on their way to those who watch. The control thread offers each event once; a stream
 * that wants it gets it as the text of a server-sent event in a ring of its own. A reader that is
 * too slow loses its oldest events and is told how many, as does one whose filter takes more than a
 * twentieth of the time; it never holds up anybody else.
 */
struct tap_hub;

/* What a stream may ask for, or-ed. */
enum tap_kind {
    TAP_FLOW = 1 << 0,   /* "flow" when one opens and at most once per second; "flow_end" */
    TAP_UPDATE = 1 << 1, /* "flow_update": verdict, rule or server name changed */
    TAP_DENY = 1 << 2,   /* "deny": a packet or query, also where audit mode let it pass */
    TAP_DNS = 1 << 3     /* "dns": any other query that was answered or ran out of time */
};

struct tap_hub_stats {
    uint64_t streams; /* open now */
    uint64_t events;  /* that were to be sent, once for each stream */
    uint64_t dropped; /* of these, given up since the reader or its filter was too slow */
    uint64_t refused; /* streams, since all were in use */
};

/* `node_id` must outlive the hub. */
int tap_hub_new(const char *node_id, size_t max_streams, struct tap_hub **ret_hub);
void tap_hub_free(struct tap_hub *hub); /* every stream has been closed */

/* Any thread: which kinds of worker events somebody reads, as pol_worker_report() takes them. */
uint32_t tap_hub_kinds(const struct tap_hub *hub);

/* The control thread: `policy` is that of the event and may be NULL; `wall` is for event->last. */
void tap_hub_offer(struct tap_hub *hub, const pol_event *event, const pol_policy *policy,
                   pol_wall wall);

/* Any thread: ends every stream and opens none until tap_hub_resume(). `why` is static text. */
void tap_hub_suspend(struct tap_hub *hub, const char *why);
void tap_hub_resume(struct tap_hub *hub);

/* Any thread: the same for good. */
void tap_hub_close(struct tap_hub *hub, const char *why);

void tap_hub_stats(struct tap_hub *hub, struct tap_hub_stats *ret_stats);

/* One reader's end. One thread at a time. */
struct tap_stream;

/*
 * @param filter  taken on success
 * @param kinds   enum tap_kind
 *
 * @return 0, -EBUSY (all streams are in use), -ESHUTDOWN (suspended or closed), -ENOMEM or another
 *         negative errno
 */
int tap_stream_open(struct tap_hub *hub, pol_tap *filter, uint32_t kinds,
                    struct tap_stream **ret_stream);
void tap_stream_close(struct tap_stream *stream);

/* Readable when there is something to take. */
int tap_stream_wake(const struct tap_stream *stream);

/*
 * Appends what waits: "dropped" with a count where events are missing, then events; when the stream
 * is over, "end" with the reason, and false.
 */
bool tap_stream_take(struct tap_stream *stream, struct text *out);

#endif
