/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/diags.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text shown;
static pol_ctx *ctx;
static pol_policy *policy;
static pol_diags *diags;

static pol_str of(const char *text)
{
    return (pol_str){text, strlen(text)};
}

static void compile(const char *source)
{
    pol_ctx_new(NULL, &ctx);
    pol_compile(ctx, of(source), NULL, &policy, &diags);
    diags_show(&shown, "p.json", of(source), diags, false);
}

static void release(void)
{
    text_fini(&shown);
    pol_diags_free(diags);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
}

/* The column of the caret in the last line, and of a word in the line above it. */
static size_t caret(void)
{
    char *line;

    shown.ptr[shown.len - 1] = '\0';
    line = strrchr(shown.ptr, '\n') + 1;
    return strcspn(line, "^");
}

static size_t column_of(const char *word)
{
    char *place = strstr(shown.ptr, "| "), *line = place;

    while (line > shown.ptr && line[-1] != '\n')
        line--;
    return (size_t)(strstr(place, word) - line);
}

Test(diags, place_path_line_and_caret_are_shown, .fini = release)
{
    compile("{\n  \"default_policy\": \"denny\",\n  \"source_groups\": []\n}\n");
    cr_assert_eq(strncmp(shown.ptr, "p.json:2:", 9), 0, "%s", shown.ptr);
    cr_assert_not_null(strstr(shown.ptr, ": error: "));
    cr_assert_not_null(strstr(shown.ptr, "(/default_policy)\n     2 |   \"default_policy\": "));
    cr_assert_eq(caret(), column_of("\"denny\""), "%s", shown.ptr);
}

Test(diags, tabs_do_not_move_the_caret, .fini = release)
{
    compile("{\n\t\t\"default_policy\":\t\"denny\",\"source_groups\": []\n}\n");
    cr_assert_eq(caret(), column_of("\"denny\""), "%s", shown.ptr);
}

Test(diags, long_line_is_cut_around_the_place, .fini = release)
{
    char source[4096];

    snprintf(source, sizeof(source),
             "{%1500s\"default_policy\":\"denny\",\"source_groups\":[]%1500s}", "", "");
    compile(source);
    cr_assert_eq(caret(), column_of("\"denny\""), "%s", shown.ptr);
    cr_assert_lt(shown.len, 400);
}

Test(diags, rejected_document_is_counted, .fini = release)
{
    compile("{\"default_policy\": \"denny\"");
    text_clear(&shown);
    diags_count(&shown, "p.json", diags);
    cr_assert_str_eq(shown.ptr, "p.json: 1 error\n");
}
