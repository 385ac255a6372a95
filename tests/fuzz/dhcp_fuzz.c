/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a DHCP message and checks that what it says was in it, and that a message with more octets
 * behind its end option says the same.
 */
#include "wire/dhcp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool occurs(const uint8_t *data, size_t size, const uint8_t octets[4])
{
    for (size_t at = 0; at + 4 <= size; at++) {
        if (memcmp(data + at, octets, 4) == 0)
            return true;
    }
    return false;
}

static void check_address(const uint8_t *data, size_t size, const pol_addr *addr)
{
    static const pol_addr none;

    require(addr->family == 4 ? occurs(data, size, addr->bytes)
                              : memcmp(addr, &none, sizeof(none)) == 0);
}

static void check_longer(const uint8_t *data, size_t size, const struct dhcp_message *message)
{
    static uint8_t longer[2048];
    struct dhcp_message again;

    if (size + 2 > sizeof(longer))
        return;
    memcpy(longer, data, size);
    longer[size] = 0xff; /* end; what follows is no option */
    longer[size + 1] = 0x35;
    require(dhcp_read((pol_bytes){longer, size + 2}, &again) == POL_OK);
    require(message->type == again.type && message->lease == again.lease &&
            message->transaction == again.transaction);
    require(memcmp(&message->server, &again.server, sizeof(again.server)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dhcp_message message;

    memset(&message, 0, sizeof(message));
    if (dhcp_read((pol_bytes){data, size}, &message) != POL_OK)
        return 0;
    require(size > 240);
    require(message.op == DHCP_REQUEST || message.op == DHCP_REPLY);
    require(memcmp(message.client, data + 28, data[2]) == 0);
    check_address(data, size, &message.relay);
    check_address(data, size, &message.server);
    check_longer(data, size, &message);
    return 0;
}
