/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that runs out inside an arena. An arena asks for 64 KiB at a time, so that of the hundreds
 * of requests that a document makes only one in a block meets an allocator that refuses. Here every
 * one of them does: the block is left with room for nothing, then for 16 octets, and so on until
 * the stage has what it needs.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../base/counting_mem.h"
#include "base/arena.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "policy/check.h"
#include "policy/compile.h"
#include "policy/diag.h"
#include "policy/load.h"
#include "policy/warn.h"
#include "representative.h"

enum { BLOCK = 64 * 1024, STEP = 16 }; /* those of arena.c */

/* Every fault whose words are kept: what a regular expression's engine says, and diagnostics. */
static const char faulty[] =
    "{'surprise':1,'default_policy':'deny','audit_deny':'continue','source_groups':["
    "{'id':'g','mode':'loud','priority':-1,'sources':{'cidrs':['10.0.0.0/33']},'rules':["
    "{'id':'r','action':'allow','match':{'dns_hostname':'(','dst_ports':['9-1',70000]}},"
    "{'id':'r','action':'maybe','match':{'proto':'tcp','tls':{'sni':{'regex':'(?=a)'},"
    "'server_san':'(1','server_cn':'(2'}}},"
    "{'id':'s','action':'allow','match':{'tls':{'mode':'intercept','http':{'request':{"
    "'host':{'regex':'(3'},'path':{'regex':'(4'},'query':{'key_values_regex':{'k':'(5'}},"
    "'headers':{'regex':{'h':'(6'}}},'response':{'headers':{'regex':{'h':'(7'}}}}}}}"
    "]},{'id':'g','sources':{'kubernetes':[{}]}},{}]}";

/* Whose arena has too little: that of the model, as one stage fills it, or that of a result. */
enum stage { LOAD, CHECK, COMPILE, WARN, POLICY, DIAGS };

/* What an arena gets: its first block, then none of that size. Requests that are too large for a
 * block are no concern of this test; those are refused one by one in tests/fault. */
struct tight {
    struct counting heap;
    size_t block; /* 0: the next request is the first one */
    bool armed, struck;
};

struct bench {
    struct counting heap;
    struct tight tight;
    pol_mem tight_mem;
    pol_ctx *ctx;
    struct pol_diags *diags;
    struct scan scan;
    struct arena arenas[WARN + 1]; /* of each stage that fills the model's */
    struct pm_policy model;
    struct pol_policy *policy;
};

static void *tight_alloc(void *user, size_t size)
{
    struct tight *tight = user;

    if (!tight->block)
        tight->block = size;
    else if (tight->armed && size == tight->block)
        tight->struck = true;
    return tight->struck ? NULL : counting_alloc(&tight->heap, size);
}

static void *tight_resize(void *user, void *ptr, size_t old_size, size_t new_size)
{
    return counting_resize(&((struct tight *)user)->heap, ptr, old_size, new_size);
}

static void tight_release(void *user, void *ptr, size_t size)
{
    counting_release(&((struct tight *)user)->heap, ptr, size);
}

/* An arena whose first block has `left` octets, and that gets no other. */
static void starve(struct bench *bench, struct arena *arena, size_t left)
{
    size_t used = 0;

    bench->tight_mem = (pol_mem){&bench->tight, tight_alloc, tight_resize, tight_release};
    arena_init(arena, &bench->tight_mem);
    for (size_t piece = BLOCK / 4; piece >= STEP; piece /= 2) {
        for (; used + piece + left <= BLOCK; used += piece)
            cr_assert(arena_alloc(arena, piece - ARENA_GAP));
    }
    cr_assert_eq(used + left, BLOCK);
    cr_assert_leq(bench->tight.heap.requests, 1, "a block has another size");
    bench->tight.armed = true;
}

