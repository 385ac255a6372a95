/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <criterion/criterion.h>

/*
 * SipHash-c-d written down from the paper, octet by octet, so that it shares nothing with the code
 * under test. It is checked against the vector of the paper's appendix A (SipHash-2-4) first.
 */
static uint64_t load64(const uint8_t *at, size_t len)
{
    uint64_t word = 0;

    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)at[i] << (8 * i);
    return word;
}

static uint64_t turn(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void rounds(uint64_t v[4], int count)
{
    while (count--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = turn(v[1], 13) ^ v[0];
        v[3] = turn(v[3], 16) ^ v[2];
        v[0] = turn(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = turn(v[1], 17) ^ v[2];
        v[3] = turn(v[3], 21) ^ v[0];
        v[2] = turn(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word, int count)
{
    v[3] ^= word;
    rounds(v, count);
    v[0] ^= word;
}

static uint64_t siphash(const uint64_t key[2], const uint8_t *data, size_t len, int c, int d)
{
    uint64_t v[4] = {
        key[0] ^ load64((const uint8_t *)"uespemos", 8),
        key[1] ^ load64((const uint8_t *)"modnarod", 8),
        key[0] ^ load64((const uint8_t *)"arenegyl", 8),
        key[1] ^ load64((const uint8_t *)"setybdet", 8),
    };
    size_t at;

    for (at = 0; at + 8 <= len; at += 8)
        absorb(v, load64(data + at, 8), c);
    absorb(v, load64(data + at, len - at) | (uint64_t)len << 56, c);
    v[2] ^= 0xff;
    rounds(v, d);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* k = 00 01 .. 0f, as in the paper and in everybody's vectors. */
static const uint64_t paper_key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

static void count_up(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)i;
}

Test(hash, the_yardstick_gives_the_vector_of_the_paper)
{
    uint8_t data[15];

    count_up(data, sizeof(data));
    cr_expect_eq(siphash(paper_key, data, 15, 2, 4), UINT64_C(0xa129ca6149be45e5));
}

/* The first two of the vectors that other implementations of SipHash-1-3 publish. */
Test(hash, the_published_vectors_of_siphash_1_3_hold)
{
    cr_expect_eq(hash_bytes(paper_key, "", 0), UINT64_C(0xabac0158050fc4dc));
    cr_expect_eq(hash_bytes(paper_key, "\0", 1), UINT64_C(0xc9f49bf37d57ca93));
}

Test(hash, hash_is_siphash_1_3_at_every_length)
{
    uint8_t data[200];

    count_up(data, sizeof(data));
    for (size_t len = 0; len <= sizeof(data); len++)
        cr_expect_eq(hash_bytes(paper_key, data, len), siphash(paper_key, data, len, 1, 3),
                     "length %zu", len);
}

Test(hash, unaligned_data_gives_the_same)
{
    uint8_t data[64], moved[72];

    count_up(data, sizeof(data));
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(moved + shift, data, sizeof(data));
        cr_expect_eq(hash_bytes(paper_key, moved + shift, 63), hash_bytes(paper_key, data, 63));
    }
}

Test(hash, another_seed_gives_another_hash)
{
    static const uint64_t other[2] = {1, 2};

    cr_expect_neq(hash_bytes(paper_key, "example.com", 11), hash_bytes(other, "example.com", 11));
}
