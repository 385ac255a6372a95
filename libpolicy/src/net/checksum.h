/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

/* The Internet checksum (RFC 1071), to be written. */

#include <libpolicy/base.h>

/* The sum so far plus these octets as big-endian words. Only the last piece of a sum may have an
 * odd length. No datagram is long enough to overflow it. */
uint64_t checksum_add(uint64_t sum, const void *octets, size_t len);

/* The ones' complement of the sum, in host order. */
uint16_t checksum_fold(uint64_t sum);

#endif
