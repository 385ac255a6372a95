/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULT_FAULT_H
#define FAULT_FAULT_H

/*
 * Memory under control, and the cases of a program.
 *
 * Two kinds of request are counted and can be refused: those that go through pol_mem, and those of
 * libc, since malloc(), calloc(), realloc() and free() of this program stand before libc's. So what
 * cJSON and mbedTLS take is refused like the rest. Works with AddressSanitizer, whose functions are
 * called from ours.
 */

#include <libpolicy/context.h>

/* Hands out dirty memory and stops the program when a size that is given back is not the one that
 * was asked for. */
pol_mem fault_mem(void);

/* Counts requests (the second one refuses each of them, too), until fault_counted() says how many
 * there were. */
void fault_count(void);
void fault_starve(void);
size_t fault_counted(void);

/* What is outstanding, of both kinds. */
struct fault_held {
    size_t bytes, blocks; /* pol_mem */
    size_t libc_blocks;
};

struct fault_held fault_held(void);
bool fault_same(struct fault_held a, struct fault_held b);

/* A check that failed is printed with its place; the case goes on. Returns `good`. */
bool fault_expect(bool good, const char *file, int line, const char *what);
#define EXPECT(condition) fault_expect((condition), __FILE__, __LINE__, #condition)
/* Without this the case cannot go on: ends the program. */
#define REQUIRE(condition) ((condition) ? (void)0 : fault_broken(__FILE__, __LINE__, #condition))
_Noreturn void fault_broken(const char *file, int line, const char *what);
/* Printed with the next check that fails, such as "request %zu". */
void fault_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A sentence, and what proves it. */
struct fault_case {
    const char *name;
    void (*run)(void);
};

/* Runs them all; whatever a case leaves behind is a failure of it. Returns the exit code. */
int fault_run(const struct fault_case *cases, size_t count);
#define FAULT_RUN(cases) fault_run(cases, sizeof(cases) / sizeof(*(cases)))

/*
 * Calls `step` with its first request failing, then its second, and so on until it meets none that
 * fails; first with one failing request, then with all from there on. `step` makes one call of the
 * library, asks fault_struck() and checks what is due. What it holds afterwards must be what it
 * held before. Returns how many requests there are.
 */
size_t fault_sweep(void (*step)(void *user), void *user);

/* The same for a single call: the nth request from here on fails, or that one and all later ones.
 */
void fault_refuse(size_t nth);
void fault_refuse_from(size_t nth);

/* Whether a request was refused. None is from here on. */
bool fault_struck(void);

#endif
