/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proto.h"

#define TEN(tens)                                                                                  \
    tens "0", tens "1", tens "2", tens "3", tens "4", tens "5", tens "6", tens "7", tens "8",      \
        tens "9"

/* Written out, so that a number needs no buffer of the caller's. */
static const char numbers[256][4] = {
    TEN(""),   TEN("1"),  TEN("2"),  TEN("3"),  TEN("4"),  TEN("5"),  TEN("6"),  TEN("7"),
    TEN("8"),  TEN("9"),  TEN("10"), TEN("11"), TEN("12"), TEN("13"), TEN("14"), TEN("15"),
    TEN("16"), TEN("17"), TEN("18"), TEN("19"), TEN("20"), TEN("21"), TEN("22"), TEN("23"),
    TEN("24"), "250",     "251",     "252",     "253",     "254",     "255",
};

const char *proto_name(uint8_t proto)
{
    switch (proto) {
    case PROTO_TCP:
        return "tcp";
    case PROTO_UDP:
        return "udp";
    case PROTO_ICMP:
        return "icmp";
    case PROTO_ICMPV6:
        return "icmpv6";
    default:
        return numbers[proto];
    }
}
