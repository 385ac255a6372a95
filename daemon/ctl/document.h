/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_DOCUMENT_H
#define CTL_DOCUMENT_H

#include <libpolicy/compile.h>

/*
 * A policy file, read and compiled. `policy` is NULL when the document was rejected; the
 * diagnostics say why, or hold warnings.
 */
struct document {
    const char *name; /* of the file, for messages */
    char *source;
    size_t len;
    pol_policy *policy;
    pol_diags *diags;
};

/*
 * Reads and compiles a file, or standard input for "-". False, with a line on stderr, when it
 * cannot even be read or memory is short; a rejected document is no failure here.
 */
bool document_load(pol_ctx *ctx, const char *path, struct document *ret_document);
void document_fini(struct document *document);

pol_str document_source(const struct document *document);

#endif
