/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PATTERN_LINT_H
#define PATTERN_LINT_H

/* What the pattern of a name says and its author hardly meant. */

#include <libpolicy/base.h>

struct lint {
    bool any_dot;  /* a single . between the letters of a name: any character */
    bool star;     /* a * behind a character that stands for itself: that character, repeated */
    char repeated; /* that character */
    bool no_name;  /* something must be there that no name has */
    char foreign;  /* that character, or the dot at an end of the name */
};

/* For patterns that have passed syntax_check() and the engine. */
void lint_pattern(pol_str pattern, struct lint *ret_lint);

/* Does this text, compared as it is, look as if it meant many names? */
bool lint_is_wildcard(pol_str exact);

#endif
