/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_server.h"

#include "wire/x509.h"

#define RANDOM_LEN             32
#define SESSION_ID_MAX         32
#define EXT_SUPPORTED_VERSIONS 43
#define TLS12                  0x0303
#define TLS13                  0x0304

enum record { RECORD_CHANGE_CIPHER_SPEC = 20, RECORD_ALERT = 21 };

enum alert { ALERT_LEN = 7, ALERT_WARNING = 1, ALERT_FATAL = 2, ALERT_CLOSE_NOTIFY = 0 };

enum message { SERVER_HELLO = 2, CERTIFICATE = 11 };

static void require(struct tls_reader *in, bool holds)
{
    if (!holds)
        tls_reader_fail(in, TLS_HELLO_MALFORMED);
}

/* The verdict for a reader that has met a problem. */
static enum tls_server_verdict failed(const struct tls_reader *in)
{
    if (in->verdict == TLS_HELLO_MORE)
        return TLS_SERVER_MORE;
    return in->verdict == TLS_HELLO_NOT_TLS ? TLS_SERVER_NOT_TLS : TLS_SERVER_MALFORMED;
}

/* Between two messages: whether the next octet begins a record of this type. */
static bool at_record(const struct tls_reader *in, enum record type)
{
    return in->record_left == 0 && cursor_left(&in->in) > 0 && in->in.at[0] == type;
}

/* RFC 5246 7.2. Before its ServerHello, a server may warn that it does not know the name asked for
 * (RFC 6066 3). */
static enum tls_server_verdict read_alerts(struct tls_reader *in)
{
    while (at_record(in, RECORD_ALERT)) {
        pol_bytes alert = cursor_take(&in->in, ALERT_LEN);

        if (!alert.ptr)
            return TLS_SERVER_MORE;
        if (alert.ptr[1] != 3)
            return in->at == 0 ? TLS_SERVER_NOT_TLS : TLS_SERVER_MALFORMED;
        if (alert.ptr[3] != 0 || alert.ptr[4] != 2 ||
            (alert.ptr[5] != ALERT_WARNING && alert.ptr[5] != ALERT_FATAL))
            return TLS_SERVER_MALFORMED;
        if (alert.ptr[5] == ALERT_FATAL || alert.ptr[6] == ALERT_CLOSE_NOTIFY)
            return TLS_SERVER_REFUSED;
    }
    return TLS_SERVER_COMPLETE;
}

/* RFC 8446 4.2.1: only TLS 1.3 is chosen with this extension. */
static void read_extensions(struct tls_reader *in, struct tls_server *server)
{
    uint32_t outer = tls_reader_open(in, tls_read_u16(in));

    while (tls_reader_has(in)) {
        uint16_t type = tls_read_u16(in);
        uint32_t extensions_end = tls_reader_open(in, tls_read_u16(in));

        if (type == EXT_SUPPORTED_VERSIONS) {
            server->version = tls_read_u16(in);
            require(in, server->version == TLS13);
        } else {
            tls_read(in, NULL, in->end - in->at);
        }
        tls_reader_close(in, extensions_end);
    }
    tls_reader_close(in, outer);
}

static void read_hello(struct tls_reader *in, struct tls_server *server)
{
    uint32_t outer = tls_reader_open(in, tls_read_u24(in));
    uint8_t len;

    server->version = tls_read_u16(in);
    require(in, server->version >> 8 == 3 && server->version <= TLS12);
    tls_read(in, NULL, RANDOM_LEN);

    len = tls_read_u8(in);
    require(in, len <= SESSION_ID_MAX);
    tls_read(in, NULL, len);

    tls_read(in, NULL, 2 + 1); /* cipher_suite, compression_method */
    if (tls_reader_has(in))
        read_extensions(in, server);
    tls_reader_close(in, outer);
}

/* RFC 5246 7.4.2 */
static void read_chain(struct tls_reader *in, uint8_t *chain, struct tls_server *server)
{
    uint32_t outer = tls_reader_open(in, tls_read_u24(in));
    uint32_t len = tls_read_u24(in);
    struct cursor list;
    pol_bytes der;

    require(in, len > 0 && len <= TLS_FLIGHT_MAX);
    if (in->verdict != TLS_HELLO_COMPLETE)
        return;
    tls_read(in, chain, len);
    tls_reader_close(in, outer);
    if (in->verdict != TLS_HELLO_COMPLETE)
        return;

    list = cursor_of((pol_bytes){chain, len});
    while (server->count <= TLS_CERTIFICATES_MAX && tls_chain_next(&list, &der))
        server->count++;
    require(in, !list.failed && server->count <= TLS_CERTIFICATES_MAX);
    server->chain_len = len;
}

enum tls_server_verdict tls_server_read(pol_bytes stream, uint8_t chain[TLS_FLIGHT_MAX],
                                        struct tls_server *ret_server)
{
    struct tls_reader in = tls_reader_of(stream);
    struct tls_server server = {.count = 0};
    enum tls_server_verdict verdict = read_alerts(&in);

    if (verdict != TLS_SERVER_COMPLETE)
        return verdict;
    if (tls_read_u8(&in) != SERVER_HELLO)
        tls_reader_fail(&in, TLS_HELLO_NOT_TLS);
    read_hello(&in, &server);
    if (in.verdict != TLS_HELLO_COMPLETE)
        return failed(&in);
    server.stream_len = (size_t)(in.in.at - stream.ptr);
    if (server.version == TLS13) {
        *ret_server = server;
        return TLS_SERVER_HIDDEN;
    }

    verdict = read_alerts(&in);
    if (verdict != TLS_SERVER_COMPLETE)
        return verdict;
    /* RFC 5246 7.3: an abbreviated handshake goes on with ChangeCipherSpec, perhaps with a
     * NewSessionTicket before it (RFC 5077 3.1). */
    if (at_record(&in, RECORD_CHANGE_CIPHER_SPEC))
        return TLS_SERVER_ABSENT;
    if (tls_read_u8(&in) != CERTIFICATE && in.verdict == TLS_HELLO_COMPLETE)
        return TLS_SERVER_ABSENT;
    read_chain(&in, chain, &server);
    if (in.verdict != TLS_HELLO_COMPLETE)
        return failed(&in);

    server.stream_len = (size_t)(in.in.at - stream.ptr);
    if (server.stream_len > TLS_FLIGHT_MAX)
        return TLS_SERVER_MALFORMED;
    *ret_server = server;
    return TLS_SERVER_COMPLETE;
}

bool tls_chain_next(struct cursor *chain, pol_bytes *ret_der)
{
    uint32_t len;

    if (cursor_left(chain) == 0)
        return false;
    len = cursor_u24(chain);
    *ret_der = cursor_take(chain, len);
    chain->failed |= len == 0;
    return !chain->failed;
}

int pol_tls_certificate(pol_bytes stream, pol_certificate *ret_certificate)
{
    uint8_t chain[TLS_FLIGHT_MAX];
    struct tls_server server;
    struct cursor list;
    pol_bytes leaf;
    int rc;

    switch (tls_server_read(stream, chain, &server)) {
    case TLS_SERVER_COMPLETE:
        list = cursor_of((pol_bytes){chain, server.chain_len});
        (void)tls_chain_next(&list, &leaf);
        rc = x509_read(leaf, ret_certificate);
        if (rc == POL_OK)
            ret_certificate->version = server.version;
        return rc;
    case TLS_SERVER_MORE:
        return POL_E_TRUNCATED;
    case TLS_SERVER_MALFORMED:
        return POL_E_FORMAT;
    default:
        return POL_E_NOTFOUND;
    }
}
