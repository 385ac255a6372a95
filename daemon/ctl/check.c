/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpolicy/json.h>

#include "ctl/diags.h"
#include "ctl/document.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/verb.h"

struct request {
    const char *file;
    int format; /* enum output_format */
    bool no_color;
};

static const struct args_option options[] = {
    {VERB_OUTPUT(struct request, "table|json", "how to print the result (table)")},
    {VERB_JSON(struct request)},
    {VERB_NO_COLOR(struct request)},
    {0},
};

static int take_file(struct args *args, int id, const char *value, void *user)
{
    struct request *request = user;

    (void)id;
    if (request->file)
        return args_reject(args, "one FILE at a time, not also \"%s\"", value);
    request->file = value;
    return 0;
}

static bool read_request(struct args *args, struct request *request)
{
    if (!args_read(args, take_file, request))
        return false;
    if (!request->file)
        args_reject(args, "which FILE? (\"-\" reads standard input)");
    return request->file;
}

static const struct {
    uint32_t need;
    const char *word, *text;
} needs[] = {
    {POL_NEEDS_DNS, "dns", "DNS answers to learn from (hostname rules)"},
    {POL_NEEDS_TLS, "tls", "the beginning of TLS connections (TLS rules)"},
    {POL_NEEDS_INTERCEPT, "intercept", "a TLS interceptor (intercept rules)"},
};

#define NEED_COUNT (sizeof(needs) / sizeof(needs[0]))

/* Rules are numbered through all groups, so those of a group follow those of the one before it. */
static uint32_t rules_of(const pol_policy *policy, uint32_t group, uint32_t *first)
{
    uint32_t rule = *first, rules;

    while (rule < pol_policy_rule_count(policy) && pol_policy_rule_group(policy, rule) == group)
        rule++;
    rules = rule - *first;
    *first = rule;
    return rules;
}

static void show_summary(struct text *out, const struct document *document)
{
    const pol_policy *policy = document->policy;
    uint32_t groups = pol_policy_group_count(policy), rule = 0;

    text_addf(out, "%s: valid, ", document->name);
    show_count(out, groups, "group", "groups");
    text_add(out, " with ");
    show_count(out, pol_policy_rule_count(policy), "rule", "rules");
    text_add(out, "\n");

    for (uint32_t i = 0; i < groups; i++) {
        text_add(out, "  group ");
        show_safely(out, pol_policy_group_id(policy, i));
        text_add(out, ": ");
        show_count(out, rules_of(policy, i, &rule), "rule", "rules");
        text_add(out, "\n");
    }
    for (size_t i = 0; i < NEED_COUNT; i++) {
        if (pol_policy_needs(policy) & needs[i].need)
            text_addf(out, "  needs %s\n", needs[i].text);
    }
}

static void add_digest(struct text *out, const pol_policy *policy)
{
    uint8_t digest[32];

    pol_policy_digest(policy, digest);
    text_add(out, ",\"digest\":\"");
    for (size_t i = 0; i < sizeof(digest); i++)
        text_addf(out, "%02x", digest[i]);
    text_add(out, "\"");
}

static void add_groups(struct text *out, const pol_policy *policy)
{
    uint32_t rule = 0;

    text_add(out, "{\"groups\":[");
    for (uint32_t i = 0; i < pol_policy_group_count(policy); i++) {
        pol_str id = pol_policy_group_id(policy, i);

        text_add(out, i ? ",{\"id\":" : "{\"id\":");
        text_add_json_bytes(out, id.ptr, id.len);
        text_addf(out, ",\"rules\":%" PRIu32 "}", rules_of(policy, i, &rule));
    }
    text_add(out, "]");
}

static void add_policy(struct text *out, const pol_policy *policy)
{
    const char *comma = "";

    if (!policy) {
        text_add(out, "null");
        return;
    }

    add_groups(out, policy);
    text_addf(out, ",\"rules\":%" PRIu32 ",\"needs\":[", pol_policy_rule_count(policy));
    for (size_t i = 0; i < NEED_COUNT; i++) {
        if (pol_policy_needs(policy) & needs[i].need) {
            text_addf(out, "%s\"%s\"", comma, needs[i].word);
            comma = ",";
        }
    }
    text_addf(out, "],\"memory_bytes\":%zu", pol_policy_memory(policy));
    add_digest(out, policy);
    text_add(out, "}");
}

static void add_diags(struct text *out, const pol_diags *diags)
{
    size_t len = 0;

    if (pol_json_diags(diags, NULL, 0, &len) != POL_E_NOSPACE || !text_reserve(out, len))
        return;

    pol_json_diags(diags, out->ptr + out->len, len, &len);
    out->len += len;
    out->ptr[out->len] = '\0';
}

static void show_json(struct text *out, const struct document *document)
{
    text_add(out, "{\"file\":");
    text_add_json(out, document->name);
    text_addf(out, ",\"valid\":%s,\"diagnostics\":", document->policy ? "true" : "false");
    add_diags(out, document->diags);
    text_add(out, ",\"policy\":");
    add_policy(out, document->policy);
    text_add(out, "}\n");
}

static void show_table(struct text *out, const struct document *document, bool colours)
{
    diags_show(out, document->name, document_source(document), document->diags, colours);
    diags_count(out, document->name, document->diags);
    if (document->policy)
        show_summary(out, document);
}

static int check_file(pol_ctx *ctx, const struct request *request)
{
    struct document document;
    struct text out = {0};
    int code;

    if (!document_load(ctx, request->file, &document))
        return EXIT_INVALID;

    if (request->format == OUTPUT_JSON)
        show_json(&out, &document);
    else
        show_table(&out, &document, show_colours(stdout, request->no_color));

    code = document.policy ? EXIT_OK : EXIT_INVALID;
    if (!output_write(&out))
        code = EXIT_FAILED;
    text_fini(&out);
    document_fini(&document);
    return code;
}

static int run(struct args *args)
{
    struct request request = {.format = OUTPUT_TABLE};
    pol_ctx *ctx = NULL;
    int code;

    if (!read_request(args, &request))
        return EXIT_USAGE;

    if (pol_ctx_new(NULL, &ctx) < 0) {
        fputs("policyctl: out of memory\n", stderr);
        return EXIT_FAILED;
    }

    code = check_file(ctx, &request);
    pol_ctx_unref(ctx);
    return code;
}

const struct verb verb_check = {
    .name = "check",
    .synopsis = "[OPTIONS] FILE",
    .summary = "check a policy document and say what it holds",
    .about =
        "Reads and compiles a policy document (JSON; \"-\" reads standard input) and prints every\n"
        "error and warning with its place. Exits with 0 when the document is valid, 4 when not.",
    .options = options,
    .run = run,
};
