/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "ctl/diags.h"
#include "ctl/document.h"
#include "ctl/engine.h"
#include "ctl/output.h"
#include "ctl/progress.h"
#include "ctl/record_json.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/verb.h"

#define SYSTEM_ANCHORS "/etc/ssl/certs/ca-certificates.crt"
#define ANCHORS_LIMIT  (8u << 20)

struct request {
    const char *capture;
    const char *policy;
    int format; /* enum output_format */
    bool quiet, no_color;
    const char *anchors; /* NULL: the system's */
    struct engine_options engine;
};

enum { OPTION_TRUST_RESOLVER = 1, OPTION_INSIDE };

static const struct args_option options[] = {
    {ARGS_TEXT(struct request, capture), 'r', "read", "CAPTURE",
     "pcap or pcapng file; \"-\" reads standard input"},
    {ARGS_TEXT(struct request, policy), 'p', "policy", "FILE", "policy document (JSON)"},
    {VERB_OUTPUT(struct request, "table|json|jsonl", "how to print the records (table)")},
    {VERB_JSON(struct request)},
    {OPTION_TRUST_RESOLVER, 0, "trust-resolver", "ADDR",
     "learn from this resolver only; repeatable (all)"},
    {OPTION_INSIDE, 0, "inside", "CIDR", "what is inside; repeatable (all sources of the policy)"},
    {ARGS_TEXT(struct request, anchors), 0, "trust-anchors", "FILE",
     "what servers' certificates may end in, PEM (the system's)"},
    {ARGS_CHOICE(struct request, engine.sni_check), 0, "sni-check", "off|log|enforce",
     "whether SNI and DNS must agree (log)"},
    {ARGS_SWITCH(struct request, quiet), 'q', "quiet", NULL,
     "no summary and no progress on stderr"},
    {VERB_NO_COLOR(struct request)},
    {0},
};

static void request_fini(struct request *request)
{
    free(request->engine.resolvers);
    free(request->engine.inside);
}

static int add_resolver(struct args *args, const char *value, struct engine_options *engine)
{
    pol_addr addr, *wider;

    if (pol_addr_parse((pol_str){value, strlen(value)}, &addr) < 0)
        return args_reject(args, "--trust-resolver: \"%s\" is not an IP address", value);

    wider = realloc(engine->resolvers, (engine->resolver_count + 1) * sizeof(*wider));
    if (!wider)
        return args_reject(args, "out of memory");

    engine->resolvers = wider;
    engine->resolvers[engine->resolver_count++] = addr;
    return 0;
}

static int add_inside(struct args *args, const char *value, struct engine_options *engine)
{
    pol_prefix prefix, *wider;

    if (pol_prefix_parse((pol_str){value, strlen(value)}, &prefix) < 0)
        return args_reject(args, "--inside: \"%s\" is not ADDRESS or ADDRESS/LENGTH", value);

    wider = realloc(engine->inside, (engine->inside_count + 1) * sizeof(*wider));
    if (!wider)
        return args_reject(args, "out of memory");

    engine->inside = wider;
    engine->inside[engine->inside_count++] = prefix;
    return 0;
}

static int take_option(struct args *args, int id, const char *value, void *user)
{
    struct request *request = user;

    switch (id) {
    case OPTION_TRUST_RESOLVER:
        return add_resolver(args, value, &request->engine);
    case OPTION_INSIDE:
        return add_inside(args, value, &request->engine);
    default:
        return args_reject(args, "unexpected argument \"%s\"; a capture is given with -r", value);
    }
}

static bool read_request(struct args *args, struct request *request)
{
    if (!args_read(args, take_option, request))
        return false;

    if (!request->capture)
        args_reject(args, "which capture? Say -r CAPTURE");
    else if (!request->policy)
        args_reject(args, "which policy? Say --policy FILE");
    else if (strcmp(request->capture, "-") == 0 && strcmp(request->policy, "-") == 0)
        args_reject(args, "capture and policy cannot both be read from standard input");
    return args->error.len == 0;
}

/* Documents */

static void show_rejected(const struct document *document, bool colours)
{
    struct text out = {0};

    diags_show(&out, document->name, document_source(document), document->diags, colours);
    diags_count(&out, document->name, document->diags);
    if (out.len)
        fputs(out.ptr, stderr);
    text_fini(&out);
}

static bool load_policy(pol_ctx *ctx, const struct request *request, struct document *ret_document)
{
    struct document document;

    if (!document_load(ctx, request->policy, &document))
        return false;

    if (!document.policy) {
        show_rejected(&document, show_colours(stderr, request->no_color));
        document_fini(&document);
        return false;
    }

    *ret_document = document;
    return true;
}

/* Output: in pieces, so that a long list of records is not held twice. */

#define PIECE (256 * 1024)

static bool write_piece(struct text *out, size_t enough)
{
    return (out->len < enough && !out->failed) || output_write(out);
}

static bool print_records(struct text *out, const struct engine *engine, const char *separator,
                          const pol_policy *policy)
{
    const struct records *records = engine_records(engine);

    for (size_t i = 0; i < records_count(records); i++) {
        text_add(out, i ? separator : "");
        record_json(out, records_at(records, i), policy);
        if (!write_piece(out, PIECE))
            return false;
    }
    return true;
}

