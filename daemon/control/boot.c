// SPDX-License-Identifier: Apache-2.0
#include "control/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"
#include "control/policy_file.h"
#include "core/log.h"

static const char built_in[] = "{\"source_groups\":[]}";

/* Warnings are logged line by line; errors go to the caller. */
static void log_lines(const char *lines)
{
    size_t len;

    for (; lines && *lines; lines += len + (lines[len] == '\n')) {
        len = strcspn(lines, "\n");
        log_warn("%.*s", (int)len, lines);
    }
}

/* Puts an accepted policy into the store, unless the very same is there already. */
static int keep(const struct boot_options *options, const struct store_policy *stored,
                struct boot_policy *boot)
{
    struct text document = {0};
    int rc;

    if (!control_policy_json(boot->policy, &document)) {
        rc = -ENOMEM;
    } else if (stored->document && strcmp(stored->document, document.ptr) == 0) {
        boot->generation = stored->generation;
        rc = 0;
    } else {
        rc = store_policy_add(options->store, document.ptr, document.len, stored->generation,
                              &boot->generation);
        if (rc == 0)
            rc = store_policy_activate(options->store, boot->generation);
    }
    text_fini(&document);
    return rc;
}

static int boot_file(const struct boot_options *options, const struct store_policy *stored,
                     struct boot_policy *boot, struct text *ret_error)
{
    struct text report = {0};
    int rc;

    rc = policy_file_load(options->ctx, options->file, options->default_allow, &boot->policy,
                          &report);
    if (rc < 0) {
        text_add(ret_error, report.ptr ? report.ptr : "out of memory\n");
        goto out;
    }

    log_lines(report.ptr);
    rc = keep(options, stored, boot);
    if (rc < 0)
        text_add(ret_error, "the policy cannot be written to the state directory\n");

out:
    text_fini(&report);
    return rc;
}

static int boot_built_in(const struct boot_options *options, bool allow, struct boot_policy *boot,
                         struct text *ret_error)
{
    boot->generation++;
    return policy_file_compile(options->ctx, "built-in policy",
                               (pol_str){built_in, sizeof(built_in) - 1}, allow, &boot->policy,
                               ret_error);
}

static int boot_stored(const struct boot_options *options, const struct store_policy *stored,
                       struct boot_policy *boot, struct text *ret_error)
{
    struct text report = {0};
    int rc;

    boot->generation = stored->generation;
    rc =
        policy_file_compile(options->ctx, "stored policy", (pol_str){stored->document, stored->len},
                            false, &boot->policy, &report);
    if (rc == -EINVAL) {
        log_lines(report.ptr);
        log_error("the stored policy is refused by this version; everything is denied until a "
                  "policy is put");
        boot->refused = true;
        rc = boot_built_in(options, false, boot, ret_error);
    } else if (rc < 0) {
        text_add(ret_error, report.ptr ? report.ptr : "out of memory\n");
    } else if (options->file) {
        log_info("policy.file is not used: the state directory holds generation %llu",
                 (unsigned long long)stored->generation);
    }
    text_fini(&report);
    return rc;
}

int boot_policy(const struct boot_options *options, struct boot_policy *ret_boot,
                struct text *ret_error)
{
    struct store_policy stored = {0};
    struct boot_policy boot = {0};
    int rc;

    rc = store_policy_active(options->store, &stored);
    if (rc < 0 && rc != -ENOENT) {
        text_addf(ret_error, "the stored policy cannot be read: %s\n", strerror(-rc));
        return rc;
    }

    if (options->file && (options->pin_file || !stored.document))
        rc = boot_file(options, &stored, &boot, ret_error);
    else if (stored.document)
        rc = boot_stored(options, &stored, &boot, ret_error);
    else
        rc = boot_built_in(options, options->default_allow, &boot, ret_error);

    free(stored.document);
    if (rc == 0)
        *ret_boot = boot;
    else
        pol_policy_unref(boot.policy);
    return rc;
}
