/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include "captured_dns.h"
#include "dnsmsg.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define CAPTURED(array) ((pol_bytes){array, sizeof(array)})
#define CAPACITY        8

static struct dnsmsg msg;
static struct dns_address found[CAPACITY];
static struct dns_answer answer;

static void walk(pol_bytes bytes)
{
    struct dns_message m;

    cr_assert_eq(dns_message_read(bytes, &m), POL_OK);
    dns_answer_walk(&m, found, CAPACITY, &answer);
}

/* An answer to www.example.com, to be filled. */
static void begin(void)
{
    dnsmsg_query(&msg, "www.example.com", DNS_TYPE_A, 1, 0);
    dnsmsg_response(&msg, &msg, 0);
}

static void finish(void)
{
    walk((pol_bytes){msg.bytes, msg.len});
}

/* The addresses granted, in order, as "address/ttl address/ttl". */
static const char *granted(void)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < answer.count && i < CAPACITY; i++) {
        char addr[POL_ADDR_TEXT];

        pol_addr_format(&found[i].addr, addr);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s/%u", i ? " " : "", addr,
                                (unsigned)found[i].ttl);
    }
    return text;
}

static const char *chain_name(int i)
{
    static char text[DNSNAME_TEXT];
    uint8_t len;

    cr_assert_eq(dnsname_text(&answer.chain[i], text, &len), POL_OK);
    return text;
}

Test(dns_answer, captured_cname_chain_grants_its_addresses)
{
    walk(CAPTURED(captured_cname_chain));
    cr_expect_str_eq(granted(), "192.0.2.10/30 192.0.2.11/30");
    cr_expect_eq(answer.names, 3);
    cr_expect_str_eq(chain_name(0), "www.example.com");
    cr_expect_str_eq(chain_name(1), "web.cdn.example.com");
    cr_expect_str_eq(chain_name(2), "edge7.pop.example.com");
    cr_expect_not(answer.truncated);
}

Test(dns_answer, captured_answers_of_every_kind_grant)
{
    walk(CAPTURED(captured_aaaa));
    cr_expect_str_eq(granted(), "2001:db8::10/30");
    walk(CAPTURED(captured_dname));
    cr_expect_str_eq(granted(), "192.0.2.77/45");
    walk(CAPTURED(captured_https));
    cr_expect_str_eq(granted(), "192.0.2.20/90 192.0.2.21/90 2001:db8::20/90");
    walk(CAPTURED(captured_mixed_case));
    cr_expect_str_eq(granted(), "192.0.2.11/30 192.0.2.10/30");
}

Test(dns_answer, ttl_is_the_smallest_along_the_chain)
{
    begin();
    dnsmsg_name(&msg, "www.example.com", DNS_TYPE_CNAME, 300, "a.test");
    dnsmsg_name(&msg, "a.test", DNS_TYPE_CNAME, 20, "b.test");
    dnsmsg_address(&msg, "b.test", 60, "192.0.2.1");
    dnsmsg_address(&msg, "b.test", 10, "192.0.2.2");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/20 192.0.2.2/10");
}

Test(dns_answer, record_order_does_not_matter)
{
    begin();
    dnsmsg_address(&msg, "c.test", 60, "192.0.2.1");
    dnsmsg_name(&msg, "b.test", DNS_TYPE_CNAME, 50, "c.test");
    dnsmsg_name(&msg, "a.test", DNS_TYPE_CNAME, 40, "b.test");
    dnsmsg_name(&msg, "www.example.com", DNS_TYPE_CNAME, 300, "a.test");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/40");
    cr_expect_eq(answer.names, 4);
}

Test(dns_answer, owners_compare_caselessly)
{
    begin();
    msg.plain = true;
    dnsmsg_name(&msg, "WWW.example.COM", DNS_TYPE_CNAME, 60, "A.Test");
    dnsmsg_address(&msg, "a.tEST", 60, "192.0.2.1");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60");
}

