/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler says about a policy that is not right: everything at once, with the place, in
 * the form that editors jump to. Without an argument it judges a document with faults of its own.
 *
 *   diagnostics [POLICY.json]
 *
 * Exit code: 0 accepted (perhaps with warnings), 1 rejected, 2 cannot be read.
 */
#include <libpolicy/policy.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_MAX (64u << 20)

static const char broken[] = "{\n"
                             "  \"default_policy\": \"deny\",\n"
                             "  \"source_groups\": [\n"
                             "    { \"id\": \"office\", \"mode\": \"enforce\",\n"
                             "      \"sources\": { \"cidrs\": [\"10.0.0.0/33\"] },\n"
                             "      \"rules\": [\n"
                             "        { \"id\": \"web\", \"action\": \"alow\",\n"
                             "          \"match\": { \"dst_port\": [443] } },\n"
                             "        { \"id\": \"api\", \"action\": \"allow\",\n"
                             "          \"match\": { \"dns_hostname\": \"(api\" } } ] } ]\n"
                             "}\n";

/* The caller releases *ret_text. */
static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(DOCUMENT_MAX + 1);

    if (!file || !text)
        goto fail;
    *ret_len = fread(text, 1, DOCUMENT_MAX + 1, file);
    if (ferror(file) || *ret_len > DOCUMENT_MAX)
        goto fail;
    fclose(file);
    *ret_text = text;
    return 0;

fail:
    fprintf(stderr, "%s: %s\n", path, errno ? strerror(errno) : "larger than 64 MiB");
    if (file)
        fclose(file);
    free(text);
    return -1;
}

/* "policy.json:7:35: error: …", then the JSON pointer of RFC 6901. */
static void print_diag(const char *name, const pol_diag *diag)
{
    printf("%s:%u:%u: %s: %.*s\n", name, diag->line, diag->column,
           diag->severity == POL_DIAG_ERROR ? "error" : "warning", (int)diag->text.len,
           diag->text.ptr);
    if (diag->path.len)
        printf("    at %.*s\n", (int)diag->path.len, diag->path.ptr);
}

static int judge(pol_ctx *ctx, const char *name, pol_str document)
{
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;
    int rc = pol_compile(ctx, document, NULL, &policy, &diags);

    for (size_t i = 0; i < pol_diags_count(diags); i++)
        print_diag(name, pol_diags_at(diags, i));
    if (rc == POL_OK)
        printf("accepted: %u groups, %u rules, %zu warnings\n", pol_policy_group_count(policy),
               pol_policy_rule_count(policy), pol_diags_count(diags));
    else
        printf("%s: %zu errors\n", pol_status_text(rc), pol_diags_errors(diags));
    pol_diags_free(diags);
    pol_policy_unref(policy);
    return rc == POL_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    pol_ctx *ctx = NULL;
    char *text = NULL;
    size_t len = 0;
    int code = 2;

    if (argc > 2) {
        fprintf(stderr, "usage: %s [POLICY.json]\n", argv[0]);
        return code;
    }
    if (pol_ctx_new(NULL, &ctx) < 0)
        return code;
    if (argc == 1)
        code = judge(ctx, "broken.json", (pol_str){broken, sizeof(broken) - 1});
    else if (read_file(argv[1], &text, &len) == 0)
        code = judge(ctx, argv[1], (pol_str){text, len});
    free(text);
    pol_ctx_unref(ctx);
    return code;
}
