/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <assert.h>

#include "base/buf.h"
#include "base/slice.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b}; /* RFC 6052 2.1 */

struct block {
    uint8_t bytes[4];
    uint8_t len;
};

/* Networks a public name has no business pointing at. */
static const struct block special4[] = {
    {{0}, 8},         {{10}, 8},       {{100, 64}, 10},  {{127}, 8},
    {{169, 254}, 16}, {{172, 16}, 12}, {{192, 168}, 16}, {{224}, 3},
};
static const struct block special6[] = {{{0xfc}, 7}, {{0xfe, 0x80}, 10}, {{0xff}, 8}};

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned len)
{
    unsigned whole = len / 8, rest = len % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool in_blocks(const uint8_t *bytes, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bits_equal(bytes, blocks[i].bytes, blocks[i].len))
            return true;
    }
    return false;
}

static bool is_special4(const uint8_t bytes[4])
{
    return in_blocks(bytes, special4, sizeof(special4) / sizeof(special4[0]));
}

static bool is_special6(const uint8_t bytes[16])
{
    static const uint8_t zero[15];

    if (memcmp(bytes, zero, sizeof(zero)) == 0 && bytes[15] <= 1)
        return true; /* :: and ::1 */
    if (memcmp(bytes, nat64, sizeof(nat64)) == 0)
        return is_special4(bytes + 12);
    return in_blocks(bytes, special6, sizeof(special6) / sizeof(special6[0]));
}

int addr_compare(const pol_addr *a, const pol_addr *b)
{
    /* The family is the first octet and unused octets are zero. */
    return memcmp(a, b, sizeof(*a));
}

bool addr_is_special(const pol_addr *addr)
{
    return addr->family == 4 ? is_special4(addr->bytes)
                             : addr->family == 6 && is_special6(addr->bytes);
}

bool addr_is_mapped(const pol_addr *addr)
{
    return addr->family == 6 && memcmp(addr->bytes, mapped, sizeof(mapped)) == 0;
}

bool addr_is_multicast(const pol_addr *addr)
{
    return addr->family == 4 ? addr->bytes[0] >> 4 == 0xe
                             : addr->family == 6 && addr->bytes[0] == 0xff;
}

bool addr_is_broadcast(const pol_addr *addr)
{
    static const pol_addr broadcast = {4, {255, 255, 255, 255}};

    return addr_equal(addr, &broadcast);
}

bool addr_is_group(const pol_addr *addr)
{
    return addr_is_multicast(addr) || addr_is_broadcast(addr);
}

pol_addr addr_nat64(const pol_addr *addr)
{
    pol_addr translated = {.family = 6};

    memcpy(translated.bytes, nat64, sizeof(nat64));
    memcpy(translated.bytes + sizeof(nat64), addr->bytes, 4);
    return translated;
}

