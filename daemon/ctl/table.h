/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>

#include <libpolicy/compile.h>

#include "core/text.h"
#include "ctl/records.h"

/* Adds the records as a table for people: one line each, columns aligned, names shortened. */
void table_show(struct text *out, const struct records *records, const pol_policy *policy,
                bool colours);

#endif
