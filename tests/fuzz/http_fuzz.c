/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policyd reads of an HTTP request with code of its own, behind the server that takes the
 * head apart. The first line of the input is "METHOD TARGET VERSION", the next ones are header
 * fields "name: value", then an empty line and a body.
 *
 *   - a head is accepted or refused with a 4xx or 501 and a reason; what is accepted has one Host,
 *     one length, no coding and a target without controls
 *   - the query is taken apart into pairs, and the wiretap's parameters into a filter or a 400
 *   - no token but the right one is valid
 *   - an error is JSON, and a reply's head is lines without a control among them
 *   - a body that compiles as a policy has a YAML form
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>
#include <libpolicy/policy.h>

#include "core/yaml_print.h"
#include "http/auth.h"
#include "http/head.h"
#include "http/query.h"
#include "http/respond.h"
#include "http/tap_query.h"

enum { FIELDS = 70 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct request {
    struct http_head head;
    struct http_field fields[FIELDS];
    const char *query;
    const char *body;
    size_t body_len;
};

/* --- the input, taken apart as the server does it -------------------------------------------- */

static char *cut(char **rest, char end)
{
    char *text = *rest, *at = strchr(text, end);

    *rest = at ? at + 1 : text + strlen(text);
    if (at)
        *at = '\0';
    return text;
}

static void read_request(char *text, size_t size, struct request *request)
{
    char *end = text + size, *line = cut(&text, '\n');

    request->head.method = cut(&line, ' ');
    request->head.target = cut(&line, ' ');
    request->head.version = line;
    request->head.fields = request->fields;
    while (*text && *text != '\n' && request->head.field_count < FIELDS) {
        struct http_field *field = &request->fields[request->head.field_count++];

        line = cut(&text, '\n');
        field->name = cut(&line, ':');
        field->value = line + strspn(line, " ");
    }
    request->body = *text == '\n' ? text + 1 : text;
    request->body_len = (size_t)(end - request->body);
    request->query = strchr(request->head.target, '?');
    if (request->query)
        request->query++;
}

static size_t count_fields(const struct http_head *head, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++)
        count += strcasecmp(head->fields[i].name, name) == 0;
    return count;
}

static const char *field(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (strcasecmp(head->fields[i].name, name) == 0)
            return head->fields[i].value;
    }
    return NULL;
}

/* --- what holds ------------------------------------------------------------------------------ */

static void check_head(const struct http_head *head)
{
    const char *reason = NULL;
    int status = head_check(head, &reason);
    size_t path = strcspn(head->target, "?");

    require(status == 0 || status == 501 || (status >= 400 && status < 500));
    require((status == 0) == !reason);
    if (status)
        return;
    require(count_fields(head, "Host") <= 1 && count_fields(head, "Authorization") <= 1);
    require(count_fields(head, "Content-Length") <= 1 && !field(head, "Transfer-Encoding"));
    require(head->target[0] == '/');
    for (size_t i = 0; i < path; i++)
        require(isprint((unsigned char)head->target[i]) &&
                !isspace((unsigned char)head->target[i]));
}

static void check_pairs(const char *text)
{
    struct query query = {.rest = text};
    char key[16], value[32];
    size_t pairs = 0;

    while (query_next(&query, key, sizeof(key), value, sizeof(value))) {
        require(strlen(key) < sizeof(key) && strlen(value) < sizeof(value));
        pairs++;
    }
    require(pairs <= (text ? strlen(text) : 0));
    require(!query_next(&query, key, sizeof(key), value, sizeof(value)));
}

/* {"error": text}, and headers that a text of the sender's cannot add to. */
static void check_error(const struct http_reply *reply)
{
    cJSON *tree = cJSON_ParseWithLength(reply->body.ptr, reply->body.len);
    struct text head = {0};

    require(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(tree, "error")));
    cJSON_Delete(tree);
    respond_head(reply, "/api/v1/x", &head);
    require(head.len > 4 && memcmp(head.ptr + head.len - 4, "\r\n\r\n", 4) == 0);
    require(strstr(head.ptr, "\r\n\r\n") == head.ptr + head.len - 4);
    text_fini(&head);
}

static void check_tap(pol_ctx *ctx, const char *query)
{
    struct http_reply reply = {.status = 200};
    pol_event event = {.kind = POL_EV_FLOW_OPEN};
    pol_tap *tap = NULL;
    uint32_t kinds = 0;

    if (tap_query_read(ctx, query, &tap, &kinds, &reply)) {
        require(tap && kinds && reply.status == 200);
        (void)pol_tap_match(tap, &event);
    } else {
        require(!tap && reply.status == 400);
        check_error(&reply);
    }
    pol_tap_free(tap);
    text_fini(&reply.body);
}

/* The token is "good-token"; another one differs from it, whatever stands around it. */
static void check_auth(const struct request *request)
{
    static const char good[] = "good-token";
    struct http_request seen = {.authorization = field(&request->head, "Authorization"),
                                .cookie = field(&request->head, "Cookie")};
    struct http_reply reply = {.status = 200};
    struct auth_token token = {.admin = false};
    enum auth_outcome outcome;
    struct auth *auth;

    require(auth_new(&auth) == 0);
    require(secret_hash(good, sizeof(good) - 1, token.hash) == 0);
    auth_replace(auth, &token, 1);
    outcome = auth_check(auth, &seen, AUTH_TOKEN);
    if (outcome == AUTH_VALID) {
        require((seen.authorization && strstr(seen.authorization, good)) ||
                (seen.cookie && strstr(seen.cookie, good)));
        require(auth_check(auth, &seen, AUTH_ADMIN) == AUTH_ROLE);
    } else {
        auth_refuse(outcome, &reply);
        require(reply.status == 401);
        check_error(&reply);
    }
    text_fini(&reply.body);
    auth_free(auth);
}

static void check_body(pol_ctx *ctx, const char *body, size_t len)
{
    pol_policy *policy = NULL;
    struct text yaml = {0};
    size_t need;
    char *json;

    /* Any octets: it may fail, and must not do more than that. */
    (void)yaml_print_json(body, len, &yaml);
    text_fini(&yaml);
    if (pol_compile(ctx, (pol_str){body, len}, NULL, &policy, NULL) != POL_OK)
        return;
    require(pol_policy_json(policy, NULL, 0, &need) == POL_E_NOSPACE);
    json = malloc(need);
    require(json && pol_policy_json(policy, json, need, &need) == POL_OK);
    yaml = (struct text){0};
    require(yaml_print_json(json, need, &yaml) && yaml.len > 0);
    text_fini(&yaml);
    free(json);
    pol_policy_unref(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request = {.query = NULL};
    char *copy = malloc(size + 1);
    pol_ctx *ctx = NULL;

    require(copy != NULL && pol_ctx_new(NULL, &ctx) == POL_OK);
    memcpy(copy, data, size);
    copy[size] = '\0';
    read_request(copy, size, &request);
    check_head(&request.head);
    check_pairs(request.query);
    check_tap(ctx, request.query);
    check_auth(&request);
    check_body(ctx, request.body, request.body_len);
    pol_ctx_unref(ctx);
    free(copy);
    return 0;
}