Test(dns_answer, addresses_of_other_names_are_not_granted)
{
    begin();
    dnsmsg_address(&msg, "victim.example", 60, "192.0.2.1");
    dnsmsg_address(&msg, "example.com", 60, "192.0.2.2");
    dnsmsg_address(&msg, "a.www.example.com", 60, "192.0.2.3");
    dnsmsg_name(&msg, "victim.example", DNS_TYPE_CNAME, 60, "b.test");
    dnsmsg_address(&msg, "b.test", 60, "192.0.2.4");
    finish();
    cr_expect_eq(answer.count, 0);
    cr_expect_eq(answer.names, 1);
}

/* Its length is known, so the records behind it are read; whose address it is nobody can tell. */
Test(dns_answer, an_address_whose_owner_cannot_be_read_is_not_granted)
{
    static const uint8_t points_at_itself[] = {0,  DNS_TYPE_A, 0, 1,   0, 0, 0,
                                               60, 0,          4, 192, 0, 2, 9};
    uint8_t pointer[2];

    begin();
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    pointer[0] = (uint8_t)(0xc0 | msg.len >> 8);
    pointer[1] = (uint8_t)msg.len;
    dnsmsg_raw(&msg, pointer, sizeof(pointer));
    dnsmsg_raw(&msg, points_at_itself, sizeof(points_at_itself));
    dnsmsg_count(&msg, DNS_ANSWER, 1);
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.2");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60 192.0.2.2/60");
}

Test(dns_answer, other_sections_grant_nothing)
{
    begin();
    msg.section = DNS_AUTHORITY;
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    msg.section = DNS_ADDITIONAL;
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.2");
    finish();
    cr_expect_eq(answer.count, 0);
    cr_expect_not(answer.truncated);
}

Test(dns_answer, other_classes_grant_nothing)
{
    begin();
    msg.class = 3;
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    dnsmsg_name(&msg, "www.example.com", DNS_TYPE_CNAME, 60, "a.test");
    msg.class = 1;
    dnsmsg_address(&msg, "a.test", 60, "192.0.2.2");
    finish();
    cr_expect_eq(answer.count, 0);
}

Test(dns_answer, a_response_with_an_error_code_grants_nothing)
{
    for (uint8_t rcode = 1; rcode < 16; rcode++) {
        begin();
        dnsmsg_flags(&msg, rcode);
        dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
        finish();
        cr_expect_eq(answer.count, 0);
        cr_expect_eq(answer.names, 0);
    }
}

Test(dns_answer, an_error_code_in_the_opt_record_counts)
{
    begin();
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    dnsmsg_opt(&msg, 1232, 1, false); /* 1 << 4: BADVERS */
    finish();
    cr_expect_eq(answer.count, 0);
}

Test(dns_answer, eleven_steps_are_followed_and_not_twelve)
{
    char owner[32] = "www.example.com", target[32];

    begin();
    for (int i = 1; i <= 12; i++) {
        snprintf(target, sizeof(target), "n%d.test", i);
        dnsmsg_name(&msg, owner, DNS_TYPE_CNAME, 60, target);
        strcpy(owner, target);
    }
    dnsmsg_address(&msg, "n11.test", 60, "192.0.2.11");
    dnsmsg_address(&msg, "n12.test", 60, "192.0.2.12");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.11/60");
    cr_expect_eq(answer.names, DNS_CHAIN_NAMES);
}

Test(dns_answer, loops_end)
{
    begin();
    dnsmsg_name(&msg, "www.example.com", DNS_TYPE_CNAME, 60, "a.test");
    dnsmsg_name(&msg, "a.test", DNS_TYPE_CNAME, 60, "www.example.com");
    dnsmsg_name(&msg, "a.test", DNS_TYPE_CNAME, 60, "a.test");
    dnsmsg_address(&msg, "a.test", 60, "192.0.2.1");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60");
    cr_expect_eq(answer.names, 2);
}

