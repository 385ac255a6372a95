/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/stream.h"

#include <criterion/criterion.h>

#include <string.h>

#include "../base/counting_mem.h"
#include "base/mem.h"

enum { CAPACITY = 64 };

static struct stream_pool pool;

static void setup(void)
{
    cr_assert_eq(stream_pool_init(&pool, &mem_libc, 2, CAPACITY), POL_OK);
}

static void teardown(void)
{
    stream_pool_fini(&pool, &mem_libc);
}

TestSuite(stream, .init = setup, .fini = teardown);

static struct stream *take(uint32_t base)
{
    uint32_t index = stream_take(&pool, base);

    cr_assert_neq(index, POL_NONE);
    return &pool.streams[index];
}

static enum stream_result add(struct stream *stream, uint32_t seq, const char *text)
{
    return stream_add(stream, seq, (pol_bytes){(const uint8_t *)text, strlen(text)});
}

static bool holds(const struct stream *stream, const char *text)
{
    return stream->have == strlen(text) && memcmp(stream->data, text, stream->have) == 0;
}

#define PIECES 4

/* What arrives, in order; "abcdefgh" is whole. */
static const struct {
    struct {
        int offset;
        const char *text;
        enum stream_result result;
    } pieces[PIECES];
    const char *have;
} arrivals[] = {
    {{{0, "abcd", STREAM_OK}, {4, "efgh", STREAM_OK}}, "abcdefgh"},
    {{{4, "efgh", STREAM_OK}, {0, "abcd", STREAM_OK}}, "abcdefgh"},
    {{{6, "gh", STREAM_OK}, {2, "cd", STREAM_OK}, {4, "ef", STREAM_OK}, {0, "ab", STREAM_OK}},
     "abcdefgh"},
    {{{4, "ef", STREAM_OK}, {2, "cdefgh", STREAM_OK}, {0, "abc", STREAM_OK}}, "abcdefgh"},
    {{{0, "abcd", STREAM_OK}, {0, "abcd", STREAM_OK}, {2, "cdef", STREAM_OK}}, "abcdef"},
    {{{0, "abcd", STREAM_OK}, {2, "xd", STREAM_CONFLICT}, {4, "e", STREAM_OK}}, "abcde"},
    {{{4, "efgh", STREAM_OK}, {6, "xh", STREAM_CONFLICT}, {0, "abcd", STREAM_OK}}, "abcdefgh"},
    {{{-2, "zzab", STREAM_OK}, {2, "cd", STREAM_OK}}, "abcd"},
    {{{-4, "zzzz", STREAM_OK}, {0, "", STREAM_OK}}, ""},
    {{{1, "bc", STREAM_OK}, {5, "fg", STREAM_OK}}, ""},
    {{{CAPACITY - 1, "yz", STREAM_FULL}, {0, "a", STREAM_OK}}, "a"},
};

Test(stream, octets_are_put_in_order_around_any_base)
{
    static const uint32_t bases[] = {0, 1000, UINT32_MAX - 3, UINT32_MAX};

    for (size_t b = 0; b < sizeof(bases) / sizeof(*bases); b++) {
        for (size_t i = 0; i < sizeof(arrivals) / sizeof(*arrivals); i++) {
            uint32_t index = stream_take(&pool, bases[b]);
            struct stream *stream = &pool.streams[index];

            for (int p = 0; p < PIECES && arrivals[i].pieces[p].text; p++)
                cr_expect_eq(add(stream, bases[b] + (uint32_t)arrivals[i].pieces[p].offset,
                                 arrivals[i].pieces[p].text),
                             arrivals[i].pieces[p].result, "base %zu, case %zu, piece %d", b, i, p);
            cr_expect(holds(stream, arrivals[i].have), "base %zu, case %zu", b, i);
            stream_drop(&pool, index);
        }
    }
}

