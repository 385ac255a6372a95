/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PATTERN_PATTERNS_H
#define PATTERN_PATTERNS_H

/*
 * Every distinct hostname pattern of a policy, numbered from 0. Patterns of a literal or suffix
 * shape are found by hashing the name and its parents, so their number does not matter; the others
 * are searched one by one with the regex engine (pol_limits.regexes bounds them).
 *
 * Shapes that need no engine, and alternations of them inside one (?:...) group:
 *   ^a\.b$              exactly a.b
 *   ^(?:.+\.)?b\.c$     b.c and everything below it
 *   (^|\.)b\.c$         the same
 *   ^.+\.b\.c$          everything below b.c
 *   ^.*$ and .*         every name
 */

#include <libpolicy/context.h>

#include "pattern/regex.h"

struct patterns;

/* Or-ed to an id: its regex ended in an exception. */
#define PATTERN_EXCEPTION UINT32_C(0x80000000)

struct patterns_input {
    pol_str text; /* as the author wrote it, trimmed */
};

/* Builds the set. The caller has merged equal texts. On POL_E_FORMAT *reterr_index names the bad
 * pattern and `error` says why; POL_E_LIMIT: too many need the engine. */
int patterns_build(const pol_ctx *ctx, const struct patterns_input *inputs, uint32_t count,
                   struct patterns **ret_patterns, uint32_t *reterr_index,
                   char error[REGEX_ERROR_TEXT]);
void patterns_free(struct patterns *patterns);

uint32_t patterns_count(const struct patterns *patterns);
size_t patterns_memory(const struct patterns *patterns);
bool patterns_needs_engine(const struct patterns *patterns, uint32_t id);

/* Writes the ids of the patterns that match `name` (normalised text), ascending, at most
 * `capacity`, and returns how many there are in all. */
size_t patterns_match(const struct patterns *patterns, struct regex_scratch *scratch, pol_str name,
                      uint32_t *ret_ids, size_t capacity);

#endif
