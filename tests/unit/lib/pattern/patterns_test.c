/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/patterns.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/slice.h"
#include "pattern/shape.h"

enum { MOST = 512 };

struct set {
    pol_ctx *ctx;
    struct patterns *patterns;
    struct regex_scratch *scratch;
};

static struct set set_of(const char *const *texts, uint32_t count)
{
    struct patterns_input inputs[MOST];
    char error[REGEX_ERROR_TEXT];
    struct set set = {0};
    uint32_t bad;

    for (uint32_t i = 0; i < count; i++)
        inputs[i].text = str_of(texts[i]);
    cr_assert_eq(pol_ctx_new(NULL, &set.ctx), POL_OK);
    cr_assert_eq(regex_scratch_new(set.ctx, &set.scratch), POL_OK);
    cr_assert_eq(patterns_build(set.ctx, inputs, count, &set.patterns, &bad, error), POL_OK);
    return set;
}

static void set_fini(struct set *set)
{
    patterns_free(set->patterns);
    regex_scratch_free(set->scratch);
    pol_ctx_unref(set->ctx);
}

static const char *const mixed[] = {
    "^a\\.example$",              /* 0 */
    "^(?:.+\\.)?example$",        /* 1 */
    "example",                    /* 2: engine */
    "(^|\\.)b\\.example$",        /* 3 */
    ".*",                         /* 4 */
    "^.+\\.b\\.example$",         /* 5 */
    "^(?:a|b)\\.example$|x\\.y$", /* 6: engine, the second is not tied */
    "^(a+)+$",                    /* 7: engine, exponential */
    "^(?:a|b)\\.example$",        /* 8 */
    "\\.example$",                /* 9 */
};

static const struct {
    const char *name;
    uint32_t ids[10];
    uint32_t count;
} matches[] = {
    {"a.example", {0, 1, 2, 4, 6, 8, 9}, 7},
    {"b.example", {1, 2, 3, 4, 6, 8, 9}, 7},
    {"c.b.example", {1, 2, 3, 4, 5, 9}, 6},
    {"example", {1, 2, 4}, 3},
    {"notexample", {2, 4}, 2},
    {"z", {4}, 1},
    {".", {4}, 1},
    {"x.y", {4, 6}, 2},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", {4, 7 | PATTERN_EXCEPTION}, 2},
    {"c\\.b.example", {1, 2, 4, 9}, 4}, /* the first label is "c.b": below example only */
};

Test(patterns, ids_come_in_order_and_once)
{
    struct set set = set_of(mixed, sizeof(mixed) / sizeof(*mixed));

    for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
        uint32_t ids[16];
        size_t count = patterns_match(set.patterns, set.scratch, str_of(matches[i].name), ids, 16);

        cr_assert_eq(count, matches[i].count, "%s: %zu", matches[i].name, count);
        for (size_t j = 0; j < count; j++)
            cr_assert_eq(ids[j], matches[i].ids[j], "%s", matches[i].name);
        ids[1] = 99;
        cr_assert_eq(patterns_match(set.patterns, set.scratch, str_of(matches[i].name), ids, 1),
                     count);
        cr_assert_eq(ids[0], matches[i].ids[0]);
        cr_assert_eq(ids[1], 99);
    }
    cr_assert(patterns_needs_engine(set.patterns, 2));
    cr_assert_not(patterns_needs_engine(set.patterns, 1));
    cr_assert_eq(patterns_count(set.patterns), 10);
    cr_assert_gt(patterns_memory(set.patterns), 1000);
    set_fini(&set);
}

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static const char *const labels[] = {"a", "b", "ab", "x-1", "_s", "com"};

static void random_name(char *out)
{
    uint32_t count = 1 + draw(5);

    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        strcat(out, i ? "." : "");
        strcat(out, labels[draw(6)]);
    }
}

