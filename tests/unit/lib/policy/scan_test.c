/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "../base/counting_mem.h"
#include "base/buf.h"
#include "base/ctx.h"
#include "policy/diag.h"
#include "policy/scan.h"

static const struct {
    const char *text;
    const char *said;
    uint32_t line, column;
} broken[] = {
    {"", "the document ends", 1, 1},
    {"  ", "the document ends", 1, 3},
    {"{", "a key in double quotes", 1, 2},
    {"{'a'}", "a colon", 1, 5},
    {"{'a':}", "a value is expected", 1, 6},
    {"{'a':1,}", "a comma before", 1, 8},
    {"{'a':1 'b':2}", "a comma or a closing brace", 1, 8},
    {"[1,2", "a comma or a closing bracket", 1, 5},
    {"[1,]", "a comma before", 1, 4},
    {"{a:1}", "a key in double quotes", 1, 2},
    {"{} x", "trailing characters", 1, 4},
    {"{}{}", "trailing characters", 1, 3},
    {"tru", "a value is expected", 1, 1},
    {"nan", "a value is expected", 1, 1},
    {"[01]", "leading zero", 1, 2},
    {"[-]", "without digits", 1, 2},
    {"[1.]", "behind the point", 1, 2},
    {"[1e]", "in its exponent", 1, 2},
    {"[+1]", "a value is expected", 1, 2},
    {"[11111111111111111111111111111111111111111]", "too many digits", 1, 2},
    {"{\n 'a': 'x", "does not end", 2, 7},
    {"['\t']", "control character", 1, 3},
    {"['\\x']", "unknown escape", 1, 3},
    {"['\\u12g4']", "four hexadecimal digits", 1, 3},
    {"['\\u0000']", "NUL", 1, 3},
    {"['\\ud800']", "high surrogate", 1, 3},
    {"['\\ud800\\u0041']", "high surrogate", 1, 3},
    {"['\\udc00']", "low surrogate", 1, 3},
    {"['\xff']", "UTF-8", 1, 3},
    {"['\xc0\x80']", "UTF-8", 1, 3},
    {"['\xed\xa0\x80']", "UTF-8", 1, 3},
    {"['\xf4\x90\x80\x80']", "UTF-8", 1, 3},
    {"['\xf0\x8f\xbf\xbf']", "UTF-8", 1, 3},
    {"['\xe0\x9f\xbf']", "UTF-8", 1, 3},
    {"['\xf5\x80\x80\x80']", "UTF-8", 1, 3},
    {"['\xc3\x28']", "UTF-8", 1, 3},
    {"['\xe2\x82(']", "UTF-8", 1, 3},
    {"['\xf0\x9f\x92']", "UTF-8", 1, 3},
    {"['\xf0\x9f\x92\xa9', x]", "a value is expected", 1, 7},
    {"['\\", "unknown escape", 1, 3},
    {"['\\u12", "four hexadecimal digits", 1, 3},
    {"['\\ud800\\n']", "high surrogate", 1, 3},
    {"['\\ud800\\", "high surrogate", 1, 3},
    {"[1e+]", "in its exponent", 1, 2},
    {"[1E-5,1e+5,0.5e0,-0,x]", "a value is expected", 1, 21},
    {"{'a':1,'\\ud800':2}", "high surrogate", 1, 9},
    {"['\xe2\x82']", "UTF-8", 1, 3},
    {"['\xc3\xa9', x]", "a value is expected", 1, 7}, /* columns count characters */
    {"\xef\xbb\xbf{}", "byte order mark", 1, 1},
    {"{'a':1,\r\n 'a':2}", "duplicate key \"a\"", 2, 2},
    {"{'a':1,'\\u0061':2}", "duplicate key \"a\"", 1, 8},
    {"{'\xc3\xa9':1,'\\u00e9':2}", "duplicate key \"\xc3\xa9\"", 1, 8},
    {"{'\xe2\x82\xac':1,'\\u20aC':2}", "duplicate key \"\xe2\x82\xac\"", 1, 8},
    {"{'\xf0\x9f\x92\xa9':1,'\\ud83d\\udca9':2}", "duplicate key \"\xf0\x9f\x92\xa9\"", 1, 8},
    {"{'a\\/b':1,'a/b':2}", "duplicate key \"a/b\"", 1, 11},
    {"{'\\t':1,'\\u0009':2}", "duplicate key", 1, 9},
    {"{'x':{'b':1,'b':2},'c':1}", "duplicate key \"b\"", 1, 13},
};

Test(scan, what_is_no_json_is_refused_with_its_place)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct document doc;
        const pol_diag *diag;

        document_init(&doc);
        document_compile(&doc, broken[i].text, NULL);
        cr_assert_eq(doc.rc, POL_E_POLICY, "%s", broken[i].text);
        cr_assert_eq(pol_diags_errors(doc.diags), 1, "%s: %s", broken[i].text, diag_list(&doc));
        diag = pol_diags_at(doc.diags, 0);
        cr_assert_eq(diag->code, POL_DIAG_SYNTAX);
        cr_assert(diag_has(diag, broken[i].said), "%s: %s", broken[i].text, diag_list(&doc));
        cr_assert(diag_has(diag, "invalid json: "));
        cr_assert_eq(diag->line, broken[i].line, "%s: %s", broken[i].text, diag_list(&doc));
        cr_assert_eq(diag->column, broken[i].column, "%s: %s", broken[i].text, diag_list(&doc));
        document_fini(&doc);
    }
}

