/* SPDX-License-Identifier: Apache-2.0 */
#include "grants/table.h"

enum {
    EVICT_CANDIDATES = 32, /* of a set; also flows passed over when the lesson has no effort left */
    SWEEP_EFFORT = 512,    /* slots of the table a lesson looks at for one that is gone */
    SWEEP_REWARD = 16,     /* more for each that it finds */
    PASS_EFFORT = 4096,    /* grants with flows that a lesson passes over */
    VICTIMS = 3,           /* chosen for one grant, as long as flows begin on them */
    AHEAD = 8              /* addresses learned before another learner may have its turn */
};

#define GONE_MEMORY (3600 * POL_SECONDS)

/* --- making room ---------------------------------------------------------------------------- */

/* What a lesson does, and how much longer it may look for room. */
struct work {
    pol_mono now;
    uint64_t name_hash;
    uint32_t sweep; /* slots of the table */
    uint32_t pass;  /* grants with flows */
};

static struct work begin_work(pol_mono now, uint64_t name_hash)
{
    return (struct work){now, name_hash, SWEEP_EFFORT, PASS_EFFORT};
}

struct victim {
    uint32_t index; /* POL_NONE: none yet */
    bool gone;
    pol_mono used;
};

/* The better victim of two: one whose time is over, then the least recently used. */
static void prefer(const pol_grants *grants, struct victim *best, uint32_t index, pol_mono now)
{
    const struct slot *slot = &grants->slots[index];
    bool gone = now >= live_until(grants, slot);
    pol_mono used = GET(slot->used);

    if (best->index == POL_NONE || gone > best->gone || (gone == best->gone && used < best->used))
        *best = (struct victim){index, gone, used};
}

/* Nothing from this slot on is a better victim: none was used earlier, and none is gone unless the
 * one we have is. One look at all candidates does for the rest of a lesson. */
static bool settled(const pol_grants *grants, const struct set *set, const struct victim *best,
                    uint32_t index, pol_mono now)
{
    const pol_grants_options *opts = &grants->opts;
    pol_mono idle = opts->idle < opts->idle_two_way ? opts->idle : opts->idle_two_way;
    pol_mono answered = GET(grants->slots[index].answered);

    return best->index != POL_NONE && set->strays == 0 && answered >= best->used &&
           (best->gone || set->none_gone == now || mono_after(answered, idle) > now);
}

/* Who goes next is known, and where it is listed; see fetch_ahead(). */
static void fetch_victim(const pol_grants *grants, uint32_t index)
{
    const struct slot *slot = &grants->slots[index];

    __builtin_prefetch(&grants->sets[slot->places[BY_ADDR].set], 1);
    __builtin_prefetch(&grants->set_index[slot->addr_bits & grants->set_mask], 1);
    __builtin_prefetch(&grants->by_addr[bucket_of(grants, slot->addr_bits)], 1);
    __builtin_prefetch(grant_head(grants, slot->addr_bits, GET(slot->name_hash)), 1);
}

/* Who of a set has to go, or POL_NONE. */
static uint32_t set_victim(pol_grants *grants, uint32_t set_at, struct work *work)
{
    struct set *set = &grants->sets[set_at];
    struct victim best = {.index = POL_NONE};
    uint32_t index = set->coldest, candidates = EVICT_CANDIDATES;

    for (uint32_t left = set->count; left > 0 && candidates > 0; left--) {
        uint32_t next = grants->slots[index].places[set->kind].next;

        if (flows_of(GET(grants->slots[index].pin)) == 0) {
            if (settled(grants, set, &best, index, work->now)) {
                fetch_victim(grants, index);
                return best.index;
            }
            prefer(grants, &best, index, work->now);
            candidates--;
        } else {
            set_move_to_end(grants, set->kind, index);
            /* The move leaves `next` valid: what was last is followed by what was moved. */
            *(work->pass ? &work->pass : &candidates) -= 1;
        }
        index = next;
    }
    if (best.index != POL_NONE && !best.gone)
        set->none_gone = work->now;
    return best.index;
}

