/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json_out.h"

#include <inttypes.h>
#include <string.h>

#include "base/slice.h"

static void begin_value(struct json *json, const char *key)
{
    if (json->comma)
        buf_char(&json->out, ',');
    json->comma = true;
    if (key) {
        buf_char(&json->out, '"');
        buf_text(&json->out, key);
        buf_text(&json->out, "\":");
    }
}

static void open_value(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    buf_char(&json->out, bracket);
    json->comma = false;
}

static void close_value(struct json *json, char bracket)
{
    buf_char(&json->out, bracket);
    json->comma = true;
}

void json_object(struct json *json, const char *key)
{
    open_value(json, key, '{');
}

void json_object_end(struct json *json)
{
    close_value(json, '}');
}

void json_array(struct json *json, const char *key)
{
    open_value(json, key, '[');
}

void json_array_end(struct json *json)
{
    close_value(json, ']');
}

/*
 * Octets of the UTF-8 sequence text begins with, or 0 if it is none: RFC 3629 4 allows only these
 * second octets after E0, ED, F0 and F4, which keeps out overlong forms and surrogates.
 */
static size_t utf8_len(pol_str text)
{
    uint8_t lead = (uint8_t)text.ptr[0];
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (text.len < len)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < len; i++, low = 0x80, high = 0xbf) {
        uint8_t octet = (uint8_t)text.ptr[i];

        if (octet < low || octet > high)
            return 0;
    }
    return len;
}

static void escape(struct buf *out, char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;

    if (at) {
        buf_char(out, '\\');
        buf_char(out, letters[at - plain]);
    } else if ((uint8_t)c < 0x20) {
        buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
    } else {
        buf_char(out, c);
    }
}

void json_str_begin(struct json *json, const char *key)
{
    begin_value(json, key);
    buf_char(&json->out, '"');
}

void json_str_part(struct json *json, pol_str text)
{
    while (text.len) {
        size_t len = utf8_len(text);

        if (len == 0)
            buf_text(&json->out, "\xef\xbf\xbd");
        else if (len == 1)
            escape(&json->out, text.ptr[0]);
        else
            buf_add(&json->out, text.ptr, len);
        len = len ? len : 1;
        text.ptr += len;
        text.len -= len;
    }
}

void json_str_end(struct json *json)
{
    buf_char(&json->out, '"');
}

void json_str(struct json *json, const char *key, pol_str text)
{
    json_str_begin(json, key);
    json_str_part(json, text);
    json_str_end(json);
}

void json_text(struct json *json, const char *key, const char *text)
{
    if (text)
        json_str(json, key, str_of(text));
    else
        json_null(json, key);
}

void json_name(struct json *json, const char *key, pol_str text)
{
    if (text.len)
        json_str(json, key, text);
    else
        json_null(json, key);
}

void json_addr(struct json *json, const char *key, const pol_addr *addr)
{
    char text[POL_ADDR_TEXT];
    size_t len;

    if (!addr->family) {
        json_null(json, key);
        return;
    }
    len = pol_addr_format(addr, text);
    json_str(json, key, (pol_str){text, len});
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    buf_u64(&json->out, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    buf_text(&json->out, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
    begin_value(json, key);
    buf_text(&json->out, "null");
}

void json_ratio(struct json *json, const char *key, uint64_t millionths)
{
    begin_value(json, key);
    ratio_write(&json->out, millionths);
}

/* By hand, because printf() takes the decimal point from the locale. */
void ratio_write(struct buf *out, uint64_t millionths)
{
    uint64_t part = millionths % 1000000;
    int digits = 6;

    buf_u64(out, millionths / 1000000);
    if (!part)
        return;
    while (part % 10 == 0) {
        part /= 10;
        digits--;
    }
    buf_printf(out, ".%0*" PRIu64, digits, part);
}
