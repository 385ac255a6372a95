/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <criterion/criterion.h>

#include "base/slice.h"

static void write_all(struct buf *buf)
{
    buf_char(buf, '<');
    buf_str(buf, STR("ab"));
    buf_str(buf, (pol_str){NULL, 0});
    buf_text(buf, "cd");
    buf_u64(buf, UINT64_MAX);
    buf_printf(buf, "%s-%d", "x", -7);
    buf_add(buf, ">", 1);
}

static const char expected[] = "<abcd18446744073709551615x--7>";

Test(buf, a_pass_that_does_not_fit_gives_the_length_needed)
{
    size_t whole = strlen(expected);
    char text[64];

    for (size_t capacity = 0; capacity < whole; capacity++) {
        struct buf buf = buf_of(text, capacity);
        size_t len = 0;

        memset(text, '#', sizeof(text));
        write_all(&buf);
        cr_expect_eq(buf_finish(&buf, &len), POL_E_NOSPACE);
        cr_expect_eq(len, whole);
        cr_expect_eq(memcmp(text, expected, capacity), 0);
        cr_expect_eq(text[capacity], '#', "wrote past %zu", capacity);
    }
}

Test(buf, a_buffer_of_just_that_length_holds_all)
{
    char text[64];
    struct buf buf = buf_of(text, strlen(expected));
    size_t len = 0;

    write_all(&buf);
    cr_expect_eq(buf_finish(&buf, &len), POL_OK);
    cr_expect_eq(len, strlen(expected));
    cr_expect_eq(memcmp(text, expected, len), 0);
}

Test(buf, no_buffer_at_all_measures)
{
    struct buf buf = buf_of(NULL, 0);
    size_t len = 0;

    write_all(&buf);
    cr_expect_eq(buf_finish(&buf, &len), POL_E_NOSPACE);
    cr_expect_eq(len, strlen(expected));
}
