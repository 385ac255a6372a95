/* SPDX-License-Identifier: Apache-2.0 */
#include "base/abi.h"

#include <criterion/criterion.h>

/* One struct at three ages. */
struct first {
    size_t size;
    uint64_t a;
};

struct second {
    size_t size;
    uint64_t a, b;
};

struct third {
    size_t size;
    uint64_t a, b, c;
};

static const struct second defaults = {sizeof(struct second), 10, 20};

Test(abi, no_options_leave_the_defaults)
{
    struct second own = defaults;

    cr_expect_eq(abi_options(&own, sizeof(own), NULL, sizeof(struct first)), POL_OK);
    cr_expect_eq(own.a, 10);
    cr_expect_eq(own.b, 20);
}

Test(abi, a_shorter_struct_keeps_the_default_of_what_it_lacks)
{
    struct second own = defaults;
    struct first given = {sizeof(given), 11};

    cr_expect_eq(abi_options(&own, sizeof(own), &given, sizeof(struct first)), POL_OK);
    cr_expect_eq(own.a, 11);
    cr_expect_eq(own.b, 20);
}

Test(abi, a_longer_struct_is_accepted_when_its_news_are_zero)
{
    struct second own = defaults;
    struct third given = {sizeof(given), 11, 21, 0};

    cr_expect_eq(abi_options(&own, sizeof(own), &given, sizeof(struct first)), POL_OK);
    cr_expect_eq(own.b, 21);

    given.c = 1;
    cr_expect_eq(abi_options(&own, sizeof(own), &given, sizeof(struct first)), POL_E_ABI);
}

Test(abi, a_struct_below_the_first_form_is_refused)
{
    struct second own = defaults;
    struct first given = {sizeof(given) - 1, 11};

    cr_expect_eq(abi_options(&own, sizeof(own), &given, sizeof(struct first)), POL_E_ABI);
    given.size = 0;
    cr_expect_eq(abi_options(&own, sizeof(own), &given, sizeof(struct first)), POL_E_ABI);
    cr_expect_eq(own.a, 10);
}

Test(abi, a_size_that_nobody_filled_in_is_not_believed)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 20, 5000};
    struct second own = defaults, given = {0};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        given.size = sizes[i];
        cr_expect_eq(abi_options(&own, sizeof(own), &given, sizeof(given)), POL_E_ABI);
    }
}

Test(abi, defaults_are_not_written_where_not_even_the_size_fits)
{
    uint64_t little = 7;

    abi_defaults(&little, 0, &defaults, sizeof(defaults));
    abi_defaults(&little, sizeof(size_t) - 1, &defaults, sizeof(defaults));
    cr_expect_eq(little, 7);
}

Test(abi, defaults_fill_what_the_caller_has_and_no_more)
{
    struct third longer;
    struct {
        struct first given;
        uint64_t behind;
    } shorter;

    memset(&longer, 0xff, sizeof(longer));
    abi_defaults(&longer, sizeof(longer), &defaults, sizeof(defaults));
    cr_expect_eq(longer.size, sizeof(longer));
    cr_expect_eq(longer.a, 10);
    cr_expect_eq(longer.b, 20);
    cr_expect_eq(longer.c, 0);

    shorter.behind = 99;
    abi_defaults(&shorter.given, sizeof(shorter.given), &defaults, sizeof(defaults));
    cr_expect_eq(shorter.given.size, sizeof(shorter.given));
    cr_expect_eq(shorter.given.a, 10);
    cr_expect_eq(shorter.behind, 99);
}
