/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include "captured_dns.h"
#include "dnsmsg.h"

#include <criterion/criterion.h>

#define CAPTURED(array) ((pol_bytes){array, sizeof(array)})

static struct dnsmsg msg, other;

static pol_bytes bytes_of(const struct dnsmsg *from)
{
    return (pol_bytes){from->bytes, from->len};
}

static struct dns_message read_ok(pol_bytes bytes)
{
    struct dns_message message;

    cr_assert_eq(dns_message_read(bytes, &message), POL_OK);
    return message;
}

Test(dns, reads_a_captured_query)
{
    struct dns_message m = read_ok(CAPTURED(captured_query_edns));
    struct dns_edns edns;

    cr_expect_eq(m.id, 0xd4a7);
    cr_expect_eq(m.flags, DNS_RD | DNS_AD);
    cr_expect_eq(m.opcode, DNS_OPCODE_QUERY);
    cr_expect_str_eq(m.name, "www.example.com");
    cr_expect_eq(m.name_len, 15);
    cr_expect_eq(m.qtype, DNS_TYPE_A);
    cr_expect_eq(m.qclass, DNS_CLASS_IN);
    cr_assert_eq(dns_edns_read(&m, &edns), POL_OK);
    cr_expect_eq(edns.payload, 1232);
    cr_expect_eq(edns.version, 0);
    cr_expect_not(edns.dnssec_ok);
}

Test(dns, a_mixed_case_question_is_read_in_lower_case)
{
    struct dns_message m = read_ok(CAPTURED(captured_mixed_case_query));

    cr_expect_str_eq(m.name, "www.example.com");
}

Test(dns, opcode_and_rcode_are_taken_out_of_the_flags)
{
    struct dns_message m;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_flags(&msg, 0xffff);
    m = read_ok(bytes_of(&msg));
    cr_expect_eq(m.opcode, 15);
    cr_expect_eq(m.rcode, 15);
    cr_expect_eq(m.flags, 0x87f0);
}

Test(dns, a_message_without_a_complete_header_is_truncated)
{
    struct dns_message m;

    for (size_t len = 0; len < DNS_HEADER_LEN; len++)
        cr_expect_eq(dns_message_read((pol_bytes){captured_query_edns, len}, &m), POL_E_TRUNCATED);
}

Test(dns, anything_but_one_readable_question_is_a_format_error_with_the_header_kept)
{
    static const int differences[] = {-1, 1, 65534};
    struct dns_message m;

    for (size_t i = 0; i < 3; i++) {
        dnsmsg_query(&msg, "www.example.com", DNS_TYPE_A, 0x1234, 0);
        dnsmsg_count(&msg, 0, differences[i]);
        cr_expect_eq(dns_message_read(bytes_of(&msg), &m), POL_E_FORMAT);
        cr_expect_eq(m.id, 0x1234);
        cr_expect_eq(m.name_len, 0);
        cr_expect_eq(m.qname.len, 0);
    }
    dnsmsg_query(&msg, "www.example.com", DNS_TYPE_A, 0x1234, 0);
    for (size_t len = DNS_HEADER_LEN; len < msg.len; len++)
        cr_expect_eq(dns_message_read((pol_bytes){msg.bytes, len}, &m), POL_E_FORMAT);
}

Test(dns, a_question_whose_text_is_too_long_keeps_its_wire_name)
{
    char name[300] = "";
    struct dns_message m;

    for (int i = 0; i < 62; i++)
        strcat(name, "\\032");
    strcat(name, ".abcdefgh");
    dnsmsg_query(&msg, name, DNS_TYPE_A, 1, 0);
    cr_expect_eq(dns_message_read(bytes_of(&msg), &m), POL_E_LIMIT);
    cr_expect_eq(m.name_len, 0);
    cr_expect_eq(m.qname.len, 63 + 9 + 1);
    cr_expect_eq(m.qtype, DNS_TYPE_A);
}

