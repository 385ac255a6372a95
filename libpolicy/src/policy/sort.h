/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_SORT_H
#define POLICY_SORT_H

#include <libpolicy/base.h>

/* Below, equal or above 0, as memcmp(). */
typedef int (*sort_compare)(const void *user, uint32_t a, uint32_t b);

/* Sorts indexes stably. qsort() would do neither: it is not stable, and glibc's takes memory that
 * is not the context's. scratch holds as many as items. */
void sort_indexes(uint32_t *items, uint32_t *scratch, size_t count, sort_compare compare,
                  const void *user);

#endif
