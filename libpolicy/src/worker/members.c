/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/members.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

int members_init(struct members *members, const pol_mem *mem, uint32_t capacity,
                 const uint64_t seed[2])
{
    uint32_t heads = 16;

    while (heads < capacity)
        heads *= 2;
    *members = (struct members){
        .capacity = capacity,
        .mask = heads - 1,
        .free = POL_NONE,
        .oldest = POL_NONE,
        .newest = POL_NONE,
        .seed = {seed[0], seed[1]},
    };
    members->entries = mem_array(mem, capacity, sizeof(*members->entries));
    members->heads = mem_array(mem, heads, sizeof(*members->heads));
    if (!members->entries || !members->heads) {
        members_fini(members, mem);
        return POL_E_NOMEM;
    }
    memset(members->heads, 0xff, heads * sizeof(*members->heads));
    for (uint32_t i = capacity; i-- > 0;) {
        members->entries[i].next = members->free;
        members->free = i;
    }
    return POL_OK;
}

void members_fini(struct members *members, const pol_mem *mem)
{
    mem_free(mem, members->entries, members->capacity * sizeof(*members->entries));
    mem_free(mem, members->heads, ((size_t)members->mask + 1) * sizeof(*members->heads));
    *members = (struct members){.free = POL_NONE};
}

/* All pairs of one `what` on one VLAN share a chain. */
static uint32_t *chain_of(const struct members *members, const struct member_key *key)
{
    uint8_t octets[sizeof(key->what) + sizeof(key->vlan)];

    memcpy(octets, &key->what, sizeof(key->what));
    memcpy(octets + sizeof(key->what), key->vlan, sizeof(key->vlan));
    return &members->heads[hash_bytes(members->seed, octets, sizeof(octets)) & members->mask];
}

static bool same_what(const struct member_key *a, const struct member_key *b)
{
    return memcmp(&a->what, &b->what, sizeof(a->what)) == 0 &&
           memcmp(a->vlan, b->vlan, sizeof(a->vlan)) == 0;
}

static bool same_who(const struct member_key *a, const struct member_key *b)
{
    return memcmp(&a->who, &b->who, sizeof(a->who)) == 0;
}

static uint32_t find(const struct members *members, const struct member_key *key)
{
    uint32_t index = *chain_of(members, key);

    while (index != POL_NONE && !(same_what(&members->entries[index].key, key) &&
                                  same_who(&members->entries[index].key, key)))
        index = members->entries[index].next;
    return index;
}

/* The pair that has to go for one more of this `what`, or POL_NONE. */
static uint32_t victim(const struct members *members, const struct member_key *key)
{
    uint32_t last = POL_NONE, count = 0;

    for (uint32_t i = *chain_of(members, key); i != POL_NONE; i = members->entries[i].next) {
        if (!same_what(&members->entries[i].key, key))
            continue;
        last = i;
        count++;
    }
    if (count >= MEMBERS_EACH)
        return last;
    return members->free == POL_NONE ? members->oldest : POL_NONE;
}

static void unlink_entry(struct members *members, uint32_t index)
{
    struct member *member = &members->entries[index];
    uint32_t *link = chain_of(members, &member->key);

    while (*link != index)
        link = &members->entries[*link].next;
    *link = member->next;
    if (member->older != POL_NONE)
        members->entries[member->older].newer = member->newer;
    else
        members->oldest = member->newer;
    if (member->newer != POL_NONE)
        members->entries[member->newer].older = member->older;
    else
        members->newest = member->older;
}

static void link_newest(struct members *members, uint32_t index)
{
    struct member *member = &members->entries[index];
    uint32_t *head = chain_of(members, &member->key);

    member->next = *head;
    *head = index;
    member->older = members->newest;
    member->newer = POL_NONE;
    if (members->newest != POL_NONE)
        members->entries[members->newest].newer = index;
    else
        members->oldest = index;
    members->newest = index;
}

static void free_entry(struct members *members, uint32_t index)
{
    unlink_entry(members, index);
    members->entries[index].next = members->free;
    members->free = index;
    members->count--;
}

void members_use(struct members *members, uint32_t index)
{
    if (members->newest == index)
        return;
    unlink_entry(members, index);
    link_newest(members, index);
}

bool members_put(struct members *members, const struct member_key *key, pol_mono until)
{
    uint32_t index = find(members, key), gone;

    if (members->capacity == 0)
        return false;
    if (index != POL_NONE) {
        if (members->entries[index].until < until)
            members->entries[index].until = until;
        members_use(members, index);
        return false;
    }
    gone = victim(members, key);
    if (gone != POL_NONE)
        free_entry(members, gone);
    index = members->free;
    members->free = members->entries[index].next;
    members->entries[index].key = *key;
    members->entries[index].until = until;
    link_newest(members, index);
    members->count++;
    return gone != POL_NONE;
}

void members_remove(struct members *members, const struct member_key *key)
{
    uint32_t index = find(members, key);

    if (index != POL_NONE)
        free_entry(members, index);
}

bool members_has(struct members *members, const struct member_key *key, pol_mono now)
{
    uint32_t index = find(members, key);

    if (index == POL_NONE)
        return false;
    if (members->entries[index].until <= now) {
        free_entry(members, index);
        return false;
    }
    members_use(members, index);
    return true;
}

uint32_t members_next(const struct members *members, const struct member_key *key, uint32_t after,
                      pol_mono now)
{
    uint32_t index = after == POL_NONE ? *chain_of(members, key) : members->entries[after].next;

    while (index != POL_NONE &&
           !(same_what(&members->entries[index].key, key) && members->entries[index].until > now))
        index = members->entries[index].next;
    return index;
}
