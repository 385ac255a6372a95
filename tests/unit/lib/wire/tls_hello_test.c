/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_hello.h"

#include "captured_hello.h"
#include "hello.h"

#include <libpolicy/tls.h>

#include <criterion/criterion.h>

#define CAPTURED(array) ((pol_bytes){array, sizeof(array)})
#define OCTETS(literal) ((pol_bytes){(const uint8_t *)literal, sizeof(literal) - 1})
#define EXTRA(literal)  .extra = (const uint8_t *)literal, .extra_len = sizeof(literal) - 1

static struct hello built;
static struct tls_hello hello;

static enum tls_hello_verdict read_built(const struct hello_options *options)
{
    hello_build(&built, options);
    return tls_hello_read((pol_bytes){built.bytes, built.len}, &hello);
}

Test(tls_hello, reads_what_openssl_sends)
{
    cr_assert_eq(tls_hello_read(CAPTURED(captured_tls13), &hello), TLS_HELLO_COMPLETE);
    cr_expect_str_eq(hello.sni, "www.example.com");
    cr_expect_eq(hello.sni_len, 15);
    cr_expect_eq(hello.version, 0x0304);
    cr_expect_eq(hello.alpn_count, 2);
    cr_expect(tls_hello_offers(&hello, STR("h2")));
    cr_expect(tls_hello_offers(&hello, STR("http/1.1")));
    cr_expect_not(tls_hello_offers(&hello, STR("h3")));
    cr_expect_not(hello.ech);
    cr_expect_eq(hello.hello_len, sizeof(captured_tls13) - 5);
    cr_expect_eq(hello.stream_len, sizeof(captured_tls13));
}

Test(tls_hello, reads_a_tls12_hello_without_a_name)
{
    cr_assert_eq(tls_hello_read(CAPTURED(captured_tls12), &hello), TLS_HELLO_COMPLETE);
    cr_expect_eq(hello.sni_len, 0);
    cr_expect_str_empty(hello.sni);
    cr_expect_eq(hello.version, 0x0303);
    cr_expect_eq(hello.alpn_count, 0);
}

Test(tls_hello, reads_what_curl_sends)
{
    cr_assert_eq(tls_hello_read(CAPTURED(captured_curl), &hello), TLS_HELLO_COMPLETE);
    cr_expect_str_eq(hello.sni, "shop.example.com");
    cr_expect_eq(hello.stream_len, 517);
}

Test(tls_hello, every_prefix_needs_more)
{
    for (size_t len = 0; len < sizeof(captured_tls13); len++)
        cr_expect_eq(tls_hello_read((pol_bytes){captured_tls13, len}, &hello), TLS_HELLO_MORE,
                     "%zu octets", len);
}

Test(tls_hello, what_follows_the_hello_is_left_alone)
{
    uint8_t more[sizeof(captured_tls13) + 4];

    memcpy(more, captured_tls13, sizeof(captured_tls13));
    memcpy(more + sizeof(captured_tls13), "rest", 4);
    cr_assert_eq(tls_hello_read(CAPTURED(more), &hello), TLS_HELLO_COMPLETE);
    cr_expect_eq(hello.stream_len, sizeof(captured_tls13));
}

static const struct {
    const char *why;
    pol_bytes stream;
} foreign_cases[] = {
    {"ssh", OCTETS("S")},
    {"http", OCTETS("G")},
    {"smtp", OCTETS("E")},
    {"SSLv2 hello", OCTETS("\200\56\1\0\2")},
    {"encrypted alert", OCTETS("\25\3\3\0\32")},
    {"long alert", OCTETS("\25\3\3\1")},
    {"alert of version 16", OCTETS("\25\20")},
    {"application data", OCTETS("\27\3\3")},
    {"version 16", OCTETS("\26\20")},
    {"server hello", OCTETS("\26\3\3\0\172\2")},
    {"hello request", OCTETS("\26\3\3\0\4\0")},
};

Test(tls_hello, other_protocols_are_told_by_the_first_wrong_octet)
{
    for (size_t i = 0; i < sizeof(foreign_cases) / sizeof(foreign_cases[0]); i++)
        cr_expect_eq(tls_hello_read(foreign_cases[i].stream, &hello), TLS_HELLO_NOT_TLS, "%s",
                     foreign_cases[i].why);
}

static const struct {
    const char *why;
    pol_bytes stream;
} broken_cases[] = {
    {"alert", OCTETS("\25\3\1\0\2\1\132")}, {"alert of another version", OCTETS("\25\17\1\0\2")},
    {"version 0", OCTETS("\26\0")},         {"version 2", OCTETS("\26\2")},
    {"version 15", OCTETS("\26\17")},
};