static uint32_t sweep_on(pol_grants *grants)
{
    uint32_t index = grants->sweep;

    grants->sweep = index + 1 < grants->opts.capacity ? index + 1 : 0;
    return index;
}

/* The next grant of the table that no flow holds and, if wanted, whose time is over. */
static uint32_t sweep_victim(pol_grants *grants, uint32_t looks, bool only_gone, struct work *work)
{
    for (uint32_t i = 0; i < looks && i < grants->opts.capacity; i++) {
        uint32_t index = sweep_on(grants);
        const struct slot *slot = &grants->slots[index];

        work->sweep -= work->sweep > 0;
        if (flows_of(GET(slot->pin)) == 0 && (!only_gone || work->now >= live_until(grants, slot)))
            return index;
    }
    return POL_NONE;
}

/* The table is full: who of it has to go. */
static uint32_t table_victim(pol_grants *grants, uint64_t key, struct work *work)
{
    uint32_t own = set_find(grants, BY_GROUP, key), victim = POL_NONE;
    uint32_t share = grants->opts.capacity / (grants->group_count + (own == POL_NONE));

    if (own != POL_NONE && grants->sets[own].count >= share)
        victim = set_victim(grants, own, work);
    if (victim != POL_NONE)
        return victim;
    victim = sweep_victim(grants, work->sweep, true, work);
    if (victim != POL_NONE) {
        work->sweep += SWEEP_REWARD;
        return victim;
    }
    /* Who asks has less than a fair share, so the largest group has more. */
    victim = set_victim(grants, grants->ranks[grants->largest], work);
    if (victim != POL_NONE)
        return victim;
    return sweep_victim(grants, EVICT_CANDIDATES + work->sweep, false, work);
}

/* A flow may begin on a victim between its choice and its release; then another one has to go. */
static bool make_room(pol_grants *grants, uint64_t key, struct work *work)
{
    for (int i = 0; i < VICTIMS; i++) {
        uint32_t victim = table_victim(grants, key, work);
        bool gone, counted;

        if (victim == POL_NONE)
            return false;
        counted = grants->slots[victim].counted_gone;
        gone = slot_state(grants, &grants->slots[victim], work->now) == POL_GRANT_GONE;
        if (!slot_release(grants, victim))
            continue;
        if (!gone)
            BUMP(grants->stat_evicted_total);
        else if (!counted)
            BUMP(grants->stat_expired);
        return true;
    }
    return false;
}

/* Evicts for the cap on names per address. False: every candidate carries a flow. */
static bool cap_addr(pol_grants *grants, uint32_t set, struct work *work)
{
    if (grants->sets[set].count < grants->opts.names_per_address)
        return true;
    for (int i = 0; i < VICTIMS; i++) {
        uint32_t victim = set_victim(grants, set, work);

        if (victim == POL_NONE)
            return false;
        if (slot_release(grants, victim)) {
            BUMP(grants->stat_evicted_address);
            return true;
        }
    }
    return false;
}

/* Evicts for the cap on addresses per name. A name may exceed it only by grants that carry flows;
 * when their flows are over, two go for one that comes. */
static void cap_name(pol_grants *grants, uint64_t id, struct work *work)
{
    uint32_t set = set_find(grants, BY_NAME, id), cap = grants->opts.addresses_per_name;
    uint32_t count = set == POL_NONE ? 0 : grants->sets[set].count;

    for (int i = 0; i < 2 && count >= cap; i++, count--) {
        uint32_t victim = set_victim(grants, set, work);

        if (victim == POL_NONE || !slot_release(grants, victim))
            return;
        BUMP(grants->stat_evicted_name);
    }
}

/* --- lessons -------------------------------------------------------------------------------- */

static void lock(pol_grants *grants)
{
    while (atomic_flag_test_and_set_explicit(&grants->learning, memory_order_acquire))
        relax();
}

