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

/* The rest is shared by warn.c and warn_*.c. */

struct warn {
    const struct pol_policy *policy;
    const struct pm_policy *model;
    const struct compile_origin *origin;
    struct arena *scratch;
    struct pol_diags *diags;
};

/* A warning about one rule, whose id begins the text. `at` POL_NONE: the whole rule. */
void warn_rule(struct warn *warn, const struct pp_step *step, uint32_t code, uint32_t at,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* What the rule does to what it matches; a denial in audit mode denies nothing. */
const char *warn_verb(const struct pp_step *step);

const struct pm_rule *warn_origin(const struct warn *warn, const struct pp_step *step);

/* What depends on the order of rules: shadowed ones, and interception that comes too late. */
int warn_order(struct warn *warn);

/* What depends on the order of hostname rules within a group. */
int warn_query(struct warn *warn);
/* Is it an allow rule whose pattern says nothing about the name? */
bool warn_allows_every_name(const struct warn *warn, const struct pp_step *step);

/* The patterns and lists of names in a rule's TLS conditions. */
void warn_tls_names(struct warn *warn, const struct pp_step *step);
/* One distinct dns_hostname. */
void warn_hostname_pattern(struct warn *warn, const struct pm_pattern *pattern);

/* Groups by themselves, and priorities in a list. */
void warn_groups(struct warn *warn, const struct pm_policy *model);

enum { WARN_V4 = 1, WARN_V6 = 2 };
/* The families of a set, or-ed; NULL is any address. */
unsigned warn_families(const struct ipset *set);
/* The family of which the set holds all addresses, while it has none of the other; 0 for none. */
unsigned warn_half_of_all(const struct ipset *set);

/* Does `outer`, whose conditions on names and TLS are not looked at, match every packet that
 * `inner` selects? Takes what it costs off the budget. */
bool warn_covers(int64_t *budget, const struct pp_step *outer, const struct pp_step *inner);

bool warn_sets_meet(const struct ipset *a, const struct ipset *b);

#endif
