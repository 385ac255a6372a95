/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a DHCPv6 message and checks that it is between a client and a server, and that its options
 * fill it to the last octet.
 */
#include "wire/dhcpv6.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dhcpv6_message message;
    size_t at = 4;

    if (dhcpv6_read((pol_bytes){data, size}, &message) != POL_OK)
        return 0;
    require(message.type == data[0] && message.type >= 1 && message.type <= 11);
    require(message.from_server == (message.type == 2 || message.type == 7 || message.type == 10));
    while (at < size)
        at += 4 + ((size_t)data[at + 2] << 8 | data[at + 3]);
    require(at == size);
    return 0;
}
