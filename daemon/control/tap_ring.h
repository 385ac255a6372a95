/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_TAP_RING_H
#define CONTROL_TAP_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

/*
 * What waits for one reader: texts of any length in a fixed number of octets. The newest always
 * finds room, at the cost of the oldest. One thread at a time.
 */
struct tap_ring;

int tap_ring_new(size_t capacity, struct tap_ring **ret_ring); /* 0 or -ENOMEM */
void tap_ring_free(struct tap_ring *ring);

/* Returns how many texts were given up: older ones, or the text itself when it can never fit. */
size_t tap_ring_put(struct tap_ring *ring, const char *text, size_t len);

/* Moves the oldest text to the end of `out`; false when there is none. */
bool tap_ring_take(struct tap_ring *ring, struct text *out);

bool tap_ring_is_empty(const struct tap_ring *ring);

#endif
