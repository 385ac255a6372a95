/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four learners and four readers on one grant table that is too small for them, so that slots and
 * names are reused under the readers' eyes, and on one that has room for everything. A name is
 * whole or not there, a pinned grant stays, what was learned is seen, and in the end the tables
 * hold what they were taught and nothing else.
 *
 *   grants [lessons of each learner]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/lib/net/prng.h"
#include "grants/grants.h"
#include "thread.h"

enum { LEARNERS = 4, READERS = 4, KEYS = 3, ADDRS = 16, NAMES = 64, CAPACITY = 64, ROOMY = 8192 };
enum { LONGEST = 1000000000 }; /* seconds */

static pol_grants *crowded, *roomy, *shrinking;
static unsigned lessons;        /* of each learner */
static atomic_uint learned_out; /* learners that are done; with the last, */
static atomic_bool stop;        /* readers are, too */
static _Atomic pol_mono moment = 1;
static atomic_bool taught[KEYS][ADDRS][NAMES]; /* set before the lesson */

static pol_addr address(unsigned number)
{
    return (pol_addr){.family = 4, .bytes = {192, 0, 2, (uint8_t)number}};
}

static size_t name_of(unsigned number, char text[64])
{
    /* Every length, so that a torn copy would show. */
    return (size_t)snprintf(text, 64, "%.*sname-%u.example", (int)(number % 30),
                            "abcdefghijklmnopqrstuvwxyzabcd", number);
}

static void teach(pol_grants *grants, uint64_t key, unsigned name, const pol_addr *addr,
                  struct grants_learned *learned)
{
    uint32_t ttl = 1;
    char text[64];
    struct grants_lesson lesson = {
        .keys = &key,
        .key_count = 1,
        .kind = (uint8_t)(atomic_load(&moment) / POL_SECONDS % 3),
        .name = {text, name_of(name, text)},
        .addrs = addr,
        .ttls = &ttl,
        .addr_count = 1,
    };

    grants_learn(grants, &lesson, atomic_fetch_add(&moment, POL_SECONDS), learned);
}

static void must_see(uint64_t key, const pol_addr *addr)
{
    struct grants_hit hits[GRANTS_HITS_MAX];

    if (grants_lookup(roomy, key, addr, 0, hits) == 0)
        thread_fault("a lesson that nobody sees");
}

/* As after a restart: what was listed is put back. */
static void put_back(uint32_t position)
{
    pol_mono now = atomic_load(&moment);
    pol_grant grant;
    int rc;

    if (pol_grants_list(crowded, &position, now, &grant, 1) == 0)
        return;
    rc = pol_grants_restore(crowded, &grant, now);
    if (rc != POL_OK && rc != POL_E_FULL && rc != POL_E_NOTFOUND)
        thread_fault("a grant that was listed cannot be restored: %s", pol_status_name(rc));
}

/* Answers for one grant, each good until the same moment. Only one learner gives them. */
static void shrink(uint32_t second)
{
    pol_addr addr = address(0);
    uint32_t ttl = LONGEST - second;
    struct grants_learned learned;
    uint64_t key = 1;
    struct grants_lesson lesson = {
        .keys = &key,
        .key_count = 1,
        .name = {"name-0.example", 14},
        .addrs = &addr,
        .ttls = &ttl,
        .addr_count = 1,
    };

    grants_learn(shrinking, &lesson, second * POL_SECONDS, &learned);
}

/* What is listed is saved: an answer must not come with the longer TTL of the one before. */
static void check_shrinking(void)
{
    uint32_t position = 0;
    pol_grant grant;

    if (pol_grants_list(shrinking, &position, 0, &grant, 1) == 1 &&
        grant.answered / POL_SECONDS + grant.ttl > LONGEST)
        thread_fault("an answer lasts longer than it said");
}

static void *learner(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct grants_learned learned;
    uint32_t shrunk = 0;

    for (unsigned lesson = 0; lesson < lessons; lesson++) {
        uint64_t key = prng_below(&random, KEYS);
        unsigned number = prng_below(&random, ADDRS);
        pol_addr addr = address(number);
        unsigned name = prng_below(&random, NAMES);

        atomic_store(&taught[key][number][name], true);
        teach(crowded, key, name, &addr, &learned);
        teach(roomy, key, name, &addr, &learned);
        must_see(key, &addr);
        for (int i = 0; i < 16 && argument == (void *)1; i++)
            shrink(shrunk++);
        if (prng_below(&random, 50) == 0)
            pol_grants_expire(crowded, atomic_load(&moment), CAPACITY);
        if (prng_below(&random, 20) == 0)
            put_back(prng_below(&random, CAPACITY));
    }
    if (atomic_fetch_add(&learned_out, 1) + 1 == LEARNERS)
        atomic_store(&stop, true);
    return NULL;
}

