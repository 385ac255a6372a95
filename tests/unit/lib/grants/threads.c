/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four learners and four readers on one grant table that is too small for them, so that slots and
 * names are reused under the readers' eyes. For ThreadSanitizer, which Criterion cannot run under;
 * without it the checks below still hold: a name is whole or not there, a pinned grant stays, and
 * what was learned is seen.
 *
 *   threads [seconds]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../net/prng.h"
#include "grants/grants.h"

enum { LEARNERS = 4, READERS = 4, ADDRS = 16, NAMES = 64, CAPACITY = 64, ROOMY = 8192 };

static pol_grants *crowded, *roomy;
static atomic_bool stop;
static _Atomic pol_mono moment = 1;
static atomic_uint faults;

static void fault(const char *what)
{
    if (atomic_fetch_add(&faults, 1) == 0)
        fprintf(stderr, "threads: %s\n", what);
}

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
        fault("a lesson that nobody sees");
}

static void *learner(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct grants_learned learned;

    while (!atomic_load(&stop)) {
        uint64_t key = prng_below(&random, 3);
        pol_addr addr = address(prng_below(&random, ADDRS));
        unsigned name = prng_below(&random, NAMES);

        teach(crowded, key, name, &addr, &learned);
        teach(roomy, key, name, &addr, &learned);
        must_see(key, &addr);
        if (prng_below(&random, 50) == 0)
            pol_grants_expire(crowded, atomic_load(&moment), CAPACITY);
    }
    return NULL;
}

static void check_name(const pol_grant *grant)
{
    const char *dash = strstr(grant->name, "name-");
    char expected[64];

    if (!dash || name_of((unsigned)atoi(dash + 5), expected) != grant->name_len ||
        strcmp(expected, grant->name) != 0)
        fault("a torn name");
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
            fault("a pinned grant lost its name");
    }
    grants_unpin(crowded, hit->slot);
}

static void *reader(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument;
    struct grants_hit hits[GRANTS_HITS_MAX];
    pol_grant grants[8];

    while (!atomic_load(&stop)) {
        pol_addr addr = address(prng_below(&random, ADDRS));
        uint64_t key = prng_below(&random, 3);
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
    }
    return NULL;
}

static pol_grants *table(pol_ctx *ctx, uint32_t capacity)
{
    pol_grants_options options;
    pol_grants *grants;

    pol_grants_options_init(&options, sizeof(options));
    options.capacity = capacity;
    options.idle = POL_SECONDS;
    if (pol_grants_new(ctx, &options, &grants) != POL_OK)
        exit(2);
    return grants;
}

static void run(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    pthread_t threads[LEARNERS + READERS];

    for (int i = 0; i < LEARNERS + READERS; i++) {
        if (pthread_create(&threads[i], NULL, i < LEARNERS ? learner : reader,
                           (void *)(uintptr_t)(i + 1)) != 0)
            exit(2);
    }
    nanosleep(&time, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < LEARNERS + READERS; i++)
        pthread_join(threads[i], NULL);
}

static void nothing_is_held(void)
{
    pol_grant grants[CAPACITY];
    uint32_t position = 0;
    size_t count = pol_grants_list(crowded, &position, 0, grants, CAPACITY);

    for (size_t i = 0; i < count; i++) {
        if (grants[i].flows)
            fault("a pin that was never released");
    }
    if (count == 0)
        fault("nothing was learned");
}

int main(int argc, char **argv)
{
    pol_ctx *ctx;

    if (pol_ctx_new(NULL, &ctx) != POL_OK)
        return 2;
    crowded = table(ctx, CAPACITY);
    roomy = table(ctx, ROOMY);
    run(argc > 1 ? atof(argv[1]) : 2);
    nothing_is_held();
    pol_grants_free(crowded);
    pol_grants_free(roomy);
    pol_ctx_unref(ctx);
    printf("%d passed, %d failed\n", faults ? 0 : 1, faults ? 1 : 0);
    return faults ? 1 : 0;
}
