/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COUNTING_MEM_H
#define COUNTING_MEM_H

/*
 * A pol_mem that hands out dirty memory, knows what is outstanding and can fail. Criterion hides
 * what LeakSanitizer says, so tests ask here.
 */

#include <libpolicy/context.h>

#include <stdlib.h>
#include <string.h>

struct counting {
    size_t bytes;    /* outstanding */
    size_t blocks;   /* outstanding */
    size_t requests; /* allocations asked for so far */
    size_t fail_at;  /* the request that fails, counted from 1; 0: none */
};

static inline bool counting_fails(struct counting *counting)
{
    return ++counting->requests == counting->fail_at;
}

static inline void *counting_alloc(void *user, size_t size)
{
    struct counting *counting = user;
    void *ptr = counting_fails(counting) ? NULL : malloc(size);

    if (!ptr)
        return NULL;
    memset(ptr, 0xa5, size);
    counting->bytes += size;
    counting->blocks++;
    return ptr;
}

static inline void *counting_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    struct counting *counting = user;
    void *grown = counting_fails(counting) ? NULL : realloc(ptr, new_size);

    if (!grown)
        return NULL;
    counting->bytes += new_size - old_size;
    return grown;
}

static inline void counting_release(void *user, void *ptr, size_t size)
{
    struct counting *counting = user;

    counting->bytes -= size;
    counting->blocks--;
    free(ptr);
}

static inline pol_mem counting_mem(struct counting *counting)
{
    return (pol_mem){counting, counting_alloc, counting_resize, counting_release};
}

static inline pol_ctx *counting_ctx(struct counting *counting)
{
    pol_mem mem = counting_mem(counting);
    pol_ctx_options opts;
    pol_ctx *ctx = NULL;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    opts.hash_seed[0] = 1;
    return pol_ctx_new(&opts, &ctx) == POL_OK ? ctx : NULL;
}

#endif
