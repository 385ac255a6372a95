/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

/*
 * Allocation through the context's pol_mem. Sizes travel with pointers because pol_mem wants them
 * back on release. Arrays are overflow-checked.
 */

#include <libpolicy/context.h>

extern const pol_mem mem_libc;

void *mem_alloc(const pol_mem *mem, size_t size);               /* not zeroed */
void *mem_zalloc(const pol_mem *mem, size_t size);              /* zeroed */
void *mem_array(const pol_mem *mem, size_t count, size_t size); /* zeroed; NULL on overflow */
void *mem_resize(const pol_mem *mem, void *ptr, size_t old_size, size_t new_size);
void mem_free(const pol_mem *mem, void *ptr, size_t size); /* NULL is fine */

/* Grows *array (element size `size`) so that it holds at least `need` elements, at least doubling.
 * On POL_E_NOMEM nothing has changed. */
int mem_grow(const pol_mem *mem, void **array, size_t *capacity, size_t need, size_t size);

#endif
