/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <libpolicy/base.h>

#include "core/text.h"

/* How things look to people: colours, times, amounts, and texts that may hold anything. */

enum show_colour { SHOW_PLAIN, SHOW_GOOD, SHOW_BAD, SHOW_NOTICE, SHOW_DIM };

/* Whether colours suit a stream: a terminal that is not dumb, and NO_COLOR is not set. */
bool show_colours(FILE *file, bool forbidden);

/* Adds a piece in a colour; plain when `colours` is false. */
void show_paint(struct text *out, bool colours, enum show_colour colour, const char *piece);

/* Adds a text of unknown origin for a terminal: control characters appear as "?". */
void show_safely(struct text *out, pol_str piece);

#define SHOW_TIME 28 /* "2026-11-22T16:34:26.123456Z" and its NUL */

/* RFC 3339, UTC, microseconds; nanoseconds are cut off. */
void show_time(uint64_t ns, char ret_text[SHOW_TIME]);

#define SHOW_AMOUNT 16

/* 999, 12.3k, 4.5M */
void show_amount(uint64_t amount, char ret_text[SHOW_AMOUNT]);

/* "1 packet", "2 packets" */
void show_count(struct text *out, uint64_t count, const char *one, const char *many);

#endif