Test(scan, an_embedded_nul_ends_nothing)
{
    struct document doc;
    static const char text[] = "{}\0{}";

    document_init(&doc);
    doc.rc = pol_compile(doc.ctx, (pol_str){text, 5}, NULL, &doc.policy, &doc.diags);
    cr_assert_eq(doc.rc, POL_E_POLICY);
    cr_assert(diag_has(pol_diags_at(doc.diags, 0), "trailing"));
    document_fini(&doc);
}

Test(scan, thirty_two_levels_are_the_most)
{
    struct document doc;
    char text[128];

    document_init(&doc);
    for (int depth = 32; depth <= 33; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        document_compile(&doc, text, NULL);
        cr_assert_eq(doc.rc, POL_E_POLICY);
        cr_assert_eq(diag_has(pol_diags_at(doc.diags, 0), "32 levels"), depth == 33, "%s",
                     diag_list(&doc));
    }
    document_fini(&doc);
}

Test(scan, many_keys_are_searched_for_duplicates_too)
{
    struct document doc;
    char *text = malloc(200 * 16 + 16);
    size_t len = 0;

    document_init(&doc);
    text[len++] = '{';
    for (int i = 0; i < 200; i++)
        len += (size_t)sprintf(text + len, "'k%d':%d,", i, i);
    sprintf(text + len, "'k117':0}");
    document_compile(&doc, text, NULL);
    cr_assert_eq(doc.rc, POL_E_POLICY);
    cr_assert_eq(pol_diags_errors(doc.diags), 1);
    cr_assert(diag_has(pol_diags_at(doc.diags, 0), "duplicate key \"k117\""));
    cr_assert_eq(pol_diags_at(doc.diags, 0)->column, (uint32_t)len + 1);
    document_fini(&doc);
    free(text);
}

static int scan_once(pol_ctx *ctx, struct pol_diags *diags, const char *text)
{
    struct scan scan;
    int rc = scan_document(&scan, ctx, str_of(text), diags);

    scan_fini(&scan);
    diags->scan = NULL;
    return rc;
}

/* Nodes, keys, unescaped keys and the order of many keys each need memory. */
Test(scan, every_request_that_fails_is_reported)
{
    static const char text[] =
        "{\"\\u0061\":[1,2,3],\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,"
        "\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1}";
    struct counting counting = {0};
    pol_ctx *ctx = counting_ctx(&counting);
    struct pol_diags *diags = NULL;
    size_t held, failures = 0;
    int rc;

    cr_assert_eq(diag_new(ctx, &diags), POL_OK);
    held = counting.bytes;
    do {
        counting.fail_at = counting.requests + ++failures;
        rc = scan_once(ctx, diags, text);
        cr_assert(rc == POL_OK || rc == POL_E_NOMEM, "request %zu: %d", failures, rc);
        cr_assert_eq(rc == POL_E_NOMEM, counting.requests >= counting.fail_at);
        cr_assert_eq(counting.bytes, held);
    } while (rc != POL_OK);
    cr_assert_geq(failures, 5, "each kind of request, and a run without a failure");
    pol_diags_free(diags);
    pol_ctx_unref(ctx);
    cr_assert_eq(counting.bytes, 0);
}

Test(scan, every_value_is_numbered_and_has_a_pointer)
{
    static const char text[] = "{\"a\":[1,{\"b/c~\\u00e9\":null}],\"d\":\"x\"}";
    static const struct {
        const char *path;
        uint32_t value, key;
    } nodes[] = {
        {"", 0, 0},
        {"/a", 5, 1},
        {"/a/0", 6, 6},
        {"/a/1", 8, 8},
        {"/a/1/b~1c~0\xc3\xa9", 22, 9},
        {"/d", 33, 29},
    };
    struct pol_diags *diags = NULL;
    struct scan scan;
    pol_ctx *ctx;

    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(diag_new(ctx, &diags), POL_OK);
    cr_assert_eq(scan_document(&scan, ctx, str_of(text), diags), POL_OK);
    cr_assert_eq(scan.count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        char path[64];
        struct buf buf = buf_of(path, sizeof(path));

        scan_path(&scan, i, &buf);
        cr_assert(str_equal((pol_str){path, buf.len}, str_of(nodes[i].path)), "%.*s", (int)buf.len,
                  path);
        cr_assert_eq(scan_value_offset(&scan, i), nodes[i].value, "%u", i);
        cr_assert_eq(scan_key_offset(&scan, i), nodes[i].key, "%u", i);
    }
    cr_assert_eq(scan_value_offset(&scan, 6), POL_NONE);
    cr_assert_eq(scan_key_offset(&scan, POL_NONE), POL_NONE);
    scan_fini(&scan);
    pol_diags_free(diags);
    pol_ctx_unref(ctx);
}
