/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_POLICY_DOCUMENT_H
#define TEST_POLICY_DOCUMENT_H

/*
 * Documents for the tests of this folder: written with ' instead of " and compiled in one call.
 */

#include <libpolicy/compile.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

/* Counts what is held. */
struct meter {
    long held;
};

static void *meter_alloc(void *user, size_t size)
{
    struct meter *meter = user;

    meter->held += (long)size;
    return malloc(size);
}

static void *meter_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    struct meter *meter = user;

    meter->held += (long)new_size - (long)old_size;
    return realloc(ptr, new_size);
}

static void meter_release(void *user, void *ptr, size_t size)
{
    struct meter *meter = user;

    meter->held -= (long)size;
    free(ptr);
}

struct document {
    struct meter meter;
    pol_ctx_options opts;
    pol_ctx *ctx;
    char *text;
    int rc;
    pol_policy *policy;
    pol_diags *diags;
};

static inline void document_init(struct document *doc)
{
    pol_mem mem = {&doc->meter, meter_alloc, meter_resize, meter_release};

    memset(doc, 0, sizeof(*doc));
    pol_ctx_options_init(&doc->opts, sizeof(doc->opts));
    doc->opts.mem = &mem;
    cr_assert_eq(pol_ctx_new(&doc->opts, &doc->ctx), POL_OK);
}

/* Releases everything and proves that nothing was left behind. */
static inline void document_fini(struct document *doc)
{
    pol_policy_unref(doc->policy);
    pol_diags_free(doc->diags);
    pol_ctx_unref(doc->ctx);
    free(doc->text);
    cr_assert_eq(doc->meter.held, 0, "%ld octets leaked", doc->meter.held);
}

static inline char *quoted(const char *text)
{
    char *copy = strdup(text);

    for (char *at = copy; *at; at++) {
        if (*at == '\'')
            *at = '"';
    }
    return copy;
}

static inline void document_compile(struct document *doc, const char *text,
                                    const pol_compile_options *opts)
{
    pol_policy_unref(doc->policy);
    pol_diags_free(doc->diags);
    free(doc->text);
    doc->policy = NULL;
    doc->diags = NULL;
    doc->text = quoted(text);
    doc->rc = pol_compile(doc->ctx, str_of(doc->text), opts, &doc->policy, &doc->diags);
}

/* A document with one group and one rule, of which only `match` is given. */
#define RULE_DOCUMENT(action, match)                                                               \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8','fd00::/8']},"  \
    "'rules':[{'id':'r','action':'" action "','match':" match "}]}]}"

static inline void document_match(struct document *doc, const char *action, const char *match)
{
    char *text = malloc(strlen(match) + 512);

    sprintf(text, RULE_DOCUMENT("%s", "%s"), action, match);
    document_compile(doc, text, NULL);
    free(text);
}

static inline const pol_diag *find_diag(const struct document *doc, uint32_t code)
{
    for (size_t i = 0; i < pol_diags_count(doc->diags); i++) {
        if (pol_diags_at(doc->diags, i)->code == code)
            return pol_diags_at(doc->diags, i);
    }
    return NULL;
}

static inline bool diag_has(const pol_diag *diag, const char *text)
{
    /* Texts are copied into an arena with a NUL behind them. */
    return diag && strstr(diag->text.ptr, text);
}

/* Every diagnostic in one line each, to be printed when an assertion fails. */
static inline const char *diag_list(const struct document *doc)
{
    static char text[8192];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < pol_diags_count(doc->diags) && len < sizeof(text) - 600; i++) {
        const pol_diag *diag = pol_diags_at(doc->diags, i);

        len += (size_t)snprintf(text + len, 600, "\n%u %u:%u %s: %s", diag->code, diag->line,
                                diag->column, diag->path.ptr, diag->text.ptr);
    }
    return text;
}

#endif
