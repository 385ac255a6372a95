/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/args.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { LIST = 1 };

struct request {
    char before; /* so that no member is at the very beginning */
    const char *file;
    struct {
        int format;
    } inner;
    uint64_t count;
    bool quiet;
    const char *listed, *word;
};

static const struct args_option options[] = {
    {ARGS_TEXT(struct request, file), 'r', "read", "FILE", "what to read"},
    {ARGS_CHOICE(struct request, inner.format), 'o', "output", "table|json|jsonl", "how"},
    {ARGS_SECOND(struct request, inner.format), 0, "json", NULL, "the same as -o json"},
    {ARGS_NUMBER(struct request, count), 'n', "count", "N", "how many"},
    {ARGS_SWITCH(struct request, quiet), 'q', "quiet", NULL, "say nothing"},
    {LIST, 0, "list", "ITEM", "the verb's own"},
    {0},
};

static char *words[8];
static struct args args;
static struct request request;

static void given(const char *first, const char *second, const char *third)
{
    const char *from[] = {first, second, third};

    args = (struct args){.options = options, .argv = words};
    request = (struct request){.inner.format = -1};
    for (size_t i = 0; i < 3 && from[i]; i++)
        words[args.argc++] = (char *)from[i];
}

/* Takes one word, and no second one. */
static int take(struct args *from, int id, const char *value, void *user)
{
    struct request *into = user;

    if (id == LIST && value[0] == '!')
        return args_reject(from, "--list: \"%s\" is no item", value);
    if (id == ARGS_WORD && into->word)
        return ARGS_WORD;
    *(id == LIST ? &into->listed : &into->word) = value;
    return 0;
}

static void expect_error(const char *text)
{
    cr_assert(!args_read(&args, take, &request));
    cr_assert_str_eq(args.error.ptr, text);
    text_fini(&args.error);
}

Test(args_read, text_and_switch_go_to_their_members)
{
    given("--read=a", "-q", NULL);
    cr_assert(args_read(&args, NULL, &request));
    cr_assert_str_eq(request.file, "a");
    cr_assert(request.quiet);
    cr_assert_eq(request.inner.format, -1);
}

Test(args_read, what_is_not_given_keeps_its_default)
{
    given(NULL, NULL, NULL);
    request.file = "default";
    cr_assert(args_read(&args, NULL, &request));
    cr_assert_str_eq(request.file, "default");
    cr_assert_eq(request.inner.format, -1);
    cr_assert(!request.quiet);
}

Test(args_read, choice_is_the_place_among_the_words)
{
    static const char *const choices[] = {"table", "json", "jsonl"};

    for (int i = 0; i < 3; i++) {
        given("-o", choices[i], NULL);
        cr_assert(args_read(&args, NULL, &request));
        cr_assert_eq(request.inner.format, i);
    }
}

Test(args_read, later_of_a_choice_and_its_short_form_wins)
{
    given("-ojsonl", "--json", NULL);
    cr_assert(args_read(&args, NULL, &request));
    cr_assert_eq(request.inner.format, 1);

    given("--json", "-ojsonl", NULL);
    cr_assert(args_read(&args, NULL, &request));
    cr_assert_eq(request.inner.format, 2);
}

Test(args_read, choice_lists_what_is_possible)
{
    given("-o", "json|jsonl", NULL);
    expect_error("--output: \"json|jsonl\" is not one of table, json, jsonl");
    cr_assert_eq(request.inner.format, -1);
}

Test(args_read, number_has_two_bounds)
{
    static const char *const wrong[] = {"0", "-1", "+1",         " 1",
                                        "",  "1s", "1000000001", "99999999999999999999"};
    char text[96];

    given("-n1", "--count=1000000000", NULL);
    cr_assert(args_read(&args, NULL, &request));
    cr_assert_eq(request.count, 1000000000);

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        given("-n", wrong[i], NULL);
        snprintf(text, sizeof(text), "--count: \"%s\" is no number from 1 to 1000000000", wrong[i]);
        expect_error(text);
        cr_assert_eq(request.count, 0);
    }
}

Test(args_read, own_options_and_words_go_to_the_verb)
{
    given("word", "--list", "item");
    cr_assert(args_read(&args, take, &request));
    cr_assert_str_eq(request.word, "word");
    cr_assert_str_eq(request.listed, "item");
}

Test(args_read, word_that_the_verb_has_no_use_for_is_unexpected)
{
    given("one", "two", NULL);
    expect_error("unexpected argument \"two\"");
}

Test(args_read, word_is_unexpected_without_a_hand)
{
    given("-q", "word", NULL);
    cr_assert(!args_read(&args, NULL, &request));
    cr_assert_str_eq(args.error.ptr, "unexpected argument \"word\"");
    text_fini(&args.error);
}

Test(args_read, first_mistake_ends_the_reading)
{
    given("--list=!", "--frobnicate", "-q");
    expect_error("--list: \"!\" is no item");
    cr_assert(!request.quiet);

    given("--quite", "-q", NULL);
    expect_error("unknown option \"--quite\"; did you mean \"--quiet\"?");
    cr_assert(!request.quiet);
}

Test(args_read, help_has_a_line_for_each_option)
{
    struct text out = {0};

    args_help(&out, options + 2);
    cr_assert_str_eq(out.ptr, "      --json                        the same as -o json\n"
                              "  -n, --count N                     how many\n"
                              "  -q, --quiet                       say nothing\n"
                              "      --list ITEM                   the verb's own\n"
                              "  -h, --help                        this text\n");
    text_fini(&out);
}