Test(dns, records_are_walked_section_by_section)
{
    static const struct {
        uint16_t type;
        uint8_t section;
        uint32_t ttl;
    } expected[] = {{DNS_TYPE_A, DNS_ANSWER, 60},
                    {65280, DNS_ANSWER, 1},
                    {DNS_TYPE_NS, DNS_AUTHORITY, 2},
                    {DNS_TYPE_OPT, DNS_ADDITIONAL, 0}};
    struct dns_records records;
    struct dns_record record;
    struct dnsname owner, www;
    struct dns_message m;

    dnsmsg_query(&msg, "www.example.com", DNS_TYPE_A, 1, 0);
    dnsmsg_response(&msg, &msg, 0);
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    dnsmsg_record(&msg, "www.example.com", 65280, 1, "unknown type: RFC 3597", 22);
    msg.section = DNS_AUTHORITY;
    dnsmsg_name(&msg, "example.com", DNS_TYPE_NS, 2, "ns.example.com");
    dnsmsg_opt(&msg, 1232, 0, false);

    m = read_ok(bytes_of(&msg));
    records = dns_records_of(&m);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(dns_records_next(&records, &record), POL_OK);
        cr_expect_eq(record.type, expected[i].type);
        cr_expect_eq(record.section, expected[i].section);
        cr_expect_eq(record.ttl, expected[i].ttl);
        if (i > 0)
            continue;
        cr_expect_eq(dns_record_owner(&m, &record, &owner), POL_OK);
        cr_expect_eq(dnsname_parse(STR("www.example.com"), &www), POL_OK);
        cr_expect(dnsname_equal(&owner, &www));
    }
    cr_expect_eq(dns_records_next(&records, &record), POL_E_NOTFOUND);
    cr_expect_eq(dns_records_next(&records, &record), POL_E_NOTFOUND);
}

Test(dns, a_walk_ends_where_the_message_ends_inside_a_record)
{
    struct dns_records records;
    struct dns_record record;
    struct dns_message m;
    size_t complete;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_response(&msg, &msg, 0);
    dnsmsg_address(&msg, "a", 1, "192.0.2.1");
    complete = msg.len;
    dnsmsg_address(&msg, "a", 1, "192.0.2.2");
    for (size_t len = complete; len < msg.len; len++) {
        m = read_ok((pol_bytes){msg.bytes, len});
        records = dns_records_of(&m);
        cr_expect_eq(dns_records_next(&records, &record), POL_OK);
        cr_expect_eq(dns_records_next(&records, &record), POL_E_TRUNCATED);
        cr_expect_eq(dns_records_next(&records, &record), POL_E_NOTFOUND);
    }
}

Test(dns, a_whole_message_ends_with_its_last_record)
{
    struct dns_message m = read_ok(CAPTURED(captured_query_edns));

    cr_expect(dns_message_is_whole(&m));
    dnsmsg_query(&msg, "a.example", 1, 7, 1232);
    m = read_ok(bytes_of(&msg));
    cr_expect(dns_message_is_whole(&m));
    dnsmsg_raw(&msg, "", 1);
    m = read_ok(bytes_of(&msg));
    cr_expect_not(dns_message_is_whole(&m), "an octet behind the end");
    for (size_t len = msg.question_end; len < msg.len - 1; len++) {
        m = read_ok((pol_bytes){msg.bytes, len});
        cr_expect_not(dns_message_is_whole(&m), "%zu octets", len);
    }
}

Test(dns, a_ttl_with_the_top_bit_set_is_zero)
{
    struct dns_records records;
    struct dns_record record;
    struct dns_message m;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_response(&msg, &msg, 0);
    dnsmsg_address(&msg, "a", 0x80000001, "192.0.2.1");
    m = read_ok(bytes_of(&msg));
    records = dns_records_of(&m);
    cr_assert_eq(dns_records_next(&records, &record), POL_OK);
    cr_expect_eq(record.ttl, 0);
}

