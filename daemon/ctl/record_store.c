/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/record_store.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 1024

static void record_free(struct record *record)
{
    if (!record)
        return;

    free(record->sni);
    free(record->names);
    free(record->dns);
    free(record);
}

bool record_store_init(struct record_store *store, uint64_t seed)
{
    *store = (struct record_store){.seed = seed, .bucket_count = FIRST_BUCKETS};
    store->buckets = calloc(FIRST_BUCKETS, sizeof(struct record *));
    return store->buckets;
}

void record_store_fini(struct record_store *store)
{
    for (size_t i = 0; i < store->count; i++)
        record_free(store->all[i]);
    free(store->all);
    free(store->buckets);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_addr(uint64_t hash, const pol_addr *addr)
{
    uint64_t halves[2];

    memcpy(halves, addr->bytes, sizeof(halves));
    return mix(mix(hash, halves[0]), halves[1]);
}

static struct record **bucket_of(const struct record_store *store, const struct record *key)
{
    uint64_t hash = mix(store->seed, key->verdict.flow);
    uint64_t ports = (uint64_t)key->tuple.src_port << 16 | key->tuple.dst_port;

    if (key->verdict.flow == 0) {
        hash = mix_addr(mix_addr(hash, &key->tuple.src), &key->tuple.dst);
        hash = mix(hash, ports << 16 | (uint64_t)key->tuple.proto << 8 | key->icmp_type);
    }
    return &store->buckets[hash & (store->bucket_count - 1)];
}

bool record_same_addr(const pol_addr *a, const pol_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool same_tuple(const pol_tuple *a, const pol_tuple *b)
{
    return record_same_addr(&a->src, &b->src) && record_same_addr(&a->dst, &b->dst) &&
           a->src_port == b->src_port && a->dst_port == b->dst_port && a->proto == b->proto;
}

static bool same_flow(const struct record *a, const struct record *b)
{
    if (a->verdict.flow || b->verdict.flow)
        return a->verdict.flow == b->verdict.flow;
    return same_tuple(&a->tuple, &b->tuple) && a->vlan == b->vlan && a->icmp_type == b->icmp_type &&
           a->icmp_code == b->icmp_code;
}

struct record *record_store_find(const struct record_store *store, const struct record *key)
{
    struct record *record = *bucket_of(store, key);

    while (record && !same_flow(record, key))
        record = record->next;
    return record;
}

static void link_record(struct record_store *store, struct record *record)
{
    struct record **bucket = bucket_of(store, record);

    record->next = *bucket;
    *bucket = record;
}

static void grow_table(struct record_store *store)
{
    struct record **wider = calloc(store->bucket_count * 2, sizeof(struct record *));

    if (!wider)
        return; /* longer chains, nothing worse */

    free(store->buckets);
    store->buckets = wider;
    store->bucket_count *= 2;
    for (size_t i = 0; i < store->count; i++) {
        if (store->all[i]->kind == RECORD_FLOW)
            link_record(store, store->all[i]);
    }
}

struct record *record_store_append(struct record_store *store, struct record *record)
{
    size_t capacity = store->capacity ? store->capacity * 2 : FIRST_BUCKETS;
    struct record **wider = store->all;

    if (record && store->count == store->capacity) {
        wider = realloc(store->all, capacity * sizeof(*wider));
        if (wider) {
            store->all = wider;
            store->capacity = capacity;
        }
    }

    if (!record || !wider) {
        record_free(record);
        store->failed = true;
        return NULL;
    }

    record->order = store->count;
    store->all[store->count++] = record;
    return record;
}

struct record *record_store_add_flow(struct record_store *store, const struct record *key)
{
    struct record *record = malloc(sizeof(*record));

    if (record)
        *record = *key;
    record = record_store_append(store, record);
    if (!record)
        return NULL;

    link_record(store, record);
    if (store->count > store->bucket_count)
        grow_table(store);
    return record;
}

static int compare_records(const void *left, const void *right)
{
    const struct record *a = *(struct record *const *)left, *b = *(struct record *const *)right;

    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void record_store_sort(struct record_store *store)
{
    if (store->count)
        qsort(store->all, store->count, sizeof(*store->all), compare_records);
}
