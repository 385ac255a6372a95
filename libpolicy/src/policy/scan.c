/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/scan.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "policy/diag.h"
#include "policy/sort.h"

enum {
    NUMBER_BYTES = 40, /* cJSON cuts literals off at 63 */
    FEW_KEYS = 16      /* up to here every pair of keys is compared; beyond, they are sorted */
};

struct key {
    uint32_t node;
    pol_str text; /* unescaped */
};

struct scanner {
    struct scan *scan;
    struct pol_diags *diags;
    struct arena unescaped; /* keys that hold a backslash */
    struct key *keys;       /* of the objects being read, outermost first */
    size_t key_count, key_capacity;
    size_t at;
    unsigned depth;
    uint32_t node; /* newest */
};

static int syntax(struct scanner *s, size_t at, const char *what)
{
    diag_offset(s->diags, POL_DIAG_SYNTAX, s->scan->count ? s->node : POL_NONE, (uint32_t)at,
                "invalid json: %s", what);
    return POL_E_POLICY;
}

static int peek(const struct scanner *s)
{
    return s->at < s->scan->text.len ? (uint8_t)s->scan->text.ptr[s->at] : -1;
}

static void skip_blanks(struct scanner *s)
{
    for (;; s->at++) {
        int c = peek(s);

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
    }
}

/* RFC 3629 4: no overlong forms, no surrogates, nothing above U+10FFFF. 0 when invalid. */
static size_t utf8_len(const uint8_t *at, size_t left)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        len = 2;
    else if ((at[0] & 0xf0) == 0xe0)
        len = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (left < len || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind "\u"; -1 when they are not. */
static int32_t hex4(pol_str text, size_t at)
{
    int32_t value = 0;

    for (size_t i = at; i < at + 4; i++) {
        int digit = i < text.len ? hex_digit((uint8_t)text.ptr[i]) : -1;

        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* s->at is on the 'u'; leaves it behind the last digit. */
static int scan_unicode(struct scanner *s)
{
    pol_str text = s->scan->text;
    int32_t unit = hex4(text, s->at + 1);
    size_t start = s->at - 1;

    if (unit < 0)
        return syntax(s, start, "\\u must be followed by four hexadecimal digits");
    if (unit == 0)
        return syntax(s, start, "NUL (\\u0000) is not allowed in a string");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return syntax(s, start, "a low surrogate without a high one before it");
    s->at += 5;
    if (unit < 0xd800 || unit > 0xdbff)
        return POL_OK;

    if (peek(s) == '\\' && s->at + 1 < text.len && text.ptr[s->at + 1] == 'u')
        unit = hex4(text, s->at + 2);
    if (unit < 0xdc00 || unit > 0xdfff)
        return syntax(s, start, "a high surrogate without a low one behind it");
    s->at += 6;
    return POL_OK;
}

static int scan_escape(struct scanner *s)
{
    int c;

    s->at++;
    c = peek(s);
    if (c == 'u')
        return scan_unicode(s);
    if (c <= 0 || !strchr("\"\\/bfnrt", c))
        return syntax(s, s->at - 1, "an unknown escape in a string");
    s->at++;
    return POL_OK;
}

/* ret_raw is what stands between the quotes. */
static int scan_string(struct scanner *s, pol_str *ret_raw, bool *ret_escaped)
{
    const char *text = s->scan->text.ptr;
    size_t start = s->at++;
    bool escaped = false;

    while (s->at < s->scan->text.len && text[s->at] != '"') {
        uint8_t c = (uint8_t)text[s->at];
        size_t len;
        int rc;

        if (c == '\\') {
            escaped = true;
            rc = scan_escape(s);
            if (rc < 0)
                return rc;
            continue;
        }
        if (c < 0x20)
            return syntax(s, s->at, "a raw control character in a string; write it as \\uXXXX");
        len = utf8_len((const uint8_t *)text + s->at, s->scan->text.len - s->at);
        if (!len)
            return syntax(s, s->at, "not valid UTF-8");
        s->at += len;
    }
    if (s->at >= s->scan->text.len)
        return syntax(s, start, "a string that does not end");
    *ret_raw = (pol_str){text + start + 1, s->at - start - 1};
    *ret_escaped = escaped;
    s->at++;
    return POL_OK;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* One character of a string that was found valid; *at is moved behind it. */
static size_t unescape_one(pol_str raw, size_t *at, char out[4])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *found;
    uint32_t unit;

    if (raw.ptr[*at] != '\\') {
        out[0] = raw.ptr[(*at)++];
        return 1;
    }
    if (raw.ptr[*at + 1] != 'u') {
        found = strchr(from, raw.ptr[*at + 1]);
        out[0] = found ? to[found - from] : raw.ptr[*at + 1];
        *at += 2;
        return 1;
    }
    unit = (uint32_t)hex4(raw, *at + 2);
    *at += 6;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + ((uint32_t)hex4(raw, *at + 2) - 0xdc00);
        *at += 6;
    }
    return put_utf8(out, unit);
}

static int unescape(struct arena *arena, pol_str raw, pol_str *ret_text)
{
    char *out = arena_alloc(arena, raw.len + 1);
    size_t len = 0;

    if (!out)
        return POL_E_NOMEM;
    for (size_t at = 0; at < raw.len;)
        len += unescape_one(raw, &at, out + len);
    *ret_text = (pol_str){out, len};
    return POL_OK;
}

static size_t skip_digits(struct scanner *s)
{
    size_t start = s->at;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at - start;
}

/* RFC 8259 6. */
static int scan_number(struct scanner *s)
{
    size_t start = s->at;

    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0') {
        s->at++;
        if (peek(s) >= '0' && peek(s) <= '9')
            return syntax(s, start, "a number with a leading zero");
    } else if (!skip_digits(s)) {
        return syntax(s, start, "a number without digits");
    }
    if (peek(s) == '.') {
        s->at++;
        if (!skip_digits(s))
            return syntax(s, start, "a number without digits behind the point");
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!skip_digits(s))
            return syntax(s, start, "a number without digits in its exponent");
    }
    if (s->at - start > NUMBER_BYTES)
        return syntax(s, start, "a number with too many digits");
    return POL_OK;
}

