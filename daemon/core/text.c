// SPDX-License-Identifier: Apache-2.0
#include "core/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_fini(struct text *text)
{
    free(text->ptr);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->len = 0;
    text->failed = false;
    if (text->ptr)
        text->ptr[0] = '\0';
}

bool text_reserve(struct text *text, size_t room)
{
    size_t capacity = text->capacity ? text->capacity : 256;
    char *grown;

    if (text->failed || room >= SIZE_MAX / 2 - text->len)
        return !(text->failed = true);

    if (text->len + room + 1 <= text->capacity)
        return true;

    while (capacity < text->len + room + 1)
        capacity *= 2;

    grown = realloc(text->ptr, capacity);
    if (!grown)
        return !(text->failed = true);

    text->ptr = grown;
    text->capacity = capacity;
    return true;
}

void text_add_bytes(struct text *text, const char *piece, size_t len)
{
    if (!text_reserve(text, len))
        return;

    if (len)
        memcpy(text->ptr + text->len, piece, len);
    text->len += len;
    text->ptr[text->len] = '\0';
}

void text_add(struct text *text, const char *piece)
{
    text_add_bytes(text, piece, strlen(piece));
}

void text_addf(struct text *text, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !text_reserve(text, (size_t)len)) {
        text->failed = true;
        return;
    }

    va_start(args, format);
    vsnprintf(text->ptr + text->len, (size_t)len + 1, format, args);
    va_end(args);
    text->len += (size_t)len;
}

static void add_json_octet(struct text *text, unsigned char octet)
{
    switch (octet) {
    case '"':
        text_add(text, "\\\"");
        break;
    case '\\':
        text_add(text, "\\\\");
        break;
    case '\n':
        text_add(text, "\\n");
        break;
    default:
        if (octet < 0x20 || octet == 0x7f)
            text_addf(text, "\\u%04x", octet);
        else
            text_add_bytes(text, (const char *)&octet, 1);
    }
}

/* The length of the well-formed UTF-8 sequence at the start of the octets, 0 when there is none. */
static size_t utf8_read(const unsigned char *at, size_t len, unsigned *ret_point)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t need = at[0] < 0x80       ? 1
                  : at[0] >> 5 == 6  ? 2
                  : at[0] >> 4 == 14 ? 3
                  : at[0] >> 3 == 30 ? 4
                                     : 0;
    unsigned point = need == 1 ? at[0] : at[0] & (0x7fu >> need);

    if (need == 0 || need > len)
        return 0;

    for (size_t i = 1; i < need; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        point = point << 6 | (at[i] & 0x3fu);
    }

    if (point < least[need] || point > 0x10ffff || point >> 11 == 0x1b)
        return 0;
    *ret_point = point;
    return need;
}

/* JSON may hold these as they are. YAML, in which such a string is a string too, may not, or reads
 * a line break (YAML 1.1, 5.1 and 5.4). */
static bool is_unprintable(unsigned point)
{
    return (point >= 0x80 && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           point == 0xfeff || point == 0xfffe || point == 0xffff;
}

void text_add_json_bytes(struct text *text, const char *piece, size_t len)
{
    const unsigned char *at = (const unsigned char *)piece;
    unsigned point = 0;
    size_t step;

    text_add(text, "\"");
    for (size_t i = 0; i < len; i += step) {
        step = utf8_read(at + i, len - i, &point);
        if (step == 1)
            add_json_octet(text, at[i]);
        else if (step == 0)
            text_add(text, "\\ufffd");
        else if (is_unprintable(point))
            text_addf(text, "\\u%04x", point);
        else
            text_add_bytes(text, piece + i, step);
        step = step ? step : 1;
    }
    text_add(text, "\"");
}

void text_add_json(struct text *text, const char *piece)
{
    text_add_json_bytes(text, piece, strlen(piece));
}
