/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/sort.h"

#include <string.h>

struct run {
    const uint32_t *at, *end;
};

static void merge(struct run a, struct run b, uint32_t *out, sort_compare compare, const void *user)
{
    while (a.at < a.end && b.at < b.end)
        *out++ = compare(user, *b.at, *a.at) < 0 ? *b.at++ : *a.at++;
    while (a.at < a.end)
        *out++ = *a.at++;
    while (b.at < b.end)
        *out++ = *b.at++;
}

void sort_indexes(uint32_t *items, uint32_t *scratch, size_t count, sort_compare compare,
                  const void *user)
{
    uint32_t *from = items, *to = scratch;

    for (size_t width = 1; width < count; width *= 2) {
        uint32_t *swap = from;

        for (size_t i = 0; i < count; i += 2 * width) {
            size_t middle = i + width < count ? i + width : count;
            size_t end = i + 2 * width < count ? i + 2 * width : count;

            merge((struct run){from + i, from + middle}, (struct run){from + middle, from + end},
                  to + i, compare, user);
        }
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof(*items));
}
