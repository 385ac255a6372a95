// SPDX-License-Identifier: Apache-2.0
#include "core/signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

static sigset_t watched(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

void signals_block(void)
{
    sigset_t set = watched();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* write() fails with EFBIG instead */
}

enum signals_wish signals_wait(uint64_t timeout_ns)
{
    sigset_t set = watched();
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};

    switch (sigtimedwait(&set, NULL, &timeout)) {
    case SIGTERM:
    case SIGINT:
        return SIGNALS_STOP;
    case SIGHUP:
        return SIGNALS_RELOAD;
    default:
        return SIGNALS_NONE;
    }
}
