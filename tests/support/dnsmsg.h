/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_DNSMSG_H
#define SUPPORT_DNSMSG_H

/*
 * Writes DNS messages for tests. It shares no code with the library's reader, so a mistake in one
 * is not hidden by the same mistake in the other. Broken input to a builder aborts the test.
 *
 *   dnsmsg_query(&query, "www.example.com", 1, 0x1234, 0);
 *   dnsmsg_response(&answer, &query, 0);
 *   dnsmsg_name(&answer, "www.example.com", 5, 300, "a.example.net");
 *   dnsmsg_address(&answer, "a.example.net", 60, "192.0.2.1");
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dnsmsg {
    size_t len;
    size_t question_end;
    int section;    /* records are counted here: 1 answer (default), 2, 3 */
    uint16_t class; /* of the records that follow; IN by default */
    bool plain;     /* true: no compression pointers from here on */
    uint8_t bytes[65535];
};

/* Names are text with dots; "\DDD" is one octet, "." the root. edns is the payload size of an OPT
 * record, or 0 for none. RD is set. */
void dnsmsg_query(struct dnsmsg *msg, const char *name, uint16_t type, uint16_t id, uint16_t edns);

/* A response to the query, without records and without OPT. */
void dnsmsg_response(struct dnsmsg *msg, const struct dnsmsg *query, uint8_t rcode);

void dnsmsg_record(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl,
                   const void *rdata, size_t len);
/* A or AAAA, as the address is. */
void dnsmsg_address(struct dnsmsg *msg, const char *owner, uint32_t ttl, const char *address);
/* A record whose data is a name: CNAME (5), NS (2), DNAME (39). */
void dnsmsg_name(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl,
                 const char *target);
/* HTTPS (65) or SVCB (64) with at most one hint of each family; NULL leaves it out. */
void dnsmsg_service(struct dnsmsg *msg, const char *owner, uint16_t type, uint32_t ttl,
                    uint16_t priority, const char *target, const char *ipv4, const char *ipv6);
void dnsmsg_opt(struct dnsmsg *msg, uint16_t payload, uint8_t extended_rcode, bool dnssec_ok);

/* Sets bits of the flag word, such as 0x0200 for TC. */
void dnsmsg_flags(struct dnsmsg *msg, uint16_t flags);
/* Appends octets as they are. */
void dnsmsg_raw(struct dnsmsg *msg, const void *octets, size_t len);
/* Adds to the count of a section (0..3) in the header. */
void dnsmsg_count(struct dnsmsg *msg, int section, int difference);

#endif
