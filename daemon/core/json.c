// SPDX-License-Identifier: Apache-2.0
#include "core/json.h"

#include <libpolicy/base.h>

#define FIRST_TRY 1024

void json_append(struct text *out, json_writer write, const void *object)
{
    size_t need = FIRST_TRY, len = 0;
    int rc = POL_E_NOSPACE;

    /* What is written may grow between two tries: counters have more digits by then. */
    for (int tries = 0; tries < 4 && rc == POL_E_NOSPACE && text_reserve(out, need); tries++) {
        rc = write(object, out->ptr + out->len, need, &len);
        need = len + len / 8;
    }

    if (rc != POL_OK) {
        out->failed = true;
        return;
    }
    out->len += len;
    out->ptr[out->len] = '\0';
}
