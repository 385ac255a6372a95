/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_PRINT_H
#define POLICY_PRINT_H

#include "base/buf.h"
#include "policy/model.h"

/* Writes a checked model in the form of replies: every key, null or [] for what is absent, groups
 * and rules in the author's order, values in the author's spelling. */
void print_policy(struct buf *out, const struct pm_policy *policy);

#endif
