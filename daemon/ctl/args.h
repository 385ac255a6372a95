/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/*
 * The command line of one verb. Options are "--name VALUE", "--name=VALUE", "-x VALUE" or
 * "-xVALUE", in any order with the other arguments; "--" ends them. Nothing is ignored: what is not
 * in the verb's table is an error that names it and what it may have been meant for.
 */
struct args_option {
    int id;            /* above 0; for args_read() a place as below, or an id of the verb's own */
    char letter;       /* 0: none */
    const char *name;  /* without the dashes; NULL at the end of a table */
    const char *value; /* what its value is called in --help; NULL: a switch */
    const char *help;
};

/*
 * Ids that say where args_read() puts a value: into a member of the verb's request, below 64 KiB,
 * in the way of its kind. A member of another type does not compile. Ids of a verb's own are below
 * ARGS_PLACES.
 */
#define ARGS_PLACES 0x10000
#define ARGS_PLACE(kind, holds, type, member)                                                      \
    _Generic(((type *)0)->member, holds : ARGS_PLACES * (kind) + (int)offsetof(type, member))

#define ARGS_TEXT(type, member)   ARGS_PLACE(ARGS_KIND_TEXT, const char *, type, member)
#define ARGS_SWITCH(type, member) ARGS_PLACE(ARGS_KIND_SWITCH, bool, type, member)
#define ARGS_NUMBER(type, member) ARGS_PLACE(ARGS_KIND_NUMBER, uint64_t, type, member)
#define ARGS_CHOICE(type, member) ARGS_PLACE(ARGS_KIND_CHOICE, int, type, member)
#define ARGS_SECOND(type, member) ARGS_PLACE(ARGS_KIND_SECOND, int, type, member)

enum args_kind {
    ARGS_KIND_TEXT = 1, /* as it was typed */
    ARGS_KIND_SWITCH,   /* true */
    ARGS_KIND_NUMBER,   /* from 1 to 1000000000 */
    ARGS_KIND_CHOICE,   /* which of the words of `value` ("table|json"), from 0 */
    ARGS_KIND_SECOND    /* a switch that is short for the second word of a choice: 1 */
};

struct args {
    const struct args_option *options;
    int argc;
    char **argv;
    int index;                        /* of the next argument to read */
    bool only_words;                  /* "--" was seen */
    const struct args_option *option; /* the one read last */
    struct text error;
};

enum {
    ARGS_END = 0,
    ARGS_WORD = -1, /* an argument that is no option */
    ARGS_ERROR = -2 /* args->error says what is wrong */
};

/* The next option's id, or one of the above. */
int args_next(struct args *args, const char **ret_value);

/*
 * A verb's hand in args_read(): takes the options with ids of its own, and words. Returns
 * ARGS_ERROR after args_reject(), or ARGS_WORD for a word that it has no use for.
 */
typedef int (*args_take_fn)(struct args *args, int id, const char *value, void *request);

/*
 * Reads the whole command line into `request`, which holds the defaults. `take` is NULL when the
 * table has places only and words are not wanted. False, with args->error, at the first mistake.
 */
bool args_read(struct args *args, args_take_fn take, void *request);

/* Adds a line for each option, and one for --help, which is no verb's own. */
void args_help(struct text *out, const struct args_option *options);

/* For verbs: notes an error of their own about a value, and returns ARGS_ERROR. */
int args_reject(struct args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds "; did you mean ...?" when one of the names is near enough to what was typed. */
void args_suggest(struct text *error, const char *typed, const char *const *names, size_t count,
                  const char *dashes);

/* The position of `value` in a list of words ended by NULL, or -1 with an error noted. */
int args_choice(struct args *args, const char *option, const char *value,
                const char *const *choices);

#endif
