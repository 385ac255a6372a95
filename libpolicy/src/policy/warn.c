/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/warn.h"

int warn_policy(const struct pol_policy *policy, const struct pm_policy *model,
                const struct compile_origin *origin, struct arena *scratch, struct pol_diags *diags)
{
    (void)policy;
    (void)model;
    (void)origin;
    (void)scratch;
    (void)diags;
    return POL_OK;
}
