/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include "captured_dns.h"
#include "dnsmsg.h"

#include <criterion/criterion.h>

static struct dnsmsg msg;
static uint8_t out[DNS_REFUSAL_MAX];
static size_t out_len;

static int refuse(enum dns_rcode rcode, enum dns_ede ede, const char *text)
{
    return dns_refuse((pol_bytes){msg.bytes, msg.len}, rcode, ede, str_of(text), out, sizeof(out),
                      &out_len);
}

static struct dns_message read_back(void)
{
    struct dns_message m;

    cr_assert_eq(dns_message_read((pol_bytes){out, out_len}, &m), POL_OK);
    return m;
}

static const enum dns_rcode rcodes[] = {DNS_NXDOMAIN, DNS_REFUSED, DNS_SERVFAIL, DNS_FORMERR};

Test(dns_refuse, answers_the_query_it_was_given)
{
    for (size_t i = 0; i < 4; i++) {
        struct dns_message query, m;
        struct dns_key key;

        dnsmsg_query(&msg, "wWw.example.com", DNS_TYPE_AAAA, 0xbeef, 0);
        cr_assert_eq(refuse(rcodes[i], DNS_EDE_BLOCKED, "blocked"), POL_OK);
        cr_assert_eq(dns_message_read((pol_bytes){msg.bytes, msg.len}, &query), POL_OK);
        key = dns_key_of(&query);
        m = read_back();
        cr_expect(dns_response_matches(&key, &m));
        cr_expect_eq(m.rcode, rcodes[i]);
        cr_expect_eq(m.flags, DNS_QR | DNS_RD | DNS_RA);
        cr_expect_eq(out_len, msg.len, "no OPT in the query, so none here");
        cr_expect(
            memcmp(out + DNS_HEADER_LEN, msg.bytes + DNS_HEADER_LEN, msg.len - DNS_HEADER_LEN) == 0,
            "the question's case is kept for clients that scramble it");
    }
}

Test(dns_refuse, copies_rd_and_cd_and_opcode_and_nothing_else)
{
    struct dns_message m;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_flags(&msg, 0x7fff); /* all but QR */
    cr_assert_eq(refuse(DNS_NOTIMP, DNS_EDE_OTHER, ""), POL_OK);
    m = read_back();
    cr_expect_eq(m.flags, DNS_QR | DNS_RD | DNS_RA | DNS_CD);
    cr_expect_eq(m.opcode, 15);
    cr_expect_eq(m.rcode, DNS_NOTIMP);

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    msg.bytes[2] = 0;
    cr_assert_eq(refuse(DNS_REFUSED, DNS_EDE_OTHER, ""), POL_OK);
    m = read_back();
    cr_expect_eq(m.flags, DNS_QR | DNS_RA);
}

Test(dns_refuse, explains_itself_to_a_captured_query_with_edns)
{
    static const uint8_t option[] = {0, 15, 0, 9, 0, 15, 'b', 'l', 'o', 'c', 'k', 'e', 'd'};
    struct dns_edns edns;
    struct dns_message m;

    cr_assert_eq(dns_refuse((pol_bytes){captured_query_edns, sizeof(captured_query_edns)},
                            DNS_NXDOMAIN, DNS_EDE_BLOCKED, STR("blocked"), out, sizeof(out),
                            &out_len),
                 POL_OK);
    m = read_back();
    cr_assert_eq(dns_edns_read(&m, &edns), POL_OK);
    cr_expect_eq(edns.payload, 1232);
    cr_expect_eq(edns.extended_rcode, 0);
    cr_expect_not(edns.dnssec_ok);
    cr_assert_geq(out_len, sizeof(option));
    cr_expect(memcmp(out + out_len - sizeof(option), option, sizeof(option)) == 0);
}

Test(dns_refuse, copies_the_do_bit)
{
    struct dns_edns edns;
    struct dns_message m;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_opt(&msg, 512, 0, true);
    cr_assert_eq(refuse(DNS_REFUSED, DNS_EDE_OTHER, ""), POL_OK);
    m = read_back();
    cr_assert_eq(dns_edns_read(&m, &edns), POL_OK);
    cr_expect(edns.dnssec_ok);
}

Test(dns_refuse, long_text_is_cut_between_characters)
{
    char text[200];

    memset(text, 'x', 127);
    memcpy(text + 127, "\303\274 and more", 12);
    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 1232);
    cr_assert_eq(refuse(DNS_NXDOMAIN, DNS_EDE_FILTERED, text), POL_OK);
    cr_expect_eq(out[out_len - 1], 'x');
    cr_expect_eq(out[out_len - 127 - 3], 127 + 2);
}

Test(dns_refuse, the_longest_refusal_fits_the_promised_size)
{
    char name[254], text[DNS_EDE_TEXT + 1];

    for (size_t i = 0; i < 253; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[253] = '\0';
    memset(text, 'x', DNS_EDE_TEXT);
    text[DNS_EDE_TEXT] = '\0';
    dnsmsg_query(&msg, name, DNS_TYPE_A, 1, 1232);
    cr_expect_eq(refuse(DNS_NXDOMAIN, DNS_EDE_BLOCKED, text), POL_OK);
    cr_expect_leq(out_len, DNS_REFUSAL_MAX);
}

Test(dns_refuse, a_query_with_two_questions_gets_an_answer_that_echoes_none)
{
    struct dns_message m;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 0x1234, 1232);
    dnsmsg_count(&msg, DNS_QUESTION, 1);
    cr_assert_eq(refuse(DNS_FORMERR, DNS_EDE_OTHER, "two questions"), POL_OK);
    cr_expect_eq(out_len, DNS_HEADER_LEN);
    cr_expect_eq(dns_message_read((pol_bytes){out, out_len}, &m), POL_E_FORMAT);
    cr_expect_eq(m.id, 0x1234);
    cr_expect_eq(m.rcode, DNS_FORMERR);
    for (int i = 0; i < DNS_SECTIONS; i++)
        cr_expect_eq(m.counts[i], 0);
}

Test(dns_refuse, what_cannot_be_answered_is_an_error)
{
    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    msg.len = DNS_HEADER_LEN - 1;
    cr_expect_eq(refuse(DNS_FORMERR, DNS_EDE_OTHER, ""), POL_E_TRUNCATED);

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_flags(&msg, DNS_QR);
    cr_expect_eq(refuse(DNS_FORMERR, DNS_EDE_OTHER, ""), POL_E_FORMAT);
}

Test(dns_refuse, a_small_buffer_is_not_overrun_and_the_needed_length_is_told)
{
    uint8_t small[16];
    size_t len = 0;

    memset(small, 0x55, sizeof(small));
    dnsmsg_query(&msg, "www.example.com", DNS_TYPE_A, 1, 0);
    cr_expect_eq(dns_refuse((pol_bytes){msg.bytes, msg.len}, DNS_REFUSED, DNS_EDE_OTHER, STR(""),
                            small, 13, &len),
                 POL_E_NOSPACE);
    cr_expect_eq(len, msg.len);
    cr_expect_eq(small[13], 0x55);
}
