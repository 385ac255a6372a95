/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

/*
 * Judges a loaded model: every fault that a reader of the document can see without running it. On
 * the way it fills in what the values mean (fields marked "check" in model.h), so that compile.c
 * finds only valid ones.
 */

#include "base/arena.h"
#include "policy/diag.h"
#include "policy/intern.h"
#include "policy/model.h"

/* Faults go to diags. POL_OK, also with faults, or POL_E_NOMEM. */
int check_policy(pol_ctx *ctx, struct arena *arena, const pol_compile_options *opts,
                 struct pm_policy *policy, struct pol_diags *diags);

/* The rest is shared by check.c and check_tls.c. */

struct check {
    pol_ctx *ctx;
    struct arena *arena;
    const pol_compile_options *opts;
    struct pm_policy *policy;
    struct pol_diags *diags;
    const struct pm_group *group; /* being checked */
    const struct pm_rule *rule;   /* the same; NULL outside rules */
    struct intern group_ids, rule_ids, hostnames, regexes;
    struct shape *shape;
    uint32_t engine_count; /* patterns that need the regex engine */
    bool engine_refused;
};

/* A fault of the rule or group being checked, whose id begins the text. */
void check_fault(struct check *check, uint32_t code, uint32_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Checks one regular expression and numbers it. `field` is its name in texts; `what` is " regex"
 * where the contract says "FIELD regex cannot be empty". */
int check_regex(struct check *check, struct pm_regex *regex, bool caseless, const char *field,
                const char *what);

int check_tls(struct check *check, struct pm_tls *tls);

pol_str check_trim(pol_str text);

#endif