static int scan_word(struct scanner *s)
{
    static const pol_str words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    pol_str text = s->scan->text;

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (text.len - s->at >= words[i].len &&
            memcmp(text.ptr + s->at, words[i].ptr, words[i].len) == 0) {
            s->at += words[i].len;
            return POL_OK;
        }
    }
    if (s->at >= text.len)
        return syntax(s, s->at, "the document ends where a value is expected");
    return syntax(s, s->at, "a value is expected here");
}

static int compare_text(pol_str a, pol_str b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    if (order)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static int by_key(const void *user, uint32_t a, uint32_t b)
{
    const struct key *keys = user;

    return compare_text(keys[a].text, keys[b].text);
}

static void duplicate(struct scanner *s, const struct key *key)
{
    diag_key(s->diags, POL_DIAG_SYNTAX, key->node, "invalid json: duplicate key \"%.*s\"",
             DIAG_ECHO(key->text));
}

static int find_duplicates_sorted(struct scanner *s, const struct key *keys, size_t count)
{
    const pol_mem *mem = s->scan->mem;
    uint32_t *order = mem_array(mem, 2 * count, sizeof(*order));

    if (!order)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    sort_indexes(order, order + count, count, by_key, keys);
    for (size_t i = 1; i < count; i++) {
        if (str_equal(keys[order[i - 1]].text, keys[order[i]].text))
            duplicate(s, &keys[order[i]]);
    }
    mem_free(mem, order, 2 * count * sizeof(*order));
    return POL_OK;
}

static int find_duplicates(struct scanner *s, size_t first)
{
    size_t count = s->key_count - first;
    const struct key *keys;

    if (!count)
        return POL_OK;
    keys = s->keys + first;
    if (count > FEW_KEYS)
        return find_duplicates_sorted(s, keys, count);
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (str_equal(keys[i].text, keys[j].text)) {
                duplicate(s, &keys[i]);
                break;
            }
        }
    }
    return POL_OK;
}

