/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PATTERN_REGEX_H
#define PATTERN_REGEX_H

/*
 * Regular expressions as the policy document means them: searched unanchored and caseless, linear
 * dialects only (no look-around, back-references, recursion, callouts, verbs). PCRE2 with CASELESS
 * (unless told otherwise), DOLLAR_ENDONLY, NEVER_BACKSLASH_C; the interpreter, not the JIT, because
 * the daemon runs with MemoryDenyWriteExecute.
 */

#include <libpolicy/context.h>

struct regex;         /* immutable once compiled, shareable */
struct regex_scratch; /* one per thread; all memory is taken at creation */

enum regex_result {
    REGEX_NO,
    REGEX_YES,
    REGEX_EXCEPTION /* a limit was hit or the scratch is too small: callers fail closed */
};

#define REGEX_ERROR_TEXT 160

/* Compiles a pattern. On POL_E_FORMAT `error` is one line for the policy's author (what and at
 * which offset). The regex is released with regex_free(). */
int regex_compile(const pol_ctx *ctx, pol_str pattern, bool caseless, struct regex **ret_regex,
                  char error[REGEX_ERROR_TEXT]);
void regex_free(struct regex *regex);
size_t regex_memory(const struct regex *regex);

int regex_scratch_new(const pol_ctx *ctx, struct regex_scratch **ret_scratch);
void regex_scratch_free(struct regex_scratch *scratch);
size_t regex_scratch_memory(void); /* of one */

/* Searches subject. Allocates nothing outside the scratch. */
enum regex_result regex_search(const struct regex *regex, struct regex_scratch *scratch,
                               pol_str subject);

#endif
