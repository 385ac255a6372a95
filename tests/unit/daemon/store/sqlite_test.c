// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/fs.h"

static char *dir, *path;
static struct db *db;
static struct text words;

static const char *const migrations[] = {
    "CREATE TABLE one (a INTEGER)",
    "CREATE TABLE two (b INTEGER); INSERT INTO two VALUES (7)",
};

static void setup(void)
{
    cr_assert_eq(fs_make_temp_dir(&dir), 0);
    path = fs_join(dir, "test.db");
}

static void teardown(void)
{
    db_close(db);
    text_fini(&words);
    fs_remove_dir(dir);
    free(path);
    free(dir);
}

TestSuite(sqlite, .init = setup, .fini = teardown);

static int open_at(size_t version, enum db_sync sync)
{
    struct db_options options = {
        .sync = sync, .migrations = migrations, .migration_count = version, .busy_ms = 20};

    db_close(db);
    db = NULL;
    return db_open(path, &options, &db, &words);
}

static int64_t ask(const char *sql)
{
    struct db_query *query = NULL;
    int64_t value;

    cr_assert_eq(db_prepare(db, sql, &query), 0);
    cr_assert_eq(db_step(query), 1);
    value = db_int(query, 0);
    db_finish(query);
    return value;
}

Test(sqlite, schema_moves_up_step_by_step_and_only_once)
{
    cr_assert_eq(open_at(1, DB_SYNC_FULL), 0);
    cr_assert_eq(ask("PRAGMA user_version"), 1);
    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_eq(ask("SELECT count(*) FROM two"), 1);
}

Test(sqlite, a_newer_schema_is_left_alone)
{
    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_eq(open_at(1, DB_SYNC_FULL), -ENOTSUP);
    cr_assert_null(db);
}

Test(sqlite, commits_are_synced_as_asked)
{
    cr_assert_eq(open_at(1, DB_SYNC_FULL), 0);
    cr_assert_eq(ask("PRAGMA synchronous"), 2);
    cr_assert_eq(ask("PRAGMA trusted_schema"), 0);
    cr_assert_eq(open_at(1, DB_SYNC_NORMAL), 0);
    cr_assert_eq(ask("PRAGMA synchronous"), 1);
}

Test(sqlite, a_damaged_file_is_told_apart)
{
    FILE *file;

    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    db_close(db);
    db = NULL;
    file = fopen(path, "r+");
    for (int i = 0; i < 4000; i++)
        fputc('x', file);
    fclose(file);
    cr_assert_eq(open_at(2, DB_SYNC_FULL), -EUCLEAN);
}

Test(sqlite, a_failed_binding_fails_the_statement)
{
    struct db_query *query = NULL;

    cr_assert_eq(open_at(1, DB_SYNC_FULL), 0);
    cr_assert_eq(db_prepare(db, "INSERT INTO one VALUES (?1)", &query), 0);
    db_bind_int(query, 2, 1);
    cr_assert_lt(db_run(query), 0);
    db_bind_int(query, 1, 1);
    cr_assert_eq(db_run(query), 0);
    db_finish(query);
    cr_assert_eq(ask("SELECT count(*) FROM one"), 1);
}

Test(sqlite, a_lock_is_waited_for_as_long_as_asked)
{
    struct db *other;

    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_eq(ask("PRAGMA busy_timeout"), 20);
    other = db;
    db = NULL;
    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_eq(db_begin(other), 0);
    cr_assert_eq(db_begin(db), -EBUSY);
    cr_assert_str_eq(db_error(db), "database is locked");
    db_close(other);
}

Test(sqlite, a_failure_keeps_its_words)
{
    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_eq(db_begin(db), 0);
    cr_assert_lt(db_exec(db, "INSERT INTO nowhere VALUES (1)"), 0);
    db_rollback(db);
    cr_assert_str_eq(db_error(db), "no such table: nowhere");
}

Test(sqlite, what_cannot_be_opened_says_why)
{
    free(path);
    path = fs_join(dir, "missing/test.db");
    cr_assert_eq(open_at(2, DB_SYNC_FULL), -EACCES);
    cr_assert(strstr(words.ptr, "unable to open database file"), "%s", words.ptr);
}

Test(sqlite, a_file_that_is_gone_is_noticed)
{
    cr_assert_eq(open_at(2, DB_SYNC_FULL), 0);
    cr_assert_not(db_moved(db));
    cr_assert_eq(remove(path), 0);
    cr_assert(db_moved(db));
}