static int scan_value(struct scanner *s, struct scan_node node);

static int push_key(struct scanner *s, pol_str raw, bool escaped)
{
    pol_str text = raw;
    int rc;

    if (escaped) {
        rc = unescape(&s->unescaped, raw, &text);
        if (rc < 0)
            return rc;
    }
    rc = mem_grow(s->scan->mem, (void **)&s->keys, &s->key_capacity, s->key_count + 1,
                  sizeof(*s->keys));
    if (rc < 0)
        return rc;
    s->keys[s->key_count++] = (struct key){(uint32_t)s->scan->count, text};
    return POL_OK;
}

static int scan_member(struct scanner *s, uint32_t parent, uint32_t index)
{
    uint32_t key = (uint32_t)s->at;
    bool escaped;
    pol_str raw;
    int rc;

    if (peek(s) != '"')
        return syntax(s, s->at, "a key in double quotes is expected here");
    rc = scan_string(s, &raw, &escaped);
    if (rc < 0)
        return rc;
    rc = push_key(s, raw, escaped);
    if (rc < 0)
        return rc;
    skip_blanks(s);
    if (peek(s) != ':')
        return syntax(s, s->at, "a colon is expected behind the key");
    s->at++;
    return scan_value(s, (struct scan_node){.key = key, .parent = parent, .index = index});
}

/* What may follow a value inside a container: 1 to go on, 0 at the end. */
static int scan_separator(struct scanner *s, char close)
{
    skip_blanks(s);
    if (peek(s) == close) {
        s->at++;
        return 0;
    }
    if (peek(s) != ',')
        return syntax(s, s->at,
                      close == '}' ? "a comma or a closing brace is expected here"
                                   : "a comma or a closing bracket is expected here");
    s->at++;
    skip_blanks(s);
    if (peek(s) == close)
        return syntax(s, s->at, "a comma before the closing bracket");
    return 1;
}

static int scan_members(struct scanner *s, uint32_t self, char close)
{
    int rc;

    for (uint32_t i = 0;; i++) {
        struct scan_node element = {.key = POL_NONE, .parent = self, .index = i};

        rc = close == '}' ? scan_member(s, self, i) : scan_value(s, element);
        if (rc < 0)
            return rc;
        rc = scan_separator(s, close);
        if (rc <= 0)
            return rc;
    }
}

static int scan_container(struct scanner *s, uint32_t self, char close)
{
    size_t first = s->key_count;
    int rc;

    if (s->depth == SCAN_DEPTH)
        return syntax(s, s->at, "nested more than 32 levels deep");
    s->depth++;
    s->at++;
    skip_blanks(s);
    if (peek(s) == close) {
        s->at++;
        rc = POL_OK;
    } else {
        rc = scan_members(s, self, close);
    }
    if (rc == POL_OK)
        rc = find_duplicates(s, first);
    s->key_count = first;
    s->depth--;
    return rc;
}

static int scan_value(struct scanner *s, struct scan_node node)
{
    struct scan *scan = s->scan;
    uint32_t self = (uint32_t)scan->count;
    bool escaped;
    pol_str raw;
    int rc;

    skip_blanks(s);
    rc = mem_grow(scan->mem, (void **)&scan->nodes, &scan->capacity, scan->count + 1,
                  sizeof(*scan->nodes));
    if (rc < 0)
        return rc;
    node.value = (uint32_t)s->at;
    scan->nodes[scan->count++] = node;
    s->node = self;

    switch (peek(s)) {
    case '{':
        return scan_container(s, self, '}');
    case '[':
        return scan_container(s, self, ']');
    case '"':
        return scan_string(s, &raw, &escaped);
    default:
        if (peek(s) == '-' || (peek(s) >= '0' && peek(s) <= '9'))
            return scan_number(s);
        return scan_word(s);
    }
}

