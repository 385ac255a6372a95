// SPDX-License-Identifier: Apache-2.0
#include "control/performance.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define KEY "performance_mode"

enum mode { MODE_UNSET, MODE_ENABLED, MODE_DISABLED };

struct performance {
    struct store *store;
    _Atomic(int) mode; /* enum mode */
};

static int load(struct performance *performance)
{
    char value[8];
    int rc = store_setting_get(performance->store, KEY, value, sizeof(value));

    if (rc == 0)
        performance->mode = strcmp(value, "0") == 0 ? MODE_DISABLED : MODE_ENABLED;
    return rc == -ENOENT ? 0 : rc;
}

int performance_new(struct store *store, struct performance **ret_performance)
{
    struct performance *performance = calloc(1, sizeof(*performance));
    int rc;

    if (!performance)
        return -ENOMEM;

    performance->store = store;
    rc = load(performance);
    if (rc < 0)
        free(performance);
    else
        *ret_performance = performance;
    return rc;
}

void performance_free(struct performance *performance)
{
    free(performance);
}

bool performance_is_enabled(const struct performance *performance)
{
    return performance->mode != MODE_DISABLED;
}

bool performance_is_stored(const struct performance *performance)
{
    return performance->mode != MODE_UNSET;
}

int performance_set(struct performance *performance, bool enabled)
{
    int rc = store_setting_put(performance->store, KEY, enabled ? "1" : "0");

    if (rc == 0)
        performance->mode = enabled ? MODE_ENABLED : MODE_DISABLED;
    return rc;
}
