/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PATTERN_SYNTAX_H
#define PATTERN_SYNTAX_H

#include "pattern/regex.h"

/*
 * Rejects what a regular expression of the document must not hold: everything that is not regular
 * (look-around, back-references, recursion, conditionals), that reaches into the engine (callouts,
 * verbs) or that changes how the rest of the pattern is read (\Q, the x flag). Whether the rest is
 * well-formed is left to the engine. POL_OK, or POL_E_FORMAT and one line that says which
 * construct, where, and what to write instead.
 */
int syntax_check(pol_str pattern, char error[REGEX_ERROR_TEXT]);

/* Is every alternative tied to the end of the name, and to its beginning or to a dot? */
bool syntax_is_anchored(pol_str pattern);

#endif
