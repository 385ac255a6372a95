/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grant table. Slots and names are fixed pools; these indexes lead to them:
 *
 *   by address   hash of (key, address) -> chain of slots     readers and learners
 *   addr_use     how many slots an address has at all         readers and learners
 *   by name      hash of (key, name)    -> chain of slots     learners: the cap per name
 *   by group     list per group key, oldest answer first      learners: fair eviction
 *   names        hash of text           -> name               learners: one copy of each name
 *
 * Learners take one spin flag. Readers take nothing: they walk a chain between two reads of its
 * stripe's sequence number and walk again if a learner was there. Everything a reader touches is an
 * atomic, so a torn walk reads stale indexes at worst, never memory that is not ours; the walk is
 * bounded. A name is copied out without a sequence number: its hash, which the reader got from a
 * walk that was undisturbed, proves that the copy is whole.
 *
 * A slot's pin word is (version << 32 | flows). The version is odd while the slot is in use and
 * changes on every allocation and release, so a pin by compare-and-swap cannot catch a reused slot,
 * and a learner can release a slot only while no flow holds it.
 *
 * Liveness is a function of time and is computed wherever it is asked for. A grant whose time is
 * over stays in its slot, remembered, for GONE_MEMORY or until the room is needed, so that a
 * refusal can say "expired" instead of "never heard of".
 */
#include "grants/grants.h"

#include <stdatomic.h>
#include <string.h>

#include "base/abi.h"
#include "base/ctx.h"
#include "base/hash.h"
#include "base/mem.h"

enum {
    STRIPES = 1024,
    CAPACITY_MAX = 1 << 24,
    NAME_WORDS = (POL_NAME_MAX + 1) / 8,
    EVICT_CANDIDATES = 64,  /* looked at from the cold end of a group's list */
    EVICT_SWEEP = 4096,     /* slots looked at when no group is an obvious victim */
    WALK_MAX = 1 << 16      /* a chain cannot be longer; a torn walk could be */
};

#define GONE_MEMORY (3600 * POL_SECONDS)

struct slot {
    _Atomic uint64_t pin; /* version << 32 | flows */
    _Atomic uint64_t key;
    _Atomic uint64_t addr[2]; /* pol_addr.bytes as they are */
    _Atomic uint64_t name_hash;
    _Atomic uint64_t until;   /* answer + clamped TTL */
    _Atomic uint64_t used;
    _Atomic uint64_t answered;
    _Atomic uint64_t learned;
    _Atomic uint32_t next; /* in the chain by address */
    _Atomic uint32_t name;
    _Atomic uint32_t ttl;
    _Atomic uint8_t family, kind, two_way;
    /* learners only: */
    uint8_t counted_gone;
    uint32_t name_next;
    uint32_t group;
    uint32_t group_prev, group_next;
};

struct name {
    _Atomic uint64_t text[NAME_WORDS];
    _Atomic uint64_t hash;
    _Atomic uint8_t len;
    uint32_t refs; /* learners only, as the next */
    uint32_t next;
};

struct group {
    uint64_t key;
    uint32_t next; /* in the chain by key */
    uint32_t count;
    uint32_t oldest, newest; /* slots by answer */
};

struct pol_grants {
    pol_ctx *ctx;
    pol_grants_options opts;
    uint32_t mask; /* of every hash index */

    atomic_flag learning;
    _Atomic uint32_t sequence[STRIPES];
    _Atomic uint32_t *addr_use; /* slots by a plain hash of their address: most destinations have
                                   no grant at all, and one load tells */

    struct slot *slots;
    _Atomic uint32_t *by_addr;
    uint32_t *by_name;
    uint32_t free_slot; /* chained through name_next */

    struct name *names;
    uint32_t *name_index;
    uint32_t free_name; /* chained through next */

    struct group *groups;
    uint32_t *group_index;
    uint32_t free_group; /* chained through next */
    uint32_t group_count;

    uint32_t sweep;          /* where pol_grants_expire() goes on */
    _Atomic uint32_t in_use; /* slots */
    _Atomic uint32_t gone;   /* of them, seen to be over */
    _Atomic uint64_t stat_learned, stat_refreshed, stat_expired;
    _Atomic uint64_t stat_evicted_name, stat_evicted_address, stat_evicted_total;
    _Atomic uint64_t stat_refused;
};

#define GET(field)        atomic_load_explicit(&(field), memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define BUMP(field)       atomic_fetch_add_explicit(&(field), 1, memory_order_relaxed)

