// SPDX-License-Identifier: Apache-2.0
#include "core/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <mbedtls/md.h>

int secret_random(void *ret_octets, size_t len)
{
    uint8_t *at = ret_octets;
    ssize_t got;

    for (size_t done = 0; done < len; done += (size_t)got) {
        got = getrandom(at + done, len - done, 0);
        if (got < 0 && errno != EINTR)
            return -errno;
        got = got < 0 ? 0 : got;
    }
    return 0;
}

int secret_token(char ret_token[SECRET_TOKEN_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[33] = {0};
    char *at = ret_token + 4;
    int rc;

    rc = secret_random(random, 32);
    if (rc < 0)
        return rc;

    memcpy(ret_token, "pol_", 4);
    for (size_t i = 0; i < sizeof(random); i += 3) {
        uint32_t bits = (uint32_t)random[i] << 16 | (uint32_t)random[i + 1] << 8 | random[i + 2];

        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = digits[bits >> shift & 63];
    }
    ret_token[SECRET_TOKEN_SIZE - 1] = '\0'; /* over the digit that carries no random bit */
    secret_wipe(random, sizeof(random));
    return 0;
}

int secret_hash(const char *text, size_t len, uint8_t ret_hash[SECRET_HASH_LEN])
{
    const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

    if (mbedtls_md(sha256, (const unsigned char *)text, len, ret_hash) != 0)
        return -EIO;
    return 0;
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    volatile uint8_t differs = 0;

    for (size_t i = 0; i < len; i++)
        differs = differs | (a[i] ^ b[i]);
    return differs == 0;
}

void secret_wipe(void *octets, size_t len)
{
    explicit_bzero(octets, len);
}