/* Copies to a NUL-terminated buffer for inet_pton(). A NUL inside the text would end it early. */
static bool copy_text(pol_str text, char ret_copy[POL_ADDR_TEXT])
{
    if (text.len == 0 || text.len >= POL_ADDR_TEXT || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(ret_copy, text.ptr, text.len);
    ret_copy[text.len] = '\0';
    return true;
}

/* As pol_addr_parse(), but a mapped address stays IPv6. */
static int parse(pol_str text, pol_addr *ret_addr)
{
    char copy[POL_ADDR_TEXT];
    uint8_t bytes[16];

    if (!copy_text(text, copy))
        return POL_E_FORMAT;
    /* inet_pton() refuses leading zeros, blanks and zones in both families. */
    if (inet_pton(AF_INET, copy, bytes) == 1)
        *ret_addr = addr_v4(bytes);
    else if (inet_pton(AF_INET6, copy, bytes) == 1)
        *ret_addr = addr_v6(bytes);
    else
        return POL_E_FORMAT;
    return POL_OK;
}

int pol_addr_parse(pol_str text, pol_addr *ret_addr)
{
    int rc = parse(text, ret_addr);

    if (rc == POL_OK && addr_is_mapped(ret_addr))
        *ret_addr = addr_v4(ret_addr->bytes + sizeof(mapped));
    return rc;
}

/* One to three digits without leading zeros; more digits are a number out of range. */
static int parse_length(pol_str text, unsigned *ret_len)
{
    unsigned value = 0;

    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0'))
        return POL_E_FORMAT;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return POL_E_FORMAT;
        if (value <= 128)
            value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *ret_len = value;
    return POL_OK;
}

/*
 * A prefix inside ::ffff:0:0/96 is the IPv4 prefix it means, as a mapped address is. One that is
 * written with a mapped address but shorter than 96 is refused: whoever wrote ::ffff:10.0.0.0/8
 * meant 10.0.0.0/8, and ::/8 is a different thing.
 */
static int make_prefix(pol_addr addr, unsigned len, pol_prefix *ret_prefix)
{
    if (len > (addr.family == 4 ? 32 : 128))
        return POL_E_INVALID;
    if (addr_is_mapped(&addr)) {
        if (len < 96)
            return POL_E_INVALID;
        addr = addr_v4(addr.bytes + sizeof(mapped));
        len -= 96;
    }
    *ret_prefix = prefix_of(&addr, len);
    return POL_OK;
}

int pol_prefix_parse(pol_str text, pol_prefix *ret_prefix)
{
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    size_t addr_len = slash ? (size_t)(slash - text.ptr) : text.len;
    pol_addr addr;
    unsigned len;
    int rc;

    rc = parse((pol_str){text.ptr, addr_len}, &addr);
    if (rc < 0)
        return rc;

    len = addr.family == 4 ? 32 : 128;
    if (slash)
        rc = parse_length((pol_str){slash + 1, text.len - addr_len - 1}, &len);
    return rc < 0 ? rc : make_prefix(addr, len, ret_prefix);
}

static void format4(struct buf *out, const uint8_t bytes[4])
{
    buf_printf(out, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

static unsigned group(const pol_addr *addr, unsigned index)
{
    return (unsigned)addr->bytes[2 * index] << 8 | addr->bytes[2 * index + 1];
}

/* RFC 5952 4.2: the longest run of at least two zero groups, the first among equals. No run gives
 * length 0. */
static unsigned longest_zero_run(const pol_addr *addr, unsigned *ret_start)
{
    unsigned best = 1, run = 0;

    *ret_start = 8;
    for (unsigned i = 0; i < 8; i++) {
        run = group(addr, i) == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *ret_start = i + 1 - run;
        }
    }
    return best > 1 ? best : 0;
}

static void format6(struct buf *out, const pol_addr *addr)
{
    unsigned start, length = longest_zero_run(addr, &start);

    for (unsigned i = 0; i < 8; i++) {
        if (i == start) {
            buf_text(out, "::");
            i += length - 1;
            continue;
        }
        if (i > 0 && i != start + length)
            buf_char(out, ':');
        buf_printf(out, "%x", group(addr, i));
    }
}

/* Not inet_ntop(): libraries differ in when they write an embedded IPv4 address as a dotted quad.
 * Here only the mapped form has one (RFC 5952 5). */
size_t pol_addr_format(const pol_addr *addr, char buf[POL_ADDR_TEXT])
{
    struct buf out = buf_of(buf, POL_ADDR_TEXT - 1);

    if (addr->family == 4) {
        format4(&out, addr->bytes);
    } else if (addr_is_mapped(addr)) {
        buf_text(&out, "::ffff:");
        format4(&out, addr->bytes + sizeof(mapped));
    } else if (addr->family == 6) {
        format6(&out, addr);
    } else {
        buf_text(&out, "none");
    }
    buf[out.len] = '\0';
    return out.len;
}

pol_prefix prefix_of(const pol_addr *addr, unsigned len)
{
    pol_prefix prefix = {.addr = *addr, .len = (uint8_t)len};

    assert(len <= (addr->family == 4 ? 32 : 128));
    for (unsigned bit = len; bit < 128; bit = (bit | 7) + 1)
        prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0xff >> bit % 8);
    return prefix;
}

bool addr_is_valid(const pol_addr *addr)
{
    pol_addr v4 = addr_v4(addr->bytes);

    return addr->family == 6 || addr_equal(addr, &v4);
}

bool prefix_is_valid(const pol_prefix *prefix)
{
    pol_prefix whole;

    if (!addr_is_valid(&prefix->addr) || prefix->len > (prefix->addr.family == 4 ? 32 : 128))
        return false;
    whole = prefix_of(&prefix->addr, prefix->len);
    return addr_equal(&whole.addr, &prefix->addr);
}

bool prefix_contains(const pol_prefix *prefix, const pol_addr *addr)
{
    return prefix->addr.family == addr->family &&
           bits_equal(prefix->addr.bytes, addr->bytes, prefix->len);
}

struct iprange prefix_range(const pol_prefix *prefix)
{
    struct iprange range = {prefix->addr, prefix->addr};
    unsigned bits = prefix->addr.family == 4 ? 32 : 128;

    for (unsigned bit = prefix->len; bit < bits; bit = (bit | 7) + 1)
        range.last.bytes[bit / 8] |= (uint8_t)(0xff >> bit % 8);
    return range;
}

size_t prefix_format(const pol_prefix *prefix, char buf[POL_PREFIX_TEXT])
{
    struct buf out = buf_of(buf, POL_PREFIX_TEXT - 1);

    out.len = pol_addr_format(&prefix->addr, buf);
    buf_char(&out, '/');
    buf_u64(&out, prefix->len);
    buf[out.len] = '\0';
    return out.len;
}
