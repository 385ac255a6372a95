/* SPDX-License-Identifier: Apache-2.0 */
#include "grants/table.h"

/* --- names ---------------------------------------------------------------------------------- */

static uint32_t name_find(const pol_grants *grants, pol_str text, uint64_t hash)
{
    uint32_t index = grants->name_index[hash & grants->mask];

    while (index != POL_NONE) {
        const struct name *name = &grants->names[index];

        if (GET(name->hash) == hash && GET(name->len) == text.len)
            return index;
        index = name->next;
    }
    return POL_NONE;
}

/* There are as many names as slots and each name has a slot, so a free slot implies a free name. */
static uint32_t name_take(pol_grants *grants, pol_str text, uint64_t hash)
{
    uint32_t index = name_find(grants, text, hash);
    uint64_t words[NAME_WORDS] = {0};
    struct name *name;

    if (index != POL_NONE) {
        grants->names[index].refs++;
        return index;
    }
    index = grants->free_name;
    name = &grants->names[index];
    grants->free_name = name->next;
    memcpy(words, text.ptr, text.len);
    for (size_t i = 0; i < NAME_WORDS; i++)
        SET(name->text[i], words[i]);
    SET(name->len, (uint8_t)text.len);
    SET(name->hash, hash);
    name->refs = 1;
    name->next = grants->name_index[hash & grants->mask];
    grants->name_index[hash & grants->mask] = index;
    return index;
}

static void name_drop(pol_grants *grants, uint32_t index)
{
    struct name *name = &grants->names[index];
    uint32_t *link = &grants->name_index[GET(name->hash) & grants->mask];

    if (--name->refs)
        return;
    while (*link != index)
        link = &grants->names[*link].next;
    *link = name->next;
    name->next = grants->free_name;
    grants->free_name = index;
}

/* --- sets ----------------------------------------------------------------------------------- */

uint32_t set_find(const pol_grants *grants, enum set_kind kind, uint64_t id)
{
    uint32_t index = grants->set_index[id & grants->set_mask];

    while (index != POL_NONE && (grants->sets[index].id != id || grants->sets[index].kind != kind))
        index = grants->sets[index].next;
    return index;
}

/* A slot is in one set of each kind and no set is empty, so a free slot implies free sets. */
static uint32_t set_take(pol_grants *grants, enum set_kind kind, uint64_t id)
{
    uint32_t index = set_find(grants, kind, id), *head = &grants->set_index[id & grants->set_mask];
    struct set *set;

    if (index != POL_NONE)
        return index;
    index = grants->free_set;
    set = &grants->sets[index];
    grants->free_set = set->next;
    *set = (struct set){
        .id = id,
        .kind = (uint8_t)kind,
        .next = *head,
        .coldest = POL_NONE,
        .newest = POL_NONE,
        .none_gone = POL_NEVER,
    };
    *head = index;
    grants->group_count += kind == BY_GROUP;
    return index;
}

static void set_drop(pol_grants *grants, uint32_t index)
{
    struct set *set = &grants->sets[index];
    uint32_t *link = &grants->set_index[set->id & grants->set_mask];

    while (*link != index)
        link = &grants->sets[*link].next;
    *link = set->next;
    set->next = grants->free_set;
    grants->free_set = index;
    grants->group_count -= set->kind == BY_GROUP;
}

/* At the newest end. Restored grants come in any order and the clocks of learners differ a little:
 * a list is in order but for its strays. */
static void set_append(pol_grants *grants, enum set_kind kind, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    struct place *place = &slot->places[kind];
    struct set *set = &grants->sets[place->set];
    pol_mono answered = GET(slot->answered);

    place->prev = set->newest;
    place->next = POL_NONE;
    if (set->newest != POL_NONE)
        grants->slots[set->newest].places[kind].next = index;
    else
        set->coldest = index;
    set->newest = index;
    if (answered < set->latest) {
        slot->stray |= 1u << kind;
        set->strays++;
    } else {
        set->latest = answered;
    }
}

static void set_unlink(pol_grants *grants, enum set_kind kind, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    struct place *place = &slot->places[kind];
    struct set *set = &grants->sets[place->set];

    if (place->prev != POL_NONE)
        grants->slots[place->prev].places[kind].next = place->next;
    else
        set->coldest = place->next;
    if (place->next != POL_NONE)
        grants->slots[place->next].places[kind].prev = place->prev;
    else
        set->newest = place->prev;
    set->strays -= slot->stray >> kind & 1;
    slot->stray &= ~(1u << kind);
}

void set_move_to_end(pol_grants *grants, enum set_kind kind, uint32_t index)
{
    set_unlink(grants, kind, index);
    set_append(grants, kind, index);
}