/* A random literal with its dots escaped, in one of the frames below. */
static void random_pattern(char *out)
{
    static const char *const frames[][2] = {
        {"^", "$"},
        {"^(?:.+\\.)?", "$"},
        {"(^|\\.)", "$"},
        {"^.+\\.", "$"},
        {"^(?:.*\\.)?", "$"},
        {"\\.", "$"},
        {"^(?:x|", ")$"},
        {"^(?:.+\\.)?(?:", "|com)$"},
        {"", ""},
        {"^", ""},
        {"", "$"},
        {"^(a|b)\\.", "$|^com$"},
    };
    uint32_t frame = draw(12);
    char name[64];

    random_name(name);
    strcpy(out, frames[frame][0]);
    for (size_t i = 0; name[i]; i++) {
        const char one[2] = {name[i], '\0'};

        strcat(out, name[i] == '.' ? "\\." : one);
    }
    strcat(out, frames[frame][1]);
}

Test(patterns, hashing_gives_the_same_answers_as_running_every_pattern)
{
    static char texts[MOST][128];
    const char *pointers[MOST];
    struct regex *regexes[MOST];
    char error[REGEX_ERROR_TEXT], name[64];
    struct set set;
    size_t shapes = 0;
    static struct shape shape;

    for (uint32_t i = 0; i < MOST; i++) {
        random_pattern(texts[i]);
        pointers[i] = texts[i];
        shapes += shape_of(str_of(texts[i]), &shape);
    }
    cr_assert_gt(shapes, MOST / 2);
    set = set_of(pointers, MOST);
    for (uint32_t i = 0; i < MOST; i++)
        cr_assert_eq(regex_compile(set.ctx, str_of(texts[i]), true, &regexes[i], error), POL_OK);

    for (int round = 0; round < 1000; round++) {
        uint32_t ids[MOST], expected = 0;
        size_t count;

        random_name(name);
        count = patterns_match(set.patterns, set.scratch, str_of(name), ids, MOST);
        for (uint32_t i = 0; i < MOST; i++) {
            if (regex_search(regexes[i], set.scratch, str_of(name)) == REGEX_YES) {
                cr_assert_lt(expected, count, "%s %s", name, texts[i]);
                cr_assert_eq(ids[expected], i, "%s %s", name, texts[i]);
                expected++;
            }
        }
        cr_assert_eq(count, expected, "%s", name);
    }
    for (uint32_t i = 0; i < MOST; i++)
        regex_free(regexes[i]);
    set_fini(&set);
}

Test(patterns, the_first_bad_pattern_is_named)
{
    static const struct patterns_input inputs[] = {{STR("^a$")}, {STR("a(")}, {STR("b(")}};
    struct patterns *patterns = NULL;
    char error[REGEX_ERROR_TEXT];
    pol_ctx *ctx;
    uint32_t bad = 99;

    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(patterns_build(ctx, inputs, 3, &patterns, &bad, error), POL_E_FORMAT);
    cr_assert_eq(bad, 1);
    cr_assert_null(patterns);
    pol_ctx_unref(ctx);
}

Test(patterns, only_patterns_of_the_engine_count_against_the_limit)
{
    static const struct patterns_input inputs[] = {{STR("^a$")}, {STR("a")}, {STR("b")}};
    struct patterns *patterns = NULL;
    char error[REGEX_ERROR_TEXT];
    pol_ctx_options opts;
    uint32_t bad = 99;
    pol_ctx *ctx;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.limits.regexes = 1;
    cr_assert_eq(pol_ctx_new(&opts, &ctx), POL_OK);
    cr_assert_eq(patterns_build(ctx, inputs, 2, &patterns, &bad, error), POL_OK);
    patterns_free(patterns);
    patterns = NULL;
    cr_assert_eq(patterns_build(ctx, inputs, 3, &patterns, &bad, error), POL_E_LIMIT);
    cr_assert_eq(bad, 2);
    pol_ctx_unref(ctx);
}
