/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dhcpv6.h"

/* RFC 8415 7.3 */
enum type {
    SOLICIT = 1,
    ADVERTISE,
    REQUEST,
    CONFIRM,
    RENEW,
    REBIND,
    REPLY,
    RELEASE,
    DECLINE,
    RECONFIGURE,
    INFORMATION_REQUEST
};

int dhcpv6_read(pol_bytes payload, struct dhcpv6_message *ret_message)
{
    struct cursor in = cursor_of(payload);
    uint8_t type = cursor_u8(&in);
    uint32_t transaction = cursor_u24(&in);

    if (!in.failed && (type < SOLICIT || type > INFORMATION_REQUEST))
        return POL_E_FORMAT;
    while (!in.failed && cursor_left(&in) > 0) {
        cursor_skip(&in, 2);
        cursor_skip(&in, cursor_u16(&in));
    }
    if (in.failed)
        return POL_E_TRUNCATED;
    *ret_message = (struct dhcpv6_message){
        .type = type,
        .from_server = type == ADVERTISE || type == REPLY || type == RECONFIGURE,
        .transaction = transaction,
    };
    return POL_OK;
}
