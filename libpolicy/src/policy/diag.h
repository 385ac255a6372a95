/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_DIAG_H
#define POLICY_DIAG_H

/*
 * The list of diagnostics while a document is compiled. A place in the document is the number of a
 * scanned node; path, line and column are worked out from it, the latter two in one pass over the
 * document at the end.
 *
 * Running out of memory here is remembered and reported by diag_finish(), so that the code that
 * finds faults needs no second way out.
 */

#include <libpolicy/compile.h>

#include "base/arena.h"

struct scan;

struct pol_diags {
    pol_ctx *ctx;
    struct arena arena;      /* paths and texts */
    const struct scan *scan; /* of the document being compiled; NULL afterwards */
    pol_diag *items;
    uint32_t *offsets; /* by item, octets into the document */
    size_t capacity, offset_capacity;
    size_t count;
    size_t errors;   /* with those that were not kept */
    size_t warnings; /* the same */
    bool nomem;
};

int diag_new(pol_ctx *ctx, struct pol_diags **ret_diags);

/* One fault. `node` names the value for path and place; diag_key() points at its key instead, and
 * diag_offset() anywhere in the document. */
void diag_value(struct pol_diags *diags, uint32_t code, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void diag_key(struct pol_diags *diags, uint32_t code, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void diag_offset(struct pol_diags *diags, uint32_t code, uint32_t node, uint32_t offset,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Sorts into document order and fills in lines and columns. POL_OK or POL_E_NOMEM. */
int diag_finish(struct pol_diags *diags, pol_str document);

/* As much of a value as a diagnostic repeats; never ends inside a character. */
pol_str diag_clip(pol_str text);
#define DIAG_ECHO(text) (int)diag_clip(text).len, ((text).ptr ? (text).ptr : "")

#endif
