/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_X509_H
#define WIRE_X509_H

#include <libpolicy/base.h>

/*
 * Reads a PEM bundle: how many certificates are in it. A NUL must stand behind the text. POL_OK,
 * POL_E_FORMAT if any of them cannot be read, or POL_E_NOMEM.
 *
 * Memory for the certificates comes from the crypto library's own allocator and is given back
 * before this returns.
 */
int x509_count_pem(pol_str pem, uint32_t *ret_count);

#endif
