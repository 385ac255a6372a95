/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/sort.h"

#include <criterion/criterion.h>

static int by_value(const void *user, uint32_t a, uint32_t b)
{
    const uint8_t *values = user;

    return values[a] < values[b] ? -1 : values[a] > values[b];
}

Test(sort, equal_items_keep_their_order)
{
    enum { MOST = 300 };
    static uint8_t values[MOST];
    uint32_t items[MOST], scratch[MOST], seed = 7;

    for (uint32_t count = 0; count < MOST; count += 1 + count / 8) {
        for (uint32_t i = 0; i < count; i++) {
            seed = seed * 1664525 + 1013904223;
            values[i] = (uint8_t)(seed >> 24 & 15);
            items[i] = i;
        }
        sort_indexes(items, scratch, count, by_value, values);
        for (uint32_t i = 1; i < count; i++) {
            cr_assert_leq(values[items[i - 1]], values[items[i]]);
            if (values[items[i - 1]] == values[items[i]])
                cr_assert_lt(items[i - 1], items[i]);
        }
    }
}
