/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_TLS_SERVER_H
#define WIRE_TLS_SERVER_H

/*
 * The beginning of a TLS server's stream, up to its Certificate: as far as TLS 1.2 (RFC 5246 7.4.2)
 * it is sent in the clear, behind a ServerHello (RFC 5246 7.4.1.3, RFC 8446 4.1.3).
 */

#include "wire/tls_record.h"

#define TLS_FLIGHT_MAX       32768 /* octets up to the end of the Certificate; more is MALFORMED */
#define TLS_CERTIFICATES_MAX 8     /* of one chain; more is MALFORMED */

enum tls_server_verdict {
    TLS_SERVER_COMPLETE,  /* the Certificate is there */
    TLS_SERVER_MORE,      /* the octets end here; so far a Certificate may follow */
    TLS_SERVER_HIDDEN,    /* TLS 1.3: what follows is encrypted */
    TLS_SERVER_ABSENT,    /* no Certificate will come: a session was resumed, or the key exchange
                             needs none */
    TLS_SERVER_REFUSED,   /* the server ended the handshake with an alert */
    TLS_SERVER_NOT_TLS,   /* no server's stream of TLS begins like this */
    TLS_SERVER_MALFORMED
};

struct tls_server {
    uint16_t version;   /* the one chosen, such as 0x0303 for TLS 1.2 */
    uint8_t count;      /* certificates in the chain, at least one */
    uint32_t chain_len; /* octets written to `chain` */
    size_t stream_len;  /* octets of the stream up to the end of the Certificate; HIDDEN: of the
                           ServerHello */
};

/*
 * Reads what has been collected of a server's stream, from its first octet on, through any number
 * of records. Warnings (alerts that do not end the handshake) are passed over. A verdict but MORE
 * is final: further octets do not change it.
 *
 * `chain` receives the certificate_list of the message: for every certificate, leaf first, three
 * octets of length and its DER, to be taken apart with tls_chain_next(). It is written to whatever
 * the verdict. ret_server is written for TLS_SERVER_COMPLETE, and for TLS_SERVER_HIDDEN with no
 * certificates.
 */
enum tls_server_verdict tls_server_read(pol_bytes stream, uint8_t chain[TLS_FLIGHT_MAX],
                                        struct tls_server *ret_server);

/* The DER of the next certificate of a chain; false at its end, or where a length is wrong (then
 * the cursor has failed). */
bool tls_chain_next(struct cursor *chain, pol_bytes *ret_der);

#endif
