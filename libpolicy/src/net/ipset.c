/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of addresses is one sorted array of disjoint ranges per family, first and last side by
 * side. Merging makes the array as small as the set allows (the sources of a group are a handful of
 * prefixes, one cache line of IPv4), and a lookup is a binary search that touches nothing else. A
 * multibit trie would take fewer steps in very large sets, at the price of sparse nodes for IPv6;
 * large rule sets are the classifier's business and never searched here.
 *
 * Addresses are held as integers: the comparison is then one instruction (two for IPv6), where
 * memcmp() on the octets is a call.
 */
#include "net/ipset.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"

struct key {
    uint64_t high, low;
};

struct range4 {
    uint32_t first, last;
};

struct range6 {
    struct key first, last;
};

struct ipset {
    size_t count4, count6;
    struct range4 *ranges4;
    struct range6 *ranges6;
};

static uint64_t load(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void store(uint64_t value, unsigned count, uint8_t *ret_bytes)
{
    for (unsigned i = 0; i < count; i++)
        ret_bytes[i] = (uint8_t)(value >> (8 * (count - 1 - i)));
}

static uint32_t value4(const pol_addr *addr)
{
    return (uint32_t)load(addr->bytes, 4);
}

static struct key value6(const pol_addr *addr)
{
    return (struct key){load(addr->bytes, 8), load(addr->bytes + 8, 8)};
}

static pol_addr addr_of4(uint32_t value)
{
    pol_addr addr = {.family = 4};

    store(value, 4, addr.bytes);
    return addr;
}

static pol_addr addr_of6(struct key value)
{
    pol_addr addr = {.family = 6};

    store(value.high, 8, addr.bytes);
    store(value.low, 8, addr.bytes + 8);
    return addr;
}

static bool key_less(struct key a, struct key b)
{
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

/* The key behind this one; never asked of the last one. */
static struct key key_next(struct key key)
{
    key.low++;
    key.high += key.low == 0;
    return key;
}

static bool key_equal(struct key a, struct key b)
{
    return a.high == b.high && a.low == b.low;
}

static int by_first4(const void *a, const void *b)
{
    const struct range4 *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

static int by_first6(const void *a, const void *b)
{
    const struct range6 *x = a, *y = b;

    return key_less(y->first, x->first) - key_less(x->first, y->first);
}

/* Joins sorted ranges that overlap or touch; returns how many are left. */
static size_t merge4(struct range4 *ranges, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct range4 *last = kept ? &ranges[kept - 1] : NULL;

        if (!last || (ranges[i].first > last->last && ranges[i].first != last->last + 1))
            ranges[kept++] = ranges[i];
        else if (ranges[i].last > last->last)
            last->last = ranges[i].last;
    }
    return kept;
}

static size_t merge6(struct range6 *ranges, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct range6 *last = kept ? &ranges[kept - 1] : NULL;

        if (!last || (key_less(last->last, ranges[i].first) &&
                      !key_equal(key_next(last->last), ranges[i].first)))
            ranges[kept++] = ranges[i];
        else if (key_less(last->last, ranges[i].last))
            last->last = ranges[i].last;
    }
    return kept;
}

static void add(struct ipset *set, const pol_prefix *prefix)
{
    struct iprange range = prefix_range(prefix);

    if (prefix->addr.family == 4)
        set->ranges4[set->count4++] = (struct range4){value4(&range.first), value4(&range.last)};
    else if (prefix->addr.family == 6)
        set->ranges6[set->count6++] = (struct range6){value6(&range.first), value6(&range.last)};
}

static size_t count_family(const pol_prefix *prefixes, size_t count, uint8_t family)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += prefixes[i].addr.family == family;
    return found;
}

int ipset_build(struct arena *arena, const pol_prefix *prefixes, size_t count,
                struct ipset **ret_set)
{
    struct ipset *set = arena_alloc(arena, sizeof(*set));

    if (!set)
        return POL_E_NOMEM;
    set->ranges4 = arena_array(arena, count_family(prefixes, count, 4), sizeof(*set->ranges4));
    set->ranges6 = arena_array(arena, count_family(prefixes, count, 6), sizeof(*set->ranges6));
    if (!set->ranges4 || !set->ranges6)
        return POL_E_NOMEM;

    for (size_t i = 0; i < count; i++)
        add(set, &prefixes[i]);
    qsort(set->ranges4, set->count4, sizeof(*set->ranges4), by_first4);
    qsort(set->ranges6, set->count6, sizeof(*set->ranges6), by_first6);
    set->count4 = merge4(set->ranges4, set->count4);
    set->count6 = merge6(set->ranges6, set->count6);
    *ret_set = set;
    return POL_OK;
}

/* The range that holds the address, or NULL. */
static const struct range4 *find4(const struct ipset *set, uint32_t addr)
{
    size_t low = 0, high = set->count4;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges4[middle].last < addr)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count4 || set->ranges4[low].first > addr)
        return NULL;
    return &set->ranges4[low];
}

static const struct range6 *find6(const struct ipset *set, struct key addr)
{
    size_t low = 0, high = set->count6;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (key_less(set->ranges6[middle].last, addr))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count6 || key_less(addr, set->ranges6[low].first))
        return NULL;
    return &set->ranges6[low];
}

bool ipset_has(const struct ipset *set, const pol_addr *addr)
{
    switch (addr->family) {
    case 4:
        return find4(set, value4(addr)) != NULL;
    case 6:
        return find6(set, value6(addr)) != NULL;
    default:
        return false;
    }
}

/* Ranges never touch, so one that is covered lies inside a single range. */
bool ipset_covers(const struct ipset *outer, const struct ipset *inner)
{
    for (size_t i = 0; i < inner->count4; i++) {
        const struct range4 *around = find4(outer, inner->ranges4[i].first);

        if (!around || around->last < inner->ranges4[i].last)
            return false;
    }
    for (size_t i = 0; i < inner->count6; i++) {
        const struct range6 *around = find6(outer, inner->ranges6[i].first);

        if (!around || key_less(around->last, inner->ranges6[i].last))
            return false;
    }
    return true;
}

size_t ipset_range_count(const struct ipset *set)
{
    return set->count4 + set->count6;
}

struct iprange ipset_range(const struct ipset *set, size_t index)
{
    const struct range6 *range;

    assert(index < ipset_range_count(set));
    if (index < set->count4) {
        return (struct iprange){addr_of4(set->ranges4[index].first),
                                addr_of4(set->ranges4[index].last)};
    }
    range = &set->ranges6[index - set->count4];
    return (struct iprange){addr_of6(range->first), addr_of6(range->last)};
}
