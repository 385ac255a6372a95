/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "core/secret.h"
#include "http/message.h"

#define AUTH_TOKENS 1024

/*
 * Who may do what. Tokens are opaque and known here by their hashes only. Any thread may check;
 * replacing the tokens waits for checks under way.
 */
struct auth;

struct auth_token {
    uint8_t hash[SECRET_HASH_LEN];
    bool admin;
};

enum auth_access {
    AUTH_OPEN,  /* no token needed */
    AUTH_TOKEN, /* any token */
    AUTH_ADMIN  /* a token with the admin role */
};

/* The outcomes of the contract's http_auth_total, in its order; AUTH_VALID is the only good one. */
enum auth_outcome { AUTH_VALID, AUTH_MISSING, AUTH_SCHEME, AUTH_INVALID, AUTH_ROLE, AUTH_OUTCOMES };

int auth_new(struct auth **ret_auth);
void auth_free(struct auth *auth);
void auth_replace(struct auth *auth, const struct auth_token *tokens, size_t count);

/* Looks in the Authorization header first, then in the cookie. AUTH_OPEN is always valid. */
enum auth_outcome auth_check(struct auth *auth, const struct http_request *request,
                             enum auth_access access);

const char *auth_reason(enum auth_outcome outcome); /* the metric's label */

/* The contract's answer to an outcome other than AUTH_VALID. */
void auth_refuse(enum auth_outcome outcome, struct http_reply *reply);

#endif
