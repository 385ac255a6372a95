/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_FLIGHT_H
#define SUPPORT_FLIGHT_H

/*
 * What real servers have sent, from tests/data/tls; its program "make" says what each file is.
 */

#include <stddef.h>
#include <stdint.h>

struct flight {
    size_t len;
    uint8_t bytes[65536]; /* a NUL stands behind what was read */
};

/* Reads tests/data/tls/NAME; ends the program if that is not there. */
void flight_load(struct flight *flight, const char *name);

#endif
