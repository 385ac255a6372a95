/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include <stddef.h>

#include "core/text.h"

/* A writer of the library's shapes: POL_OK, or POL_E_NOSPACE with the length needed. */
typedef int (*json_writer)(const void *object, char *buf, size_t capacity, size_t *ret_len);

/* Appends what the writer writes, with as much room as it asks for. Failure is the text's. */
void json_append(struct text *out, json_writer write, const void *object);

#endif
