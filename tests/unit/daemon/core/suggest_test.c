// SPDX-License-Identifier: Apache-2.0
#include "core/suggest.h"

#include <criterion/criterion.h>

static const struct {
    const char *a, *b;
    size_t distance;
} cases[] = {
    {"", "", 0},         {"", "abc", 3},         {"abc", "", 3},     {"abc", "abc", 0},
    {"abc", "abd", 1},   {"abc", "acb", 1},      {"abcd", "abd", 1}, {"kitten", "sitting", 3},
    {"bind", "bidn", 1}, {"policy", "polcy", 1},
};

Test(suggest, distance_counts_edits_and_swaps)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_assert_eq(suggest_distance(cases[i].a, cases[i].b), cases[i].distance, "%s %s",
                     cases[i].a, cases[i].b);
}

Test(suggest, only_near_names_are_suggested)
{
    cr_assert(suggest_is_near("bidn", 1));
    cr_assert(suggest_is_near("trusted_resolver", 1));
    cr_assert_not(suggest_is_near("snat", 3));
}
