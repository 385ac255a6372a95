/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A thread that can be joined with a deadline. Zero-initialised means "not running". */
struct thread {
    pthread_t id;
    bool running;
};

/* `name` is what ps and debuggers show, at most 15 characters. Signals stay with the main thread.
 */
int thread_start(struct thread *thread, const char *name, void *(*run)(void *), void *arg);
void thread_join(struct thread *thread);
bool thread_join_within(struct thread *thread, uint64_t timeout_ns); /* false: still running */

#endif
