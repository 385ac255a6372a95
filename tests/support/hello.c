/* SPDX-License-Identifier: Apache-2.0 */
#include "hello.h"

#include <stdlib.h>
#include <string.h>

#define EXT_PADDING 21 /* RFC 7685 */

/* A message under construction. */
struct draft {
    size_t len;
    uint8_t bytes[65536];
};

static void put(struct draft *out, const void *octets, size_t len)
{
    if (len > sizeof(out->bytes) - out->len)
        abort();
    if (len)
        memcpy(out->bytes + out->len, octets, len);
    out->len += len;
}

static void put_u8(struct draft *out, size_t value)
{
    uint8_t b = (uint8_t)value;

    put(out, &b, 1);
}

static void put_u16(struct draft *out, size_t value)
{
    put_u8(out, value >> 8 & 0xff);
    put_u8(out, value & 0xff);
}

static void put_zeros(struct draft *out, size_t len)
{
    while (len--)
        put_u8(out, 0);
}

/* Fills in the 16-bit length in front of what has been written since `at`. */
static void close_u16(struct draft *out, size_t at)
{
    size_t len = out->len - at - 2;

    out->bytes[at] = (uint8_t)(len >> 8);
    out->bytes[at + 1] = (uint8_t)len;
}

static size_t open_u16(struct draft *out)
{
    put_u16(out, 0);
    return out->len - 2;
}

static void put_sni(struct draft *out, const char *sni)
{
    size_t len = strlen(sni);

    put_u16(out, 0);
    put_u16(out, len + 5);
    put_u16(out, len + 3);
    put_u8(out, 0);
    put_u16(out, len);
    put(out, sni, len);
}

static void put_alpn(struct draft *out, const char *const *protocols)
{
    size_t extension, list;

    put_u16(out, 16);
    extension = open_u16(out);
    list = open_u16(out);
    for (; *protocols; protocols++) {
        put_u8(out, strlen(*protocols));
        put(out, *protocols, strlen(*protocols));
    }
    close_u16(out, list);
    close_u16(out, extension);
}

static void put_extensions(struct draft *out, const struct hello_options *options)
{
    static const uint8_t versions[] = {0, 43, 0, 5, 4, 3, 4, 3, 3};
    static const uint8_t ech[] = {0xfe, 0x0d, 0, 3, 0, 1, 2};

    if (options->sni)
        put_sni(out, options->sni);
    if (options->alpn)
        put_alpn(out, options->alpn);
    if (options->tls13)
        put(out, versions, sizeof(versions));
    if (options->ech)
        put(out, ech, sizeof(ech));
    put(out, options->extra, options->extra_len);
    if (options->message_len) {
        if (options->message_len < out->len + 4)
            abort();
        put_u16(out, EXT_PADDING);
        put_u16(out, options->message_len - out->len - 2);
        put_zeros(out, options->message_len - out->len);
    }
}

void hello_wrap(struct hello *hello, const uint8_t *message, size_t len, unsigned records)
{
    hello->len = 0;
    for (unsigned left = records ? records : 1; left > 0; left--) {
        size_t part = len / left;
        uint8_t header[5] = {22, 3, 1, (uint8_t)(part >> 8), (uint8_t)part};

        memcpy(hello->bytes + hello->len, header, sizeof(header));
        memcpy(hello->bytes + hello->len + sizeof(header), message, part);
        hello->len += sizeof(header) + part;
        message += part;
        len -= part;
    }
}

void hello_build(struct hello *hello, const struct hello_options *options)
{
    static const uint8_t suites[] = {0, 4, 0x13, 0x01, 0xc0, 0x2f};
    static const uint8_t no_compression[] = {1, 0};
    struct draft out = {.len = 0};
    size_t extensions;

    put_u8(&out, 1);
    put_zeros(&out, 3);
    put_u16(&out, 0x0303);
    put_zeros(&out, 32); /* random */
    put_u8(&out, 0);     /* legacy_session_id */
    put(&out, suites, sizeof(suites));
    put(&out, no_compression, sizeof(no_compression));
    extensions = open_u16(&out);
    put_extensions(&out, options);
    close_u16(&out, extensions);
    out.bytes[1] = (uint8_t)((out.len - 4) >> 16);
    out.bytes[2] = (uint8_t)((out.len - 4) >> 8);
    out.bytes[3] = (uint8_t)(out.len - 4);
    hello_wrap(hello, out.bytes, out.len, options->records);
}
