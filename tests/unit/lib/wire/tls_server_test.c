/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_server.h"

#include <criterion/criterion.h>

#include <libpolicy/tls.h>

#include "flight.h"
#include "hello.h"

#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})

/* Parts of a server's stream. */
#define HELLO                                                                                      \
    "\26\3\3\0\52\2\0\0\46\3\3"                                                                    \
    "0123456789abcdef0123456789abcdef\0\300\53\0"
#define CERTIFICATE(len, body) "\26\3\3\0" len "\13" body

static struct flight flight;
static struct tls_server server;
static uint8_t chain[TLS_FLIGHT_MAX];

static enum tls_server_verdict read(pol_bytes stream)
{
    return tls_server_read(stream, chain, &server);
}

static enum tls_server_verdict read_file(const char *name)
{
    flight_load(&flight, name);
    return read((pol_bytes){flight.bytes, flight.len});
}

static const struct {
    const char *name;
    enum tls_server_verdict verdict;
    unsigned count;
} recorded[] = {
    {"ecdsa.flight", TLS_SERVER_COMPLETE, 2},   {"records.flight", TLS_SERVER_COMPLETE, 2},
    {"direct.flight", TLS_SERVER_COMPLETE, 1},  {"rsa.flight", TLS_SERVER_COMPLETE, 1},
    {"warning.flight", TLS_SERVER_COMPLETE, 1}, {"many.flight", TLS_SERVER_COMPLETE, 1},
    {"tls13.flight", TLS_SERVER_HIDDEN, 0},     {"retry.flight", TLS_SERVER_HIDDEN, 0},
    {"resumed.flight", TLS_SERVER_ABSENT, 0},   {"resumed-id.flight", TLS_SERVER_ABSENT, 0},
    {"psk.flight", TLS_SERVER_ABSENT, 0},       {"refused.flight", TLS_SERVER_REFUSED, 0},
};

Test(tls_server, reads_what_openssl_sends)
{
    for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
        cr_assert_eq(read_file(recorded[i].name), recorded[i].verdict, "%s", recorded[i].name);
        if (recorded[i].verdict != TLS_SERVER_COMPLETE)
            continue;
        cr_expect_eq(server.count, recorded[i].count);
        cr_expect_eq(server.version, 0x0303);
        cr_expect_lt(server.stream_len, flight.len, "ServerKeyExchange follows");
    }
}

Test(tls_server, the_verdict_comes_with_the_last_octet_that_is_needed)
{
    for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
        enum tls_server_verdict whole = read_file(recorded[i].name);
        size_t len = 0;

        while (read((pol_bytes){flight.bytes, len}) == TLS_SERVER_MORE)
            len++;
        cr_expect_eq(read((pol_bytes){flight.bytes, len}), whole, "%s", recorded[i].name);
        if (whole == TLS_SERVER_COMPLETE || whole == TLS_SERVER_HIDDEN)
            cr_expect_eq(len, server.stream_len);
    }
}

Test(tls_server, the_chain_is_the_same_however_it_is_cut)
{
    static uint8_t first[TLS_FLIGHT_MAX];
    uint32_t len;
    struct cursor list;
    pol_bytes der;

    cr_assert_eq(read_file("ecdsa.flight"), TLS_SERVER_COMPLETE);
    len = server.chain_len;
    memcpy(first, chain, len);
    list = cursor_of((pol_bytes){chain, len});
    cr_assert(tls_chain_next(&list, &der));
    cr_expect_eq(der.ptr[0], 0x30);
    cr_assert(tls_chain_next(&list, &der));
    cr_expect_not(tls_chain_next(&list, &der));
    cr_expect_not(list.failed);

    cr_assert_eq(read_file("records.flight"), TLS_SERVER_COMPLETE);
    cr_assert_eq(server.chain_len, len);
    cr_expect(memcmp(first, chain, len) == 0);
}