/* Groups of the same size are one list, so the largest is found without a search. */
static void rank_enter(pol_grants *grants, uint32_t index)
{
    struct set *set = &grants->sets[index];
    uint32_t *head = &grants->ranks[set->count];

    if (set->count == 0)
        return;
    set->rank_prev = POL_NONE;
    set->rank_next = *head;
    if (*head != POL_NONE)
        grants->sets[*head].rank_prev = index;
    *head = index;
    if (set->count > grants->largest)
        grants->largest = set->count;
}

static void rank_leave(pol_grants *grants, uint32_t index)
{
    struct set *set = &grants->sets[index];

    if (set->count == 0)
        return;
    if (set->rank_prev != POL_NONE)
        grants->sets[set->rank_prev].rank_next = set->rank_next;
    else
        grants->ranks[set->count] = set->rank_next;
    if (set->rank_next != POL_NONE)
        grants->sets[set->rank_next].rank_prev = set->rank_prev;
    /* A size changes by one at a time: the group itself is the largest of the others, or one of
     * them has the size it had. */
    if (set->count == grants->largest && grants->ranks[set->count] == POL_NONE)
        grants->largest--;
}

static void set_resize(pol_grants *grants, uint32_t index, uint32_t count)
{
    bool is_group = grants->sets[index].kind == BY_GROUP;

    if (is_group)
        rank_leave(grants, index);
    grants->sets[index].count = count;
    if (is_group)
        rank_enter(grants, index);
}

static void sets_enter(pol_grants *grants, uint32_t index, const uint64_t ids[SET_KINDS])
{
    for (enum set_kind kind = 0; kind < SET_KINDS; kind++) {
        uint32_t set = set_take(grants, kind, ids[kind]);

        grants->slots[index].places[kind].set = set;
        set_append(grants, kind, index);
        set_resize(grants, set, grants->sets[set].count + 1);
    }
}

static void sets_leave(pol_grants *grants, uint32_t index)
{
    for (enum set_kind kind = 0; kind < SET_KINDS; kind++) {
        uint32_t set = grants->slots[index].places[kind].set;

        set_unlink(grants, kind, index);
        set_resize(grants, set, grants->sets[set].count - 1);
        if (grants->sets[set].count == 0)
            set_drop(grants, set);
    }
}

/* --- slots ---------------------------------------------------------------------------------- */

/* Between these two, readers of the stripe's chains walk again. */
static void stripe_begin(pol_grants *grants, uint32_t bucket)
{
    _Atomic uint32_t *sequence = &grants->sequence[bucket % STRIPES];

    SET(*sequence, GET(*sequence) + 1);
    atomic_thread_fence(memory_order_release);
}

static void stripe_end(pol_grants *grants, uint32_t bucket)
{
    _Atomic uint32_t *sequence = &grants->sequence[bucket % STRIPES];

    atomic_store_explicit(sequence, GET(*sequence) + 1, memory_order_release);
}

static void slot_addr(const struct slot *slot, pol_addr *ret_addr)
{
    uint64_t words[2] = {GET(slot->addr[0]), GET(slot->addr[1])};

    memset(ret_addr, 0, sizeof(*ret_addr));
    memcpy(ret_addr->bytes, words, sizeof(words));
    ret_addr->family = GET(slot->family);
}

/* What a slot holds is there as a whole before its version says so. */
static void slot_begin(struct slot *slot)
{
    atomic_store_explicit(&slot->pin, GET(slot->pin) + (UINT64_C(1) << 32), memory_order_release);
}

static void link_by_addr(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint32_t bucket = bucket_of(grants, slot->addr_bits);
    uint32_t first = GET(grants->by_addr[bucket]);

    slot->prev = POL_NONE;
    if (first != POL_NONE)
        grants->slots[first].prev = index;
    stripe_begin(grants, bucket);
    slot_begin(slot);
    SET(slot->next, first);
    SET(grants->by_addr[bucket], index);
    stripe_end(grants, bucket);
}

static void unlink_by_addr(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint32_t bucket = bucket_of(grants, slot->addr_bits), next = GET(slot->next);

    if (next != POL_NONE)
        grants->slots[next].prev = slot->prev;
    stripe_begin(grants, bucket);
    if (slot->prev != POL_NONE)
        SET(grants->slots[slot->prev].next, next);
    else
        SET(grants->by_addr[bucket], next);
    stripe_end(grants, bucket);
}

static void unlink_by_grant(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint32_t *link = grant_head(grants, slot->addr_bits, GET(slot->name_hash));

    while (*link != index)
        link = &grants->slots[*link].grant_next;
    *link = slot->grant_next;
}