static bool print_json(struct text *out, const struct engine *engine, const pol_policy *policy,
                       const struct summary *summary)
{
    text_add(out, "{\"records\":[\n");
    if (!print_records(out, engine, ",\n", policy))
        return false;

    text_add(out, "\n],\"summary\":");
    summary_json(out, summary);
    text_add(out, "}\n");
    return true;
}

static bool print_output(const struct request *request, const struct engine *engine,
                         const pol_policy *policy, const struct summary *summary)
{
    const struct records *records = engine_records(engine);
    struct text out = {0};
    bool ok = true;

    if (request->format == OUTPUT_JSON) {
        ok = print_json(&out, engine, policy, summary);
    } else if (request->format == OUTPUT_JSONL) {
        ok = print_records(&out, engine, "\n", policy);
        text_add(&out, records_count(records) ? "\n" : "");
    } else {
        table_show(&out, records, policy, show_colours(stdout, request->no_color));
    }

    ok = ok && output_write(&out);
    text_fini(&out);
    return ok;
}

static void print_summary(const struct summary *summary)
{
    struct text out = {0};

    summary_text(&out, summary);
    if (!out.failed)
        fputs(out.ptr, stderr);
    text_fini(&out);
}

/* The run */

static bool feed(struct engine *engine, struct capture *capture, const struct request *request,
                 char *reterr_text)
{
    struct capture_frame frame;
    struct progress progress;
    enum capture_status status;

    progress_start(&progress, request->quiet);
    while ((status = capture_next(capture, &frame, reterr_text, CAPTURE_ERROR_TEXT)) ==
           CAPTURE_FRAME) {
        engine_frame(engine, capture_link(capture), &frame);
        progress_update(&progress, frame.number, capture);
    }
    progress_stop(&progress);

    engine_finish(engine);
    return status == CAPTURE_END;
}

static int replay(struct engine *engine, struct capture *capture, const struct request *request,
                  const pol_policy *policy)
{
    char error[CAPTURE_ERROR_TEXT];
    struct summary summary;
    int code = EXIT_OK;

    if (!feed(engine, capture, request, error))
        code = EXIT_INVALID;

    engine_summary(engine, &summary);
    if (records_failed(engine_records(engine))) {
        fputs("policyctl: out of memory: there are too many records in this capture\n", stderr);
        return EXIT_FAILED;
    }
    if (!print_output(request, engine, policy, &summary))
        return EXIT_FAILED;

    if (!request->quiet)
        print_summary(&summary);
    if (code == EXIT_INVALID)
        fprintf(stderr, "policyctl: %s\n", error);
    return code;
}

/* False after a message. Without the system's, rules that ask for a certificate deny. */
static bool read_anchors(const struct request *request, char **ret_pem, size_t *ret_len)
{
    const char *path = request->anchors ? request->anchors : SYSTEM_ANCHORS;
    int rc = fs_read_file(path, ANCHORS_LIMIT, ret_pem, ret_len);

    if (rc == 0 || !request->anchors)
        return true;
    fprintf(stderr, "policyctl: --trust-anchors: %s: %s\n", path, strerror(-rc));
    return false;
}

static int open_and_replay(pol_ctx *ctx, const struct request *request, pol_policy *policy)
{
    struct engine_options engine_options = request->engine;
    char error[CAPTURE_ERROR_TEXT];
    struct capture *capture = NULL;
    struct engine *engine;
    char *pem = NULL;
    size_t pem_len = 0;
    int code;

    if (!read_anchors(request, &pem, &pem_len))
        return EXIT_INVALID;
    if (!capture_open(request->capture, &capture, error, sizeof(error))) {
        fprintf(stderr, "policyctl: %s\n", error);
        free(pem);
        return EXIT_INVALID;
    }

    engine_options.anchors = (pol_str){pem, pem_len};
    engine_options.capture_bytes = capture_size(capture);
    engine = engine_new(ctx, policy, &engine_options);
    free(pem);
    if (engine) {
        code = replay(engine, capture, request, policy);
    } else {
        fputs("policyctl: out of memory\n", stderr);
        code = EXIT_FAILED;
    }

    engine_free(engine);
    capture_close(capture);
    return code;
}

static int run_request(const struct request *request)
{
    struct document document;
    pol_ctx *ctx = engine_ctx_new();
    int code = EXIT_INVALID;

    if (!ctx) {
        fputs("policyctl: out of memory\n", stderr);
        return EXIT_FAILED;
    }

    if (load_policy(ctx, request, &document)) {
        code = open_and_replay(ctx, request, document.policy);
        document_fini(&document);
    }
    pol_ctx_unref(ctx);
    return code;
}

static int run(struct args *args)
{
    struct request request = {
        .format = OUTPUT_TABLE,
        .engine.sni_check = POL_SNI_LOG,
    };
    int code = EXIT_USAGE;

    if (read_request(args, &request))
        code = run_request(&request);
    request_fini(&request);
    return code;
}

const struct verb verb_replay = {
    .name = "replay",
    .synopsis = "-r CAPTURE --policy FILE [OPTIONS]",
    .summary = "put a capture through a policy and list what is decided",
    .about =
        "Judges every packet of a capture offline, as policyd would with this policy, and prints "
        "one\n"
        "record per flow and one per DNS query, in order of their first packet. All resolvers are\n"
        "trusted unless --trust-resolver names some. A summary goes to standard error. Exits with\n"
        "4 when the policy is invalid, or the capture is cut off or damaged; what was decided\n"
        "before that place is printed all the same.",
    .options = options,
    .run = run,
};
