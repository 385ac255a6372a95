/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the input as the start of a server's stream, or, if it begins like one, as a certificate.
 * Of a stream: a verdict on a prefix is final unless it is MORE, a Certificate is complete at its
 * last octet and not before, and how it is cut into records changes nothing. Of a certificate: what
 * is read of it keeps to the form that conditions rely on, and nothing is verified that cannot be
 * read.
 */
#include "wire/tls_server.h"

#include <stdlib.h>

#include "base/mem.h"
#include "flight.h"
#include "wire/x509.h"

#define RECORD_HEADER 5
#define RECORD_ALERT  21
#define ALERT_LEN     7
#define DER_SEQUENCE  0x30

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint8_t scratch[TLS_FLIGHT_MAX];

static enum tls_server_verdict read(const uint8_t *stream, size_t len, struct tls_server *server)
{
    return tls_server_read((pol_bytes){stream, len}, scratch, server);
}

static void check_prefixes(pol_bytes stream, enum tls_server_verdict whole, size_t stream_len)
{
    enum tls_server_verdict last = TLS_SERVER_MORE;
    struct tls_server server;

    for (size_t len = 0; len <= stream.len && len < 3000; len += 1 + stream.len % 7) {
        enum tls_server_verdict verdict = read(stream.ptr, len, &server);

        require(last == TLS_SERVER_MORE || verdict == last);
        require(verdict == TLS_SERVER_MORE || verdict == whole);
        require(whole != TLS_SERVER_COMPLETE || (verdict == whole) == (len >= stream_len));
        last = verdict;
    }
}

/* The same messages in records of one length. */
static void check_rewrapped(pol_bytes stream, const struct tls_server *server, pol_bytes chain,
                            size_t part)
{
    static uint8_t messages[TLS_FLIGHT_MAX], wrapped[TLS_FLIGHT_MAX * (1 + RECORD_HEADER)];
    struct tls_reader in = tls_reader_of(stream);
    struct tls_server again;
    size_t len = 0, total = 0;

    while (in.verdict == TLS_HELLO_COMPLETE && in.in.at < stream.ptr + server->stream_len) {
        if (in.record_left == 0 && in.in.at[0] == RECORD_ALERT)
            cursor_skip(&in.in, ALERT_LEN);
        else
            messages[total++] = tls_read_u8(&in);
    }
    for (size_t at = 0; at < total; at += part) {
        size_t left = total - at, take = left < part ? left : part;
        uint8_t header[RECORD_HEADER] = {22, 3, 3, (uint8_t)(take >> 8), (uint8_t)take};

        memcpy(wrapped + len, header, sizeof(header));
        memcpy(wrapped + len + sizeof(header), messages + at, take);
        len += sizeof(header) + take;
    }
    if (len > TLS_FLIGHT_MAX)
        return;
    require(read(wrapped, len, &again) == TLS_SERVER_COMPLETE);
    require(again.stream_len == len && again.chain_len == server->chain_len);
    require(again.count == server->count && again.version == server->version);
    require(memcmp(scratch, chain.ptr, chain.len) == 0);
}

static void check_names(const pol_certificate *certificate)
{
    const char *at = certificate->names, *end = at + certificate->names_len;
    uint32_t count = 0;

    for (; at < end; count++) {
        size_t len = strlen(at);

        require(len > 0 && len <= 255 && at[len - 1] != '.');
        for (size_t i = 0; i < len; i++) {
            uint8_t c = (uint8_t)at[i];

            require(c >= ' ' && c != 0x7f && !(c >= 'A' && c <= 'Z'));
            require(count >= certificate->san_count || (c > ' ' && c < 0x7f));
        }
        at += len + 1;
    }
    require(at == end && count == certificate->san_count + certificate->cn_count);
}

static void check_certificate(pol_bytes der)
{
    static pol_certificate certificate;

    if (x509_read(der, &certificate) != POL_OK)
        return;
    check_names(&certificate);
    require(certificate.subject_len < sizeof(certificate.subject));
    require(strlen(certificate.subject) == certificate.subject_len);
}

static const struct x509_anchors *anchors(void)
{
    static struct x509_anchors anchors;
    static struct flight pem;
    static struct arena arena;

    if (anchors.count == 0) {
        arena_init(&arena, &mem_libc);
        flight_load(&pem, "ca.pem");
        require(x509_anchors_build(&arena, (pol_str){(char *)pem.bytes, pem.len}, &anchors) ==
                POL_OK);
    }
    return &anchors;
}

static void check_chain(pol_bytes chain)
{
    struct cursor list = cursor_of(chain);
    struct x509_window window;
    uint32_t effort;
    pol_bytes der;

    while (tls_chain_next(&list, &der))
        check_certificate(der);
    require(x509_verify(chain, anchors(), &window, &effort) != POL_OK || !list.failed);
    require(effort >= 1 && effort <= TLS_FLIGHT_MAX);
}

/* One certificate as a chain of itself. */
static void check_alone(const uint8_t *data, size_t size)
{
    static uint8_t chain[TLS_FLIGHT_MAX];

    check_certificate((pol_bytes){data, size});
    if (size > sizeof(chain) - 3)
        return;
    chain[0] = 0;
    chain[1] = (uint8_t)(size >> 8);
    chain[2] = (uint8_t)size;
    memcpy(chain + 3, data, size);
    check_chain((pol_bytes){chain, size + 3});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t chain[TLS_FLIGHT_MAX];
    static pol_certificate certificate;
    pol_bytes stream = {data, size};
    struct tls_server server = {.count = 0};
    enum tls_server_verdict verdict;

    if (size > 0 && data[0] == DER_SEQUENCE) {
        check_alone(data, size);
        return 0;
    }
    verdict = tls_server_read(stream, chain, &server);
    check_prefixes(stream, verdict, server.stream_len);
    require((pol_tls_certificate(stream, &certificate) == POL_E_TRUNCATED) ==
            (verdict == TLS_SERVER_MORE));
    if (verdict != TLS_SERVER_COMPLETE)
        return 0;

    require(server.stream_len <= size && server.stream_len <= TLS_FLIGHT_MAX);
    require(server.count > 0 && server.count <= TLS_CERTIFICATES_MAX);
    check_rewrapped(stream, &server, (pol_bytes){chain, server.chain_len}, 1 + size % 97);
    check_rewrapped(stream, &server, (pol_bytes){chain, server.chain_len}, 16384);
    check_chain((pol_bytes){chain, server.chain_len});
    return 0;
}
