/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/syntax.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/slice.h"

static const struct {
    const char *pattern;
    const char *named; /* in the error */
    const char *offset;
} refused[] = {
    {"a(?=b)", "look-ahead", "offset 1;"},
    {"(?!b)", "look-ahead", "offset 0;"},
    {"(?<=b)", "look-behind", "offset 0;"},
    {"a(?<!b)", "look-behind", "offset 1;"},
    {"(?*b)", "look-ahead", "offset 0;"},
    {"(?<*b)", "look-behind", "offset 0;"},
    {"(*pla:b)", "verb", "offset 0;"},
    {"(*UTF)b", "verb", "offset 0;"},
    {"a\\c[(?=b)", "\\c", "offset 1;"}, /* takes the bracket: what follows stands in no class */
    {"[\\c](?=b)]", "\\c", "offset 1;"},
    {"a(*ACCEPT)", "verb", "offset 1;"},
    {"(a)\\1", "back-reference", "offset 3;"},
    {"(a)\\g{1}", "back-reference", "offset 3;"},
    {"(?<n>a)\\k<n>", "back-reference", "offset 7;"},
    {"(?P<n>a)(?P=n)", "back-reference", "offset 8;"},
    {"(?R)", "recursion", "offset 0;"},
    {"(a)(?1)", "recursion", "offset 3;"},
    {"(a)(?-1)", "recursion", "offset 3;"},
    {"(?+1)(a)", "recursion", "offset 0;"},
    {"(?<n>a)(?&n)", "recursion", "offset 7;"},
    {"(?<n>a)(?P>n)", "recursion", "offset 7;"},
    {"(?(1)a|b)", "conditional", "offset 0;"},
    {"a(?C1)", "callout", "offset 1;"},
    {"(?|a|b)", "branch reset", "offset 0;"},
    {"(?>a)", "atomic", "offset 0;"},
    {"a++", "possessive", "offset 2;"},
    {"*.example.com", "a * with nothing to repeat", "offset 0;"},
    {"^*\\.example", "^.+\\.example\\.com$", "offset 1;"},
    {"a\\Kb", "\\K", "offset 1;"},
    {"a\\Cb", "\\C", "offset 1;"},
    {"\\Ga", "\\G", "offset 0;"},
    {"\\Qa(?=b)\\E", "\\Q", "offset 0;"},
    {"[\\E]a]", "\\E", "offset 1;"},
    {"(?x)a # [", "flag x", "offset 2;"},
    {"(?m)^a", "flag m", "offset 2;"},
    {"(?iJ)(?<n>a)|(?<n>b)", "flag J", "offset 3;"},
    {"[a](?=b)", "look-ahead", "offset 3;"},
    {"[]a](?=b)", "look-ahead", "offset 4;"},
    {"[^]a](?=b)", "look-ahead", "offset 5;"},
    {"[[:alpha:]](?=b)", "look-ahead", "offset 11;"},
    {"(?#c)(?=b)", "look-ahead", "offset 5;"},
};

static const char *const taken[] = {
    "a.b",          "^(?:.+\\.)?a\\.b$",
    "(?i)a",        "(?i:a)b",
    "(?<name>a)",   "(?P<name>a)",
    "[(?=]",        "\\(?=",
    "a\\++",        "a+?",
    "\\d+\\.\\w*",  "(?#(?=)a",
    "[[:digit:]]+", "[[:]a",
    "\\x41",        "",
    "\\",
};

Test(syntax, what_is_not_regular_is_named_with_its_offset)
{
    char error[REGEX_ERROR_TEXT];

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        cr_assert_eq(syntax_check(str_of(refused[i].pattern), error), POL_E_FORMAT, "%s",
                     refused[i].pattern);
        cr_assert(strstr(error, refused[i].named), "%s: %s", refused[i].pattern, error);
        cr_assert(strstr(error, refused[i].offset), "%s: %s", refused[i].pattern, error);
    }
}

Test(syntax, what_is_regular_passes)
{
    char error[REGEX_ERROR_TEXT];

    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        cr_assert_eq(syntax_check(str_of(taken[i]), error), POL_OK, "%s: %s", taken[i], error);
    }
}

static const struct {
    const char *pattern;
    bool anchored;
} anchors[] = {
    {"^a$", true},     {"a", false},      {"^a", false},
    {"a$", false},     {"\\.a$", true},   {"(^|\\.)a$", true},
    {"^a$|^b$", true}, {"^a$|b", false},  {"^(?:a|b)$", true},
    {"^a\\$", false},  {"(?i)^a$", true}, {"\\Aa\\z", true},
    {"^[|]$", true},

    {"", false},       {"^a\\|$", true},  {"(?:^|\\.)a\\.b$", true},
};

Test(syntax, anchored_means_every_alternative_is_tied_at_both_ends)
{
    for (size_t i = 0; i < sizeof(anchors) / sizeof(*anchors); i++)
        cr_assert_eq(syntax_is_anchored(str_of(anchors[i].pattern)), anchors[i].anchored, "%s",
                     anchors[i].pattern);
}
