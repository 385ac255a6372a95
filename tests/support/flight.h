/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_FLIGHT_H
#define SUPPORT_FLIGHT_H

/*
 * What real servers have sent, from tests/data/tls; its program "make" says what each file is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flight {
    size_t len;
    uint8_t bytes[65536]; /* a NUL stands behind what was read */
};

/* Reads tests/data/tls/NAME; false if that is not there. */
bool flight_read(struct flight *flight, const char *name);

/* The same; ends the program if it is not there. */
void flight_load(struct flight *flight, const char *name);

#endif
