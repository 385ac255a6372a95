/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dhcpv6.h"

#include <criterion/criterion.h>

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})

static const struct {
    const char *why;
    pol_bytes payload;
    int rc;
    bool from_server;
} cases[] = {
    {"nothing", OCTETS(""), POL_E_TRUNCATED, false},
    {"half a header", OCTETS("\1\0\0"), POL_E_TRUNCATED, false},
    {"a solicit", OCTETS("\1\1\2\3\0\1\0\2ab"), POL_OK, false},
    {"an advertise", OCTETS("\2\1\2\3"), POL_OK, true},
    {"a request", OCTETS("\3\1\2\3"), POL_OK, false},
    {"a rebind", OCTETS("\6\1\2\3"), POL_OK, false},
    {"a reply", OCTETS("\7\1\2\3"), POL_OK, true},
    {"a release", OCTETS("\x08\1\2\3"), POL_OK, false},
    {"a reconfigure", OCTETS("\x0a\1\2\3"), POL_OK, true},
    {"a request for information", OCTETS("\x0b\1\2\3\0\x08\0\2\0\0"), POL_OK, false},
    {"a relay's", OCTETS("\x0c\1\2\3"), POL_E_FORMAT, false},
    {"no type", OCTETS("\0\1\2\3"), POL_E_FORMAT, false},
    {"half an option", OCTETS("\1\1\2\3\0\1"), POL_E_TRUNCATED, false},
    {"an option beyond the end", OCTETS("\1\1\2\3\0\1\0\3ab"), POL_E_TRUNCATED, false},
};

Test(dhcpv6, tells_clients_from_servers)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dhcpv6_message message = {.type = 0};

        cr_expect_eq(dhcpv6_read(cases[i].payload, &message), cases[i].rc, "%s", cases[i].why);
        if (cases[i].rc != POL_OK)
            continue;
        cr_expect_eq(message.type, cases[i].payload.ptr[0], "%s", cases[i].why);
        cr_expect_eq(message.from_server, cases[i].from_server, "%s", cases[i].why);
        cr_expect_eq(message.transaction, 0x010203, "%s", cases[i].why);
    }
}
