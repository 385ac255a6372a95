// SPDX-License-Identifier: Apache-2.0
#include "core/secret.h"

#include <string.h>

#include <criterion/criterion.h>

Test(secret, hash_is_sha_256)
{
    /* FIPS 180-2, appendix B.1 */
    static const uint8_t abc[SECRET_HASH_LEN] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                                 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                                 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                                 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t hash[SECRET_HASH_LEN];

    cr_assert_eq(secret_hash("abc", 3, hash), 0);
    cr_assert(secret_equal(hash, abc, sizeof(hash)));
}

Test(secret, equality_sees_every_octet)
{
    uint8_t a[SECRET_HASH_LEN] = {0}, b[SECRET_HASH_LEN] = {0};

    for (size_t i = 0; i < sizeof(a); i++) {
        b[i] = 1;
        cr_assert_not(secret_equal(a, b, sizeof(a)));
        b[i] = 0;
    }
    cr_assert(secret_equal(a, b, sizeof(a)));
}

Test(secret, tokens_are_long_words_and_never_the_same)
{
    char one[SECRET_TOKEN_SIZE], two[SECRET_TOKEN_SIZE];

    cr_assert_eq(secret_token(one), 0);
    cr_assert_eq(secret_token(two), 0);
    cr_assert_eq(strlen(one), SECRET_TOKEN_SIZE - 1);
    cr_assert_eq(
        strspn(one + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        strlen(one + 4));
    cr_assert_str_neq(one, two);
}
