/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_NAMES_H
#define ORACLE_NAMES_H

/*
 * A small universe of names and of patterns over it. Which pattern matches which name is worked out
 * once, by the C library's regular expressions: another engine than the library's, and no shapes.
 */

#include <stdbool.h>

enum { NAME_COUNT = 24, PATTERN_COUNT = 30, NO_NAME = -1, NO_PATTERN = -1 };

extern const char *const name_texts[NAME_COUNT];

void names_init(void);
const char *pattern_text(int pattern);
bool pattern_matches(int pattern, int name);

#endif
