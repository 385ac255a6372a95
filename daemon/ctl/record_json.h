/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_RECORD_JSON_H
#define CTL_RECORD_JSON_H

#include <libpolicy/compile.h>

#include "core/text.h"
#include "ctl/records.h"

/*
 * Adds a record as one JSON object on one line, without the newline. The keys and their order are
 * documented in policyctl.1; new ones may follow at the end.
 */
void record_json(struct text *out, const struct record *record, const pol_policy *policy);

#endif
