/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ctx.h"

#include <criterion/criterion.h>

#include "counting_mem.h"

Test(ctx, defaults_are_those_of_the_header)
{
    pol_ctx_options opts;

    pol_ctx_options_init(&opts, sizeof(opts));
    cr_expect_eq(opts.size, sizeof(opts));
    cr_expect_null(opts.mem);
    cr_expect_null(opts.log);
    cr_expect_eq(opts.limits.document_bytes, (size_t)64 << 20);
    cr_expect_eq(opts.limits.groups, 65536);
    cr_expect_eq(opts.limits.rules, 1000000);
    cr_expect_eq(opts.limits.id_bytes, 256);
    cr_expect_eq(opts.limits.pattern_bytes, 1024);
    cr_expect_eq(opts.limits.regexes, 1000);
    cr_expect_eq(opts.limits.diagnostics, 1000);
    cr_expect_eq(opts.limits.regex_match, 10000);
}

Test(ctx, no_options_mean_defaults)
{
    pol_ctx *ctx = NULL;

    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_expect_eq(ctx->limits.groups, 65536);
    pol_ctx_unref(ctx);
}

Test(ctx, options_are_copied)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    pol_ctx_options opts;
    pol_ctx *ctx = NULL;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    opts.hash_seed[1] = 7;
    opts.limits.rules = 3;
    cr_assert_eq(pol_ctx_new(&opts, &ctx), POL_OK);
    memset(&mem, 0, sizeof(mem));
    cr_expect_eq(ctx->hash_seed[1], 7);
    cr_expect_eq(ctx->limits.rules, 3);
    pol_ctx_unref(ctx);
    cr_expect_eq(counting.bytes, 0);
}

Test(ctx, it_goes_with_its_last_reference)
{
    struct counting counting = {0};
    pol_ctx *ctx = counting_ctx(&counting);

    cr_expect_eq(pol_ctx_ref(ctx), ctx);
    pol_ctx_unref(ctx);
    cr_expect_gt(counting.bytes, 0);
    pol_ctx_unref(ctx);
    cr_expect_eq(counting.bytes, 0);
    pol_ctx_unref(NULL);
}

Test(ctx, bad_options_are_refused)
{
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    pol_ctx_options opts;
    pol_ctx *ctx = NULL;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.size = 8;
    cr_expect_eq(pol_ctx_new(&opts, &ctx), POL_E_ABI);

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    mem.resize = NULL;
    cr_expect_eq(pol_ctx_new(&opts, &ctx), POL_E_INVALID);
    cr_expect_null(ctx);
}
