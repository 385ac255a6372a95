// SPDX-License-Identifier: Apache-2.0
#include "core/address.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, uint16_t *ret_port)
{
    unsigned long port;
    char *end;

    if (!isdigit((unsigned char)*text) || strlen(text) > 5)
        return -EINVAL;

    port = strtoul(text, &end, 10);
    if (*end || port > UINT16_MAX)
        return -EINVAL;

    *ret_port = (uint16_t)port;
    return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
    const char *colon = strrchr(text, ':');
    pol_str host = {text, colon ? (size_t)(colon - text) : 0};
    bool bracketed = host.len > 2 && text[0] == '[' && text[host.len - 1] == ']';
    struct address address;

    if (bracketed)
        host = (pol_str){text + 1, host.len - 2};

    if (!colon || pol_addr_parse(host, &address.addr) != POL_OK ||
        bracketed != (address.addr.family == 6) || parse_port(colon + 1, &address.port) < 0)
        return -EINVAL;

    *ret_address = address;
    return 0;
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t six[16] = {[15] = 1};

    if (address->addr.family == 4)
        return address->addr.bytes[0] == 127;
    return memcmp(address->addr.bytes, six, sizeof(six)) == 0;
}
