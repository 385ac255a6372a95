/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/x509.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "../base/counting_mem.h"
#include "base/mem.h"
#include "flight.h"
#include "wire/tls_server.h"

#define Y2024 UINT64_C(1704067200000)
#define Y2044 UINT64_C(2335219200999)
#define Y2020 UINT64_C(1577836800000)
#define Y2021 UINT64_C(1609459200999)

static struct flight flight, pem;
static uint8_t chain[TLS_FLIGHT_MAX];
static struct tls_server server;
static pol_certificate certificate;
static struct arena arena;
static uint32_t effort;

static pol_bytes load_chain(const char *name)
{
    flight_load(&flight, name);
    cr_assert_eq(tls_server_read((pol_bytes){flight.bytes, flight.len}, chain, &server),
                 TLS_SERVER_COMPLETE, "%s", name);
    return (pol_bytes){chain, server.chain_len};
}

static pol_bytes load_leaf(const char *name)
{
    struct cursor list = cursor_of(load_chain(name));
    pol_bytes leaf;

    cr_assert(tls_chain_next(&list, &leaf));
    return leaf;
}

static struct x509_anchors load_anchors(const char *name)
{
    struct x509_anchors anchors;

    flight_load(&pem, name);
    arena_init(&arena, &mem_libc);
    cr_assert_eq(x509_anchors_build(&arena, (pol_str){(char *)pem.bytes, pem.len}, &anchors),
                 POL_OK);
    return anchors;
}

/* Names of the certificate, joined by blanks. */
static const char *names(void)
{
    static char text[POL_CERTIFICATE_NAMES];

    memcpy(text, certificate.names, certificate.names_len);
    for (uint32_t i = 0; i + 1 < certificate.names_len; i++) {
        if (text[i] == '\0')
            text[i] = ' ';
    }
    return certificate.names_len ? text : "";
}

static const struct {
    const char *name, *subject, *names;
    uint32_t sans, cns;
} facts[] = {
    {"ecdsa.flight", "C=US,O=Example,CN=db.example.com",
     "db.example.com *.db.example.com db.example.com", 2, 1},
    {"rsa.flight", "C=US,O=Example,CN=db.example.com",
     "db.example.com *.db.example.com db.example.com", 2, 1},
    {"address.flight", "CN=192.0.2.10", "192.0.2.10", 0, 1},
    {"plain.flight", "CN=Plain Server 1.,CN=second", "plain server 1 second", 0, 2},
    {"odd.flight", "DC=example,1.3.6.1.4.1.311.60.2.1.3=US,O=Acme,Inc.,OU=a+OU=b,CN=odd.example",
     "odd.example odd.example", 1, 1},
    {"mislead.flight", "", "evil.example evil.example", 1, 1},
};

Test(x509, reads_names_and_subjects)
{
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        cr_assert_eq(x509_read(load_leaf(facts[i].name), &certificate), POL_OK);
        cr_expect_str_eq(certificate.subject, facts[i].subject, "%s: %s", facts[i].name,
                         certificate.subject);
        cr_expect_eq(certificate.subject_len, strlen(facts[i].subject));
        cr_expect_str_eq(names(), facts[i].names, "%s: %s", facts[i].name, names());
        cr_expect_eq(certificate.san_count, facts[i].sans);
        cr_expect_eq(certificate.cn_count, facts[i].cns);
        cr_expect_eq(certificate.not_before, Y2024);
        cr_expect_eq(certificate.not_after, Y2044);
    }
}

Test(x509, every_one_of_300_names_is_there)
{
    cr_assert_eq(x509_read(load_leaf("many.flight"), &certificate), POL_OK);
    cr_expect_eq(certificate.san_count, 300);
    cr_expect(strstr(names(), "host-299.many.example many.example"));
}

Test(x509, the_fingerprint_is_what_openssl_says)
{
    char text[3 * 32 + 1];

    cr_assert_eq(x509_read(load_leaf("direct.flight"), &certificate), POL_OK);
    for (int i = 0; i < 32; i++)
        snprintf(text + 3 * i, 4, "%02X:", certificate.sha256[i]);
    flight_load(&flight, "direct.sha256");
    cr_expect(strncmp(text, (char *)flight.bytes, 95) == 0);
}

/* Replaces the text in a certificate by another of its length; its signature is not looked at. */
static pol_bytes altered(const char *name, const char *from, const char *to, size_t len)
{
    static uint8_t der[8192];
    pol_bytes leaf = load_leaf(name);

    cr_assert_leq(leaf.len, sizeof(der));
    memcpy(der, leaf.ptr, leaf.len);
    for (size_t i = 0; i + len <= leaf.len; i++) {
        if (memcmp(der + i, from, len) == 0)
            memcpy(der + i, to, len);
    }
    return (pol_bytes){der, leaf.len};
}

