/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include <stdbool.h>

#include "core/text.h"

/*
 * The command line of one verb. Options are "--name VALUE", "--name=VALUE", "-x VALUE" or
 * "-xVALUE", in any order with the other arguments; "--" ends them. Nothing is ignored: what is not
 * in the verb's table is an error that names it and what it may have been meant for.
 */
struct args_option {
    int id;            /* above 0 */
    char letter;       /* 0: none */
    const char *name;  /* without the dashes; NULL at the end of a table */
    const char *value; /* what its value is called in --help; NULL: a switch */
    const char *help;
};

struct args {
    const struct args_option *options;
    int argc;
    char **argv;
    int index;       /* of the next argument to read */
    bool only_words; /* "--" was seen */
    struct text error;
};

enum {
    ARGS_END = 0,
    ARGS_WORD = -1, /* an argument that is no option */
    ARGS_ERROR = -2 /* args->error says what is wrong */
};

/* The next option's id, or one of the above. */
int args_next(struct args *args, const char **ret_value);

/* For verbs: notes an error of their own about a value, and returns ARGS_ERROR. */
int args_reject(struct args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds "; did you mean ...?" when one of the names is near enough to what was typed. */
void args_suggest(struct text *error, const char *typed, const char *const *names, size_t count,
                  const char *dashes);

/* The position of `value` in a list of words ended by NULL, or -1 with an error noted. */
int args_choice(struct args *args, const char *option, const char *value,
                const char *const *choices);

#endif
