/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_EVENTS_H
#define WORKER_EVENTS_H

/* The event ring: filled while deciding, emptied by pol_worker_drain(), both in one thread. */

#include <libpolicy/worker.h>

struct events {
    pol_event *ring;
    uint32_t mask, capacity;
    uint32_t head, tail; /* filled at head, drained at tail; they only grow */
    uint32_t kinds;      /* those that are made: bit (1 << enum pol_event_kind) */
};

int events_init(struct events *events, const pol_mem *mem, uint32_t capacity);
void events_fini(struct events *events, const pol_mem *mem);

/* A cleared place for one event, or NULL when the ring is full. */
pol_event *events_place(struct events *events);
size_t events_drain(struct events *events, pol_event *ret_events, size_t capacity);

static inline bool events_wanted(const struct events *events, enum pol_event_kind kind)
{
    return events->kinds & 1u << kind;
}

static inline bool events_full(const struct events *events)
{
    return events->head - events->tail == events->capacity;
}

#endif
