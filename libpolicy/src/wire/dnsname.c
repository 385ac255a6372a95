/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dnsname.h"

#include "base/buf.h"

#define HEADER_LEN 12 /* of the message; no name begins in it */

/* One jump leads to at least one label in what real compressors write, and a name has at most 127.
 * Without the bound a name made of pointers to pointers costs 8192 jumps. */
#define MAX_JUMPS 127

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static bool append_label(struct dnsname *name, pol_bytes label)
{
    /* The root label still has to fit behind it. */
    if (name->len + 1 + label.len + 1 > DNSNAME_WIRE)
        return false;

    name->octets[name->len++] = (uint8_t)label.len;
    for (size_t i = 0; i < label.len; i++)
        name->octets[name->len++] = (uint8_t)ascii_lower((char)label.ptr[i]);
    return true;
}

static void append_root(struct dnsname *name)
{
    name->octets[name->len++] = 0;
}

/* Moves `at` to where a pointer leads. RFC 1035 4.1.4: to a prior occurrence, so every jump goes
 * to before the segment it was found in; no loop is possible. */
static bool jump(pol_bytes message, size_t offset, const uint8_t **segment, struct cursor *at)
{
    if (!message.ptr || offset < HEADER_LEN || offset >= (size_t)(*segment - message.ptr))
        return false;

    *segment = message.ptr + offset;
    *at = cursor_of((pol_bytes){*segment, message.len - offset});
    return true;
}

int dnsname_wire_read(pol_bytes message, struct cursor *in, struct dnsname *ret_name)
{
    struct cursor at = *in;
    const uint8_t *segment = in->at;
    const uint8_t *behind = NULL;
    unsigned jumps = 0;
    struct dnsname name;

    name.len = 0;
    for (;;) {
        uint8_t len = cursor_u8(&at);

        if ((len & 0xc0) == 0xc0) {
            size_t offset = (size_t)(len & 0x3f) << 8 | cursor_u8(&at);

            if (at.failed)
                return POL_E_TRUNCATED;
            if (!behind)
                behind = at.at;
            if (++jumps > MAX_JUMPS || !jump(message, offset, &segment, &at))
                return POL_E_FORMAT;
            continue;
        }
        if (len > DNSNAME_LABEL)
            return POL_E_FORMAT;

        pol_bytes label = cursor_take(&at, len);

        if (at.failed)
            return POL_E_TRUNCATED;
        if (len == 0)
            break;
        if (!append_label(&name, label))
            return POL_E_FORMAT;
    }

    append_root(&name);
    in->at = behind ? behind : at.at;
    ret_name->len = name.len;
    memcpy(ret_name->octets, name.octets, name.len);
    return POL_OK;
}

int dnsname_read(pol_bytes message, struct cursor *in, char ret_text[DNSNAME_TEXT],
                 uint8_t *ret_len)
{
    struct dnsname name;
    int rc = dnsname_wire_read(message, in, &name);

    return rc < 0 ? rc : dnsname_text(&name, ret_text, ret_len);
}

int dnsname_skip(struct cursor *in)
{
    for (;;) {
        uint8_t len = cursor_u8(in);

        if ((len & 0xc0) == 0xc0)
            cursor_skip(in, 1);
        else if (len > DNSNAME_LABEL)
            return POL_E_FORMAT;
        else
            cursor_skip(in, len);

        if (in->failed)
            return POL_E_TRUNCATED;
        if (len == 0 || len > DNSNAME_LABEL)
            return POL_OK;
    }
}

static void put_octet(struct buf *out, uint8_t c)
{
    if (is_plain(c)) {
        buf_char(out, (char)c);
    } else if (c == '.') {
        buf_add(out, "\\.", 2);
    } else {
        char escape[4] = {'\\', (char)('0' + c / 100), (char)('0' + c / 10 % 10),
                          (char)('0' + c % 10)};

        buf_add(out, escape, sizeof(escape));
    }
}