Test(stream, gaps_are_limited)
{
    struct stream *stream = take(0);

    for (uint32_t i = 0; i < STREAM_PIECES; i++)
        cr_assert_eq(add(stream, 2 + 4 * i, "x"), STREAM_OK);
    cr_assert_eq(add(stream, 2 + 4 * STREAM_PIECES, "x"), STREAM_FULL);
    cr_assert_eq(add(stream, 3, "y"), STREAM_OK); /* touches a piece */
    cr_assert_eq(add(stream, 0, "ab"), STREAM_OK);
    cr_assert_eq(stream->have, 4);
}

Test(stream, consumed_octets_may_come_again)
{
    struct stream *stream = take(UINT32_MAX - 1);

    cr_assert_eq(add(stream, UINT32_MAX - 1, "abcd"), STREAM_OK);
    cr_assert_eq(add(stream, 4, "gh"), STREAM_OK);
    stream_consume(stream, 3);
    cr_assert(holds(stream, "d"));
    cr_assert_eq(add(stream, UINT32_MAX - 1, "other"), STREAM_CONFLICT); /* the d is an e */
    cr_assert_eq(add(stream, UINT32_MAX - 1, "xyzd"), STREAM_OK);
    cr_assert_eq(add(stream, 2, "ef"), STREAM_OK);
    cr_assert(holds(stream, "defgh"));
}

static const struct {
    int offset;
    const char *text;
    bool differs;
} copies[] = {
    {0, "abcd", false},
    {0, "abxd", true},
    {2, "cdzz", false}, /* beyond: not kept, yet */
    {8, "ij", false},
    {8, "ix", true},
    {6, "zzij", false}, /* in a gap, then the same */
    {6, "zzxj", true},
    {-2, "zzab", false},
    {-2, "zzxb", true},
    {-4, "zzzz", false},
    {CAPACITY, "x", false},
    {CAPACITY + 9, "x", false},
    {CAPACITY - 1, "xyz", false},
};

Test(stream, only_octets_that_are_kept_can_differ)
{
    struct stream *stream = take(UINT32_MAX - 1);

    cr_assert_eq(add(stream, UINT32_MAX - 1, "abcd"), STREAM_OK);
    cr_assert_eq(add(stream, UINT32_MAX - 1 + 8, "ij"), STREAM_OK);
    for (size_t i = 0; i < sizeof(copies) / sizeof(*copies); i++) {
        pol_bytes bytes = {(const uint8_t *)copies[i].text, strlen(copies[i].text)};

        cr_expect_eq(stream_differs(stream, UINT32_MAX - 1 + (uint32_t)copies[i].offset, bytes),
                     copies[i].differs, "%d %s", copies[i].offset, copies[i].text);
    }
    cr_expect(holds(stream, "abcd"), "nothing was added");
}

Test(stream, pool_gives_no_more_than_it_has)
{
    uint32_t first = stream_take(&pool, 1);

    take(2);
    cr_assert_eq(stream_take(&pool, 3), POL_NONE);
    cr_assert_eq(pool.used, 2);
    stream_drop(&pool, first);
    stream_drop(&pool, POL_NONE);
    cr_assert_eq(pool.used, 1);
    cr_assert_eq(stream_take(&pool, 4), first);
    cr_assert_eq(pool.streams[first].have, 0);
}

Test(stream, pool_may_be_empty)
{
    struct stream_pool none;

    cr_assert_eq(stream_pool_init(&none, &mem_libc, 0, CAPACITY), POL_OK);
    cr_assert_eq(stream_take(&none, 0), POL_NONE);
    stream_pool_fini(&none, &mem_libc);
}

Test(stream, creation_survives_every_failing_allocation)
{
    for (size_t fail_at = 1; fail_at <= 2; fail_at++) {
        struct counting counting = {.fail_at = fail_at};
        pol_mem mem = counting_mem(&counting);
        struct stream_pool failed;

        cr_assert_eq(stream_pool_init(&failed, &mem, 2, CAPACITY), POL_E_NOMEM);
        cr_assert_eq(counting.blocks, 0);
    }
}
