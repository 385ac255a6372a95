/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/*
 * A database file and the statements on it. One thread at a time. Functions return 0 or a negative
 * errno: -EIO for what only SQLite has a name for; db_error() says any failure in words.
 */
struct db;
struct db_query;

enum db_sync {
    DB_SYNC_FULL,  /* a commit is on the disk when it returns */
    DB_SYNC_NORMAL /* a commit survives the process; a power cut may take the last ones */
};

struct db_options {
    enum db_sync sync;
    const char *const *migrations; /* step i takes the schema from version i to i + 1 */
    size_t migration_count;
    int busy_ms; /* how long to wait for somebody's lock once it is open; 0: 5 s */
};

/*
 * Opens or creates, checks the file's integrity and brings its schema up to date.
 *
 * @return 0, -EUCLEAN (damaged), -ENOTSUP (written by a newer version), -EACCES (no file that can
 * be opened for writing), -EROFS (cannot be written), -EBUSY (locked), another negative errno; then
 * `ret_error`, which may be NULL, says what SQLite said, if anything
 */
int db_open(const char *path, const struct db_options *options, struct db **ret_db,
            struct text *ret_error);
void db_close(struct db *db);
const char *db_error(const struct db *db); /* of the last failure; valid until the next one */

/* The file of this name is no longer the one that is open: it was deleted, moved or replaced. */
bool db_moved(struct db *db);

/* One or more statements without parameters and results. */
int db_exec(struct db *db, const char *sql);

int db_begin(struct db *db);
int db_commit(struct db *db);
void db_rollback(struct db *db);

/*
 * A statement with parameters, numbered from 1. Binding remembers its failure for db_step(). Bound
 * texts and octets must live until the statement is done or reset.
 */
int db_prepare(struct db *db, const char *sql, struct db_query **ret_query);
void db_finish(struct db_query *query);
void db_bind_int(struct db_query *query, int at, int64_t value);
void db_bind_text(struct db_query *query, int at, const char *text, size_t len);
void db_bind_blob(struct db_query *query, int at, const void *octets, size_t len);

int db_step(struct db_query *query); /* 1: a row, 0: done */
int db_run(struct db_query *query);  /* steps to the end and makes the statement ready again */

/* Columns of the current row, numbered from 0; texts and octets are valid until the next step. */
int64_t db_int(struct db_query *query, int column);
const char *db_text(struct db_query *query, int column, size_t *ret_len);
const void *db_blob(struct db_query *query, int column, size_t *ret_len);

int64_t db_last_id(struct db *db);

#endif
