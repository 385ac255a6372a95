/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/members.h"

#include <string.h>

#include "base/hash.h"

int members_init(struct members *members, const pol_mem *mem, uint32_t capacity,
                 const uint64_t seed[2])
{
    *members = (struct members){.seed = {seed[0], seed[1]}};
    members->entries = aged_init(&members->aged, mem, capacity, sizeof(*members->entries));
    return members->entries ? POL_OK : POL_E_NOMEM;
}

void members_fini(struct members *members, const pol_mem *mem)
{
    aged_fini(&members->aged, mem);
    members->entries = NULL;
}

/* All pairs of one `what` on one VLAN share it. */
static uint64_t hash_of(const struct members *members, const struct member_key *key)
{
    uint8_t octets[sizeof(key->what) + sizeof(key->vlan)];

    memcpy(octets, &key->what, sizeof(key->what));
    memcpy(octets + sizeof(key->what), key->vlan, sizeof(key->vlan));
    return hash_bytes(members->seed, octets, sizeof(octets));
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
    uint32_t index = aged_first(&members->aged, hash_of(members, key));

    while (index != POL_NONE && !(same_what(&members->entries[index].key, key) &&
                                  same_who(&members->entries[index].key, key)))
        index = aged_after(&members->aged, index);
    return index;
}

/* The pair that has to go for one more of this `what`, or POL_NONE. */
static uint32_t victim(const struct members *members, const struct member_key *key)
{
    uint32_t index = aged_first(&members->aged, hash_of(members, key));
    uint32_t last = POL_NONE, count = 0;

    for (; index != POL_NONE; index = aged_after(&members->aged, index)) {
        if (!same_what(&members->entries[index].key, key))
            continue;
        last = index;
        count++;
    }
    return count >= MEMBERS_EACH ? last : aged_victim(&members->aged);
}

void members_use(struct members *members, uint32_t index)
{
    aged_renew(&members->aged, index);
}

bool members_put(struct members *members, const struct member_key *key, pol_mono until)
{
    uint32_t index = find(members, key), gone;

    if (members->aged.capacity == 0)
        return false;
    if (index != POL_NONE) {
        if (members->entries[index].until < until)
            members->entries[index].until = until;
        members_use(members, index);
        return false;
    }
    gone = victim(members, key);
    if (gone != POL_NONE)
        aged_remove(&members->aged, gone);
    index = aged_add(&members->aged, hash_of(members, key));
    members->entries[index] = (struct member){*key, until};
    return gone != POL_NONE;
}

void members_remove(struct members *members, const struct member_key *key)
{
    uint32_t index = find(members, key);

    if (index != POL_NONE)
        aged_remove(&members->aged, index);
}

bool members_has(struct members *members, const struct member_key *key, pol_mono now)
{
    uint32_t index = find(members, key);

    if (index == POL_NONE)
        return false;
    if (members->entries[index].until <= now) {
        aged_remove(&members->aged, index);
        return false;
    }
    members_use(members, index);
    return true;
}

uint32_t members_next(const struct members *members, const struct member_key *key, uint32_t after,
                      pol_mono now)
{
    uint32_t index = after == POL_NONE ? aged_first(&members->aged, hash_of(members, key))
                                       : aged_after(&members->aged, after);

    while (index != POL_NONE &&
           !(same_what(&members->entries[index].key, key) && members->entries[index].until > now))
        index = aged_after(&members->aged, index);
    return index;
}
