/* SPDX-License-Identifier: Apache-2.0 */
#include "base/aged.h"

#include <string.h>

#include "base/mem.h"

static size_t head_count(const struct aged *aged)
{
    return (size_t)aged->mask + 1;
}

void *aged_init(struct aged *aged, const pol_mem *mem, uint32_t capacity, size_t size)
{
    uint32_t heads = 16;

    while (heads < capacity)
        heads *= 2;
    *aged = (struct aged){
        .links = mem_array(mem, capacity, sizeof(*aged->links)),
        .heads = mem_array(mem, heads, sizeof(*aged->heads)),
        .entries = mem_array(mem, capacity, size),
        .size = size,
        .capacity = capacity,
        .mask = heads - 1,
        .free = POL_NONE,
        .oldest = POL_NONE,
        .newest = POL_NONE,
    };
    if (!aged->links || !aged->heads || !aged->entries) {
        aged_fini(aged, mem);
        return NULL;
    }
    memset(aged->heads, 0xff, heads * sizeof(*aged->heads)); /* POL_NONE everywhere */
    for (uint32_t i = capacity; i-- > 0;) {
        aged->links[i].next = aged->free;
        aged->free = i;
    }
    return aged->entries;
}

void aged_fini(struct aged *aged, const pol_mem *mem)
{
    mem_free(mem, aged->links, aged->capacity * sizeof(*aged->links));
    mem_free(mem, aged->heads, head_count(aged) * sizeof(*aged->heads));
    mem_free(mem, aged->entries, aged->capacity * aged->size);
    *aged = (struct aged){.free = POL_NONE, .oldest = POL_NONE, .newest = POL_NONE};
}

size_t aged_memory(const struct aged *aged)
{
    return aged->capacity * (sizeof(*aged->links) + aged->size) +
           head_count(aged) * sizeof(*aged->heads);
}

static uint32_t of_hash(const struct aged *aged, uint32_t index, uint32_t hash)
{
    while (index != POL_NONE && aged->links[index].hash != hash)
        index = aged->links[index].next;
    return index;
}

uint32_t aged_first(const struct aged *aged, uint64_t hash)
{
    return of_hash(aged, aged->heads[hash & aged->mask], (uint32_t)hash);
}

uint32_t aged_after(const struct aged *aged, uint32_t index)
{
    return of_hash(aged, aged->links[index].next, aged->links[index].hash);
}

static void link_newest(struct aged *aged, uint32_t index, uint32_t hash)
{
    uint32_t *head = &aged->heads[hash & aged->mask];

    aged->links[index] = (struct aged_link){hash, *head, aged->newest, POL_NONE};
    *head = index;
    if (aged->newest != POL_NONE)
        aged->links[aged->newest].newer = index;
    else
        aged->oldest = index;
    aged->newest = index;
}

static void unlink_entry(struct aged *aged, uint32_t index)
{
    const struct aged_link *gone = &aged->links[index];
    uint32_t *link = &aged->heads[gone->hash & aged->mask];

    while (*link != index)
        link = &aged->links[*link].next;
    *link = gone->next;
    if (gone->older != POL_NONE)
        aged->links[gone->older].newer = gone->newer;
    else
        aged->oldest = gone->newer;
    if (gone->newer != POL_NONE)
        aged->links[gone->newer].older = gone->older;
    else
        aged->newest = gone->older;
}

uint32_t aged_add(struct aged *aged, uint64_t hash)
{
    uint32_t index = aged->free;

    if (index == POL_NONE)
        return POL_NONE;
    aged->free = aged->links[index].next;
    link_newest(aged, index, (uint32_t)hash);
    aged->count++;
    return index;
}

void aged_renew(struct aged *aged, uint32_t index)
{
    if (aged->newest == index)
        return;
    unlink_entry(aged, index);
    link_newest(aged, index, aged->links[index].hash);
}

void aged_remove(struct aged *aged, uint32_t index)
{
    unlink_entry(aged, index);
    aged->links[index].next = aged->free;
    aged->free = index;
    aged->count--;
}
