/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions through PCRE2, the only file that knows it.
 *
 * Patterns and subjects are octets: no UTF, no Unicode properties. Names are ASCII by
 * construction, and HTTP values are whatever the peer sent: in UTF mode an invalid sequence would
 * be an exception, which a client could bring about at will. A character beyond ASCII in a pattern
 * matches its UTF-8 octets.
 *
 * Since 10.41 PCRE2 takes its backtracking frames from the heap, through the allocator of the match
 * data. The scratch hands that allocator one fixed block, so a match that outgrows it fails instead
 * of calling malloc(). PCRE2 grows the frames by taking a larger piece, copying, and giving the old
 * one back; two halves therefore are all the allocator needs.
 */
#include "pattern/regex.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/ctx.h"
#include "base/mem.h"
#include "pattern/syntax.h"

enum {
    COMPILED_BYTES = 64 * 1024, /* of one pattern; nested counted repeats multiply */
    PARENS_NEST = 100,
    SMALL_BYTES = 4 * 1024, /* contexts and match data */
    HALF_BYTES = 256 * 1024 /* backtracking frames; a name needs a few KiB */
};

struct regex {
    const pol_mem *mem;
    pcre2_code *code;
};

/* pol_mem wants sizes back, PCRE2 does not remember them. */
struct sized {
    _Alignas(16) size_t size;
};

static void *code_alloc(size_t size, void *user)
{
    const pol_mem *mem = user;
    struct sized *block;

    if (size > SIZE_MAX - sizeof(*block))
        return NULL;
    block = mem_alloc(mem, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = sizeof(*block) + size;
    return block + 1;
}

static void code_release(void *ptr, void *user)
{
    struct sized *block = ptr;

    if (block)
        mem_free(user, block - 1, block[-1].size);
}

static int compile_error(int code, size_t offset, char *error)
{
    PCRE2_UCHAR text[120];

    if (code == PCRE2_ERROR_HEAP_FAILED)
        return POL_E_NOMEM;
    if (pcre2_get_error_message(code, text, sizeof(text)) < 0)
        text[0] = '\0';
    snprintf(error, REGEX_ERROR_TEXT, "%s at offset %zu", (const char *)text, offset);
    return POL_E_FORMAT;
}

/* What the code holds. PCRE2 asks for its estimate and afterwards tells only what it has filled. */
static size_t code_bytes(const pcre2_code *code)
{
    return ((const struct sized *)code)[-1].size;
}

static int compile_code(pol_str pattern, bool caseless, pcre2_compile_context *context,
                        pcre2_code **ret_code, char *error)
{
    /* Nothing is ever extracted, and plain groups that capture would only enlarge the frames. */
    uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF |
                       PCRE2_NEVER_UCP | PCRE2_NO_AUTO_CAPTURE | (caseless ? PCRE2_CASELESS : 0);
    PCRE2_SIZE offset;
    pcre2_code *code;
    int number;

    pcre2_set_parens_nest_limit(context, PARENS_NEST);
    code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &number, &offset, context);
    if (!code)
        return compile_error(number, offset, error);
    if (code_bytes(code) > COMPILED_BYTES) {
        pcre2_code_free(code);
        snprintf(error, REGEX_ERROR_TEXT,
                 "it becomes larger than %d octets when compiled; use smaller repeat counts",
                 COMPILED_BYTES);
        return POL_E_FORMAT;
    }
    *ret_code = code;
    return POL_OK;
}

