// SPDX-License-Identifier: Apache-2.0
#include "core/thread.h"

#include <signal.h>
#include <time.h>

int thread_start(struct thread *thread, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread->id, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return -rc;

    pthread_setname_np(thread->id, name);
    thread->running = true;
    return 0;
}

void thread_join(struct thread *thread)
{
    if (!thread->running)
        return;

    pthread_join(thread->id, NULL);
    thread->running = false;
}

bool thread_join_within(struct thread *thread, uint64_t timeout_ns)
{
    struct timespec deadline;

    if (!thread->running)
        return true;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += (time_t)(timeout_ns / 1000000000);
    deadline.tv_nsec += (long)(timeout_ns % 1000000000);
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_nsec -= 1000000000;
        deadline.tv_sec++;
    }

    thread->running = pthread_timedjoin_np(thread->id, NULL, &deadline) != 0;
    return !thread->running;
}
