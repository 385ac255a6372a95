/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <criterion/criterion.h>

#include "base/slice.h"
#include "counting_mem.h"

static const size_t sizes[] = {1, 15, 16, 17, 0, 100, 16384, 16385, 65536, 65537, 1000000, 3};

Test(arena, every_piece_is_aligned_zeroed_and_its_own)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    struct arena arena;
    uint8_t *pieces[sizeof(sizes) / sizeof(sizes[0])];

    arena_init(&arena, &mem);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pieces[i] = arena_alloc(&arena, sizes[i]);
        cr_assert_not_null(pieces[i]);
        cr_expect_eq((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            cr_assert_eq(pieces[i][k], 0, "size %zu, octet %zu", sizes[i], k);
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            cr_assert_eq(pieces[i][k], i + 1);
    }
    cr_expect_eq(arena.bytes, counting.bytes);
    arena_fini(&arena);
    cr_expect_eq(counting.bytes, 0);
    cr_expect_eq(counting.blocks, 0);
}

Test(arena, small_pieces_share_a_block_that_a_large_one_does_not_end)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    struct arena arena;
    uint8_t *first, *second;

    arena_init(&arena, &mem);
    first = arena_alloc(&arena, 16);
    arena_alloc(&arena, 100000);
    second = arena_alloc(&arena, 16);
    cr_expect_eq(second - first, 16 + ARENA_GAP);
    cr_expect_eq(counting.blocks, 2);
    arena_fini(&arena);
}

Test(arena, sizes_beyond_size_t_are_refused)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    struct arena arena;

    arena_init(&arena, &mem);
    cr_expect_null(arena_alloc(&arena, SIZE_MAX));
    cr_expect_null(arena_array(&arena, SIZE_MAX / 2, 3));
    cr_expect_eq(counting.requests, 0);
    arena_fini(&arena);
}

Test(arena, without_memory_it_gives_null_and_stays_usable)
{
    struct counting counting = {.fail_at = 2};
    pol_mem mem = counting_mem(&counting);
    struct arena arena;

    arena_init(&arena, &mem);
    cr_expect_not_null(arena_alloc(&arena, 16));
    cr_expect_null(arena_alloc(&arena, 100000));
    cr_expect_not_null(arena_alloc(&arena, 100000));
    arena_fini(&arena);
    cr_expect_eq(counting.bytes, 0);
}

Test(arena, text_is_copied_with_a_nul)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    struct arena arena;
    char given[] = "example.com";
    pol_str copy, empty;

    arena_init(&arena, &mem);
    copy = arena_str(&arena, str_of(given));
    empty = arena_str(&arena, (pol_str){NULL, 0});
    given[0] = 'x';
    cr_expect_str_eq(copy.ptr, "example.com");
    cr_expect_eq(copy.len, 11);
    cr_expect_str_eq(empty.ptr, "");
    cr_expect_eq(empty.len, 0);
    arena_fini(&arena);
}
