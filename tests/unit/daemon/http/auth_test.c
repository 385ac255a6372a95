// SPDX-License-Identifier: Apache-2.0
#include "http/auth.h"

#include <string.h>

#include <criterion/criterion.h>

static struct auth *auth;

static void setup(void)
{
    struct auth_token tokens[2] = {{.admin = true}, {.admin = false}};

    secret_hash("the-admin-token", 15, tokens[0].hash);
    secret_hash("the-other-token", 15, tokens[1].hash);
    cr_assert_eq(auth_new(&auth), 0);
    auth_replace(auth, tokens, 2);
}

static void teardown(void)
{
    auth_free(auth);
}

TestSuite(auth, .init = setup, .fini = teardown);

static const struct {
    const char *authorization, *cookie;
    enum auth_access access;
    enum auth_outcome outcome;
} cases[] = {
    {NULL, NULL, AUTH_OPEN, AUTH_VALID},
    {NULL, NULL, AUTH_TOKEN, AUTH_MISSING},
    {"Bearer the-other-token", NULL, AUTH_TOKEN, AUTH_VALID},
    {"bEARER   the-other-token  ", NULL, AUTH_TOKEN, AUTH_VALID},
    {"Bearer the-other-token", NULL, AUTH_ADMIN, AUTH_ROLE},
    {"Bearer the-admin-token", NULL, AUTH_ADMIN, AUTH_VALID},
    {"Bearer the-admin-toke", NULL, AUTH_ADMIN, AUTH_INVALID},
    {"Bearer ", NULL, AUTH_TOKEN, AUTH_INVALID},
    {"Bearerthe-admin-token", NULL, AUTH_TOKEN, AUTH_SCHEME},
    {"Basic dXNlcjpwdw==", NULL, AUTH_TOKEN, AUTH_SCHEME},
    {"Basic dXNlcjpwdw==", "neuwerk_auth=the-other-token", AUTH_TOKEN, AUTH_VALID},
    {NULL, "a=b; neuwerk_auth=the-admin-token; c=d", AUTH_ADMIN, AUTH_VALID},
    {NULL, "xneuwerk_auth=the-admin-token", AUTH_TOKEN, AUTH_MISSING},
    {"Bearer the-wrong-token", "neuwerk_auth=the-admin-token", AUTH_TOKEN, AUTH_INVALID},
};

Test(auth, header_wins_over_cookie_and_roles_hold)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_request request = {.authorization = cases[i].authorization,
                                       .cookie = cases[i].cookie};

        cr_assert_eq(auth_check(auth, &request, cases[i].access), cases[i].outcome, "case %zu", i);
    }
}

Test(auth, replaced_tokens_are_good_no_more)
{
    struct http_request request = {.authorization = "Bearer the-admin-token"};

    auth_replace(auth, NULL, 0);
    cr_assert_eq(auth_check(auth, &request, AUTH_TOKEN), AUTH_INVALID);
}

Test(auth, refusals_carry_the_contracts_words)
{
    struct http_reply reply = {0};

    auth_refuse(AUTH_MISSING, &reply);
    cr_assert_eq(reply.status, 401);
    cr_assert(reply.challenge);
    cr_assert_str_eq(reply.body.ptr, "{\"error\":\"missing bearer token\"}");
    auth_refuse(AUTH_ROLE, &reply);
    cr_assert_eq(reply.status, 403);
    cr_assert_not(reply.challenge);
    cr_assert_str_eq(reply.body.ptr, "{\"error\":\"admin role required\"}");
    text_fini(&reply.body);
}
