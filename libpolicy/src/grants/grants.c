/* SPDX-License-Identifier: Apache-2.0 */
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
    EVICT_CANDIDATES = 32, /* of a set; also flows passed over when the lesson has no effort left */
    SWEEP_EFFORT = 512,    /* slots of the table a lesson looks at for one that is gone */
    SWEEP_REWARD = 16,     /* more for each that it finds */
    PASS_EFFORT = 4096,    /* grants with flows that a lesson passes over */
    AHEAD = 8,             /* addresses learned before another learner may have its turn */
    WALK_MAX = 1 << 16     /* a chain cannot be longer; a torn walk could be */
};

#define GONE_MEMORY (3600 * POL_SECONDS)

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
    pol_ctx *ctx;
    pol_grants_options opts;
    uint32_t mask; /* of every hash index but that of the sets */
    uint32_t set_mask;

    atomic_flag learning;
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

    empty_index(grants->by_grant, grants->mask + 1);
    empty_index(grants->name_index, grants->mask + 1);
    empty_index(grants->set_index, grants->set_mask + 1);
    empty_index(grants->ranks, capacity + 1);
    for (uint32_t i = 0; i <= grants->mask; i++)
        atomic_init(&grants->by_addr[i], POL_NONE);
    for (uint32_t i = 0; i < capacity; i++)
        grants->slots[i].grant_next = grants->names[i].next = i + 1 < capacity ? i + 1 : POL_NONE;
    for (uint32_t i = 0; i < SET_KINDS * capacity; i++)
        grants->sets[i].next = i + 1 < SET_KINDS * capacity ? i + 1 : POL_NONE;
}

static bool take_memory(pol_grants *grants)
{
    const pol_mem *mem = &grants->ctx->mem;
    size_t capacity = grants->opts.capacity, size = (size_t)grants->mask + 1;

    grants->slots = mem_array(mem, capacity, sizeof(*grants->slots));
    grants->names = mem_array(mem, capacity, sizeof(*grants->names));
    grants->sets = mem_array(mem, SET_KINDS * capacity, sizeof(*grants->sets));
    grants->by_addr = mem_array(mem, size, sizeof(*grants->by_addr));
    grants->addr_use = mem_array(mem, size, sizeof(*grants->addr_use));
    grants->by_grant = mem_array(mem, size, sizeof(*grants->by_grant));
    grants->name_index = mem_array(mem, size, sizeof(*grants->name_index));
    grants->set_index = mem_array(mem, (size_t)grants->set_mask + 1, sizeof(*grants->set_index));
    grants->ranks = mem_array(mem, capacity + 1, sizeof(*grants->ranks));
    return grants->slots && grants->names && grants->sets && grants->by_addr && grants->addr_use &&
           grants->by_grant && grants->name_index && grants->set_index && grants->ranks;
}

int pol_grants_new(pol_ctx *ctx, const pol_grants_options *given, pol_grants **ret_grants)
{
    pol_grants_options opts = defaults;
    const pol_mem *mem = &ctx->mem;
    pol_grants *grants = NULL;
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
    grants->mask = index_size(2 * opts.capacity) - 1;
    grants->set_mask = index_size(2 * SET_KINDS * opts.capacity) - 1;
    atomic_flag_clear(&grants->learning);
    if (!take_memory(grants))
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
    mem_free(mem, grants->sets, SET_KINDS * capacity * sizeof(*grants->sets));
    mem_free(mem, grants->by_addr, size * sizeof(*grants->by_addr));
    mem_free(mem, grants->addr_use, size * sizeof(*grants->addr_use));
    mem_free(mem, grants->by_grant, size * sizeof(*grants->by_grant));
    mem_free(mem, grants->name_index, size * sizeof(*grants->name_index));
    mem_free(mem, grants->set_index, ((size_t)grants->set_mask + 1) * sizeof(*grants->set_index));
    mem_free(mem, grants->ranks, (capacity + 1) * sizeof(*grants->ranks));
    mem_free(mem, grants, sizeof(*grants));
    pol_ctx_unref(ctx);
}

