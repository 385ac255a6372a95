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

void verb_help(const struct verb *verb, struct text *out);

#endif