Test(x509, a_name_with_nul_in_it_matches_nothing)
{
    pol_bytes der = altered("direct.flight", "db.example.com", "db.ex\0mple.com", 14);

    cr_assert_eq(x509_read(der, &certificate), POL_OK);
    cr_expect_eq(certificate.san_count, 0);
    cr_expect_eq(certificate.cn_count, 0);
    cr_expect_eq(certificate.subject_len, 0);
}

Test(x509, a_name_in_another_encoding_matches_nothing)
{
    /* the UTF8String of the common name becomes a BMPString */
    pol_bytes der = altered("direct.flight", "\14\16db.example.com", "\36\16db.example.com", 16);

    cr_assert_eq(x509_read(der, &certificate), POL_OK);
    cr_expect_eq(certificate.san_count, 2);
    cr_expect_eq(certificate.cn_count, 0);
    cr_expect_eq(certificate.subject_len, 0);
}

Test(x509, dates_reach_from_1970_to_2049_and_beyond)
{
    pol_bytes der = altered("direct.flight", "240101000000Z", "500101000000Z", 13);

    cr_assert_eq(x509_read(der, &certificate), POL_OK);
    cr_expect_eq(certificate.not_before, 0, "before 1970");
    der = altered("direct.flight", "440101000000Z", "240229235959Z", 13);
    cr_assert_eq(x509_read(der, &certificate), POL_OK);
    cr_expect_eq(certificate.not_after, UINT64_C(1709251199999));
}

Test(x509, octets_behind_the_certificate_are_refused)
{
    static uint8_t der[4096];
    pol_bytes leaf = load_leaf("direct.flight");

    memcpy(der, leaf.ptr, leaf.len);
    cr_expect_eq(x509_read((pol_bytes){der, leaf.len + 1}, &certificate), POL_E_FORMAT);
    cr_expect_eq(x509_read((pol_bytes){der, leaf.len - 1}, &certificate), POL_E_FORMAT);
    cr_expect_eq(x509_read((pol_bytes){der, leaf.len}, &certificate), POL_OK);
}

Test(x509, a_subject_of_more_than_a_kilobyte_is_not_compared)
{
    /* The certificate is built here: only its form matters. */
    static uint8_t der[8192];
    pol_bytes leaf = load_leaf("direct.flight");
    static const uint8_t subject[] = "\60\67\61\13\60\11\6\3\125\4\6\23\2US";
    const uint8_t *at = NULL;
    size_t before, after, extra = 0;
    struct cursor in;

    for (size_t i = 0; i + sizeof(subject) < leaf.len; i++) {
        if (leaf.ptr[i] == 0x30 && memcmp(leaf.ptr + i + 2, subject + 2, sizeof(subject) - 3) == 0)
            at = leaf.ptr + i; /* the second one: behind the issuer */
    }
    cr_assert_not_null(at);
    before = (size_t)(at - leaf.ptr);
    after = before + 2 + at[1];
    memcpy(der, leaf.ptr, before);
    /* 40 attributes O=<64 octets> */
    in = cursor_of((pol_bytes){at + 2, at[1]});
    memcpy(der + before, "\60\202\0\0", 4);
    memcpy(der + before + 4, in.at, cursor_left(&in));
    extra = 4 + cursor_left(&in);
    for (int i = 0; i < 20; i++) {
        memcpy(der + before + extra, "\61\113\60\111\6\3\125\4\12\14\102", 11);
        memset(der + before + extra + 11, 'x', 66);
        extra += 77;
    }
    der[before + 2] = (uint8_t)((extra - 4) >> 8);
    der[before + 3] = (uint8_t)(extra - 4);
    memcpy(der + before + extra, leaf.ptr + after, leaf.len - after);
    /* both outer lengths grow: SEQUENCE (82 hh ll) SEQUENCE (82 hh ll) */
    for (size_t i = 0; i < 8; i += 4) {
        size_t len = (size_t)der[i + 2] << 8 | der[i + 3];

        len += extra - (after - before);
        der[i + 2] = (uint8_t)(len >> 8);
        der[i + 3] = (uint8_t)len;
    }
    cr_assert_eq(x509_read((pol_bytes){der, before + extra + leaf.len - after}, &certificate),
                 POL_OK);
    cr_expect_eq(certificate.subject_len, 0);
    cr_expect_eq(certificate.cn_count, 1);
}

