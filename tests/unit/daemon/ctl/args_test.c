/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/args.h"

#include <criterion/criterion.h>
#include <string.h>

enum { READ = 1, QUIET, OUTPUT };

static const struct args_option options[] = {
    {READ, 'r', "read", "FILE", ""},
    {QUIET, 'q', "quiet", NULL, ""},
    {OUTPUT, 'o', "output", "FORMAT", ""},
    {0},
};

static char *words[8];
static struct args args;

static void given(const char *first, const char *second, const char *third)
{
    const char *from[] = {first, second, third};

    args = (struct args){.options = options, .argv = words};
    for (size_t i = 0; i < 3 && from[i]; i++)
        words[args.argc++] = (char *)from[i];
}

static void expect(int id, const char *value)
{
    const char *got = NULL;

    cr_assert_eq(args_next(&args, &got), id);
    if (value)
        cr_assert_str_eq(got, value);
}

static void expect_error(const char *text)
{
    expect(ARGS_ERROR, NULL);
    cr_assert_str_eq(args.error.ptr, text);
    text_fini(&args.error);
}

Test(args, value_may_follow_in_four_ways)
{
    given("--read", "a", "--read=b");
    expect(READ, "a");
    expect(READ, "b");
    expect(ARGS_END, NULL);

    given("-r", "a", "-rb");
    expect(READ, "a");
    expect(READ, "b");
    expect(ARGS_END, NULL);
}

Test(args, words_and_switches_mix)
{
    given("policy.json", "-q", "-");
    expect(ARGS_WORD, "policy.json");
    expect(QUIET, NULL);
    expect(ARGS_WORD, "-");
}

Test(args, two_dashes_end_the_options)
{
    given("--", "--quiet", NULL);
    expect(ARGS_WORD, "--quiet");
    expect(ARGS_END, NULL);
}

Test(args, unknown_option_is_named_with_the_nearest_known)
{
    given("--quite", NULL, NULL);
    expect_error("unknown option \"--quite\"; did you mean \"--quiet\"?");
}

Test(args, unknown_option_without_a_neighbour_is_only_named)
{
    given("--frobnicate=1", NULL, NULL);
    expect_error("unknown option \"--frobnicate\"");
}

Test(args, unknown_letter_is_named)
{
    given("-x", NULL, NULL);
    expect_error("unknown option \"-x\"");
}

Test(args, missing_value_is_an_error)
{
    given("--read", NULL, NULL);
    expect_error("--read needs a value: FILE");
}

Test(args, value_for_a_switch_is_an_error)
{
    given("--quiet=yes", NULL, NULL);
    expect_error("--quiet takes no value");
}

Test(args, choice_lists_what_is_possible)
{
    static const char *const choices[] = {"off", "log", NULL};

    given(NULL, NULL, NULL);
    cr_assert_eq(args_choice(&args, "--check", "log", choices), 1);
    cr_assert_eq(args_choice(&args, "--check", "on", choices), -1);
    cr_assert_str_eq(args.error.ptr, "--check: \"on\" is not one of off, log");
    text_fini(&args.error);
}
