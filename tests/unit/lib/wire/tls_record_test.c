/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_record.h"

#include "hello.h"

#include <criterion/criterion.h>

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})

static struct hello stream;

static const struct {
    const char *why;
    pol_bytes stream;
    enum tls_hello_verdict verdict; /* of reading two octets */
} header_cases[] = {
    {"nothing", OCTETS(""), TLS_HELLO_MORE},
    {"type only", OCTETS("\26"), TLS_HELLO_MORE},
    {"half a header", OCTETS("\26\3\1\0"), TLS_HELLO_MORE},
    {"header only", OCTETS("\26\3\1\0\2"), TLS_HELLO_MORE},
    {"one octet", OCTETS("\26\3\1\0\2a"), TLS_HELLO_MORE},
    {"both octets", OCTETS("\26\3\1\0\2ab"), TLS_HELLO_COMPLETE},
    {"two records", OCTETS("\26\3\1\0\1a\26\3\3\0\1b"), TLS_HELLO_COMPLETE},
    {"second header cut", OCTETS("\26\3\1\0\1a\26\3"), TLS_HELLO_MORE},
    {"another type", OCTETS("\27"), TLS_HELLO_NOT_TLS},
    {"another version", OCTETS("\26\2"), TLS_HELLO_MALFORMED},
    {"a version far away", OCTETS("\26\20"), TLS_HELLO_NOT_TLS},
    {"second record of another type", OCTETS("\26\3\1\0\1a\25"), TLS_HELLO_MALFORMED},
    {"second record of another version", OCTETS("\26\3\1\0\1a\26\4"), TLS_HELLO_MALFORMED},
    {"empty record", OCTETS("\26\3\1\0\0"), TLS_HELLO_MALFORMED},
    {"second record empty", OCTETS("\26\3\1\0\1a\26\3\1\0\0"), TLS_HELLO_MALFORMED},
    {"longest record", OCTETS("\26\3\1\100\0"), TLS_HELLO_MORE},
    {"record too long", OCTETS("\26\3\1\100\1"), TLS_HELLO_MALFORMED},
};

Test(tls_record, a_wrong_header_is_seen_with_its_first_wrong_octet)
{
    for (size_t i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]); i++) {
        struct tls_reader in = tls_reader_of(header_cases[i].stream);

        (void)tls_read_u16(&in);
        cr_expect_eq(in.verdict, header_cases[i].verdict, "%s: %d", header_cases[i].why,
                     (int)in.verdict);
    }
}

Test(tls_record, reads_across_any_split)
{
    static const uint8_t message[] = "0123456789abcdefghijklmnopqrstuv";
    uint8_t back[16];

    for (unsigned records = 1; records <= 32; records++) {
        struct tls_reader in;

        hello_wrap(&stream, message, 32, records);
        in = tls_reader_of((pol_bytes){stream.bytes, stream.len});
        cr_expect_eq(tls_read_u8(&in), '0');
        cr_expect_eq(tls_read_u16(&in), 0x3132);
        cr_expect_eq(tls_read_u24(&in), 0x333435);
        tls_read(&in, NULL, 10);
        tls_read(&in, back, 16);
        cr_expect(memcmp(back, "ghijklmnopqrstuv", 16) == 0);
        cr_expect_eq(in.at, 32);
        cr_expect_eq(in.in.at, in.in.end);
        cr_expect_eq(in.verdict, TLS_HELLO_COMPLETE);
    }
}

Test(tls_record, after_a_problem_reads_give_zero_and_the_verdict_stays)
{
    struct tls_reader in = tls_reader_of(OCTETS("\26\3\1\0\3abc\25"));
    uint8_t back[4] = {9, 9, 9, 9};

    tls_read(&in, back, 4);
    cr_expect_eq(in.verdict, TLS_HELLO_MALFORMED);
    cr_expect_eq(back[3], 0);
    cr_expect_eq(tls_read_u24(&in), 0);
    tls_reader_fail(&in, TLS_HELLO_MORE);
    cr_expect_eq(in.verdict, TLS_HELLO_MALFORMED);
}

Test(tls_record, vectors_must_fit_and_be_used_up)
{
    pol_bytes octets = OCTETS("\26\3\1\0\4abcd");
    struct tls_reader in = tls_reader_of(octets);
    uint32_t outer = tls_reader_open(&in, 4);

    cr_expect_eq(tls_reader_open(&in, 2), 4);
    (void)tls_read_u16(&in);
    cr_expect_not(tls_reader_has(&in));
    tls_reader_close(&in, 4);
    cr_expect(tls_reader_has(&in));
    (void)tls_read_u16(&in);
    tls_reader_close(&in, outer);
    cr_expect_eq(in.verdict, TLS_HELLO_COMPLETE);

    in = tls_reader_of(octets);
    tls_reader_open(&in, 2);
    tls_reader_open(&in, 3);
    cr_expect_eq(in.verdict, TLS_HELLO_MALFORMED, "longer than its container");

    in = tls_reader_of(octets);
    tls_reader_open(&in, 1);
    (void)tls_read_u16(&in);
    cr_expect_eq(in.verdict, TLS_HELLO_MALFORMED, "read beyond its end");

    in = tls_reader_of(octets);
    outer = tls_reader_open(&in, 2);
    (void)tls_read_u8(&in);
    tls_reader_close(&in, outer);
    cr_expect_eq(in.verdict, TLS_HELLO_MALFORMED, "octets left over");
}
