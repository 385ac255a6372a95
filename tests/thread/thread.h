/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THREAD_THREAD_H
#define THREAD_THREAD_H

/*
 * What the programs with threads share. They have plain main functions, since Criterion does not
 * start under ThreadSanitizer; without it their own checks still hold.
 */

#include <libpolicy/policy.h>

#include <stdatomic.h>

/* A check that failed: printed, up to a few, and counted. From any thread. */
void thread_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned thread_faults(void);
/* Prints how the program went, as one test; returns its exit code. */
int thread_result(void);

/* Starts a thread, whose argument is passed on, or ends the program. thread_join() waits for all.
 */
void thread_start(void *(*run)(void *argument), void *argument);
void thread_join(void);

/* The program's only argument, a count; without it, or with THREAD_LONG in the environment, the
 * other. */
unsigned thread_count(int argc, char **argv, unsigned otherwise);

/* A context over an allocator that counts from all threads, with the wire's defaults. */
pol_ctx *thread_ctx(void);
size_t thread_held(void); /* octets outstanding */

/* A policy from text with ' for ", or the end of the program. */
pol_policy *thread_policy(pol_ctx *ctx, const char *text);

/* Octets of this process in memory; 0 where that says nothing, because of ThreadSanitizer. */
size_t thread_resident(void);

#endif
