/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OBSERVE_TEXT_H
#define OBSERVE_TEXT_H

/*
 * Text in fields of fixed size: cut at a character boundary, NUL behind it.
 */

#include <libpolicy/base.h>

#include <string.h>

static inline void text_copy(char *to, size_t size, pol_str from)
{
    size_t len = from.len < size ? from.len : size - 1;

    /* 10xxxxxx is never the first octet of a character (RFC 3629 3). */
    if (len < from.len) {
        while (len && ((uint8_t)from.ptr[len] & 0xc0) == 0x80)
            len--;
    }
    if (len)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

#endif
