/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <mbedtls/md.h>

int crypto_sha256(pol_bytes data, uint8_t ret_sha256[32])
{
    static const uint8_t none[1];
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

    if (!info || mbedtls_md(info, data.ptr ? data.ptr : none, data.len, ret_sha256) != 0)
        return POL_E_INVALID;
    return POL_OK;
}
