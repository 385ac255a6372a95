/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/lint.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/slice.h"

static const struct {
    const char *pattern;
    bool any_dot;
    char repeated; /* NUL: nothing is */
    char foreign;  /* NUL: nothing is */
} patterns[] = {
    {"^api\\.example\\.com$", false, 0, 0},
    {"^(?:.+\\.)?example\\.com$", false, 0, 0},
    {"(^|\\.)(b|c)[.]d$", false, 0, 0},
    {".*", false, 0, 0},
    {"^.+\\.example\\.com$", false, 0, 0},
    {"", false, 0, 0},
    /* a dot that is any character */
    {"^api.example\\.com$", true, 0, 0},
    {"example.com", true, 0, 0},
    {"^.*.example\\.com$", true, 0, 0},
    {"^(www|api).example\\.com$", true, 0, 0},
    {"^[a-z]+.example$", true, 0, 0},
    {"^node..\\.example$", false, 0, 0},
    {"^node.\\.example$", false, 0, 0},
    {"^a.?b$", false, 0, 0},
    {"^a[.]b$", false, 0, 0},
    {"^a[x.]b$", false, 0, 0},
    {"^a[^].]b$", false, 0, 0},
    {"^a[]b].c$", true, 0, 0},
    {"^a[[:digit:].]b$", false, 0, 0},
    {"(?i)^a.b$", true, 0, 0},
    /* a star that repeats a character */
    {"^api-*\\.example$", false, '-', 0},
    {"^api\\.*example$", false, '.', 0},
    {"^www*\\.example$", false, 'w', 0},
    {"^node0*1$", false, 0, 0},
    {"^[a-z]*\\.example$", false, 0, 0},
    {"^(?:a\\.)*example$", false, 0, 0},
    {"^\\w*\\.example$", false, 0, 0},
    /* what no name has */
    {"^https://a\\.example$", false, 0, '/'},
    {"^a\\.example:443$", false, 0, ':'},
    {"^\\*\\.example$", false, 0, '*'},
    {"^\\.example$", false, 0, '.'},
    {"^a\\.example\\.$", false, 0, '.'},
    {"a b", false, 0, ' '},
    {"\\.example$", false, 0, 0},
    {"^a\\.$|^b$", false, 0, 0},
    {"^a(:443)?$", false, 0, 0},
    {"^a:?$", false, 0, 0},
    {"^a:{0,1}$", false, 0, 0},
    {"^a[:]b$", false, 0, 0},
    {"^a\\\\032b$", false, 0, 0},
    {"^a/b{", false, 0, '/'},
    {"^(a:b)$", false, 0, 0},
};

Test(lint, says_what_a_pattern_means_beside_what_it_looks_like)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
        struct lint lint;

        lint_pattern(str_of(patterns[i].pattern), &lint);
        cr_assert_eq(lint.any_dot, patterns[i].any_dot, "dot in %s", patterns[i].pattern);
        cr_assert_eq(lint.star ? lint.repeated : 0, patterns[i].repeated, "star in %s",
                     patterns[i].pattern);
        cr_assert_eq(lint.no_name ? lint.foreign : 0, patterns[i].foreign, "octet in %s",
                     patterns[i].pattern);
    }
}

/* Patterns that the engine accepts and others: reading stops at the end, whatever is cut off. */
Test(lint, every_beginning_of_a_pattern_is_read_to_its_end)
{
    static const char long_one[] = "(?<n>[^]\\x[:al])a.b*\\.{2,3}?[[:alpha:]-z]$|\\";
    struct lint lint;

    for (size_t len = 0; len < sizeof(long_one); len++) {
        char *copy = malloc(len + 1);

        memcpy(copy, long_one, len);
        lint_pattern((pol_str){copy, len}, &lint);
        free(copy);
    }
    lint_pattern((pol_str){NULL, 0}, &lint);
    cr_assert_not(lint.any_dot || lint.star || lint.no_name);
}

Test(lint, a_star_in_an_exact_name_is_a_wildcard)
{
    cr_assert(lint_is_wildcard(str_of("*.example.com")));
    cr_assert_not(lint_is_wildcard(str_of("a.example.com")));
    cr_assert_not(lint_is_wildcard((pol_str){NULL, 0}));
}
