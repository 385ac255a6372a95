/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_POLICY_FILE_H
#define CONTROL_POLICY_FILE_H

#include <stdbool.h>

#include <libpolicy/compile.h>

#include "core/text.h"

/*
 * Reads and compiles a policy document.
 *
 * @param report  one line per diagnostic, warnings too: "web.json:12:7: error: ... (at /...)"
 * @return 0, -EINVAL when it was refused, or another negative errno; the report then has the reason
 */
int policy_file_load(pol_ctx *ctx, const char *path, bool default_allow, pol_policy **ret_policy,
                     struct text *report);

/* The same for a document in memory; `name` stands for the file in the report. */
int policy_file_compile(pol_ctx *ctx, const char *name, pol_str document, bool default_allow,
                        pol_policy **ret_policy, struct text *report);

#endif