/* --- creation ------------------------------------------------------------------------------- */

static const pol_grants_options defaults = {
    .size = sizeof(pol_grants_options),
    .capacity = 65536,
    .addresses_per_name = 1000,
    .names_per_address = GRANTS_HITS_MAX,
    .ttl_min = 0,
    .ttl_max = 86400 * POL_SECONDS,
    .idle = 420 * POL_SECONDS,
    .idle_two_way = 7440 * POL_SECONDS,
};

void pol_grants_options_init(pol_grants_options *opts, size_t size)
{
    abi_defaults(opts, size, &defaults, sizeof(defaults));
}

static uint32_t index_size(uint32_t capacity)
{
    uint32_t size = 16;

    while (size < capacity)
        size *= 2;
    return size;
}

static void empty_index(uint32_t *index, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        index[i] = POL_NONE;
}

static void chain_everything(pol_grants *grants)
{
    uint32_t capacity = grants->opts.capacity;

    empty_index(grants->by_name, grants->mask + 1);
    empty_index(grants->name_index, grants->mask + 1);
    empty_index(grants->group_index, grants->mask + 1);
    for (uint32_t i = 0; i <= grants->mask; i++)
        atomic_init(&grants->by_addr[i], POL_NONE);
    for (uint32_t i = 0; i < capacity; i++) {
        uint32_t next = i + 1 < capacity ? i + 1 : POL_NONE;

        grants->slots[i].name_next = next;
        grants->names[i].next = next;
        grants->groups[i].next = next;
    }
    grants->free_slot = grants->free_name = grants->free_group = 0;
}

int pol_grants_new(pol_ctx *ctx, const pol_grants_options *given, pol_grants **ret_grants)
{
    pol_grants_options opts = defaults;
    const pol_mem *mem = &ctx->mem;
    pol_grants *grants = NULL;
    uint32_t size;
    int rc;

    rc = abi_options(&opts, sizeof(opts), given, sizeof(defaults));
    if (rc < 0)
        return rc;
    if (opts.capacity == 0 || opts.capacity > CAPACITY_MAX || opts.addresses_per_name == 0 ||
        opts.names_per_address == 0 || opts.names_per_address > GRANTS_HITS_MAX)
        return POL_E_INVALID;

    rc = POL_E_NOMEM;
    grants = mem_zalloc(mem, sizeof(*grants));
    if (!grants)
        goto out;
    grants->ctx = pol_ctx_ref(ctx);
    grants->opts = opts;
    size = index_size(opts.capacity);
    grants->mask = size - 1;
    atomic_flag_clear(&grants->learning);
    grants->slots = mem_array(mem, opts.capacity, sizeof(*grants->slots));
    grants->names = mem_array(mem, opts.capacity, sizeof(*grants->names));
    grants->groups = mem_array(mem, opts.capacity, sizeof(*grants->groups));
    grants->by_addr = mem_array(mem, size, sizeof(*grants->by_addr));
    grants->addr_use = mem_array(mem, size, sizeof(*grants->addr_use));
    grants->by_name = mem_array(mem, size, sizeof(*grants->by_name));
    grants->name_index = mem_array(mem, size, sizeof(*grants->name_index));
    grants->group_index = mem_array(mem, size, sizeof(*grants->group_index));
    if (!grants->slots || !grants->names || !grants->groups || !grants->by_addr ||
        !grants->addr_use || !grants->by_name || !grants->name_index || !grants->group_index)
        goto out;
    chain_everything(grants);
    *ret_grants = grants;
    grants = NULL;
    rc = POL_OK;

out:
    pol_grants_free(grants);
    return rc;
}

void pol_grants_free(pol_grants *grants)
{
    const pol_mem *mem;
    size_t capacity, size;
    pol_ctx *ctx;

    if (!grants)
        return;
    ctx = grants->ctx;
    mem = &ctx->mem;
    capacity = grants->opts.capacity;
    size = (size_t)grants->mask + 1;
    mem_free(mem, grants->slots, capacity * sizeof(*grants->slots));
    mem_free(mem, grants->names, capacity * sizeof(*grants->names));
    mem_free(mem, grants->groups, capacity * sizeof(*grants->groups));
    mem_free(mem, grants->by_addr, size * sizeof(*grants->by_addr));
    mem_free(mem, grants->addr_use, size * sizeof(*grants->addr_use));
    mem_free(mem, grants->by_name, size * sizeof(*grants->by_name));
    mem_free(mem, grants->name_index, size * sizeof(*grants->name_index));
    mem_free(mem, grants->group_index, size * sizeof(*grants->group_index));
    mem_free(mem, grants, sizeof(*grants));
    pol_ctx_unref(ctx);
}

