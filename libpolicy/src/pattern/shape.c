/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expansion works on a list of partial sequences. Reading a pattern from left to right, a plain
 * character is appended to each; a group is expanded by itself and every sequence so far is joined
 * with every one of the group's. Sequences and octets are capped, so a pattern that multiplies into
 * too many is left to the engine.
 *
 * In a sequence, octets below SYMBOLS are not text: they stand for ^, $, .+ and .*
 */
#include "pattern/shape.h"

#include <string.h>

#include "base/slice.h"

enum { BEGIN = 1, END, ANY_PLUS, ANY_STAR, SYMBOLS };

struct list {
    uint32_t count;
    uint32_t used;
    struct {
        uint16_t at, len;
    } items[SHAPE_ITEMS];
    char bytes[SHAPE_BYTES];
};

struct reader {
    const char *at, *end;
};

enum { NEST = 4 };

static bool list_add(struct list *list, pol_str a, pol_str b)
{
    if (list->count == SHAPE_ITEMS || a.len + b.len > SHAPE_BYTES - list->used)
        return false;
    list->items[list->count].at = (uint16_t)list->used;
    list->items[list->count].len = (uint16_t)(a.len + b.len);
    list->count++;
    if (a.len)
        memcpy(list->bytes + list->used, a.ptr, a.len);
    if (b.len)
        memcpy(list->bytes + list->used + a.len, b.ptr, b.len);
    list->used += (uint32_t)(a.len + b.len);
    return true;
}

static pol_str list_at(const struct list *list, uint32_t i)
{
    return (pol_str){list->bytes + list->items[i].at, list->items[i].len};
}

static void list_clear(struct list *list)
{
    list->count = list->used = 0;
}

/* Only what is in use: a list is joined once per character, and it is nearly always short. */
static void list_copy(struct list *list, const struct list *from)
{
    list->count = from->count;
    list->used = from->used;
    memcpy(list->items, from->items, from->count * sizeof(from->items[0]));
    memcpy(list->bytes, from->bytes, from->used);
}

/* left = every sequence of left followed by every one of right. `out` is scratch. */
static bool list_join(struct list *left, const struct list *right, struct list *out)
{
    list_clear(out);
    for (uint32_t i = 0; i < left->count; i++) {
        for (uint32_t j = 0; j < right->count; j++) {
            if (!list_add(out, list_at(left, i), list_at(right, j)))
                return false;
        }
    }
    list_copy(left, out);
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool read_bare(struct reader *in, char c, char *ret)
{
    if (!is_word(c) && c != '-' && c != '_')
        return false;
    *ret = ascii_lower(c);
    in->at++;
    return true;
}

/* One character that stands for itself: a letter, "\.", "[.]". */
static bool read_char(struct reader *in, char *ret)
{
    char c = *in->at;

    if (c == '\\') {
        if (in->end - in->at < 2 || !strchr(".-_", in->at[1]) || !in->at[1])
            return false;
        *ret = in->at[1];
        in->at += 2;
        return true;
    }
    if (c == '[') {
        if (in->end - in->at < 3 || in->at[1] != '.' || in->at[2] != ']')
            return false;
        *ret = '.';
        in->at += 3;
        return true;
    }
    return read_bare(in, c, ret);
}

static bool read_symbol(struct reader *in, char *ret)
{
    switch (*in->at) {
    case '^':
        *ret = BEGIN;
        in->at++;
        return true;
    case '$':
        *ret = END;
        in->at++;
        return true;
    case '.':
        if (in->end - in->at < 2 || (in->at[1] != '+' && in->at[1] != '*'))
            return false;
        *ret = in->at[1] == '+' ? ANY_PLUS : ANY_STAR;
        in->at += 2;
        return true;
    default:
        return read_char(in, ret);
    }
}

static bool read_alternatives(struct reader *in, unsigned depth, struct list *ret);

static bool read_group(struct reader *in, unsigned depth, struct list *ret)
{
    in->at++;
    if (in->end - in->at >= 2 && in->at[0] == '?' && in->at[1] == ':')
        in->at += 2;
    if (depth == NEST || !read_alternatives(in, depth + 1, ret) || in->at == in->end ||
        *in->at != ')')
        return false;
    in->at++;
    return true;
}

/* Behind one item: "?" makes a character or a group optional, but ".+?" only lazy, which finds the
 * same names; "^?" is no pattern. Other quantifiers repeat without end. */
static bool read_quantifier(struct reader *in, char symbol, struct list *item)
{
    if (in->at == in->end || !strchr("?+*{", *in->at))
        return true;
    if (*in->at != '?' || symbol == BEGIN || symbol == END)
        return false;
    in->at++;
    return symbol == ANY_PLUS || symbol == ANY_STAR || list_add(item, STR(""), STR(""));
}

static bool read_item(struct reader *in, unsigned depth, struct list *ret)
{
    char c = 0;

    list_clear(ret);
    if (*in->at == '(')
        return read_group(in, depth, ret) && read_quantifier(in, c, ret);
    if (!read_symbol(in, &c))
        return false;
    list_add(ret, (pol_str){&c, 1}, STR(""));
    return read_quantifier(in, c, ret);
}

static bool read_sequence(struct reader *in, unsigned depth, struct list *ret)
{
    struct list item, joined;

    list_clear(ret);
    list_add(ret, STR(""), STR(""));
    while (in->at < in->end && *in->at != '|' && *in->at != ')') {
        if (!read_item(in, depth, &item) || !list_join(ret, &item, &joined))
            return false;
    }
    return true;
}

static bool read_alternatives(struct reader *in, unsigned depth, struct list *ret)
{
    struct list branch;

    list_clear(ret);
    for (;;) {
        if (!read_sequence(in, depth, &branch))
            return false;
        for (uint32_t i = 0; i < branch.count; i++) {
            if (!list_add(ret, list_at(&branch, i), STR("")))
                return false;
        }
        if (in->at == in->end || *in->at != '|')
            return true;
        in->at++;
    }
}

/* The part without symbols that ends a sequence. */
static bool literal_tail(pol_str text, struct shape_item *item)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.ptr[i] < SYMBOLS)
            return false;
    }
    item->literal = text;
    return text.len > 0;
}

