// SPDX-License-Identifier: Apache-2.0
#include "store/records.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/log.h"
#include "store/sqlite.h"

#define NODE_ID_SIZE 37

struct store {
    char *lock_path;
    int lock; /* held while the store is open; -1: not held */
    struct db *state;
    struct db *observed;
    struct db_query *put_finding, *drop_finding, *put_grant; /* kept, since they run often */
    char node_id[NODE_ID_SIZE];
};

static const char *const state_migrations[] = {
    "CREATE TABLE policies ("
    " generation INTEGER PRIMARY KEY AUTOINCREMENT,"
    " state TEXT NOT NULL CHECK (state IN ('pending', 'active')),"
    " accepted_at INTEGER NOT NULL,"
    " document TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX policies_one_active ON policies (state) WHERE state = 'active';"
    "CREATE TABLE tokens ("
    " name TEXT PRIMARY KEY,"
    " hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),"
    " role TEXT NOT NULL CHECK (role IN ('admin', 'readonly')),"
    " created_at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;",
};

static const struct db_options state_options = {
    .sync = DB_SYNC_FULL,
    .migrations = state_migrations,
    .migration_count = sizeof(state_migrations) / sizeof(state_migrations[0]),
};

static const char *const observed_migrations[] = {
    "CREATE TABLE findings ("
    " type INTEGER NOT NULL, proto INTEGER NOT NULL,"
    " icmp_type INTEGER NOT NULL, icmp_code INTEGER NOT NULL,"
    " group_id TEXT NOT NULL, dst TEXT NOT NULL, dst_port INTEGER NOT NULL,"
    " name TEXT NOT NULL, fqdn TEXT NOT NULL,"
    " rule TEXT NOT NULL, names TEXT NOT NULL, src TEXT NOT NULL, audit INTEGER NOT NULL,"
    " query_type INTEGER NOT NULL, reason INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " count INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " PRIMARY KEY (type, group_id, dst, dst_port, proto, icmp_type, icmp_code, name, fqdn)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE grants ("
    " group_key INTEGER NOT NULL, addr TEXT NOT NULL, name TEXT NOT NULL,"
    " kind INTEGER NOT NULL, two_way INTEGER NOT NULL, ttl INTEGER NOT NULL,"
    " learned INTEGER NOT NULL, answered INTEGER NOT NULL, used INTEGER NOT NULL,"
    " expires INTEGER NOT NULL,"
    " PRIMARY KEY (group_key, addr, name)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX grants_expires ON grants (expires);",
};

static const struct db_options observed_options = {
    .sync = DB_SYNC_NORMAL,
    .migrations = observed_migrations,
    .migration_count = sizeof(observed_migrations) / sizeof(observed_migrations[0]),
    .busy_ms = 100, /* can be written later; a policy in the meantime cannot wait */
};

/* One daemon per directory: two would undo each other's policies. */
static int take_lock(const char *path, int *ret_lock)
{
    int fd, rc = 0;

    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }

    *ret_lock = fd;
    return 0;
}

static int open_state(struct store *store, const char *dir, struct text *words)
{
    char *path = fs_join(dir, "state.db");
    int rc = path ? db_open(path, &state_options, &store->state, words) : -ENOMEM;

    free(path);
    return rc;
}

/*
 * A damaged database is put aside under another name, where it can still be looked at. Its log
 * goes along: left behind, it would be played into the new file.
 */
static int put_aside(const char *path)
{
    static const char *const parts[] = {"-wal", "-shm", ""};
    int rc = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && rc == 0; i++) {
        struct text from = {0}, to = {0};

        text_addf(&from, "%s%s", path, parts[i]);
        text_addf(&to, "%s.damaged%s", path, parts[i]);
        if (from.failed || to.failed)
            rc = -ENOMEM;
        else if (rename(from.ptr, to.ptr) < 0 && errno != ENOENT)
            rc = -errno;
        text_fini(&from);
        text_fini(&to);
    }
    return rc;
}

