/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles any octets as a policy document. What is accepted must print to a document that is
 * accepted again and has the same digest. Every name is then matched against the patterns.
 */
#include <libpolicy/compile.h>

#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "pattern/patterns.h"
#include "program/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pol_ctx *make_ctx(void)
{
    pol_ctx_options opts;
    pol_ctx *ctx;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.limits.regexes = 50;
    opts.limits.regex_match = 1000;
    if (pol_ctx_new(&opts, &ctx) != POL_OK)
        abort();
    return ctx;
}

static void print_and_read_back(pol_ctx *ctx, const pol_policy *policy)
{
    uint8_t before[32], after[32];
    pol_policy *again = NULL;
    size_t len;
    char *text;

    if (pol_policy_json(policy, NULL, 0, &len) != POL_E_NOSPACE)
        abort();
    text = malloc(len);
    if (!text || pol_policy_json(policy, text, len, &len) != POL_OK ||
        pol_compile(ctx, (pol_str){text, len}, NULL, &again, NULL) != POL_OK)
        abort();
    pol_policy_digest(policy, before);
    pol_policy_digest(again, after);
    if (memcmp(before, after, sizeof(before)) != 0)
        abort();
    pol_policy_unref(again);
    free(text);
}

static void match_names(pol_ctx *ctx, const pol_policy *policy)
{
    static const pol_str names[] = {STR("."), STR("a.example"), STR("xn--a.b\\.c.\\255.d")};
    struct regex_scratch *scratch;
    uint32_t ids[4];

    if (regex_scratch_new(ctx, &scratch) != POL_OK)
        abort();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        size_t count = patterns_match(policy->patterns, scratch, names[i], ids, 4);

        if (count > patterns_count(policy->patterns))
            abort();
    }
    regex_scratch_free(scratch);
}

static void check_diags(const pol_diags *diags, int rc)
{
    if ((pol_diags_errors(diags) == 0) != (rc == POL_OK))
        abort();
    for (size_t i = 0; i < pol_diags_count(diags); i++) {
        const pol_diag *diag = pol_diags_at(diags, i);

        if (!diag->text.len || memchr(diag->text.ptr, '\n', diag->text.len))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pol_ctx *ctx = make_ctx();
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;
    int rc;

    rc = pol_compile(ctx, (pol_str){(const char *)data, size}, NULL, &policy, &diags);
    if (rc != POL_OK && rc != POL_E_POLICY)
        abort();
    check_diags(diags, rc);
    if (policy) {
        print_and_read_back(ctx, policy);
        match_names(ctx, policy);
    }
    pol_policy_unref(policy);
    pol_diags_free(diags);
    pol_ctx_unref(ctx);
    return 0;
}
