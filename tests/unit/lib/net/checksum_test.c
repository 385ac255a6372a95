/* SPDX-License-Identifier: Apache-2.0 */
#include "net/checksum.h"

#include <criterion/criterion.h>

/* RFC 1071 3: the words 0001 f203 f4f5 f6f7 add up to ddf2. */
static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

Test(checksum, example_of_the_rfc)
{
    cr_expect_eq(checksum_fold(checksum_add(0, example, sizeof(example))), 0x220d);
}

Test(checksum, sum_goes_on_from_piece_to_piece)
{
    uint64_t sum = checksum_add(0, example, 4);

    cr_expect_eq(checksum_fold(checksum_add(sum, example + 4, 4)), 0x220d);
}

Test(checksum, odd_octet_is_the_high_half_of_a_word)
{
    cr_expect_eq(checksum_fold(checksum_add(0, example, 3)), (uint16_t)~0xf201);
}

Test(checksum, nothing_adds_up_to_all_ones)
{
    cr_expect_eq(checksum_fold(checksum_add(0, NULL, 0)), 0xffff);
}

/* 65 535 octets of ones carry over and over again. */
Test(checksum, longest_datagram_does_not_overflow)
{
    static uint8_t ones[65535];

    for (size_t i = 0; i < sizeof(ones); i++)
        ones[i] = 0xff;
    cr_expect_eq(checksum_fold(checksum_add(UINT32_MAX, ones, sizeof(ones))), 0x00ff);
}
