/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GRANTS_TABLE_H
#define GRANTS_TABLE_H

/*
 * The grant table. Slots and names are fixed pools; these indexes lead to them:
 *
 *   by address   hash of (key, address) -> chain of slots        readers and learners
 *   addr_use     how many slots an address has at all            readers and learners
 *   by grant     hash of (key, address, name) -> chain of slots  learners
 *   sets         hash of what slots share -> their list          learners: the caps, who has to go
 *   ranks        number of grants -> groups that have so many    learners: fair eviction
 *   names        hash of text -> name                            learners: one copy of each name
 *
 * A slot is in three sets: that of its group, of its (group, name) and of its (group, address). A
 * set knows its size and lists its slots by answer, the coldest first. Workers note a use in the
 * slot and touch no list, so the least recently used grant is looked for among the coldest
 * EVICT_CANDIDATES of a set that carry no flow: in a set of that size exactly it is found, in a
 * larger one a grant that is about as old. Those that do carry a flow go to the end of the list, so
 * that they are in nobody's way the next time. One answer can hold 512 addresses for 16 groups, and
 * everybody waits for the learner: what it does for a grant is a few steps, however full the table
 * is; what may take longer is limited by the effort a whole lesson is worth; and after AHEAD
 * addresses it lets another learner in.
 *
 * Learners take one spin flag. Readers take nothing: they walk a chain between two reads of its
 * stripe's sequence number and walk again if a learner was there. Everything a reader touches is an
 * atomic, so a torn walk reads stale indexes at worst, never memory that is not ours; the walk is
 * bounded. A name is copied out without a sequence number: its hash, which the reader got from a
 * walk that was undisturbed, proves that the copy is whole.
 *
 * A slot's pin word is (version << 32 | flows). The version is odd while the slot is in use and
 * changes on every allocation and release, so a pin by compare-and-swap cannot catch a reused slot,
 * and a learner can release a slot only while no flow holds it. A reader that loses that race looks
 * again; it does not meet the released slot once more, since an even version is passed over.
 *
 * Liveness is a function of time and is computed wherever it is asked for. A grant whose time is
 * over stays in its slot, remembered, for GONE_MEMORY or until the room is needed, so that a
 * refusal can say "expired" instead of "never heard of".
 *
 *   grants.c   making the table; readers
 *   slots.c    taking a slot and leaving it, in every index
 *   learn.c    lessons, the caps and who has to go
 */

#include <stdatomic.h>
#include <string.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "base/mono.h"
#include "grants/grants.h"

enum { STRIPES = 1024, NAME_WORDS = (POL_NAME_MAX + 1) / 8 };

/* What the slots of a set share. */
enum set_kind { BY_GROUP, BY_NAME, BY_ADDR, SET_KINDS };

/* A slot's place in the list of a set. */
struct place {
    uint32_t set;
    uint32_t prev, next;
};

struct slot {
    _Atomic uint64_t pin; /* version << 32 | flows */
    _Atomic uint64_t key;
    _Atomic uint64_t addr[2]; /* pol_addr.bytes as they are */
    _Atomic uint64_t name_hash;
    _Atomic uint64_t until; /* answer + clamped TTL */
    _Atomic uint64_t used;  /* never before `answered` */
    _Atomic uint32_t next;  /* in the chain by address */
    _Atomic uint8_t family, kind, two_way;
    uint8_t counted_gone; /* learners only */
    _Atomic uint64_t answered;
    _Atomic uint64_t learned;
    _Atomic uint32_t name;
    _Atomic uint32_t ttl;
    /* learners only: */
    uint32_t addr_bits;  /* of the hash of (key, address) */
    uint32_t prev;       /* in the chain by address */
    uint32_t grant_next; /* in the chain by grant */
    uint32_t stray;      /* a bit for each set whose list has it out of order */
    struct place places[SET_KINDS];
};

struct name {
    _Atomic uint64_t text[NAME_WORDS];
    _Atomic uint64_t hash;
    _Atomic uint8_t len;
    uint32_t refs; /* learners only, as the next */
    uint32_t next;
};

struct set {
    uint64_t id;   /* a group's key; a keyed hash that nobody can make collide */
    uint8_t kind;  /* enum set_kind */
    uint32_t next; /* in the chain by id */
    uint32_t count;
    uint32_t coldest, newest;
    pol_mono latest;               /* answer in the list */
    pol_mono none_gone;            /* when all candidates were looked at and none was gone */
    uint32_t strays;               /* slots that are listed behind a later answer */
    uint32_t rank_prev, rank_next; /* groups of the same size */
};

struct pol_grants {
    atomic_uint refs; /* the owner's, and one of each worker */
    pol_ctx *ctx;
    pol_grants_options opts;
    uint32_t mask; /* of every hash index but that of the sets */
    uint32_t set_mask;

    atomic_flag learning;
    _Atomic pol_mono clock; /* the latest moment that a learner has said */
    _Atomic uint32_t sequence[STRIPES];
    _Atomic uint32_t *addr_use; /* slots by a plain hash of their address: most destinations have
                                   no grant at all, and one load tells */

