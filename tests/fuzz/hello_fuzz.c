/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the input as the start of a client's stream and checks what the collector of a flow relies
 * on: a verdict on a prefix is final unless it is MORE, a complete hello is complete at its last
 * octet and not before, and how it is cut into records changes nothing.
 */
#include "wire/tls_hello.h"

#include <stdlib.h>

#define RECORD_HEADER 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_prefixes(pol_bytes stream, enum tls_hello_verdict whole, size_t stream_len)
{
    enum tls_hello_verdict last = TLS_HELLO_MORE;
    struct tls_hello hello;

    for (size_t len = 0; len <= stream.len && len < 600; len++) {
        enum tls_hello_verdict verdict = tls_hello_read((pol_bytes){stream.ptr, len}, &hello);

        require(last == TLS_HELLO_MORE || verdict == last);
        require(verdict == TLS_HELLO_MORE || verdict == whole);
        require(whole != TLS_HELLO_COMPLETE || (verdict == whole) == (len >= stream_len));
        last = verdict;
    }
}

/* Cuts a complete hello into records of one length and reads it again. */
static void check_rewrapped(pol_bytes stream, const struct tls_hello *hello, size_t part)
{
    static uint8_t message[TLS_HELLO_MAX], wrapped[TLS_HELLO_MAX * (1 + RECORD_HEADER)];
    struct tls_reader in = tls_reader_of(stream);
    struct tls_hello again;
    size_t len = 0;

    tls_read(&in, message, hello->hello_len);
    require(in.verdict == TLS_HELLO_COMPLETE);
    for (size_t at = 0; at < hello->hello_len; at += part) {
        size_t left = hello->hello_len - at, take = left < part ? left : part;
        uint8_t header[RECORD_HEADER] = {22, 3, 1, (uint8_t)(take >> 8), (uint8_t)take};

        memcpy(wrapped + len, header, sizeof(header));
        memcpy(wrapped + len + sizeof(header), message + at, take);
        len += sizeof(header) + take;
    }
    require(tls_hello_read((pol_bytes){wrapped, len}, &again) == TLS_HELLO_COMPLETE);
    require(again.stream_len == len && again.hello_len == hello->hello_len);
    require(strcmp(again.sni, hello->sni) == 0 && again.version == hello->version);
    require(again.alpn_count == hello->alpn_count && again.alpn_len == hello->alpn_len);
    require(again.ech == hello->ech);
}

static void check_sni(const struct tls_hello *hello)
{
    char again[DNSNAME_TEXT];
    uint8_t len;

    require(strlen(hello->sni) == hello->sni_len);
    if (hello->sni_len == 0)
        return;
    require(dnsname_normalise((pol_str){hello->sni, hello->sni_len}, again, &len) == POL_OK);
    require(strcmp(again, hello->sni) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pol_bytes stream = {data, size};
    struct tls_hello hello = {.stream_len = 0};
    enum tls_hello_verdict verdict = tls_hello_read(stream, &hello);

    check_prefixes(stream, verdict, hello.stream_len);
    if (verdict != TLS_HELLO_COMPLETE)
        return 0;

    require(hello.stream_len <= size && hello.hello_len <= TLS_HELLO_MAX);
    check_sni(&hello);
    check_rewrapped(stream, &hello, 1);
    check_rewrapped(stream, &hello, 1 + size % 97);
    return 0;
}