Test(dns_answer, a_dname_that_makes_ever_longer_names_ends_after_eleven_steps)
{
    begin();
    dnsmsg_name(&msg, "example.com", DNS_TYPE_DNAME, 60, "x.example.com");
    dnsmsg_address(&msg, "www.x.x.example.com", 60, "192.0.2.1");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60");
    cr_expect_eq(answer.names, DNS_CHAIN_NAMES);
}

Test(dns_answer, dname_redirects_names_below_its_owner)
{
    begin();
    dnsmsg_name(&msg, "example.com", DNS_TYPE_DNAME, 30, "example.net");
    dnsmsg_address(&msg, "www.example.net", 60, "192.0.2.1");
    dnsmsg_address(&msg, "example.net", 60, "192.0.2.2");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/30");
    cr_expect_str_eq(chain_name(1), "www.example.net");
}

Test(dns_answer, dname_does_not_redirect_its_own_owner)
{
    begin();
    dnsmsg_name(&msg, "www.example.com", DNS_TYPE_DNAME, 30, "example.net");
    dnsmsg_address(&msg, "example.net", 60, "192.0.2.1");
    finish();
    cr_expect_eq(answer.count, 0);
}

Test(dns_answer, service_hints_belong_to_the_queried_name)
{
    begin();
    dnsmsg_name(&msg, "www.example.com", DNS_TYPE_CNAME, 40, "a.test");
    dnsmsg_service(&msg, "a.test", DNS_TYPE_HTTPS, 60, 1, ".", "192.0.2.1", "2001:db8::1");
    dnsmsg_service(&msg, "a.test", DNS_TYPE_SVCB, 60, 2, "b.test", "192.0.2.2", NULL);
    dnsmsg_service(&msg, "b.test", DNS_TYPE_HTTPS, 60, 1, ".", "192.0.2.3", NULL);
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/40 2001:db8::1/40 192.0.2.2/40");
}

Test(dns_answer, alias_records_are_no_steps_and_their_hints_are_void)
{
    begin();
    dnsmsg_service(&msg, "www.example.com", DNS_TYPE_HTTPS, 50, 0, "pool.test", "192.0.2.9", NULL);
    dnsmsg_service(&msg, "pool.test", DNS_TYPE_HTTPS, 60, 1, ".", "192.0.2.1", NULL);
    dnsmsg_address(&msg, "pool.test", 60, "192.0.2.2");
    finish();
    cr_expect_eq(answer.count, 0);
    cr_expect_eq(answer.names, 1);
}

Test(dns_answer, mapped_addresses_are_never_granted)
{
    begin();
    dnsmsg_address(&msg, "www.example.com", 60, "::ffff:192.0.2.1");
    dnsmsg_service(&msg, "www.example.com", DNS_TYPE_HTTPS, 60, 1, ".", NULL, "::ffff:192.0.2.2");
    dnsmsg_address(&msg, "www.example.com", 60, "64:ff9b::192.0.2.3");
    finish();
    cr_expect_str_eq(granted(), "64:ff9b::c000:203/60");
}

Test(dns_answer, a_cut_message_grants_its_complete_records)
{
    size_t first, second;

    begin();
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    first = msg.len;
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.2");
    second = msg.len;
    for (size_t len = first; len <= second; len++) {
        walk((pol_bytes){msg.bytes, len});
        cr_expect_eq(answer.count, len < second ? 1 : 2);
        cr_expect_eq(answer.truncated, len < second);
    }
}

Test(dns_answer, the_tc_flag_is_reported_and_complete_records_count)
{
    begin();
    dnsmsg_flags(&msg, DNS_TC);
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60");
    cr_expect(answer.truncated);
}