size_t grants_memory(const pol_grants *grants)
{
    size_t size = (size_t)grants->mask + 1;

    return sizeof(*grants) + size * 5 * sizeof(uint32_t) +
           grants->opts.capacity *
               (sizeof(*grants->slots) + sizeof(*grants->names) + sizeof(*grants->groups));
}

/* --- time ----------------------------------------------------------------------------------- */

static pol_mono add_time(pol_mono moment, pol_mono duration)
{
    return moment > POL_NEVER - 1 - duration ? POL_NEVER - 1 : moment + duration;
}

static pol_mono clamp_ttl(const pol_grants *grants, uint32_t ttl)
{
    pol_mono time = ttl * POL_SECONDS;

    if (time < grants->opts.ttl_min)
        return grants->opts.ttl_min;
    return time < grants->opts.ttl_max ? time : grants->opts.ttl_max;
}

static pol_mono live_until(const pol_grants *grants, const struct slot *slot)
{
    pol_mono idle = GET(slot->two_way) ? grants->opts.idle_two_way : grants->opts.idle;
    pol_mono until = GET(slot->until);
    pol_mono used = add_time(GET(slot->used), idle);

    return until > used ? until : used;
}

static uint32_t flows_of(uint64_t pin)
{
    return (uint32_t)pin;
}

static uint8_t state_of(pol_mono live, uint64_t pin, pol_mono now)
{
    if (now < live)
        return POL_GRANT_LIVE;
    return flows_of(pin) ? POL_GRANT_HELD : POL_GRANT_GONE;
}

/* --- hashing -------------------------------------------------------------------------------- */

static uint32_t addr_bucket(const pol_grants *grants, uint64_t key, const pol_addr *addr)
{
    uint8_t data[24];

    memcpy(data, &key, 8);
    memcpy(data + 8, addr->bytes, 16);
    return (uint32_t)hash_bytes(grants->ctx->hash_seed, data, sizeof(data)) & grants->mask;
}

/* Not keyed: collisions cost a lookup that finds nothing. */
static _Atomic uint32_t *use_of(const pol_grants *grants, const pol_addr *addr)
{
    uint64_t words[2], mixed;

    memcpy(words, addr->bytes, sizeof(words));
    mixed = (words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    return &grants->addr_use[mixed >> 32 & grants->mask];
}

static uint32_t name_bucket(const pol_grants *grants, uint64_t key, uint32_t name)
{
    uint64_t data[2] = {key, name};

    return (uint32_t)hash_bytes(grants->ctx->hash_seed, data, sizeof(data)) & grants->mask;
}

static uint32_t group_bucket(const pol_grants *grants, uint64_t key)
{
    return (uint32_t)hash_bytes(grants->ctx->hash_seed, &key, sizeof(key)) & grants->mask;
}

uint64_t grants_name_hash(const pol_grants *grants, pol_str name)
{
    return hash_bytes(grants->ctx->hash_seed, name.ptr, name.len);
}

static bool slot_is(const struct slot *slot, uint64_t key, const pol_addr *addr)
{
    uint64_t words[2];

    memcpy(words, addr->bytes, sizeof(words));
    return GET(slot->key) == key && GET(slot->addr[0]) == words[0] &&
           GET(slot->addr[1]) == words[1] && GET(slot->family) == addr->family;
}

/* --- readers -------------------------------------------------------------------------------- */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_hit(const pol_grants *grants, uint32_t index, pol_mono now, struct grants_hit *hit)
{
    const struct slot *slot = &grants->slots[index];
    uint64_t pin = GET(slot->pin);

    *hit = (struct grants_hit){
        .slot = index,
        .version = (uint32_t)(pin >> 32),
        .name = GET(slot->name),
        .kind = GET(slot->kind),
        .state = state_of(live_until(grants, slot), pin, now),
        .name_hash = GET(slot->name_hash),
        .used = GET(slot->used),
    };
}

static size_t walk_chain(const pol_grants *grants, uint32_t bucket, uint64_t key,
                         const pol_addr *addr, pol_mono now, struct grants_hit *hits)
{
    uint32_t index = GET(grants->by_addr[bucket]);
    size_t count = 0;

    for (uint32_t step = 0; index < grants->opts.capacity && step < WALK_MAX; step++) {
        const struct slot *slot = &grants->slots[index];

        if (slot_is(slot, key, addr) && count < GRANTS_HITS_MAX)
            take_hit(grants, index, now, &hits[count++]);
        index = GET(slot->next);
    }
    return count;
}

size_t grants_lookup(const pol_grants *grants, uint64_t key, const pol_addr *addr, pol_mono now,
                     struct grants_hit hits[GRANTS_HITS_MAX])
{
    const _Atomic uint32_t *sequence;
    uint32_t bucket;

    if (GET(*use_of(grants, addr)) == 0)
        return 0;
    bucket = addr_bucket(grants, key, addr);
    sequence = &grants->sequence[bucket % STRIPES];

    for (;;) {
        uint32_t before = atomic_load_explicit(sequence, memory_order_acquire);
        size_t count;

        if (before & 1) {
            relax();
            continue;
        }
        count = walk_chain(grants, bucket, key, addr, now, hits);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(sequence, memory_order_relaxed) == before)
            return count;
    }
}

