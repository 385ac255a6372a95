/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_VERB_H
#define CTL_VERB_H

#include "ctl/args.h"

/* What a script may rely on. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_DENIED = 1,      /* not ready, the node refused the token, or not permitted */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_UNREACHABLE = 3, /* no policyd answers */
    EXIT_INVALID = 4,     /* a document, capture or interface is not there or not valid */
    EXIT_FAILED = 5       /* out of memory, the output cannot be written, or the kernel refuses */
};

/* One thing policyctl does. `run` reads its options from `args` and returns an enum exit_code. */
struct verb {
    const char *name;
    const char *synopsis; /* what follows the name in the usage line */
    const char *summary;  /* one line, for the list of verbs */
    const char *about;    /* a paragraph or two, for --help of the verb */
    const struct args_option *options;
    int (*run)(struct args *args);
};

extern const struct verb verb_check;
extern const struct verb verb_port;
extern const struct verb verb_ready;
extern const struct verb verb_replay;
extern const struct verb verb_stats;
extern const struct verb verb_tap;

/* Options that several verbs have: rows of their tables; `type` is the verb's request. */
#define VERB_OUTPUT(type, words, help) ARGS_CHOICE(type, format), 'o', "output", words, help
#define VERB_NO_COLOR(type)                                                                        \
    ARGS_SWITCH(type, no_color), 0, "no-color", NULL, "no colours, not even on a terminal"
#define VERB_JSON(type) ARGS_SECOND(type, format), 0, "json", NULL, "the same as -o json"
#define VERB_URL(type)                                                                             \
    ARGS_TEXT(type, url), 0, "url", "URL", "where policyd listens (" HTTP_CLIENT_URL ")"
#define VERB_TOKEN_FILE(type)                                                                      \
    ARGS_TEXT(type, token_file), 0, "token-file", "FILE",                                          \
        "holds the API token ($POLICYCTL_TOKEN_FILE)"

#endif
