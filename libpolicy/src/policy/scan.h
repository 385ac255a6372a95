/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_SCAN_H
#define POLICY_SCAN_H

/*
 * Reads a JSON document once before cJSON does: rejects what cJSON would accept or bend (duplicate
 * keys, invalid UTF-8, NUL, raw control characters, leading zeros, trailing garbage, deep nesting)
 * and remembers where every value stands, which cJSON does not.
 *
 * Values are numbered in the order in which they begin (pre-order), so walking cJSON's tree the
 * same way gives each of its items its number.
 */

#include <libpolicy/compile.h>

struct buf;
struct pol_diags;

#define SCAN_DEPTH 32

struct scan_node {
    uint32_t value;  /* offset of the value's first octet */
    uint32_t key;    /* offset of the key's opening quote; POL_NONE for elements and the root */
    uint32_t parent; /* node; POL_NONE for the root */
    uint32_t index;  /* place among the parent's values */
};

struct scan {
    const pol_mem *mem;
    pol_str text; /* the document, borrowed */
    struct scan_node *nodes;
    size_t count, capacity;
};

/* Scans the document; faults go to diags. POL_OK, POL_E_POLICY (nothing more can be said about this
 * document) or POL_E_NOMEM. scan_fini() in every case. */
int scan_document(struct scan *scan, const pol_ctx *ctx, pol_str text, struct pol_diags *diags);
void scan_fini(struct scan *scan);

/* Offsets; POL_NONE for a node that is none. */
uint32_t scan_value_offset(const struct scan *scan, uint32_t node);
/* Of the value where there is no key. */
uint32_t scan_key_offset(const struct scan *scan, uint32_t node);

/* The JSON pointer (RFC 6901) of a node. */
void scan_path(const struct scan *scan, uint32_t node, struct buf *buf);

/* Reads the number at a node as an unsigned integer: digits only, at most `max`. */
bool scan_integer(const struct scan *scan, uint32_t node, uint32_t max, uint32_t *ret_value);
/* The octets of the number or literal at a node, as written. */
pol_str scan_literal(const struct scan *scan, uint32_t node);

#endif
