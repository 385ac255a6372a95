/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls_record.h"

#define TYPE_HANDSHAKE 22

struct tls_reader tls_reader_of(pol_bytes stream)
{
    return (struct tls_reader){.in = cursor_of(stream), .end = UINT32_MAX};
}

void tls_reader_fail(struct tls_reader *reader, enum tls_hello_verdict verdict)
{
    if (reader->verdict == TLS_HELLO_COMPLETE)
        reader->verdict = verdict;
}

/* One octet of a record header. Checked as it comes, so that the first wrong one is enough. */
static bool header_octet(struct tls_reader *reader, uint8_t *ret_octet)
{
    *ret_octet = cursor_u8(&reader->in);
    if (reader->in.failed)
        tls_reader_fail(reader, TLS_HELLO_MORE);
    return !reader->in.failed;
}

static void next_record(struct tls_reader *reader)
{
    /* Wrong from the start, it is another protocol; later, it is broken TLS (RFC 8446 5.1: no other
     * type between the records of one message). */
    enum tls_hello_verdict wrong = reader->at == 0 ? TLS_HELLO_NOT_TLS : TLS_HELLO_MALFORMED;
    uint8_t type, major, minor, high, low;
    uint32_t len;

    if (!header_octet(reader, &type))
        return;
    if (type != TYPE_HANDSHAKE) {
        tls_reader_fail(reader, wrong);
        return;
    }
    if (!header_octet(reader, &major))
        return;
    if (major != 3) {
        tls_reader_fail(reader, major > TLS_MAJOR_MAX ? wrong : TLS_HELLO_MALFORMED);
        return;
    }
    if (!header_octet(reader, &minor) || !header_octet(reader, &high) ||
        !header_octet(reader, &low))
        return;

    len = (uint32_t)high << 8 | low;
    if (len == 0 || len > TLS_RECORD_MAX)
        tls_reader_fail(reader, TLS_HELLO_MALFORMED);
    reader->record_left = len;
}

/* How much of `len` can be read in one piece; 0 after a problem. */
static uint32_t prepare(struct tls_reader *reader, uint32_t len)
{
    size_t ready;

    if (reader->verdict == TLS_HELLO_COMPLETE && len > reader->end - reader->at)
        tls_reader_fail(reader, TLS_HELLO_MALFORMED);
    if (reader->verdict == TLS_HELLO_COMPLETE && reader->record_left == 0)
        next_record(reader);
    if (reader->verdict != TLS_HELLO_COMPLETE)
        return 0;

    ready = cursor_left(&reader->in);
    if (ready == 0)
        tls_reader_fail(reader, TLS_HELLO_MORE);
    if (ready > reader->record_left)
        ready = reader->record_left;
    return ready < len ? (uint32_t)ready : len;
}

void tls_read(struct tls_reader *reader, uint8_t *out, uint32_t len)
{
    while (len > 0) {
        uint32_t step = prepare(reader, len);
        pol_bytes part = cursor_take(&reader->in, step);

        if (step == 0)
            break;
        if (out) {
            memcpy(out, part.ptr, step);
            out += step;
        }
        reader->record_left -= step;
        reader->at += step;
        len -= step;
    }
    if (out && len > 0)
        memset(out, 0, len);
}

uint8_t tls_read_u8(struct tls_reader *reader)
{
    uint8_t b;

    tls_read(reader, &b, 1);
    return b;
}

uint16_t tls_read_u16(struct tls_reader *reader)
{
    uint8_t b[2];

    tls_read(reader, b, sizeof(b));
    return (uint16_t)(b[0] << 8 | b[1]);
}

uint32_t tls_read_u24(struct tls_reader *reader)
{
    uint8_t b[3];

    tls_read(reader, b, sizeof(b));
    return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

uint32_t tls_reader_open(struct tls_reader *reader, uint32_t len)
{
    uint32_t outer = reader->end;

    if (len > outer - reader->at)
        tls_reader_fail(reader, TLS_HELLO_MALFORMED);
    else
        reader->end = reader->at + len;
    return outer;
}

void tls_reader_close(struct tls_reader *reader, uint32_t outer_end)
{
    if (reader->at != reader->end)
        tls_reader_fail(reader, TLS_HELLO_MALFORMED);
    reader->end = outer_end;
}
