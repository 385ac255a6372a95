/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/x509.h"

#include <mbedtls/x509_crt.h>

int x509_count_pem(pol_str pem, uint32_t *ret_count)
{
    mbedtls_x509_crt chain;
    uint32_t count = 0;
    int rc;

    mbedtls_x509_crt_init(&chain);
    rc = mbedtls_x509_crt_parse(&chain, (const unsigned char *)pem.ptr, pem.len + 1);
    for (const mbedtls_x509_crt *crt = &chain; crt && crt->raw.p; crt = crt->next)
        count++;
    mbedtls_x509_crt_free(&chain);
    /* Above zero is the number of certificates that could not be read. */
    if (rc != 0)
        return POL_E_FORMAT;
    *ret_count = count;
    return POL_OK;
}