static const struct {
    const char *name, *anchors;
    int rc;
    pol_wall from, to;
} paths[] = {
    {"ecdsa.flight", "ca.pem", POL_OK, Y2024, Y2044},
    {"records.flight", "ca.pem", POL_OK, Y2024, Y2044},
    {"direct.flight", "ca.pem", POL_OK, Y2024, Y2044},
    {"rsa.flight", "rsa-ca.pem", POL_OK, Y2024, Y2044},
    {"expired.flight", "ca.pem", POL_OK, Y2024, Y2021},
    {"rsa.flight", "ca.pem", POL_E_NOTFOUND, 0, 0},
    {"direct.flight", "rogue.pem", POL_E_NOTFOUND, 0, 0},
    {"untrusted.flight", "ca.pem", POL_E_NOTFOUND, 0, 0},
    {"untrusted.flight", "rogue.pem", POL_OK, Y2024, Y2044},
    {"self.flight", "ca.pem", POL_E_NOTFOUND, 0, 0},
    {"no-ca.flight", "ca.pem", POL_E_FORMAT, 0, 0},
    {"missing.flight", "ca.pem", POL_E_NOTFOUND, 0, 0},
};

Test(x509, a_chain_must_end_in_an_anchor)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct x509_anchors anchors = load_anchors(paths[i].anchors);
        struct x509_window window = {0};
        int rc = x509_verify(load_chain(paths[i].name), &anchors, &window, &effort);

        cr_expect_eq(rc, paths[i].rc, "%s under %s: %d", paths[i].name, paths[i].anchors, rc);
        cr_expect_eq(window.from, paths[i].from, "%s", paths[i].name);
        cr_expect_eq(window.to, paths[i].to, "%s", paths[i].name);
        arena_fini(&arena);
    }
}

Test(x509, one_certificate_sent_twice_does_no_harm)
{
    static uint8_t twice[TLS_FLIGHT_MAX];
    struct x509_anchors anchors = load_anchors("ca.pem");
    pol_bytes list = load_chain("direct.flight");
    struct x509_window window;

    memcpy(twice, list.ptr, list.len);
    memcpy(twice + list.len, list.ptr, list.len);
    cr_expect_eq(x509_verify((pol_bytes){twice, 2 * list.len}, &anchors, &window, &effort), POL_OK);
    arena_fini(&arena);
}

Test(x509, two_certificates_of_one_subject_are_refused)
{
    static uint8_t both[TLS_FLIGHT_MAX];
    struct x509_anchors anchors = load_anchors("ca.pem");
    pol_bytes list = load_chain("direct.flight");
    size_t len = list.len;
    struct x509_window window;

    memcpy(both, list.ptr, len);
    list = load_chain("expired.flight");
    memcpy(both + len, list.ptr, list.len);
    cr_expect_eq(x509_verify((pol_bytes){both, len + list.len}, &anchors, &window, &effort),
                 POL_E_FORMAT);
    arena_fini(&arena);
}

Test(x509, a_chain_with_garbage_in_it_is_refused)
{
    static uint8_t broken[TLS_FLIGHT_MAX];
    struct x509_anchors anchors = load_anchors("ca.pem");
    pol_bytes list = load_chain("direct.flight");
    struct x509_window window;

    memcpy(broken, list.ptr, list.len);
    memcpy(broken + list.len, "\0\0\1x", 4);
    cr_expect_eq(x509_verify((pol_bytes){broken, list.len + 4}, &anchors, &window, &effort),
                 POL_E_FORMAT);
    cr_expect_eq(x509_verify((pol_bytes){broken, list.len + 2}, &anchors, &window, &effort),
                 POL_E_FORMAT);
    cr_expect_eq(x509_verify((pol_bytes){broken, 0}, &anchors, &window, &effort), POL_E_FORMAT);
    arena_fini(&arena);
}

Test(x509, every_altered_octet_of_a_signed_certificate_is_noticed)
{
    static uint8_t bad[TLS_FLIGHT_MAX];
    struct x509_anchors anchors = load_anchors("ca.pem");
    pol_bytes list = load_chain("direct.flight");
    struct x509_window window;

    for (size_t i = 3; i < list.len; i += 7) {
        memcpy(bad, list.ptr, list.len);
        bad[i] ^= 4;
        cr_expect_neq(x509_verify((pol_bytes){bad, list.len}, &anchors, &window, &effort), POL_OK,
                      "octet %zu", i);
    }
    arena_fini(&arena);
}