static void check_name(const pol_grant *grant)
{
    const char *dash = strstr(grant->name, "name-");
    char expected[64];

    if (!dash || name_of((unsigned)atoi(dash + 5), expected) != grant->name_len ||
        strcmp(expected, grant->name) != 0)
        thread_fault("a torn name");
}

static void hold(const struct grants_hit *hit, pol_mono now)
{
    char text[POL_NAME_MAX + 1];
    uint8_t len;

    if (!grants_pin(crowded, hit->slot, hit->version))
        return;
    grants_touch(crowded, hit->slot, now, true);
    for (int i = 0; i < 3; i++) {
        if (!grants_name(crowded, hit->name, hit->name_hash, text, &len))
            thread_fault("a pinned grant lost its name");
    }
    grants_unpin(crowded, hit->slot);
}

static void *reader(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct grants_hit hits[GRANTS_HITS_MAX];
    pol_grant grants[8];

    do {
        pol_addr addr = address(prng_below(&random, ADDRS));
        uint64_t key = prng_below(&random, KEYS);
        pol_mono now = atomic_load(&moment);
        size_t count = grants_lookup(crowded, key, &addr, now, hits);
        uint32_t position = prng_below(&random, CAPACITY);

        for (size_t i = 0; i < count; i++)
            hold(&hits[i], now);
        count = pol_grants_list(crowded, &position, now, grants, 8);
        for (size_t i = 0; i < count; i++)
            check_name(&grants[i]);
        count = pol_grants_names(crowded, key, &addr, now, grants, 8);
        for (size_t i = 0; i < count && i < 8; i++)
            check_name(&grants[i]);
        for (int i = 0; i < 32; i++)
            check_shrinking();
    } while (!atomic_load(&stop));
    return NULL;
}

static pol_grants *table(pol_ctx *ctx, uint32_t capacity, pol_mono idle)
{
    pol_grants_options options;
    pol_grants *grants;

    pol_grants_options_init(&options, sizeof(options));
    options.capacity = capacity;
    options.idle = idle;
    if (pol_grants_new(ctx, &options, &grants) != POL_OK)
        exit(2);
    return grants;
}

static void run(void)
{
    for (uintptr_t i = 0; i < LEARNERS + READERS; i++)
        thread_start(i < LEARNERS ? learner : reader, (void *)(i + 1));
    thread_join();
}

/* Every grant of the table once, each a lesson that was taught; returns how many. */
static size_t check_content(pol_grants *grants)
{
    static bool seen[KEYS][ADDRS][NAMES];
    pol_grant grant;
    uint32_t position = 0;
    size_t count = 0;

    memset(seen, 0, sizeof(seen));
    while (pol_grants_list(grants, &position, 0, &grant, 1) == 1) {
        unsigned name = (unsigned)atoi(strstr(grant.name, "name-") + 5);
        unsigned addr = grant.addr.bytes[3];

        check_name(&grant);
        if (grant.group_key >= KEYS || addr >= ADDRS || name >= NAMES ||
            !taught[grant.group_key][addr][name]) {
            thread_fault("a grant that nobody taught: %s", grant.name);
            continue;
        }
        if (seen[grant.group_key][addr][name])
            thread_fault("a grant twice: %s", grant.name);
        seen[grant.group_key][addr][name] = true;
        if (grant.flows)
            thread_fault("a pin that was never released");
        count++;
    }
    return count;
}

static void check_tables(void)
{
    size_t different = 0, count;
    pol_grants_stats stats;

    for (size_t i = 0; i < sizeof(taught); i++)
        different += (&taught[0][0][0])[i];
    pol_grants_stats_get(roomy, &stats);
    count = check_content(roomy);
    if (count != different || stats.live != different || stats.learned != different)
        thread_fault("%zu lessons, but %zu grants listed, %u live, %llu learned", different, count,
                     stats.live, (unsigned long long)stats.learned);
    pol_grants_stats_get(crowded, &stats);
    count = check_content(crowded);
    if (count == 0 || count > CAPACITY || stats.live > CAPACITY)
        thread_fault("%zu grants listed and %u live in room for %d", count, stats.live, CAPACITY);
    if (!stats.evicted_total || !stats.expired)
        thread_fault("nothing had to go");
}

int main(int argc, char **argv)
{
    pol_ctx *ctx = thread_ctx();

    crowded = table(ctx, CAPACITY, POL_SECONDS);
    roomy = table(ctx, ROOMY, 1000000000 * POL_SECONDS);
    shrinking = table(ctx, 1, POL_SECONDS);
    lessons = thread_count(argc, argv, 20000);
    run();
    check_tables();
    pol_grants_free(crowded);
    pol_grants_free(roomy);
    pol_grants_free(shrinking);
    pol_ctx_unref(ctx);
    if (thread_held())
        thread_fault("%zu octets left behind", thread_held());
    return thread_result();
}