int dnsname_text(const struct dnsname *name, char ret_text[DNSNAME_TEXT], uint8_t *ret_len)
{
    char text[DNSNAME_TEXT];
    struct buf out = buf_of(text, DNSNAME_TEXT - 1);
    const uint8_t *at = name->octets;

    if (*at == 0)
        buf_char(&out, '.');
    for (; *at; at += 1 + *at) {
        if (at != name->octets)
            buf_char(&out, '.');
        for (unsigned i = 1; i <= *at; i++)
            put_octet(&out, at[i]);
    }
    if (out.len > out.capacity)
        return POL_E_LIMIT;

    memcpy(ret_text, text, out.len);
    ret_text[out.len] = '\0';
    *ret_len = (uint8_t)out.len;
    return POL_OK;
}

/* What follows a backslash: three decimal digits, or any other octet than a digit. */
static bool read_escape(struct cursor *in, uint8_t *ret_octet)
{
    uint8_t first = cursor_u8(in);
    unsigned value = first;

    if (first >= '0' && first <= '9') {
        value = first - '0';
        for (int i = 0; i < 2; i++) {
            uint8_t digit = cursor_u8(in);

            if (digit < '0' || digit > '9')
                return false;
            value = value * 10 + (digit - '0');
        }
    }
    *ret_octet = (uint8_t)value;
    return !in->failed && value <= 255;
}

/* Reads up to the next unescaped dot, which is consumed, or the end. */
static bool read_label(struct cursor *in, uint8_t label[DNSNAME_LABEL], size_t *ret_len)
{
    size_t len = 0;

    while (cursor_left(in) > 0) {
        uint8_t c = cursor_u8(in);

        if (c == '.')
            break;
        if (c == '\\' && !read_escape(in, &c))
            return false;
        if (len == DNSNAME_LABEL)
            return false;
        label[len++] = c;
    }
    *ret_len = len;
    return len > 0;
}

static bool only_dots(const struct cursor *in)
{
    for (const uint8_t *at = in->at; at < in->end; at++) {
        if (*at != '.')
            return false;
    }
    return true;
}

int dnsname_parse(pol_str text, struct dnsname *ret_name)
{
    struct cursor in = cursor_of((pol_bytes){(const uint8_t *)text.ptr, text.len});
    uint8_t label[DNSNAME_LABEL];
    struct dnsname name;
    size_t len;

    name.len = 0;
    if (text.len == 0)
        return POL_E_FORMAT;
    if (str_equal(text, STR(".")))
        cursor_skip(&in, 1);
    else if (only_dots(&in))
        return POL_E_FORMAT;

    while (!only_dots(&in)) {
        if (!read_label(&in, label, &len) || !append_label(&name, (pol_bytes){label, len}))
            return POL_E_FORMAT;
    }
    append_root(&name);
    ret_name->len = name.len;
    memcpy(ret_name->octets, name.octets, name.len);
    return POL_OK;
}

int dnsname_normalise(pol_str text, char ret_text[DNSNAME_TEXT], uint8_t *ret_len)
{
    struct dnsname name;
    int rc = dnsname_parse(text, &name);

    return rc < 0 ? rc : dnsname_text(&name, ret_text, ret_len);
}

bool dnsname_equal(const struct dnsname *a, const struct dnsname *b)
{
    return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

/* The octets of `name` before `owner`, or 0 if `name` is not below it. */
static uint8_t length_above(const struct dnsname *name, const struct dnsname *owner)
{
    const uint8_t *at = name->octets;

    if (name->len <= owner->len)
        return 0;

    /* Only a label boundary counts: "badexample" is not below "example". */
    while (name->octets + name->len - at > owner->len)
        at += 1 + *at;
    if (name->octets + name->len - at != owner->len || memcmp(at, owner->octets, owner->len) != 0)
        return 0;
    return (uint8_t)(at - name->octets);
}

int dnsname_substitute(const struct dnsname *name, const struct dnsname *owner,
                       const struct dnsname *target, struct dnsname *ret_name)
{
    uint8_t above = length_above(name, owner);

    if (above == 0)
        return POL_E_NOTFOUND;
    if (above + target->len > DNSNAME_WIRE)
        return POL_E_FORMAT;

    memmove(ret_name->octets, name->octets, above);
    memcpy(ret_name->octets + above, target->octets, target->len);
    ret_name->len = (uint8_t)(above + target->len);
    return POL_OK;
}
