/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/args.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/suggest.h"

#define MOST_OPTIONS 32 /* in one table */

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
static int take(struct args *args, const struct args_option *option, const char *inline_value,
                const char **ret_value)
{
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
            return take(args, option, equals ? equals + 1 : NULL, ret_value);
    }
    return unknown_option(args, text, len);
}

static int take_short(struct args *args, const char *text, const char **ret_value)
{
    for (const struct args_option *option = args->options; option->name; option++) {
        if (option->letter && option->letter == text[0])
            return take(args, option, text[1] ? text + 1 : NULL, ret_value);
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
