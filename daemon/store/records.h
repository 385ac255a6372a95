/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECORDS_H
#define STORE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpolicy/audit.h>
#include <libpolicy/grants.h>

#include "core/secret.h"
#include "core/text.h"

/*
 * What survives a restart, in one directory. state.db holds what somebody was told is done:
 * policies, tokens, settings; a commit there is on the disk. observed.db holds what the node has
 * seen: findings and grants; it is apart so that a flood of them cannot delay a policy, and a
 * damaged one is put aside instead of stopping the node. One thread at a time.
 */
struct store;

/* `ret_error` says in words what is wrong and what to do about it. */
int store_open(const char *dir, struct store **ret_store, struct text *ret_error);
void store_close(struct store *store);

/* The node's name in findings: a random UUID made with the store. */
const char *store_node_id(const struct store *store);

struct store_policy {
    uint64_t generation;
    char *document; /* NUL-terminated; free() */
    size_t len;
};

/* Writes a document that is about to be published, under a generation above all before it. */
int store_policy_add(struct store *store, const char *document, size_t len, uint64_t above,
                     uint64_t *ret_generation);

/*
 * The pending document of this generation is in force from now on.
 *
 * @return 0, -ESTALE (the files were deleted or replaced: the next start would not find it),
 * another negative errno
 */
int store_policy_activate(struct store *store, uint64_t generation);

/* The pending document goes, and the one in force goes on under another generation. */
int store_policy_drop(struct store *store, uint64_t generation, uint64_t in_force);

/* The document in force, or -ENOENT. What was still pending is forgotten by store_open(). */
int store_policy_active(struct store *store, struct store_policy *ret_policy);

struct store_token {
    uint8_t hash[SECRET_HASH_LEN];
    bool admin;
};

/* Adds a token or replaces the one of that name. */
int store_token_put(struct store *store, const char *name, const struct store_token *token);

/* Up to `capacity` tokens; *ret_count is how many there were room for. */
int store_tokens(struct store *store, struct store_token *ret_tokens, size_t capacity,
                 size_t *ret_count);

/* Settings by name, texts on the disk when put. get: 0, -ENOENT or another negative errno; put may
 * also say -ESTALE, as store_policy_activate() does. */
int store_setting_get(struct store *store, const char *key, char *ret_value, size_t capacity);
int store_setting_put(struct store *store, const char *key, const char *value);

/* What has been observed is written in transactions: begin, any number of puts, commit. */
int store_observed_begin(struct store *store);
int store_observed_commit(struct store *store); /* undoes everything when it fails */
void store_observed_undo(struct store *store);

int store_finding_put(struct store *store, const pol_finding *finding); /* count 0 removes it */
int store_findings(struct store *store, void (*visit)(void *user, const pol_finding *finding),
                   void *user);

/* Grants with their moments as nanoseconds since 1970, whatever clock they were learned on. */
int store_grant_put(struct store *store, const pol_grant *grant);
int store_grants_expire(struct store *store, uint64_t before); /* nanoseconds since 1970 */
int store_grants(struct store *store, void (*visit)(void *user, const pol_grant *grant),
                 void *user);

#endif