static pol_str skip(pol_str text, size_t len)
{
    return (pol_str){text.ptr + len, text.len - len};
}

static bool begins_with(pol_str text, char symbol)
{
    return text.len && text.ptr[0] == symbol;
}

/* What is left of a sequence without the symbols that make no difference: "^.*" at the front and
 * ".*" in front of an open end. */
static bool classify_every(pol_str text, struct shape_item *item)
{
    if (begins_with(text, BEGIN))
        text = skip(text, 1);
    if (text.len && text.ptr[text.len - 1] == END)
        text.len--;
    if (text.len != 1 || (text.ptr[0] != ANY_PLUS && text.ptr[0] != ANY_STAR))
        return false;
    item->place = text.ptr[0] == ANY_STAR ? SHAPE_EVERY : SHAPE_NOT_EMPTY;
    item->literal = (pol_str){text.ptr, 0};
    return true;
}

static bool classify(pol_str text, struct shape_item *item)
{
    bool begun = begins_with(text, BEGIN);

    if (classify_every(text, item))
        return true;
    if (!text.len || text.ptr[text.len - 1] != END)
        return false;
    text.len--;
    if (begun)
        text = skip(text, 1);
    if (begins_with(text, ANY_PLUS) || begins_with(text, ANY_STAR)) {
        item->place = text.ptr[0] == ANY_PLUS ? SHAPE_BELOW : SHAPE_BEHIND_DOT;
        text = skip(text, 1);
    } else if (begun) {
        item->place = SHAPE_WHOLE;
        return literal_tail(text, item);
    } else {
        item->place = SHAPE_BEHIND_DOT;
    }
    return begins_with(text, '.') && literal_tail(skip(text, 1), item);
}

bool shape_of(pol_str pattern, struct shape *ret_shape)
{
    struct reader in = {pattern.ptr, pattern.ptr + pattern.len};
    struct list list;

    /* Names are compared without case anyway. */
    if (pattern.len >= 4 && memcmp(pattern.ptr, "(?i)", 4) == 0)
        in.at += 4;
    if (!read_alternatives(&in, 0, &list) || in.at != in.end)
        return false;
    memcpy(ret_shape->bytes, list.bytes, list.used);
    ret_shape->count = list.count;
    for (uint32_t i = 0; i < list.count; i++) {
        pol_str text = {ret_shape->bytes + list.items[i].at, list.items[i].len};

        if (!classify(text, &ret_shape->items[i]))
            return false;
    }
    return true;
}
