/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "ctl/http_client.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/verb.h"

struct request {
    const char *url;
    const char *token_file;
    int format; /* enum output_format */
};

static const struct args_option options[] = {
    {VERB_URL(struct request)},
    {VERB_TOKEN_FILE(struct request)},
    {VERB_OUTPUT(struct request, "table|json", "how to print the answer (table)")},
    {VERB_JSON(struct request)},
    {0},
};

static void show_value(struct text *out, const char *path, const cJSON *value)
{
    text_addf(out, "  %-44s ", path);
    if (cJSON_IsNumber(value) && value->valuedouble == (double)(int64_t)value->valuedouble)
        text_addf(out, "%lld", (long long)value->valuedouble);
    else if (cJSON_IsNumber(value))
        text_addf(out, "%g", value->valuedouble);
    else if (cJSON_IsString(value))
        show_safely(out, (pol_str){value->valuestring, strlen(value->valuestring)});
    else
        text_add(out, cJSON_IsBool(value) ? cJSON_IsTrue(value) ? "yes" : "no" : "-");
    text_add(out, "\n");
}

/* Objects within a section become dotted names. cJSON bounds the depth. */
static void show_members(struct text *out, const char *prefix, const cJSON *object)
{
    char path[256];
    const cJSON *member;

    cJSON_ArrayForEach(member, object)
    {
        struct text safe = {0};

        show_safely(&safe, (pol_str){member->string, member->string ? strlen(member->string) : 0});
        snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] && safe.len ? "." : "",
                 safe.len ? safe.ptr : "");
        text_fini(&safe);
        if (cJSON_IsObject(member) || cJSON_IsArray(member))
            show_members(out, path, member);
        else
            show_value(out, path, member);
    }
}

static void show_table(struct text *out, const cJSON *answer)
{
    const cJSON *section;

    cJSON_ArrayForEach(section, answer)
    {
        show_safely(out, (pol_str){section->string, strlen(section->string)});
        text_add(out, "\n");
        show_members(out, "", section);
    }
}

static int print_answer(const struct request *request, const struct http_reply *reply)
{
    cJSON *answer = NULL;
    struct text out = {0};
    int code = EXIT_OK;

    if (reply->body.len)
        answer = cJSON_ParseWithLengthOpts(reply->body.ptr, reply->body.len + 1, NULL, 1);
    if (!cJSON_IsObject(answer)) {
        fprintf(stderr, "policyctl: %s did not answer as policyd does; is --url right?\n",
                request->url);
        cJSON_Delete(answer);
        return EXIT_UNREACHABLE;
    }

    if (request->format == OUTPUT_JSON)
        text_addf(&out, "%s\n", reply->body.ptr);
    else
        show_table(&out, answer);
    if (!output_write(&out))
        code = EXIT_FAILED;
    text_fini(&out);
    cJSON_Delete(answer);
    return code;
}

static int judge_reply(const struct request *request, const struct http_reply *reply)
{
    if (reply->status == 200)
        return print_answer(request, reply);

    if (reply->status == 401 || reply->status == 403) {
        fprintf(stderr, "policyctl: %s refused the token in %s (%ld)\n", request->url,
                request->token_file, reply->status);
        return EXIT_DENIED;
    }

    fprintf(stderr, "policyctl: %s answered %ld; is --url right?\n", request->url, reply->status);
    return EXIT_UNREACHABLE;
}

static int ask(const struct request *request, const char *token)
{
    struct http_reply reply;
    int code;

    if (!http_client_get(request->url, "/api/v1/stats", token, &reply))
        return EXIT_UNREACHABLE;

    code = judge_reply(request, &reply);
    text_fini(&reply.body);
    return code;
}

static int run(struct args *args)
{
    struct request request = {
        .url = HTTP_CLIENT_URL,
        .token_file = getenv("POLICYCTL_TOKEN_FILE"),
        .format = OUTPUT_TABLE,
    };
    char *token = NULL;
    int code;

    if (!args_read(args, NULL, &request) ||
        !http_client_read_token(request.token_file, "the statistics need", &token, &args->error))
        return EXIT_USAGE;

    code = ask(&request, token);
    free(token);
    return code;
}

const struct verb verb_stats = {
    .name = "stats",
    .synopsis = "[OPTIONS]",
    .summary = "show the counters of a running policyd",
    .about =
        "Asks GET /api/v1/stats of a running policyd. The token is read from a file, never from\n"
        "the command line. Exits with 1 when the token is refused, 3 when no policyd answers\n"
        "within 5 seconds.",
    .options = options,
    .run = run,
};
