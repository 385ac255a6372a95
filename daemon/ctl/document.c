/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

#define DOCUMENT_LIMIT (64 * 1024 * 1024) /* pol_limits.document_bytes */

pol_str document_source(const struct document *document)
{
    return (pol_str){document->source, document->len};
}

void document_fini(struct document *document)
{
    pol_diags_free(document->diags);
    pol_policy_unref(document->policy);
    free(document->source);
    *document = (struct document){0};
}

bool document_load(pol_ctx *ctx, const char *path, struct document *ret_document)
{
    bool piped = strcmp(path, "-") == 0;
    struct document document = {.name = piped ? "<stdin>" : path};
    int rc;

    rc = fs_read_file(piped ? "/dev/stdin" : path, DOCUMENT_LIMIT, &document.source, &document.len);
    if (rc < 0) {
        fprintf(stderr, "policyctl: %s: %s\n", document.name,
                rc == -EFBIG ? "longer than 64 MiB, the most a policy may be" : strerror(-rc));
        return false;
    }

    rc = pol_compile(ctx, document_source(&document), NULL, &document.policy, &document.diags);
    if (rc != POL_OK && rc != POL_E_POLICY) {
        fprintf(stderr, "policyctl: %s: %s\n", document.name, pol_status_text(rc));
        document_fini(&document);
        return false;
    }

    *ret_document = document;
    return true;
}