bool grants_name(const pol_grants *grants, uint32_t index, uint64_t name_hash,
                 char text[POL_NAME_MAX + 1], uint8_t *ret_len)
{
    const struct name *name = &grants->names[index];
    uint64_t words[NAME_WORDS];
    uint8_t len = GET(name->len);

    for (size_t i = 0; i < NAME_WORDS && i * 8 < len; i++)
        words[i] = GET(name->text[i]);
    memcpy(text, words, len);
    text[len] = '\0';
    if (grants_name_hash(grants, (pol_str){text, len}) != name_hash)
        return false;
    *ret_len = len;
    return true;
}

bool grants_pin(pol_grants *grants, uint32_t index, uint32_t version)
{
    struct slot *slot = &grants->slots[index];
    uint64_t pin = atomic_load_explicit(&slot->pin, memory_order_relaxed);

    /* An even version: the lookup found the slot still in its chain, but released already. */
    if (!(version & 1))
        return false;
    while ((uint32_t)(pin >> 32) == version && flows_of(pin) != UINT32_MAX) {
        if (atomic_compare_exchange_weak_explicit(&slot->pin, &pin, pin + 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

void grants_unpin(pol_grants *grants, uint32_t index)
{
    atomic_fetch_sub_explicit(&grants->slots[index].pin, 1, memory_order_acq_rel);
}

void grants_touch(pol_grants *grants, uint32_t index, pol_mono now, bool two_way)
{
    struct slot *slot = &grants->slots[index];

    if (GET(slot->used) < now)
        SET(slot->used, now);
    if (two_way && !GET(slot->two_way))
        SET(slot->two_way, 1);
}

/* Copies a slot out if it is in use and stays so meanwhile. */
static bool copy_slot(const pol_grants *grants, uint32_t index, pol_mono now, pol_grant *ret_grant)
{
    const struct slot *slot = &grants->slots[index];
    uint64_t pin = atomic_load_explicit(&slot->pin, memory_order_acquire);
    uint64_t words[2];
    pol_grant grant;

    if (!(pin >> 32 & 1))
        return false;
    memset(&grant, 0, sizeof(grant));
    grant.group_key = GET(slot->key);
    words[0] = GET(slot->addr[0]);
    words[1] = GET(slot->addr[1]);
    memcpy(grant.addr.bytes, words, sizeof(words));
    grant.addr.family = GET(slot->family);
    grant.kind = GET(slot->kind);
    grant.two_way = GET(slot->two_way);
    grant.flows = flows_of(pin);
    grant.ttl = GET(slot->ttl);
    grant.learned = GET(slot->learned);
    grant.answered = GET(slot->answered);
    grant.used = GET(slot->used);
    grant.expires = live_until(grants, slot);
    grant.state = state_of(grant.expires, pin, now);
    if (!grants_name(grants, GET(slot->name), GET(slot->name_hash), grant.name, &grant.name_len))
        return false;
    atomic_thread_fence(memory_order_acquire);
    if (GET(slot->pin) >> 32 != pin >> 32 || grant.state == POL_GRANT_GONE)
        return false;
    *ret_grant = grant;
    return true;
}

size_t pol_grants_list(const pol_grants *grants, uint32_t *position, pol_mono now,
                       pol_grant *ret_grants, size_t capacity)
{
    uint32_t index = *position;
    size_t count = 0;

    for (; index < grants->opts.capacity && count < capacity; index++)
        count += copy_slot(grants, index, now, &ret_grants[count]);
    *position = index;
    return count;
}

/* Keeps the most recently used grants of both lookups, newest first. */
static size_t keep_newest(const pol_grants *grants, const struct grants_hit *hits, size_t hit_count,
                          pol_mono now, pol_grant *out, size_t out_count, size_t capacity)
{
    for (size_t i = 0; i < hit_count; i++) {
        pol_grant grant;
        size_t at = out_count < capacity ? out_count : capacity;

        if (hits[i].state == POL_GRANT_GONE || !copy_slot(grants, hits[i].slot, now, &grant))
            continue;
        while (at > 0 && out[at - 1].used < grant.used) {
            if (at < capacity)
                out[at] = out[at - 1];
            at--;
        }
        if (at < capacity)
            out[at] = grant;
        out_count++;
    }
    return out_count;
}

size_t pol_grants_names(const pol_grants *grants, uint64_t group_key, const pol_addr *addr,
                        pol_mono now, pol_grant *ret_grants, size_t capacity)
{
    struct grants_hit hits[GRANTS_HITS_MAX];
    size_t count = 0;

    count = keep_newest(grants, hits, grants_lookup(grants, group_key, addr, now, hits), now,
                        ret_grants, count, capacity);
    if (group_key)
        count = keep_newest(grants, hits, grants_lookup(grants, 0, addr, now, hits), now,
                            ret_grants, count, capacity);
    return count;
}

void pol_grants_stats_get(const pol_grants *grants, pol_grants_stats *ret_stats)
{
    uint32_t in_use = GET(grants->in_use), gone = GET(grants->gone);

    *ret_stats = (pol_grants_stats){
        .capacity = grants->opts.capacity,
        .live = in_use > gone ? in_use - gone : 0,
        .learned = GET(grants->stat_learned),
        .refreshed = GET(grants->stat_refreshed),
        .expired = GET(grants->stat_expired),
        .evicted_name = GET(grants->stat_evicted_name),
        .evicted_address = GET(grants->stat_evicted_address),
        .evicted_total = GET(grants->stat_evicted_total),
        .refused_full = GET(grants->stat_refused),
    };
}

/* --- learners ------------------------------------------------------------------------------- */

static void lock(pol_grants *grants)
{
    while (atomic_flag_test_and_set_explicit(&grants->learning, memory_order_acquire))
        relax();
}

static void unlock(pol_grants *grants)
{
    atomic_flag_clear_explicit(&grants->learning, memory_order_release);
}

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

static uint32_t group_find(const pol_grants *grants, uint64_t key)
{
    uint32_t index = grants->group_index[group_bucket(grants, key)];

    while (index != POL_NONE && grants->groups[index].key != key)
        index = grants->groups[index].next;
    return index;
}

static uint32_t group_take(pol_grants *grants, uint64_t key)
{
    uint32_t index = group_find(grants, key);
    uint32_t bucket = group_bucket(grants, key);
    struct group *group;

    if (index != POL_NONE)
        return index;
    index = grants->free_group;
    group = &grants->groups[index];
    grants->free_group = group->next;
    *group = (struct group){
        .key = key,
        .next = grants->group_index[bucket],
        .oldest = POL_NONE,
        .newest = POL_NONE,
    };
    grants->group_index[bucket] = index;
    grants->group_count++;
    return index;
}

static void group_drop_if_empty(pol_grants *grants, uint32_t index)
{
    struct group *group = &grants->groups[index];
    uint32_t *link = &grants->group_index[group_bucket(grants, group->key)];

    if (group->count)
        return;
    while (*link != index)
        link = &grants->groups[*link].next;
    *link = group->next;
    group->next = grants->free_group;
    grants->free_group = index;
    grants->group_count--;
}

static void group_append(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    struct group *group = &grants->groups[slot->group];

    slot->group_prev = group->newest;
    slot->group_next = POL_NONE;
    if (group->newest != POL_NONE)
        grants->slots[group->newest].group_next = index;
    else
        group->oldest = index;
    group->newest = index;
    group->count++;
}

static void group_remove(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    struct group *group = &grants->groups[slot->group];

    if (slot->group_prev != POL_NONE)
        grants->slots[slot->group_prev].group_next = slot->group_next;
    else
        group->oldest = slot->group_next;
    if (slot->group_next != POL_NONE)
        grants->slots[slot->group_next].group_prev = slot->group_prev;
    else
        group->newest = slot->group_prev;
    group->count--;
}

static void unlink_by_addr(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    _Atomic uint32_t *link;
    uint32_t bucket;
    pol_addr addr;

    slot_addr(slot, &addr);
    bucket = addr_bucket(grants, GET(slot->key), &addr);
    stripe_begin(grants, bucket);
    link = &grants->by_addr[bucket];
    while (GET(*link) != index)
        link = &grants->slots[GET(*link)].next;
    SET(*link, GET(slot->next));
    stripe_end(grants, bucket);
    SET(*use_of(grants, &addr), GET(*use_of(grants, &addr)) - 1);
}

static void unlink_by_name(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint32_t *link = &grants->by_name[name_bucket(grants, GET(slot->key), GET(slot->name))];

    while (*link != index)
        link = &grants->slots[*link].name_next;
    *link = slot->name_next;
}

/* False when a flow holds the slot. */
static bool slot_release(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint64_t pin = GET(slot->pin);
    uint64_t idle = pin >> 32 << 32;

    if (flows_of(pin) ||
        !atomic_compare_exchange_strong_explicit(&slot->pin, &idle, idle + (UINT64_C(1) << 32),
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    unlink_by_addr(grants, index);
    unlink_by_name(grants, index);
    group_remove(grants, index);
    group_drop_if_empty(grants, slot->group);
    name_drop(grants, GET(slot->name));
    if (slot->counted_gone)
        SET(grants->gone, GET(grants->gone) - 1);
    slot->counted_gone = 0;
    slot->name_next = grants->free_slot;
    grants->free_slot = index;
    SET(grants->in_use, GET(grants->in_use) - 1);
    return true;
}

static uint8_t slot_state(const pol_grants *grants, const struct slot *slot, pol_mono now)
{
    return state_of(live_until(grants, slot), GET(slot->pin), now);
}

/* The better victim of two: one whose time is over, then the least recently used. POL_NONE loses. */
static uint32_t worse(const pol_grants *grants, uint32_t best, uint32_t candidate, pol_mono now)
{
    const struct slot *a, *b = &grants->slots[candidate];
    bool a_gone, b_gone;

    if (flows_of(GET(b->pin)))
        return best;
    if (best == POL_NONE)
        return candidate;
    a = &grants->slots[best];
    a_gone = slot_state(grants, a, now) == POL_GRANT_GONE;
    b_gone = slot_state(grants, b, now) == POL_GRANT_GONE;
    if (a_gone != b_gone)
        return a_gone ? best : candidate;
    return GET(b->used) < GET(a->used) ? candidate : best;
}

/* The least recently used grant among the oldest answers of a group. */
static uint32_t group_victim(const pol_grants *grants, uint32_t group, pol_mono now)
{
    uint32_t index = grants->groups[group].oldest, best = POL_NONE;

    for (int i = 0; i < EVICT_CANDIDATES && index != POL_NONE; i++) {
        best = worse(grants, best, index, now);
        index = grants->slots[index].group_next;
    }
    return best;
}

/* A grant of a group above its fair share, or any that no flow holds. */
static uint32_t sweep_victim(pol_grants *grants, uint32_t share, pol_mono now)
{
    uint32_t best = POL_NONE, greedy = POL_NONE, looked = 0;

    while (looked < EVICT_SWEEP && looked < grants->opts.capacity) {
        uint32_t index = grants->sweep;

        grants->sweep = (index + 1) % grants->opts.capacity;
        looked++;
        if (!(GET(grants->slots[index].pin) >> 32 & 1))
            continue;
        best = worse(grants, best, index, now);
        if (grants->groups[grants->slots[index].group].count > share)
            greedy = worse(grants, greedy, index, now);
    }
    if (best != POL_NONE && slot_state(grants, &grants->slots[best], now) == POL_GRANT_GONE)
        return best;
    return greedy != POL_NONE ? greedy : best;
}

static bool make_room(pol_grants *grants, uint64_t key, pol_mono now)
{
    uint32_t group = group_find(grants, key);
    uint32_t groups = grants->group_count + (group == POL_NONE);
    uint32_t share = grants->opts.capacity / (groups ? groups : 1);
    uint32_t victim = POL_NONE;
    bool gone, counted;

    if (group != POL_NONE && grants->groups[group].count >= share)
        victim = group_victim(grants, group, now);
    if (victim == POL_NONE)
        victim = sweep_victim(grants, share, now);
    if (victim == POL_NONE)
        return false;
    counted = grants->slots[victim].counted_gone;
    gone = slot_state(grants, &grants->slots[victim], now) == POL_GRANT_GONE;
    if (!slot_release(grants, victim))
        return false;
    if (!gone)
        BUMP(grants->stat_evicted_total);
    else if (!counted)
        BUMP(grants->stat_expired);
    return true;
}

/* The slot of (key, addr, name), and what the cap on names per address needs to know. */
static uint32_t find_grant(const pol_grants *grants, uint64_t key, const pol_addr *addr,
                           uint32_t name, pol_mono now, uint32_t *ret_names, uint32_t *ret_victim)
{
    uint32_t index = GET(grants->by_addr[addr_bucket(grants, key, addr)]);
    uint32_t found = POL_NONE;

    *ret_names = 0;
    *ret_victim = POL_NONE;
    while (index != POL_NONE) {
        const struct slot *slot = &grants->slots[index];

        if (slot_is(slot, key, addr)) {
            ++*ret_names;
            *ret_victim = worse(grants, *ret_victim, index, now);
            if (GET(slot->name) == name)
                found = index;
        }
        index = GET(slot->next);
    }
    return found;
}

/* Evicts for the cap on addresses per name. A name may exceed it only by grants that carry flows. */
static void cap_name(pol_grants *grants, uint64_t key, uint32_t name, pol_mono now)
{
    uint32_t index = grants->by_name[name_bucket(grants, key, name)];
    uint32_t count = 0, victim = POL_NONE;

    while (index != POL_NONE) {
        const struct slot *slot = &grants->slots[index];

        if (GET(slot->key) == key && GET(slot->name) == name) {
            count++;
            victim = worse(grants, victim, index, now);
        }
        index = slot->name_next;
    }
    if (count >= grants->opts.addresses_per_name && victim != POL_NONE &&
        slot_release(grants, victim))
        BUMP(grants->stat_evicted_name);
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
    SET(slot->kind, grant->kind);
    SET(slot->two_way, grant->two_way);
    SET(slot->ttl, grant->ttl);
    SET(slot->learned, grant->learned);
    SET(slot->answered, grant->answered);
    SET(slot->used, grant->used);
    SET(slot->until, add_time(grant->answered, clamp_ttl(grants, grant->ttl)));
}

static void slot_insert(pol_grants *grants, const pol_grant *grant, uint64_t hash)
{
    uint32_t bucket = addr_bucket(grants, grant->group_key, &grant->addr);
    uint32_t index = grants->free_slot, by_name;
    struct slot *slot = &grants->slots[index];

    grants->free_slot = slot->name_next;
    slot_fill(grants, index, grant, hash);
    SET(slot->name, name_take(grants, (pol_str){grant->name, grant->name_len}, hash));
    slot->group = group_take(grants, grant->group_key);
    group_append(grants, index);
    by_name = name_bucket(grants, grant->group_key, GET(slot->name));
    slot->name_next = grants->by_name[by_name];
    grants->by_name[by_name] = index;

    SET(*use_of(grants, &grant->addr), GET(*use_of(grants, &grant->addr)) + 1);
    stripe_begin(grants, bucket);
    atomic_store_explicit(&slot->pin, GET(slot->pin) + (UINT64_C(1) << 32), memory_order_release);
    SET(slot->next, GET(grants->by_addr[bucket]));
    SET(grants->by_addr[bucket], index);
    stripe_end(grants, bucket);
    SET(grants->in_use, GET(grants->in_use) + 1);
    BUMP(grants->stat_learned);
}

/* The newest answer extends the lifetime, never shortens it. What it is good for follows the
 * stronger of both while the old grant lives, the new one after. */
static void slot_refresh(pol_grants *grants, uint32_t index, const pol_grant *grant, pol_mono now)
{
    struct slot *slot = &grants->slots[index];
    pol_mono until = add_time(grant->answered, clamp_ttl(grants, grant->ttl));

    if (slot_state(grants, slot, now) == POL_GRANT_GONE || grant->kind < GET(slot->kind))
        SET(slot->kind, grant->kind);
    if (grant->answered >= GET(slot->answered)) {
        SET(slot->answered, grant->answered);
        SET(slot->ttl, grant->ttl);
    }
    if (until > GET(slot->until))
        SET(slot->until, until);
    if (grant->used > GET(slot->used))
        SET(slot->used, grant->used);
    if (slot->counted_gone) {
        slot->counted_gone = 0;
        SET(grants->gone, GET(grants->gone) - 1);
    }
    group_remove(grants, index);
    group_append(grants, index);
    BUMP(grants->stat_refreshed);
}

enum outcome {
    ADDED,
    REFRESHED,
    NO_ROOM
};

static enum outcome add_grant(pol_grants *grants, const pol_grant *grant, uint64_t hash,
                              pol_mono now)
{
    pol_str text = {grant->name, grant->name_len};
    uint32_t name = name_find(grants, text, hash);
    uint32_t names, victim, index;

    index = find_grant(grants, grant->group_key, &grant->addr, name, now, &names, &victim);
    if (name != POL_NONE && index != POL_NONE) {
        slot_refresh(grants, index, grant, now);
        return REFRESHED;
    }
    if (names >= grants->opts.names_per_address) {
        if (victim == POL_NONE || !slot_release(grants, victim)) {
            BUMP(grants->stat_refused);
            return NO_ROOM;
        }
        BUMP(grants->stat_evicted_address);
    }
    if (name != POL_NONE)
        cap_name(grants, grant->group_key, name, now);
    if (grants->free_slot == POL_NONE && !make_room(grants, grant->group_key, now)) {
        BUMP(grants->stat_refused);
        return NO_ROOM;
    }
    slot_insert(grants, grant, hash);
    return ADDED;
}

void grants_learn(pol_grants *grants, const struct grants_lesson *lesson, pol_mono now,
                  struct grants_learned *ret_learned)
{
    uint64_t hash = grants_name_hash(grants, lesson->name);
    pol_grant grant = {
        .kind = lesson->kind,
        .name_len = (uint8_t)lesson->name.len,
        .learned = now,
        .answered = now,
        .used = now,
    };

    memcpy(grant.name, lesson->name.ptr, lesson->name.len);
    *ret_learned = (struct grants_learned){0};
    lock(grants);
    for (uint32_t k = 0; k < lesson->key_count; k++) {
        grant.group_key = lesson->keys[k];
        for (uint32_t a = 0; a < lesson->addr_count; a++) {
            enum outcome outcome;

            grant.addr = lesson->addrs[a];
            grant.ttl = lesson->ttls[a];
            outcome = add_grant(grants, &grant, hash, now);
            ret_learned->added += outcome == ADDED;
            ret_learned->refreshed += outcome == REFRESHED;
            ret_learned->full |= outcome == NO_ROOM;
        }
    }
    unlock(grants);
}

int pol_grants_restore(pol_grants *grants, const pol_grant *given, pol_mono now)
{
    pol_grant grant = *given;
    pol_mono idle = grant.two_way ? grants->opts.idle_two_way : grants->opts.idle;
    enum outcome outcome;

    if ((grant.addr.family != 4 && grant.addr.family != 6) || grant.name_len == 0 ||
        grant.kind > POL_GRANT_RECORDED)
        return POL_E_INVALID;
    if (add_time(grant.answered, clamp_ttl(grants, grant.ttl)) <= now &&
        add_time(grant.used, idle) <= now)
        return POL_E_NOTFOUND;
    lock(grants);
    outcome = add_grant(grants, &grant,
                        grants_name_hash(grants, (pol_str){grant.name, grant.name_len}), now);
    unlock(grants);
    return outcome == NO_ROOM ? POL_E_FULL : POL_OK;
}

/* True when the slot was freed. */
static bool expire_slot(pol_grants *grants, uint32_t index, pol_mono now)
{
    struct slot *slot = &grants->slots[index];

    if (!(GET(slot->pin) >> 32 & 1) || slot_state(grants, slot, now) != POL_GRANT_GONE)
        return false;
    if (!slot->counted_gone) {
        slot->counted_gone = 1;
        SET(grants->gone, GET(grants->gone) + 1);
        BUMP(grants->stat_expired);
    }
    return now >= add_time(live_until(grants, slot), GONE_MEMORY) && slot_release(grants, index);
}

size_t pol_grants_expire(pol_grants *grants, pol_mono now, size_t budget)
{
    size_t freed = 0;

    lock(grants);
    for (size_t i = 0; i < budget && i < grants->opts.capacity; i++) {
        uint32_t index = grants->sweep;

        grants->sweep = (index + 1) % grants->opts.capacity;
        freed += expire_slot(grants, index, now);
    }
    unlock(grants);
    return freed;
}