static int open_observed(struct store *store, const char *dir, struct text *words)
{
    char *path = fs_join(dir, "observed.db");
    int rc = path ? db_open(path, &observed_options, &store->observed, words) : -ENOMEM;

    if (rc == -EUCLEAN) {
        log_error("store: %s is damaged and put aside; findings and grants begin anew", path);
        rc = put_aside(path);
        text_clear(words);
        if (rc == 0)
            rc = db_open(path, &observed_options, &store->observed, words);
    }
    free(path);
    return rc;
}

static int setting_get(struct store *store, const char *key, char *ret_value, size_t capacity)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->state, "SELECT value FROM settings WHERE key = ?1", &query);
    if (rc < 0)
        return rc;

    db_bind_text(query, 1, key, strlen(key));
    rc = db_step(query);
    if (rc == 1)
        snprintf(ret_value, capacity, "%s", db_text(query, 0, NULL));
    db_finish(query);
    return rc == 1 ? 0 : rc == 0 ? -ENOENT : rc;
}

static int setting_put(struct store *store, const char *key, const char *value)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->state, "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)",
                    &query);
    if (rc < 0)
        return rc;

    db_bind_text(query, 1, key, strlen(key));
    db_bind_text(query, 2, value, strlen(value));
    rc = db_run(query);
    db_finish(query);
    return rc;
}

