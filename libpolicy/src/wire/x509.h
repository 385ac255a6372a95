/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_X509_H
#define WIRE_X509_H

/*
 * Certificates, read and verified by the crypto library. While a function here runs, that library
 * takes memory from its own allocator (libc's); all of it is given back before the function
 * returns, so nothing of it lives in a policy or a worker.
 */

#include <libpolicy/tls.h>

#include "base/arena.h"

/* A certificate that ends a chain. Both parts are in one piece of memory. */
struct x509_anchor {
    pol_bytes der;
    pol_bytes subject; /* its name, in DER */
};

struct x509_anchors {
    const struct x509_anchor *items;
    uint32_t count;
    bool partial; /* some could not be read */
    uint64_t key; /* of their text: equal for equal anchors */
};

/*
 * Reads a PEM bundle: how many certificates are in it. A NUL must stand behind the text. POL_OK,
 * POL_E_FORMAT if any of them cannot be read, or POL_E_NOMEM.
 */
int x509_count_pem(pol_str pem, uint32_t *ret_count);

/*
 * Reads a PEM bundle, with a NUL behind it, into anchors kept in the arena. Certificates that
 * cannot be read are passed over (see `partial`). POL_OK, POL_E_NOMEM.
 */
int x509_anchors_build(struct arena *arena, pol_str pem, struct x509_anchors *ret_anchors);

/* What can be asked of a certificate; `version` is left 0. POL_OK, POL_E_FORMAT, POL_E_NOMEM. */
int x509_read(pol_bytes der, pol_certificate *ret_certificate);

#define X509_EFFORT_MAX 16

/* While all certificates of a verified path are valid; from > to: never. */
struct x509_window {
    pol_wall from, to;
};

/*
 * Verifies a chain (as tls_server_read() gives it) up to one of the anchors: signatures, issuers,
 * CA flags, the use of keys, and that keys and hashes are strong enough. Not its names, nor
 * whether it has been revoked, and no clock is asked: ret_window says when the answer counts.
 *
 * POL_OK; POL_E_NOTFOUND: not verified, be it that memory was missing for a moment; POL_E_FORMAT: a
 * certificate that cannot be read, two of one subject (every one of them would be tried), or an RSA
 * key with an exponent of more than 32 bits (it would take long); POL_E_NOMEM
 *
 * Takes milliseconds for each signature: ret_effort is what that has cost at most, in signatures of
 * P-256, X509_EFFORT_MAX for each certificate; 1 if none was verified. It is written whatever comes
 * of it.
 */
int x509_verify(pol_bytes chain, const struct x509_anchors *anchors, struct x509_window *ret_window,
                uint32_t *ret_effort);

#endif
