/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAGED_MEM_H
#define PAGED_MEM_H

/*
 * A pol_mem that gives what is larger than a page pages of its own. A test that protects them knows
 * the moment at which the library writes there, and can let something else happen first.
 */

#include <libpolicy/context.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline size_t paged_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static inline void *paged_alloc(void *user, size_t size)
{
    void *ptr;

    (void)user;
    if (size < paged_size())
        return malloc(size);
    ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return ptr == MAP_FAILED ? NULL : ptr;
}

static inline void paged_release(void *user, void *ptr, size_t size)
{
    (void)user;
    if (size < paged_size())
        free(ptr);
    else
        munmap(ptr, size);
}

static inline void *paged_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    void *grown = paged_alloc(user, new_size);

    if (!grown)
        return NULL;
    memcpy(grown, ptr, old_size < new_size ? old_size : new_size);
    paged_release(user, ptr, old_size);
    return grown;
}

static inline pol_ctx *paged_ctx(void)
{
    pol_mem mem = {NULL, paged_alloc, paged_resize, paged_release};
    pol_ctx_options opts;
    pol_ctx *ctx = NULL;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    return pol_ctx_new(&opts, &ctx) == POL_OK ? ctx : NULL;
}

#endif