Test(dns, opt_is_found_only_once_and_only_in_the_additional_section)
{
    struct dns_edns edns;
    struct dns_message m;

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    m = read_ok(bytes_of(&msg));
    cr_expect_eq(dns_edns_read(&m, &edns), POL_E_NOTFOUND);

    dnsmsg_opt(&msg, 4096, 0x91, true);
    m = read_ok(bytes_of(&msg));
    cr_assert_eq(dns_edns_read(&m, &edns), POL_OK);
    cr_expect_eq(edns.payload, 4096);
    cr_expect_eq(edns.extended_rcode, 0x91);
    cr_expect(edns.dnssec_ok);

    dnsmsg_opt(&msg, 4096, 0, true);
    m = read_ok(bytes_of(&msg));
    cr_expect_eq(dns_edns_read(&m, &edns), POL_E_FORMAT);

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    dnsmsg_record(&msg, ".", DNS_TYPE_OPT, 0, NULL, 0);
    m = read_ok(bytes_of(&msg));
    cr_expect_eq(dns_edns_read(&m, &edns), POL_E_FORMAT);

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 1, 0);
    msg.section = DNS_ADDITIONAL;
    dnsmsg_record(&msg, "b", DNS_TYPE_OPT, 0, NULL, 0);
    m = read_ok(bytes_of(&msg));
    cr_expect_eq(dns_edns_read(&m, &edns), POL_E_FORMAT);
}

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})

static const struct {
    const char *why;
    pol_bytes rdata;
    int status;
    uint16_t priority;
    size_t ipv4, ipv6;
    bool ech;
} svcb_cases[] = {
    {"alias", OCTETS("\0\0\1a\0"), POL_OK, 0, 0, 0, false},
    {"service at the owner", OCTETS("\0\1\0"), POL_OK, 1, 0, 0, false},
    {"two ipv4 hints", OCTETS("\0\1\0\0\4\0\10abcdefgh"), POL_OK, 1, 8, 0, false},
    {"all", OCTETS("\0\2\0\0\4\0\4abcd\0\5\0\1x\0\6\0\20abcdefghijklmnop"), POL_OK, 2, 4, 16, true},
    {"unknown key", OCTETS("\0\1\0\377\0\0\1x"), POL_OK, 1, 0, 0, false},
    {"no target", OCTETS("\0\1"), POL_E_FORMAT, 0, 0, 0, false},
    {"compressed target", OCTETS("\0\1\300\14"), POL_E_FORMAT, 0, 0, 0, false},
    {"half an address", OCTETS("\0\1\0\0\4\0\2ab"), POL_E_FORMAT, 0, 0, 0, false},
    {"empty hint", OCTETS("\0\1\0\0\6\0\0"), POL_E_FORMAT, 0, 0, 0, false},
    {"keys repeat", OCTETS("\0\1\0\0\1\0\0\0\1\0\0"), POL_E_FORMAT, 0, 0, 0, false},
    {"keys fall", OCTETS("\0\1\0\0\4\0\4abcd\0\1\0\0"), POL_E_FORMAT, 0, 0, 0, false},
    {"cut in a value", OCTETS("\0\1\0\0\1\0\2a"), POL_E_FORMAT, 0, 0, 0, false},
    {"empty", OCTETS(""), POL_E_FORMAT, 0, 0, 0, false},
};

Test(dns, service_records_are_read_strictly)
{
    for (size_t i = 0; i < sizeof(svcb_cases) / sizeof(svcb_cases[0]); i++) {
        struct dns_svcb svcb;
        int rc = dns_svcb_read(svcb_cases[i].rdata, &svcb);

        cr_expect_eq(rc, svcb_cases[i].status, "%s: %d", svcb_cases[i].why, rc);
        if (rc < 0 || svcb_cases[i].status < 0)
            continue;
        cr_expect_eq(svcb.priority, svcb_cases[i].priority);
        cr_expect_eq(svcb.ipv4.len, svcb_cases[i].ipv4);
        cr_expect_eq(svcb.ipv6.len, svcb_cases[i].ipv6);
        cr_expect_eq(svcb.ech, svcb_cases[i].ech);
    }
}