/* Servers that read on behind such a beginning have been seen. */
Test(tls_hello, what_a_lenient_server_reads_is_a_broken_hello)
{
    for (size_t i = 0; i < sizeof(broken_cases) / sizeof(broken_cases[0]); i++)
        cr_expect_eq(tls_hello_read(broken_cases[i].stream, &hello), TLS_HELLO_MALFORMED, "%s",
                     broken_cases[i].why);
    for (size_t len = 1; len < 5; len++)
        cr_expect_eq(tls_hello_read((pol_bytes){broken_cases[0].stream.ptr, len}, &hello),
                     TLS_HELLO_MORE, "%zu octets", len);
}

Test(tls_hello, any_number_of_records_reads_the_same)
{
    static const char *const alpn[] = {"h2", "http/1.1", NULL};
    struct hello_options options = {
        .sni = "www.example.com", .alpn = alpn, .tls13 = true, .message_len = 2000};

    for (unsigned records = 1; records <= 2000; records += records < 20 ? 1 : 99) {
        options.records = records;
        cr_assert_eq(read_built(&options), TLS_HELLO_COMPLETE, "%u records", records);
        cr_expect_str_eq(hello.sni, "www.example.com");
        cr_expect_eq(hello.alpn_count, 2);
        cr_expect_eq(hello.hello_len, 2000);
        cr_expect_eq(hello.stream_len, built.len);
    }
}

Test(tls_hello, every_prefix_of_a_split_hello_needs_more)
{
    struct hello_options options = {.sni = "www.example.com", .tls13 = true, .records = 60};

    cr_assert_eq(read_built(&options), TLS_HELLO_COMPLETE);
    for (size_t len = 0; len < built.len; len++)
        cr_expect_eq(tls_hello_read((pol_bytes){built.bytes, len}, &hello), TLS_HELLO_MORE);
}

Test(tls_hello, the_largest_hello_is_16_kib)
{
    struct hello_options options = {.sni = "a.example", .message_len = TLS_HELLO_MAX, .records = 2};

    cr_expect_eq(read_built(&options), TLS_HELLO_COMPLETE);
    options.message_len++;
    hello_build(&built, &options);
    cr_expect_eq(tls_hello_read((pol_bytes){built.bytes, 9}, &hello), TLS_HELLO_MALFORMED,
                 "the declared length is enough to know");
}

static const struct {
    const char *why;
    struct hello_options options;
    enum tls_hello_verdict verdict;
    const char *sni;
} built_cases[] = {
    {"upper case", {.sni = "WWW.Example.COM"}, TLS_HELLO_COMPLETE, "www.example.com"},
    {"trailing dot", {.sni = "www.example.com."}, TLS_HELLO_COMPLETE, "www.example.com"},
    {"address", {.sni = "192.0.2.1"}, TLS_HELLO_COMPLETE, "192.0.2.1"},
    {"underscore", {.sni = "_dmarc.example.com"}, TLS_HELLO_COMPLETE, "_dmarc.example.com"},
    {"colon", {.sni = "::1"}, TLS_HELLO_COMPLETE, "\\058\\0581"},
    {"empty name", {.sni = ""}, TLS_HELLO_MALFORMED, NULL},
    {"dot", {.sni = "."}, TLS_HELLO_MALFORMED, NULL},
    {"empty label", {.sni = "a..b"}, TLS_HELLO_MALFORMED, NULL},
    {"space", {.sni = "a b"}, TLS_HELLO_MALFORMED, NULL},
    {"backslash", {.sni = "ex\\097mple.com"}, TLS_HELLO_MALFORMED, NULL},
    {"not ASCII", {.sni = "b\303\274cher.example"}, TLS_HELLO_MALFORMED, NULL},
    {"repeated name", {.sni = "a.example", EXTRA("\0\0\0\0")}, TLS_HELLO_MALFORMED, NULL},
    {"repeated unknown", {EXTRA("\12\12\0\0\12\12\0\0")}, TLS_HELLO_MALFORMED, NULL},
    {"two GREASE values", {EXTRA("\12\12\0\0\32\32\0\1\0")}, TLS_HELLO_COMPLETE, ""},
    {"NUL in the name", {EXTRA("\0\0\0\10\0\6\0\0\3a\0b")}, TLS_HELLO_MALFORMED, NULL},
    {"server_name empty", {EXTRA("\0\0\0\0")}, TLS_HELLO_MALFORMED, NULL},
    {"list empty", {EXTRA("\0\0\0\2\0\0")}, TLS_HELLO_MALFORMED, NULL},
    {"two names", {EXTRA("\0\0\0\12\0\10\0\0\1a\0\0\1b")}, TLS_HELLO_MALFORMED, NULL},
    {"other name type", {EXTRA("\0\0\0\6\0\4\1\0\1a")}, TLS_HELLO_MALFORMED, NULL},
    {"list too short", {EXTRA("\0\0\0\6\0\3\0\0\1a")}, TLS_HELLO_MALFORMED, NULL},
    {"list too long", {EXTRA("\0\0\0\6\0\5\0\0\1a")}, TLS_HELLO_MALFORMED, NULL},
    {"name beyond its list", {EXTRA("\0\0\0\6\0\4\0\0\2a")}, TLS_HELLO_MALFORMED, NULL},
    {"octets behind the list", {EXTRA("\0\0\0\7\0\4\0\0\1ax")}, TLS_HELLO_MALFORMED, NULL},
    {"extension beyond the hello", {EXTRA("\12\12\0\1")}, TLS_HELLO_MALFORMED, NULL},
    {"half an extension header", {EXTRA("\12\12\0")}, TLS_HELLO_MALFORMED, NULL},
    {"ALPN empty", {EXTRA("\0\20\0\2\0\0")}, TLS_HELLO_MALFORMED, NULL},
    {"ALPN with an empty name", {EXTRA("\0\20\0\3\0\1\0")}, TLS_HELLO_MALFORMED, NULL},
    {"versions empty", {EXTRA("\0\53\0\1\0")}, TLS_HELLO_MALFORMED, NULL},
    {"versions odd", {EXTRA("\0\53\0\4\3\3\4\3")}, TLS_HELLO_MALFORMED, NULL},
};

