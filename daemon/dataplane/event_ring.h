/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_EVENT_RING_H
#define DATAPLANE_EVENT_RING_H

#include <stddef.h>

#include <libpolicy/worker.h>

/*
 * Events on their way from one worker to the control thread: one writer, one reader, no lock. Both
 * sides work on stretches of the ring in place, since an event is over a kilobyte.
 */
struct event_ring;

int event_ring_new(size_t capacity, struct event_ring **ret_ring); /* 0 or -ENOMEM */
void event_ring_free(struct event_ring *ring);

/* Writer: free places in a row, none when the reader is behind; then how many were filled. */
pol_event *event_ring_room(struct event_ring *ring, size_t *ret_count);
void event_ring_filled(struct event_ring *ring, size_t count);

/* Reader: events in a row, oldest first; then how many are done with. */
const pol_event *event_ring_waiting(struct event_ring *ring, size_t *ret_count);
void event_ring_done(struct event_ring *ring, size_t count);

#endif
