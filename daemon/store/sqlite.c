// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define BUSY_MS    5000
#define WORDS_SIZE 256

struct db {
    sqlite3 *handle;
    char words[WORDS_SIZE]; /* of the last failure */
};

struct db_query {
    struct db *db;
    sqlite3_stmt *statement;
    int bound; /* the first failure of a binding, or SQLITE_OK */
};

static int status_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_ROW:
        return 1;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return -EACCES;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
        return -EBUSY;
    default:
        return -EIO;
    }
}

/* Keeps the words of a failure: the handle has others after its next call. */
static int checked(struct db *db, int rc)
{
    int status = status_of(rc);
    int number = db->handle ? sqlite3_system_errno(db->handle) : 0;
    const char *message = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);

    if (status >= 0)
        return status;

    if (db->handle && sqlite3_extended_errcode(db->handle) == SQLITE_CANTOPEN_SYMLINK)
        snprintf(db->words, sizeof(db->words), "%s (a symbolic link)", message);
    else if (number && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN))
        snprintf(db->words, sizeof(db->words), "%s (%s)", message, strerror(number));
    else
        snprintf(db->words, sizeof(db->words), "%s", message);
    return status;
}

int db_exec(struct db *db, const char *sql)
{
    return checked(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

int db_begin(struct db *db)
{
    return db_exec(db, "BEGIN IMMEDIATE");
}

int db_commit(struct db *db)
{
    return db_exec(db, "COMMIT");
}

void db_rollback(struct db *db)
{
    /* Unchecked: the failure that led here is the one to tell of. */
    sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

/*
 * An untrusted file may hold hostile schema (trusted_schema, cell_size_check) or shrink under us
 * (mmap_size). The write-ahead log is kept short, since nobody reads for long.
 */
static int set_pragmas(struct db *db, enum db_sync sync)
{
    int rc;

    rc = db_exec(db, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                     "PRAGMA mmap_size = 0;"
                     "PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL;"
                     "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 67108864;");
    if (rc < 0)
        return rc;

    return db_exec(db, sync == DB_SYNC_FULL ? "PRAGMA synchronous = FULL"
                                            : "PRAGMA synchronous = NORMAL");
}

static int check_integrity(struct db *db)
{
    struct db_query *query = NULL;
    const char *answer;
    int rc;

    rc = db_prepare(db, "PRAGMA quick_check(1)", &query);
    if (rc < 0)
        return rc;

    rc = db_step(query);
    if (rc == 1) {
        answer = db_text(query, 0, NULL);
        rc = answer && strcmp(answer, "ok") == 0 ? 0 : -EUCLEAN;
    }
    db_finish(query);
    return rc;
}

static int read_version(struct db *db, size_t *ret_version)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(db, "PRAGMA user_version", &query);
    if (rc < 0)
        return rc;

    rc = db_step(query);
    if (rc == 1)
        *ret_version = (size_t)db_int(query, 0);
    db_finish(query);
    return rc == 1 ? 0 : -EIO;
}

static int migrate_step(struct db *db, const char *sql, size_t version)
{
    char mark[64];
    int rc;

    rc = db_begin(db);
    if (rc < 0)
        return rc;

    snprintf(mark, sizeof(mark), "PRAGMA user_version = %zu", version);
    rc = db_exec(db, sql);
    if (rc == 0)
        rc = db_exec(db, mark);
    if (rc == 0)
        rc = db_commit(db);
    if (rc < 0)
        db_rollback(db);
    return rc;
}

static int migrate(struct db *db, const struct db_options *options)
{
    size_t version = 0;
    int rc;

    rc = read_version(db, &version);
    if (rc == 0 && version > options->migration_count)
        rc = -ENOTSUP;

    for (; rc == 0 && version < options->migration_count; version++)
        rc = migrate_step(db, options->migrations[version], version + 1);
    return rc;
}

int db_open(const char *path, const struct db_options *options, struct db **ret_db,
            struct text *ret_error)
{
    struct db *db = calloc(1, sizeof(*db));
    int rc;

    if (!db)
        return -ENOMEM;

    rc = checked(db, sqlite3_open_v2(path, &db->handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                         SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                                     NULL));
    if (rc == 0)
        rc = checked(db, sqlite3_busy_timeout(db->handle, BUSY_MS));
    if (rc == 0)
        rc = set_pragmas(db, options->sync);
    if (rc == 0)
        rc = check_integrity(db);
    if (rc == 0)
        rc = migrate(db, options);
    if (rc == 0 && options->busy_ms)
        rc = checked(db, sqlite3_busy_timeout(db->handle, options->busy_ms));
    if (rc < 0) {
        if (ret_error)
            text_add(ret_error, db->words);
        goto out;
    }

    *ret_db = db;
    db = NULL;

out:
    db_close(db);
    return rc;
}

void db_close(struct db *db)
{
    if (!db)
        return;

    sqlite3_close(db->handle);
    free(db);
}

const char *db_error(const struct db *db)
{
    return db->words;
}

bool db_moved(struct db *db)
{
    int moved = 0;

    sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved != 0;
}

int db_prepare(struct db *db, const char *sql, struct db_query **ret_query)
{
    struct db_query *query = calloc(1, sizeof(*query));
    int rc;

    if (!query)
        return -ENOMEM;

    query->db = db;
    rc = checked(db, sqlite3_prepare_v2(db->handle, sql, -1, &query->statement, NULL));
    if (rc < 0) {
        free(query);
        return rc;
    }

    *ret_query = query;
    return 0;
}

void db_finish(struct db_query *query)
{
    if (!query)
        return;

    sqlite3_finalize(query->statement);
    free(query);
}

static void note(struct db_query *query, int rc)
{
    if (query->bound == SQLITE_OK)
        query->bound = rc;
}

void db_bind_int(struct db_query *query, int at, int64_t value)
{
    note(query, sqlite3_bind_int64(query->statement, at, value));
}

void db_bind_text(struct db_query *query, int at, const char *text, size_t len)
{
    note(query, sqlite3_bind_text64(query->statement, at, text ? text : "", len, SQLITE_STATIC,
                                    SQLITE_UTF8));
}

void db_bind_blob(struct db_query *query, int at, const void *octets, size_t len)
{
    note(query, sqlite3_bind_blob64(query->statement, at, octets, len, SQLITE_STATIC));
}

int db_step(struct db_query *query)
{
    if (query->bound != SQLITE_OK) {
        snprintf(query->db->words, sizeof(query->db->words), "%s", sqlite3_errstr(query->bound));
        return status_of(query->bound);
    }
    return checked(query->db, sqlite3_step(query->statement));
}

int db_run(struct db_query *query)
{
    int rc;

    while ((rc = db_step(query)) == 1)
        ;
    sqlite3_reset(query->statement);
    sqlite3_clear_bindings(query->statement);
    query->bound = SQLITE_OK;
    return rc;
}

int64_t db_int(struct db_query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

const char *db_text(struct db_query *query, int column, size_t *ret_len)
{
    const char *text = (const char *)sqlite3_column_text(query->statement, column);

    if (ret_len)
        *ret_len = (size_t)sqlite3_column_bytes(query->statement, column);
    return text;
}

const void *db_blob(struct db_query *query, int column, size_t *ret_len)
{
    const void *octets = sqlite3_column_blob(query->statement, column);

    *ret_len = (size_t)sqlite3_column_bytes(query->statement, column);
    return octets;
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}
