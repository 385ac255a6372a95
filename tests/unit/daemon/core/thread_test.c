// SPDX-License-Identifier: Apache-2.0
#include "core/thread.h"

#include <stdatomic.h>
#include <time.h>

#include <criterion/criterion.h>

static void *wait_for(void *arg)
{
    _Atomic(bool) *over = arg;
    struct timespec pause = {.tv_nsec = 1000000};

    while (!*over)
        nanosleep(&pause, NULL);
    return NULL;
}

Test(thread, joining_with_a_deadline_comes_back, .timeout = 10)
{
    struct thread thread = {0};
    _Atomic(bool) over = false;

    cr_assert(thread_join_within(&thread, 0), "one that never ran has ended");
    cr_assert_eq(thread_start(&thread, "waits", wait_for, &over), 0);
    cr_assert_not(thread_join_within(&thread, 20000000));
    over = true;
    cr_assert(thread_join_within(&thread, UINT64_C(5000000000)));
    cr_assert_not(thread.running);
    thread_join(&thread);
}
