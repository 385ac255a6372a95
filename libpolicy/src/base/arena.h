/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/*
 * A bump allocator: everything that belongs to one compiled policy is taken from one arena and
 * released with it at once. Memory is zeroed.
 */

#include <libpolicy/context.h>

/* Octets behind each piece that are nobody's: under AddressSanitizer, what reads one too far is
 * noticed there. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_GAP 16
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_GAP 16
#endif
#ifndef ARENA_GAP
#define ARENA_GAP 0
#endif

struct arena_block;

struct arena {
    const pol_mem *mem;
    struct arena_block *blocks; /* newest first */
    size_t bytes;               /* taken from mem so far */
};

void arena_init(struct arena *arena, const pol_mem *mem);
void arena_fini(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size); /* aligned to 16; NULL without memory */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A copy with a NUL behind it; an empty slice gives "". ret.ptr is NULL without memory. */
pol_str arena_str(struct arena *arena, pol_str text);

#endif