/* A version 4 UUID (RFC 9562 5.4). */
static int make_uuid(char ret_uuid[NODE_ID_SIZE])
{
    uint8_t b[16];
    int rc;

    rc = secret_random(b, sizeof(b));
    if (rc < 0)
        return rc;

    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(ret_uuid, NODE_ID_SIZE,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return 0;
}

static int load_node_id(struct store *store)
{
    int rc = setting_get(store, "node_id", store->node_id, sizeof(store->node_id));

    if (rc != -ENOENT)
        return rc;

    rc = make_uuid(store->node_id);
    if (rc < 0)
        return rc;
    return setting_put(store, "node_id", store->node_id);
}

/* What a crash left pending was never in force, and whoever sent it was never told it was. */
static int forget_pending(struct store *store)
{
    return db_exec(store->state, "DELETE FROM policies WHERE state = 'pending'");
}

static int prepare_puts(struct store *store)
{
    int rc;

    rc = db_prepare(store->observed,
                    "INSERT OR REPLACE INTO findings (type, proto, icmp_type, icmp_code, group_id,"
                    " dst, dst_port, name, fqdn, rule, names, src, audit, query_type, reason,"
                    " generation, count, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
                    " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
                    &store->put_finding);
    if (rc == 0)
        rc = db_prepare(store->observed,
                        "DELETE FROM findings WHERE type = ?1 AND proto = ?2 AND icmp_type = ?3"
                        " AND icmp_code = ?4 AND group_id = ?5 AND dst = ?6 AND dst_port = ?7"
                        " AND name = ?8 AND fqdn = ?9",
                        &store->drop_finding);
    if (rc == 0)
        rc = db_prepare(store->observed,
                        "INSERT OR REPLACE INTO grants (group_key, addr, name, kind, two_way, ttl,"
                        " learned, answered, used, expires)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                        &store->put_grant);
    return rc;
}

static void explain(const char *dir, const char *file, int rc, const char *words,
                    struct text *error)
{
    text_addf(error, "state directory \"%s\": %s%s", dir, file, *file ? ": " : "");
    switch (rc) {
    case -EWOULDBLOCK:
        text_add(error, "in use by another policyd");
        break;
    case -EUCLEAN:
        text_add(error, "the file is damaged; restore a backup, or move it away to start empty");
        break;
    case -ENOTSUP:
        text_add(error, "written by a newer version of policyd");
        break;
    case -EACCES:
        text_addf(
            error,
            "%s; it must be a file, not a link, that the user policyd runs as may read and write",
            words ? words : strerror(-rc));
        break;
    case -EROFS:
        text_addf(error,
                  "%s; make the file and the directory writable for the user policyd runs as",
                  words ? words : strerror(-rc));
        break;
    case -EBUSY:
        text_addf(error, "%s; end the program that uses the file, and start again",
                  words ? words : strerror(-rc));
        break;
    default:
        text_add(error, words ? words : strerror(-rc));
    }
}

int store_open(const char *dir, struct store **ret_store, struct text *ret_error)
{
    struct store *store = calloc(1, sizeof(*store));
    const char *file = "";
    struct text words = {0}; /* what SQLite said */
    int rc;

    if (!store) {
        text_add(ret_error, "out of memory");
        return -ENOMEM;
    }
    store->lock = -1;

    store->lock_path = fs_join(dir, "lock");
    rc = store->lock_path ? fs_make_dir(dir) : -ENOMEM;
    if (rc == 0)
        rc = take_lock(store->lock_path, &store->lock);
    if (rc < 0)
        goto out;

    file = "state.db";
    rc = open_state(store, dir, &words);
    if (rc < 0)
        goto out;
    rc = load_node_id(store);
    if (rc == 0)
        rc = forget_pending(store);
    if (rc < 0) {
        text_add(&words, db_error(store->state));
        goto out;
    }

    file = "observed.db";
    rc = open_observed(store, dir, &words);
    if (rc < 0)
        goto out;
    rc = prepare_puts(store);
    if (rc < 0) {
        text_add(&words, db_error(store->observed));
        goto out;
    }

    *ret_store = store;
    store = NULL;

out:
    if (rc < 0)
        explain(dir, file, rc, words.len ? words.ptr : NULL, ret_error);
    text_fini(&words);
    store_close(store);
    return rc;
}

void store_close(struct store *store)
{
    if (!store)
        return;

    db_finish(store->put_finding);
    db_finish(store->drop_finding);
    db_finish(store->put_grant);
    db_close(store->observed);
    db_close(store->state);
    if (store->lock >= 0)
        close(store->lock);
    free(store->lock_path);
    free(store);
}

const char *store_node_id(const struct store *store)
{
    return store->node_id;
}

/* Logs where the words are known; callers only see the number. */
static int told(struct db *db, const char *what, int rc)
{
    if (rc < 0)
        log_error("store: %s: %s", what, db_error(db));
    return rc;
}

/* Files that were deleted under us take every write, and the next start finds none of it. */
static int check_place(const struct store *store, const char *what)
{
    struct stat held, named;

    if (fstat(store->lock, &held) == 0 && stat(store->lock_path, &named) == 0 &&
        held.st_dev == named.st_dev && held.st_ino == named.st_ino && !db_moved(store->state))
        return 0;

    log_error("store: %s: the state directory was deleted or replaced (%s, state.db); restart"
              " policyd, then send the %s again",
              what, store->lock_path, what);
    return -ESTALE;
}

int store_policy_add(struct store *store, const char *document, size_t len, uint64_t above,
                     uint64_t *ret_generation)
{
    struct db_query *query = NULL;
    int rc;

    rc = check_place(store, "policy");
    if (rc < 0)
        return rc;

    /* sqlite_sequence remembers numbers of rows that are gone. */
    rc = db_prepare(store->state,
                    "INSERT INTO policies (generation, state, accepted_at, document)"
                    " VALUES (max(?3, coalesce((SELECT seq FROM sqlite_sequence"
                    "  WHERE name = 'policies'), 0)) + 1, 'pending', ?1, ?2)",
                    &query);
    if (rc < 0)
        return told(store->state, "policy", rc);

    db_bind_int(query, 1, (int64_t)clock_wall());
    db_bind_text(query, 2, document, len);
    db_bind_int(query, 3, (int64_t)above);
    rc = db_run(query);
    db_finish(query);
    if (rc == 0)
        *ret_generation = (uint64_t)db_last_id(store->state);
    return told(store->state, "policy", rc);
}

/* Runs statements as one transaction: all of them or none. */
static int change(struct store *store, const char *sql)
{
    int rc;

    rc = db_begin(store->state);
    if (rc == 0)
        rc = db_exec(store->state, sql);
    if (rc == 0)
        rc = db_commit(store->state);
    told(store->state, "policy", rc);
    if (rc < 0)
        db_rollback(store->state);
    return rc;
}

int store_policy_activate(struct store *store, uint64_t generation)
{
    char sql[256];
    int rc;

    rc = check_place(store, "policy");
    if (rc < 0)
        return rc;

    snprintf(sql, sizeof(sql),
             "DELETE FROM policies WHERE state = 'active' AND generation != %" PRIu64 ";"
             "UPDATE policies SET state = 'active' WHERE generation = %" PRIu64 ";",
             generation, generation);
    return change(store, sql);
}

int store_policy_drop(struct store *store, uint64_t generation, uint64_t in_force)
{
    char sql[256];

    snprintf(sql, sizeof(sql),
             "DELETE FROM policies WHERE generation = %" PRIu64 ";"
             "UPDATE policies SET generation = %" PRIu64 " WHERE state = 'active';",
             generation, in_force);
    return change(store, sql);
}

int store_policy_active(struct store *store, struct store_policy *ret_policy)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->state,
                    "SELECT generation, document FROM policies WHERE state = 'active'", &query);
    if (rc < 0)
        return told(store->state, "policy", rc);

    rc = db_step(query);
    if (rc == 1) {
        struct store_policy policy = {.generation = (uint64_t)db_int(query, 0)};
        const char *document = db_text(query, 1, &policy.len);

        policy.document = document ? strndup(document, policy.len) : NULL;
        rc = policy.document ? 0 : -ENOMEM;
        if (rc == 0)
            *ret_policy = policy;
    } else if (rc == 0) {
        rc = -ENOENT;
    } else {
        told(store->state, "policy", rc);
    }
    db_finish(query);
    return rc;
}

