/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROGRAM_HTTP_H
#define PROGRAM_HTTP_H

/*
 * Compiled constraints on intercepted requests and responses (tls.http of a rule). All parts that
 * are there must hold; within one list any entry may. Regexes are searched unanchored.
 */

#include <libpolicy/base.h>

struct regex;

/* Texts in the order of the document. */
struct pp_texts {
    const pol_str *items;
    uint32_t count;
};

/* Values or a pattern for one header or query key. */
struct pp_field {
    pol_str key;               /* headers: lower case; query keys: as written */
    struct pp_texts values;    /* the value must be one of these, case-sensitive; or, if empty, */
    const struct regex *regex; /* it must match this one, case-sensitive */
};

/* Headers or query keys: every entry of every list must hold. A header or key that occurs several
 * times fulfils an entry with any of its values. */
struct pp_fields {
    struct pp_texts require; /* must be present; headers: lower case */
    struct pp_texts deny;    /* must be absent; headers only, lower case */
    const struct pp_field *fields;
    uint32_t field_count;
};

/* Host or path: any of the exact values, the prefixes or the regex. */
struct pp_place {
    bool set;                  /* false: not looked at */
    struct pp_texts exact;     /* host: normalised (wire/dnsname.h); path: as written */
    struct pp_texts prefix;    /* path only, as written */
    const struct regex *regex; /* host: caseless, on the normalised host; NULL: none */
};

struct pp_http {
    bool has_request, has_response; /* the document has such a part; it may be empty */
    struct pp_place host, path;
    struct pp_texts methods; /* upper case; empty: any */
    struct pp_fields query, headers;
    struct pp_fields response_headers;
};

#endif
