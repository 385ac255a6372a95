/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crypto library's view of a certificate. Its structures are read where they are public in 2.28
 * and 3.6 alike; which attributes of a subject stand together (RFC 4514 2.2) is not, so subjects
 * are walked here, with its ASN.1 reader.
 *
 * mbedtls_x509_crt_verify() asks the system what day it is. Its answer is masked, and the validity
 * of every certificate on the path is handed to the caller instead.
 */
#include "wire/x509.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/oid.h>
#include <mbedtls/rsa.h>
#include <mbedtls/x509_crt.h>

#include "base/crypto.h"
#include "wire/certname.h"
#include "wire/tls_server.h"

#define DNS_NAME (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2) /* RFC 5280 4.2.1.6 */
#define SET      (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)
#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)

static int status_of(int rc)
{
    if (rc == 0)
        return POL_OK;
    return rc == MBEDTLS_ERR_X509_ALLOC_FAILED ||
                   rc == MBEDTLS_ERR_X509_ALLOC_FAILED + MBEDTLS_ERR_ASN1_ALLOC_FAILED
               ? POL_E_NOMEM
               : POL_E_FORMAT;
}

/*
 * mbedTLS hides a lack of memory behind other errors: an RSA key that finds no room is an invalid
 * key, a signature that finds none is a wrong one, and one certificate of several is merely counted
 * as unreadable. So what cannot be read is believed only if it cannot be read a second time, while
 * memory can be had.
 */
static bool memory_is_there(size_t octets)
{
    void *volatile memory = malloc(octets); /* or the compiler leaves the question out */
    bool there = memory != NULL;

    free(memory);
    return there;
}

/* Appends a certificate to a chain. The crypto library overlooks what stands behind one; those who
 * compare fingerprints do not. */
static int parse_der(mbedtls_x509_crt *chain, pol_bytes der)
{
    int rc = status_of(mbedtls_x509_crt_parse_der(chain, der.ptr, der.len));

    if (rc == POL_E_FORMAT)
        rc = memory_is_there(der.len + 1)
                 ? status_of(mbedtls_x509_crt_parse_der(chain, der.ptr, der.len))
                 : POL_E_NOMEM;
    while (chain->next)
        chain = chain->next;
    return rc == POL_OK && chain->raw.len != der.len ? POL_E_FORMAT : rc;
}

/* --- anchors -------------------------------------------------------------------------------- */

/* POL_OK, POL_E_NOMEM, or POL_E_FORMAT if any certificate cannot be read; the others are there. */
static int parse_pem(pol_str pem, mbedtls_x509_crt *ret_chain, uint32_t *ret_count)
{
    const unsigned char *text = (const unsigned char *)pem.ptr;
    int rc = mbedtls_x509_crt_parse(ret_chain, text, pem.len + 1);

    if (rc != 0) {
        mbedtls_x509_crt_free(ret_chain);
        mbedtls_x509_crt_init(ret_chain);
        if (!memory_is_there(pem.len + 1))
            return POL_E_NOMEM;
        rc = mbedtls_x509_crt_parse(ret_chain, text, pem.len + 1);
    }
    *ret_count = 0;
    for (const mbedtls_x509_crt *crt = ret_chain; crt && crt->raw.p; crt = crt->next)
        ++*ret_count;
    return rc == 0 ? POL_OK : POL_E_FORMAT;
}

int x509_count_pem(pol_str pem, uint32_t *ret_count)
{
    mbedtls_x509_crt chain;
    uint32_t count;
    int rc;

    mbedtls_x509_crt_init(&chain);
    rc = parse_pem(pem, &chain, &count);
    mbedtls_x509_crt_free(&chain);
    if (rc == POL_OK)
        *ret_count = count;
    return rc;
}

static int keep_anchor(struct arena *arena, const mbedtls_x509_crt *crt, struct x509_anchor *ret)
{
    uint8_t *der = arena_alloc(arena, crt->raw.len);

    if (!der)
        return POL_E_NOMEM;
    memcpy(der, crt->raw.p, crt->raw.len);
    ret->der = (pol_bytes){der, crt->raw.len};
    ret->subject =
        (pol_bytes){der + (crt->subject_raw.p - crt->raw.p), (size_t)crt->subject_raw.len};
    return POL_OK;
}

static uint64_t first_octets(const uint8_t sha256[32])
{
    uint64_t key = 0;

    for (int i = 0; i < 8; i++)
        key = key << 8 | sha256[i];
    return key;
}

