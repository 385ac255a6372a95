/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_WARN_H
#define POLICY_WARN_H

#include "net/ipset.h"
#include "policy/compile.h"
#include "policy/diag.h"

/* What an accepted policy probably does not mean. Works on the program, where sets are merged and
 * rules are in order; `origin` leads back to the document. POL_OK or POL_E_NOMEM. */
int warn_policy(const struct pol_policy *policy, const struct pm_policy *model,
                const struct compile_origin *origin, struct arena *scratch,
                struct pol_diags *diags);

/* The rest is shared by warn.c and warn_order.c. */

struct warn {
    const struct pol_policy *policy;
    const struct compile_origin *origin;
    struct arena *scratch;
    struct pol_diags *diags;
};

/* A warning about one rule, whose id begins the text. `at` POL_NONE: the whole rule. */
void warn_rule(struct warn *warn, const struct pp_step *step, uint32_t code, uint32_t at,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

const struct pm_rule *warn_origin(const struct warn *warn, const struct pp_step *step);

/* What depends on the order of rules: shadowed ones, and interception that comes too late. */
int warn_order(struct warn *warn);

bool warn_sets_meet(const struct ipset *a, const struct ipset *b);

#endif
