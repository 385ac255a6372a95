/* SPDX-License-Identifier: Apache-2.0 */
#include "match/memo.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "../base/counting_mem.h"
#include "base/mem.h"
#include "base/slice.h"

enum { MANY = MEMO_PATTERNS + 10 };

static pol_ctx *ctx;
static struct regex_scratch *scratch;
static struct patterns *patterns;
static struct memo memo;
static struct memo_patterns found;

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(regex_scratch_new(ctx, &scratch), POL_OK);
}

static void teardown(void)
{
    memo_fini(&memo, &mem_libc);
    patterns_free(patterns);
    regex_scratch_free(scratch);
    pol_ctx_unref(ctx);
}

TestSuite(memo, .init = setup, .fini = teardown);

static void make(const char *const *texts, uint32_t count, uint32_t names)
{
    struct patterns_input inputs[MANY];
    char error[REGEX_ERROR_TEXT];
    uint32_t bad;

    for (uint32_t i = 0; i < count; i++)
        inputs[i].text = str_of(texts[i]);
    cr_assert_eq(patterns_build(ctx, inputs, count, &patterns, &bad, error), POL_OK);
    cr_assert_eq(memo_init(&memo, &mem_libc, names), POL_OK);
    cr_assert_eq(memo_reset(&memo, &mem_libc, count), POL_OK);
}

static void ask(uint64_t hash, const char *name)
{
    if (!memo_find(&memo, hash, &found))
        memo_add(&memo, hash, str_of(name), patterns, scratch, &found);
}

static const char *const two[] = {"^a\\.example$", "ex.mple"};

Test(memo, name_is_matched_once)
{
    make(two, 2, 16);
    for (int i = 0; i < 3; i++) {
        ask(7, "a.example");
        cr_assert_eq(found.count, 2);
        cr_assert_eq(found.ids[0], 0);
        cr_assert_eq(found.ids[1], 1);
    }
    cr_assert_eq(memo.misses, 1);
}

Test(memo, name_without_patterns_is_remembered_too)
{
    make(two, 2, 16);
    ask(7, "other.test");
    ask(7, "other.test");
    cr_assert_eq(found.count, 0);
    cr_assert_eq(memo.misses, 1);
}

Test(memo, policy_without_hostnames_has_nothing_to_match)
{
    make(NULL, 0, 16);
    ask(7, "a.example");
    cr_assert_eq(found.count, 0);
}

Test(memo, oldest_name_of_a_set_makes_room)
{
    make(two, 2, 1);
    for (uint64_t hash = 1; hash <= 4; hash++)
        ask(hash, "a.example");
    ask(1, "a.example");
    ask(5, "a.example");
    cr_assert(memo_find(&memo, 1, &found));
    cr_assert_not(memo_find(&memo, 2, &found));
    cr_assert(memo_find(&memo, 5, &found));
}

Test(memo, only_the_newest_name_of_too_many_patterns_is_remembered)
{
    static char texts[MANY][32];
    const char *list[MANY];

    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof(texts[i]), "^a(%d)?\\.ex.mple$", i);
        list[i] = texts[i];
    }
    make(list, MANY, 16);
    ask(7, "a.example");
    ask(7, "a.example");
    cr_assert_eq(found.count, MANY);
    cr_assert_eq(found.ids[MANY - 1], MANY - 1);
    cr_assert_eq(memo.misses, 1);
    ask(8, "a.exemple");
    ask(7, "a.example");
    cr_assert_eq(found.count, MANY);
    cr_assert_eq(memo.misses, 3);
}

Test(memo, reset_forgets)
{
    make(two, 2, 16);
    ask(7, "a.example");
    cr_assert_eq(memo_reset(&memo, &mem_libc, 2), POL_OK);
    cr_assert_not(memo_find(&memo, 7, &found));
}

Test(memo, reset_without_memory_changes_nothing)
{
    struct counting counting = {.fail_at = 1};
    pol_mem mem = counting_mem(&counting);

    make(two, 2, 16);
    ask(7, "a.example");
    cr_assert_eq(memo_reset(&memo, &mem, 1000), POL_E_NOMEM);
    cr_assert(memo_find(&memo, 7, &found));
    cr_assert_eq(found.count, 2);
}
