/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_AGED_H
#define BASE_AGED_H

/*
 * A bounded table whose owner forgets the oldest entry: a fixed pool of entries, found by a hash
 * that the owner computes, and listed by age. Entries are known by their index. What is in an
 * entry, when it equals another and when its time is over is the owner's to say; the links stand in
 * an array of their own, with the hash, so that a search reads no entry of another hash. Nothing
 * allocates after aged_init().
 *
 *     index = aged_first(aged, hash);
 *     while (index != POL_NONE && !same(&entries[index], key))
 *         index = aged_after(aged, index);
 */

#include <libpolicy/context.h>

struct aged_link {
    uint32_t hash;         /* its low 32 bits */
    uint32_t next;         /* in the hash chain, newest first; or of the free entries */
    uint32_t older, newer; /* POL_NONE at the ends */
};

struct aged {
    struct aged_link *links;
    uint32_t *heads;
    void *entries;
    size_t size; /* of an entry, octets */
    uint32_t capacity, count;
    uint32_t mask;           /* of heads */
    uint32_t free;           /* POL_NONE: full */
    uint32_t oldest, newest; /* POL_NONE: empty */
};

/* The array of `capacity` entries of `size` octets each, zeroed; NULL without memory, and then
 * there is nothing to release. A table without capacity is empty and full. */
void *aged_init(struct aged *aged, const pol_mem *mem, uint32_t capacity, size_t size);
/* Releases the entries too. */
void aged_fini(struct aged *aged, const pol_mem *mem);
size_t aged_memory(const struct aged *aged);

/* The newest entry of that hash, and the next older one; POL_NONE at the end. Entries of a hash
 * that agrees in the low 32 bits may come too. */
uint32_t aged_first(const struct aged *aged, uint64_t hash);
uint32_t aged_after(const struct aged *aged, uint32_t index);

/* A place for a new entry, which is the newest; its octets are as the last owner left them.
 * POL_NONE when full. */
uint32_t aged_add(struct aged *aged, uint64_t hash);
/* Makes the entry the newest, of all and of its hash. */
void aged_renew(struct aged *aged, uint32_t index);
void aged_remove(struct aged *aged, uint32_t index);

/* Who has to go before one more can be added, or POL_NONE. */
static inline uint32_t aged_victim(const struct aged *aged)
{
    return aged->free == POL_NONE ? aged->oldest : POL_NONE;
}

#endif
