/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

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
