/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a lookup in the grant table costs while 0 to 4 threads learn as fast as they can.
 *
 *   learners_bench
 *
 * The reader draws from 32 768 addresses that are there. Each learner has a group and a name of its
 * own at its cap of 1000 addresses, so every lesson of four addresses adds four grants and evicts
 * four.
 *
 * The peer is a chained hash table of the same keys under one pthread_rwlock: its reader holds the
 * lock for one lookup, its learners for one lesson (four entries out, four in). It keeps no names,
 * no times and no order of use.
 *
 * CPU time of the reader per lookup, and of the learners per lesson, over 0.3 s of wall time; ours
 * and the peer in turn, the round with the median of five by the reader's time. Besides, every 64th
 * lookup is timed alone on the monotonic clock for the percentiles, which therefore contain one
 * reading of that clock, and what the scheduler took away. With fewer cores than threads the
 * learners cost the reader its turns; that is in no figure but the percentiles.
 */
#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "clock.h"
#include "draw.h"
#include "grants/grants.h"

enum {
    CAPACITY = 65536,
    READ = 32768, /* addresses the reader looks for; the learners' lie behind */
    LEARNERS = 4,
    LESSON = 4,
    NAME_CAP = 1000,
    TRACE = 1 << 18,
    SAMPLE_EVERY = 64,
    SAMPLES_MAX = 1 << 20,
    NAME_ADDRS = 8,
    ROUNDS = 5
};

static const int64_t run_ns = 300000000;
static const pol_mono start = POL_SECONDS;

static struct draw numbers = {.state = 1};

static uint64_t key_of(uint32_t group)
{
    return UINT64_C(0x9e3779b97f4a7c15) * (group + 1);
}

/* Addresses in an order that no prefetcher knows, each once. */
static pol_addr address(uint32_t number)
{
    uint32_t mixed = number * 2654435761u;
    pol_addr addr = {.family = 4};

    memcpy(addr.bytes, &mixed, sizeof(mixed));
    return addr;
}

/* A table under test: the grants, or the peer. Group 0 is the reader's. */
struct table {
    void (*make)(void);
    void (*free)(void);
    void (*teach)(uint32_t group, const char *name, const pol_addr *addrs, uint32_t count,
                  pol_mono now);
    size_t (*find)(const pol_addr *addr); /* of group 0; how many entries */
    double (*bytes_per_entry)(void);
};

/* --- ours ----------------------------------------------------------------------------------- */

static pol_ctx *ctx;
static pol_grants *grants;

static void grants_make(void)
{
    if (pol_ctx_new(NULL, &ctx) != POL_OK || pol_grants_new(ctx, NULL, &grants) != POL_OK)
        errx(1, "out of memory");
}

static void grants_free(void)
{
    pol_grants_free(grants);
    pol_ctx_unref(ctx);
}

static void grants_teach(uint32_t group, const char *name, const pol_addr *addrs, uint32_t count,
                         pol_mono now)
{
    static const uint32_t ttls[NAME_ADDRS] = {86400, 86400, 86400, 86400,
                                              86400, 86400, 86400, 86400};
    uint64_t key = key_of(group);
    struct grants_lesson lesson = {
        .keys = &key,
        .key_count = 1,
        .kind = POL_GRANT_ALLOWED,
        .name = {name, strlen(name)},
        .addrs = addrs,
        .ttls = ttls,
        .addr_count = count,
    };
    struct grants_learned learned;

    grants_learn(grants, &lesson, now, &learned);
    if (learned.added != count)
        errx(1, "an address is not learned");
}

static size_t grants_find(const pol_addr *addr)
{
    static struct grants_hit hits[GRANTS_HITS_MAX];

    return grants_lookup(grants, key_of(0), addr, start, hits);
}

static double grants_weight(void)
{
    return (double)pol_grants_memory(grants) / CAPACITY;
}

/* --- the peer ------------------------------------------------------------------------------- */

