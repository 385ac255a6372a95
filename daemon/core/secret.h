/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_HASH_LEN   32
#define SECRET_TOKEN_SIZE 48 /* a token's text and its NUL */

/* Fills with octets from the kernel's generator. Returns 0 or a negative errno. */
int secret_random(void *ret_octets, size_t len);

/* A new token: "pol_" and 256 random bits in base64url. */
int secret_token(char ret_token[SECRET_TOKEN_SIZE]);

/* SHA-256, which is enough for a token: it has full entropy, so nothing can be guessed from a hash.
 */
int secret_hash(const char *text, size_t len, uint8_t ret_hash[SECRET_HASH_LEN]);

/* Takes the same time wherever the two differ. */
bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len);

void secret_wipe(void *octets, size_t len);

#endif