/* Ends what the slot holds: who has found it can pin it no more. False when a flow holds it. */
static bool slot_end(struct slot *slot)
{
    uint64_t pin = GET(slot->pin);

    return flows_of(pin) == 0 &&
           atomic_compare_exchange_strong_explicit(&slot->pin, &pin, pin + (UINT64_C(1) << 32),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

bool slot_release(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    pol_addr addr;

    if (!slot_end(slot))
        return false;
    slot_addr(slot, &addr);
    unlink_by_addr(grants, index);
    ADD(*use_of(grants, &addr), -1u);
    unlink_by_grant(grants, index);
    sets_leave(grants, index);
    name_drop(grants, GET(slot->name));
    ADD(grants->gone, -(uint32_t)slot->counted_gone);
    slot->counted_gone = 0;
    slot->grant_next = grants->free_slot;
    grants->free_slot = index;
    ADD(grants->in_use, -1u);
    return true;
}

/* How long a grant lives and for what; whose it is stays with the slot. */
static void set_terms(const pol_grants *grants, struct slot *slot, const pol_grant *grant)
{
    SET(slot->kind, grant->kind);
    SET(slot->two_way, grant->two_way);
    SET(slot->ttl, grant->ttl);
    SET(slot->learned, grant->learned);
    SET(slot->answered, grant->answered);
    SET(slot->used, grant->used);
    SET(slot->until, mono_after(grant->answered, clamp_ttl(grants, grant->ttl)));
}

static void slot_fill(pol_grants *grants, uint32_t index, const pol_grant *grant, uint64_t hash)
{
    struct slot *slot = &grants->slots[index];
    uint64_t words[2];

    memcpy(words, grant->addr.bytes, sizeof(words));
    SET(slot->key, grant->group_key);
    SET(slot->addr[0], words[0]);
    SET(slot->addr[1], words[1]);
    SET(slot->family, grant->addr.family);
    SET(slot->name_hash, hash);
    set_terms(grants, slot, grant);
}

void slot_insert(pol_grants *grants, const pol_grant *grant, uint64_t hash,
                 const uint64_t ids[SET_KINDS])
{
    uint32_t index = grants->free_slot, *head = grant_head(grants, ids[BY_ADDR], hash);
    struct slot *slot = &grants->slots[index];

    grants->free_slot = slot->grant_next;
    slot->addr_bits = (uint32_t)ids[BY_ADDR];
    slot_fill(grants, index, grant, hash);
    SET(slot->name, name_take(grants, (pol_str){grant->name, grant->name_len}, hash));
    sets_enter(grants, index, ids);
    slot->grant_next = *head;
    *head = index;
    BUMP(*use_of(grants, &grant->addr));
    link_by_addr(grants, index);
    BUMP(grants->in_use);
    BUMP(grants->stat_learned);
}

/* Begins anew in the slot of a grant that is gone, as another grant: a reader whose clock is behind
 * may have found the old one live, and must not pin this one for it. False when a flow was faster.
 */
static bool slot_take_over(pol_grants *grants, struct slot *slot, const pol_grant *grant)
{
    uint32_t bucket = bucket_of(grants, slot->addr_bits);

    if (!slot_end(slot))
        return false;
    stripe_begin(grants, bucket);
    set_terms(grants, slot, grant);
    slot_begin(slot);
    stripe_end(grants, bucket);
    return true;
}

/* The newest answer extends the lifetime, never shortens it. */
static void slot_extend(pol_grants *grants, struct slot *slot, const pol_grant *grant)
{
    pol_mono until = mono_after(grant->answered, clamp_ttl(grants, grant->ttl));

    SET(slot->kind, grant->kind);
    if (grant->two_way)
        SET(slot->two_way, 1);
    if (grant->answered >= GET(slot->answered)) {
        SET(slot->ttl, grant->ttl);
        atomic_store_explicit(&slot->answered, grant->answered, memory_order_release);
    }
    if (until > GET(slot->until))
        SET(slot->until, until);
    if (grant->used > GET(slot->used))
        SET(slot->used, grant->used);
}

/* An answer that is good for less than the grant is neither shortens nor extends it, as long as it
 * is live or held: what audit mode lets through must not keep open what a rule allowed. What is
 * gone is only remembered, and lends nothing to what is learned after it. */
void slot_refresh(pol_grants *grants, uint32_t index, const pol_grant *grant, pol_mono now)
{
    struct slot *slot = &grants->slots[index];
    bool weaker = grant->kind > GET(slot->kind);
    bool begins = slot_state(grants, slot, now) == POL_GRANT_GONE;

    BUMP(grants->stat_refreshed);
    begins = begins && slot_take_over(grants, slot, grant);
    if (!begins && weaker)
        return;
    if (!begins)
        slot_extend(grants, slot, grant);
    ADD(grants->gone, -(uint32_t)slot->counted_gone);
    slot->counted_gone = 0;
    for (enum set_kind kind = 0; kind < SET_KINDS; kind++)
        set_move_to_end(grants, kind, index);
}
