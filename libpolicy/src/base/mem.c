/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void *libc_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    return realloc(ptr, new_size);
}

static void libc_release(void *user, void *ptr, size_t size)
{
    (void)user;
    (void)size;
    free(ptr);
}

const pol_mem mem_libc = {
    .alloc = libc_alloc,
    .resize = libc_resize,
    .release = libc_release,
};

void *mem_alloc(const pol_mem *mem, size_t size)
{
    return mem->alloc(mem->user, size ? size : 1);
}

void *mem_zalloc(const pol_mem *mem, size_t size)
{
    void *ptr;

    /* libc's calloc() gets fresh pages from the kernel already zeroed: a large table costs memory
     * only where it is used. */
    if (mem->alloc == libc_alloc)
        return calloc(1, size ? size : 1);

    ptr = mem_alloc(mem, size);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

void *mem_array(const pol_mem *mem, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return mem_zalloc(mem, bytes);
}

void *mem_resize(const pol_mem *mem, void *ptr, size_t old_size, size_t new_size)
{
    if (!ptr)
        return mem_alloc(mem, new_size);
    return mem->resize(mem->user, ptr, old_size ? old_size : 1, new_size ? new_size : 1);
}

void mem_free(const pol_mem *mem, void *ptr, size_t size)
{
    if (ptr)
        mem->release(mem->user, ptr, size ? size : 1);
}

int mem_grow(const pol_mem *mem, void **array, size_t *capacity, size_t need, size_t size)
{
    size_t wanted = *capacity ? *capacity : 8;
    size_t bytes;
    void *grown;

    if (need <= *capacity)
        return POL_OK;
    while (wanted < need) {
        if (__builtin_mul_overflow(wanted, (size_t)2, &wanted))
            return POL_E_NOMEM;
    }
    if (__builtin_mul_overflow(wanted, size, &bytes))
        return POL_E_NOMEM;

    grown = mem_resize(mem, *array, *capacity * size, bytes);
    if (!grown)
        return POL_E_NOMEM;
    *array = grown;
    *capacity = wanted;
    return POL_OK;
}
