/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_DRAW_H
#define SUPPORT_DRAW_H

/* Random numbers that are the same on every machine: SplitMix64. */

#include <stdbool.h>
#include <stdint.h>

#include <libpolicy/base.h>

struct draw {
    uint64_t state;
};

static inline uint64_t draw_u64(struct draw *draw)
{
    uint64_t x = draw->state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint32_t draw_below(struct draw *draw, uint32_t limit)
{
    return (uint32_t)((draw_u64(draw) >> 32) * limit >> 32);
}

static inline uint32_t draw_between(struct draw *draw, uint32_t first, uint32_t last)
{
    return first + draw_below(draw, last - first + 1);
}

static inline bool draw_percent(struct draw *draw, uint32_t percent)
{
    return draw_below(draw, 100) < percent;
}

/* One of the list that is of the family; NULL: none was met in 64 draws. */
static inline const pol_addr *draw_of_family(struct draw *draw, const pol_addr *list,
                                             uint32_t count, uint8_t family)
{
    for (int i = 0; i < 64; i++) {
        const pol_addr *addr = &list[draw_below(draw, count)];

        if (addr->family == family)
            return addr;
    }
    return NULL;
}

#endif
