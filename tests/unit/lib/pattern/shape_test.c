/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/shape.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/slice.h"

static const struct {
    const char *pattern;
    const char *items; /* PLACE:LITERAL, blank between: w whole, d behind a dot, b below, * every
                          name, + every name that is not empty. NULL: the engine */
} cases[] = {
    {"^a\\.b$", "w:a.b"},
    {"^A\\.b$", "w:a.b"},
    {"^a[.]b$", "w:a.b"},
    {"^(?:.+\\.)?b\\.c$", "b:b.c w:b.c"},
    {"^(.*\\.)?b\\.c$", "d:b.c w:b.c"},
    {"(^|\\.)b\\.c$", "w:b.c d:b.c"},
    {"(?:^|\\.)b\\.c$", "w:b.c d:b.c"},
    {"^.+\\.b\\.c$", "b:b.c"},
    {"^.*\\.b\\.c$", "d:b.c"},
    {"\\.b\\.c$", "d:b.c"},
    {"^(?:a|b)\\.c$", "w:a.c w:b.c"},
    {"^(?:.+\\.)?(?:a|b)\\.c$", "b:a.c b:b.c w:a.c w:b.c"},
    {"^a$|^b$", "w:a w:b"},
    {"(?:^a$|\\.b$)", "w:a d:b"},
    {"^colou?r$", "w:colour w:color"},
    {"(?i)^a$", "w:a"},
    {".*", "*:"},
    {"^.*$", "*:"},
    {"^.*", "*:"},
    {".+", "+:"},
    {"^.+?\\.b$", "b:b"}, /* lazy, not optional */
    {"^(?:.*?\\.)?b$", "d:b w:b"},
    {"^?a$", NULL},
    {"^a$?", NULL},
    {"^a??$", NULL},
    {"a\\.b", NULL},
    {"^a\\.b", NULL},
    {"a\\.b$", NULL},
    {"^a.b$", NULL},
    {"^a+$", NULL},
    {"^a{2}$", NULL},
    {"^[ab]$", NULL},
    {"^\\d$", NULL},
    {"^(?:a$", NULL},
    {"^a)$", NULL},
    {"^a$b$", NULL},
    {"(?=a)", NULL},
    {"^(?:a|b)+$", NULL},
    {"", NULL},
    {"^", NULL},
    {"^$", NULL},
    {"\\", NULL},
    {"^.+b\\.c$", NULL},
    {"^((((((a))))))$", NULL},
    {"^(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)$", NULL}, /* 256 names are too many */
};

static char letter(uint8_t place)
{
    switch (place) {
    case SHAPE_WHOLE:
        return 'w';
    case SHAPE_BEHIND_DOT:
        return 'd';
    case SHAPE_BELOW:
        return 'b';
    case SHAPE_EVERY:
        return '*';
    default:
        return '+';
    }
}

Test(shape, names_and_suffixes_are_recognised_and_nothing_else)
{
    static struct shape shape;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[256] = "";
        size_t len = 0;
        bool found = shape_of(str_of(cases[i].pattern), &shape);

        cr_assert_eq(found, cases[i].items != NULL, "%s", cases[i].pattern);
        for (size_t j = 0; found && j < shape.count; j++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%c:%.*s", j ? " " : "",
                                    letter(shape.items[j].place), (int)shape.items[j].literal.len,
                                    shape.items[j].literal.ptr);
        if (found)
            cr_assert_str_eq(text, cases[i].items, "%s: %s", cases[i].pattern, text);
    }
}

/* Beyond the room there is, the engine does it: nothing is left out. */
Test(shape, as_many_alternatives_as_there_is_room_for)
{
    static struct shape shape;
    char text[SHAPE_ITEMS * 8 + 8];
    size_t len = 0;

    for (unsigned i = 0; i < SHAPE_ITEMS; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s^n%u$", i ? "|" : "", i);
    cr_assert(shape_of((pol_str){text, len}, &shape));
    cr_assert_eq(shape.count, SHAPE_ITEMS);
    cr_assert(str_equal(shape.items[SHAPE_ITEMS - 1].literal, STR("n127")));
    len += (size_t)snprintf(text + len, sizeof(text) - len, "|^n$");
    cr_assert_not(shape_of((pol_str){text, len}, &shape));
}
