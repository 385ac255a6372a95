// SPDX-License-Identifier: Apache-2.0
#include "core/clock.h"

#include <pthread.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME) / 1000000;
}

static uint64_t steady_offset;

static void set_steady_offset(void)
{
    steady_offset = read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_steady(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, set_steady_offset);
    return clock_mono() + steady_offset;
}
