/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_ADDR_H
#define NET_ADDR_H

/*
 * Addresses and prefixes as values. Text goes through pol_addr_parse(), pol_addr_format() and
 * pol_prefix_parse() of base.h.
 */

#include <libpolicy/base.h>

#include <string.h>

/* Both ends included, both of one family. */
struct iprange {
    pol_addr first, last;
};

static inline pol_addr addr_v4(const uint8_t bytes[4])
{
    pol_addr addr = {.family = 4};

    memcpy(addr.bytes, bytes, 4);
    return addr;
}

static inline pol_addr addr_v6(const uint8_t bytes[16])
{
    pol_addr addr = {.family = 6};

    memcpy(addr.bytes, bytes, 16);
    return addr;
}

static inline bool addr_equal(const pol_addr *a, const pol_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Below, equal or above 0. "None" sorts before IPv4, IPv4 before IPv6. */
int addr_compare(const pol_addr *a, const pol_addr *b);

/* The addresses a hostname opens only where the rule lists them too. The firewall's own
 * addresses are special as well, but only the worker knows them. */
bool addr_is_special(const pol_addr *addr);
bool addr_is_mapped(const pol_addr *addr);    /* ::ffff:0:0/96 */
bool addr_is_multicast(const pol_addr *addr); /* 224/4, ff00::/8; not a broadcast */
bool addr_is_broadcast(const pol_addr *addr); /* 255.255.255.255; those of subnets look like any */
bool addr_is_group(const pol_addr *addr);     /* multicast or broadcast: more than one host */

/* An IPv4 address inside 64:ff9b::/96 (RFC 6052 2.1). */
pol_addr addr_nat64(const pol_addr *addr);

/* Whether what a caller has written by hand is one: of a family, and zero behind its octets or
 * bits. */
bool addr_is_valid(const pol_addr *addr);
bool prefix_is_valid(const pol_prefix *prefix);

/* The prefix of that length which holds addr; len is at most 32 or 128. */
pol_prefix prefix_of(const pol_addr *addr, unsigned len);
/* Never true across families: 0.0.0.0/0 does not contain IPv6. */
bool prefix_contains(const pol_prefix *prefix, const pol_addr *addr);
struct iprange prefix_range(const pol_prefix *prefix);
/* "address/length" with a NUL; the length is written also where it is the full one. */
size_t prefix_format(const pol_prefix *prefix, char buf[POL_PREFIX_TEXT]);

#endif
