/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_OUTPUT_H
#define CTL_OUTPUT_H

#include "ctl/args.h"

/* What "-o" says. Or-ed where several are meant. */
enum output_format { OUTPUT_TABLE = 1 << 0, OUTPUT_JSON = 1 << 1, OUTPUT_JSONL = 1 << 2 };

/* Reads the value of -o. Returns 0, or ARGS_ERROR when it is none of `allowed`. */
int output_format(struct args *args, const char *value, unsigned allowed,
                  enum output_format *ret_format);

/*
 * Writes a text to standard output and empties it. False, with a line on stderr, when it did not
 * get there or could not be made for want of memory.
 */
bool output_write(struct text *text);

#endif
