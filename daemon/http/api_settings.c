// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "http/respond.h"

/* Exactly {"enabled": true or false}. Says itself what is wrong. */
static bool read_enabled(const cJSON *body, bool *ret_enabled, struct http_reply *reply)
{
    const cJSON *member = body ? body->child : NULL;

    if (!cJSON_IsObject(body))
        respond_error(reply, 400,
                      "invalid json: the body is {\"enabled\":true} or "
                      "{\"enabled\":false}");
    else if (!member)
        respond_error(reply, 400, "invalid json: missing field \"enabled\"");
    else if (strcmp(member->string, "enabled") != 0)
        respond_error(reply, 400,
                      "invalid json: unknown key \"%.64s\"; the only one is \"enabled\"",
                      member->string);
    else if (!cJSON_IsBool(member))
        respond_error(reply, 400, "invalid json: \"enabled\" is true or false");
    else if (member->next)
        respond_error(reply, 400, "invalid json: \"enabled\" is followed by \"%.64s\"",
                      member->next->string);
    else
        *ret_enabled = cJSON_IsTrue(member);
    return reply->status == 200;
}

static bool parse(const struct http_request *request, bool *ret_enabled, struct http_reply *reply)
{
    /* The body's NUL is parsed too: nothing may follow the value. */
    cJSON *body = cJSON_ParseWithLengthOpts(request->body, request->body_len + 1, NULL, 1);
    bool good = read_enabled(body, ret_enabled, reply);

    cJSON_Delete(body);
    return good;
}

void api_performance_get(struct api *api, const struct http_request *request,
                         struct http_reply *reply)
{
    bool enabled = performance_is_enabled(api->performance);

    (void)request;
    text_addf(&reply->body, "{\"enabled\":%s,\"source\":%s}", enabled ? "true" : "false",
              performance_is_stored(api->performance) ? "\"local\"" : "null");
}

void api_performance_put(struct api *api, const struct http_request *request,
                         struct http_reply *reply)
{
    enum control_result result;
    bool enabled = false;

    if (!parse(request, &enabled, reply))
        return;

    result = control_set_performance(api->control, enabled);
    if (result == CONTROL_DONE)
        text_addf(&reply->body, "{\"enabled\":%s,\"source\":\"local\"}",
                  enabled ? "true" : "false");
    else if (result == CONTROL_STORE)
        respond_error(reply, 500, "the setting could not be stored; the one before is in force");
    else
        respond_error(reply, 503, "the daemon is %s; nothing was changed",
                      result == CONTROL_BUSY ? "busy" : "stopping");
}
