/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_DHCP_H
#define WIRE_DHCP_H

/* DHCP for IPv4, RFC 2131 2 and RFC 2132: what tells who speaks, to whom, and for how long. */

#include "base/slice.h"

enum dhcp_op { DHCP_REQUEST = 1, DHCP_REPLY };

/* RFC 2132 9.6 */
enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUESTED, /* DHCPREQUEST */
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
    DHCP_INFORM
};

struct dhcp_message {
    uint8_t op;   /* enum dhcp_op */
    uint8_t type; /* enum dhcp_type; other values exist */
    uint32_t transaction;
    uint8_t client[16]; /* hardware address, zeros behind it */
    pol_addr relay;     /* giaddr; no family without one */
    pol_addr server;    /* option 54; no family without one */
    uint32_t lease;     /* seconds; 0: not said */
};

/*
 * Reads a UDP payload. BOOTP without a message type (option 53) is no DHCP. An option that is said
 * twice is malformed: whoever reads the other one would see another message.
 *
 * POL_OK
 * POL_E_FORMAT     no DHCP
 * POL_E_TRUNCATED  shorter than its fixed part or an option says
 */
int dhcp_read(pol_bytes payload, struct dhcp_message *ret_message);

#endif
