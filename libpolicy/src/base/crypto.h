/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <libpolicy/base.h>

/* POL_OK, or POL_E_INVALID if the crypto library refuses. */
int crypto_sha256(pol_bytes data, uint8_t ret_sha256[32]);

#endif