static int scan_all(struct scanner *s)
{
    pol_str text = s->scan->text;
    int rc;

    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        return syntax(s, 0, "the document begins with a byte order mark; save it without one");
    rc = scan_value(s, (struct scan_node){.key = POL_NONE, .parent = POL_NONE});
    if (rc < 0)
        return rc;
    skip_blanks(s);
    if (s->at < text.len) {
        s->node = 0;
        return syntax(s, s->at, "trailing characters behind the document");
    }
    return s->diags->errors ? POL_E_POLICY : POL_OK;
}

int scan_document(struct scan *scan, const pol_ctx *ctx, pol_str text, struct pol_diags *diags)
{
    struct scanner s = {.scan = scan, .diags = diags};
    int rc;

    *scan = (struct scan){.mem = &ctx->mem, .text = text};
    diags->scan = scan;
    arena_init(&s.unescaped, &ctx->mem);
    if (text.len > ctx->limits.document_bytes || text.len >= UINT32_MAX) {
        diag_offset(diags, POL_DIAG_LIMIT, POL_NONE, POL_NONE,
                    "the document has %zu octets; at most %zu are allowed", text.len,
                    ctx->limits.document_bytes);
        return POL_E_POLICY;
    }

    rc = scan_all(&s);
    mem_free(scan->mem, s.keys, s.key_capacity * sizeof(*s.keys));
    arena_fini(&s.unescaped);
    return rc;
}

void scan_fini(struct scan *scan)
{
    mem_free(scan->mem, scan->nodes, scan->capacity * sizeof(*scan->nodes));
    scan->nodes = NULL;
    scan->count = scan->capacity = 0;
}

uint32_t scan_value_offset(const struct scan *scan, uint32_t node)
{
    return node < scan->count ? scan->nodes[node].value : POL_NONE;
}

uint32_t scan_key_offset(const struct scan *scan, uint32_t node)
{
    if (node >= scan->count)
        return POL_NONE;
    return scan->nodes[node].key != POL_NONE ? scan->nodes[node].key : scan->nodes[node].value;
}

/* RFC 6901 3: "~" and "/" inside a key are written "~0" and "~1". */
static void put_key(const struct scan *scan, uint32_t at, struct buf *buf)
{
    pol_str raw = {scan->text.ptr + at + 1, 0};
    char out[4];

    while (raw.ptr[raw.len] != '"')
        raw.len += raw.ptr[raw.len] == '\\' ? 2 : 1;
    for (size_t i = 0; i < raw.len;) {
        size_t len = unescape_one(raw, &i, out);

        if (out[0] == '~')
            buf_text(buf, "~0");
        else if (out[0] == '/')
            buf_text(buf, "~1");
        else
            buf_add(buf, out, len);
    }
}

void scan_path(const struct scan *scan, uint32_t node, struct buf *buf)
{
    uint32_t chain[SCAN_DEPTH + 1];
    unsigned depth = 0;

    for (; node < scan->count && scan->nodes[node].parent != POL_NONE && depth <= SCAN_DEPTH;
         node = scan->nodes[node].parent)
        chain[depth++] = node;
    while (depth--) {
        const struct scan_node *step = &scan->nodes[chain[depth]];

        buf_char(buf, '/');
        if (step->key != POL_NONE)
            put_key(scan, step->key, buf);
        else
            buf_u64(buf, step->index);
    }
}

pol_str scan_literal(const struct scan *scan, uint32_t node)
{
    pol_str literal = {scan->text.ptr + scan->nodes[node].value, 0};
    const char *end = scan->text.ptr + scan->text.len;

    while (literal.ptr + literal.len < end && literal.len < NUMBER_BYTES &&
           !strchr(" \t\r\n,]}", literal.ptr[literal.len]))
        literal.len++;
    return literal;
}

bool scan_integer(const struct scan *scan, uint32_t node, uint32_t max, uint32_t *ret_value)
{
    pol_str literal = scan_literal(scan, node);
    uint64_t value = 0;

    for (size_t i = 0; i < literal.len; i++) {
        if (literal.ptr[i] < '0' || literal.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(literal.ptr[i] - '0');
        if (value > max)
            return false;
    }
    *ret_value = (uint32_t)value;
    return true;
}