int store_setting_get(struct store *store, const char *key, char *ret_value, size_t capacity)
{
    int rc = setting_get(store, key, ret_value, capacity);

    return rc == -ENOENT ? rc : told(store->state, "setting", rc);
}

int store_setting_put(struct store *store, const char *key, const char *value)
{
    int rc = check_place(store, "setting");

    return rc < 0 ? rc : told(store->state, "setting", setting_put(store, key, value));
}

int store_token_put(struct store *store, const char *name, const struct store_token *token)
{
    const char *role = token->admin ? "admin" : "readonly";
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->state,
                    "INSERT OR REPLACE INTO tokens (name, hash, role, created_at)"
                    " VALUES (?1, ?2, ?3, ?4)",
                    &query);
    if (rc < 0)
        return told(store->state, "token", rc);

    db_bind_text(query, 1, name, strlen(name));
    db_bind_blob(query, 2, token->hash, sizeof(token->hash));
    db_bind_text(query, 3, role, strlen(role));
    db_bind_int(query, 4, (int64_t)clock_wall());
    rc = db_run(query);
    db_finish(query);
    return told(store->state, "token", rc);
}

static int read_token(struct db_query *query, struct store_token *ret_token)
{
    size_t len = 0;
    const void *hash = db_blob(query, 0, &len);
    const char *role = db_text(query, 1, NULL);

    if (!hash || len != SECRET_HASH_LEN || !role)
        return -EUCLEAN;

    memcpy(ret_token->hash, hash, len);
    ret_token->admin = strcmp(role, "admin") == 0;
    return 0;
}

int store_tokens(struct store *store, struct store_token *ret_tokens, size_t capacity,
                 size_t *ret_count)
{
    struct db_query *query = NULL;
    size_t count = 0;
    int rc;

    rc = db_prepare(store->state, "SELECT hash, role FROM tokens ORDER BY created_at", &query);
    if (rc < 0)
        return told(store->state, "token", rc);

    while (count < capacity && (rc = db_step(query)) == 1) {
        rc = read_token(query, &ret_tokens[count++]);
        if (rc < 0)
            break;
    }
    db_finish(query);
    if (rc < 0)
        return rc;

    *ret_count = count;
    return 0;
}

