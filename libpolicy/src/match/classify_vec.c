/* SPDX-License-Identifier: Apache-2.0 */
#include "match/classify_vec.h"

#include <string.h>

#include "base/mem.h"

void *vec_add(struct arena *arena, struct vec *vec, size_t count)
{
    void *at = vec->at;
    size_t need = vec->count + (count ? count : 1);
    int rc = mem_grow(arena->mem, &at, &vec->capacity, need, vec->size);

    if (rc < 0)
        return NULL;
    vec->at = at;
    vec->count += count;
    return (char *)at + (vec->count - count) * vec->size;
}

void vec_free(struct arena *arena, struct vec *vec)
{
    mem_free(arena->mem, vec->at, vec->capacity * vec->size);
    *vec = (struct vec){.size = vec->size};
}

void *arena_lines(struct arena *arena, size_t size)
{
    uintptr_t at = (uintptr_t)arena_alloc(arena, size + CACHE_LINE);

    return at ? (void *)((at + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1)) : NULL;
}

int vec_keep(struct arena *arena, struct vec *vec, void *ret_at)
{
    void *at = arena_lines(arena, vec->count * vec->size);

    if (!at)
        return POL_E_NOMEM;
    if (vec->count)
        memcpy(at, vec->at, vec->count * vec->size);
    memcpy(ret_at, &at, sizeof(at));
    vec_free(arena, vec);
    return POL_OK;
}
