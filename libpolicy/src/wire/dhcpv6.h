/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_DHCPV6_H
#define WIRE_DHCPV6_H

/* DHCP for IPv6, RFC 8415 8: who of client and server speaks. */

#include "base/slice.h"

struct dhcpv6_message {
    uint8_t type;         /* RFC 8415 7.3 */
    bool from_server;     /* by its type */
    uint32_t transaction; /* 24 bits */
};

/*
 * Reads a UDP payload. What relays say among themselves (RFC 8415 9) is not read.
 *
 * POL_OK
 * POL_E_FORMAT     not between a client and a server
 * POL_E_TRUNCATED  shorter than its header or an option says
 */
int dhcpv6_read(pol_bytes payload, struct dhcpv6_message *ret_message);

#endif
