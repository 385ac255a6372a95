/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_hello.h"

#include <libpolicy/tls.h>

#define HANDSHAKE_CLIENT_HELLO 1
#define HANDSHAKE_HEADER       4
#define RANDOM_LEN             32
#define SESSION_ID_MAX         32
#define NAME_TYPE_HOST         0 /* RFC 6066 3 */
#define RECORD_ALERT           21
#define TLS12                  0x0303
#define TLS13                  0x0304

enum extension {
    EXT_SERVER_NAME = 0,
    EXT_ALPN = 16,
    EXT_SUPPORTED_VERSIONS = 43,
    EXT_ECH = 0xfe0d /* encrypted_client_hello; browsers also send a meaningless one */
};

static void require(struct tls_reader *in, bool holds)
{
    if (!holds)
        tls_reader_fail(in, TLS_HELLO_MALFORMED);
}

/* RFC 6066 3 wants a DNS host name in ASCII. Addresses are sent here all the same and are as good
 * a name as any. A backslash would be taken for an escape below. */
static bool is_host_text(const uint8_t *octets, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (octets[i] <= ' ' || octets[i] >= 0x7f || octets[i] == '\\')
            return false;
    }
    return true;
}

/* Exactly one entry, of type host_name. */
static void read_server_name(struct tls_reader *in, struct tls_hello *hello)
{
    uint8_t host[DNSNAME_TEXT];
    uint32_t outer = tls_reader_open(in, tls_read_u16(in));
    uint8_t type = tls_read_u8(in);
    uint16_t len = tls_read_u16(in);

    require(in, type == NAME_TYPE_HOST && len > 0 && len < sizeof(host));
    if (in->verdict != TLS_HELLO_COMPLETE)
        return;

    tls_read(in, host, len);
    tls_reader_close(in, outer);
    if (in->verdict != TLS_HELLO_COMPLETE)
        return;

    require(in, is_host_text(host, len) &&
                    dnsname_normalise((pol_str){(char *)host, len}, hello->sni, &hello->sni_len) ==
                        POL_OK);
    require(in, !str_equal((pol_str){hello->sni, hello->sni_len}, STR(".")));
}

/* Keeps a protocol unless an earlier one did not fit: what is kept are the first ones. */
static bool keep_protocol(struct tls_hello *hello, const uint8_t *protocol, uint8_t len)
{
    if (hello->alpn_len + 1 + len > TLS_HELLO_ALPN)
        return false;
    hello->alpn[hello->alpn_len] = len;
    memcpy(hello->alpn + hello->alpn_len + 1, protocol, len);
    hello->alpn_len = (uint8_t)(hello->alpn_len + 1 + len);
    return true;
}

/* RFC 7301 3.1 */
static void read_alpn(struct tls_reader *in, struct tls_hello *hello)
{
    uint8_t protocol[UINT8_MAX];
    uint32_t outer = tls_reader_open(in, tls_read_u16(in));
    bool room = true;

    require(in, tls_reader_has(in));
    while (tls_reader_has(in)) {
        uint8_t len = tls_read_u8(in);

        require(in, len > 0);
        tls_read(in, protocol, len);
        hello->alpn_count++;
        room = room && keep_protocol(hello, protocol, len);
    }
    tls_reader_close(in, outer);
}

/* RFC 8446 4.2.1. Only versions that exist count: GREASE (RFC 8701) looks like a huge one. */
static void read_versions(struct tls_reader *in, struct tls_hello *hello)
{
    uint32_t outer = tls_reader_open(in, tls_read_u8(in));
    uint16_t highest = 0;

    require(in, tls_reader_has(in));
    while (tls_reader_has(in)) {
        uint16_t version = tls_read_u16(in);

        if (version <= TLS13 && version > highest)
            highest = version;
    }
    tls_reader_close(in, outer);
    if (highest)
        hello->version = highest;
}

static void read_extension(struct tls_reader *in, uint16_t type, struct tls_hello *hello)
{
    switch (type) {
    case EXT_SERVER_NAME:
        read_server_name(in, hello);
        break;
    case EXT_ALPN:
        read_alpn(in, hello);
        break;
    case EXT_SUPPORTED_VERSIONS:
        read_versions(in, hello);
        break;
    case EXT_ECH:
        hello->ech = true;
        tls_read(in, NULL, in->end - in->at);
        break;
    default:
        tls_read(in, NULL, in->end - in->at);
        break;
    }
}

static bool seen_before(const uint16_t *seen, size_t count, uint16_t type)
{
    for (size_t i = 0; i < count; i++) {
        if (seen[i] == type)
            return true;
    }
    return false;
}