static const struct {
    const char *why;
    pol_bytes stream;
    enum tls_server_verdict verdict;
} cases[] = {
    {"nothing", OCTETS(""), TLS_SERVER_MORE},
    {"http", OCTETS("H"), TLS_SERVER_NOT_TLS},
    {"client hello", OCTETS("\26\3\3\0\52\1"), TLS_SERVER_NOT_TLS},
    {"forged certificate first", OCTETS("\26\3\3\0\52\13"), TLS_SERVER_NOT_TLS},
    {"application data", OCTETS("\27\3\3"), TLS_SERVER_NOT_TLS},
    {"hello alone", OCTETS(HELLO), TLS_SERVER_MORE},
    {"SSL 3.0", OCTETS("\26\3\0\0\52\2\0\0\46\3\0"), TLS_SERVER_MORE},
    {"version 3.4", OCTETS("\26\3\3\0\52\2\0\0\46\3\4"), TLS_SERVER_MALFORMED},
    {"version 2", OCTETS("\26\3\3\0\52\2\0\0\46\2\0"), TLS_SERVER_MALFORMED},
    {"session id of 33",
     OCTETS("\26\3\3\0\52\2\0\0\46\3\3"
            "0123456789abcdef0123456789abcdef\41"),
     TLS_SERVER_MALFORMED},
    {"hello too short", OCTETS("\26\3\3\0\52\2\0\0\1\3\3"), TLS_SERVER_MALFORMED},
    {"octets behind the extensions",
     OCTETS("\26\3\3\0\55\2\0\0\51\3\3"
            "0123456789abcdef0123456789abcdef\0\300\53\0\0\0x"),
     TLS_SERVER_MALFORMED},
    {"version chosen twice over",
     OCTETS("\26\3\3\0\62\2\0\0\56\3\3"
            "0123456789abcdef0123456789abcdef\0\300\53\0\0\6\0\53\0\2\3\3"),
     TLS_SERVER_MALFORMED},
    {"alert cut", OCTETS("\25\3\3\0\2\1"), TLS_SERVER_MORE},
    {"alert of SSLv2", OCTETS("\25\2\3\0\2\1\160"), TLS_SERVER_NOT_TLS},
    {"alert of three octets", OCTETS("\25\3\3\0\3\1\160"), TLS_SERVER_MALFORMED},
    {"alert of 258 octets", OCTETS("\25\3\3\1\2\1\160"), TLS_SERVER_MALFORMED},
    {"alert of no level", OCTETS("\25\3\3\0\2\3\160"), TLS_SERVER_MALFORMED},
    {"fatal alert", OCTETS("\25\3\3\0\2\2\50"), TLS_SERVER_REFUSED},
    {"close_notify", OCTETS("\25\3\3\0\2\1\0"), TLS_SERVER_REFUSED},
    {"fatal alert behind the hello", OCTETS(HELLO "\25\3\3\0\2\2\50"), TLS_SERVER_REFUSED},
    {"broken alert behind the hello", OCTETS(HELLO "\25\2\3\0\2\1\160"), TLS_SERVER_MALFORMED},
    {"warning behind the hello", OCTETS(HELLO "\25\3\3\0\2\1\160"), TLS_SERVER_MORE},
    {"change cipher spec", OCTETS(HELLO "\24"), TLS_SERVER_ABSENT},
    {"new session ticket", OCTETS(HELLO "\26\3\3\0\1\4"), TLS_SERVER_ABSENT},
    {"hello done", OCTETS(HELLO "\26\3\3\0\4\16"), TLS_SERVER_ABSENT},
    {"application data behind the hello", OCTETS(HELLO "\27"), TLS_SERVER_MALFORMED},
    {"no certificate in it", OCTETS(HELLO CERTIFICATE("\7", "\0\0\3\0\0\0")), TLS_SERVER_MALFORMED},
    {"an empty certificate", OCTETS(HELLO CERTIFICATE("\12", "\0\0\6\0\0\3\0\0\0")),
     TLS_SERVER_MALFORMED},
    {"a certificate beyond its list", OCTETS(HELLO CERTIFICATE("\13", "\0\0\7\0\0\4\0\0\2x")),
     TLS_SERVER_MALFORMED},
    {"half a length", OCTETS(HELLO CERTIFICATE("\11", "\0\0\5\0\0\2\0\0")), TLS_SERVER_MALFORMED},
    {"a list beyond its message", OCTETS(HELLO CERTIFICATE("\13", "\0\0\7\0\0\5\0\0\1x")),
     TLS_SERVER_MALFORMED},
    {"octets behind the list", OCTETS(HELLO CERTIFICATE("\14", "\0\0\10\0\0\4\0\0\1xx")),
     TLS_SERVER_MALFORMED},
    {"one certificate", OCTETS(HELLO CERTIFICATE("\13", "\0\0\7\0\0\4\0\0\1x")),
     TLS_SERVER_COMPLETE},
    {"a list above 32 KiB", OCTETS(HELLO "\26\3\3\100\0\13\0\200\4\0\200\1"), TLS_SERVER_MALFORMED},
    {"a list of 32 KiB", OCTETS(HELLO "\26\3\3\100\0\13\0\200\3\0\200\0"), TLS_SERVER_MORE},
    {"another record inside", OCTETS(HELLO "\26\3\3\0\1\13\25"), TLS_SERVER_MALFORMED},
    {"eight",
     OCTETS(HELLO CERTIFICATE("\47", "\0\0\43\0\0\40"
                                     "\0\0\1x\0\0\1x\0\0\1x\0\0\1x"
                                     "\0\0\1x\0\0\1x\0\0\1x\0\0\1x")),
     TLS_SERVER_COMPLETE},
    {"nine",
     OCTETS(HELLO CERTIFICATE("\53", "\0\0\47\0\0\44"
                                     "\0\0\1x\0\0\1x\0\0\1x\0\0\1x\0\0\1x"
                                     "\0\0\1x\0\0\1x\0\0\1x\0\0\1x")),
     TLS_SERVER_MALFORMED},
};