size_t grants_memory(const pol_grants *grants)
{
    size_t indexes = 4 * ((size_t)grants->mask + 1) + grants->set_mask + 1;
    size_t capacity = grants->opts.capacity;

    return sizeof(*grants) + (indexes + capacity + 1) * sizeof(uint32_t) +
           capacity * (sizeof(*grants->slots) + sizeof(*grants->names) +
                       SET_KINDS * sizeof(*grants->sets));
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

/* What tells the names of two groups apart, and their addresses. */
static uint64_t of_group(uint64_t hash, uint64_t key)
{
    return hash ^ key * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t addr_hash(const pol_grants *grants, const pol_addr *addr)
{
    uint64_t hash = hash_bytes(grants->ctx->hash_seed, addr->bytes, sizeof(addr->bytes));

    return hash ^ (uint64_t)addr->family << 56;
}

static uint32_t bucket_of(const pol_grants *grants, uint64_t hash)
{
    return (uint32_t)hash & grants->mask;
}

/* Not keyed: collisions cost a lookup that finds nothing. */
static _Atomic uint32_t *use_of(const pol_grants *grants, const pol_addr *addr)
{
    uint64_t words[2], mixed;

    memcpy(words, addr->bytes, sizeof(words));
    mixed = (words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    return &grants->addr_use[mixed >> 32 & grants->mask];
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
    bucket = bucket_of(grants, of_group(addr_hash(grants, addr), key));
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

/* --- sets ----------------------------------------------------------------------------------- */

static uint32_t set_find(const pol_grants *grants, enum set_kind kind, uint64_t id)
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

static void set_move_to_end(pol_grants *grants, enum set_kind kind, uint32_t index)
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

static void link_by_addr(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint32_t bucket = bucket_of(grants, slot->addr_bits);
    uint32_t first = GET(grants->by_addr[bucket]);

    slot->prev = POL_NONE;
    if (first != POL_NONE)
        grants->slots[first].prev = index;
    stripe_begin(grants, bucket);
    atomic_store_explicit(&slot->pin, GET(slot->pin) + (UINT64_C(1) << 32), memory_order_release);
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

static uint32_t *grant_head(const pol_grants *grants, uint64_t of_addr, uint64_t name_hash)
{
    return &grants->by_grant[bucket_of(grants, of_addr ^ name_hash)];
}

static void unlink_by_grant(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint32_t *link = grant_head(grants, slot->addr_bits, GET(slot->name_hash));

    while (*link != index)
        link = &grants->slots[*link].grant_next;
    *link = slot->grant_next;
}

/* False when a flow holds the slot. */
static bool slot_release(pol_grants *grants, uint32_t index)
{
    struct slot *slot = &grants->slots[index];
    uint64_t pin = GET(slot->pin);
    uint64_t idle = pin >> 32 << 32;
    pol_addr addr;

    if (flows_of(pin) ||
        !atomic_compare_exchange_strong_explicit(&slot->pin, &idle, idle + (UINT64_C(1) << 32),
                                                 memory_order_acq_rel, memory_order_relaxed))
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

static uint8_t slot_state(const pol_grants *grants, const struct slot *slot, pol_mono now)
{
    return state_of(live_until(grants, slot), GET(slot->pin), now);
}

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
           (best->gone || set->none_gone == now || add_time(answered, idle) > now);
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

static bool make_room(pol_grants *grants, uint64_t key, struct work *work)
{
    uint32_t victim = table_victim(grants, key, work);
    bool gone, counted;

    if (victim == POL_NONE)
        return false;
    counted = grants->slots[victim].counted_gone;
    gone = slot_state(grants, &grants->slots[victim], work->now) == POL_GRANT_GONE;
    if (!slot_release(grants, victim))
        return false;
    if (!gone)
        BUMP(grants->stat_evicted_total);
    else if (!counted)
        BUMP(grants->stat_expired);
    return true;
}

/* Evicts for the cap on names per address. False: every candidate carries a flow. */
static bool cap_addr(pol_grants *grants, uint32_t set, struct work *work)
{
    uint32_t victim;

    if (grants->sets[set].count < grants->opts.names_per_address)
        return true;
    victim = set_victim(grants, set, work);
    if (victim == POL_NONE || !slot_release(grants, victim))
        return false;
    BUMP(grants->stat_evicted_address);
    return true;
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

static uint32_t find_grant(const pol_grants *grants, const pol_grant *grant, uint64_t of_addr,
                           uint64_t name_hash)
{
    uint32_t index = *grant_head(grants, of_addr, name_hash);

    while (index != POL_NONE && (GET(grants->slots[index].name_hash) != name_hash ||
                                 !slot_is(&grants->slots[index], grant->group_key, &grant->addr)))
        index = grants->slots[index].grant_next;
    return index;
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

static void slot_insert(pol_grants *grants, const pol_grant *grant, uint64_t hash,
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

/* A weaker kind begins anew in the slot of a grant that is gone. No reader may see the old kind
 * with the new times. */
static void slot_take_over(pol_grants *grants, struct slot *slot, const pol_grant *grant)
{
    uint32_t bucket = bucket_of(grants, slot->addr_bits);

    stripe_begin(grants, bucket);
    SET(slot->kind, grant->kind);
    SET(slot->two_way, grant->two_way);
    SET(slot->ttl, grant->ttl);
    SET(slot->answered, grant->answered);
    SET(slot->used, grant->used);
    SET(slot->until, add_time(grant->answered, clamp_ttl(grants, grant->ttl)));
    stripe_end(grants, bucket);
}

/* The newest answer extends the lifetime, never shortens it. */
static void slot_extend(pol_grants *grants, struct slot *slot, const pol_grant *grant)
{
    pol_mono until = add_time(grant->answered, clamp_ttl(grants, grant->ttl));

    SET(slot->kind, grant->kind);
    if (grant->answered >= GET(slot->answered)) {
        SET(slot->answered, grant->answered);
        SET(slot->ttl, grant->ttl);
    }
    if (until > GET(slot->until))
        SET(slot->until, until);
    if (grant->used > GET(slot->used))
        SET(slot->used, grant->used);
}

/* An answer that is good for less than the grant is neither shortens nor extends it, as long as it
 * is live or held: what audit mode lets through must not keep open what a rule allowed. */
static void slot_refresh(pol_grants *grants, uint32_t index, const pol_grant *grant, pol_mono now)
{
    struct slot *slot = &grants->slots[index];
    bool weaker = grant->kind > GET(slot->kind);

    BUMP(grants->stat_refreshed);
    if (weaker && slot_state(grants, slot, now) != POL_GRANT_GONE)
        return;
    if (weaker)
        slot_take_over(grants, slot, grant);
    else
        slot_extend(grants, slot, grant);
    ADD(grants->gone, -(uint32_t)slot->counted_gone);
    slot->counted_gone = 0;
    for (enum set_kind kind = 0; kind < SET_KINDS; kind++)
        set_move_to_end(grants, kind, index);
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
    struct work work = begin_work(now, grants_name_hash(grants, lesson->name));
    uint64_t hashes[AHEAD];
    pol_grant grant = {
        .kind = lesson->kind,
        .name_len = (uint8_t)lesson->name.len,
        .learned = now,
        .answered = now,
        .used = now,
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

int pol_grants_restore(pol_grants *grants, const pol_grant *given, pol_mono now)
{
    pol_grant grant = *given;
    pol_mono idle = grant.two_way ? grants->opts.idle_two_way : grants->opts.idle;
    enum outcome outcome;
    struct work work;

    if ((grant.addr.family != 4 && grant.addr.family != 6) || grant.name_len == 0 ||
        grant.kind > POL_GRANT_RECORDED)
        return POL_E_INVALID;
    if (grant.used < grant.answered)
        grant.used = grant.answered;
    if (add_time(grant.answered, clamp_ttl(grants, grant.ttl)) <= now &&
        add_time(grant.used, idle) <= now)
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

    if (!(GET(slot->pin) >> 32 & 1) || slot_state(grants, slot, now) != POL_GRANT_GONE)
        return false;
    if (!slot->counted_gone) {
        slot->counted_gone = 1;
        BUMP(grants->gone);
        BUMP(grants->stat_expired);
    }
    return now >= add_time(live_until(grants, slot), GONE_MEMORY) && slot_release(grants, index);
}

size_t pol_grants_expire(pol_grants *grants, pol_mono now, size_t budget)
{
    size_t freed = 0;

    lock(grants);
    for (size_t i = 0; i < budget && i < grants->opts.capacity; i++)
        freed += expire_slot(grants, sweep_on(grants), now);
    unlock(grants);
    return freed;
}
