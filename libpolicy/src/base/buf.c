/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_add(struct buf *buf, const void *data, size_t len)
{
    size_t room = buf->len < buf->capacity ? buf->capacity - buf->len : 0;

    if (room && len)
        memcpy(buf->ptr + buf->len, data, len < room ? len : room);
    buf->len += len;
}

void buf_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_str(struct buf *buf, pol_str text)
{
    buf_add(buf, text.ptr, text.len);
}

void buf_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_u64(struct buf *buf, uint64_t value)
{
    buf_printf(buf, "%" PRIu64, value);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    char line[512];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (len > 0)
        buf_add(buf, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

int buf_finish(const struct buf *buf, size_t *ret_len)
{
    *ret_len = buf->len;
    return buf->len <= buf->capacity ? POL_OK : POL_E_NOSPACE;
}
