/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SUGGEST_H
#define CORE_SUGGEST_H

#include <stddef.h>

/* How many letters must be added, removed, changed or swapped with a neighbour to get from a to b.
 */
size_t suggest_distance(const char *a, const char *b);

/* Whether b is near enough to a that a person who typed a may have meant b. */
int suggest_is_near(const char *a, size_t distance);

#endif
