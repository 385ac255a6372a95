/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "policy/scan.h"
#include "policy/sort.h"

enum { ECHO_BYTES = 128, TEXT_BYTES = 1024, PATH_BYTES = 1024 };

int diag_new(pol_ctx *ctx, struct pol_diags **ret_diags)
{
    struct pol_diags *diags = mem_zalloc(&ctx->mem, sizeof(*diags));

    if (!diags)
        return POL_E_NOMEM;
    diags->ctx = pol_ctx_ref(ctx);
    arena_init(&diags->arena, &ctx->mem);
    *ret_diags = diags;
    return POL_OK;
}

void pol_diags_free(pol_diags *diags)
{
    pol_ctx *ctx;

    if (!diags)
        return;
    ctx = diags->ctx;
    arena_fini(&diags->arena);
    mem_free(&ctx->mem, diags->items, diags->capacity * sizeof(*diags->items));
    mem_free(&ctx->mem, diags->offsets, diags->offset_capacity * sizeof(*diags->offsets));
    mem_free(&ctx->mem, diags, sizeof(*diags));
    pol_ctx_unref(ctx);
}

size_t pol_diags_count(const pol_diags *diags)
{
    return diags ? diags->count : 0;
}

size_t pol_diags_errors(const pol_diags *diags)
{
    return diags ? diags->errors : 0;
}

const pol_diag *pol_diags_at(const pol_diags *diags, size_t index)
{
    return diags && index < diags->count ? &diags->items[index] : NULL;
}

static pol_str clip_to(pol_str text, size_t limit)
{
    if (text.len <= limit)
        return text;
    text.len = limit;
    while (text.len && ((uint8_t)text.ptr[text.len] & 0xc0) == 0x80)
        text.len--;
    return text;
}

pol_str diag_clip(pol_str text)
{
    return clip_to(text, ECHO_BYTES);
}

/* A text is one line, whatever the document's strings hold. */
static pol_str copy_line(struct arena *arena, const char *text, size_t len)
{
    pol_str copy = arena_str(arena, clip_to((pol_str){text, len}, TEXT_BYTES - 1));
    char *at = (char *)copy.ptr;

    for (size_t i = 0; i < copy.len; i++) {
        if ((uint8_t)at[i] < 0x20 || at[i] == 0x7f)
            at[i] = ' ';
    }
    return copy;
}

static pol_str copy_path(struct pol_diags *diags, uint32_t node)
{
    char text[PATH_BYTES];
    struct buf buf = buf_of(text, sizeof(text));

    if (node != POL_NONE && diags->scan)
        scan_path(diags->scan, node, &buf);
    if (buf.len > sizeof(text))
        buf.len = sizeof(text);
    return arena_str(&diags->arena, clip_to((pol_str){text, buf.len}, sizeof(text) - 1));
}

static int reserve(struct pol_diags *diags)
{
    const pol_mem *mem = &diags->ctx->mem;
    size_t need = diags->count + 1;

    if (mem_grow(mem, (void **)&diags->items, &diags->capacity, need, sizeof(*diags->items)) < 0)
        return POL_E_NOMEM;
    return mem_grow(mem, (void **)&diags->offsets, &diags->offset_capacity, need,
                    sizeof(*diags->offsets));
}

/* One is kept whatever the limit is: nobody refuses a document without a word. */
static bool count_one(struct pol_diags *diags, uint32_t code)
{
    uint32_t limit = diags->ctx->limits.diagnostics;

    if (code < POL_DIAG_SHADOWED)
        diags->errors++;
    else
        diags->warnings++;
    return diags->count < (limit ? limit : 1);
}

static void add(struct pol_diags *diags, uint32_t code, uint32_t node, uint32_t offset,
                const char *format, va_list args)
{
    char text[TEXT_BYTES];
    pol_diag *diag;
    int len;

    if (!count_one(diags, code) || diags->nomem)
        return;
    if (reserve(diags) < 0) {
        diags->nomem = true;
        return;
    }
    len = vsnprintf(text, sizeof(text), format, args);
    if (len < 0)
        len = 0; /* GCOVR_EXCL_LINE: our formats hold nothing that vsnprintf() refuses */
    diag = &diags->items[diags->count];
    *diag = (pol_diag){
        .severity = code < POL_DIAG_SHADOWED ? POL_DIAG_ERROR : POL_DIAG_WARNING,
        .code = code,
        .path = copy_path(diags, node),
        .text = copy_line(&diags->arena, text,
                          (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1),
    };
    diags->offsets[diags->count] = offset;
    if (!diag->path.ptr || !diag->text.ptr)
        diags->nomem = true;
    else
        diags->count++;
}

void diag_value(struct pol_diags *diags, uint32_t code, uint32_t node, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(diags, code, node, scan_value_offset(diags->scan, node), format, args);
    va_end(args);
}

void diag_key(struct pol_diags *diags, uint32_t code, uint32_t node, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(diags, code, node, scan_key_offset(diags->scan, node), format, args);
    va_end(args);
}

void diag_offset(struct pol_diags *diags, uint32_t code, uint32_t node, uint32_t offset,
                 const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(diags, code, node, offset, format, args);
    va_end(args);
}

static int by_offset(const void *user, uint32_t a, uint32_t b)
{
    const uint32_t *offsets = user;

    return offsets[a] < offsets[b] ? -1 : offsets[a] > offsets[b];
}

/* Columns count characters, as editors do: continuation octets of UTF-8 are not counted. */
static void place(struct pol_diags *diags, const uint32_t *order, pol_str document)
{
    uint32_t line = 1, column = 1;
    size_t at = 0;

    for (size_t i = 0; i < diags->count; i++) {
        uint32_t offset = diags->offsets[order[i]];

        if (offset == POL_NONE)
            return;
        for (; at < offset && at < document.len; at++) {
            uint8_t c = (uint8_t)document.ptr[at];

            if (c == '\n') {
                line++;
                column = 1;
            } else if ((c & 0xc0) != 0x80) {
                column++;
            }
        }
        diags->items[order[i]].line = line;
        diags->items[order[i]].column = column;
    }
}

int diag_finish(struct pol_diags *diags, pol_str document)
{
    const pol_mem *mem = &diags->ctx->mem;
    size_t count = diags->count;
    pol_diag *sorted = NULL;
    uint32_t *order = NULL;
    int rc = POL_E_NOMEM;

    diags->scan = NULL;
    if (diags->nomem)
        return POL_E_NOMEM;
    if (!count)
        return POL_OK;

    order = mem_array(mem, 2 * count, sizeof(*order));
    sorted = mem_array(mem, diags->capacity, sizeof(*sorted));
    if (!order || !sorted)
        goto out;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    sort_indexes(order, order + count, count, by_offset, diags->offsets);
    place(diags, order, document);
    for (size_t i = 0; i < count; i++)
        sorted[i] = diags->items[order[i]];
    mem_free(mem, diags->items, diags->capacity * sizeof(*diags->items));
    diags->items = sorted;
    sorted = NULL;
    rc = POL_OK;

out:
    mem_free(mem, order, 2 * count * sizeof(*order));
    mem_free(mem, sorted, diags->capacity * sizeof(*sorted));
    return rc;
}
