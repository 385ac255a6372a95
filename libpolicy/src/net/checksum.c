/* SPDX-License-Identifier: Apache-2.0 */
#include "net/checksum.h"

uint64_t checksum_add(uint64_t sum, const void *octets, size_t len)
{
    const uint8_t *at = octets;

    for (; len > 1; at += 2, len -= 2)
        sum += (uint64_t)at[0] << 8 | at[1];
    if (len)
        sum += (uint64_t)at[0] << 8;
    return sum;
}

uint16_t checksum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}
