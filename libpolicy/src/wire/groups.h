/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_GROUPS_H
#define WIRE_GROUPS_H

/*
 * Who wants which multicast group: what reports of IGMP and MLD say. Both protocols have a report
 * of one group and a report of records, and the records differ in nothing but the length of an
 * address.
 *
 *     struct group_reader reader;
 *     struct group_change change;
 *
 *     if (igmp_read(message, &reader) == POL_OK)
 *         while (group_next(&reader, &change))
 *             ...
 */

#include "base/slice.h"

struct group_change {
    pol_addr group; /* always a multicast address */
    bool joins;     /* false: the sender has left */
};

struct group_reader {
    struct cursor in;
    uint32_t left;  /* changes that may still come */
    uint8_t family; /* 4 or 6 */
    bool records;   /* of IGMPv3 or MLDv2; otherwise one bare address */
    bool joins;     /* without records: what it means */
};

/*
 * Begins to read an IGMP message, RFC 1112 appendix I, RFC 2236 2, RFC 3376 4. Queries and messages
 * of other protocols that share the number change nothing.
 *
 * POL_OK, POL_E_TRUNCATED (shorter than its type says)
 */
int igmp_read(pol_bytes message, struct group_reader *ret_reader);

/*
 * Begins to read an MLD message, RFC 2710 3, RFC 3810 5. `body` begins behind the first eight
 * octets of the ICMPv6 message, so the number of records is not seen; octets behind the last one
 * (RFC 3810 5.2.11) are read as records too, which gives a sender nothing that it could not say in
 * a record.
 *
 * POL_OK, POL_E_TRUNCATED
 */
int mld_read(uint8_t type, pol_bytes body, struct group_reader *ret_reader);

/* The next change; false at the end, or where a record does not fit. Records that change nothing
 * are passed over. */
bool group_next(struct group_reader *reader, struct group_change *ret_change);

#endif