static void read_extensions(struct tls_reader *in, struct tls_hello *hello)
{
    uint16_t seen[TLS_HELLO_EXTENSIONS];
    size_t count = 0;
    uint32_t outer = tls_reader_open(in, tls_read_u16(in));

    while (tls_reader_has(in)) {
        uint16_t type = tls_read_u16(in);
        uint32_t extensions_end = tls_reader_open(in, tls_read_u16(in));

        require(in, count < TLS_HELLO_EXTENSIONS && !seen_before(seen, count, type));
        if (in->verdict != TLS_HELLO_COMPLETE)
            return;
        seen[count++] = type;
        read_extension(in, type, hello);
        tls_reader_close(in, extensions_end);
    }
    tls_reader_close(in, outer);
}

/* RFC 8446 4.1.2 */
static void read_body(struct tls_reader *in, struct tls_hello *hello)
{
    uint16_t version = tls_read_u16(in);
    uint16_t len;

    require(in, version >> 8 == 3);
    hello->version = version < TLS12 ? version : TLS12;
    tls_read(in, NULL, RANDOM_LEN);

    len = tls_read_u8(in);
    require(in, len <= SESSION_ID_MAX);
    tls_read(in, NULL, len);

    len = tls_read_u16(in); /* cipher_suites */
    require(in, len >= 2 && len % 2 == 0);
    tls_read(in, NULL, len);

    len = tls_read_u8(in); /* compression_methods */
    require(in, len >= 1);
    tls_read(in, NULL, len);

    /* Before RFC 3546 there were no extensions, and a hello may still end here. */
    if (tls_reader_has(in))
        read_extensions(in, hello);
}

/*
 * Some servers pass over warnings before the ClientHello and read the hello behind them; clients
 * have nothing to warn of. So an alert in the clear, whose record is two octets long (RFC 8446 6),
 * is no other protocol but a broken beginning. Longer ones are encrypted: their connection is old.
 */
static enum tls_hello_verdict read_alert(pol_bytes stream)
{
    static const uint8_t most[] = {RECORD_ALERT, TLS_MAJOR_MAX, UINT8_MAX, 0, 2};

    for (size_t i = 0; i < sizeof(most); i++) {
        if (i == stream.len)
            return TLS_HELLO_MORE;
        if (stream.ptr[i] > most[i])
            return TLS_HELLO_NOT_TLS;
    }
    return TLS_HELLO_MALFORMED;
}

enum tls_hello_verdict tls_hello_read(pol_bytes stream, struct tls_hello *ret_hello)
{
    struct tls_reader in = tls_reader_of(stream);
    struct tls_hello hello = {.sni_len = 0};
    uint32_t len, outer;

    if (stream.len && stream.ptr[0] == RECORD_ALERT)
        return read_alert(stream);
    if (tls_read_u8(&in) != HANDSHAKE_CLIENT_HELLO)
        tls_reader_fail(&in, TLS_HELLO_NOT_TLS);
    len = tls_read_u24(&in);
    require(&in, len <= TLS_HELLO_MAX - HANDSHAKE_HEADER);

    outer = tls_reader_open(&in, len);
    read_body(&in, &hello);
    tls_reader_close(&in, outer);
    if (in.verdict != TLS_HELLO_COMPLETE)
        return in.verdict;

    hello.hello_len = HANDSHAKE_HEADER + len;
    hello.stream_len = (size_t)(in.in.at - stream.ptr);
    *ret_hello = hello;
    return TLS_HELLO_COMPLETE;
}

bool tls_hello_offers(const struct tls_hello *hello, pol_str protocol)
{
    for (size_t at = 0; at < hello->alpn_len; at += 1 + (size_t)hello->alpn[at]) {
        if (str_equal((pol_str){(const char *)hello->alpn + at + 1, hello->alpn[at]}, protocol))
            return true;
    }
    return false;
}

int pol_tls_server_name(pol_bytes stream, char name[POL_NAME_MAX + 1], size_t *ret_len)
{
    struct tls_hello hello;

    switch (tls_hello_read(stream, &hello)) {
    case TLS_HELLO_COMPLETE:
        memcpy(name, hello.sni, (size_t)hello.sni_len + 1);
        *ret_len = hello.sni_len;
        return POL_OK;
    case TLS_HELLO_MORE:
        return POL_E_TRUNCATED;
    case TLS_HELLO_NOT_TLS:
        return POL_E_NOTFOUND;
    default:
        return POL_E_FORMAT;
    }
}
