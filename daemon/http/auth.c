// SPDX-License-Identifier: Apache-2.0
#include "http/auth.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/respond.h"

#define TOKEN_LIMIT 8192
#define COOKIE_NAME "neuwerk_auth="

struct auth {
    pthread_rwlock_t lock;
    size_t count;
    struct auth_token tokens[AUTH_TOKENS];
};

int auth_new(struct auth **ret_auth)
{
    struct auth *auth = calloc(1, sizeof(*auth));

    if (!auth)
        return -ENOMEM;

    pthread_rwlock_init(&auth->lock, NULL);
    *ret_auth = auth;
    return 0;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;

    pthread_rwlock_destroy(&auth->lock);
    free(auth);
}

void auth_replace(struct auth *auth, const struct auth_token *tokens, size_t count)
{
    pthread_rwlock_wrlock(&auth->lock);
    auth->count = count < AUTH_TOKENS ? count : AUTH_TOKENS;
    for (size_t i = 0; i < auth->count; i++)
        auth->tokens[i] = tokens[i];
    pthread_rwlock_unlock(&auth->lock);
}

static enum auth_outcome from_header(const char *value, const char **ret_token, size_t *ret_len)
{
    if (strncasecmp(value, "Bearer", 6) != 0 || (value[6] != ' ' && value[6] != '\0'))
        return AUTH_SCHEME;

    value += 6;
    while (*value == ' ')
        value++;
    *ret_token = value;
    *ret_len = strlen(value);
    while (*ret_len && value[*ret_len - 1] == ' ')
        --*ret_len;
    return AUTH_VALID;
}

static enum auth_outcome from_cookie(const char *cookies, const char **ret_token, size_t *ret_len)
{
    const char *at = cookies;

    while (at && *at) {
        at += strspn(at, "; ");
        if (strncmp(at, COOKIE_NAME, sizeof(COOKIE_NAME) - 1) == 0) {
            *ret_token = at + sizeof(COOKIE_NAME) - 1;
            *ret_len = strcspn(*ret_token, "; ");
            return AUTH_VALID;
        }
        at += strcspn(at, ";");
    }
    return AUTH_MISSING;
}

static enum auth_outcome find_token(const struct http_request *request, const char **ret_token,
                                    size_t *ret_len)
{
    enum auth_outcome outcome = AUTH_MISSING;

    if (request->authorization)
        outcome = from_header(request->authorization, ret_token, ret_len);
    if (outcome != AUTH_VALID && from_cookie(request->cookie, ret_token, ret_len) == AUTH_VALID)
        outcome = AUTH_VALID;
    return outcome;
}

/* Every token is compared, so the time does not tell which one was near. */
static enum auth_outcome check_hash(struct auth *auth, const uint8_t *hash, enum auth_access access)
{
    bool known = false, admin = false;

    pthread_rwlock_rdlock(&auth->lock);
    for (size_t i = 0; i < auth->count; i++) {
        bool same = secret_equal(auth->tokens[i].hash, hash, SECRET_HASH_LEN);

        known |= same;
        admin |= same && auth->tokens[i].admin;
    }
    pthread_rwlock_unlock(&auth->lock);

    if (!known)
        return AUTH_INVALID;
    return access == AUTH_ADMIN && !admin ? AUTH_ROLE : AUTH_VALID;
}

enum auth_outcome auth_check(struct auth *auth, const struct http_request *request,
                             enum auth_access access)
{
    uint8_t hash[SECRET_HASH_LEN];
    enum auth_outcome outcome;
    const char *token = NULL;
    size_t len = 0;

    if (access == AUTH_OPEN)
        return AUTH_VALID;

    outcome = find_token(request, &token, &len);
    if (outcome != AUTH_VALID)
        return outcome;
    if (len == 0 || len > TOKEN_LIMIT || secret_hash(token, len, hash) < 0)
        return AUTH_INVALID;
    return check_hash(auth, hash, access);
}

static const struct {
    int status;
    const char *reason, *text;
} outcomes[AUTH_OUTCOMES] = {
    [AUTH_VALID] = {200, "valid_token", ""},
    [AUTH_MISSING] = {401, "missing_token", "missing bearer token"},
    [AUTH_SCHEME] = {401, "invalid_scheme", "invalid authorization scheme"},
    [AUTH_INVALID] = {401, "invalid_token", "invalid token"},
    [AUTH_ROLE] = {403, "insufficient_role", "admin role required"},
};

const char *auth_reason(enum auth_outcome outcome)
{
    return outcomes[outcome].reason;
}

void auth_refuse(enum auth_outcome outcome, struct http_reply *reply)
{
    respond_error(reply, outcomes[outcome].status, "%s", outcomes[outcome].text);
    reply->challenge = outcomes[outcome].status == 401;
}
