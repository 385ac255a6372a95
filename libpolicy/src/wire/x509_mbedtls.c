/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/x509.h"

#include <stdlib.h>

#include <mbedtls/x509_crt.h>

/* Zero, or what mbedTLS says; above zero is the number of certificates that could not be read. */
static int parse(pol_str pem, uint32_t *ret_count)
{
    mbedtls_x509_crt chain;
    uint32_t count = 0;
    int rc;

    mbedtls_x509_crt_init(&chain);
    rc = mbedtls_x509_crt_parse(&chain, (const unsigned char *)pem.ptr, pem.len + 1);
    for (const mbedtls_x509_crt *crt = &chain; crt && crt->raw.p; crt = crt->next)
        count++;
    mbedtls_x509_crt_free(&chain);
    *ret_count = count;
    return rc;
}

/*
 * mbedTLS hides a lack of memory behind other errors: an RSA key that finds no room is an invalid
 * key, and one certificate of several is merely counted as unreadable. So the text is found wrong
 * only if it fails a second time while memory can be had.
 */
int x509_count_pem(pol_str pem, uint32_t *ret_count)
{
    void *volatile memory; /* or the compiler leaves the question out */
    uint32_t count;

    if (parse(pem, &count) == 0) {
        *ret_count = count;
        return POL_OK;
    }
    memory = malloc(pem.len + 1);
    if (!memory)
        return POL_E_NOMEM;
    free(memory);
    return parse(pem, &count) == 0 ? POL_E_NOMEM : POL_E_FORMAT;
}