static void unlock(pol_grants *grants)
{
    atomic_flag_clear_explicit(&grants->learning, memory_order_release);
}

/* A clock that is behind that of another learner, or went back, counts as standing still. */
static pol_mono advance(pol_grants *grants, pol_mono now)
{
    pol_mono seen = GET(grants->clock);

    while (seen < now &&
           !atomic_compare_exchange_weak_explicit(&grants->clock, &seen, now, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
    return seen < now ? now : seen;
}

static uint32_t find_grant(const pol_grants *grants, const pol_grant *grant, uint64_t of_addr,
                           uint64_t name_hash)
{
    uint32_t index = *grant_head(grants, of_addr, name_hash);

    while (index != POL_NONE && (GET(grants->slots[index].name_hash) != name_hash ||
                                 !slot_is(&grants->slots[index], grant->group_key, &grant->addr)))
        index = grants->slots[index].grant_next;
    return index;
}

enum outcome { ADDED, REFRESHED, NO_ROOM };

static enum outcome add_grant(pol_grants *grants, const pol_grant *grant, uint64_t hash,
                              struct work *work)
{
    const uint64_t ids[SET_KINDS] = {
        [BY_GROUP] = grant->group_key,
        [BY_NAME] = of_group(work->name_hash, grant->group_key),
        [BY_ADDR] = of_group(hash, grant->group_key),
    };
    uint32_t set = set_find(grants, BY_ADDR, ids[BY_ADDR]), index = POL_NONE;

    if (set != POL_NONE)
        index = find_grant(grants, grant, ids[BY_ADDR], work->name_hash);
    if (index != POL_NONE) {
        slot_refresh(grants, index, grant, work->now);
        return REFRESHED;
    }
    if (set != POL_NONE && !cap_addr(grants, set, work)) {
        BUMP(grants->stat_refused);
        return NO_ROOM;
    }
    cap_name(grants, ids[BY_NAME], work);
    if (grants->free_slot == POL_NONE && !make_room(grants, grant->group_key, work)) {
        BUMP(grants->stat_refused);
        return NO_ROOM;
    }
    slot_insert(grants, grant, work->name_hash, ids);
    return ADDED;
}

/* Everybody waits for the learner, and the learner would wait for memory: no two grants are near
 * each other in any index. So it asks for what several addresses need before it needs it. */
static void fetch_ahead(const pol_grants *grants, const struct grants_lesson *lesson, uint32_t from,
                        uint32_t count, const struct work *work, uint64_t hashes[AHEAD])
{
    for (uint32_t i = 0; i < count; i++) {
        const pol_addr *addr = &lesson->addrs[from + i];

        hashes[i] = addr_hash(grants, addr);
        __builtin_prefetch(use_of(grants, addr), 1);
        for (uint32_t k = 0; k < lesson->key_count; k++) {
            uint64_t id = of_group(hashes[i], lesson->keys[k]);

            __builtin_prefetch(&grants->set_index[id & grants->set_mask], 1);
            __builtin_prefetch(&grants->by_addr[bucket_of(grants, id)], 1);
            __builtin_prefetch(grant_head(grants, id, work->name_hash), 1);
        }
    }
}

/* The same for what the indexes lead to. Learner. */
static void fetch_neighbours(const pol_grants *grants, const struct grants_lesson *lesson,
                             const uint64_t *hashes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < lesson->key_count; k++) {
            uint64_t id = of_group(hashes[i], lesson->keys[k]);
            uint32_t set = grants->set_index[id & grants->set_mask];
            uint32_t slot = GET(grants->by_addr[bucket_of(grants, id)]);

            if (set != POL_NONE)
                __builtin_prefetch(&grants->sets[set], 1);
            if (slot != POL_NONE)
                __builtin_prefetch(&grants->slots[slot].prev, 1);
        }
    }
}

