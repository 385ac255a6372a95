/* SPDX-License-Identifier: Apache-2.0 */
#include "base/aged.h"

#include <criterion/criterion.h>

#include <string.h>

#include "../net/prng.h"
#include "base/mem.h"
#include "counting_mem.h"

enum { CAPACITY = 24, HASHES = 40, STEPS = 50000 };

static struct aged aged;
static uint32_t *entries;

static void setup(void)
{
    entries = aged_init(&aged, &mem_libc, CAPACITY, sizeof(*entries));
    cr_assert_not_null(entries);
}

static void teardown(void)
{
    aged_fini(&aged, &mem_libc);
}

TestSuite(aged, .init = setup, .fini = teardown);

static uint32_t add(uint64_t hash, uint32_t value)
{
    uint32_t index = aged_add(&aged, hash);

    cr_assert_lt(index, CAPACITY);
    entries[index] = value;
    return index;
}

Test(aged, begins_empty_with_zeroed_entries)
{
    cr_assert_eq(aged.count, 0);
    cr_assert_eq(aged.oldest, POL_NONE);
    cr_assert_eq(aged.newest, POL_NONE);
    cr_assert_eq(aged_victim(&aged), POL_NONE);
    cr_assert_eq(aged_first(&aged, 7), POL_NONE);
    for (uint32_t i = 0; i < CAPACITY; i++)
        cr_assert_eq(entries[i], 0);
}

Test(aged, entries_of_a_hash_come_newest_first)
{
    uint32_t a = add(7, 1), other = add(7 + 1024, 2), b = add(7, 3);

    cr_assert_eq(aged_first(&aged, 7), b);
    cr_assert_eq(aged_after(&aged, b), a, "%u is of the same chain only", other);
    cr_assert_eq(aged_after(&aged, a), POL_NONE);
    aged_renew(&aged, a);
    cr_assert_eq(aged_first(&aged, 7), a);
    cr_assert_eq(aged_after(&aged, a), b);
    cr_assert_eq(aged.oldest, other);
    cr_assert_eq(aged.newest, a);
}

Test(aged, a_full_table_takes_no_more_until_its_oldest_goes)
{
    uint32_t first = add(0, 0);

    for (uint32_t i = 1; i < CAPACITY; i++) {
        cr_assert_eq(aged_victim(&aged), POL_NONE);
        add(i, i);
    }
    cr_assert_eq(aged_victim(&aged), first);
    cr_assert_eq(aged_add(&aged, 99), POL_NONE);
    cr_assert_eq(aged.count, CAPACITY);
    aged_remove(&aged, first);
    cr_assert_eq(aged_add(&aged, 99), first);
}

Test(aged, without_capacity_it_is_empty_and_full)
{
    struct aged none;

    cr_assert_not_null(aged_init(&none, &mem_libc, 0, sizeof(*entries)));
    cr_assert_eq(aged_first(&none, 7), POL_NONE);
    cr_assert_eq(aged_add(&none, 7), POL_NONE);
    cr_assert_eq(aged_victim(&none), POL_NONE);
    aged_fini(&none, &mem_libc);
}

Test(aged, knows_its_memory_and_leaks_none_when_an_allocation_fails)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    struct aged table;

    cr_assert_not_null(aged_init(&table, &mem, 100, 24));
    cr_assert_eq(aged_memory(&table), counting.bytes);
    aged_fini(&table, &mem);
    cr_assert_eq(counting.bytes, 0);
    for (size_t fail_at = 1; fail_at <= 3; fail_at++) {
        counting = (struct counting){.fail_at = fail_at};
        cr_assert_null(aged_init(&table, &mem, 100, 24));
        cr_assert_eq(counting.blocks, 0);
        cr_assert_eq(counting.bytes, 0);
    }
}

/* The oracle: an array in order of age, the oldest first. */
static struct {
    uint64_t hash;
    uint32_t index, value;
} slow[CAPACITY];
static uint32_t slow_count;

static void slow_remove(uint32_t at)
{
    slow_count--;
    memmove(&slow[at], &slow[at + 1], (slow_count - at) * sizeof(*slow));
}

static void check_ages(void)
{
    uint32_t up = aged.oldest, down = aged.newest;

    cr_assert_eq(aged.count, slow_count);
    cr_assert_eq(aged_victim(&aged), slow_count == CAPACITY ? slow[0].index : POL_NONE);
    for (uint32_t i = 0; i < slow_count; i++) {
        cr_assert_eq(up, slow[i].index);
        cr_assert_eq(down, slow[slow_count - 1 - i].index);
        cr_assert_eq(entries[up], slow[i].value);
        up = aged.links[up].newer;
        down = aged.links[down].older;
    }
    cr_assert_eq(up, POL_NONE);
    cr_assert_eq(down, POL_NONE);
}

static void check_search(uint64_t hash)
{
    uint32_t found = aged_first(&aged, hash);

    for (uint32_t i = slow_count; i-- > 0;) {
        if (slow[i].hash != hash)
            continue;
        cr_assert_eq(found, slow[i].index);
        found = aged_after(&aged, found);
    }
    cr_assert_eq(found, POL_NONE);
}

static void slow_append(uint64_t hash, uint32_t value, uint32_t index)
{
    slow[slow_count].hash = hash;
    slow[slow_count].value = value;
    slow[slow_count++].index = index;
}

static void add_one(uint64_t hash, uint32_t value)
{
    uint32_t index = slow_count < CAPACITY ? add(hash, value) : aged_add(&aged, hash);

    if (slow_count < CAPACITY)
        slow_append(hash, value, index);
    else
        cr_assert_eq(index, POL_NONE);
}

static void change_one(bool renew, uint32_t at)
{
    uint32_t index = slow[at].index, value = slow[at].value;
    uint64_t hash = slow[at].hash;

    slow_remove(at);
    if (!renew) {
        aged_remove(&aged, index);
        return;
    }
    aged_renew(&aged, index);
    slow_append(hash, value, index);
}

/* Few hashes that share heads: chains hold several entries, of one hash and of several. The table
 * fills and empties by turns. */
Test(aged, does_what_an_array_in_order_of_age_does)
{
    uint32_t times_full = 0, times_empty = 0;
    uint64_t random = 1;

    for (uint32_t step = 1; step <= STEPS; step++) {
        uint64_t hash = prng_below(&random, HASHES) * UINT64_C(8);
        uint32_t kind = prng_below(&random, 8);

        if (slow_count == 0 || kind < (step & 256 ? 1 : 4))
            add_one(hash, step);
        else
            change_one(kind < 6, prng_below(&random, slow_count));
        check_ages();
        check_search(hash);
        check_search(prng_below(&random, HASHES) * UINT64_C(8));
        times_full += slow_count == CAPACITY;
        times_empty += slow_count == 0;
    }
    cr_assert_gt(times_full, 100);
    cr_assert_gt(times_empty, 100);
}