static void bench_init(struct bench *bench, pol_str text, enum stage stage, size_t left)
{
    memset(bench, 0, sizeof(*bench));
    bench->ctx = counting_ctx(&bench->heap);
    cr_assert(bench->ctx);
    cr_assert_eq(diag_new(bench->ctx, &bench->diags), POL_OK);
    bench->policy = mem_zalloc(&bench->ctx->mem, sizeof(*bench->policy));
    cr_assert(bench->policy);
    atomic_init(&bench->policy->refs, 1);
    bench->policy->ctx = pol_ctx_ref(bench->ctx);
    arena_init(&bench->policy->arena, &bench->ctx->mem);
    for (int i = LOAD; i <= WARN; i++)
        arena_init(&bench->arenas[i], &bench->ctx->mem);
    cr_assert_eq(scan_document(&bench->scan, bench->ctx, text, bench->diags), POL_OK);

    if (stage == POLICY)
        starve(bench, &bench->policy->arena, left);
    else if (stage == DIAGS)
        starve(bench, &bench->diags->arena, left);
    else
        starve(bench, &bench->arenas[stage], left);
}

/* Releases everything and proves that nothing was left behind. */
static void bench_fini(struct bench *bench)
{
    struct pm_patterns *lists[] = {&bench->model.hostnames, &bench->model.regexes};

    for (size_t i = 0; i < 2; i++)
        mem_free(&bench->ctx->mem, lists[i]->items, lists[i]->capacity * sizeof(*lists[i]->items));
    pol_policy_unref(bench->policy);
    pol_diags_free(bench->diags);
    scan_fini(&bench->scan);
    for (int i = LOAD; i <= WARN; i++)
        arena_fini(&bench->arenas[i]);
    pol_ctx_unref(bench->ctx);
    cr_assert_eq(bench->heap.bytes, 0, "%zu octets leaked", bench->heap.bytes);
    cr_assert_eq(bench->tight.heap.bytes, 0, "%zu octets leaked", bench->tight.heap.bytes);
}

/* From the model to the policy; *ret_stage is the stage that came to an end last. */
static int make(struct bench *bench, pol_str text, enum stage *ret_stage)
{
    static const pol_compile_options opts = {.size = sizeof(opts)};
    struct compile_origin origin;
    int rc;

    *ret_stage = LOAD;
    rc = load_json(bench->ctx, &bench->scan, &bench->arenas[LOAD], bench->diags, &bench->model);
    if (rc < 0)
        return rc;
    *ret_stage = CHECK;
    rc = check_policy(bench->ctx, &bench->arenas[CHECK], &opts, &bench->model, bench->diags);
    if (rc == POL_OK && bench->diags->errors == 0) {
        *ret_stage = COMPILE;
        rc = compile_program(bench->policy, &bench->model, &bench->arenas[COMPILE], &origin);
    }
    if (rc == POL_OK && *ret_stage == COMPILE) {
        *ret_stage = WARN;
        rc = warn_policy(bench->policy, &bench->model, &origin, &bench->arenas[WARN], bench->diags);
    }
    if (rc < 0)
        return rc;
    *ret_stage = DIAGS;
    return diag_finish(bench->diags, text);
}

/* The stage that fails is the one that starves, and no later one is fooled. */
static bool has_enough(pol_str text, enum stage stage, size_t left)
{
    struct bench bench;
    enum stage ended;
    bool struck;
    int rc;

    bench_init(&bench, text, stage, left);
    rc = make(&bench, text, &ended);
    struck = bench.tight.struck;
    cr_assert_eq(rc, struck ? POL_E_NOMEM : POL_OK, "stage %d, %zu octets: %d", stage, left, rc);
    if (struck)
        cr_assert_eq(ended, stage == POLICY ? COMPILE : stage, "%zu octets: %d", left, ended);
    bench_fini(&bench);
    return !struck;
}

/* Returns the octets that the stage needs. */
static size_t sweep(const char *document, enum stage stage)
{
    char *json = strdup(document);
    pol_str text = str_of(json);
    size_t left = 0;

    for (char *at = json; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    while (left < BLOCK && !has_enough(text, stage, left))
        left += STEP;
    free(json);
    cr_assert_gt(left, 0, "the stage asks for nothing");
    cr_assert_lt(left, BLOCK, "the stage needs more than a block");
    return left;
}

Test(starved, a_document_that_is_read)
{
    sweep(representative, LOAD);
    sweep(faulty, LOAD);
}

Test(starved, a_model_that_is_checked)
{
    sweep(representative, CHECK);
    sweep(faulty, CHECK);
}

Test(starved, a_program_that_is_compiled)
{
    sweep(representative, COMPILE);
    sweep(representative, POLICY);
}

Test(starved, warnings)
{
    sweep(representative, WARN);
}

Test(starved, diagnostics)
{
    sweep(faulty, DIAGS);
}
