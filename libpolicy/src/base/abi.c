/* SPDX-License-Identifier: Apache-2.0 */
#include "base/abi.h"

#include <string.h>

/* No struct of ours will ever be that long: a size that nobody has filled in must not make us read
 * what is far behind the struct. */
enum { OPTIONS_MAX = 4096 };

int abi_options(void *own, size_t own_size, const void *given, size_t minimum)
{
    const uint8_t *bytes = given;
    size_t size;

    if (!given)
        return POL_OK;
    memcpy(&size, given, sizeof(size));
    if (size < minimum || size > OPTIONS_MAX)
        return POL_E_ABI;
    for (size_t i = own_size; i < size; i++) {
        if (bytes[i])
            return POL_E_ABI;
    }
    memcpy(own, given, size < own_size ? size : own_size);
    return POL_OK;
}

void abi_defaults(void *given, size_t given_size, const void *defaults, size_t own_size)
{
    if (given_size < sizeof(given_size))
        return;
    memset(given, 0, given_size);
    memcpy(given, defaults, given_size < own_size ? given_size : own_size);
    memcpy(given, &given_size, sizeof(given_size));
}