Test(tls_hello, rules_of_names_and_extensions)
{
    for (size_t i = 0; i < sizeof(built_cases) / sizeof(built_cases[0]); i++) {
        enum tls_hello_verdict verdict = read_built(&built_cases[i].options);

        cr_expect_eq(verdict, built_cases[i].verdict, "%s: %d", built_cases[i].why, (int)verdict);
        if (verdict == TLS_HELLO_COMPLETE && built_cases[i].sni)
            cr_expect_str_eq(hello.sni, built_cases[i].sni, "%s", built_cases[i].why);
    }
}

static const struct {
    const char *why;
    size_t offset; /* in the stream of a hello made by hello_build() */
    uint8_t value;
    enum tls_hello_verdict verdict;
} body_cases[] = {
    {"record version 3.4", 2, 4, TLS_HELLO_COMPLETE},
    {"declared above 16 KiB", 7, 0x40, TLS_HELLO_MALFORMED},
    {"declared longer than it is", 8, 0xff, TLS_HELLO_MALFORMED},
    {"legacy_version 2.3", 9, 2, TLS_HELLO_MALFORMED},
    {"extensions beyond the message", 52, 1, TLS_HELLO_MALFORMED},
};

Test(tls_hello, one_wrong_length_makes_it_malformed)
{
    for (size_t i = 0; i < sizeof(body_cases) / sizeof(body_cases[0]); i++) {
        enum tls_hello_verdict verdict;

        hello_build(&built, &(struct hello_options){.sni = "a.example", .tls13 = true});
        built.bytes[body_cases[i].offset] = body_cases[i].value;
        verdict = tls_hello_read((pol_bytes){built.bytes, built.len}, &hello);
        cr_expect_eq(verdict, body_cases[i].verdict, "%s: %d", body_cases[i].why, (int)verdict);
    }
}

static const struct {
    uint8_t session_id, suites, compression; /* octets of each */
    enum tls_hello_verdict verdict;
} vector_cases[] = {
    {0, 2, 1, TLS_HELLO_COMPLETE},   {32, 200, 2, TLS_HELLO_COMPLETE},
    {33, 2, 1, TLS_HELLO_MALFORMED}, {0, 0, 1, TLS_HELLO_MALFORMED},
    {0, 3, 1, TLS_HELLO_MALFORMED},  {0, 2, 0, TLS_HELLO_MALFORMED},
};

