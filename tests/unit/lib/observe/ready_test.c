/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/ready.h>

#include <criterion/criterion.h>

#include "../base/counting_mem.h"
#include "base/slice.h"

static struct counting counting;
static pol_ctx *ctx;

static void setup(void)
{
    ctx = counting_ctx(&counting);
}

static void teardown(void)
{
    pol_ctx_unref(ctx);
    cr_assert_eq(counting.bytes, 0, "%zu octets were not given back", counting.bytes);
}

TestSuite(ready, .init = setup, .fini = teardown);

static const char *const names[] = POL_READY_CHECKS;

enum { CHECKS = sizeof(names) / sizeof(names[0]) };

static pol_ready *ready_of(void)
{
    pol_ready *ready = NULL;

    cr_assert_eq(pol_ready_new(ctx, names, CHECKS, &ready), POL_OK);
    return ready;
}

static pol_ready_line line_at(const pol_ready *ready, size_t index)
{
    pol_ready_line line;

    cr_assert(pol_ready_at(ready, index, &line));
    return line;
}

Test(ready, checks_begin_as_not_checked_yet_in_their_order)
{
    pol_ready *ready = ready_of();

    cr_expect_eq(pol_ready_count(ready), CHECKS);
    for (size_t i = 0; i < CHECKS; i++) {
        pol_ready_line line = line_at(ready, i);

        cr_expect(str_equal(line.name, str_of(names[i])));
        cr_expect(str_equal(line.detail, STR("not checked yet")));
        cr_expect_not(line.ok);
        cr_expect_not(line.advisory);
    }
    cr_expect_not(pol_ready_ok(ready));
    pol_ready_free(ready);
}

Test(ready, ready_means_every_check_is_ok)
{
    pol_ready *ready = ready_of();

    for (size_t i = 0; i < CHECKS; i++) {
        cr_expect_not(pol_ready_ok(ready));
        cr_expect_eq(pol_ready_set(ready, names[i], true, NULL), POL_OK);
    }
    cr_expect(pol_ready_ok(ready));
    cr_expect_eq(line_at(ready, 0).detail.len, 0);
    pol_ready_set(ready, "draining", false, "draining since 12:00");
    cr_expect_not(pol_ready_ok(ready));
    pol_ready_free(ready);
}

Test(ready, an_advisory_check_is_shown_but_does_not_count)
{
    pol_ready *ready = ready_of();

    for (size_t i = 0; i < CHECKS; i++)
        pol_ready_set(ready, names[i], strcmp(names[i], "cluster") != 0, "why");
    cr_expect_not(pol_ready_ok(ready));
    cr_expect_eq(pol_ready_advise(ready, "cluster", true), POL_OK);
    cr_expect(pol_ready_ok(ready));
    cr_expect(line_at(ready, 6).advisory);
    cr_expect_not(line_at(ready, 6).ok);
    pol_ready_advise(ready, "cluster", false);
    cr_expect_not(pol_ready_ok(ready));
    pol_ready_free(ready);
}

Test(ready, a_detail_is_kept_with_ok_and_never_missing_without)
{
    pol_ready *ready = ready_of();

    pol_ready_set(ready, "dataplane_running", true, "capture finished");
    cr_expect(str_equal(line_at(ready, 0).detail, STR("capture finished")));
    pol_ready_set(ready, "dataplane_running", false, NULL);
    cr_expect_gt(line_at(ready, 0).detail.len, 0);
    pol_ready_free(ready);
}

Test(ready, a_long_detail_is_cut_between_characters)
{
    pol_ready *ready = ready_of();
    char detail[600];

    /* Two octets each: the 255 that fit are 127 characters and a half. */
    for (size_t i = 0; i + 2 < sizeof(detail); i += 2)
        memcpy(detail + i, "\xc3\xa4", 2);
    detail[598] = '\0';
    pol_ready_set(ready, "cluster", false, detail);
    cr_expect_eq(line_at(ready, 6).detail.len, 254);

    detail[0] = 'x'; /* now the cut falls between two */
    detail[1] = 'x';
    memmove(detail + 1, detail + 2, 597);
    pol_ready_set(ready, "cluster", false, detail);
    cr_expect_eq(line_at(ready, 6).detail.len, 255);
    pol_ready_free(ready);
}

Test(ready, names_are_copied)
{
    char name[] = "mine";
    const char *const list[] = {name};
    pol_ready *ready = NULL;

    cr_assert_eq(pol_ready_new(ctx, list, 1, &ready), POL_OK);
    name[0] = 'x';
    cr_expect_eq(pol_ready_set(ready, "mine", true, NULL), POL_OK);
    pol_ready_free(ready);
}

Test(ready, an_unknown_check_is_not_found)
{
    pol_ready *ready = ready_of();
    pol_ready_line line;

    cr_expect_eq(pol_ready_set(ready, "weather", true, NULL), POL_E_NOTFOUND);
    cr_expect_eq(pol_ready_advise(ready, "weather", true), POL_E_NOTFOUND);
    cr_expect_not(pol_ready_at(ready, CHECKS, &line));
    pol_ready_free(ready);
}

Test(ready, bad_lists_are_refused)
{
    static const char *const twice[] = {"a", "b", "a"};
    static const char *const empty[] = {"a", ""};
    static const char *const missing[] = {"a", NULL};
    static const char *many[33];
    pol_ready *ready = NULL;

    cr_expect_eq(pol_ready_new(ctx, twice, 3, &ready), POL_E_INVALID);
    cr_expect_eq(pol_ready_new(ctx, empty, 2, &ready), POL_E_INVALID);
    cr_expect_eq(pol_ready_new(ctx, missing, 2, &ready), POL_E_INVALID);
    cr_expect_eq(pol_ready_new(ctx, twice, 0, &ready), POL_E_INVALID);
    cr_expect_eq(pol_ready_new(ctx, many, 33, &ready), POL_E_INVALID);
    cr_expect_null(ready);
    pol_ready_free(NULL);
}