static void learn_addr(pol_grants *grants, const struct grants_lesson *lesson, pol_grant *grant,
                       uint64_t hash, struct work *work, struct grants_learned *learned)
{
    for (uint32_t k = 0; k < lesson->key_count; k++) {
        enum outcome outcome;

        grant->group_key = lesson->keys[k];
        outcome = add_grant(grants, grant, hash, work);
        learned->added += outcome == ADDED;
        learned->refreshed += outcome == REFRESHED;
        learned->full |= outcome == NO_ROOM;
    }
}

void grants_learn(pol_grants *grants, const struct grants_lesson *lesson, pol_mono now,
                  struct grants_learned *ret_learned)
{
    struct work work = begin_work(advance(grants, now), grants_name_hash(grants, lesson->name));
    uint64_t hashes[AHEAD];
    pol_grant grant = {
        .kind = lesson->kind,
        .name_len = (uint8_t)lesson->name.len,
        .learned = work.now,
        .answered = work.now,
        .used = work.now,
    };

    memcpy(grant.name, lesson->name.ptr, lesson->name.len);
    *ret_learned = (struct grants_learned){0};
    for (uint32_t a = 0; a < lesson->addr_count; a += AHEAD) {
        uint32_t count = lesson->addr_count - a < AHEAD ? lesson->addr_count - a : AHEAD;

        fetch_ahead(grants, lesson, a, count, &work, hashes);
        lock(grants);
        fetch_neighbours(grants, lesson, hashes, count);
        for (uint32_t i = 0; i < count; i++) {
            grant.addr = lesson->addrs[a + i];
            grant.ttl = lesson->ttls[a + i];
            learn_addr(grants, lesson, &grant, hashes[i], &work, ret_learned);
        }
        unlock(grants);
    }
}

static pol_mono earlier(pol_mono a, pol_mono b)
{
    return a < b ? a : b;
}

int pol_grants_restore(pol_grants *grants, const pol_grant *given, pol_mono now)
{
    pol_grant grant = *given;
    pol_mono idle = grant.two_way ? grants->opts.idle_two_way : grants->opts.idle;
    enum outcome outcome;
    struct work work;

    if ((grant.addr.family != 4 && grant.addr.family != 6) || grant.name_len == 0 ||
        grant.kind > POL_GRANT_RECORDED)
        return POL_E_INVALID;
    grant.two_way = grant.two_way != 0;
    grant.learned = earlier(grant.learned, now);
    grant.answered = earlier(grant.answered, now);
    grant.used = earlier(grant.used, now);
    if (grant.used < grant.answered)
        grant.used = grant.answered;
    now = advance(grants, now);
    if (mono_after(grant.answered, clamp_ttl(grants, grant.ttl)) <= now &&
        mono_after(grant.used, idle) <= now)
        return POL_E_NOTFOUND;
    work = begin_work(now, grants_name_hash(grants, (pol_str){grant.name, grant.name_len}));
    lock(grants);
    outcome = add_grant(grants, &grant, addr_hash(grants, &grant.addr), &work);
    unlock(grants);
    return outcome == NO_ROOM ? POL_E_FULL : POL_OK;
}

/* True when the slot was freed. */
static bool expire_slot(pol_grants *grants, uint32_t index, pol_mono now)
{
    struct slot *slot = &grants->slots[index];

    if (!in_use(GET(slot->pin)) || slot_state(grants, slot, now) != POL_GRANT_GONE)
        return false;
    if (!slot->counted_gone) {
        slot->counted_gone = 1;
        BUMP(grants->gone);
        BUMP(grants->stat_expired);
    }
    return now >= mono_after(live_until(grants, slot), GONE_MEMORY) && slot_release(grants, index);
}

size_t pol_grants_expire(pol_grants *grants, pol_mono now, size_t budget)
{
    size_t freed = 0;

    now = advance(grants, now);
    lock(grants);
    for (size_t i = 0; i < budget && i < grants->opts.capacity; i++)
        freed += expire_slot(grants, sweep_on(grants), now);
    unlock(grants);
    return freed;
}
