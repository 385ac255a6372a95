/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fault_held held;
static bool armed;
static size_t requests;    /* since it was armed */
static size_t first, last; /* the requests that are refused, counted from 1 */

/* ---- libc ---- */

/* Shared libraries are to find ours. */
#define EVERYWHERE __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

/* AddressSanitizer's, where it is linked. */
__attribute__((weak)) void *__interceptor_malloc(size_t size);
__attribute__((weak)) void *__interceptor_calloc(size_t count, size_t size);
__attribute__((weak)) void *__interceptor_realloc(void *ptr, size_t size);
__attribute__((weak)) void __interceptor_free(void *ptr);

static void *real_malloc(size_t size)
{
    return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

static void real_free(void *ptr)
{
    if (__interceptor_free)
        __interceptor_free(ptr);
    else
        __libc_free(ptr);
}

static bool refused(void)
{
    if (!armed)
        return false;
    requests++;
    return requests >= first && requests <= last;
}

static void *counted(void *ptr)
{
    if (ptr)
        held.libc_blocks++;
    return ptr;
}

EVERYWHERE void *malloc(size_t size)
{
    return refused() ? NULL : counted(real_malloc(size));
}

EVERYWHERE void *calloc(size_t count, size_t size)
{
    if (refused())
        return NULL;
    return counted(__interceptor_calloc ? __interceptor_calloc(count, size)
                                        : __libc_calloc(count, size));
}

EVERYWHERE void *realloc(void *ptr, size_t size)
{
    void *grown;

    if (refused())
        return NULL;
    grown = __interceptor_realloc ? __interceptor_realloc(ptr, size) : __libc_realloc(ptr, size);
    return ptr ? grown : counted(grown);
}

EVERYWHERE void free(void *ptr)
{
    if (ptr)
        held.libc_blocks--;
    real_free(ptr);
}

/* ---- pol_mem ---- */

/* Stands before every block, to check the size that is given back. */
struct header {
    _Alignas(16) size_t size;
};

static void *mem_alloc(void *user, size_t size)
{
    struct header *block = refused() ? NULL : real_malloc(sizeof(*block) + size);

    (void)user;
    REQUIRE(size > 0);
    if (!block)
        return NULL;
    block->size = size;
    held.bytes += size;
    held.blocks++;
    return memset(block + 1, 0xa5, size);
}

static void mem_release(void *user, void *ptr, size_t size)
{
    struct header *block = (struct header *)ptr - 1;

    (void)user;
    REQUIRE(ptr && block->size == size);
    held.bytes -= size;
    held.blocks--;
    real_free(block);
}

/* Always moves, so that nobody lives off the old place. */
static void *mem_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    void *moved = mem_alloc(user, new_size);

    if (!moved)
        return NULL;
    memcpy(moved, ptr, old_size < new_size ? old_size : new_size);
    mem_release(user, ptr, old_size);
    return moved;
}

pol_mem fault_mem(void)
{
    return (pol_mem){NULL, mem_alloc, mem_resize, mem_release};
}

static void arm(size_t from, size_t to)
{
    first = from;
    last = to;
    requests = 0;
    armed = true;
}

void fault_count(void)
{
    arm(SIZE_MAX, SIZE_MAX);
}

void fault_starve(void)
{
    arm(1, SIZE_MAX);
}

size_t fault_counted(void)
{
    armed = false;
    return requests;
}

void fault_refuse(size_t nth)
{
    arm(nth, nth);
}

void fault_refuse_from(size_t nth)
{
    arm(nth, SIZE_MAX);
}

bool fault_struck(void)
{
    bool struck = armed && requests >= first;

    armed = false;
    return struck;
}

struct fault_held fault_held(void)
{
    return held;
}

bool fault_same(struct fault_held a, struct fault_held b)
{
    return a.bytes == b.bytes && a.blocks == b.blocks && a.libc_blocks == b.libc_blocks;
}

/* ---- Cases ---- */

static unsigned failures; /* of the case that runs */
static char note[160];

bool fault_expect(bool good, const char *file, int line, const char *what)
{
    bool was_armed = armed;

    if (good)
        return true;
    armed = false;
    if (failures++ < 20)
        printf("%s:%d: not so: %s%s%s\n", file, line, what, *note ? ", at " : "", note);
    armed = was_armed;
    return false;
}

void fault_broken(const char *file, int line, const char *what)
{
    failures = 0;
    fault_expect(false, file, line, what);
    printf("0 passed, 1 failed\n");
    exit(1);
}

void fault_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(note, sizeof(note), format, args);
    va_end(args);
}

int fault_run(const struct fault_case *cases, size_t count)
{
    static char buffer[BUFSIZ];
    size_t failed = 0;

    setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
    for (size_t i = 0; i < count; i++) {
        struct fault_held before = held;

        failures = 0;
        note[0] = '\0';
        cases[i].run();
        EXPECT(fault_same(held, before));
        printf("%s: %s\n", failures ? "FAILED" : "ok", cases[i].name);
        failed += failures > 0;
    }
    printf("%zu passed, %zu failed\n", count - failed, failed);
    return failed ? 1 : 0;
}

static size_t sweep(bool onwards, void (*step)(void *), void *user)
{
    size_t nth = 0;

    do {
        struct fault_held before = held;

        nth++;
        fault_note("request %zu%s", nth, onwards ? " and all later ones" : "");
        arm(nth, onwards ? SIZE_MAX : nth);
        step(user);
        armed = false;
        EXPECT(fault_same(held, before));
    } while (requests >= nth && failures < 20);
    fault_note("%s", "");
    return nth - 1;
}

size_t fault_sweep(void (*step)(void *user), void *user)
{
    size_t count = sweep(false, step, user);

    sweep(true, step, user);
    EXPECT(count > 0);
    return count;
}
