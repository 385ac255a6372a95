/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DNS answer costs the learner in a table that is full, and what a lookup costs the reader.
 *
 *   grants_bench
 *
 * Every lesson has addresses nobody has seen, so every one of them has to make room:
 *
 *   name at its cap   the groups have 1000 addresses of the name; its oldest ones go
 *   new name          the groups have their fair share of the table; each gives of its own
 *   new groups        one group has the whole table; the others take from it
 *   many candidates   as "new name", but all answers are old and live by their TTL, so that nothing
 *                     but a look at every candidate tells which was used least recently
 *   spread names      each address has 256 names in each group; each gives of its own
 *
 * The peer of a lookup is a bare hash table with the same keys and nothing else. CPU time; of
 * lessons the mean and the worst, of lookups the best of five rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "clock.h"
#include "draw.h"
#include "grants/grants.h"

enum {
    CAPACITY = 65536,
    ADDRS_MAX = 512,
    GROUPS = 16,
    LESSONS = 200,
    LESSONS_TO_SHARE = 7, /* of 512 addresses, before a new group has its fair share */
    LOOKUPS = 1 << 20,
    ROUNDS = 5
};

static struct draw numbers = {.state = 1};

static uint64_t keys[GROUPS + 1]; /* the last one is the group that has everything */
static pol_addr addrs[ADDRS_MAX];
static uint32_t ttls[ADDRS_MAX];
static uint32_t next_addr;
static pol_mono now = POL_SECONDS;

/* Addresses in an order that no prefetcher knows, each once. */
static pol_addr address(uint32_t number)
{
    uint32_t mixed = number * 2654435761u;
    pol_addr addr = {.family = 4};

    memcpy(addr.bytes, &mixed, sizeof(mixed));
    return addr;
}

static double teach(pol_grants *grants, const uint64_t *group_keys, uint32_t key_count,
                    const char *name, uint32_t addr_count)
{
    struct grants_lesson lesson = {
        .keys = group_keys,
        .key_count = key_count,
        .kind = POL_GRANT_ALLOWED,
        .name = {name, strlen(name)},
        .addrs = addrs,
        .ttls = ttls,
        .addr_count = addr_count,
    };
    struct grants_learned learned;
    uint64_t begin;

    for (uint32_t i = 0; i < addr_count; i++)
        addrs[i] = address(next_addr++);
    now += POL_SECONDS / 1000;
    begin = thread_ns();
    grants_learn(grants, &lesson, now, &learned);
    return (double)(thread_ns() - begin);
}

/* --- tables --------------------------------------------------------------------------------- */

static pol_grants *make_table(pol_ctx *ctx)
{
    pol_grants *grants;

    if (pol_grants_new(ctx, NULL, &grants) != POL_OK) {
        fprintf(stderr, "grants_bench: no memory\n");
        exit(1);
    }
    return grants;
}

/* Every group gets an equal part, under names of 8 addresses. */
static void fill(pol_grants *grants, const uint64_t *group_keys, uint32_t key_count, uint32_t total)
{
    char name[32];

    for (uint32_t i = 0; i < total; i += 8 * key_count) {
        snprintf(name, sizeof(name), "n%" PRIu32 ".example", i);
        teach(grants, group_keys, key_count, name, 8);
    }
}

static void fill_name_at_cap(pol_grants *grants)
{
    teach(grants, keys, GROUPS, "big.example", 500);
    teach(grants, keys, GROUPS, "big.example", 500);
    fill(grants, keys, GROUPS, CAPACITY - GROUPS * 1000);
}

static void fill_shares(pol_grants *grants)
{
    fill(grants, keys, GROUPS, CAPACITY);
}

static void fill_one(pol_grants *grants)
{
    fill(grants, &keys[GROUPS], 1, CAPACITY);
}

static void fill_old(pol_grants *grants)
{
    fill(grants, keys, GROUPS, CAPACITY);
    now += 3600 * POL_SECONDS;
}

static void fill_spread(pol_grants *grants)
{
    char name[32];

    for (uint32_t i = 0; i < CAPACITY / GROUPS / 16; i++) {
        snprintf(name, sizeof(name), "n%" PRIu32 ".example", i);
        next_addr = 1;
        teach(grants, keys, GROUPS, name, 16);
    }
}

/* --- lessons -------------------------------------------------------------------------------- */

struct scenario {
    const char *what;
    void (*fill)(pol_grants *grants);
    bool same_name, same_addrs;
    uint32_t lessons;
};

static const struct scenario scenarios[] = {
    {"name at its cap", fill_name_at_cap, true, false, LESSONS},
    {"new name", fill_shares, false, false, LESSONS},
    {"new groups", fill_one, false, false, LESSONS_TO_SHARE},
    {"many candidates", fill_old, false, false, LESSONS_TO_SHARE},
    {"spread names", fill_spread, false, true, LESSONS},
};