Test(tls_server, rules_of_the_messages)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum tls_server_verdict verdict = read(cases[i].stream);

        cr_expect_eq(verdict, cases[i].verdict, "%s: %d", cases[i].why, (int)verdict);
    }
}

Test(tls_server, headers_count_towards_the_limit)
{
    static uint8_t message[TLS_FLIGHT_MAX], stream[200000];
    size_t len = sizeof(HELLO) - 1, list = 30000;
    static struct hello cut;

    memcpy(stream, HELLO, len);
    memcpy(message, "\13\0\165\66\0\165\63\0\165\60", 10);
    hello_wrap(&cut, message, list + 10, 100);
    memcpy(stream + len, cut.bytes, cut.len);
    cr_expect_eq(read((pol_bytes){stream, len + cut.len}), TLS_SERVER_COMPLETE);
    cr_expect_eq(server.chain_len, list + 3);
    hello_wrap(&cut, message, list + 10, 1000);
    memcpy(stream + len, cut.bytes, cut.len);
    cr_expect_eq(read((pol_bytes){stream, len + cut.len}), TLS_SERVER_MALFORMED);
}

Test(tls_server, nothing_is_written_unless_complete)
{
    memset(&server, 0x55, sizeof(server));
    cr_assert_eq(read_file("resumed.flight"), TLS_SERVER_ABSENT);
    for (size_t i = 0; i < sizeof(server); i++)
        cr_assert_eq(((const uint8_t *)&server)[i], 0x55);
}

static const struct {
    const char *name;
    int rc;
} public_cases[] = {
    {"direct.flight", POL_OK},
    {"tls13.flight", POL_E_NOTFOUND},
    {"resumed.flight", POL_E_NOTFOUND},
    {"refused.flight", POL_E_NOTFOUND},
};

Test(tls_server, the_public_function_reads_the_leaf)
{
    static pol_certificate certificate;

    for (size_t i = 0; i < sizeof(public_cases) / sizeof(public_cases[0]); i++) {
        flight_load(&flight, public_cases[i].name);
        cr_expect_eq(pol_tls_certificate((pol_bytes){flight.bytes, flight.len}, &certificate),
                     public_cases[i].rc, "%s", public_cases[i].name);
    }
    cr_expect_eq(certificate.version, 0x0303);
    cr_expect_str_eq(certificate.subject, "C=US,O=Example,CN=db.example.com");
    cr_expect_eq(pol_tls_certificate(OCTETS("\26\3"), &certificate), POL_E_TRUNCATED);
    cr_expect_eq(pol_tls_certificate(OCTETS("\26\3\3\0\52\2\0\0\46\3\4"), &certificate),
                 POL_E_FORMAT);
    cr_expect_eq(pol_tls_certificate(OCTETS("SSH-2.0"), &certificate), POL_E_NOTFOUND);
    cr_expect_eq(
        pol_tls_certificate(OCTETS(HELLO CERTIFICATE("\13", "\0\0\7\0\0\4\0\0\1x")), &certificate),
        POL_E_FORMAT, "one octet is no certificate");
}
