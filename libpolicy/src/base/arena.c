/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <string.h>

#include "base/mem.h"

#if ARENA_GAP
#include <sanitizer/asan_interface.h>
#define CLOSE(ptr, size) ASAN_POISON_MEMORY_REGION(ptr, size)
#define OPEN(ptr, size)  ASAN_UNPOISON_MEMORY_REGION(ptr, size)
#else
#define CLOSE(ptr, size) ((void)0)
#define OPEN(ptr, size)  ((void)0)
#endif

enum { ALIGN = 16, BLOCK_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    size_t used;
    size_t pad; /* keeps data on a multiple of ALIGN */
    uint8_t data[];
};

void arena_init(struct arena *arena, const pol_mem *mem)
{
    *arena = (struct arena){.mem = mem};
}

void arena_fini(struct arena *arena)
{
    struct arena_block *block = arena->blocks;

    while (block) {
        struct arena_block *next = block->next;

        OPEN(block->data, block->size);
        mem_free(arena->mem, block, sizeof(*block) + block->size);
        block = next;
    }
    arena->blocks = NULL;
    arena->bytes = 0;
}

static struct arena_block *block_new(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_zalloc(arena->mem, sizeof(*block) + size);

    if (!block)
        return NULL;
    block->size = size;
    CLOSE(block->data, size);
    arena->bytes += sizeof(*block) + size;
    return block;
}

/* A large request gets a block of its own behind the newest one, which keeps filling up. */
static struct arena_block *large_block(struct arena *arena, size_t size)
{
    struct arena_block *block = block_new(arena, size);

    if (!block)
        return NULL;
    if (arena->blocks) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        arena->blocks = block;
    }
    return block;
}

static struct arena_block *block_with(struct arena *arena, size_t size)
{
    struct arena_block *block = arena->blocks;

    if (size > BLOCK_BYTES / 4)
        return large_block(arena, size);
    if (block && block->size - block->used >= size)
        return block;
    block = block_new(arena, BLOCK_BYTES);
    if (!block)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t taken = (size + ARENA_GAP + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_block *block;
    void *ptr;

    if (size > SIZE_MAX / 2)
        return NULL;
    block = block_with(arena, taken);
    if (!block)
        return NULL;
    ptr = block->data + block->used;
    block->used += taken;
    OPEN(ptr, size);
    return ptr;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return arena_alloc(arena, bytes);
}

pol_str arena_str(struct arena *arena, pol_str text)
{
    char *copy = arena_alloc(arena, text.len + 1);

    if (!copy)
        return (pol_str){NULL, 0};
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    return (pol_str){copy, text.len};
}
