/* SPDX-License-Identifier: Apache-2.0 */
#include "net/portset.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"

static int by_first(const void *a, const void *b)
{
    const struct portrange *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* Joins sorted ranges that overlap or touch; returns how many are left. */
static uint32_t merge(struct portrange *ranges, uint32_t count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct portrange *last = kept ? &ranges[kept - 1] : NULL;

        if (!last || ranges[i].first > last->last + 1)
            ranges[kept++] = ranges[i];
        else if (ranges[i].last > last->last)
            last->last = ranges[i].last;
    }
    return kept;
}

int portset_build(struct arena *arena, const struct portrange *ranges, size_t count,
                  struct portset **ret_set)
{
    struct portset *set;

    if (count > UINT32_MAX)
        return POL_E_NOMEM;
    set = arena_alloc(arena, sizeof(*set) + count * sizeof(set->ranges[0]));
    if (!set)
        return POL_E_NOMEM;

    for (size_t i = 0; i < count; i++) {
        assert(ranges[i].first <= ranges[i].last);
        set->ranges[i] = ranges[i];
    }
    qsort(set->ranges, count, sizeof(set->ranges[0]), by_first);
    set->count = merge(set->ranges, (uint32_t)count);
    *ret_set = set;
    return POL_OK;
}

/* The range that holds the port, or NULL. */
static const struct portrange *find(const struct portset *set, uint16_t port)
{
    uint32_t low = 0, high = set->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (set->ranges[middle].last < port)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count || set->ranges[low].first > port)
        return NULL;
    return &set->ranges[low];
}

bool portset_has(const struct portset *set, uint16_t port)
{
    return find(set, port) != NULL;
}

bool portset_covers(const struct portset *outer, const struct portset *inner)
{
    /* Ranges never touch, so one that is covered lies inside a single range. */
    for (uint32_t i = 0; i < inner->count; i++) {
        const struct portrange *around = find(outer, inner->ranges[i].first);

        if (!around || around->last < inner->ranges[i].last)
            return false;
    }
    return true;
}
