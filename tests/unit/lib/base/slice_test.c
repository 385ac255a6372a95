/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <criterion/criterion.h>

static const uint8_t octets[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa};

static struct cursor start(size_t len)
{
    return cursor_of((pol_bytes){octets, len});
}

Test(slice, numbers_are_read_in_network_order)
{
    struct cursor in = start(sizeof(octets));

    cr_expect_eq(cursor_u8(&in), 0x01);
    cr_expect_eq(cursor_u16(&in), 0x0203);
    cr_expect_eq(cursor_u24(&in), 0x0405f6);
    cr_expect_eq(cursor_u32(&in), 0xf7f8f9fa);
    cr_expect_eq(cursor_left(&in), 0);
    cr_expect_not(in.failed);
}

Test(slice, a_read_past_the_end_fails_and_gives_zero_from_then_on)
{
    for (size_t len = 0; len < 4; len++) {
        struct cursor in = start(len);

        cr_expect_eq(cursor_u32(&in), 0);
        cr_expect(in.failed, "length %zu", len);
        cr_expect_eq(cursor_u8(&in), 0);
        cr_expect_eq(cursor_take(&in, 0).ptr, NULL);
        cr_expect_eq(cursor_left(&in), 0);
    }
}

Test(slice, taking_all_is_no_failure)
{
    struct cursor in = start(4);
    pol_bytes all = cursor_take(&in, 4);

    cr_expect_eq(all.ptr, octets);
    cr_expect_eq(all.len, 4);
    cr_expect_not(in.failed);
    cursor_skip(&in, 1);
    cr_expect(in.failed);
}

Test(slice, an_absurd_length_fails)
{
    struct cursor in = start(4);

    cr_expect_eq(cursor_take(&in, SIZE_MAX).len, 0);
    cr_expect(in.failed);
}

Test(slice, a_cursor_over_nothing_has_nothing)
{
    struct cursor in = cursor_of((pol_bytes){NULL, 0});

    cr_expect_eq(cursor_left(&in), 0);
    cr_expect_eq(cursor_u8(&in), 0);
    cr_expect(in.failed);
}

static const struct {
    const char *a, *b;
    bool equal, nocase;
} pairs[] = {
    {"", "", true, true},        {"a", "a", true, true},    {"a", "A", false, true},
    {"Web", "wEB", false, true}, {"a", "ab", false, false}, {"a", "b", false, false},
    {"[", "{", false, false},    {"@", "`", false, false},  {"\xc3\x84", "\xc3\xa4", false, false},
};

Test(slice, text_compares_by_octet_or_ascii_case)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        pol_str a = str_of(pairs[i].a), b = str_of(pairs[i].b);

        cr_expect_eq(str_equal(a, b), pairs[i].equal, "row %zu", i);
        cr_expect_eq(str_equal_nocase(a, b), pairs[i].nocase, "row %zu", i);
    }
    cr_expect(str_equal(str_of(NULL), STR("")));
}
