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

/* One line for the log of the context, cut after LOG_BYTES. Not while a packet or query is decided.
 * What it says of others is text that has been made printable. */
enum { LOG_BYTES = 512 };
void ctx_log(const pol_ctx *ctx, enum pol_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
