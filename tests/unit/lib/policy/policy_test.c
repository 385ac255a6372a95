/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "../base/counting_mem.h"
#include "representative.h"

Test(policy, groups_and_rules_are_numbered_in_evaluation_order)
{
    static const char *const rules[] = {
        "registry-by-name", "intercept", "ntp", "ranges", "ping", "pmtu", "sni", "cert",
        "watch-smtp"};
    struct document doc;

    document_init(&doc);
    document_compile(&doc, representative, NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    cr_assert_eq(pol_policy_group_count(doc.policy), 2);
    cr_assert_eq(pol_policy_rule_count(doc.policy), 13);
    cr_assert(str_equal(pol_policy_group_id(doc.policy, 0), STR("build")));
    for (uint32_t i = 0; i < 9; i++) {
        cr_assert(str_equal(pol_policy_rule_id(doc.policy, i), str_of(rules[i])), "%u", i);
        cr_assert_eq(pol_policy_rule_group(doc.policy, i), 0);
    }
    cr_assert_eq(pol_policy_rule_group(doc.policy, 9), 1);
    cr_assert_eq(pol_policy_needs(doc.policy), POL_NEEDS_DNS | POL_NEEDS_TLS | POL_NEEDS_INTERCEPT);
    cr_assert_gt(pol_policy_memory(doc.policy), 1000);
    document_fini(&doc);
}

Test(policy, numbers_out_of_range_have_answers)
{
    struct document doc;

    document_init(&doc);
    document_match(&doc, "allow", "{}");
    cr_assert(str_equal(pol_policy_group_id(doc.policy, POL_NONE), STR("default")));
    cr_assert(str_equal(pol_policy_group_id(doc.policy, 1), STR("default")));
    cr_assert_eq(pol_policy_rule_id(doc.policy, 1).len, 0);
    cr_assert_eq(pol_policy_rule_group(doc.policy, POL_NONE), POL_NONE);
    cr_assert_eq(pol_policy_group_key(doc.policy, POL_NONE), 0);
    cr_assert_eq(pol_policy_needs(doc.policy), 0);
    /* SHA-256("g") = cd0aa985 6147b6c5 ... */
    cr_assert_eq(pol_policy_group_key(doc.policy, 0), UINT64_C(0xcd0aa9856147b6c5));
    document_fini(&doc);
}

Test(policy, a_reference_keeps_it_alive)
{
    struct document doc;
    pol_policy *mine;

    document_init(&doc);
    document_match(&doc, "allow", "{}");
    mine = pol_policy_ref(doc.policy);
    pol_policy_unref(doc.policy);
    doc.policy = NULL;
    cr_assert_eq(pol_policy_rule_count(mine), 1);
    pol_policy_unref(mine);
    pol_policy_unref(NULL);
    pol_diags_free(NULL);
    document_fini(&doc);
}

Test(policy, diagnostics_outlive_the_context_and_the_document)
{
    struct document doc;
    pol_ctx *ctx;

    document_init(&doc);
    document_compile(&doc, "{'a':1}", NULL);
    ctx = doc.ctx;
    doc.ctx = NULL;
    pol_ctx_unref(ctx);
    free(doc.text);
    doc.text = NULL;
    cr_assert(diag_has(pol_diags_at(doc.diags, 0), "unknown key \"a\""));
    document_fini(&doc);
}

Test(policy, a_caller_may_do_without_diagnostics)
{
    struct document doc;

    document_init(&doc);
    cr_assert_eq(pol_compile(doc.ctx, STR("{}"), NULL, &doc.policy, NULL), POL_OK);
    cr_assert_eq(pol_compile(doc.ctx, STR("[]"), NULL, &doc.policy, NULL), POL_E_POLICY);
    document_fini(&doc);
}

Test(policy, no_policy_has_no_groups_and_no_rules)
{
    cr_assert_eq(pol_policy_group_count(NULL), 0);
    cr_assert_eq(pol_policy_rule_count(NULL), 0);
    cr_assert(str_equal(pol_policy_group_id(NULL, 0), STR("default")));
    cr_assert(str_equal(pol_policy_rule_id(NULL, POL_NONE), STR("")));
    cr_assert_eq(pol_policy_rule_group(NULL, 0), POL_NONE);
    cr_assert_eq(pol_policy_group_key(NULL, 0), 0);
}

/* ---- The log ------------------------------------------------------------------------------- */

struct heard {
    unsigned lines;
    enum pol_log_level level;
    char text[1024];
};

static void hear(void *user, enum pol_log_level level, pol_str message)
{
    struct heard *heard = user;

    heard->lines++;
    heard->level = level;
    snprintf(heard->text, sizeof(heard->text), "%.*s", (int)message.len, message.ptr);
}

static int compile_aloud(struct heard *heard, struct counting *counting, const char *json)
{
    pol_mem mem = counting_mem(counting);
    pol_ctx_options options;
    pol_policy *policy = NULL;
    pol_ctx *ctx;
    int rc;

    *heard = (struct heard){0};
    pol_ctx_options_init(&options, sizeof(options));
    options.mem = &mem;
    options.log = hear;
    options.log_user = heard;
    cr_assert_eq(pol_ctx_new(&options, &ctx), POL_OK);
    rc = pol_compile(ctx, str_of(json), NULL, &policy, NULL);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    return rc;
}

/* As pol_worker_policy() gives it before the first one. */
Test(policy, no_policy_has_nothing_and_needs_nothing)
{
    uint8_t digest[32] = {1, [31] = 1}, zeros[32] = {0};
    size_t len = 7;

    cr_expect_eq(pol_policy_needs(NULL), 0);
    cr_expect_eq(pol_policy_memory(NULL), 0);
    cr_expect_not(pol_policy_default_allow(NULL));
    pol_policy_digest(NULL, digest);
    cr_expect_eq(memcmp(digest, zeros, sizeof(zeros)), 0);
    cr_expect_eq(pol_policy_json(NULL, NULL, 0, &len), POL_E_INVALID);
    cr_expect_eq(len, 7);
    cr_expect_null(pol_policy_ref(NULL));
    pol_policy_unref(NULL);
}

Test(policy, memory_is_what_was_taken)
{
    struct counting counting = {0};
    pol_ctx *ctx = counting_ctx(&counting);
    char json[sizeof(representative)];
    pol_policy *policy = NULL;
    size_t before = counting.bytes;

    for (size_t i = 0; i < sizeof(json); i++)
        json[i] = representative[i] == '\'' ? '"' : representative[i];
    cr_assert_eq(pol_compile(ctx, str_of(json), NULL, &policy, NULL), POL_OK);
    cr_expect_eq(pol_policy_memory(policy), counting.bytes - before);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    cr_expect_eq(counting.bytes, 0);
}

Test(policy, a_mode_that_is_none_is_refused)
{
    pol_compile_options options;
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;
    pol_ctx *ctx;

    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    pol_compile_options_init(&options, sizeof(options));
    options.absent_mode = POL_MODE_REQUIRED + 1;
    cr_expect_eq(pol_compile(ctx, (pol_str){"{}", 2}, &options, &policy, &diags), POL_E_INVALID);
    cr_expect_null(policy);
    cr_expect_null(diags);
    pol_ctx_unref(ctx);
}

Test(policy, the_log_has_a_line_for_each_outcome)
{
    struct heard heard;
    char group[700];

    cr_assert_eq(compile_aloud(&heard, &(struct counting){0}, "{\"default_policy\": \"deny\"}"),
                 POL_OK);
    cr_expect_eq(heard.lines, 1);
    cr_expect_eq(heard.level, POL_LOG_DEBUG);
    cr_expect(strstr(heard.text, "0 groups, 0 rules"), "%s", heard.text);

    cr_assert_eq(compile_aloud(&heard, &(struct counting){0}, "{\n\"default_policy\": 7}"),
                 POL_E_POLICY);
    cr_expect_eq(heard.lines, 1);
    cr_expect_eq(heard.level, POL_LOG_WARN);
    cr_expect(strstr(heard.text, "errors: 1; the first, in line 2: "), "%s", heard.text);

    cr_assert_eq(compile_aloud(&heard, &(struct counting){.fail_at = 2}, "{}"), POL_E_NOMEM);
    cr_expect_eq(heard.lines, 1);
    cr_expect_eq(heard.level, POL_LOG_ERROR);
    cr_expect(strstr(heard.text, "2 octets"), "%s", heard.text);

    snprintf(group, sizeof(group), "{\"%0*d\": 1}", 600, 7);
    cr_assert_eq(compile_aloud(&heard, &(struct counting){0}, group), POL_E_POLICY);
    cr_expect_leq(strlen(heard.text), 512);
}
