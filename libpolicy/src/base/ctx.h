/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CTX_H
#define BASE_CTX_H

#include <libpolicy/context.h>

#include <stdatomic.h>

struct pol_ctx {
    atomic_uint refs;
    pol_mem mem;
    pol_log_fn log; /* may be NULL */
    void *log_user;
    uint64_t hash_seed[2];
    pol_limits limits;
};

#endif
