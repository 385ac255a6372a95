/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

/* A cursor over "a=1&b=2&a=3"; start with {.rest = query}. A NULL query has no pairs. */
struct query {
    const char *rest;
};

/*
 * The next pair with '%xx' and '+' undone, cut off at the buffers' ends. False when there is none.
 * A malformed '%' stays as it is.
 */
bool query_next(struct query *query, char *ret_key, size_t key_capacity, char *ret_value,
                size_t value_capacity);

#endif
