/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_HOST_H
#define POLICY_HOST_H

/* Exact host names of a document (sni, server_san, server_cn, http.request.host). */

#include "wire/dnsname.h"

#define HOST_TEXT DNSNAME_TEXT

/* Nothing but dots: such entries are dropped. */
static inline bool host_is_blank(pol_str text)
{
    while (text.len && text.ptr[text.len - 1] == '.')
        text.len--;
    return text.len == 0;
}

static inline int host_normalise(pol_str text, char ret_text[HOST_TEXT], size_t *ret_len)
{
    uint8_t len;
    int rc = dnsname_normalise(text, ret_text, &len);

    if (rc == POL_OK)
        *ret_len = len;
    return rc;
}

#endif
