/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/abi.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "pattern/patterns.h"
#include "policy/check.h"
#include "policy/compile.h"
#include "policy/load.h"
#include "policy/warn.h"
#include "program/program.h"

static const pol_compile_options defaults = {
    .size = sizeof(pol_compile_options),
    .absent_mode = POL_MODE_REQUIRED,
};

void pol_compile_options_init(pol_compile_options *opts, size_t size)
{
    abi_defaults(opts, size, &defaults, sizeof(defaults));
}

static int policy_new(pol_ctx *ctx, struct pol_policy **ret_policy)
{
    struct pol_policy *policy = mem_zalloc(&ctx->mem, sizeof(*policy));

    if (!policy)
        return POL_E_NOMEM;
    atomic_init(&policy->refs, 1);
    policy->ctx = pol_ctx_ref(ctx);
    arena_init(&policy->arena, &ctx->mem);
    *ret_policy = policy;
    return POL_OK;
}

static void policy_free(struct pol_policy *policy)
{
    pol_ctx *ctx = policy->ctx;

    for (uint32_t i = 0; i < policy->regex_count; i++)
        regex_free(policy->regexes[i]);
    patterns_free(policy->patterns);
    arena_fini(&policy->arena);
    mem_free(&ctx->mem, policy, sizeof(*policy));
    pol_ctx_unref(ctx);
}

static void model_fini(const pol_ctx *ctx, struct pm_policy *model)
{
    struct pm_patterns *lists[] = {&model->hostnames, &model->regexes};

    for (size_t i = 0; i < 2; i++)
        mem_free(&ctx->mem, lists[i]->items, lists[i]->capacity * sizeof(*lists[i]->items));
}

/* A model without faults becomes a policy. */
static int build(pol_ctx *ctx, struct pm_policy *model, struct arena *arena,
                 struct pol_diags *diags, pol_policy **ret_policy)
{
    struct compile_origin origin;
    struct pol_policy *policy;
    int rc;

    rc = policy_new(ctx, &policy);
    if (rc < 0)
        return rc;
    rc = compile_program(policy, model, arena, &origin);
    if (rc == POL_OK)
        rc = warn_policy(policy, model, &origin, arena, diags);
    if (rc == POL_OK) {
        *ret_policy = policy;
        policy = NULL;
    }
    pol_policy_unref(policy);
    return rc;
}

static int compile_document(pol_ctx *ctx, pol_str json, const pol_compile_options *opts,
                            struct pol_diags *diags, pol_policy **ret_policy)
{
    struct pm_policy model = {0};
    struct arena arena;
    struct scan scan;
    int rc;

    arena_init(&arena, &ctx->mem);
    rc = scan_document(&scan, ctx, json, diags);
    if (rc == POL_OK)
        rc = load_json(ctx, &scan, &arena, diags, &model);
    if (rc == POL_OK)
        rc = check_policy(ctx, &arena, opts, &model, diags);
    if (rc == POL_OK)
        rc = diags->errors ? POL_E_POLICY : build(ctx, &model, &arena, diags, ret_policy);
    model_fini(ctx, &model);
    arena_fini(&arena);
    scan_fini(&scan);
    return rc;
}

static const pol_diag *first_error(const pol_diags *diags)
{
    for (size_t i = 0; i < pol_diags_count(diags); i++) {
        const pol_diag *diag = pol_diags_at(diags, i);

        if (diag->severity == POL_DIAG_ERROR)
            return diag;
    }
    return NULL;
}

/* The same for whoever reads the log and not the diagnostics. */
static void log_outcome(const pol_ctx *ctx, int rc, const pol_policy *policy,
                        const pol_diags *diags, size_t document_len)
{
    const pol_diag *first = rc == POL_E_POLICY ? first_error(diags) : NULL;

    if (rc == POL_OK)
        ctx_log(ctx, POL_LOG_DEBUG,
                "policy compiled: %u groups, %u rules, %zu warnings, %zu octets",
                policy->group_count, policy->rule_count, pol_diags_count(diags),
                pol_policy_memory(policy));
    else if (first)
        ctx_log(ctx, POL_LOG_WARN, "policy refused; errors: %zu; the first, in line %u: %.*s",
                pol_diags_errors(diags), first->line, (int)first->text.len, first->text.ptr);
    else
        ctx_log(ctx, POL_LOG_ERROR, "no memory to compile a policy document of %zu octets",
                document_len);
}

