/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

/*
 * Borrowed text and octets, and the one cursor through which every parser reads. A read past the
 * end sets `failed` and gives zero from then on, so a parser may read a whole header and check
 * once.
 */

#include <libpolicy/base.h>

#include <string.h>

#define STR(literal) ((pol_str){literal, sizeof(literal) - 1})

static inline pol_str str_of(const char *text)
{
    return (pol_str){text, text ? strlen(text) : 0};
}

static inline bool str_equal(pol_str a, pol_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool str_equal_nocase(pol_str a, pol_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    }
    return true;
}

struct cursor {
    const uint8_t *at, *end;
    bool failed; /* a read went past the end; stays set */
};

static inline struct cursor cursor_of(pol_bytes bytes)
{
    return (struct cursor){bytes.ptr, bytes.ptr ? bytes.ptr + bytes.len : NULL, false};
}

static inline size_t cursor_left(const struct cursor *in)
{
    return (size_t)(in->end - in->at);
}

/* The next `len` octets, or an empty slice and `failed`. */
static inline pol_bytes cursor_take(struct cursor *in, size_t len)
{
    pol_bytes out = {in->at, len};

    if (in->failed || cursor_left(in) < len) {
        in->failed = true;
        in->at = in->end;
        return (pol_bytes){NULL, 0};
    }
    in->at += len;
    return out;
}

static inline void cursor_skip(struct cursor *in, size_t len)
{
    (void)cursor_take(in, len);
}

static inline uint8_t cursor_u8(struct cursor *in)
{
    pol_bytes b = cursor_take(in, 1);

    return b.ptr ? b.ptr[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *in)
{
    pol_bytes b = cursor_take(in, 2);

    return (uint16_t)(b.ptr ? b.ptr[0] << 8 | b.ptr[1] : 0);
}

static inline uint32_t cursor_u24(struct cursor *in)
{
    pol_bytes b = cursor_take(in, 3);

    return b.ptr ? (uint32_t)b.ptr[0] << 16 | (uint32_t)b.ptr[1] << 8 | b.ptr[2] : 0;
}

static inline uint32_t cursor_u32(struct cursor *in)
{
    pol_bytes b = cursor_take(in, 4);

    return b.ptr ? (uint32_t)b.ptr[0] << 24 | (uint32_t)b.ptr[1] << 16 | (uint32_t)b.ptr[2] << 8 |
                       b.ptr[3]
                 : 0;
}

#endif
