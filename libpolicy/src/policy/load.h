/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_LOAD_H
#define POLICY_LOAD_H

#include "base/arena.h"
#include "policy/diag.h"
#include "policy/model.h"
#include "policy/scan.h"

/*
 * Reads a scanned document into a model. Wrong types, unknown and missing keys and exceeded limits
 * go to diags, all of them; what is at fault is left absent in the model. POL_OK, also with faults,
 * or POL_E_NOMEM.
 */
int load_json(const pol_ctx *ctx, const struct scan *scan, struct arena *arena,
              struct pol_diags *diags, struct pm_policy *ret_policy);

#endif
