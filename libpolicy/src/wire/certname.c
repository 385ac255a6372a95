/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/certname.h"

static bool may_stand(uint8_t octet, bool dns)
{
    if (dns)
        return octet > ' ' && octet < 0x7f;
    return octet >= ' ' && octet != 0x7f;
}

bool certname_text(pol_bytes value, bool dns, char ret_text[CERTNAME_TEXT], uint8_t *ret_len)
{
    while (value.len && value.ptr[value.len - 1] == '.')
        value.len--;
    if (value.len == 0 || value.len >= CERTNAME_TEXT)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (!may_stand(value.ptr[i], dns))
            return false;
        ret_text[i] = ascii_lower((char)value.ptr[i]);
    }
    ret_text[value.len] = '\0';
    *ret_len = (uint8_t)value.len;
    return true;
}

size_t certname_tighten(pol_str text, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.len - i >= 3 && memcmp(text.ptr + i, " + ", 3) == 0) {
            out[len++] = '+';
            i += 2;
        } else {
            out[len++] = text.ptr[i];
            i += text.len - i >= 2 && memcmp(text.ptr + i, ", ", 2) == 0;
        }
    }
    return len;
}
