/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_DIAGS_H
#define CTL_DIAGS_H

#include <libpolicy/compile.h>

#include "core/text.h"

/*
 * Adds diagnostics as a compiler prints them: "FILE:LINE:COL: error: text (path)", then the line at
 * fault with a caret below the place. Of a long line only the part around the place is shown.
 */
void diags_show(struct text *out, const char *file, pol_str source, const pol_diags *diags,
                bool colours);

/* Adds "FILE: 2 errors, 1 warning" and a newline; nothing when there are none. */
void diags_count(struct text *out, const char *file, const pol_diags *diags);

#endif
