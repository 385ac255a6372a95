/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/fragments.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* RFC 8200 4.5; RFC 1122 3.3.2 asks for 60 to 120 seconds. */
#define REASSEMBLY_TIME (60 * POL_SECONDS)

int fragments_init(struct fragments *fragments, const pol_mem *mem, uint32_t capacity,
                   const uint64_t seed[2])
{
    uint32_t heads = 16;

    while (heads < capacity)
        heads *= 2;
    *fragments = (struct fragments){
        .capacity = capacity,
        .mask = heads - 1,
        .free = POL_NONE,
        .oldest = POL_NONE,
        .newest = POL_NONE,
        .seed = {seed[0], seed[1]},
    };
    fragments->entries = mem_array(mem, capacity, sizeof(*fragments->entries));
    fragments->heads = mem_array(mem, heads, sizeof(*fragments->heads));
    if (!fragments->entries || !fragments->heads) {
        fragments_fini(fragments, mem);
        return POL_E_NOMEM;
    }
    memset(fragments->heads, 0xff, heads * sizeof(*fragments->heads));
    for (uint32_t i = capacity; i-- > 0;) {
        fragments->entries[i].next = fragments->free;
        fragments->free = i;
    }
    return POL_OK;
}

void fragments_fini(struct fragments *fragments, const pol_mem *mem)
{
    mem_free(mem, fragments->entries, fragments->capacity * sizeof(*fragments->entries));
    mem_free(mem, fragments->heads, ((size_t)fragments->mask + 1) * sizeof(*fragments->heads));
    *fragments = (struct fragments){.free = POL_NONE};
}

static void key_of(const pol_packet *packet, struct fragment_key *key)
{
    *key = (struct fragment_key){
        .id = packet->frag_id,
        .vlan = {packet->vlan_count > 0 ? packet->vlan[0] : 0,
                 packet->vlan_count > 1 ? packet->vlan[1] : 0},
        .proto = packet->tuple.proto,
        .family = packet->tuple.src.family,
    };
    memcpy(key->src, packet->tuple.src.bytes, sizeof(key->src));
    memcpy(key->dst, packet->tuple.dst.bytes, sizeof(key->dst));
}

static uint32_t *chain_of(struct fragments *fragments, const struct fragment_key *key)
{
    return &fragments->heads[hash_bytes(fragments->seed, key, sizeof(*key)) & fragments->mask];
}

void fragments_end(struct fragments *fragments, struct fragment *fragment)
{
    uint32_t index = (uint32_t)(fragment - fragments->entries);
    uint32_t *link = chain_of(fragments, &fragment->key);

    while (*link != index)
        link = &fragments->entries[*link].next;
    *link = fragment->next;
    if (fragment->older != POL_NONE)
        fragments->entries[fragment->older].newer = fragment->newer;
    else
        fragments->oldest = fragment->newer;
    if (fragment->newer != POL_NONE)
        fragments->entries[fragment->newer].older = fragment->older;
    else
        fragments->newest = fragment->older;
    fragment->next = fragments->free;
    fragments->free = index;
    fragments->count--;
}

struct fragment *fragments_find(struct fragments *fragments, const pol_packet *packet, pol_mono now)
{
    struct fragment_key key;
    struct fragment *found;
    uint32_t index;

    if (fragments->count == 0)
        return NULL;
    key_of(packet, &key);
    index = *chain_of(fragments, &key);
    while (index != POL_NONE && memcmp(&fragments->entries[index].key, &key, sizeof(key)) != 0)
        index = fragments->entries[index].next;
    if (index == POL_NONE)
        return NULL;
    found = &fragments->entries[index];
    if (now < found->seen + REASSEMBLY_TIME)
        return found;
    fragments_end(fragments, found);
    return NULL;
}

pol_mono fragments_deadline(const struct fragments *fragments)
{
    return fragments->oldest == POL_NONE
               ? POL_NEVER
               : fragments->entries[fragments->oldest].seen + REASSEMBLY_TIME;
}

struct fragment *fragments_begin(struct fragments *fragments, const pol_packet *packet,
                                 pol_mono now)
{
    struct fragment *fragment;
    uint32_t index, *head;

    if (fragments->capacity == 0)
        return NULL;
    if (fragments->free == POL_NONE)
        fragments_end(fragments, &fragments->entries[fragments->oldest]);
    index = fragments->free;
    fragment = &fragments->entries[index];
    fragments->free = fragment->next;
    fragments->count++;
    key_of(packet, &fragment->key);
    fragment->seen = now;
    fragment->side = packet->side;
    fragment->piece_count = 0;
    fragment->total = 0;
    fragment->flow = POL_NONE;
    head = chain_of(fragments, &fragment->key);
    fragment->next = *head;
    *head = index;
    fragment->older = fragments->newest;
    fragment->newer = POL_NONE;
    if (fragments->newest != POL_NONE)
        fragments->entries[fragments->newest].newer = index;
    else
        fragments->oldest = index;
    fragments->newest = index;
    return fragment;
}

bool fragment_is_whole(const struct fragment *fragment)
{
    return fragment->total && fragment->piece_count == 1 && fragment->pieces[0].from == 0 &&
           fragment->pieces[0].to == fragment->total;
}

/* Beyond the largest datagram ("ping of death"), behind the last fragment, or a second last one. */
static bool out_of_bounds(const struct fragment *fragment, uint32_t end, bool more)
{
    if (end > UINT16_MAX || (fragment->total && (end > fragment->total || !more)))
        return true;
    return !more && fragment->piece_count && fragment->pieces[fragment->piece_count - 1].to > end;
}

bool fragment_note(struct fragment *fragment, const pol_packet *packet)
{
    uint32_t offset = packet->frag_offset, end = offset + packet->frag_len, at = 0;
    bool joins_before, joins_after;

    if (out_of_bounds(fragment, end, packet->frag_more))
        return false;
    while (at < fragment->piece_count && fragment->pieces[at].to <= offset)
        at++;
    if (at < fragment->piece_count && fragment->pieces[at].from < end)
        return false;
    if (!packet->frag_more)
        fragment->total = end;
    joins_before = at > 0 && fragment->pieces[at - 1].to == offset;
    joins_after = at < fragment->piece_count && fragment->pieces[at].from == end;
    if (joins_before && joins_after) {
        fragment->pieces[at - 1].to = fragment->pieces[at].to;
        fragment->piece_count--;
        memmove(&fragment->pieces[at], &fragment->pieces[at + 1],
                (fragment->piece_count - at) * sizeof(*fragment->pieces));
        return true;
    }
    if (joins_before) {
        fragment->pieces[at - 1].to = (uint16_t)end;
        return true;
    }
    if (joins_after) {
        fragment->pieces[at].from = (uint16_t)offset;
        return true;
    }
    if (fragment->piece_count == FRAGMENT_PIECES)
        return false;
    memmove(&fragment->pieces[at + 1], &fragment->pieces[at],
            (fragment->piece_count - at) * sizeof(*fragment->pieces));
    fragment->pieces[at] = (struct fragment_piece){(uint16_t)offset, (uint16_t)end};
    fragment->piece_count++;
    return true;
}

size_t fragments_expire(struct fragments *fragments, pol_mono now, size_t budget)
{
    size_t count = 0;

    while (count < budget && fragments->oldest != POL_NONE &&
           now - fragments->entries[fragments->oldest].seen >= REASSEMBLY_TIME) {
        fragments_end(fragments, &fragments->entries[fragments->oldest]);
        count++;
    }
    return count;
}
