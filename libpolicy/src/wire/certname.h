/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_CERTNAME_H
#define WIRE_CERTNAME_H

/*
 * Names in certificates as conditions see them: lower case, without trailing dots, otherwise as
 * they stand, "*.example.com" included. A common name is any text, so there are no escapes as DNS
 * names have them (wire/dnsname.h); for names of letters, digits, '-' and '_' both forms are the
 * same.
 */

#include "base/slice.h"

#define CERTNAME_TEXT 256 /* buffer for the longest name and its NUL */

/*
 * False: a name that no condition may match. It is empty or too long, or has control octets in it,
 * a NUL above all; and if it is a DNS name, an octet that is no printable ASCII, or a blank.
 */
bool certname_text(pol_bytes value, bool dns, char ret_text[CERTNAME_TEXT], uint8_t *ret_len);

/*
 * A subject as conditions compare it: ", " becomes "," and " + " becomes "+", since programs differ
 * in how they print one. Returns the new length; `text` may be `out`.
 */
size_t certname_tighten(pol_str text, char *out);

#endif
