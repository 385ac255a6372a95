/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_TLS_RECORD_H
#define WIRE_TLS_RECORD_H

/*
 * The handshake messages at the start of a TLS stream, read as if the record headers were not
 * there (RFC 8446 5.1: a message may be split over any number of records). Nothing is copied but
 * what the caller asks for.
 *
 * As with struct cursor, a parser reads on and checks once: after the first problem `verdict` stays
 * as it is and every read gives zero.
 */

#include "base/slice.h"

enum tls_hello_verdict {
    TLS_HELLO_COMPLETE, /* for a reader: no problem so far */
    TLS_HELLO_MORE,     /* the octets end here; so far they may begin a ClientHello */
    TLS_HELLO_NOT_TLS,  /* no stream of TLS begins like this */
    TLS_HELLO_MALFORMED /* begins as TLS does, but breaks its rules */
};

#define TLS_RECORD_MAX 16384 /* RFC 8446 5.1 */
#define TLS_MAJOR_MAX  15    /* of a first record that Go's crypto/tls reads */

struct tls_reader {
    struct cursor in;
    uint32_t record_left; /* octets of the current record not yet read */
    uint32_t at;          /* octets of handshake data read so far */
    uint32_t end;         /* reading beyond this offset of the handshake data is MALFORMED */
    enum tls_hello_verdict verdict;
};

struct tls_reader tls_reader_of(pol_bytes stream);

/* Copies `len` octets of handshake data to out, or skips them if out is NULL. */
void tls_read(struct tls_reader *reader, uint8_t *out, uint32_t len);
uint8_t tls_read_u8(struct tls_reader *reader);
uint16_t tls_read_u16(struct tls_reader *reader);
uint32_t tls_read_u24(struct tls_reader *reader);

/* Limits reading to the next `len` octets and returns the limit in force before, to be given back
 * to tls_reader_close(). A vector that does not fit its container is MALFORMED. */
uint32_t tls_reader_open(struct tls_reader *reader, uint32_t len);

/* Ends a vector; octets left in it are MALFORMED. */
void tls_reader_close(struct tls_reader *reader, uint32_t outer_end);

static inline bool tls_reader_has(const struct tls_reader *reader)
{
    return reader->verdict == TLS_HELLO_COMPLETE && reader->at < reader->end;
}

void tls_reader_fail(struct tls_reader *reader, enum tls_hello_verdict verdict);

#endif
