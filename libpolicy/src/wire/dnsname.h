/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_DNSNAME_H
#define WIRE_DNSNAME_H

/*
 * Host names in the two forms the engine knows. Both are lower case, so equal names are equal
 * octets and nobody compares case-insensitively afterwards (RFC 4343).
 *
 * Text, what patterns, findings and grants see: labels joined by dots, no trailing dot, the root
 * is ".". Letters, digits, '-' and '_' stand for themselves, a dot inside a label is "\.", every
 * other octet is "\DDD" (RFC 1035 5.1). So each name has one text, and no two names share one.
 *
 * Wire, what the DNS reader compares: length-prefixed labels, uncompressed, with the root label.
 */

#include "base/slice.h"

#define DNSNAME_TEXT  256 /* buffer for the longest text and its NUL */
#define DNSNAME_WIRE  255 /* RFC 1035 2.3.4, root label included */
#define DNSNAME_LABEL 63

struct dnsname {
    uint8_t len; /* 1 for the root; 0 means "no name" */
    uint8_t octets[DNSNAME_WIRE];
};

/*
 * Reads a name at `in` and leaves the cursor behind it, also when the result is POL_E_LIMIT.
 * Compression pointers (RFC 1035 4.1.4) are offsets into `message`; an empty message means that
 * compression is not allowed here. A pointer must lead to an earlier part of the message, behind
 * the header.
 *
 * POL_OK
 * POL_E_TRUNCATED  the octets end inside the name
 * POL_E_FORMAT     a bad pointer, an unknown label type or a name above 255 octets
 */
int dnsname_wire_read(pol_bytes message, struct cursor *in, struct dnsname *ret_name);

/* As dnsname_wire_read(), as NUL-terminated text; POL_E_LIMIT if the text is above 255 octets,
 * which only escapes can bring about. */
int dnsname_read(pol_bytes message, struct cursor *in, char ret_text[DNSNAME_TEXT],
                 uint8_t *ret_len);

/* Moves behind a name without following its pointer. POL_OK, POL_E_TRUNCATED, POL_E_FORMAT. */
int dnsname_skip(struct cursor *in);

/* The text of a name. POL_OK, POL_E_LIMIT as above. */
int dnsname_text(const struct dnsname *name, char ret_text[DNSNAME_TEXT], uint8_t *ret_len);

/*
 * Reads a name from text in any case, with RFC 1035 5.1 escapes and any number of trailing dots.
 * POL_OK, or POL_E_FORMAT: empty text, an empty label, a label above 63 octets, a name above 255
 * octets in wire form, or a backslash that begins no escape.
 */
int dnsname_parse(pol_str text, struct dnsname *ret_name);

/* Text in any accepted spelling to the one spelling described above: for SNI, HTTP hosts, names in
 * certificates and names typed by people. POL_OK, POL_E_FORMAT, POL_E_LIMIT. */
int dnsname_normalise(pol_str text, char ret_text[DNSNAME_TEXT], uint8_t *ret_len);

bool dnsname_equal(const struct dnsname *a, const struct dnsname *b);

/*
 * RFC 6672 2.2: replaces the suffix `owner` of `name` by `target`. POL_OK; POL_E_NOTFOUND if `name`
 * is not below `owner` (a DNAME does not redirect its own owner); POL_E_FORMAT if the result is no
 * name any more because it is too long.
 */
int dnsname_substitute(const struct dnsname *name, const struct dnsname *owner,
                       const struct dnsname *target, struct dnsname *ret_name);

#endif
