// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/query.h"
#include "http/respond.h"

#define GROUPS     64
#define LIMIT_MOST 10000
#define NIL_POLICY "00000000-0000-0000-0000-000000000000"

/* A query string on its way to a pol_audit_query. */
struct asked {
    pol_audit_query query;
    pol_str groups[GROUPS];
    char names[GROUPS][257];
    bool nothing; /* no finding can fit */
};

static char *trim(char *text)
{
    size_t len;

    while (isspace((unsigned char)*text))
        text++;
    for (len = strlen(text); len && isspace((unsigned char)text[len - 1]); len--)
        text[len - 1] = '\0';
    return text;
}

static bool is_uuid(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-'
                                                    : !isxdigit((unsigned char)text[i]))
            return false;
    return len == 36;
}

static bool take_type(struct asked *asked, char *value, struct http_reply *reply)
{
    value = trim(value);
    if (!*value)
        return true;

    for (unsigned type = 0; type < POL_FIND_COUNT; type++) {
        if (strcasecmp(value, pol_finding_word(type)) == 0) {
            asked->query.types |= 1u << type;
            return true;
        }
    }

    respond_error(reply, 400, "invalid finding_type value: %s", value);
    return false;
}

static bool take_group(struct asked *asked, const char *value, struct http_reply *reply)
{
    size_t at = asked->query.group_count;

    if (!*value)
        return true;
    if (at == GROUPS) {
        respond_error(reply, 400, "more than %d values of source_group", GROUPS);
        return false;
    }

    snprintf(asked->names[at], sizeof(asked->names[at]), "%s", value);
    asked->groups[at] = (pol_str){asked->names[at], strlen(asked->names[at])};
    asked->query.group_count++;
    return true;
}

static bool take_number(const char *key, const char *value, uint64_t *ret_number,
                        struct http_reply *reply)
{
    uint64_t number;
    char *end;

    errno = 0;
    number = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || errno) {
        respond_error(reply, 400, "invalid %s value: %s", key, value);
        return false;
    }

    *ret_number = number;
    return true;
}

/* All findings carry the nil id of the one policy there is. */
static bool take_policy(struct asked *asked, const char *value, struct http_reply *reply)
{
    if (!is_uuid(value)) {
        respond_error(reply, 400, "invalid policy_id: %s", value);
        return false;
    }

    asked->nothing |= strcasecmp(value, NIL_POLICY) != 0;
    return true;
}

/* Seconds of the contract to milliseconds; `until` keeps its whole second. */
static bool take_time(struct asked *asked, const char *key, const char *value,
                      struct http_reply *reply)
{
    uint64_t seconds;

    if (!take_number(key, value, &seconds, reply))
        return false;

    if (seconds > UINT64_MAX / 1000 - 1)
        seconds = UINT64_MAX / 1000 - 1;
    if (*key == 's')
        asked->query.since = seconds * 1000;
    else
        asked->query.until = seconds * 1000 + 999;
    return true;
}

static bool take_limit(struct asked *asked, const char *value, struct http_reply *reply)
{
    uint64_t limit;

    if (!take_number("limit", value, &limit, reply))
        return false;

    asked->query.limit = limit < 1 ? 1 : limit > LIMIT_MOST ? LIMIT_MOST : (size_t)limit;
    return true;
}

static bool take_pair(struct asked *asked, const char *key, char *value, struct http_reply *reply)
{
    if (strcmp(key, "finding_type") == 0)
        return take_type(asked, value, reply);
    if (strcmp(key, "source_group") == 0)
        return take_group(asked, trim(value), reply);
    if (strcmp(key, "policy_id") == 0)
        return take_policy(asked, value, reply);
    if (strcmp(key, "since") == 0 || strcmp(key, "until") == 0)
        return take_time(asked, key, value, reply);
    if (strcmp(key, "limit") == 0)
        return take_limit(asked, value, reply);
    return true;
}

static bool parse(const char *text, struct asked *asked, struct http_reply *reply)
{
    struct query query = {.rest = text};
    char key[64], value[512];

    pol_audit_query_init(&asked->query, sizeof(asked->query));
    asked->query.groups = asked->groups;
    while (query_next(&query, key, sizeof(key), value, sizeof(value)))
        if (!take_pair(asked, key, value, reply))
            return false;
    return true;
}

/* A single node answers for itself, so both routes say the same. */
void api_findings(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    enum control_result result = CONTROL_DONE;

    if (!asked) {
        reply->body.failed = true;
        return;
    }
    if (!performance_is_enabled(api->performance)) {
        respond_error(reply, 503, PERFORMANCE_NO_AUDIT);
        goto out;
    }
    if (!parse(request->query, asked, reply))
        goto out;

    text_add(&reply->body, "{\"items\":[");
    if (!asked->nothing)
        result = control_findings(api->control, &asked->query, &reply->body);
    text_add(&reply->body,
             "],\"partial\":false,\"node_errors\":[],\"nodes_queried\":1,\"nodes_responded\":1}");
    if (result != CONTROL_DONE)
        respond_error(reply, 503, "audit store unavailable");

out:
    free(asked);
}
