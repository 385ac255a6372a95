// SPDX-License-Identifier: Apache-2.0
#include "control/policy_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

#define DOCUMENT_LIMIT (UINT64_C(64) << 20)

static void add_diag(struct text *report, const char *name, const pol_diag *diag)
{
    text_add(report, name);
    if (diag->line)
        text_addf(report, ":%u:%u", diag->line, diag->column);
    text_addf(report, ": %s: %.*s", diag->severity == POL_DIAG_ERROR ? "error" : "warning",
              (int)diag->text.len, diag->text.ptr);
    if (diag->path.len)
        text_addf(report, " (at %.*s)", (int)diag->path.len, diag->path.ptr);
    text_add(report, "\n");
}

static void add_diags(struct text *report, const char *name, const pol_diags *diags)
{
    for (size_t i = 0; diags && i < pol_diags_count(diags); i++)
        add_diag(report, name, pol_diags_at(diags, i));
}

int policy_file_compile(pol_ctx *ctx, const char *name, pol_str document, bool default_allow,
                        pol_policy **ret_policy, struct text *report)
{
    pol_compile_options options;
    pol_diags *diags = NULL;
    int rc;

    pol_compile_options_init(&options, sizeof(options));
    options.default_allow = default_allow;
    rc = pol_compile(ctx, document, &options, ret_policy, &diags);
    add_diags(report, name, diags);
    pol_diags_free(diags);

    if (rc != POL_OK && rc != POL_E_POLICY)
        text_addf(report, "%s: %s\n", name, pol_status_text(rc));
    return rc == POL_OK ? 0 : rc == POL_E_NOMEM ? -ENOMEM : -EINVAL;
}

int policy_file_load(pol_ctx *ctx, const char *path, bool default_allow, pol_policy **ret_policy,
                     struct text *report)
{
    char *document = NULL;
    size_t len = 0;
    int rc;

    rc = fs_read_file(path, DOCUMENT_LIMIT, &document, &len);
    if (rc < 0) {
        text_addf(report, "%s: %s\n", path, strerror(-rc));
        return rc;
    }

    rc =
        policy_file_compile(ctx, path, (pol_str){document, len}, default_allow, ret_policy, report);
    free(document);
    return rc;
}
