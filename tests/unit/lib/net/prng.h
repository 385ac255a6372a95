/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_NET_PRNG_H
#define UNIT_NET_PRNG_H

#include <stdint.h>

/* SplitMix64: the same numbers on every run, from whatever seed. */
static inline uint64_t prng_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline unsigned prng_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(prng_next(state) % limit);
}

#endif