static void time_lessons(pol_ctx *ctx, const struct scenario *scenario, uint32_t addr_count,
                         uint32_t groups)
{
    pol_grants *grants = make_table(ctx);
    double sum = 0, worst = 0;
    char name[32] = "big.example";

    scenario->fill(grants);
    for (uint32_t i = 0; i < scenario->lessons; i++) {
        double ns;

        if (!scenario->same_name)
            snprintf(name, sizeof(name), "new%" PRIu32 ".example", i);
        if (scenario->same_addrs)
            next_addr = 1;
        ns = teach(grants, keys, groups, name, addr_count);
        sum += ns;
        worst = ns > worst ? ns : worst;
    }
    printf("{\"bench\":\"grants\",\"what\":\"lesson, %s\",\"addresses\":%" PRIu32
           ",\"groups\":%" PRIu32 ",\"us\":%.1f,\"worst_us\":%.1f,\"ns_per_grant\":%.0f}\n",
           scenario->what, addr_count, groups, sum / scenario->lessons / 1e3, worst / 1e3,
           sum / scenario->lessons / addr_count / groups);
    fflush(stdout);
    pol_grants_free(grants);
}

/* --- lookups -------------------------------------------------------------------------------- */

static double time_lookups(const pol_grants *grants, const pol_addr *trace)
{
    struct grants_hit hits[GRANTS_HITS_MAX];
    volatile size_t sink = 0;
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = thread_ns();
        double ns;

        for (uint32_t i = 0; i < LOOKUPS; i++)
            sink += grants_lookup(grants, keys[0], &trace[i], now, hits);
        ns = (double)(thread_ns() - begin) / LOOKUPS;
        best = ns < best ? ns : best;
    }
    return best;
}

struct bare_key {
    uint64_t key;
    uint8_t addr[16];
};

struct bare {
    struct bare_key key;
    uint32_t next;
};

static uint64_t bare_hash(const struct bare_key *key)
{
    static const uint64_t seed[2] = {1, 2};

    return hash_bytes(seed, key, sizeof(*key));
}

static struct bare_key bare_key(const pol_addr *addr)
{
    struct bare_key key = {.key = keys[0]};

    memcpy(key.addr, addr->bytes, sizeof(key.addr));
    return key;
}

static double time_bare(const struct bare *entries, const uint32_t *heads, const pol_addr *trace)
{
    volatile uint32_t sink = 0;
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = thread_ns();
        double ns;

        for (uint32_t i = 0; i < LOOKUPS; i++) {
            struct bare_key key = bare_key(&trace[i]);
            uint32_t at = heads[bare_hash(&key) % CAPACITY];

            while (at != POL_NONE && memcmp(&entries[at].key, &key, sizeof(key)) != 0)
                at = entries[at].next;
            sink += at;
        }
        ns = (double)(thread_ns() - begin) / LOOKUPS;
        best = ns < best ? ns : best;
    }
    return best;
}

/* A chained hash table of the addresses from `first` on: found or not, and nothing more. */
static double bare_table(uint32_t first, const pol_addr *trace)
{
    uint32_t *heads = malloc(CAPACITY * sizeof(*heads));
    struct bare *entries = calloc(CAPACITY, sizeof(*entries));
    double ns;

    memset(heads, 0xff, CAPACITY * sizeof(*heads));
    for (uint32_t i = 0; i < CAPACITY; i++) {
        pol_addr addr = address(first + i);
        uint32_t *head;

        entries[i].key = bare_key(&addr);
        head = &heads[bare_hash(&entries[i].key) % CAPACITY];
        entries[i].next = *head;
        *head = i;
    }
    ns = time_bare(entries, heads, trace);
    free(entries);
    free(heads);
    return ns;
}

static void report_lookups(const pol_grants *grants, uint32_t first, bool hit)
{
    pol_addr *trace = calloc(LOOKUPS, sizeof(*trace));
    double ours, bare;

    for (uint32_t i = 0; i < LOOKUPS; i++)
        trace[i] = address(first + draw_below(&numbers, CAPACITY) + (hit ? 0 : CAPACITY));
    ours = time_lookups(grants, trace);
    bare = bare_table(first, trace);
    printf("{\"bench\":\"grants\",\"what\":\"lookup, %s\",\"grants\":%d,\"ns\":%.0f,"
           "\"peer\":\"bare hash table\",\"peer_ns\":%.0f,\"ratio\":%.2f}\n",
           hit ? "hit" : "miss", CAPACITY, ours, bare, ours / bare);
    free(trace);
}

static void time_both_lookups(pol_ctx *ctx)
{
    pol_grants *grants = make_table(ctx);
    uint32_t first = next_addr;

    fill(grants, keys, 1, CAPACITY);
    report_lookups(grants, first, true);
    report_lookups(grants, first, false);
    printf("{\"bench\":\"grants\",\"what\":\"memory\",\"bytes_per_grant\":%.0f}\n",
           (double)pol_grants_memory(grants) / CAPACITY);
    pol_grants_free(grants);
}

int main(void)
{
    pol_ctx *ctx;

    if (pol_ctx_new(NULL, &ctx) != POL_OK)
        return 1;
    for (int i = 0; i <= GROUPS; i++)
        keys[i] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
    for (int i = 0; i < ADDRS_MAX; i++)
        ttls[i] = 86400;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
        time_lessons(ctx, &scenarios[i], 4, 1);
        time_lessons(ctx, &scenarios[i], 512, 1);
        time_lessons(ctx, &scenarios[i], 512, GROUPS);
    }
    time_both_lookups(ctx);
    pol_ctx_unref(ctx);
    return 0;
}
