/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_YAML_PRINT_H
#define CORE_YAML_PRINT_H

#include <stdbool.h>

#include "core/text.h"

/* Writes a JSON text as block-style YAML. False when it cannot be read or memory is short. */
bool yaml_print_json(const char *json, size_t len, struct text *out);

#endif