int x509_anchors_build(struct arena *arena, pol_str pem, struct x509_anchors *ret_anchors)
{
    struct x509_anchor *items;
    mbedtls_x509_crt chain;
    uint8_t sha256[32] = {0};
    uint32_t count = 0;
    bool partial;
    int rc;

    mbedtls_x509_crt_init(&chain);
    rc = parse_pem(pem, &chain, &count);
    if (rc == POL_E_NOMEM)
        return rc;
    partial = rc < 0;
    items = arena_array(arena, count, sizeof(*items));
    rc = items ? POL_OK : POL_E_NOMEM;
    count = 0;
    for (const mbedtls_x509_crt *crt = &chain; rc == POL_OK && crt && crt->raw.p; crt = crt->next)
        rc = keep_anchor(arena, crt, &items[count++]);
    mbedtls_x509_crt_free(&chain);
    if (rc == POL_OK)
        rc = crypto_sha256((pol_bytes){(const uint8_t *)pem.ptr, pem.len}, sha256);
    if (rc < 0)
        return rc;
    *ret_anchors = (struct x509_anchors){items, count, partial, first_octets(sha256)};
    return POL_OK;
}

/* --- facts ---------------------------------------------------------------------------------- */

/* RFC 5280 4.1.2.5; days from the civil date, every era of 400 years being equal. */
static pol_wall wall_of(const mbedtls_x509_time *time, unsigned ms)
{
    int64_t year = time->mon <= 2 ? time->year - 1 : time->year;
    int64_t month = (time->mon + 9) % 12; /* from March */
    int64_t era = year / 400, of_era = year % 400;
    int64_t day = (153 * month + 2) / 5 + time->day - 1;
    int64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day - 719468;
    int64_t seconds = ((days * 24 + time->hour) * 60 + time->min) * 60 + time->sec;

    return seconds < 0 ? 0 : (pol_wall)seconds * 1000 + ms;
}

static void keep_name(pol_certificate *out, pol_bytes value, bool dns, uint32_t *count)
{
    char name[CERTNAME_TEXT];
    uint8_t len;

    if (!certname_text(value, dns, name, &len) || out->names_len + len >= sizeof(out->names))
        return;
    memcpy(out->names + out->names_len, name, (size_t)len + 1);
    out->names_len += (uint32_t)len + 1;
    ++*count;
}

static void read_alternative_names(const mbedtls_x509_crt *crt, pol_certificate *out)
{
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san; san = san->next) {
        if (san->buf.tag == DNS_NAME)
            keep_name(out, (pol_bytes){san->buf.p, san->buf.len}, true, &out->san_count);
    }
}

/* Encodings in which an octet below 0x80 is that character of ASCII. */
static bool is_text(int tag)
{
    return tag == MBEDTLS_ASN1_UTF8_STRING || tag == MBEDTLS_ASN1_PRINTABLE_STRING ||
           tag == MBEDTLS_ASN1_IA5_STRING || tag == MBEDTLS_ASN1_T61_STRING;
}

/* The subject while it is being written. */
struct subject {
    char text[POL_CERTIFICATE_SUBJECT];
    size_t len;
    bool unfit; /* too long, or what it says could be meant in two ways */
};

static void put(struct subject *out, pol_str text)
{
    if (out->unfit || text.len >= sizeof(out->text) - out->len) {
        out->unfit = true;
        return;
    }
    memcpy(out->text + out->len, text.ptr, text.len);
    out->len += text.len;
}

/* Values are compared as they stand, unescaped, so one that contains what looks like a further
 * attribute makes the subject that of somebody else. */
static bool may_mislead(pol_str value)
{
    bool apart = false;

    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = (uint8_t)value.ptr[i];

        if (c < ' ' || c == 0x7f || (apart && c == '='))
            return true;
        apart |= c == ',' || c == '+';
    }
    return false;
}

static void put_attribute(struct subject *out, const mbedtls_asn1_buf *oid, int tag, pol_str value)
{
    char numbers[64] = "";
    const char *name = numbers;

    if (mbedtls_oid_get_attr_short_name(oid, &name) != 0)
        out->unfit |= mbedtls_oid_get_numeric_string(numbers, sizeof(numbers), oid) < 0;
    out->unfit |= !is_text(tag) || may_mislead(value);
    put(out, str_of(name));
    put(out, STR("="));
    put(out, value);
}

