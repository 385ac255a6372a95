/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events.h"

#include "base/mem.h"
#include "rig.h"

static struct rig rig;
static struct events events;

static void teardown(void)
{
    events_fini(&events, &mem_libc);
    rig_stop(&rig);
}

TestSuite(events, .fini = teardown);

Test(events, come_out_oldest_first_round_the_ring)
{
    pol_event out[3];

    cr_assert_eq(events_init(&events, &mem_libc, 3), POL_OK); /* rounded up to 4 */
    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 0; i < 3; i++)
            events_place(&events)->at = 3 * round + i;
        cr_assert_eq(events_drain(&events, out, 2), 2);
        cr_assert_eq(events_drain(&events, out + 2, 1), 1);
        for (uint64_t i = 0; i < 3; i++)
            cr_assert_eq(out[i].at, 3 * round + i);
    }
}

Test(events, full_ring_gives_no_place)
{
    cr_assert_eq(events_init(&events, &mem_libc, 4), POL_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_not_null(events_place(&events));
    cr_assert(events_full(&events));
    cr_assert_null(events_place(&events));
}

Test(events, place_is_cleared)
{
    pol_event *event, out;

    cr_assert_eq(events_init(&events, &mem_libc, 1), POL_OK);
    event = events_place(&events);
    memset(event, 0xff, sizeof(*event));
    events_drain(&events, &out, 1);
    event = events_place(&events);
    cr_assert_eq(event->packets_in, 0);
    cr_assert_eq(event->name_len, 0);
    cr_assert_str_empty(event->name);
    cr_assert_str_empty(event->fqdn);
}

Test(events, what_does_not_fit_is_counted)
{
    rig_options(&rig)->event_capacity = 4;
    rig_start(&rig, "{}");
    for (uint16_t port = 1; port <= 10; port++) {
        pol_packet syn = rig_syn("10.0.0.5", port, "192.0.2.1", 80);

        cr_assert_eq(rig_judge(&rig, &syn), POL_DENY); /* the verdict does not care */
    }
    cr_assert_eq(rig_counter(&rig, "policyd_events_dropped_total", ""), 6);
    rig_drain(&rig);
    cr_assert_eq(rig.event_count, 4);
    cr_assert_eq(rig.events[0].tuple.src_port, 1);
}