struct entry {
    uint64_t key;
    uint8_t addr[16];
    pol_mono expires;
    uint32_t next;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct entry *entries;
static uint32_t *heads;
static uint32_t used;                /* by the reader's entries */
static uint32_t rings[LEARNERS + 1]; /* lessons of each group so far, in entries */

static uint32_t *bucket(uint64_t key, const uint8_t addr[16])
{
    static const uint64_t seed[2] = {1, 2};
    uint8_t octets[24];

    memcpy(octets, &key, 8);
    memcpy(octets + 8, addr, 16);
    return &heads[hash_bytes(seed, octets, sizeof(octets)) % CAPACITY];
}

static void peer_make(void)
{
    entries = calloc(CAPACITY, sizeof(*entries));
    heads = malloc(CAPACITY * sizeof(*heads));
    if (!entries || !heads)
        errx(1, "out of memory");
    memset(heads, 0xff, CAPACITY * sizeof(*heads));
    memset(rings, 0, sizeof(rings));
    used = 0;
}

static void peer_free(void)
{
    free(entries);
    free(heads);
}

static void peer_remove(uint32_t index)
{
    uint32_t *at = bucket(entries[index].key, entries[index].addr);

    while (*at != index)
        at = &entries[*at].next;
    *at = entries[index].next;
}

/* A learner's entries are a ring behind the reader's; the oldest makes room. */
static uint32_t peer_slot(uint32_t group)
{
    uint32_t number, index;

    if (!group)
        return used++;
    number = rings[group]++;
    index = READ + group * NAME_CAP + number % NAME_CAP;
    if (number >= NAME_CAP)
        peer_remove(index);
    return index;
}

static void peer_teach(uint32_t group, const char *name, const pol_addr *addrs, uint32_t count,
                       pol_mono now)
{
    (void)name;
    pthread_rwlock_wrlock(&lock);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = peer_slot(group);
        struct entry *entry = &entries[index];
        uint32_t *head;

        entry->key = key_of(group);
        entry->expires = now + 86400 * POL_SECONDS;
        memcpy(entry->addr, addrs[i].bytes, sizeof(entry->addr));
        head = bucket(entry->key, entry->addr);
        entry->next = *head;
        *head = index;
    }
    pthread_rwlock_unlock(&lock);
}

static size_t peer_find(const pol_addr *addr)
{
    uint64_t key = key_of(0);
    size_t count = 0;

    pthread_rwlock_rdlock(&lock);
    for (uint32_t at = *bucket(key, addr->bytes); at != POL_NONE; at = entries[at].next) {
        const struct entry *entry = &entries[at];

        count += entry->key == key && entry->expires > start &&
                 memcmp(entry->addr, addr->bytes, sizeof(entry->addr)) == 0;
    }
    pthread_rwlock_unlock(&lock);
    return count;
}

static double peer_weight(void)
{
    return sizeof(struct entry) + sizeof(*heads);
}

static const struct table tables[] = {
    {grants_make, grants_free, grants_teach, grants_find, grants_weight},
    {peer_make, peer_free, peer_teach, peer_find, peer_weight},
};

/* --- threads -------------------------------------------------------------------------------- */

struct learner {
    pthread_t thread;
    const struct table *table;
    uint32_t group;
    uint64_t lessons, cpu_ns;
};

static atomic_bool stop;

static void *learn(void *argument)
{
    struct learner *learner = argument;
    uint32_t next = READ + (learner->group << 26);
    char name[32];

    snprintf(name, sizeof(name), "learner%" PRIu32 ".example", learner->group);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        pol_addr addrs[LESSON];

        for (uint32_t i = 0; i < LESSON; i++)
            addrs[i] = address(next++);
        learner->table->teach(learner->group, name, addrs, LESSON,
                              start + (pol_mono)learner->lessons);
        learner->lessons++;
    }
    learner->cpu_ns = thread_ns();
    return NULL;
}

static void fill(const struct table *table)
{
    for (uint32_t i = 0; i < READ; i += NAME_ADDRS) {
        pol_addr addrs[NAME_ADDRS];
        char name[32];

        for (uint32_t k = 0; k < NAME_ADDRS; k++)
            addrs[k] = address(i + k);
        snprintf(name, sizeof(name), "n%" PRIu32 ".example", i);
        table->teach(0, name, addrs, NAME_ADDRS, start);
    }
}

/* --- the reader ----------------------------------------------------------------------------- */

struct figures {
    double ns, p50, p99, lessons_per_second, lesson_ns, bytes;
};

static pol_addr trace[TRACE];
static uint32_t samples[SAMPLES_MAX];

