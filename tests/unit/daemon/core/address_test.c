// SPDX-License-Identifier: Apache-2.0
#include "core/address.h"

#include <criterion/criterion.h>

static const struct {
    const char *text;
    int family; /* 0: refused */
    int port;
    bool loopback;
} cases[] = {
    {"127.0.0.1:8080", 4, 8080, true},
    {"127.9.9.9:1", 4, 1, true},
    {"192.0.2.1:65535", 4, 65535, false},
    {"[::1]:0", 6, 0, true},
    {"[2001:db8::1]:443", 6, 443, false},
    {"::1:80", 0, 0, false},
    {"[127.0.0.1]:80", 0, 0, false},
    {"127.0.0.1", 0, 0, false},
    {"127.0.0.1:", 0, 0, false},
    {"127.0.0.1:65536", 0, 0, false},
    {"127.0.0.1:-1", 0, 0, false},
    {"localhost:80", 0, 0, false},
    {":80", 0, 0, false},
    {"127.0.0.1:80 ", 0, 0, false},
    {"", 0, 0, false},
};

Test(address, reads_address_and_port_of_both_families)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address = {0};
        int rc = address_parse(cases[i].text, &address);

        cr_assert_eq(rc == 0, cases[i].family != 0, "%s", cases[i].text);
        cr_assert_eq(address.addr.family, cases[i].family, "%s", cases[i].text);
        cr_assert_eq(address.port, cases[i].port, "%s", cases[i].text);
        if (rc == 0)
            cr_assert_eq(address_is_loopback(&address), cases[i].loopback, "%s", cases[i].text);
    }
}