int regex_compile(const pol_ctx *ctx, pol_str pattern, bool caseless, struct regex **ret_regex,
                  char error[REGEX_ERROR_TEXT])
{
    const pol_mem *mem = &ctx->mem;
    pcre2_general_context *general = NULL;
    pcre2_compile_context *context = NULL;
    struct regex *regex = NULL;
    int rc;

    rc = syntax_check(pattern, error);
    if (rc < 0)
        return rc;

    rc = POL_E_NOMEM;
    general = pcre2_general_context_create(code_alloc, code_release, (void *)mem);
    if (!general)
        goto out;
    context = pcre2_compile_context_create(general);
    regex = mem_zalloc(mem, sizeof(*regex));
    if (regex)
        regex->mem = mem;
    if (!context || !regex)
        goto out;

    rc = compile_code(pattern, caseless, context, &regex->code, error);
    if (rc < 0)
        goto out;
    *ret_regex = regex;
    regex = NULL;

out:
    regex_free(regex);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    return rc;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    mem_free(regex->mem, regex, sizeof(*regex));
}

size_t regex_memory(const struct regex *regex)
{
    return sizeof(*regex) + code_bytes(regex->code);
}

struct regex_scratch {
    const pol_mem *mem;
    pcre2_match_context *context;
    pcre2_match_data *data;
    size_t small_used;
    bool half_used[2];
    _Alignas(16) uint8_t small[SMALL_BYTES];
    _Alignas(16) uint8_t half[2][HALF_BYTES];
};

/* The contexts and the match data are made once and live as long as the scratch. */
static void *small_alloc(struct regex_scratch *scratch, size_t size)
{
    void *ptr = scratch->small + scratch->small_used;

    size = (size + 15) & ~(size_t)15;
    if (size > SMALL_BYTES - scratch->small_used)
        return NULL;
    scratch->small_used += size;
    return ptr;
}

static void *scratch_alloc(size_t size, void *user)
{
    struct regex_scratch *scratch = user;

    if (!scratch->data)
        return small_alloc(scratch, size);
    for (int i = 0; i < 2; i++) {
        if (!scratch->half_used[i] && size <= HALF_BYTES) {
            scratch->half_used[i] = true;
            return scratch->half[i];
        }
    }
    return NULL;
}

static void scratch_release(void *ptr, void *user)
{
    struct regex_scratch *scratch = user;

    for (int i = 0; i < 2; i++) {
        if (ptr == scratch->half[i])
            scratch->half_used[i] = false;
    }
}

static int scratch_setup(struct regex_scratch *scratch, uint32_t limit)
{
    pcre2_general_context *general;

    general = pcre2_general_context_create(scratch_alloc, scratch_release, scratch);
    if (!general)
        return POL_E_NOMEM;
    scratch->context = pcre2_match_context_create(general);
    if (!scratch->context)
        return POL_E_NOMEM;
    pcre2_set_match_limit(scratch->context, limit);
    pcre2_set_depth_limit(scratch->context, limit);
    pcre2_set_heap_limit(scratch->context, HALF_BYTES / 1024);
    scratch->data = pcre2_match_data_create(1, general);
    return scratch->data ? POL_OK : POL_E_NOMEM;
}

int regex_scratch_new(const pol_ctx *ctx, struct regex_scratch **ret_scratch)
{
    struct regex_scratch *scratch = mem_alloc(&ctx->mem, sizeof(*scratch));
    int rc;

    if (!scratch)
        return POL_E_NOMEM;
    memset(scratch, 0, offsetof(struct regex_scratch, small));
    scratch->mem = &ctx->mem;
    rc = scratch_setup(scratch, ctx->limits.regex_match);
    if (rc < 0) {
        regex_scratch_free(scratch);
        return rc;
    }
    *ret_scratch = scratch;
    return POL_OK;
}

void regex_scratch_free(struct regex_scratch *scratch)
{
    /* Everything PCRE2 took is inside the block. */
    if (scratch)
        mem_free(scratch->mem, scratch, sizeof(*scratch));
}

size_t regex_scratch_memory(void)
{
    return sizeof(struct regex_scratch);
}

enum regex_result regex_search(const struct regex *regex, struct regex_scratch *scratch,
                               pol_str subject)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.ptr ? subject.ptr : "");
    int rc = pcre2_match(regex->code, text, subject.len, 0, 0, scratch->data, scratch->context);

    if (rc >= 0)
        return REGEX_YES;
    return rc == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_EXCEPTION;
}
