/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/fragments.h"

#include <string.h>

#include "base/hash.h"
#include "base/mono.h"

/* RFC 8200 4.5; RFC 1122 3.3.2 asks for 60 to 120 seconds. */
#define REASSEMBLY_TIME (60 * POL_SECONDS)

int fragments_init(struct fragments *fragments, const pol_mem *mem, uint32_t capacity,
                   const uint64_t seed[2])
{
    *fragments = (struct fragments){.seed = {seed[0], seed[1]}};
    fragments->entries = aged_init(&fragments->aged, mem, capacity, sizeof(*fragments->entries));
    return fragments->entries ? POL_OK : POL_E_NOMEM;
}

void fragments_fini(struct fragments *fragments, const pol_mem *mem)
{
    aged_fini(&fragments->aged, mem);
    fragments->entries = NULL;
}

/* The protocol belongs to the key of IPv4 only (RFC 791 3.2). Of IPv6, the fragment header names
 * what comes next, which is options where the first piece has some (RFC 8200 4.5). */
static void key_of(const pol_packet *packet, struct fragment_key *key)
{
    *key = (struct fragment_key){
        .id = packet->frag_id,
        .vlan = {packet->vlan_count > 0 ? packet->vlan[0] : 0,
                 packet->vlan_count > 1 ? packet->vlan[1] : 0},
        .proto = packet->tuple.src.family == 4 ? packet->tuple.proto : 0,
        .family = packet->tuple.src.family,
    };
    memcpy(key->src, packet->tuple.src.bytes, sizeof(key->src));
    memcpy(key->dst, packet->tuple.dst.bytes, sizeof(key->dst));
}

static uint64_t hash_of(const struct fragments *fragments, const struct fragment_key *key)
{
    return hash_bytes(fragments->seed, key, sizeof(*key));
}

void fragments_end(struct fragments *fragments, struct fragment *fragment)
{
    aged_remove(&fragments->aged, (uint32_t)(fragment - fragments->entries));
}

struct fragment *fragments_find(struct fragments *fragments, const pol_packet *packet, pol_mono now)
{
    struct fragment_key key;
    uint32_t index;

    if (fragments->aged.count == 0)
        return NULL;
    key_of(packet, &key);
    index = aged_first(&fragments->aged, hash_of(fragments, &key));
    while (index != POL_NONE && memcmp(&fragments->entries[index].key, &key, sizeof(key)) != 0)
        index = aged_after(&fragments->aged, index);
    if (index == POL_NONE)
        return NULL;
    if (now < mono_after(fragments->entries[index].seen, REASSEMBLY_TIME))
        return &fragments->entries[index];
    aged_remove(&fragments->aged, index);
    return NULL;
}

pol_mono fragments_deadline(const struct fragments *fragments)
{
    uint32_t oldest = fragments->aged.oldest;

    return oldest == POL_NONE ? POL_NEVER
                              : mono_after(fragments->entries[oldest].seen, REASSEMBLY_TIME);
}

struct fragment *fragments_begin(struct fragments *fragments, const pol_packet *packet,
                                 pol_mono now)
{
    uint32_t victim = aged_victim(&fragments->aged), index;
    struct fragment *fragment;
    struct fragment_key key;

    if (victim != POL_NONE)
        aged_remove(&fragments->aged, victim);
    key_of(packet, &key);
    index = aged_add(&fragments->aged, hash_of(fragments, &key));
    if (index == POL_NONE)
        return NULL;
    fragment = &fragments->entries[index];
    fragment->key = key;
    fragment->seen = now;
    fragment->side = packet->side;
    fragment->piece_count = 0;
    fragment->total = 0;
    fragment->flow = POL_NONE;
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
    const struct aged *aged = &fragments->aged;
    size_t count = 0;

    while (count < budget && aged->oldest != POL_NONE &&
           now - fragments->entries[aged->oldest].seen >= REASSEMBLY_TIME) {
        aged_remove(&fragments->aged, aged->oldest);
        count++;
    }
    return count;
}
