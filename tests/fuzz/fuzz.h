/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_H
#define FUZZ_H

/*
 * What harnesses share: the way to say what holds, and fields read out of an input. A read past
 * the end of the input gives zeros, so that every input means something and a shorter one means
 * nearly the same.
 */

#include <stdlib.h>
#include <string.h>

#include <libpolicy/grants.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Outside of NDEBUG's reach; the sanitizer's report names the line. */
#define require(holds) ((holds) ? (void)0 : abort())

static inline struct cursor input_of(const uint8_t *data, size_t size)
{
    return cursor_of((pol_bytes){data, size});
}

/* Text of a length that stands before it, in one octet; what there is of it. */
static inline pol_str input_text(struct cursor *in)
{
    size_t len = cursor_u8(in), left = cursor_left(in);
    pol_bytes bytes = cursor_take(in, len < left ? len : left);

    return (pol_str){(const char *)bytes.ptr, bytes.len};
}

/* Text up to the end of a line, which is dropped, or of the input. */
static inline pol_str input_line(struct cursor *in)
{
    size_t left = cursor_left(in);
    const uint8_t *end = left ? memchr(in->at, '\n', left) : NULL;
    pol_bytes line = cursor_take(in, end ? (size_t)(end - in->at) : left);

    if (end)
        cursor_skip(in, 1);
    return (pol_str){(const char *)line.ptr, line.len};
}

static inline uint64_t input_u64(struct cursor *in)
{
    uint64_t high = cursor_u32(in);

    return high << 32 | cursor_u32(in);
}

/* A name of an event; returns its length. `name` holds zeros. */
static inline uint8_t input_name(struct cursor *in, char name[POL_NAME_MAX + 1])
{
    pol_str text = input_text(in);

    if (text.len)
        memcpy(name, text.ptr, text.len);
    return (uint8_t)text.len;
}

/* One of a few addresses of either family, so that two of them are often the same. */
static inline pol_addr input_addr(struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    pol_addr addr = {.family = pick & 0x80 ? 6 : 4};

    addr.bytes[0] = pick & 0x80 ? 0x20 : 10;
    addr.bytes[3] = pick & 0x0f;
    if (pick & 0x80)
        addr.bytes[15] = pick & 0x70;
    return addr;
}

/* Memory that is counted: what is in use, and how often it was asked for. */
struct ledger {
    size_t bytes, calls;
};

static inline void *ledger_alloc(void *user, size_t size)
{
    struct ledger *ledger = user;

    ledger->bytes += size;
    ledger->calls++;
    return malloc(size);
}

static inline void *ledger_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    struct ledger *ledger = user;

    ledger->bytes += new_size - old_size;
    ledger->calls++;
    return realloc(ptr, new_size);
}

static inline void ledger_release(void *user, void *ptr, size_t size)
{
    struct ledger *ledger = user;

    ledger->bytes -= size;
    free(ptr);
}

static inline pol_ctx *ledger_ctx(struct ledger *ledger, const pol_limits *limits)
{
    pol_mem mem = {ledger, ledger_alloc, ledger_resize, ledger_release};
    pol_ctx_options opts;
    pol_ctx *ctx;

    pol_ctx_options_init(&opts, sizeof(opts));
    opts.mem = &mem;
    if (limits)
        opts.limits = *limits;
    require(pol_ctx_new(&opts, &ctx) == POL_OK);
    return ctx;
}

#endif
