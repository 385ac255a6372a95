/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCENARIO_SCRIPT_H
#define SCENARIO_SCRIPT_H

/*
 * A scenario file cut into steps and words, as README.md describes them. Nothing here knows what a
 * verb means.
 */

#include <libpolicy/base.h>

/* key=value, or a bare word without key. Both texts end in NUL; a quoted text may hold NULs. */
struct word {
    const char *key;
    const char *text;
    size_t len;
    bool quoted;
};

struct step {
    unsigned line; /* 1-based */
    pol_mono at;
    struct word *words;
    size_t count;       /* words before "expect" */
    size_t expected;    /* words behind it */
    const char *source; /* the line as written */
    pol_str document;   /* of <<END; ptr is NULL without */
};

struct script {
    const char *path;
    const char *title;
    const char *proves; /* the paragraphs, each on a line of its own */
    struct step *steps;
    size_t count;
    char *text;  /* the file, cut in place; words point into it */
    char *lines; /* the file, cut at newlines only */
};

/* Reads a file. False when it is no scenario; the reason has been printed. */
bool script_read(const char *path, struct script *ret_script);
void script_free(struct script *script);

/* Prints "path:line: message"; returns false, for a caller that gives up. */
bool script_error(const struct script *script, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
