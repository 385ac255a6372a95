/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_RECORD_STORE_H
#define CTL_RECORD_STORE_H

#include "ctl/records.h"

/*
 * The records of a replay: all of them in order of creation, and those of flows in a hash table by
 * the worker's id, or by tuple where there is none. Its chains have newer records in front, so that
 * of two with one tuple the newer is found. Whoever runs out of memory for a record sets `failed`.
 */
struct record_store {
    struct record **all;
    size_t count, capacity;
    struct record **buckets;
    size_t bucket_count; /* a power of two */
    uint64_t seed;
    bool failed;
};

bool record_store_init(struct record_store *store, uint64_t seed); /* false: out of memory */
void record_store_fini(struct record_store *store);

/* The newest record of the flow that `key` has the id or else the tuple of; NULL: none. */
struct record *record_store_find(const struct record_store *store, const struct record *key);

/* Adds a copy of `key`, to be found from now on. NULL: out of memory. */
struct record *record_store_add_flow(struct record_store *store, const struct record *key);

/*
 * Takes over a record that nobody looks for; it is freed when there is no room. NULL, also for
 * NULL: out of memory.
 */
struct record *record_store_append(struct record_store *store, struct record *record);

/* Puts the records in order of their first packet or query. */
void record_store_sort(struct record_store *store);

bool record_same_addr(const pol_addr *a, const pol_addr *b);

#endif
