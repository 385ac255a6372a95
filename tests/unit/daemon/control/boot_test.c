// SPDX-License-Identifier: Apache-2.0
#include "control/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "control/control.h"
#include "core/fs.h"
#include "core/log.h"

static char *dir, *file;
static struct boot_options options;
static struct boot_policy boot;
static struct text error, document;

static void setup(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    cr_assert_eq(fs_make_temp_dir(&dir), 0);
    file = fs_join(dir, "policy.json");
    cr_assert_eq(store_open(dir, &options.store, &error), 0);
    cr_assert_eq(pol_ctx_new(NULL, &options.ctx), POL_OK);
}

static void teardown(void)
{
    pol_policy_unref(boot.policy);
    pol_ctx_unref(options.ctx);
    store_close(options.store);
    text_fini(&error);
    text_fini(&document);
    fs_remove_dir(dir);
    free(file);
    free(dir);
}

TestSuite(boot, .init = setup, .fini = teardown);

static void write_file(const char *content)
{
    FILE *out = fopen(file, "w");

    fputs(content, out);
    fclose(out);
    options.file = file;
}

static void store_document(const char *content)
{
    uint64_t generation;

    cr_assert_eq(store_policy_add(options.store, content, strlen(content), 0, &generation), 0);
    cr_assert_eq(store_policy_activate(options.store, generation), 0);
}

static const char *booted(void)
{
    pol_policy_unref(boot.policy);
    boot = (struct boot_policy){0};
    cr_assert_eq(boot_policy(&options, &boot, &error), 0, "%s", error.ptr);
    text_clear(&document);
    cr_assert(control_policy_json(boot.policy, &document));
    return document.ptr;
}

#define DENY  "{\"default_policy\":\"deny\",\"source_groups\":[]}"
#define ALLOW "{\"default_policy\":\"allow\",\"source_groups\":[]}"

Test(boot, with_nothing_the_built_in_default_is_used_and_not_stored)
{
    struct store_policy stored;

    cr_assert_str_eq(booted(), DENY);
    cr_assert_eq(boot.generation, 1);
    cr_assert_eq(store_policy_active(options.store, &stored), -ENOENT);
    options.default_allow = true;
    cr_assert_str_eq(booted(), ALLOW);
}

Test(boot, a_file_seeds_an_empty_store)
{
    write_file(ALLOW);
    cr_assert_str_eq(booted(), ALLOW);
    cr_assert_eq(boot.generation, 1);
    write_file(DENY);
    cr_assert_str_eq(booted(), ALLOW, "the store wins");
    cr_assert_eq(boot.generation, 1);
}

Test(boot, a_pinned_file_wins_over_the_store)
{
    store_document(ALLOW);
    write_file(DENY);
    options.pin_file = true;
    cr_assert_str_eq(booted(), DENY);
    cr_assert_eq(boot.generation, 2);
    cr_assert_str_eq(booted(), DENY);
    cr_assert_eq(boot.generation, 2, "the same document is not stored again");
}

Test(boot, a_stored_policy_nobody_understands_denies_everything)
{
    store_document("{\"from\":\"another age\"}");
    log_set_level(LOG_LEVEL_ERROR);
    cr_assert_str_eq(booted(), DENY);
    cr_assert(boot.refused);
    cr_assert_eq(boot.generation, 2);
}

Test(boot, a_bad_file_is_an_error_with_its_lines)
{
    write_file("{\n  \"source_groups\": {}\n}\n");
    cr_assert_eq(boot_policy(&options, &boot, &error), -EINVAL);
    cr_assert(strstr(error.ptr, "policy.json:2:"), "%s", error.ptr);
    options.file = "/nonexistent/policy.json";
    text_clear(&error);
    cr_assert_eq(boot_policy(&options, &boot, &error), -ENOENT);
    cr_assert_str_eq(error.ptr, "/nonexistent/policy.json: No such file or directory\n");
}
