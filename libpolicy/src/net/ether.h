/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_ETHER_H
#define NET_ETHER_H

/* EtherTypes (IANA "IEEE 802 Numbers") and the tags in front of them. */

#include <stdbool.h>
#include <stdint.h>

enum {
    ETHER_MAX_TAGS = 4 /* provider and customer tag, each doubled; deeper is nobody's network */
};

enum ether_type {
    ETHER_IPV4 = 0x0800,
    ETHER_VLAN = 0x8100, /* 802.1Q */
    ETHER_IPV6 = 0x86dd,
    ETHER_PROVIDER = 0x88a8, /* 802.1ad */
    ETHER_QINQ = 0x9100      /* before 802.1ad */
};

static inline bool ether_is_tag(uint16_t type)
{
    return type == ETHER_VLAN || type == ETHER_PROVIDER || type == ETHER_QINQ;
}

#endif