Test(x509, without_anchors_nothing_is_verified)
{
    struct x509_anchors anchors = {0};
    struct x509_window window;

    cr_expect_eq(x509_verify(load_chain("direct.flight"), &anchors, &window, &effort),
                 POL_E_NOTFOUND);
    arena_init(&arena, &mem_libc);
    cr_expect_eq(x509_anchors_build(&arena, STR("no PEM at all"), &anchors), POL_OK);
    cr_expect_eq(anchors.count, 0);
    arena_fini(&arena);
}

Test(x509, anchors_that_cannot_be_read_are_passed_over)
{
    static char text[8192];
    struct x509_anchors good = load_anchors("ca.pem"), some;
    size_t len;

    len = (size_t)snprintf(text, sizeof(text), "%s%s%s",
                           "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                           (char *)pem.bytes, (char *)pem.bytes);
    cr_assert_eq(x509_anchors_build(&arena, (pol_str){text, len}, &some), POL_OK);
    cr_expect_eq(good.count, 1);
    cr_expect_not(good.partial);
    cr_expect(some.partial);
    cr_expect_eq(some.count, 2);
    cr_expect_neq(good.key, some.key);
    arena_fini(&arena);
}

Test(x509, a_bundle_is_counted_only_if_all_of_it_can_be_read)
{
    static const char garbage[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    uint32_t count = 77;

    flight_load(&pem, "ca.pem");
    cr_expect_eq(x509_count_pem((pol_str){(char *)pem.bytes, pem.len}, &count), POL_OK);
    cr_expect_eq(count, 1);
    memcpy(pem.bytes + pem.len, garbage, sizeof(garbage));
    pem.len += sizeof(garbage) - 1;
    count = 77;
    cr_expect_eq(x509_count_pem((pol_str){(char *)pem.bytes, pem.len}, &count), POL_E_FORMAT);
    cr_expect_eq(count, 77);
}

Test(x509, anchors_need_memory)
{
    static char bundle[200000];
    struct counting counting = {0};
    pol_mem mem = counting_mem(&counting);
    struct x509_anchors anchors;
    size_t len = 0, at = 0;
    int rc = POL_E_NOMEM;

    flight_load(&pem, "rsa-ca.pem");
    for (int i = 0; i < 120; i++, len += pem.len)
        memcpy(bundle + len, pem.bytes, pem.len);
    while (rc == POL_E_NOMEM) {
        counting.requests = 0;
        counting.fail_at = ++at;
        arena_init(&arena, &mem);
        rc = x509_anchors_build(&arena, (pol_str){bundle, len}, &anchors);
        arena_fini(&arena);
        cr_expect_eq(counting.bytes, 0);
    }
    cr_expect_eq(rc, POL_OK);
    cr_expect_eq(anchors.count, 120);
    cr_expect_gt(at, 2, "certificates are kept one by one");
}

/* An RSA key of 2048 bits and the exponent 65537 in DER: SEQUENCE, modulus, exponent. */
#define RSA_KEY_LEN 270

/* A chain of two RSA keys whose issuer's has an exponent of `len` octets. Its modulus is as much
 * shorter, and nothing is signed any more. */
static pol_bytes with_exponent(uint8_t len)
{
    static const uint8_t begin[] = {0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00};
    static uint8_t altered_chain[TLS_FLIGHT_MAX];
    pol_bytes list = load_chain("rsa.flight");
    uint8_t *key = NULL;
    uint32_t modulus = 257 + 3 - len;

    memcpy(altered_chain, list.ptr, list.len);
    for (size_t i = 0; i + RSA_KEY_LEN <= list.len; i++) {
        if (memcmp(altered_chain + i, begin, sizeof(begin)) == 0)
            key = altered_chain + i;
    }
    cr_assert_not_null(key);
    key[6] = (uint8_t)(modulus >> 8);
    key[7] = (uint8_t)modulus;
    key[7 + modulus] |= 1;
    key[8 + modulus] = 2;
    key[9 + modulus] = len;
    memset(key + 10 + modulus, 0x7f, len);
    return (pol_bytes){altered_chain, list.len};
}

/* With an exponent as long as its modulus, one key of 8192 bits costs 400 ms. */
Test(x509, a_key_that_takes_long_is_refused)
{
    struct x509_anchors anchors = load_anchors("rsa-ca.pem");
    struct x509_window window;

    cr_expect_eq(x509_verify(with_exponent(4), &anchors, &window, &effort), POL_E_NOTFOUND);
    cr_expect_eq(x509_verify(with_exponent(5), &anchors, &window, &effort), POL_E_FORMAT);
    cr_expect_eq(x509_verify(with_exponent(120), &anchors, &window, &effort), POL_E_FORMAT);
    arena_fini(&arena);
}

/* A chain of one certificate with a key of brainpoolP256r1. The root of ca.pem issued it, so it
 * says; its signature is made up. */
static const char slow[] =
    "00014f3082014b3081f3a0030201020208091b75842265b1f5300a06082a8648ce3d0403023036310b300906"
    "03550406130255533110300e060355040a0c074578616d706c653115301306035504030c0c4578616d706c65"
    "20526f6f74301e170d3230303130313030303030305a170d3430303130313030303030305a300d310b300906"
    "035504030c026330305a301406072a8648ce3d020106092b24030302080101070342000454ac47fdf79be773"
    "eff75ef340cff6bac2a419cd56e19fb36e9960fd9dc7407222605c544a134b1adbcebd4ded5b2864b47c457a"
    "ea20849c27172fedde4ae777a3133011300f0603551d130101ff040530030101ff300a06082a8648ce3d0403"
    "020347003044022030b39bd17ed4d57b1e2feb89414c343c1027c4d1c386bbc4cd613e30d8f16adf02201f39"
    "0b2018072e8c35bf992dc9e9c616612e7696a6cecc1b78e510617311d8a3";

/* A chain of one self-signed certificate, whose curve is P-256 by its numbers (RFC 3279 2.3.5). */
static const char numbers[] =
    "0002663082026230820207a0030201020214548a93f10cad1b54c0ec2a1bd4ec0d67ef215f20300a06082a86"
    "48ce3d040302300c310a300806035504030c016e301e170d3236313132333034353131375a170d3430303830"
    "313034353131375a300c310a300806035504030c016e3082014b3082010306072a8648ce3d02013081f70201"
    "01302c06072a8648ce3d0101022100ffffffff00000001000000000000000000000000ffffffffffffffffff"
    "ffffff305b0420ffffffff00000001000000000000000000000000fffffffffffffffffffffffc04205ac635"
    "d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b031500c49d360886e704936a6678e1"
    "139d26b7819f7e900441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964f"
    "e342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5022100ffffffff00000000ffff"
    "ffffffffffffbce6faada7179e84f3b9cac2fc63255102010103420004fcc90c21bb9fa76e85564d42e569b9"
    "156d4909ca252233fc5e7ce38a5e8f1e9d5c7bf0fe6bf42125c92ad01f2febf9bc44d75a67c49343f153f9de"
    "4d7547307ca3533051301d0603551d0e04160414d9e5a2c88e4e32923206bccd966a2759bafb4347301f0603"
    "551d23041830168014d9e5a2c88e4e32923206bccd966a2759bafb4347300f0603551d130101ff0405300301"
    "01ff300a06082a8648ce3d0403020349003046022100c334f63bbedf3308abbcdfb3ec48cb79c37cc09bf60d"
    "4a858272660039c530f9022100f18d2dfb73fba63bd91f2687a3002dbf7203a56b614eb7c1796e9772d4329f"
    "29";

static pol_bytes from_hex(const char *hex)
{
    static uint8_t octets[1024];
    size_t len = strlen(hex) / 2;

    cr_assert_leq(len, sizeof(octets));
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(sscanf(hex + 2 * i, "%2hhx", &octets[i]), 1);
    return (pol_bytes){octets, len};
}

Test(x509, slow_curves_are_more_effort)
{
    struct x509_anchors anchors = load_anchors("ca.pem");
    struct x509_window window;

    cr_expect_eq(x509_verify(load_chain("ecdsa.flight"), &anchors, &window, &effort), POL_OK);
    cr_expect_eq(effort, 2, "two keys of P-256");
    cr_expect_eq(x509_verify(from_hex(slow), &anchors, &window, &effort), POL_E_NOTFOUND);
    cr_expect_eq(effort, X509_EFFORT_MAX);
    cr_expect_eq(x509_verify(load_chain("rsa.flight"), &anchors, &window, &effort), POL_E_NOTFOUND);
    cr_expect_eq(effort, 1, "no anchor of this name");
    arena_fini(&arena);
    anchors = load_anchors("rsa-ca.pem");
    cr_expect_eq(x509_verify(load_chain("rsa.flight"), &anchors, &window, &effort), POL_OK);
    cr_expect_leq(effort, 2);
    arena_fini(&arena);
}

/* mbedTLS refuses it. One that reads it does not know the quick reduction for it. */
Test(x509, a_curve_by_its_numbers_is_never_cheap)
{
    struct x509_anchors anchors = load_anchors("ca.pem");
    struct x509_window window;
    int rc = x509_verify(from_hex(numbers), &anchors, &window, &effort);

    cr_expect(rc == POL_E_FORMAT || effort == X509_EFFORT_MAX, "%d, effort %u", rc, effort);
    arena_fini(&arena);
}