Test(dns_answer, malformed_records_grant_nothing_and_others_stay)
{
    begin();
    dnsmsg_record(&msg, "www.example.com", DNS_TYPE_A, 60, "abc", 3);
    dnsmsg_record(&msg, "www.example.com", DNS_TYPE_A, 60, "abcde", 5);
    dnsmsg_record(&msg, "www.example.com", DNS_TYPE_AAAA, 60, "abcd", 4);
    dnsmsg_record(&msg, "www.example.com", DNS_TYPE_HTTPS, 60, "\0\1\0\0\4\0\3abc", 10);
    dnsmsg_record(&msg, "www.example.com", DNS_TYPE_CNAME, 60, "\1a\0x", 4);
    dnsmsg_record(&msg, "www.example.com", DNS_TYPE_CNAME, 60, "\377\377", 2);
    dnsmsg_record(&msg, "www.example.com", 65280, 60, "unknown", 7);
    dnsmsg_address(&msg, "a", 60, "192.0.2.9");
    dnsmsg_address(&msg, "www.example.com", 60, "192.0.2.1");
    finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60");
    cr_expect_not(answer.truncated);
}

Test(dns_answer, the_count_goes_on_beyond_the_capacity)
{
    struct dns_address one[2] = {{.ttl = 7}, {.ttl = 7}};
    struct dns_message m;
    uint8_t rdata[4] = {192, 0, 2, 0};

    begin();
    for (int i = 0; i < 100; i++)
        dnsmsg_record(&msg, "www.example.com", DNS_TYPE_A, 60, rdata, 4);
    cr_assert_eq(dns_message_read((pol_bytes){msg.bytes, msg.len}, &m), POL_OK);
    dns_answer_walk(&m, one, 1, &answer);
    cr_expect_eq(answer.count, 100);
    cr_expect_eq(one[0].ttl, 60);
    cr_expect_eq(one[1].ttl, 7);
    dns_answer_walk(&m, NULL, 0, &answer);
    cr_expect_eq(answer.count, 100);
}

/* The dearest message known: 64 KiB of records whose owners are pointers to a name of 127 labels,
 * behind a full chain. Work that grew with records times steps would show as a time-out. */
Test(dns_answer, the_largest_hostile_message_is_walked_in_linear_time, .timeout = 30)
{
    char name[254], owner[32] = "www.example.com", target[32];
    size_t records = 0;

    for (size_t i = 0; i < 253; i++)
        name[i] = i % 2 ? '.' : 'a';
    name[253] = '\0';

    begin();
    for (int i = 1; i <= 11; i++) {
        snprintf(target, sizeof(target), "n%d.test", i);
        dnsmsg_name(&msg, owner, DNS_TYPE_CNAME, 60, target);
        strcpy(owner, target);
    }
    for (; msg.len + 300 < sizeof(msg.bytes); records++)
        dnsmsg_record(&msg, name, DNS_TYPE_A, 60, "abcd", 4);
    dnsmsg_address(&msg, "n11.test", 60, "192.0.2.1");
    cr_assert_gt(records, 4000);
    for (int i = 0; i < 20; i++)
        finish();
    cr_expect_str_eq(granted(), "192.0.2.1/60");
}

/* The name of the alias is a pointer to itself (RFC 1035 4.1.4): what it stands for is not known.
 */
Test(dns_answer, alias_without_a_readable_owner_is_passed_over)
{
    static const uint8_t looped[] = {
        0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0,  0,  0,            /* a query and two answers */
        1,    'a',  0,    0,    1, 0, 1,                             /* a. A? */
        0xc0, 19,   0,    5,    0, 1, 0, 0, 0, 60, 0,  3, 1, 'b', 0, /* (itself) CNAME b. */
        1,    'a',  0,    0,    1, 0, 1, 0, 0, 0,  60, 0, 4, 192, 0, 2, 1 /* a. A 192.0.2.1 */
    };

    walk(CAPTURED(looped));
    cr_expect_str_eq(granted(), "192.0.2.1/60");
    cr_expect_eq(answer.names, 1);
}
