/* SPDX-License-Identifier: Apache-2.0 */
#include "grants/table.h"

#include "base/abi.h"
#include "base/mem.h"

enum {
    CAPACITY_MAX = 1 << 24,
    WALK_MAX = 1 << 16 /* a chain cannot be longer; a torn walk could be */
};

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

    rc = abi_options(&opts, sizeof(opts), given, ABI_UP_TO(pol_grants_options, idle_two_way));
    if (rc < 0)
        return rc;
    if (opts.capacity == 0 || opts.capacity > CAPACITY_MAX || opts.addresses_per_name == 0 ||
        opts.names_per_address == 0 || opts.names_per_address > GRANTS_HITS_MAX)
        return POL_E_INVALID;

    rc = POL_E_NOMEM;
    grants = mem_zalloc(mem, sizeof(*grants));
    if (!grants)
        goto out;
    atomic_init(&grants->refs, 1);
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

static void free_table(pol_grants *grants)
{
    size_t capacity = grants->opts.capacity, size = (size_t)grants->mask + 1;
    pol_ctx *ctx = grants->ctx;
    const pol_mem *mem = &ctx->mem;

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

void grants_ref(pol_grants *grants)
{
    if (grants)
        atomic_fetch_add_explicit(&grants->refs, 1, memory_order_relaxed);
}

void pol_grants_free(pol_grants *grants)
{
    if (grants && atomic_fetch_sub_explicit(&grants->refs, 1, memory_order_acq_rel) == 1)
        free_table(grants);
}

size_t pol_grants_memory(const pol_grants *grants)
{
    size_t indexes = 4 * ((size_t)grants->mask + 1) + grants->set_mask + 1;
    size_t capacity = grants->opts.capacity;

    return sizeof(*grants) + (indexes + capacity + 1) * sizeof(uint32_t) +
           capacity * (sizeof(*grants->slots) + sizeof(*grants->names) +
                       SET_KINDS * sizeof(*grants->sets));
}

/* --- readers -------------------------------------------------------------------------------- */

uint64_t grants_name_hash(const pol_grants *grants, pol_str name)
{
    return hash_bytes(grants->ctx->hash_seed, name.ptr, name.len);
}

/* False: the slot is still in its chain, but a learner has released it already. */
static bool take_hit(const pol_grants *grants, uint32_t index, pol_mono now, struct grants_hit *hit)
{
    const struct slot *slot = &grants->slots[index];
    uint64_t pin = GET(slot->pin);

    if (!in_use(pin))
        return false;
    *hit = (struct grants_hit){
        .slot = index,
        .version = (uint32_t)(pin >> 32),
        .name = GET(slot->name),
        .kind = GET(slot->kind),
        .state = state_of(live_until(grants, slot), pin, now),
        .name_hash = GET(slot->name_hash),
        .used = GET(slot->used),
    };
    return true;
}

static size_t walk_chain(const pol_grants *grants, uint32_t bucket, uint64_t key,
                         const pol_addr *addr, pol_mono now, struct grants_hit *hits)
{
    uint32_t index = GET(grants->by_addr[bucket]);
    size_t count = 0;

    for (uint32_t step = 0; index < grants->opts.capacity && step < WALK_MAX; step++) {
        const struct slot *slot = &grants->slots[index];

        if (slot_is(slot, key, addr) && count < GRANTS_HITS_MAX)
            count += take_hit(grants, index, now, &hits[count]);
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

    /* An even version: the slot is released. */
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

    if (!in_use(pin))
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
    /* A learner writes them the other way round: no answer is seen with the TTL of an earlier one,
     * which may have been longer. */
    grant.answered = atomic_load_explicit(&slot->answered, memory_order_acquire);
    grant.ttl = GET(slot->ttl);
    grant.learned = GET(slot->learned);
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

    now = not_before(grants, now);
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

    now = not_before(grants, now);
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