/* The next element, of type `tag` if that is not 0; false at the end. */
static bool take(mbedtls_asn1_buf *in, int tag, mbedtls_asn1_buf *ret)
{
    unsigned char *at = in->p, *end = in->p + in->len;

    ret->tag = in->len ? *at : 0;
    if (mbedtls_asn1_get_tag(&at, end, &ret->len, tag ? tag : ret->tag) != 0)
        return false;
    ret->p = at;
    in->p = at + ret->len;
    in->len = (size_t)(end - in->p);
    return true;
}

static void read_attribute(mbedtls_asn1_buf *pair, struct subject *subject, pol_certificate *out)
{
    mbedtls_asn1_buf oid, value;

    /* Both are there, or the certificate would not have been parsed. */
    if (take(pair, MBEDTLS_ASN1_OID, &oid) && take(pair, 0, &value)) {
        put_attribute(subject, &oid, value.tag, (pol_str){(char *)value.p, value.len});
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &oid) == 0 && is_text(value.tag))
            keep_name(out, (pol_bytes){value.p, value.len}, false, &out->cn_count);
    }
}

/* RFC 5280 4.1.2.4: a SEQUENCE of SETs of SEQUENCEs of OID and value. */
static void read_subject(const mbedtls_x509_crt *crt, pol_certificate *out)
{
    struct subject subject = {.len = 0};
    mbedtls_asn1_buf raw = crt->subject_raw, name = {0}, rdn, pair;

    (void)take(&raw, SEQUENCE, &name);
    for (const char *apart = ""; take(&name, SET, &rdn); apart = ",") {
        for (; take(&rdn, SEQUENCE, &pair); apart = "+") {
            put(&subject, str_of(apart));
            read_attribute(&pair, &subject, out);
        }
    }
    if (subject.unfit)
        return;
    out->subject_len =
        (uint16_t)certname_tighten((pol_str){subject.text, subject.len}, out->subject);
    out->subject[out->subject_len] = '\0';
}

int x509_read(pol_bytes der, pol_certificate *ret_certificate)
{
    pol_certificate *out = ret_certificate;
    mbedtls_x509_crt crt;
    uint8_t sha256[32];
    int rc;

    mbedtls_x509_crt_init(&crt);
    rc = parse_der(&crt, der);
    if (rc == POL_OK)
        rc = crypto_sha256(der, sha256);
    if (rc == POL_OK) {
        memset(out, 0, offsetof(pol_certificate, names));
        memcpy(out->sha256, sha256, sizeof(sha256));
        out->not_before = wall_of(&crt.valid_from, 0);
        out->not_after = wall_of(&crt.valid_to, 999);
        read_alternative_names(&crt, out);
        read_subject(&crt, out);
    }
    mbedtls_x509_crt_free(&crt);
    return rc;
}

/* --- verification --------------------------------------------------------------------------- */

