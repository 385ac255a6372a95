/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/words.h"

#include <stddef.h>
#include <stdio.h>

#include <libpolicy/packet.h>

struct word {
    unsigned number;
    const char *text;
};

static const struct word protos[] = {{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {58, "icmpv6"}};

/* IANA "Domain Name System (DNS) Parameters": those a person meets in a capture. */
static const struct word types[] = {
    {1, "A"},      {2, "NS"},    {5, "CNAME"},  {6, "SOA"},    {12, "PTR"},  {13, "HINFO"},
    {15, "MX"},    {16, "TXT"},  {28, "AAAA"},  {29, "LOC"},   {33, "SRV"},  {35, "NAPTR"},
    {39, "DNAME"}, {43, "DS"},   {44, "SSHFP"}, {46, "RRSIG"}, {47, "NSEC"}, {48, "DNSKEY"},
    {50, "NSEC3"}, {52, "TLSA"}, {64, "SVCB"},  {65, "HTTPS"}, {99, "SPF"},  {251, "IXFR"},
    {252, "AXFR"}, {255, "ANY"}, {257, "CAA"},
};

static const struct word rcodes[] = {
    {0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"},
    {4, "NOTIMP"},  {5, "REFUSED"}, {6, "YXDOMAIN"}, {7, "YXRRSET"},
    {8, "NXRRSET"}, {9, "NOTAUTH"}, {10, "NOTZONE"},
};

static const char *find(const struct word *words, size_t count, unsigned number)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].number == number)
            return words[i].text;
    }
    return NULL;
}

#define FIND(words, number) find(words, sizeof(words) / sizeof(words[0]), number)

static const char *number_word(const char *prefix, unsigned number, char buf[WORD_SIZE])
{
    snprintf(buf, WORD_SIZE, "%s%u", prefix, number);
    return buf;
}

const char *word_proto(uint8_t proto, char buf[WORD_SIZE])
{
    const char *word = FIND(protos, proto);

    return word ? word : number_word("", proto, buf);
}

const char *word_dns_type(uint16_t type, char buf[WORD_SIZE])
{
    const char *word = FIND(types, type);

    return word ? word : number_word("TYPE", type, buf);
}

const char *word_dns_rcode(uint8_t rcode, char buf[WORD_SIZE])
{
    const char *word = FIND(rcodes, rcode);

    return word ? word : number_word("RCODE", rcode, buf);
}

const char *word_side(uint8_t side)
{
    if (side == POL_SIDE_INSIDE)
        return "inside";
    return side == POL_SIDE_OUTSIDE ? "outside" : "unknown";
}
