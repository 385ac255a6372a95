/* SPDX-License-Identifier: Apache-2.0 */
#include "thread.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS_MAX = 32, FAULTS_PRINTED = 10 };

static atomic_uint faults;
static atomic_size_t held;
static pthread_t threads[THREADS_MAX];
static unsigned thread_total;

void thread_fault(const char *format, ...)
{
    char line[256];
    va_list args;

    if (atomic_fetch_add(&faults, 1) >= FAULTS_PRINTED)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "fault: %s\n", line);
}

unsigned thread_faults(void)
{
    return atomic_load(&faults);
}

int thread_result(void)
{
    bool good = thread_faults() == 0;

    printf("%d passed, %d failed\n", good, !good);
    return good ? 0 : 1;
}

void thread_start(void *(*run)(void *), void *argument)
{
    if (thread_total == THREADS_MAX ||
        pthread_create(&threads[thread_total++], NULL, run, argument) != 0) {
        fprintf(stderr, "no thread could be started\n");
        exit(2);
    }
}

void thread_join(void)
{
    while (thread_total > 0)
        pthread_join(threads[--thread_total], NULL);
}

unsigned thread_count(int argc, char **argv, unsigned otherwise)
{
    return argc > 1 && !getenv("THREAD_LONG") ? (unsigned)strtoul(argv[1], NULL, 10) : otherwise;
}

static void *counted_alloc(void *user, size_t size)
{
    void *ptr = malloc(size);

    (void)user;
    if (ptr)
        atomic_fetch_add(&held, size);
    return ptr;
}

static void *counted_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    void *grown = realloc(ptr, new_size);

    (void)user;
    if (grown)
        atomic_fetch_add(&held, new_size - old_size);
    return grown;
}

static void counted_release(void *user, void *ptr, size_t size)
{
    (void)user;
    atomic_fetch_sub(&held, size);
    free(ptr);
}

pol_ctx *thread_ctx(void)
{
    static const pol_mem mem = {NULL, counted_alloc, counted_resize, counted_release};
    pol_ctx_options options;
    pol_ctx *ctx;

    pol_ctx_options_init(&options, sizeof(options));
    options.mem = &mem;
    if (pol_ctx_new(&options, &ctx) != POL_OK)
        exit(2);
    return ctx;
}

size_t thread_held(void)
{
    return atomic_load(&held);
}

pol_policy *thread_policy(pol_ctx *ctx, const char *text)
{
    char json[4096];
    size_t len = strlen(text);
    pol_policy *policy;

    for (size_t i = 0; i < len && i < sizeof(json); i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    if (len > sizeof(json) ||
        pol_compile(ctx, (pol_str){json, len}, NULL, &policy, NULL) != POL_OK) {
        fprintf(stderr, "not a policy: %s\n", text);
        exit(2);
    }
    return policy;
}

size_t thread_resident(void)
{
#ifdef __SANITIZE_THREAD__
    return 0;
#else
    unsigned long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
        thread_fault("/proc/self/statm cannot be read");
    if (file)
        fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
#endif
}
