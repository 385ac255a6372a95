/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

enum { ECHO = 128, PATH = 1024 };

/* A document with one key nobody knows: `lead`, then as many "\xc3\xa9" as fit into `len`. */
static void compile_key(struct document *doc, const char *lead, size_t len)
{
    char *text = malloc(len + 16);
    size_t at = 2;

    at += (size_t)sprintf(text, "{'%s", lead) - 2;
    while (at + 2 <= len + 2)
        at += (size_t)sprintf(text + at, "\xc3\xa9");
    sprintf(text + at, "':1}");
    document_compile(doc, text, NULL);
    free(text);
    cr_assert_eq(doc->rc, POL_E_POLICY);
    cr_assert_eq(pol_diags_count(doc->diags), 1);
}

/* No character is cut in two: a line of a log stays valid UTF-8. */
Test(diag, what_is_repeated_of_a_document_is_cut_between_characters)
{
    static const char *const leads[] = {"", "x"};

    for (size_t i = 0; i < 2; i++) {
        size_t whole = (ECHO - i) / 2 * 2 + i;
        struct document doc;
        const pol_diag *diag;
        const char *quote;

        document_init(&doc);
        compile_key(&doc, leads[i], 400);
        diag = pol_diags_at(doc.diags, 0);
        quote = strchr(diag->text.ptr, '"');
        cr_assert(quote, "%s", diag->text.ptr);
        cr_expect_eq(strcspn(quote + 1, "\""), whole, "%s", diag->text.ptr);
        document_fini(&doc);
    }
}

Test(diag, a_path_is_cut_between_characters_too)
{
    static const char *const leads[] = {"", "x"};

    for (size_t i = 0; i < 2; i++) {
        struct document doc;
        const pol_diag *diag;

        document_init(&doc);
        compile_key(&doc, leads[i], 3000);
        diag = pol_diags_at(doc.diags, 0);
        /* Of the 1023 octets that fit, one is the slash. */
        cr_expect_eq(diag->path.len, PATH - 1 - i, "%zu", diag->path.len);
        cr_expect_eq(diag->path.ptr[0], '/');
        cr_expect_eq((uint8_t)diag->path.ptr[diag->path.len - 1], 0xa9, "a whole character");
        document_fini(&doc);
    }
}

Test(diag, a_document_that_is_too_long_has_no_place)
{
    struct document doc;
    const pol_diag *diag;

    document_init(&doc);
    pol_ctx_unref(doc.ctx);
    doc.opts.limits.document_bytes = 4;
    doc.opts.mem = NULL;
    cr_assert_eq(pol_ctx_new(&doc.opts, &doc.ctx), POL_OK);
    document_compile(&doc, "{   }", NULL);
    diag = pol_diags_at(doc.diags, 0);
    cr_assert_eq(diag->code, POL_DIAG_LIMIT);
    cr_expect_eq(diag->line, 0);
    cr_expect_eq(diag->column, 0);
    cr_expect_eq(diag->path.len, 0);
    document_fini(&doc);
}

Test(diag, whoever_keeps_none_is_told_one)
{
    struct document doc;

    document_init(&doc);
    pol_ctx_unref(doc.ctx);
    doc.opts.limits.diagnostics = 0;
    doc.opts.mem = NULL;
    cr_assert_eq(pol_ctx_new(&doc.opts, &doc.ctx), POL_OK);
    document_compile(&doc, "{'x': 1, 'y': 2}", NULL);
    cr_expect_eq(doc.rc, POL_E_POLICY);
    cr_expect_eq(pol_diags_errors(doc.diags), 2);
    cr_assert_eq(pol_diags_count(doc.diags), 1);
    cr_expect_eq(pol_diags_at(doc.diags, 0)->code, POL_DIAG_UNKNOWN_KEY);
    document_fini(&doc);
}

Test(diag, without_diagnostics_there_is_nothing_to_see)
{
    cr_expect_eq(pol_diags_count(NULL), 0);
    cr_expect_eq(pol_diags_errors(NULL), 0);
    cr_expect_null(pol_diags_at(NULL, 0));
}
