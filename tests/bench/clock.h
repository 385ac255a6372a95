/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Processor time of this thread: what others do on the machine at the time is not in it, but for
 * the caches they empty. */
static inline uint64_t thread_ns(void)
{
    return (uint64_t)clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif
