/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(show, time_is_rfc3339_with_microseconds)
{
    char text[SHOW_TIME];

    show_time(0, text);
    cr_assert_str_eq(text, "1970-01-01T00:00:00.000000Z");
    show_time(UINT64_C(1795365266123456999), text);
    cr_assert_str_eq(text, "2026-11-22T16:34:26.123456Z");
}

Test(show, every_time_has_room)
{
    char text[SHOW_TIME];

    show_time(UINT64_MAX, text);
    cr_assert_str_eq(text, "2554-07-21T23:34:33.709551Z");
}

Test(show, amounts_are_short)
{
    static const struct {
        uint64_t amount;
        const char *text;
    } cases[] = {
        {0, "0"},           {999, "999"},     {1000, "1.0k"},        {12345, "12.3k"},
        {999949, "999.9k"}, {999950, "1.0M"}, {UINT64_MAX, "18.4E"},
    };
    char text[SHOW_AMOUNT];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        show_amount(cases[i].amount, text);
        cr_assert_str_eq(text, cases[i].text);
    }
}

Test(show, control_characters_do_not_reach_a_terminal)
{
    struct text out = {0};

    show_safely(&out, (pol_str){"a\033[2Jb\x7f\n\xc3\xa9", 10});
    cr_assert_str_eq(out.ptr, "a?[2Jb??\xc3\xa9");
    text_fini(&out);
}

Test(show, colours_only_where_wanted)
{
    struct text out = {0};

    show_paint(&out, false, SHOW_BAD, "x");
    show_paint(&out, true, SHOW_BAD, "y");
    cr_assert_str_eq(out.ptr, "x\033[31my\033[0m");
    text_fini(&out);
}

Test(show, no_colours_into_a_file)
{
    FILE *file = tmpfile();

    setenv("TERM", "xterm", 1);
    cr_assert_not(show_colours(file, false));
    fclose(file);
}

Test(show, counts_agree_with_their_noun)
{
    struct text out = {0};

    show_count(&out, 1, "flow", "flows");
    show_count(&out, 2, "flow", "flows");
    cr_assert_str_eq(out.ptr, "1 flow2 flows");
    text_fini(&out);
}
