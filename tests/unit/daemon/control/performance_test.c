// SPDX-License-Identifier: Apache-2.0
#include "control/performance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "core/fs.h"
#include "core/log.h"

static char *dir;
static struct store *store;
static struct performance *performance;

static void open_it(void)
{
    struct text error = {0};

    log_set_level(LOG_LEVEL_ERROR);
    cr_assert_eq(store_open(dir, &store, &error), 0, "%s", error.ptr);
    cr_assert_eq(performance_new(store, &performance), 0);
}

static void close_it(void)
{
    performance_free(performance);
    store_close(store);
}

static void setup(void)
{
    cr_assert_eq(fs_make_temp_dir(&dir), 0);
    open_it();
}

static void teardown(void)
{
    close_it();
    fs_remove_dir(dir);
    free(dir);
}

TestSuite(performance, .init = setup, .fini = teardown);

Test(performance, is_enabled_until_somebody_sets_it)
{
    cr_assert(performance_is_enabled(performance));
    cr_assert_not(performance_is_stored(performance));
}

Test(performance, both_settings_survive_a_restart)
{
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(performance_set(performance, i % 2), 0);
        close_it();
        open_it();
        cr_assert_eq(performance_is_enabled(performance), i % 2);
        cr_assert(performance_is_stored(performance));
    }
}

Test(performance, nothing_changes_when_it_cannot_be_stored)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/lock", dir);
    unlink(path);
    cr_assert_eq(performance_set(performance, false), -ESTALE);
    cr_assert(performance_is_enabled(performance));
    cr_assert_not(performance_is_stored(performance));
}
