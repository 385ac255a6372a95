/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_BOOT_H
#define CONTROL_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpolicy/compile.h>

#include "core/text.h"
#include "store/records.h"

struct boot_options {
    pol_ctx *ctx;
    struct store *store;
    const char *file; /* policy.file; NULL: none */
    bool pin_file;
    bool default_allow;
};

struct boot_policy {
    pol_policy *policy; /* pol_policy_unref() */
    uint64_t generation;
    bool refused; /* the stored policy could not be used; the built-in default stands in */
};

/*
 * Which policy a node begins with: the pinned file, else what the store holds, else the file,
 * which then goes into the store, else the built-in default. A stored policy that can no longer be
 * used does not stop the start: the node comes up denying everything and says so.
 *
 * @return 0, or a negative errno with lines for the operator in `ret_error`
 */
int boot_policy(const struct boot_options *options, struct boot_policy *ret_boot,
                struct text *ret_error);

#endif