int store_observed_begin(struct store *store)
{
    return told(store->observed, "findings", db_begin(store->observed));
}

int store_observed_commit(struct store *store)
{
    int rc = told(store->observed, "findings", db_commit(store->observed));

    if (rc < 0)
        db_rollback(store->observed);
    return rc;
}

void store_observed_undo(struct store *store)
{
    db_rollback(store->observed);
}

static void bind_string(struct db_query *query, int at, const char *text)
{
    db_bind_text(query, at, text, strlen(text));
}

/* Names hold no blank: in text form it is written \032. */
static void join_names(const pol_finding *finding, char *ret, size_t capacity)
{
    size_t len = 0;

    *ret = '\0';
    for (int i = 0; i < finding->name_count && len < capacity; i++)
        len += (size_t)snprintf(ret + len, capacity - len, "%s%s", i ? " " : "", finding->names[i]);
}

static void split_names(const char *joined, pol_finding *finding)
{
    size_t len;

    for (; *joined && finding->name_count < POL_FINDING_NAMES; joined += len) {
        joined += strspn(joined, " ");
        len = strcspn(joined, " ");
        if (len && len <= POL_NAME_MAX)
            memcpy(finding->names[finding->name_count++], joined, len);
    }
}

static void bind_key(struct db_query *query, const pol_finding *finding, const char *dst)
{
    db_bind_int(query, 1, finding->type);
    db_bind_int(query, 2, finding->proto);
    db_bind_int(query, 3, finding->icmp_type);
    db_bind_int(query, 4, finding->icmp_code);
    bind_string(query, 5, finding->group);
    bind_string(query, 6, dst);
    db_bind_int(query, 7, finding->dst_port);
    bind_string(query, 8, finding->name);
    bind_string(query, 9, finding->fqdn);
}

int store_finding_put(struct store *store, const pol_finding *finding)
{
    struct db_query *query = finding->count ? store->put_finding : store->drop_finding;
    char names[POL_FINDING_NAMES * (POL_NAME_MAX + 1) + 1];
    char dst[POL_ADDR_TEXT], src[POL_ADDR_TEXT];

    pol_addr_format(&finding->dst, dst);
    pol_addr_format(&finding->src, src);
    bind_key(query, finding, dst);
    if (finding->count) {
        join_names(finding, names, sizeof(names));
        bind_string(query, 10, finding->rule);
        bind_string(query, 11, names);
        bind_string(query, 12, src);
        db_bind_int(query, 13, finding->audit);
        db_bind_int(query, 14, finding->query_type);
        db_bind_int(query, 15, finding->reason);
        db_bind_int(query, 16, (int64_t)finding->generation);
        db_bind_int(query, 17, (int64_t)finding->count);
        db_bind_int(query, 18, (int64_t)finding->first_seen);
        db_bind_int(query, 19, (int64_t)finding->last_seen);
    }
    return told(store->observed, "finding", db_run(query));
}

static void read_string(struct db_query *query, int column, char *ret, size_t capacity)
{
    const char *text = db_text(query, column, NULL);

    snprintf(ret, capacity, "%s", text ? text : "");
}

static pol_addr read_addr(struct db_query *query, int column)
{
    pol_addr addr = {0};
    pol_str text;

    text.ptr = db_text(query, column, &text.len);
    pol_addr_parse(text, &addr);
    return addr;
}

