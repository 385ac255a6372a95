/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dhcp.h"

#include <criterion/criterion.h>

#define OPTIONS(literal) literal, sizeof(literal) - 1

enum { SERVER_NAME_AT = 44, FILE_AT = 108, OPTIONS_AT = 240 };

static uint8_t octets[512];

/* A message with an Ethernet client, 02:00:00:00:00:05, transaction 0x01020304 and these options.
 */
static pol_bytes message(uint8_t op, const char *options, size_t len)
{
    static const uint8_t head[] = {0, 1, 6, 0, 1, 2, 3, 4}, cookie[] = {0x63, 0x82, 0x53, 0x63};
    static const uint8_t client[] = {2, 0, 0, 0, 0, 5};

    memset(octets, 0, sizeof(octets));
    memcpy(octets, head, sizeof(head));
    octets[0] = op;
    memcpy(octets + 28, client, sizeof(client));
    memcpy(octets + 236, cookie, sizeof(cookie));
    memcpy(octets + OPTIONS_AT, options, len);
    return (pol_bytes){octets, OPTIONS_AT + len};
}

Test(dhcp, reads_an_offer)
{
    pol_bytes offer =
        message(2, OPTIONS("\x35\1\2\0\0\x36\4\xc0\0\2\1\x33\4\0\0\x0e\x10\x0c\3abc\xff\x35\1\5"));
    struct dhcp_message read;

    memcpy(octets + 24, "\x0a\0\0\xfe", 4);
    cr_assert_eq(dhcp_read(offer, &read), POL_OK);
    cr_expect_eq(read.op, DHCP_REPLY);
    cr_expect_eq(read.type, DHCP_OFFER);
    cr_expect_eq(read.transaction, 0x01020304);
    cr_expect_eq(read.client[5], 5);
    cr_expect_eq(read.lease, 3600);
    cr_expect_eq(read.server.family, 4);
    cr_expect_eq(memcmp(read.server.bytes, "\xc0\0\2\1", 4), 0);
    cr_expect_eq(memcmp(read.relay.bytes, "\x0a\0\0\xfe", 4), 0);
}

Test(dhcp, what_is_not_said_is_absent)
{
    struct dhcp_message read;

    cr_assert_eq(dhcp_read(message(1, OPTIONS("\x35\1\1")), &read), POL_OK);
    cr_expect_eq(read.op, DHCP_REQUEST);
    cr_expect_eq(read.type, DHCP_DISCOVER);
    cr_expect_eq(read.lease, 0);
    cr_expect_eq(read.server.family, 0);
    cr_expect_eq(read.relay.family, 0);
}

static const struct {
    const char *why;
    uint8_t op;
    const char *options;
    size_t len;
    int rc;
} cases[] = {
    {"BOOTP", 1, OPTIONS("\xff"), POL_E_FORMAT},
    {"neither asked nor answered", 3, OPTIONS("\x35\1\1\xff"), POL_E_FORMAT},
    {"a long type", 1, OPTIONS("\x35\2\1\1\xff"), POL_E_FORMAT},
    {"an empty type", 1, OPTIONS("\x35\0\xff"), POL_E_FORMAT},
    {"two types", 1, OPTIONS("\x35\1\1\x35\1\3\xff"), POL_E_FORMAT},
    {"a short server", 2, OPTIONS("\x35\1\2\x36\3\1\2\3\xff"), POL_E_FORMAT},
    {"a short lease", 2, OPTIONS("\x35\1\2\x33\2\1\2\xff"), POL_E_FORMAT},
    {"an option beyond the end", 1,
     OPTIONS("\x35\1\1\x0c\xff"
             "a"),
     POL_E_TRUNCATED},
    {"an option without its length", 1, OPTIONS("\x35\1\1\x0c"), POL_E_TRUNCATED},
    {"options nowhere", 1, OPTIONS("\x35\1\1\x34\1\0\xff"), POL_E_FORMAT},
    {"options in a fourth place", 1, OPTIONS("\x35\1\1\x34\1\4\xff"), POL_E_FORMAT},
};

Test(dhcp, what_two_readers_could_read_differently_is_refused)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dhcp_message read;

        cr_expect_eq(dhcp_read(message(cases[i].op, cases[i].options, cases[i].len), &read),
                     cases[i].rc, "%s", cases[i].why);
    }
}

Test(dhcp, options_go_on_in_file_and_server_name)
{
    pol_bytes offer = message(2, OPTIONS("\x34\1\3\xff"));
    struct dhcp_message read;

    memcpy(octets + FILE_AT, "\x35\1\5\x33\4\0\0\0\x0a\xff", 10);
    memcpy(octets + SERVER_NAME_AT, "\x36\4\xc0\0\2\1", 6);
    cr_assert_eq(dhcp_read(offer, &read), POL_OK);
    cr_expect_eq(read.type, DHCP_ACK);
    cr_expect_eq(read.lease, 10);
    cr_expect_eq(read.server.bytes[0], 0xc0);
    memcpy(octets + SERVER_NAME_AT, "\x35\1\2", 3);
    cr_expect_eq(dhcp_read(offer, &read), POL_E_FORMAT);
}

Test(dhcp, every_cut_is_noticed)
{
    pol_bytes whole = message(1, OPTIONS("\x35\1\1"));
    struct dhcp_message read;

    for (size_t len = 0; len < whole.len; len++) {
        int rc = dhcp_read((pol_bytes){whole.ptr, len}, &read);

        cr_expect_eq(rc, len == OPTIONS_AT ? POL_E_FORMAT : POL_E_TRUNCATED, "%zu: %d", len, rc);
    }
    octets[2] = 17;
    cr_expect_eq(dhcp_read(whole, &read), POL_E_FORMAT, "a hardware address of 17 octets");
    octets[2] = 6;
    octets[236] = 0;
    cr_expect_eq(dhcp_read(whole, &read), POL_E_FORMAT, "another cookie");
}
