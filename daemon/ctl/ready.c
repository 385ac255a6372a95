/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "ctl/http_client.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/verb.h"

struct request {
    const char *url;
    int format; /* enum output_format */
    bool no_color;
};

static const struct args_option options[] = {
    {VERB_URL(struct request)},
    {VERB_OUTPUT(struct request, "table|json", "how to print the answer (table)")},
    {VERB_JSON(struct request)},
    {VERB_NO_COLOR(struct request)},
    {0},
};

static pol_str text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return (pol_str){text, text ? strlen(text) : 0};
}

static bool is_true(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static void show_check(struct text *out, const cJSON *check, bool colours)
{
    bool ok = is_true(check, "ok"), advisory = is_true(check, "advisory");
    pol_str name = text_of(check, "name"), detail = text_of(check, "detail");

    text_add(out, "  ");
    show_paint(out, colours,
               ok         ? SHOW_GOOD
               : advisory ? SHOW_NOTICE
                          : SHOW_BAD,
               ok         ? "ok  "
               : advisory ? "warn"
                          : "FAIL");
    text_add(out, "  ");
    show_safely(out, name);
    if (detail.len) {
        text_addf(out, "%*s", name.len < 20 ? (int)(20 - name.len) : 1, "");
        show_safely(out, detail);
    }
    text_add(out, "\n");
}

static void show_table(struct text *out, const cJSON *answer, const char *url, bool colours)
{
    bool ready = is_true(answer, "ready");
    const cJSON *check;

    show_paint(out, colours, ready ? SHOW_GOOD : SHOW_BAD, ready ? "ready" : "NOT READY");
    text_addf(out, "  %s\n", url);
    cJSON_ArrayForEach(check, cJSON_GetObjectItemCaseSensitive(answer, "checks"))
        show_check(out, check, colours);
}

/* 503 is the answer of a node that is not ready; anything but a readiness document is none. */
static cJSON *read_answer(const struct http_reply *reply)
{
    cJSON *answer = NULL;

    if (reply->body.len && (reply->status == 200 || reply->status == 503))
        answer = cJSON_ParseWithLengthOpts(reply->body.ptr, reply->body.len + 1, NULL, 1);
    if (!cJSON_IsBool(cJSON_GetObjectItemCaseSensitive(answer, "ready"))) {
        cJSON_Delete(answer);
        answer = NULL;
    }
    return answer;
}

static int print_answer(const struct request *request, const struct http_reply *reply)
{
    cJSON *answer = read_answer(reply);
    struct text out = {0};
    int code;

    if (!answer) {
        fprintf(stderr, "policyctl: %s answered %ld, but not as policyd does; is --url right?\n",
                request->url, reply->status);
        return EXIT_UNREACHABLE;
    }

    if (request->format == OUTPUT_JSON)
        text_addf(&out, "%s\n", reply->body.ptr);
    else
        show_table(&out, answer, request->url, show_colours(stdout, request->no_color));

    code = is_true(answer, "ready") ? EXIT_OK : EXIT_DENIED;
    if (!output_write(&out))
        code = EXIT_FAILED;
    text_fini(&out);
    cJSON_Delete(answer);
    return code;
}

static int run(struct args *args)
{
    struct request request = {.url = HTTP_CLIENT_URL, .format = OUTPUT_TABLE};
    struct http_reply reply;
    int code;

    if (!args_read(args, NULL, &request))
        return EXIT_USAGE;
    if (!http_client_get(request.url, "/ready", NULL, &reply))
        return EXIT_UNREACHABLE;

    code = print_answer(&request, &reply);
    text_fini(&reply.body);
    return code;
}

const struct verb verb_ready = {
    .name = "ready",
    .synopsis = "[OPTIONS]",
    .summary = "ask policyd whether it is able to work",
    .about =
        "Asks GET /ready of a running policyd and shows each check with cause and fix. Exits with\n"
        "0 when the node is ready, 1 when it is not, 3 when no policyd answers within 5 seconds.",
    .options = options,
    .run = run,
};
