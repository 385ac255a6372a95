/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/regex.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

/* Counts what is held and, once `left` is used up, refuses. */
struct meter {
    long held, calls, left;
};

static void *meter_alloc(void *user, size_t size)
{
    struct meter *meter = user;

    meter->calls++;
    if (meter->left == 0)
        return NULL;
    meter->left--;
    meter->held += (long)size;
    return malloc(size);
}

static void *meter_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    struct meter *meter = user;

    meter->calls++;
    if (meter->left == 0)
        return NULL;
    meter->left--;
    meter->held += (long)new_size - (long)old_size;
    return realloc(ptr, new_size);
}

static void meter_release(void *user, void *ptr, size_t size)
{
    struct meter *meter = user;

    meter->held -= (long)size;
    free(ptr);
}

static pol_ctx *metered_ctx(struct meter *meter)
{
    pol_mem mem = {meter, meter_alloc, meter_resize, meter_release};
    pol_ctx_options opts;
    pol_ctx *ctx = NULL;

    *meter = (struct meter){.left = -1};
    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    cr_assert_eq(pol_ctx_new(&opts, &ctx), POL_OK);
    return ctx;
}

static const struct {
    const char *pattern, *subject;
    bool caseless;
    enum regex_result result;
} searches[] = {
    {"b", "abc", true, REGEX_YES},
    {"B", "abc", true, REGEX_YES},
    {"B", "abc", false, REGEX_NO},
    {"^b", "abc", true, REGEX_NO},
    {"c$", "abc", true, REGEX_YES},
    {"c$", "abc\n", true, REGEX_NO}, /* $ is the very end */
    {"^$", "", true, REGEX_YES},
    {"a.c",
     "a\xff"
     "c",
     false, REGEX_YES}, /* octets, no UTF-8 needed */
    {"\xc3\xa9", "caf\xc3\xa9", false, REGEX_YES},
    {"^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true, REGEX_EXCEPTION},
    {"(?<year>[0-9]{4})", "in 2026", true, REGEX_YES},
};

Test(regex_pcre2, patterns_are_searched_as_the_document_means_them)
{
    char error[REGEX_ERROR_TEXT];
    struct regex_scratch *scratch = NULL;
    struct meter meter;
    pol_ctx *ctx = metered_ctx(&meter);

    cr_assert_eq(regex_scratch_new(ctx, &scratch), POL_OK);
    for (size_t i = 0; i < sizeof(searches) / sizeof(*searches); i++) {
        struct regex *regex = NULL;

        cr_assert_eq(
            regex_compile(ctx, str_of(searches[i].pattern), searches[i].caseless, &regex, error),
            POL_OK, "%s", searches[i].pattern);
        cr_assert_eq(regex_search(regex, scratch, str_of(searches[i].subject)), searches[i].result,
                     "%s", searches[i].pattern);
        cr_assert_gt(regex_memory(regex), 0);
        regex_free(regex);
    }
    regex_scratch_free(scratch);
    pol_ctx_unref(ctx);
    cr_assert_eq(meter.held, 0);
}

static const char *const broken[] = {"(",  "a)",        "[",
                                     "*",  "a{2,1}",    "(?=a)",
                                     "\\", "\\p{Greek", "(((((a{100}){100}){100}){100}){100})"};

Test(regex_pcre2, a_bad_pattern_says_why_and_where)
{
    char error[REGEX_ERROR_TEXT];
    struct meter meter;
    pol_ctx *ctx = metered_ctx(&meter);

    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct regex *regex = NULL;

        error[0] = '\0';
        cr_assert_eq(regex_compile(ctx, str_of(broken[i]), true, &regex, error), POL_E_FORMAT, "%s",
                     broken[i]);
        cr_assert_null(regex);
        cr_assert(error[0]);
    }
    pol_ctx_unref(ctx);
    cr_assert_eq(meter.held, 0);
}

Test(regex_pcre2, a_search_takes_no_memory_and_outgrowing_the_scratch_is_an_exception)
{
    static char subject[60000];
    char error[REGEX_ERROR_TEXT];
    struct regex_scratch *scratch = NULL;
    struct regex *deep = NULL, *plain = NULL;
    struct meter meter;
    pol_ctx *ctx = metered_ctx(&meter);
    long calls;

    memset(subject, 'a', sizeof(subject));
    cr_assert_eq(regex_compile(ctx, STR("^(?:[^A]|B)*$"), false, &deep, error), POL_OK);
    cr_assert_eq(regex_compile(ctx, STR("^a+$"), false, &plain, error), POL_OK);
    cr_assert_eq(regex_scratch_new(ctx, &scratch), POL_OK);
    calls = meter.calls;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(regex_search(deep, scratch, (pol_str){subject, 300}), REGEX_YES);
        cr_assert_eq(regex_search(deep, scratch, (pol_str){subject, sizeof(subject)}),
                     REGEX_EXCEPTION);
        cr_assert_eq(regex_search(plain, scratch, (pol_str){subject, sizeof(subject)}), REGEX_YES);
    }
    cr_assert_eq(meter.calls, calls);
    regex_free(deep);
    regex_free(plain);
    regex_scratch_free(scratch);
    pol_ctx_unref(ctx);
    cr_assert_eq(meter.held, 0);
}

Test(regex_pcre2, memory_is_what_it_holds)
{
    /* The second is repeated no times, so PCRE2 fills less than it took. */
    static const char *const patterns[] = {"^a[b-d]+(e|f)$", "a^g{0}aS0"};
    char error[REGEX_ERROR_TEXT];
    struct meter meter;
    pol_ctx *ctx = metered_ctx(&meter);
    long base = meter.held;

    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
        struct regex *regex = NULL;

        cr_assert_eq(regex_compile(ctx, str_of(patterns[i]), true, &regex, error), POL_OK);
        cr_assert_eq(regex_memory(regex), (size_t)(meter.held - base), "%s", patterns[i]);
        regex_free(regex);
    }
    pol_ctx_unref(ctx);
}

Test(regex_pcre2, memory_may_run_out_at_any_point)
{
    char error[REGEX_ERROR_TEXT];
    struct meter meter;
    pol_ctx *ctx = metered_ctx(&meter);
    long base = meter.held;
    int rc = POL_E_NOMEM;

    for (long left = 0; rc == POL_E_NOMEM; left++) {
        struct regex *regex = NULL;

        meter.left = left;
        rc = regex_compile(ctx, STR("^a[b-d]+(e|f)$"), true, &regex, error);
        regex_free(regex);
        cr_assert_eq(meter.held, base);
    }
    cr_assert_eq(rc, POL_OK);
    meter.left = 0;
    cr_assert_eq(regex_scratch_new(ctx, &(struct regex_scratch *){NULL}), POL_E_NOMEM);
    pol_ctx_unref(ctx);
}
