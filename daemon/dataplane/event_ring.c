// SPDX-License-Identifier: Apache-2.0
#include "dataplane/event_ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Both positions only grow; their difference is what the ring holds. */
struct event_ring {
    size_t capacity;
    _Atomic(size_t) written;
    _Atomic(size_t) read;
    pol_event events[];
};

int event_ring_new(size_t capacity, struct event_ring **ret_ring)
{
    struct event_ring *ring = calloc(1, sizeof(*ring) + capacity * sizeof(pol_event));

    if (!ring)
        return -ENOMEM;

    ring->capacity = capacity;
    *ret_ring = ring;
    return 0;
}

void event_ring_free(struct event_ring *ring)
{
    free(ring);
}

static size_t until_wrap(const struct event_ring *ring, size_t position, size_t count)
{
    size_t left = ring->capacity - position % ring->capacity;

    return count < left ? count : left;
}

pol_event *event_ring_room(struct event_ring *ring, size_t *ret_count)
{
    size_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    size_t read = atomic_load_explicit(&ring->read, memory_order_acquire);

    *ret_count = until_wrap(ring, written, ring->capacity - (written - read));
    return &ring->events[written % ring->capacity];
}

void event_ring_filled(struct event_ring *ring, size_t count)
{
    atomic_fetch_add_explicit(&ring->written, count, memory_order_release);
}

const pol_event *event_ring_waiting(struct event_ring *ring, size_t *ret_count)
{
    size_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    size_t written = atomic_load_explicit(&ring->written, memory_order_acquire);

    *ret_count = until_wrap(ring, read, written - read);
    return &ring->events[read % ring->capacity];
}

void event_ring_done(struct event_ring *ring, size_t count)
{
    atomic_fetch_add_explicit(&ring->read, count, memory_order_release);
}
