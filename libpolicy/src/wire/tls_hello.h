/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_TLS_HELLO_H
#define WIRE_TLS_HELLO_H

/*
 * The ClientHello at the start of a client's stream (RFC 8446 4.1.2, and the same shape since TLS
 * 1.0), however it is cut into records and segments.
 */

#include "wire/dnsname.h"
#include "wire/tls_record.h"

#define TLS_HELLO_MAX        16384 /* octets of the handshake message; a longer one is MALFORMED */
#define TLS_HELLO_EXTENSIONS 128   /* more are MALFORMED; browsers send about 20 */
#define TLS_HELLO_ALPN       64

struct tls_hello {
    char sni[DNSNAME_TEXT];       /* normalised, NUL-terminated */
    uint8_t sni_len;              /* 0: the client named no server */
    uint8_t alpn_len;             /* octets used in alpn */
    uint8_t alpn[TLS_HELLO_ALPN]; /* the first protocols offered, each with its length before it
                                     (RFC 7301 3.1), as many as fit */
    uint16_t alpn_count;          /* protocols offered; 0: no such extension */
    uint16_t version;             /* the highest offered, such as 0x0304 for TLS 1.3 */
    bool ech;                     /* has encrypted_client_hello; then sni is the outer name */
    uint32_t hello_len;           /* of the handshake message, its header included */
    size_t stream_len;            /* octets of the stream up to the end of the message */
};

/*
 * Reads the ClientHello of a stream from what has been collected of it, from its first octet on.
 * The answer comes as early as the octets allow: TLS_HELLO_NOT_TLS with the first octet that no
 * ClientHello has there, TLS_HELLO_MALFORMED with the first length or value that breaks a rule:
 * a record that is empty, too long or not of handshake type, a vector outside its container,
 * a repeated extension, an SNI that is not exactly one valid host name (RFC 6066 3). An SSLv2
 * hello is not TLS. How much to collect at most is the caller's decision.
 *
 * ret_hello is written for TLS_HELLO_COMPLETE only.
 */
enum tls_hello_verdict tls_hello_read(pol_bytes stream, struct tls_hello *ret_hello);

/* Whether the protocol is among those kept in alpn. */
bool tls_hello_offers(const struct tls_hello *hello, pol_str protocol);

#endif
