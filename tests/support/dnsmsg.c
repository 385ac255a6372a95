/* SPDX-License-Identifier: Apache-2.0 */
#include "dnsmsg.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define HEADER    12
#define TYPE_A    1
#define TYPE_AAAA 28
#define TYPE_OPT  41

static void require(bool holds)
{
    if (!holds)
        abort();
}

void dnsmsg_raw(struct dnsmsg *msg, const void *octets, size_t len)
{
    require(len <= sizeof(msg->bytes) - msg->len);
    if (len)
        memcpy(msg->bytes + msg->len, octets, len);
    msg->len += len;
}

static void put_u8(struct dnsmsg *msg, unsigned value)
{
    uint8_t b = (uint8_t)value;

    dnsmsg_raw(msg, &b, 1);
}

static void put_u16(struct dnsmsg *msg, unsigned value)
{
    put_u8(msg, value >> 8 & 0xff);
    put_u8(msg, value & 0xff);
}

static void put_u32(struct dnsmsg *msg, uint32_t value)
{
    put_u16(msg, value >> 16);
    put_u16(msg, value & 0xffff);
}

static void patch_u16(struct dnsmsg *msg, size_t at, unsigned value)
{
    msg->bytes[at] = (uint8_t)(value >> 8);
    msg->bytes[at + 1] = (uint8_t)value;
}

static unsigned peek_u16(const struct dnsmsg *msg, size_t at)
{
    return (unsigned)msg->bytes[at] << 8 | msg->bytes[at + 1];
}

void dnsmsg_count(struct dnsmsg *msg, int section, int difference)
{
    size_t at = 4 + 2 * (size_t)section;

    patch_u16(msg, at, (unsigned)((int)peek_u16(msg, at) + difference));
}

void dnsmsg_flags(struct dnsmsg *msg, uint16_t flags)
{
    patch_u16(msg, 2, peek_u16(msg, 2) | flags);
}

/* Wire form of a name, uncompressed. */
static size_t encode(const char *name, uint8_t wire[256])
{
    size_t len = 1, label = 0;

    if (strcmp(name, ".") == 0)
        name = "";
    for (const char *at = name; *at; at++) {
        unsigned c = (uint8_t)*at;

        if (c == '.') {
            wire[label] = (uint8_t)(len - label - 1);
            label = len;
            c = 0; /* room for the next length */
        } else if (c == '\\') {
            c = (unsigned)(at[1] - '0') * 100 + (unsigned)(at[2] - '0') * 10 +
                (unsigned)(at[3] - '0');
            at += 3;
        }
        require(len < 255);
        wire[len++] = (uint8_t)c;
    }
    wire[label] = (uint8_t)(len - label - 1);
    if (wire[label] != 0)
        wire[len++] = 0;
    return len;
}

/* The offset of an earlier occurrence of a wire name in the message, or 0. */
static size_t find_suffix(const struct dnsmsg *msg, const uint8_t *wire, size_t len)
{
    if (msg->plain || len < 3)
        return 0;
    for (size_t at = HEADER; at + len <= msg->len && at < 0x4000; at++) {
        if (memcmp(msg->bytes + at, wire, len) == 0)
            return at;
    }
    return 0;
}

static void put_name(struct dnsmsg *msg, const char *name)
{
    uint8_t wire[256];
    size_t len = encode(name, wire), at = 0;

    while (wire[at] != 0) {
        size_t offset = find_suffix(msg, wire + at, len - at);

        if (offset) {
            put_u16(msg, 0xc000 | (unsigned)offset);
            return;
        }
        dnsmsg_raw(msg, wire + at, 1 + (size_t)wire[at]);
        at += 1 + (size_t)wire[at];
    }
    put_u8(msg, 0);
}

void dnsmsg_query(struct dnsmsg *msg, const char *name, uint16_t type, uint16_t id, uint16_t edns)
{
    static const uint8_t no_records[6] = {0};

    msg->len = 0;
    msg->section = 1;
    msg->class = 1;
    msg->plain = false;
    put_u16(msg, id);
    put_u16(msg, 0x0100);
    put_u16(msg, 1);
    dnsmsg_raw(msg, no_records, sizeof(no_records));
    put_name(msg, name);
    put_u16(msg, type);
    put_u16(msg, 1);
    msg->question_end = msg->len;
    if (edns)
        dnsmsg_opt(msg, edns, 0, false);
}

void dnsmsg_response(struct dnsmsg *msg, const struct dnsmsg *query, uint8_t rcode)
{
    if (msg != query)
        memcpy(msg->bytes, query->bytes, query->question_end);
    msg->len = msg->question_end = query->question_end;
    msg->section = 1;
    msg->class = 1;
    msg->plain = false;
    dnsmsg_flags(msg, (uint16_t)(0x8080 | rcode));
    memset(msg->bytes + 6, 0, 6);
}

/* Up to the length of the data, whose position is returned. */
static size_t begin_record(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl)
{
    put_name(msg, owner);
    put_u16(msg, type);
    put_u16(msg, msg->class);
    put_u32(msg, ttl);
    put_u16(msg, 0);
    dnsmsg_count(msg, msg->section, 1);
    return msg->len - 2;
}

static void end_record(struct dnsmsg *msg, size_t len_at)
{
    patch_u16(msg, len_at, (unsigned)(msg->len - len_at - 2));
}

void dnsmsg_record(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl,
                   const void *rdata, size_t len)
{
    size_t at = begin_record(msg, owner, type, ttl);

    dnsmsg_raw(msg, rdata, len);
    end_record(msg, at);
}

static size_t address_octets(const char *address, uint8_t octets[16])
{
    bool six = strchr(address, ':') != NULL;

    require(inet_pton(six ? AF_INET6 : AF_INET, address, octets) == 1);
    return six ? 16 : 4;
}

void dnsmsg_address(struct dnsmsg *msg, const char *owner, uint32_t ttl, const char *address)
{
    uint8_t octets[16];
    size_t len = address_octets(address, octets);

    dnsmsg_record(msg, owner, len == 4 ? TYPE_A : TYPE_AAAA, ttl, octets, len);
}

void dnsmsg_name(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl,
                 const char *target)
{
    size_t at = begin_record(msg, owner, type, ttl);

    put_name(msg, target);
    end_record(msg, at);
}

static void put_hint(struct dnsmsg *msg, unsigned key, const char *address)
{
    uint8_t octets[16];
    size_t len;

    if (!address)
        return;
    len = address_octets(address, octets);
    put_u16(msg, key);
    put_u16(msg, (unsigned)len);
    dnsmsg_raw(msg, octets, len);
}

void dnsmsg_service(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl,
                    uint16_t priority, const char *target, const char *ipv4, const char *ipv6)
{
    size_t at = begin_record(msg, owner, type, ttl);
    uint8_t wire[256];

    put_u16(msg, priority);
    dnsmsg_raw(msg, wire, encode(target, wire)); /* RFC 9460 2.2: never compressed */
    put_hint(msg, 4, ipv4);
    put_hint(msg, 6, ipv6);
    end_record(msg, at);
}

void dnsmsg_opt(struct dnsmsg *msg, uint16_t payload, uint8_t extended_rcode, bool dnssec_ok)
{
    put_u8(msg, 0);
    put_u16(msg, TYPE_OPT);
    put_u16(msg, payload);
    put_u32(msg, (uint32_t)extended_rcode << 24 | (dnssec_ok ? 0x8000 : 0));
    put_u16(msg, 0);
    dnsmsg_count(msg, 3, 1);
}
