/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

/*
 * SipHash-1-3 keyed by the context's seed: what an attacker can choose (addresses, ports, names)
 * must not let him choose the bucket.
 */

#include <libpolicy/base.h>

uint64_t hash_bytes(const uint64_t seed[2], const void *data, size_t len);

#endif
