/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"

#define MOST_OPTIONS 32 /* in one table */
#define MOST_CHOICES 8  /* of one option */
#define NUMBER_MAX   1000000000

int args_reject(struct args *args, const char *format, ...)
{
    char line[1024];
    va_list list;

    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    text_add(&args->error, line);
    return ARGS_ERROR;
}

void args_suggest(struct text *error, const char *typed, const char *const *names, size_t count,
                  const char *dashes)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    for (size_t i = 0; i < count; i++) {
        size_t distance = suggest_distance(typed, names[i]);

        if (distance < best_distance && suggest_is_near(typed, distance)) {
            best = names[i];
            best_distance = distance;
        }
    }
    if (best)
        text_addf(error, "; did you mean \"%s%s\"?", dashes, best);
}

int args_choice(struct args *args, const char *option, const char *value,
                const char *const *choices)
{
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], value) == 0)
            return i;
    }

    args_reject(args, "%s: \"%s\" is not one of ", option, value);
    for (int i = 0; choices[i]; i++)
        text_addf(&args->error, "%s%s", i ? ", " : "", choices[i]);
    return -1;
}

static int unknown_option(struct args *args, const char *name, size_t len)
{
    const char *names[MOST_OPTIONS];
    char typed[64];
    size_t count = 0;

    snprintf(typed, sizeof(typed), "%.*s", (int)len, name);
    for (; args->options[count].name && count < MOST_OPTIONS; count++)
        names[count] = args->options[count].name;

    args_reject(args, "unknown option \"--%s\"", typed);
    args_suggest(&args->error, typed, names, count, "--");
    return ARGS_ERROR;
}

/* `inline_value` is what followed "=" or the letter in the same argument; NULL: nothing. */
static int take_value(struct args *args, const struct args_option *option, const char *inline_value,
                      const char **ret_value)
{
    args->option = option;
    if (!option->value) {
        if (inline_value)
            return args_reject(args, "--%s takes no value", option->name);
        return option->id;
    }

    if (!inline_value && args->index < args->argc)
        inline_value = args->argv[args->index++];
    if (!inline_value)
        return args_reject(args, "--%s needs a value: %s", option->name, option->value);

    *ret_value = inline_value;
    return option->id;
}

static int take_long(struct args *args, const char *text, const char **ret_value)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);

    for (const struct args_option *option = args->options; option->name; option++) {
        if (strlen(option->name) == len && memcmp(option->name, text, len) == 0)
            return take_value(args, option, equals ? equals + 1 : NULL, ret_value);
    }
    return unknown_option(args, text, len);
}

static int take_short(struct args *args, const char *text, const char **ret_value)
{
    for (const struct args_option *option = args->options; option->name; option++) {
        if (option->letter && option->letter == text[0])
            return take_value(args, option, text[1] ? text + 1 : NULL, ret_value);
    }
    return args_reject(args, "unknown option \"-%s\"", text);
}

int args_next(struct args *args, const char **ret_value)
{
    const char *argument;

    if (args->index >= args->argc)
        return ARGS_END;

    argument = args->argv[args->index++];
    if (!args->only_words && strcmp(argument, "--") == 0) {
        args->only_words = true;
        return args_next(args, ret_value);
    }

    /* A lone "-" is a file name: standard input. */
    if (args->only_words || argument[0] != '-' || argument[1] == '\0') {
        *ret_value = argument;
        return ARGS_WORD;
    }

    if (argument[1] == '-')
        return take_long(args, argument + 2, ret_value);
    return take_short(args, argument + 1, ret_value);
}

static int put_number(struct args *args, const char *value, uint64_t *ret_number)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end || errno || number < 1 || number > NUMBER_MAX)
        return args_reject(args, "--%s: \"%s\" is no number from 1 to %d", args->option->name,
                           value, NUMBER_MAX);
    *ret_number = number;
    return 0;
}

static int put_choice(struct args *args, const char *value, int *ret_choice)
{
    const char *choices[MOST_CHOICES + 1] = {0};
    char name[64], words[64], *rest = words;
    int choice;

    snprintf(name, sizeof(name), "--%s", args->option->name);
    snprintf(words, sizeof(words), "%s", args->option->value);
    for (int i = 0; i < MOST_CHOICES && rest; i++)
        choices[i] = strsep(&rest, "|");

    choice = args_choice(args, name, value, choices);
    if (choice < 0)
        return ARGS_ERROR;
    *ret_choice = choice;
    return 0;
}

static int put(struct args *args, int id, const char *value, void *request)
{
    void *place = (char *)request + id % ARGS_PLACES;

    switch ((enum args_kind)(id / ARGS_PLACES)) {
    case ARGS_KIND_TEXT:
        *(const char **)place = value;
        return 0;
    case ARGS_KIND_SWITCH:
        *(bool *)place = true;
        return 0;
    case ARGS_KIND_NUMBER:
        return put_number(args, value, place);
    case ARGS_KIND_CHOICE:
        return put_choice(args, value, place);
    case ARGS_KIND_SECOND:
        *(int *)place = 1;
    }
    return 0;
}

bool args_read(struct args *args, args_take_fn take, void *request)
{
    const char *value = "";
    int id, rc;

    while ((id = args_next(args, &value)) != ARGS_END) {
        rc = id;
        if (id >= ARGS_PLACES)
            rc = put(args, id, value, request);
        else if (take && id != ARGS_ERROR)
            rc = take(args, id, value, request);

        if (rc == ARGS_WORD)
            args_reject(args, "unexpected argument \"%s\"", value);
        if (rc < 0)
            return false;
    }
    return true;
}

void args_help(struct text *out, const struct args_option *options)
{
    char left[64];

    for (; options->name; options++) {
        snprintf(left, sizeof(left), "%c%c%c --%s%s%s", options->letter ? '-' : ' ',
                 options->letter ? options->letter : ' ', options->letter ? ',' : ' ',
                 options->name, options->value ? " " : "", options->value ? options->value : "");
        text_addf(out, "  %-33s %s\n", left, options->help);
    }
    text_addf(out, "  %-33s %s\n", "-h, --help", "this text");
}
