/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_TLS_H
#define LIBPOLICY_TLS_H

#include <libpolicy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Reads the server name from the beginning of a TLS client's stream (RFC 8446 4.1.2, RFC 6066 3),
 * through as many records as the ClientHello is split over.
 *
 * @param stream   the stream's first octets, contiguous
 * @param name     receives the name in text form, lower case, NUL-terminated
 * @param ret_len  its length; 0 when the hello names no server
 *
 * @return POL_OK
 *         POL_E_TRUNCATED  a ClientHello so far; feed more
 *         POL_E_FORMAT     malformed
 *         POL_E_NOTFOUND   not TLS
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API int pol_tls_server_name(pol_bytes stream, char name[256], size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
