/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_COMPILE_H
#define POLICY_COMPILE_H

#include "policy/model.h"
#include "program/program.h"

/* Where the rules and groups of a program stand in the document, for warnings. */
struct compile_origin {
    const struct pm_group **groups; /* by group of the program */
    const struct pm_rule **rules;   /* by public rule number */
};

/* Fills an empty policy (context and arena set) from a checked model. On failure the policy is
 * incomplete and only good for pol_policy_unref(). POL_OK, POL_E_NOMEM. */
int compile_program(struct pol_policy *policy, const struct pm_policy *model,
                    struct arena *model_arena, struct compile_origin *ret_origin);

/* compile_tls.c */
int compile_tls(struct pol_policy *policy, const struct pm_tls *tls, const struct pp_tls **ret_tls);

#endif
