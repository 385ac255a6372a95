/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ctx.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/abi.h"
#include "base/mem.h"

static const pol_ctx_options defaults = {
    .size = sizeof(pol_ctx_options),
    .limits =
        {
            .document_bytes = 64u << 20,
            .groups = 65536,
            .rules = 1000000,
            .id_bytes = 256,
            .pattern_bytes = 1024,
            .regexes = 1000,
            .diagnostics = 1000,
            .regex_match = 10000,
        },
};

void pol_ctx_options_init(pol_ctx_options *opts, size_t size)
{
    abi_defaults(opts, size, &defaults, sizeof(defaults));
}

int pol_ctx_new(const pol_ctx_options *given, pol_ctx **ret_ctx)
{
    pol_ctx_options opts = defaults;
    const pol_mem *mem;
    pol_ctx *ctx;
    int rc;

    rc = abi_options(&opts, sizeof(opts), given, ABI_UP_TO(pol_ctx_options, limits.regex_match));
    if (rc < 0)
        return rc;
    mem = opts.mem ? opts.mem : &mem_libc;
    if (!mem->alloc || !mem->resize || !mem->release)
        return POL_E_INVALID;

    ctx = mem_zalloc(mem, sizeof(*ctx));
    if (!ctx)
        return POL_E_NOMEM;
    atomic_init(&ctx->refs, 1);
    ctx->mem = *mem;
    ctx->log = opts.log;
    ctx->log_user = opts.log_user;
    ctx->hash_seed[0] = opts.hash_seed[0];
    ctx->hash_seed[1] = opts.hash_seed[1];
    ctx->limits = opts.limits;
    *ret_ctx = ctx;
    return POL_OK;
}

pol_ctx *pol_ctx_ref(pol_ctx *ctx)
{
    atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
    return ctx;
}

void pol_ctx_unref(pol_ctx *ctx)
{
    pol_mem mem;

    if (!ctx || atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
        return;
    mem = ctx->mem;
    mem_free(&mem, ctx, sizeof(*ctx));
}

void ctx_log(const pol_ctx *ctx, enum pol_log_level level, const char *format, ...)
{
    char line[LOG_BYTES + 1];
    va_list values;
    int len;

    if (!ctx->log)
        return;
    va_start(values, format);
    len = vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    if (len > 0)
        ctx->log(ctx->log_user, level, (pol_str){line, len < LOG_BYTES ? (size_t)len : LOG_BYTES});
}
