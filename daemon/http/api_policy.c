// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include <libpolicy/json.h>

#include "core/json.h"
#include "core/yaml_print.h"
#include "http/query.h"
#include "http/respond.h"

static bool wants_yaml(const char *text)
{
    struct query query = {.rest = text};
    char key[64], value[64];
    bool yaml = false;

    while (query_next(&query, key, sizeof(key), value, sizeof(value)))
        if (strcmp(key, "format") == 0)
            yaml = strcasecmp(value, "yaml") == 0;
    return yaml;
}

static void reply_yaml(struct http_reply *reply)
{
    struct text yaml = {0};

    if (!yaml_print_json(reply->body.ptr, reply->body.len, &yaml)) {
        text_fini(&yaml);
        respond_error(reply, 500, "the policy cannot be written as YAML; ask for it as JSON");
        return;
    }

    text_fini(&reply->body);
    reply->body = yaml;
    reply->type = "application/yaml";
}

void api_policy_get(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    pol_policy *policy = publish_accepted(api->publish);

    if (control_policy_json(policy, &reply->body) && wants_yaml(request->query))
        reply_yaml(reply);
    pol_policy_unref(policy);
}

static int write_errors(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    return pol_json_errors(object, buf, capacity, ret_len);
}

static void reply_result(enum control_result result, const struct control_applied *applied,
                         const pol_policy *policy, const pol_diags *diags, struct http_reply *reply)
{
    switch (result) {
    case CONTROL_DONE:
        control_policy_json(policy, &reply->body);
        break;
    case CONTROL_REFUSED:
        reply->status = 400;
        json_append(&reply->body, write_errors, diags);
        break;
    case CONTROL_MEMORY:
        respond_error(reply, 500, "%s", pol_status_text(POL_E_NOMEM));
        break;
    case CONTROL_PINNED:
        respond_error(reply, 409,
                      "the policy is pinned to a file (policy.pin_file); change the file and send "
                      "SIGHUP");
        break;
    case CONTROL_TIMED_OUT:
        respond_error(reply, 503,
                      "policy activation timed out waiting for generation %" PRIu64
                      " (dataplane=%" PRIu64 ", service_plane=0); the policy before is in force "
                      "as generation %" PRIu64,
                      applied->generation, applied->slowest, applied->in_force);
        break;
    case CONTROL_STORE:
        respond_error(reply, 500, "the policy could not be stored; the policy before is in force");
        break;
    case CONTROL_BUSY:
    case CONTROL_STOPPING:
        respond_error(reply, 503, "the daemon is %s; nothing was changed",
                      result == CONTROL_BUSY ? "busy" : "stopping");
        break;
    }
}

void api_policy_put(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    struct control_applied applied = {0};
    enum control_result result;
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;

    result = control_put(api->control, api->ctx, (pol_str){request->body, request->body_len},
                         &applied, &policy, &diags);
    reply_result(result, &applied, policy, diags, reply);
    pol_policy_unref(policy);
    pol_diags_free(diags);
}
