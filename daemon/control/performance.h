/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_PERFORMANCE_H
#define CONTROL_PERFORMANCE_H

#include <stdbool.h>

#include "store/records.h"

/*
 * Performance mode, as the contract calls it: enabled means that findings and live flows are
 * available. While it is off the workers make no events at all. Enabled when nobody has set it.
 */
struct performance;

/* Words of the contract. */
#define PERFORMANCE_NO_AUDIT "performance mode is disabled; audit is unavailable"
#define PERFORMANCE_NO_TAP   "performance mode is disabled; wiretap is unavailable"

int performance_new(struct store *store, struct performance **ret_performance);
void performance_free(struct performance *performance);

/* Any thread. */
bool performance_is_enabled(const struct performance *performance);
bool performance_is_stored(const struct performance *performance); /* somebody has set it */

/* The control thread: on the disk when it returns 0; a negative errno: nothing has changed. */
int performance_set(struct performance *performance, bool enabled);

#endif
