/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include "core/text.h"

/* What "-o" says: the order of the words in the verbs' tables. */
enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL };

/*
 * Writes a text to standard output and empties it. False, with a line on stderr, when it did not
 * get there or could not be made for want of memory.
 */
bool output_write(struct text *text);

#endif
