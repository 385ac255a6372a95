// SPDX-License-Identifier: Apache-2.0
#include "dataplane/event_ring.h"

#include <pthread.h>

#include <criterion/criterion.h>

static struct event_ring *ring;

static void setup(void)
{
    cr_assert_eq(event_ring_new(8, &ring), 0);
}

static void teardown(void)
{
    event_ring_free(ring);
}

TestSuite(event_ring, .init = setup, .fini = teardown);

Test(event_ring, room_and_events_stop_at_the_wrap)
{
    size_t count;

    event_ring_room(ring, &count);
    cr_assert_eq(count, 8);
    event_ring_filled(ring, 6);
    event_ring_waiting(ring, &count);
    cr_assert_eq(count, 6);
    event_ring_done(ring, 6);
    event_ring_room(ring, &count);
    cr_assert_eq(count, 2, "up to the end first");
    event_ring_filled(ring, 2);
    event_ring_room(ring, &count);
    cr_assert_eq(count, 6);
    event_ring_filled(ring, 6);
    event_ring_room(ring, &count);
    cr_assert_eq(count, 0, "full");
    event_ring_waiting(ring, &count);
    cr_assert_eq(count, 2);
}

#define SENT 100000

static void *write_numbers(void *arg)
{
    uint64_t next = 0;
    size_t count;

    (void)arg;
    while (next < SENT) {
        pol_event *at = event_ring_room(ring, &count);

        for (size_t i = 0; i < count; i++)
            at[i].packets_out = next++;
        event_ring_filled(ring, count);
    }
    return NULL;
}

Test(event_ring, nothing_is_lost_or_turned_around_between_threads, .timeout = 60)
{
    pthread_t writer;
    uint64_t expected = 0;
    size_t count;

    cr_assert_eq(pthread_create(&writer, NULL, write_numbers, NULL), 0);
    while (expected < SENT) {
        const pol_event *at = event_ring_waiting(ring, &count);

        for (size_t i = 0; i < count; i++)
            cr_assert_eq(at[i].packets_out, expected + i);
        expected += count;
        event_ring_done(ring, count);
    }
    pthread_join(writer, NULL);
}