static void look_up(const struct table *table, const pol_addr *addr)
{
    if (table->find(addr) != 1)
        errx(1, "an address is not there once");
}

static uint32_t time_one(const struct table *table, const pol_addr *addr)
{
    int64_t begin = clock_ns(CLOCK_MONOTONIC), spent;

    look_up(table, addr);
    spent = clock_ns(CLOCK_MONOTONIC) - begin;
    return spent > UINT32_MAX ? UINT32_MAX : (uint32_t)spent;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* The clock readings of the samples are a 64th of two per lookup: under a nanosecond. */
static void read_on(const struct table *table, struct figures *ret_figures)
{
    uint64_t begin = thread_ns();
    int64_t end = clock_ns(CLOCK_MONOTONIC) + run_ns;
    uint64_t lookups = 0;
    uint32_t count = 0;

    do {
        for (uint32_t i = 0; i < SAMPLE_EVERY * 16; i++) {
            const pol_addr *addr = &trace[lookups++ % TRACE];

            if (i % SAMPLE_EVERY == 0 && count < SAMPLES_MAX)
                samples[count++] = time_one(table, addr);
            else
                look_up(table, addr);
        }
    } while (clock_ns(CLOCK_MONOTONIC) < end);
    ret_figures->ns = (double)(thread_ns() - begin) / (double)lookups;
    qsort(samples, count, sizeof(*samples), compare);
    ret_figures->p50 = samples[count / 2];
    ret_figures->p99 = samples[count - count / 100 - 1];
}

static struct figures run(const struct table *table, uint32_t learner_count)
{
    struct learner learners[LEARNERS];
    struct figures figures = {0};
    uint64_t lessons = 0, cpu_ns = 0;
    int64_t begin;

    table->make();
    fill(table);
    atomic_store(&stop, false);
    begin = clock_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < learner_count; i++) {
        learners[i] = (struct learner){.table = table, .group = i + 1};
        if (pthread_create(&learners[i].thread, NULL, learn, &learners[i]) != 0)
            errx(1, "no thread");
    }
    read_on(table, &figures);
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < learner_count; i++) {
        pthread_join(learners[i].thread, NULL);
        lessons += learners[i].lessons;
        cpu_ns += learners[i].cpu_ns;
    }
    figures.lessons_per_second =
        (double)lessons * 1e9 / (double)(clock_ns(CLOCK_MONOTONIC) - begin);
    figures.lesson_ns = lessons ? (double)cpu_ns / (double)lessons : 0;
    figures.bytes = table->bytes_per_entry();
    table->free();
    return figures;
}

/* --- report --------------------------------------------------------------------------------- */

static void report_one(const char *prefix, const struct figures *figures)
{
    printf(",\"%sns\":%.0f,\"%sp50_ns\":%.0f,\"%sp99_ns\":%.0f,\"%slessons_per_second\":%.0f,"
           "\"%slesson_ns\":%.0f,\"%sbytes_per_grant\":%.0f",
           prefix, figures->ns, prefix, figures->p50, prefix, figures->p99, prefix,
           figures->lessons_per_second, prefix, figures->lesson_ns, prefix, figures->bytes);
}

static int slower(const void *a, const void *b)
{
    double left = ((const struct figures *)a)->ns, right = ((const struct figures *)b)->ns;

    return (left > right) - (left < right);
}

static void compare_tables(uint32_t learners)
{
    struct figures rounds[2][ROUNDS], ours, peer;

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2; i++)
            rounds[i][round] = run(&tables[i], learners);
    }
    for (int i = 0; i < 2; i++)
        qsort(rounds[i], ROUNDS, sizeof(rounds[i][0]), slower);
    ours = rounds[0][ROUNDS / 2];
    peer = rounds[1][ROUNDS / 2];

    printf("{\"bench\":\"learners\",\"learners\":%" PRIu32, learners);
    report_one("", &ours);
    printf(",\"peer\":\"hash table under a rwlock\"");
    report_one("peer_", &peer);
    printf(",\"ratio\":%.2f}\n", ours.ns / peer.ns);
    fflush(stdout);
}

int main(void)
{
    for (uint32_t i = 0; i < TRACE; i++)
        trace[i] = address(draw_below(&numbers, READ));
    for (uint32_t learners = 0; learners <= LEARNERS; learners++)
        compare_tables(learners);
    return 0;
}
