/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_TAP_LINE_H
#define CTL_TAP_LINE_H

#include <stdbool.h>

#include "core/text.h"

/* An event of the wiretap as one line for people; the columns' names are a line of their own. */
void tap_line_head(struct text *out);

/* False, with nothing added, when `data` is no such event. `name` is the event's. */
bool tap_line(struct text *out, const char *name, const char *data, bool colours);

#endif