Test(tls_hello, a_hello_without_extensions_is_complete_if_its_vectors_keep_to_their_lengths)
{
    for (size_t i = 0; i < sizeof(vector_cases) / sizeof(vector_cases[0]); i++) {
        uint8_t message[300] = {1, 0, 0, 0, 3, 1};
        size_t len = 4 + 2 + 32;

        message[len] = vector_cases[i].session_id;
        len += 1 + (size_t)vector_cases[i].session_id;
        message[len + 1] = vector_cases[i].suites;
        len += 2 + (size_t)vector_cases[i].suites;
        message[len] = vector_cases[i].compression;
        len += 1 + (size_t)vector_cases[i].compression;
        message[2] = (uint8_t)((len - 4) >> 8);
        message[3] = (uint8_t)(len - 4);
        hello_wrap(&built, message, len, 1);
        cr_expect_eq(tls_hello_read((pol_bytes){built.bytes, built.len}, &hello),
                     vector_cases[i].verdict, "case %zu", i);
        if (vector_cases[i].verdict == TLS_HELLO_COMPLETE)
            cr_expect_eq(hello.version, 0x0301);
    }
}

Test(tls_hello, encrypted_hello_is_noticed_beside_the_outer_name)
{
    cr_assert_eq(read_built(&(struct hello_options){.sni = "outer.example", .ech = true}),
                 TLS_HELLO_COMPLETE);
    cr_expect(hello.ech);
    cr_expect_str_eq(hello.sni, "outer.example");
}

Test(tls_hello, grease_is_not_the_highest_version)
{
    cr_assert_eq(read_built(&(struct hello_options){EXTRA("\0\53\0\7\6\232\232\3\4\3\3")}),
                 TLS_HELLO_COMPLETE);
    cr_expect_eq(hello.version, 0x0304);
}

Test(tls_hello, the_first_protocols_that_fit_are_kept)
{
    static const char *const alpn[] = {"0123456789012345678901234567890123456789",
                                       "01234567890123456789012345", "h2", NULL};

    cr_assert_eq(read_built(&(struct hello_options){.alpn = alpn}), TLS_HELLO_COMPLETE);
    cr_expect_eq(hello.alpn_count, 3);
    cr_expect_eq(hello.alpn_len, 41);
    cr_expect(tls_hello_offers(&hello, STR("0123456789012345678901234567890123456789")));
    cr_expect_not(tls_hello_offers(&hello, STR("h2")));
}

Test(tls_hello, more_than_128_extensions_are_malformed)
{
    uint8_t extra[129 * 4] = {0};

    for (size_t i = 0; i < 129; i++) {
        extra[4 * i] = 0x7f;
        extra[4 * i + 1] = (uint8_t)i;
    }
    cr_expect_eq(read_built(&(struct hello_options){.extra = extra, .extra_len = 128 * 4}),
                 TLS_HELLO_COMPLETE);
    cr_expect_eq(read_built(&(struct hello_options){.extra = extra, .extra_len = 129 * 4}),
                 TLS_HELLO_MALFORMED);
}

Test(tls_hello, nothing_is_written_unless_complete)
{
    memset(&hello, 0x55, sizeof(hello));
    cr_expect_eq(tls_hello_read((pol_bytes){captured_tls13, 200}, &hello), TLS_HELLO_MORE);
    for (size_t i = 0; i < sizeof(hello); i++)
        cr_assert_eq(((const uint8_t *)&hello)[i], 0x55);
}

static const struct {
    const char *why;
    pol_bytes stream;
    int rc;
} names[] = {
    {"half a hello", {captured_tls13, sizeof(captured_tls13) - 1}, POL_E_TRUNCATED},
    {"nothing yet", {NULL, 0}, POL_E_TRUNCATED},
    {"another protocol", OCTETS("SSH-2.0-"), POL_E_NOTFOUND},
    {"a hello of one octet", OCTETS("\x16\3\1\0\5\1\0\0\1\0"), POL_E_FORMAT},
};

Test(tls_hello, the_name_alone_is_read_by_the_public_function)
{
    char name[256];
    size_t len = 0;

    cr_assert_eq(pol_tls_server_name(CAPTURED(captured_tls13), name, &len), POL_OK);
    cr_expect_eq(len, 15);
    cr_expect_str_eq(name, "www.example.com");
    cr_assert_eq(pol_tls_server_name(CAPTURED(captured_tls12), name, &len), POL_OK);
    cr_expect_eq(len, 0, "a hello without a name");
    cr_expect_str_empty(name);
}

Test(tls_hello, the_public_function_writes_no_name_that_it_did_not_read)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char name[256] = "untouched";
        size_t len = 77;

        cr_expect_eq(pol_tls_server_name(names[i].stream, name, &len), names[i].rc, "%s",
                     names[i].why);
        cr_expect_str_eq(name, "untouched", "%s", names[i].why);
        cr_expect_eq(len, 77, "%s", names[i].why);
    }
}
