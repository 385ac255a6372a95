/* SPDX-License-Identifier: Apache-2.0 */
#include "flight.h"

#include <stdio.h>
#include <stdlib.h>

void flight_load(struct flight *flight, const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", TEST_FLIGHTS, name);
    file = fopen(path, "rb");
    if (!file) {
        perror(path);
        abort();
    }
    flight->len = fread(flight->bytes, 1, sizeof(flight->bytes) - 1, file);
    flight->bytes[flight->len] = 0;
    fclose(file);
}
