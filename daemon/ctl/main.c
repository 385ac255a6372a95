/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <libpolicy/version.h>

#include "ctl/verb.h"

static const struct verb *const verbs[] = {&verb_replay, &verb_check, &verb_ready,
                                           &verb_stats,  &verb_tap,   &verb_port};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static int print_text(FILE *file, struct text *text, int code)
{
    if (text->failed || (text->len && fputs(text->ptr, file) == EOF) || fflush(file) == EOF)
        code = EXIT_FAILED;
    text_fini(text);
    return code;
}

static int print_help(void)
{
    struct text out = {0};

    text_add(
        &out,
        "Usage: policyctl VERB [OPTIONS]\n\n"
        "Replays captures through a policy, checks policies, asks a running policyd, and gives\n"
        "network interfaces back to the host.\n"
        "\nVerbs:\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        text_addf(&out, "  %-10s %s\n", verbs[i]->name, verbs[i]->summary);

    text_add(
        &out,
        "\n\"policyctl VERB --help\" lists the options of a verb.\n\n"
        "  -h, --help      this text\n"
        "  -V, --version   the versions of policyctl and libpolicy\n"
        "\nExit codes: 0 ok, 1 not ready or not permitted, 2 wrong command line,\n"
        "3 no policyd answers, 4 a policy, capture or interface is invalid, 5 out of memory, the\n"
        "output cannot be written or the kernel refuses.\n");
    return print_text(stdout, &out, EXIT_OK);
}

static int print_verb_help(const struct verb *verb)
{
    struct text out = {0};

    text_addf(&out, "Usage: policyctl %s %s\n\n%s\n\nOptions:\n", verb->name, verb->synopsis,
              verb->about);
    args_help(&out, verb->options);
    return print_text(stdout, &out, EXIT_OK);
}

static int print_version(void)
{
    struct text out = {0};

    text_addf(&out, "policyctl %s, libpolicy %s\n", POL_VERSION_TEXT, pol_version());
    return print_text(stdout, &out, EXIT_OK);
}

static int unknown_verb(const char *typed)
{
    struct text error = {0};
    const char *names[VERB_COUNT];

    for (size_t i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i]->name;

    text_addf(&error, "policyctl: unknown %s \"%s\"", typed[0] == '-' ? "option" : "verb", typed);
    args_suggest(&error, typed, names, VERB_COUNT, "");
    text_add(&error, "\nTry \"policyctl --help\".\n");
    return print_text(stderr, &error, EXIT_USAGE);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    struct args args = {.options = verb->options, .argc = argc, .argv = argv};
    int code;

    if (asks_for_help(argc, argv))
        return print_verb_help(verb);

    code = verb->run(&args);
    if (args.error.len)
        fprintf(stderr, "policyctl %s: %s\nTry \"policyctl %s --help\".\n", verb->name,
                args.error.ptr, verb->name);
    text_fini(&args.error);
    return code;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return print_version();
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return print_help();

    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(word, verbs[i]->name) == 0)
            return run_verb(verbs[i], argc - 2, argv + 2);
    }

    if (argc > 1)
        return unknown_verb(word);
    fputs("policyctl: a verb is missing\nTry \"policyctl --help\".\n", stderr);
    return EXIT_USAGE;
}
