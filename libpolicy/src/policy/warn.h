/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_WARN_H
#define POLICY_WARN_H

#include "policy/compile.h"
#include "policy/diag.h"

/* What an accepted policy probably does not mean. Works on the program, where sets are merged and
 * rules are in order; `origin` leads back to the document. POL_OK or POL_E_NOMEM. */
int warn_policy(const struct pol_policy *policy, const struct pm_policy *model,
                const struct compile_origin *origin, struct arena *scratch,
                struct pol_diags *diags);

#endif
