/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_CLASSIFY_VEC_H
#define MATCH_CLASSIFY_VEC_H

/*
 * Scratch for building a classifier: arrays that grow while their length is not known, and are then
 * moved into the arena or released. A vec begins as {.size = sizeof(element)}.
 */

#include "base/arena.h"

enum { CACHE_LINE = 64 };

struct vec {
    void *at;
    size_t count, capacity, size;
};

/* Room for `count` more elements, counted in; NULL without memory, never for a count of 0. Moves
 * what is there. */
void *vec_add(struct arena *arena, struct vec *vec, size_t count);

void vec_free(struct arena *arena, struct vec *vec);

/* Moves scratch into the arena: *ret_at, a pointer of any kind, is where. POL_OK or POL_E_NOMEM. */
int vec_keep(struct arena *arena, struct vec *vec, void *ret_at);

/* Zeroed memory of the arena that begins a cache line; NULL without memory. */
void *arena_lines(struct arena *arena, size_t size);

#endif