    struct slot *slots;
    _Atomic uint32_t *by_addr;
    uint32_t *by_grant;
    uint32_t free_slot; /* chained through grant_next */

    struct name *names;
    uint32_t *name_index;
    uint32_t free_name; /* chained through next */

    struct set *sets;
    uint32_t *set_index;
    uint32_t free_set; /* chained through next */

    uint32_t *ranks;  /* groups by the number of their grants */
    uint32_t largest; /* that number of the largest group */
    uint32_t group_count;

    uint32_t sweep;          /* where looking through the table goes on */
    _Atomic uint32_t in_use; /* slots */
    _Atomic uint32_t gone;   /* of them, seen to be over */
    _Atomic uint64_t stat_learned, stat_refreshed, stat_expired;
    _Atomic uint64_t stat_evicted_name, stat_evicted_address, stat_evicted_total;
    _Atomic uint64_t stat_refused;
};

#define GET(field)        atomic_load_explicit(&(field), memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define ADD(field, value) SET(field, GET(field) + (value)) /* learners take turns */
#define BUMP(field)       ADD(field, 1)

/* --- time ----------------------------------------------------------------------------------- */

/* Readers look at the clock but leave its line alone. */
static inline pol_mono not_before(const pol_grants *grants, pol_mono now)
{
    pol_mono seen = GET(grants->clock);

    return now > seen ? now : seen;
}

static inline pol_mono clamp_ttl(const pol_grants *grants, uint32_t ttl)
{
    pol_mono time = ttl * POL_SECONDS;

    if (time < grants->opts.ttl_min)
        return grants->opts.ttl_min;
    return time < grants->opts.ttl_max ? time : grants->opts.ttl_max;
}

static inline pol_mono live_until(const pol_grants *grants, const struct slot *slot)
{
    pol_mono idle = GET(slot->two_way) ? grants->opts.idle_two_way : grants->opts.idle;
    pol_mono until = GET(slot->until);
    pol_mono used = mono_after(GET(slot->used), idle);

    return until > used ? until : used;
}

static inline bool in_use(uint64_t pin)
{
    return pin >> 32 & 1;
}

static inline uint32_t flows_of(uint64_t pin)
{
    return (uint32_t)pin;
}

static inline uint8_t state_of(pol_mono live, uint64_t pin, pol_mono now)
{
    if (now < live)
        return POL_GRANT_LIVE;
    return flows_of(pin) ? POL_GRANT_HELD : POL_GRANT_GONE;
}

static inline uint8_t slot_state(const pol_grants *grants, const struct slot *slot, pol_mono now)
{
    return state_of(live_until(grants, slot), GET(slot->pin), now);
}

/* --- hashing -------------------------------------------------------------------------------- */

/* What tells the names of two groups apart, and their addresses. */
static inline uint64_t of_group(uint64_t hash, uint64_t key)
{
    return hash ^ key * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t addr_hash(const pol_grants *grants, const pol_addr *addr)
{
    uint64_t hash = hash_bytes(grants->ctx->hash_seed, addr->bytes, sizeof(addr->bytes));

    return hash ^ (uint64_t)addr->family << 56;
}

static inline uint32_t bucket_of(const pol_grants *grants, uint64_t hash)
{
    return (uint32_t)hash & grants->mask;
}

/* Not keyed: collisions cost a lookup that finds nothing. */
static inline _Atomic uint32_t *use_of(const pol_grants *grants, const pol_addr *addr)
{
    uint64_t words[2], mixed;

    memcpy(words, addr->bytes, sizeof(words));
    mixed = (words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    return &grants->addr_use[mixed >> 32 & grants->mask];
}

static inline bool slot_is(const struct slot *slot, uint64_t key, const pol_addr *addr)
{
    uint64_t words[2];

    memcpy(words, addr->bytes, sizeof(words));
    return GET(slot->key) == key && GET(slot->addr[0]) == words[0] &&
           GET(slot->addr[1]) == words[1] && GET(slot->family) == addr->family;
}

static inline uint32_t *grant_head(const pol_grants *grants, uint64_t of_addr, uint64_t name_hash)
{
    return &grants->by_grant[bucket_of(grants, of_addr ^ name_hash)];
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* --- slots.c, for learners ------------------------------------------------------------------ */

/* The set of that kind, or POL_NONE. */
uint32_t set_find(const pol_grants *grants, enum set_kind kind, uint64_t id);
/* Lists a slot as the newest of its set. */
void set_move_to_end(pol_grants *grants, enum set_kind kind, uint32_t index);

/* Into a free slot, of which there is one; `ids` are those of its sets. */
void slot_insert(pol_grants *grants, const pol_grant *grant, uint64_t hash,
                 const uint64_t ids[SET_KINDS]);
/* Another answer for the grant that is there. */
void slot_refresh(pol_grants *grants, uint32_t index, const pol_grant *grant, pol_mono now);
/* False when a flow holds the slot. */
bool slot_release(pol_grants *grants, uint32_t index);

#endif
