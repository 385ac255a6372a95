// SPDX-License-Identifier: Apache-2.0
#include "core/mailbox.h"

#include <pthread.h>

#include <criterion/criterion.h>

#include "core/clock.h"

static struct mailbox *mailbox;

static void setup(void)
{
    cr_assert_eq(mailbox_new(2, &mailbox), 0);
}

static void teardown(void)
{
    mailbox_free(mailbox);
}

TestSuite(mailbox, .init = setup, .fini = teardown);

Test(mailbox, items_come_out_in_the_order_they_went_in)
{
    int items[3];

    for (int round = 0; round < 5; round++) {
        cr_assert(mailbox_post(mailbox, &items[0]));
        cr_assert(mailbox_post(mailbox, &items[1]));
        cr_assert_not(mailbox_post(mailbox, &items[2]), "it is full");
        cr_assert_eq(mailbox_take(mailbox, 0), &items[0]);
        cr_assert_eq(mailbox_take(mailbox, 0), &items[1]);
        cr_assert_null(mailbox_take(mailbox, 0));
    }
}

Test(mailbox, taking_waits_no_longer_than_asked)
{
    uint64_t began = clock_mono();

    cr_assert_null(mailbox_take(mailbox, 20000000));
    cr_assert_geq(clock_mono() - began, 20000000);
}

static void *wake(void *arg)
{
    mailbox_wake(arg);
    return NULL;
}

Test(mailbox, waking_ends_the_wait_without_an_item, .timeout = 10)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, wake, mailbox), 0);
    cr_assert_null(mailbox_take(mailbox, UINT64_C(60000000000)));
    pthread_join(thread, NULL);
}

Test(mailbox, a_closed_one_gives_out_what_it_holds_and_takes_no_more, .timeout = 10)
{
    int item;

    cr_assert(mailbox_post(mailbox, &item));
    mailbox_close(mailbox);
    cr_assert_not(mailbox_post(mailbox, &item));
    cr_assert_eq(mailbox_take(mailbox, UINT64_C(60000000000)), &item);
    cr_assert_null(mailbox_take(mailbox, UINT64_C(60000000000)));
}