int pol_compile(pol_ctx *ctx, pol_str json, const pol_compile_options *given,
                pol_policy **ret_policy, pol_diags **reterr_diags)
{
    pol_compile_options opts = defaults;
    struct pol_diags *diags = NULL;
    pol_policy *policy = NULL;
    int rc;

    if (reterr_diags)
        *reterr_diags = NULL;
    rc = abi_options(&opts, sizeof(opts), given, ABI_UP_TO(pol_compile_options, absent_mode));
    if (rc < 0)
        return rc;
    if (opts.absent_mode > POL_MODE_REQUIRED)
        return POL_E_INVALID;
    rc = diag_new(ctx, &diags);
    if (rc == POL_OK)
        rc = compile_document(ctx, json, &opts, diags, &policy);
    if ((rc == POL_OK || rc == POL_E_POLICY) && diag_finish(diags, json) < 0)
        rc = POL_E_NOMEM;
    log_outcome(ctx, rc, policy, diags, json.len);
    if (rc != POL_OK && rc != POL_E_POLICY)
        goto out;
    if (rc == POL_OK) {
        *ret_policy = policy;
        policy = NULL;
    }
    if (reterr_diags) {
        *reterr_diags = diags;
        diags = NULL;
    }

out:
    pol_policy_unref(policy);
    pol_diags_free(diags);
    return rc;
}

pol_policy *pol_policy_ref(pol_policy *policy)
{
    if (policy)
        atomic_fetch_add_explicit(&policy->refs, 1, memory_order_relaxed);
    return policy;
}

void pol_policy_unref(pol_policy *policy)
{
    if (policy && atomic_fetch_sub_explicit(&policy->refs, 1, memory_order_acq_rel) == 1)
        policy_free(policy);
}

uint32_t pol_policy_group_count(const pol_policy *policy)
{
    return policy ? policy->group_count : 0;
}

uint32_t pol_policy_rule_count(const pol_policy *policy)
{
    return policy ? policy->rule_count : 0;
}

pol_str pol_policy_group_id(const pol_policy *policy, uint32_t group)
{
    return group < pol_policy_group_count(policy) ? policy->groups[group].id : STR("default");
}

pol_str pol_policy_rule_id(const pol_policy *policy, uint32_t rule)
{
    return rule < pol_policy_rule_count(policy) ? policy->rule_ids[rule] : STR("");
}

uint32_t pol_policy_rule_group(const pol_policy *policy, uint32_t rule)
{
    return rule < pol_policy_rule_count(policy) ? policy->steps[policy->rule_steps[rule]].group
                                                : POL_NONE;
}

uint64_t pol_policy_group_key(const pol_policy *policy, uint32_t group)
{
    return group < pol_policy_group_count(policy) ? policy->groups[group].key : 0;
}

void pol_policy_digest(const pol_policy *policy, uint8_t ret_sha256[32])
{
    if (policy)
        memcpy(ret_sha256, policy->digest, sizeof(policy->digest));
    else
        memset(ret_sha256, 0, sizeof(policy->digest));
}

uint32_t pol_policy_needs(const pol_policy *policy)
{
    return policy ? policy->needs : 0;
}

bool pol_policy_default_allow(const pol_policy *policy)
{
    return policy && policy->steps[policy->step_count - 1].action == POL_ALLOW;
}

size_t pol_policy_memory(const pol_policy *policy)
{
    size_t bytes;

    if (!policy)
        return 0;
    bytes = sizeof(*policy) + policy->arena.bytes + patterns_memory(policy->patterns);
    for (uint32_t i = 0; i < policy->regex_count; i++)
        bytes += regex_memory(policy->regexes[i]);
    return bytes;
}

int pol_policy_json(const pol_policy *policy, char *buf, size_t capacity, size_t *ret_len)
{
    if (!policy)
        return POL_E_INVALID;
    *ret_len = policy->json.len;
    if (capacity < policy->json.len)
        return POL_E_NOSPACE;
    memcpy(buf, policy->json.ptr, policy->json.len);
    return POL_OK;
}
