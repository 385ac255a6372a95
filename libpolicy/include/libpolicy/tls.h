/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_TLS_H
#define LIBPOLICY_TLS_H

/*
 * What TLS shows of itself in the clear.
 */

#include <libpolicy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Reads the server name from the beginning of a TLS client's stream (RFC 8446 4.1.2, RFC 6066 3),
 * through as many records as the ClientHello is split over.
 *
 * @param stream   the stream's first octets, contiguous
 * @param name     receives the name in text form, lower case, NUL-terminated; on POL_OK only
 * @param ret_len  its length; 0 when the hello names no server
 *
 * @return POL_OK
 *         POL_E_TRUNCATED  a ClientHello so far; feed more
 *         POL_E_FORMAT     malformed
 *         POL_E_NOTFOUND   not TLS
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API int pol_tls_server_name(pol_bytes stream, char name[POL_NAME_MAX + 1], size_t *ret_len);

#define POL_CERTIFICATE_SUBJECT 1024  /* octets for a subject and its NUL */
#define POL_CERTIFICATE_NAMES   32768 /* octets for all names and their NULs */

/**
 * What a policy can ask of a server's certificate. Names are lower case without trailing dots,
 * otherwise as they stand in the certificate ("*.example.com"), octets above 0x7e included. Names
 * that no condition may match are not among them: empty ones, those longer than 255 octets, those
 * with a control octet such as NUL, DNS names with octets that are no printable ASCII, and common
 * names in an encoding that is not a superset of ASCII.
 */
typedef struct pol_certificate {
    pol_wall not_before, not_after; /* RFC 5280 4.1.2.5, the last millisecond included */
    uint8_t sha256[32];             /* of the certificate's DER */
    uint32_t san_count;             /* subjectAltNames of type dNSName (RFC 5280 4.2.1.6) */
    uint32_t cn_count;              /* common names of the subject */
    uint32_t names_len;             /* octets used in names */
    uint16_t subject_len;           /* 0: no subject, or one that could be taken for another */
    uint16_t version;               /* of TLS, such as 0x0303 for 1.2 */
    uint64_t reserved[4];           /* zero */
    char subject[POL_CERTIFICATE_SUBJECT]; /* "C=US,O=Example,CN=db.example.com": in the
                                              certificate's order, "+" within one RDN;
                                              NUL-terminated */
    char names[POL_CERTIFICATE_NAMES]; /* every SAN and behind them every CN, each
                                          NUL-terminated */
} pol_certificate;

/**
 * Reads the server's own certificate from the beginning of a TLS server's stream (RFC 5246 7.4.2),
 * through as many records as it is split over. Nothing is verified: whether it is valid and who
 * vouches for it are other questions. Up to TLS 1.2 it is sent in the clear; of TLS 1.3 there is
 * nothing to read.
 *
 * @param stream           the stream's first octets, contiguous; of more than 32 KiB before the
 *                         certificates end, the result is POL_E_FORMAT
 * @param ret_certificate  written on POL_OK only
 *
 * @return POL_OK
 *         POL_E_TRUNCATED  a certificate may follow; feed more
 *         POL_E_FORMAT     malformed, or more than 8 certificates
 *         POL_E_NOTFOUND   no certificate will come: TLS 1.3, a resumed session, an alert, a key
 *                          exchange without one, or not TLS
 *         POL_E_NOMEM
 *
 * Thread class: any thread. The crypto library takes memory from libc while it reads.
 */
POL_API int pol_tls_certificate(pol_bytes stream, pol_certificate *ret_certificate);

#ifdef __cplusplus
}
#endif

#endif