static bool same(const mbedtls_x509_buf *a, const mbedtls_x509_buf *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

static bool subject_again(const mbedtls_x509_crt *chain, const mbedtls_x509_crt *last)
{
    for (; chain != last; chain = chain->next) {
        if (same(&chain->subject_raw, &last->subject_raw))
            return true;
    }
    return false;
}

/* A server that sends one certificate twice means no harm. */
static bool octets_again(const mbedtls_x509_crt *chain, pol_bytes der)
{
    for (; chain && chain->raw.p; chain = chain->next) {
        if (chain->raw.len == der.len && memcmp(chain->raw.p, der.ptr, der.len) == 0)
            return true;
    }
    return false;
}

/*
 * What an RSA signature costs grows with the public exponent, which may be as long as the modulus:
 * 400 ms at 8192 bits. Nobody issues more than 32 bits of it, and other libraries refuse them, too.
 */
static bool takes_long(const mbedtls_x509_crt *crt)
{
    uint8_t exponent[4];

    return mbedtls_pk_can_do(&crt->pk, MBEDTLS_PK_RSA) &&
           mbedtls_rsa_export_raw(mbedtls_pk_rsa(crt->pk), NULL, 0, NULL, 0, NULL, 0, NULL, 0,
                                  exponent, sizeof(exponent)) != 0;
}

static bool is_curve(const mbedtls_asn1_buf *oid, const char *curve, size_t len)
{
    return oid->len == len && memcmp(oid->p, curve, len) == 0;
}
#define IS_CURVE(oid, curve) is_curve(oid, curve, MBEDTLS_OID_SIZE(curve))

static bool is_quick(const mbedtls_asn1_buf *curve)
{
    return IS_CURVE(curve, MBEDTLS_OID_EC_GRP_SECP256R1) ||
           IS_CURVE(curve, MBEDTLS_OID_EC_GRP_SECP384R1) ||
           IS_CURVE(curve, MBEDTLS_OID_EC_GRP_SECP521R1);
}

static bool named_curve(const mbedtls_x509_crt *crt, mbedtls_asn1_buf *ret_curve)
{
    mbedtls_asn1_buf raw = crt->pk_raw, key, algorithm, oid;

    return take(&raw, SEQUENCE, &key) && take(&key, SEQUENCE, &algorithm) &&
           take(&algorithm, MBEDTLS_ASN1_OID, &oid) &&
           take(&algorithm, MBEDTLS_ASN1_OID, ret_curve);
}

/*
 * What a signature of this key costs. Curves without a quick reduction take up to 14 times as long
 * as P-256, and so might one that is given by its numbers: mbedTLS up to 3.6 means to read those
 * (RFC 3279 2.3.5) and refuses them all.
 */
static uint32_t effort_of(const mbedtls_x509_crt *crt)
{
    mbedtls_asn1_buf curve;

    if (mbedtls_pk_can_do(&crt->pk, MBEDTLS_PK_RSA))
        return 1;
    if (!named_curve(crt, &curve) || !is_quick(&curve))
        return X509_EFFORT_MAX;
    return IS_CURVE(&curve, MBEDTLS_OID_EC_GRP_SECP256R1) ? 1 : 2;
}

static int parse_chain(pol_bytes list, mbedtls_x509_crt *ret_chain, uint32_t *effort)
{
    struct cursor in = cursor_of(list);
    pol_bytes der;

    while (tls_chain_next(&in, &der)) {
        const mbedtls_x509_crt *last = ret_chain;
        int rc;

        if (octets_again(ret_chain, der))
            continue;
        rc = parse_der(ret_chain, der);
        if (rc < 0)
            return rc;
        while (last->next)
            last = last->next;
        if (subject_again(ret_chain, last) || takes_long(last))
            return POL_E_FORMAT;
        *effort += effort_of(last);
    }
    return in.failed || list.len == 0 ? POL_E_FORMAT : POL_OK;
}

static bool issues_any(const struct x509_anchor *anchor, const mbedtls_x509_crt *chain)
{
    for (; chain; chain = chain->next) {
        if (chain->issuer_raw.len == anchor->subject.len &&
            memcmp(chain->issuer_raw.p, anchor->subject.ptr, anchor->subject.len) == 0)
            return true;
    }
    return false;
}

/* Only those that have issued something in the chain: of a system's 150 anchors, that is one. */
static int parse_anchors(const struct x509_anchors *anchors, const mbedtls_x509_crt *chain,
                         mbedtls_x509_crt *ret_trusted)
{
    int rc = POL_OK;

    for (uint32_t i = 0; i < anchors->count && rc == POL_OK; i++) {
        if (issues_any(&anchors->items[i], chain))
            rc = parse_der(ret_trusted, anchors->items[i].der);
    }
    return rc == POL_OK && !ret_trusted->raw.p ? POL_E_NOTFOUND : rc;
}

/* Called for every certificate of the path that was found. */
static int note_validity(void *user, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct x509_window *window = user;
    pol_wall from = wall_of(&crt->valid_from, 0), to = wall_of(&crt->valid_to, 999);

    (void)depth;
    if (from > window->from)
        window->from = from;
    if (to < window->to)
        window->to = to;
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    return 0;
}

int x509_verify(pol_bytes list, const struct x509_anchors *anchors, struct x509_window *ret_window,
                uint32_t *ret_effort)
{
    struct x509_window window = {0, UINT64_MAX};
    mbedtls_x509_crt chain, trusted;
    uint32_t flags, effort = 0;
    int rc;

    mbedtls_x509_crt_init(&chain);
    mbedtls_x509_crt_init(&trusted);
    rc = parse_chain(list, &chain, &effort);
    if (rc == POL_OK)
        rc = parse_anchors(anchors, &chain, &trusted);
    *ret_effort = rc == POL_OK ? effort : 1;
    if (rc == POL_OK &&
        mbedtls_x509_crt_verify(&chain, &trusted, NULL, NULL, &flags, note_validity, &window) != 0)
        rc = memory_is_there(list.len) ? POL_E_NOTFOUND : POL_E_NOMEM;
    if (rc == POL_OK)
        *ret_window = window;
    mbedtls_x509_crt_free(&trusted);
    mbedtls_x509_crt_free(&chain);
    return rc;
}
