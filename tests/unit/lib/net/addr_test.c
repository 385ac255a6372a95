/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <criterion/criterion.h>

#include "base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static pol_addr addr_of(const char *text)
{
    pol_addr addr = {0};

    cr_assert_eq(pol_addr_parse(str_of(text), &addr), POL_OK, "\"%s\"", text);
    return addr;
}

static pol_prefix prefix_from(const char *text)
{
    pol_prefix prefix = {0};

    cr_assert_eq(pol_prefix_parse(str_of(text), &prefix), POL_OK, "\"%s\"", text);
    return prefix;
}

static const struct {
    const char *given, *printed;
} canonical[] = {
    {"0.0.0.0", "0.0.0.0"},
    {"192.0.2.1", "192.0.2.1"},
    {"255.255.255.255", "255.255.255.255"},
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"2001:DB8:0:0:0:0:2:1", "2001:db8::2:1"},
    {"2001:0db8::0001", "2001:db8::1"},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* RFC 5952 4.2.2: one group stays */
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          /* 4.2.3: the longest run */
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    /* 4.2.3: the first of equal runs */
    {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
    {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
    {"fe80:0:0:0:abcd:ef01:2345:6789", "fe80::abcd:ef01:2345:6789"},
    {"1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444:5555:6666:7777:8888"},
    {"::ffff:192.0.2.1", "192.0.2.1"},
    {"::FFFF:c000:201", "192.0.2.1"},
    {"::192.0.2.1", "::c000:201"}, /* the deprecated form (RFC 4291 2.5.5.1) has no dots */
    {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
};

Test(addr, text_is_read_and_printed_in_canonical_form)
{
    char text[POL_ADDR_TEXT];

    for (size_t i = 0; i < COUNT(canonical); i++) {
        pol_addr addr = addr_of(canonical[i].given), again;
        size_t len = pol_addr_format(&addr, text);

        cr_expect_str_eq(text, canonical[i].printed);
        cr_expect_eq(len, strlen(text));
        again = addr_of(text);
        cr_expect(addr_equal(&addr, &again), "%s", text);
    }
}

static const char *const not_addresses[] = {
    "",
    " ",
    "none",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.04",
    "1.2.3.00",
    "0x1.2.3.4",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.-4",
    "1..3.4",
    "1.2.3.4/32",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "12345::",
    "g::",
    "::1.2.3",
    "::1.2.3.04",
    "1.2.3.4::",
    "fe80::1%eth0",
    "[::1]",
    "::ffff:1.2.3.4:5",
    "1111:2222:3333:4444:5555:6666:7777:8888 and more than the longest address",
};

Test(addr, what_is_no_address_is_refused)
{
    pol_addr untouched = {.family = 99}, addr = untouched;

    for (size_t i = 0; i < COUNT(not_addresses); i++) {
        cr_expect_eq(pol_addr_parse(str_of(not_addresses[i]), &addr), POL_E_FORMAT, "\"%s\"",
                     not_addresses[i]);
    }
    cr_expect_eq(pol_addr_parse((pol_str){"1.2.3.4\0", 8}, &addr), POL_E_FORMAT);
    cr_expect_eq(pol_addr_parse((pol_str){NULL, 0}, &addr), POL_E_FORMAT);
    cr_expect(addr_equal(&addr, &untouched), "nothing is returned on failure");
}

Test(addr, slices_need_no_terminator)
{
    pol_addr addr = {0}, expected = addr_of("1.2.3.4");

    cr_expect_eq(pol_addr_parse((pol_str){"1.2.3.45", 7}, &addr), POL_OK);
    cr_expect(addr_equal(&addr, &expected));
}

Test(addr, none_and_mapped_addresses_can_be_printed)
{
    pol_addr addr = {0};
    char text[POL_ADDR_TEXT];

    cr_expect_eq(pol_addr_format(&addr, text), 4);
    cr_expect_str_eq(text, "none");

    addr = (pol_addr){.family = 6, .bytes = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
    cr_expect(addr_is_mapped(&addr));
    pol_addr_format(&addr, text);
    cr_expect_str_eq(text, "::ffff:192.0.2.1");
}

static const struct {
    const char *given, *printed;
} prefixes[] = {
    {"10.1.2.3/8", "10.0.0.0/8"},
    {"10.1.2.3", "10.1.2.3/32"},
    {"10.1.2.3/32", "10.1.2.3/32"},
    {"10.1.2.255/25", "10.1.2.128/25"},
    {"255.255.255.255/0", "0.0.0.0/0"},
    {"2001:db8::1", "2001:db8::1/128"},
    {"2001:db8:ffff::/33", "2001:db8:8000::/33"},
    {"::1/0", "::/0"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
    {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
    {"::ffff:10.1.2.3", "10.1.2.3/32"},
    {"::ffff:0:0/96", "0.0.0.0/0"},
};

Test(addr, prefixes_lose_the_bits_behind_their_length)
{
    char text[POL_PREFIX_TEXT];

    for (size_t i = 0; i < COUNT(prefixes); i++) {
        pol_prefix prefix = prefix_from(prefixes[i].given);

        cr_expect_eq(prefix_format(&prefix, text), strlen(prefixes[i].printed));
        cr_expect_str_eq(text, prefixes[i].printed);
    }
}

static const struct {
    const char *text;
    int status;
} not_prefixes[] = {
    {"", POL_E_FORMAT},
    {"/8", POL_E_FORMAT},
    {"10.0.0.0/", POL_E_FORMAT},
    {"10.0.0.0/a", POL_E_FORMAT},
    {"10.0.0.0/+8", POL_E_FORMAT},
    {"10.0.0.0/08", POL_E_FORMAT},
    {"10.0.0.0/8 ", POL_E_FORMAT},
    {"10.0.0.0/8/8", POL_E_FORMAT},
    {"10.0.0.0/255.0.0.0", POL_E_FORMAT},
    {"10.0.0/8", POL_E_FORMAT},
    {"10.0.0.0/33", POL_E_INVALID},
    {"10.0.0.0/4294967304", POL_E_INVALID},
    {"::/129", POL_E_INVALID},
    {"::ffff:10.0.0.0/8", POL_E_INVALID},
    {"::ffff:10.0.0.0/95", POL_E_INVALID},
};

Test(addr, what_is_no_prefix_is_refused)
{
    pol_prefix prefix;

    for (size_t i = 0; i < COUNT(not_prefixes); i++) {
        cr_expect_eq(pol_prefix_parse(str_of(not_prefixes[i].text), &prefix),
                     not_prefixes[i].status, "\"%s\"", not_prefixes[i].text);
    }
    cr_expect_eq(pol_prefix_parse((pol_str){NULL, 0}, &prefix), POL_E_FORMAT);
}

/* Both ends of every special network, and what lies just outside. */
static const struct {
    const char *text;
    bool special;
} specials[] = {
    {"0.0.0.0", true},
    {"0.255.255.255", true},
    {"1.0.0.0", false},
    {"9.255.255.255", false},
    {"10.0.0.0", true},
    {"10.255.255.255", true},
    {"11.0.0.0", false},
    {"100.63.255.255", false},
    {"100.64.0.0", true},
    {"100.127.255.255", true},
    {"100.128.0.0", false},
    {"126.255.255.255", false},
    {"127.0.0.1", true},
    {"127.255.255.255", true},
    {"128.0.0.0", false},
    {"169.253.255.255", false},
    {"169.254.169.254", true},
    {"169.255.0.0", false},
    {"172.15.255.255", false},
    {"172.16.0.0", true},
    {"172.31.255.255", true},
    {"172.32.0.0", false},
    {"192.167.255.255", false},
    {"192.168.0.0", true},
    {"192.168.255.255", true},
    {"192.169.0.0", false},
    {"223.255.255.255", false},
    {"224.0.0.0", true},
    {"255.255.255.255", true},
    {"192.0.2.1", false},
    {"198.51.100.1", false},
    {"203.0.113.1", false},
    {"::", true},
    {"::1", true},
    {"::2", false},
    {"::1:0", false},
    {"1::1", false},
    {"fe7f:ffff::", false},
    {"fe80::", true},
    {"febf:ffff::1", true},
    {"fec0::", false},
    {"fbff:ffff::", false},
    {"fc00::", true},
    {"fdff:ffff::1", true},
    {"fe00::", false},
    {"feff:ffff::", false},
    {"ff00::", true},
    {"ff02::1", true},
    {"2001:db8::1", false},
    {"64:ff9b::a00:1", true},
    {"64:ff9b::7f00:1", true},
    {"64:ff9b::c0a8:101", true},
    {"64:ff9b::808:808", false},
    {"64:ff9b::1:a00:1", false},
    {"64:ff9b:1::a00:1", false},
};

Test(addr, special_networks_end_where_they_should)
{
    pol_addr none = {0};

    for (size_t i = 0; i < COUNT(specials); i++) {
        pol_addr addr = addr_of(specials[i].text);

        cr_expect_eq(addr_is_special(&addr), specials[i].special, "%s", specials[i].text);
    }
    cr_expect(!addr_is_special(&none));
}

static const struct {
    const char *text;
    bool multicast;
} multicasts[] = {
    {"223.255.255.255", false}, {"224.0.0.1", true},        {"239.255.255.255", true},
    {"240.0.0.0", false},       {"255.255.255.255", false}, {"ff02::1", true},
    {"feff::1", false},         {"e000::", false},
};

Test(addr, multicast_is_not_broadcast)
{
    for (size_t i = 0; i < COUNT(multicasts); i++) {
        pol_addr addr = addr_of(multicasts[i].text);

        cr_expect_eq(addr_is_multicast(&addr), multicasts[i].multicast, "%s", multicasts[i].text);
    }
}

Test(addr, order_is_numeric_with_ipv4_first)
{
    static const char *const ascending[] = {"0.0.0.0", "9.0.0.0", "10.0.0.0", "200.0.0.1",
                                            "::",      "::1",     "fe80::"};

    for (size_t i = 0; i < COUNT(ascending); i++) {
        for (size_t j = 0; j < COUNT(ascending); j++) {
            pol_addr a = addr_of(ascending[i]), b = addr_of(ascending[j]);
            int order = addr_compare(&a, &b);

            cr_expect_eq((order > 0) - (order < 0), (i > j) - (i < j), "%s %s", ascending[i],
                         ascending[j]);
        }
    }
}

Test(addr, a_group_is_multicast_or_everyone)
{
    static const char *const groups[] = {"224.0.0.1", "ff02::1", "255.255.255.255"};
    static const char *const hosts[] = {"255.255.255.254", "240.0.0.1", "10.255.255.255",
                                        "feff::1"};
    pol_addr none = {0};

    for (size_t i = 0; i < COUNT(groups); i++) {
        pol_addr addr = addr_of(groups[i]);

        cr_expect(addr_is_group(&addr), "%s", groups[i]);
        cr_expect_eq(addr_is_broadcast(&addr), i == 2, "%s", groups[i]);
    }
    for (size_t i = 0; i < COUNT(hosts); i++) {
        pol_addr addr = addr_of(hosts[i]);

        cr_expect(!addr_is_group(&addr), "%s", hosts[i]);
    }
    cr_expect(!addr_is_group(&none));
}

Test(addr, an_address_behind_nat64_ends_in_its_octets)
{
    pol_addr addr = addr_of("192.0.2.1"), expected = addr_of("64:ff9b::c000:201");
    pol_addr translated = addr_nat64(&addr);

    cr_expect(addr_equal(&translated, &expected));
}

static const struct {
    const char *prefix, *first, *last;
} ranges[] = {
    {"10.0.0.0/8", "10.0.0.0", "10.255.255.255"},
    {"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
    {"192.0.2.7/32", "192.0.2.7", "192.0.2.7"},
    {"192.0.2.6/31", "192.0.2.6", "192.0.2.7"},
    {"2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"},
    {"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"::1/128", "::1", "::1"},
};

Test(addr, prefix_contains_its_range_and_no_more)
{
    for (size_t i = 0; i < COUNT(ranges); i++) {
        pol_prefix prefix = prefix_from(ranges[i].prefix);
        struct iprange range = prefix_range(&prefix);
        pol_addr first = addr_of(ranges[i].first), last = addr_of(ranges[i].last);

        cr_expect(addr_equal(&range.first, &first), "%s", ranges[i].prefix);
        cr_expect(addr_equal(&range.last, &last), "%s", ranges[i].prefix);
        cr_expect(prefix_contains(&prefix, &first) && prefix_contains(&prefix, &last));
    }
}

static const struct {
    const char *prefix, *addr;
    bool inside;
} contained[] = {
    {"10.0.0.0/9", "10.127.255.255", true},
    {"10.0.0.0/9", "10.128.0.0", false},
    {"0.0.0.0/0", "1.2.3.4", true},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "1.2.3.4", false},
    {"fe80::/10", "febf::1", true},
    {"fe80::/10", "fec0::1", false},
};

Test(addr, prefixes_do_not_cross_families)
{
    for (size_t i = 0; i < COUNT(contained); i++) {
        pol_prefix prefix = prefix_from(contained[i].prefix);
        pol_addr addr = addr_of(contained[i].addr);

        cr_expect_eq(prefix_contains(&prefix, &addr), contained[i].inside, "%s %s",
                     contained[i].prefix, contained[i].addr);
    }
}