Test(dns, a_captured_response_matches_its_query_in_any_case)
{
    struct dns_message query = read_ok(CAPTURED(captured_mixed_case_query));
    struct dns_message response = read_ok(CAPTURED(captured_mixed_case));
    struct dns_key key = dns_key_of(&query);

    cr_expect(dns_response_matches(&key, &response));
    cr_expect_not(dns_response_matches(&key, &query), "a query is no response");
    response = read_ok(CAPTURED(captured_cname_chain));
    key.id = response.id;
    cr_expect(dns_response_matches(&key, &response), "a resolver may flatten the case");
}

Test(dns, a_response_that_differs_in_one_fact_does_not_match)
{
    struct dns_message query, response;
    struct dns_key key;

    dnsmsg_query(&msg, "www.example.com", DNS_TYPE_A, 7, 1232);
    query = read_ok(bytes_of(&msg));
    dnsmsg_response(&other, &msg, 0);
    response = read_ok(bytes_of(&other));
    key = dns_key_of(&query);
    cr_expect(dns_response_matches(&key, &response));

    key.id++;
    cr_expect_not(dns_response_matches(&key, &response));
    key = dns_key_of(&query);
    key.opcode = 4;
    cr_expect_not(dns_response_matches(&key, &response));
    key = dns_key_of(&query);
    key.qtype = DNS_TYPE_AAAA;
    cr_expect_not(dns_response_matches(&key, &response));
    key = dns_key_of(&query);
    key.qclass = 3;
    cr_expect_not(dns_response_matches(&key, &response));
    key = dns_key_of(&query);
    key.name = STR("www.example.org");
    cr_expect_not(dns_response_matches(&key, &response));
}

Test(dns, a_response_without_a_question_matches_nothing)
{
    struct dns_message response;
    struct dns_key key = {.name = {"", 0}};

    dnsmsg_query(&msg, "a", DNS_TYPE_A, 0, 0);
    dnsmsg_response(&msg, &msg, DNS_SERVFAIL);
    dnsmsg_count(&msg, DNS_QUESTION, -1);
    cr_expect_eq(dns_message_read(bytes_of(&msg), &response), POL_E_FORMAT);
    cr_expect_not(dns_response_matches(&key, &response));
}

Test(dns, tcp_frames_are_taken_one_at_a_time)
{
    uint8_t stream[64] = {0, 13};
    pol_bytes message;
    size_t used;

    for (size_t len = 0; len < 15; len++)
        cr_expect_eq(dns_frame_read((pol_bytes){stream, len}, &message, &used), POL_E_TRUNCATED);
    cr_expect_eq(dns_frame_read((pol_bytes){stream, sizeof(stream)}, &message, &used), POL_OK);
    cr_expect_eq(message.ptr, stream + 2);
    cr_expect_eq(message.len, 13);
    cr_expect_eq(used, 15);
}

Test(dns, a_frame_shorter_than_a_header_is_no_dns)
{
    static const uint8_t empty[2] = {0, 0}, eleven[2] = {0, 11};
    pol_bytes message;
    size_t used;

    cr_expect_eq(dns_frame_read((pol_bytes){empty, 2}, &message, &used), POL_E_FORMAT);
    cr_expect_eq(dns_frame_read((pol_bytes){eleven, 2}, &message, &used), POL_E_FORMAT);
}

Test(dns, frame_prefix_holds_what_two_octets_can)
{
    uint8_t prefix[2];

    cr_expect_eq(dns_frame_prefix(65535, prefix), POL_OK);
    cr_expect_eq(prefix[0], 255);
    cr_expect_eq(prefix[1], 255);
    cr_expect_eq(dns_frame_prefix(65536, prefix), POL_E_LIMIT);
}
