/* SPDX-License-Identifier: Apache-2.0 */
#include "flight.h"

#include <stdio.h>
#include <stdlib.h>

bool flight_read(struct flight *flight, const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", TEST_FLIGHTS, name);
    file = fopen(path, "rb");
    if (!file)
        return false;
    flight->len = fread(flight->bytes, 1, sizeof(flight->bytes) - 1, file);
    flight->bytes[flight->len] = 0;
    fclose(file);
    return true;
}

void flight_load(struct flight *flight, const char *name)
{
    if (flight_read(flight, name))
        return;
    fprintf(stderr, "%s/%s cannot be read\n", TEST_FLIGHTS, name);
    abort();
}
