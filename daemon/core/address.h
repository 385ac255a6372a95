/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <libpolicy/base.h>

/* Where something listens. */
struct address {
    pol_addr addr;
    uint16_t port; /* 0: one that is free */
};

/* Reads "192.0.2.1:80" or "[2001:db8::1]:80". Returns 0 or -EINVAL. */
int address_parse(const char *text, struct address *ret_address);

bool address_is_loopback(const struct address *address);

#endif
