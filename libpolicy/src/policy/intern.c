/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/intern.h"

#include "base/ctx.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/slice.h"

void intern_init(struct intern *intern, const pol_ctx *ctx)
{
    *intern = (struct intern){.ctx = ctx};
}

void intern_fini(struct intern *intern)
{
    const pol_mem *mem = &intern->ctx->mem;

    mem_free(mem, intern->entries, intern->capacity * sizeof(*intern->entries));
    mem_free(mem, intern->slots, intern->slot_count * sizeof(*intern->slots));
    intern_init(intern, intern->ctx);
}

/* Keeps the table at most half full. */
static int grow(struct intern *intern)
{
    size_t wanted = intern->slot_count ? intern->slot_count : 32;
    const pol_mem *mem = &intern->ctx->mem;
    uint32_t *slots;

    while (wanted < 2 * (intern->count + 1))
        wanted *= 2;
    if (wanted == intern->slot_count)
        return POL_OK;
    slots = mem_array(mem, wanted, sizeof(*slots));
    if (!slots)
        return POL_E_NOMEM;
    for (size_t i = 0; i < intern->count; i++) {
        size_t slot = intern->entries[i].hash & (wanted - 1);

        while (slots[slot])
            slot = (slot + 1) & (wanted - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    mem_free(mem, intern->slots, intern->slot_count * sizeof(*slots));
    intern->slots = slots;
    intern->slot_count = wanted;
    return POL_OK;
}

/* The scope is part of the key: the same text in neighbouring scopes must not fill neighbouring
 * slots, or groups with the same rule ids make runs as long as there are groups. */
static uint64_t hash_of(const struct intern *intern, uint32_t scope, pol_str text)
{
    const uint64_t *seed = intern->ctx->hash_seed;
    const uint64_t scoped[2] = {seed[0] ^ scope, seed[1]};

    return hash_bytes(scoped, text.ptr, text.len);
}

int intern_add(struct intern *intern, uint32_t scope, pol_str text, uint32_t *ret_index)
{
    uint64_t hash = hash_of(intern, scope, text);
    size_t slot;
    int rc;

    rc = grow(intern);
    if (rc < 0)
        return rc;
    for (slot = hash & (intern->slot_count - 1); intern->slots[slot];
         slot = (slot + 1) & (intern->slot_count - 1)) {
        const struct intern_entry *entry = &intern->entries[intern->slots[slot] - 1];

        if (entry->hash == hash && entry->scope == scope && str_equal(entry->text, text)) {
            *ret_index = intern->slots[slot] - 1;
            return 0;
        }
    }
    rc = mem_grow(&intern->ctx->mem, (void **)&intern->entries, &intern->capacity,
                  intern->count + 1, sizeof(*intern->entries));
    if (rc < 0)
        return rc;
    intern->entries[intern->count] = (struct intern_entry){hash, text, scope};
    *ret_index = (uint32_t)intern->count++;
    intern->slots[slot] = (uint32_t)intern->count;
    return 1;
}
