/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include <stdio.h>

#include "base/slice.h"
#include "parsed.h"
#include "policy/diag.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static pol_ctx *ctx;
static char text[65536];

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
}

static void teardown(void)
{
    pol_ctx_unref(ctx);
}

TestSuite(json_diags, .init = setup, .fini = teardown);

static pol_diags *diagnose(const char *document, int expected)
{
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;

    cr_assert_eq(pol_compile(ctx, str_of(document), NULL, &policy, &diags), expected);
    cr_assert_not_null(diags);
    pol_policy_unref(policy);
    return diags;
}

static const char *const keys[] = {"severity", "code", "name", "path", "line", "column", "text"};

static void expect_diag(const cJSON *object, const pol_diag *diag)
{
    char path[256];

    expect_keys(object, keys, COUNT(keys));
    expect_text(object, "severity", diag->severity == POL_DIAG_ERROR ? "error" : "warning");
    expect_number(object, "code", diag->code);
    expect_number(object, "line", diag->line);
    expect_number(object, "column", diag->column);
    memcpy(path, diag->path.ptr, diag->path.len);
    path[diag->path.len] = '\0';
    expect_text(object, "path", path);
}

Test(json_diags, all_errors_come_with_the_first_as_summary)
{
    pol_diags *diags =
        diagnose("{\"default_policy\":\"maybe\",\"colour\":1,\"source_groups\":[]}", POL_E_POLICY);
    const pol_diag *first = pol_diags_at(diags, 0);
    char summary[512];
    cJSON *root;
    size_t len = 0;

    cr_assert_eq(pol_diags_errors(diags), 2);
    cr_assert_eq(pol_json_errors(diags, text, sizeof(text), &len), POL_OK);
    root = parsed(text, len);
    snprintf(summary, sizeof(summary), "%.*s (and 1 more)", (int)first->text.len, first->text.ptr);
    expect_text(root, "error", summary);
    cr_assert_eq(cJSON_GetArraySize(member(root, "errors")), 2);
    for (int i = 0; i < 2; i++)
        expect_diag(cJSON_GetArrayItem(member(root, "errors"), i), pol_diags_at(diags, (size_t)i));
    cJSON_Delete(root);
    pol_diags_free(diags);
}

Test(json_diags, one_error_is_its_own_summary)
{
    pol_diags *diags =
        diagnose("{\"default_policy\":\"deny\",\"colour\":1,\"source_groups\":[]}", POL_E_POLICY);
    cJSON *root;
    size_t len = 0;

    cr_assert_eq(pol_diags_errors(diags), 1);
    cr_assert_eq(pol_json_errors(diags, text, sizeof(text), &len), POL_OK);
    root = parsed(text, len);
    cr_expect_null(strstr(member(root, "error")->valuestring, "more)"));
    expect_text(cJSON_GetArrayItem(member(root, "errors"), 0), "name", "unknown_key");
    cJSON_Delete(root);
    pol_diags_free(diags);
}

/* An unanchored allow pattern is accepted with a warning. */
static const char warned[] =
    "{\"default_policy\":\"deny\",\"source_groups\":[{\"id\":\"web\",\"mode\":\"enforce\","
    "\"sources\":{\"cidrs\":[\"10.0.0.0/24\"]},\"rules\":[{\"id\":\"r\",\"action\":\"allow\","
    "\"match\":{\"dns_hostname\":\"example\"}}]}]}";

Test(json_diags, warnings_are_listed_but_are_no_errors)
{
    pol_diags *diags = diagnose(warned, POL_OK);
    cJSON *root;
    size_t len = 0;

    cr_assert_gt(pol_diags_count(diags), 0);
    cr_assert_eq(pol_json_diags(diags, text, sizeof(text), &len), POL_OK);
    root = parsed(text, len);
    cr_assert_eq((size_t)cJSON_GetArraySize(root), pol_diags_count(diags));
    for (size_t i = 0; i < pol_diags_count(diags); i++)
        expect_diag(cJSON_GetArrayItem(root, (int)i), pol_diags_at(diags, i));
    cJSON_Delete(root);

    cr_assert_eq(pol_json_errors(diags, text, sizeof(text), &len), POL_OK);
    cr_expect(str_equal((pol_str){text, len}, STR("{\"error\":\"\",\"errors\":[]}")));
    pol_diags_free(diags);
}

static const struct {
    uint32_t code;
    const char *name;
} codes[] = {
#define XX(word, number, what) {number, #word},
    POL_DIAG_MAP(XX)
#undef XX
        {9999, "OTHER"}, /* as an older library would call a code of a newer one */
};

/* What a script looks at: every code under its own name, and errors apart from warnings. */
Test(json_diags, every_code_has_its_name)
{
    for (size_t i = 0; i < COUNT(codes); i++) {
        struct pol_diags *diags = NULL;
        const cJSON *diag;
        char name[32] = "";
        cJSON *root;
        size_t len = 0;

        for (size_t at = 0; codes[i].name[at]; at++)
            name[at] = ascii_lower(codes[i].name[at]);
        cr_assert_eq(diag_new(ctx, &diags), POL_OK);
        diag_offset(diags, codes[i].code, POL_NONE, 0, "words");
        cr_assert_eq(diag_finish(diags, STR("{}")), POL_OK);
        cr_assert_eq(pol_json_diags(diags, text, sizeof(text), &len), POL_OK);
        root = parsed(text, len);
        diag = cJSON_GetArrayItem(root, 0);
        expect_diag(diag, pol_diags_at(diags, 0));
        expect_text(diag, "name", name);
        expect_text(diag, "severity", codes[i].code < 100 ? "error" : "warning");
        cJSON_Delete(root);
        pol_diags_free(diags);
    }
}
