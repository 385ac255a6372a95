// SPDX-License-Identifier: Apache-2.0
#include "control/tap_ring.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static struct tap_ring *ring;
static struct text out;

static void teardown(void)
{
    tap_ring_free(ring);
    text_fini(&out);
}

TestSuite(tap_ring, .fini = teardown);

static const char *take(void)
{
    text_clear(&out);
    return tap_ring_take(ring, &out) ? out.ptr : NULL;
}

Test(tap_ring, texts_come_out_oldest_first_round_the_ring)
{
    char text[32];

    cr_assert_eq(tap_ring_new(64, &ring), 0);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%d%.*s", i, i % 20, "abcdefghijklmnopqrstuvwxyz");
        cr_assert_eq(tap_ring_put(ring, "first", 5), 0);
        cr_assert_eq(tap_ring_put(ring, text, strlen(text)), 0);
        cr_assert_str_eq(take(), "first");
        cr_assert_str_eq(take(), text);
        cr_assert(tap_ring_is_empty(ring));
    }
    cr_assert_null(take());
}

Test(tap_ring, the_newest_displaces_the_oldest_and_says_how_many)
{
    cr_assert_eq(tap_ring_new(32, &ring), 0); /* each text of four octets takes eight */
    for (int i = 0; i < 4; i++)
        cr_assert_eq(tap_ring_put(ring, (const char[]){'a', 'b', 'c', (char)('0' + i)}, 4), 0);
    cr_assert_eq(tap_ring_put(ring, "twelve------", 12), 2);
    cr_assert_str_eq(take(), "abc2");
    cr_assert_str_eq(take(), "abc3");
    cr_assert_str_eq(take(), "twelve------");
    cr_assert_null(take());
}

Test(tap_ring, what_can_never_fit_displaces_nothing)
{
    cr_assert_eq(tap_ring_new(16, &ring), 0);
    cr_assert_eq(tap_ring_put(ring, "kept", 4), 0);
    cr_assert_eq(tap_ring_put(ring, "0123456789abc", 13), 1);
    cr_assert_eq(tap_ring_put(ring, "0123456789ab", 12), 1, "exactly as long as the ring");
    cr_assert_str_eq(take(), "0123456789ab");
}