static pol_finding read_finding(struct db_query *query)
{
    pol_finding finding = {
        .type = (uint8_t)db_int(query, 0),
        .proto = (uint8_t)db_int(query, 1),
        .icmp_type = (uint8_t)db_int(query, 2),
        .icmp_code = (uint8_t)db_int(query, 3),
        .dst = read_addr(query, 5),
        .dst_port = (uint16_t)db_int(query, 6),
        .src = read_addr(query, 11),
        .audit = (uint8_t)db_int(query, 12),
        .query_type = (uint16_t)db_int(query, 13),
        .reason = (uint16_t)db_int(query, 14),
        .generation = (uint64_t)db_int(query, 15),
        .count = (uint64_t)db_int(query, 16),
        .first_seen = (uint64_t)db_int(query, 17),
        .last_seen = (uint64_t)db_int(query, 18),
    };
    const char *names = db_text(query, 10, NULL);

    read_string(query, 4, finding.group, sizeof(finding.group));
    read_string(query, 7, finding.name, sizeof(finding.name));
    read_string(query, 8, finding.fqdn, sizeof(finding.fqdn));
    read_string(query, 9, finding.rule, sizeof(finding.rule));
    split_names(names ? names : "", &finding);
    return finding;
}

int store_findings(struct store *store, void (*visit)(void *user, const pol_finding *finding),
                   void *user)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->observed,
                    "SELECT type, proto, icmp_type, icmp_code, group_id, dst, dst_port, name, fqdn,"
                    " rule, names, src, audit, query_type, reason, generation, count, first_seen,"
                    " last_seen FROM findings ORDER BY last_seen",
                    &query);
    if (rc < 0)
        return told(store->observed, "findings", rc);

    while ((rc = db_step(query)) == 1) {
        pol_finding finding = read_finding(query);

        visit(user, &finding);
    }
    db_finish(query);
    return told(store->observed, "findings", rc);
}

int store_grant_put(struct store *store, const pol_grant *grant)
{
    struct db_query *query = store->put_grant;
    char addr[POL_ADDR_TEXT];

    pol_addr_format(&grant->addr, addr);
    db_bind_int(query, 1, (int64_t)grant->group_key);
    bind_string(query, 2, addr);
    bind_string(query, 3, grant->name);
    db_bind_int(query, 4, grant->kind);
    db_bind_int(query, 5, grant->two_way);
    db_bind_int(query, 6, grant->ttl);
    db_bind_int(query, 7, (int64_t)grant->learned);
    db_bind_int(query, 8, (int64_t)grant->answered);
    db_bind_int(query, 9, (int64_t)grant->used);
    db_bind_int(query, 10, grant->expires < INT64_MAX ? (int64_t)grant->expires : INT64_MAX);
    return told(store->observed, "grant", db_run(query));
}

int store_grants_expire(struct store *store, uint64_t before)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->observed, "DELETE FROM grants WHERE expires < ?1", &query);
    if (rc < 0)
        return told(store->observed, "grants", rc);

    db_bind_int(query, 1, (int64_t)before);
    rc = db_run(query);
    db_finish(query);
    return told(store->observed, "grants", rc);
}

static pol_grant read_grant(struct db_query *query)
{
    pol_grant grant = {
        .group_key = (uint64_t)db_int(query, 0),
        .addr = read_addr(query, 1),
        .kind = (uint8_t)db_int(query, 3),
        .two_way = (uint8_t)db_int(query, 4),
        .ttl = (uint32_t)db_int(query, 5),
        .learned = (uint64_t)db_int(query, 6),
        .answered = (uint64_t)db_int(query, 7),
        .used = (uint64_t)db_int(query, 8),
        .expires = (uint64_t)db_int(query, 9),
    };

    read_string(query, 2, grant.name, sizeof(grant.name));
    grant.name_len = (uint8_t)strlen(grant.name);
    return grant;
}

int store_grants(struct store *store, void (*visit)(void *user, const pol_grant *grant), void *user)
{
    struct db_query *query = NULL;
    int rc;

    rc = db_prepare(store->observed,
                    "SELECT group_key, addr, name, kind, two_way, ttl, learned, answered, used,"
                    " expires FROM grants ORDER BY used",
                    &query);
    if (rc < 0)
        return told(store->observed, "grants", rc);

    while ((rc = db_step(query)) == 1) {
        pol_grant grant = read_grant(query);

        visit(user, &grant);
    }
    db_finish(query);
    return told(store->observed, "grants", rc);
}
