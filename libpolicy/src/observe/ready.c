/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/ready.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "observe/text.h"

enum { MAX_CHECKS = 32 };

struct check {
    pol_str name;
    bool ok;
    bool advisory;
    char detail[POL_READY_DETAIL];
};

struct pol_ready {
    pol_ctx *ctx;
    struct arena arena; /* the names */
    size_t count;
    struct check checks[];
};

static size_t ready_size(size_t count)
{
    return sizeof(pol_ready) + count * sizeof(struct check);
}

static struct check *find(const pol_ready *ready, pol_str name)
{
    for (size_t i = 0; i < ready->count; i++) {
        if (str_equal(ready->checks[i].name, name))
            return (struct check *)&ready->checks[i];
    }
    return NULL;
}

static int add_check(pol_ready *ready, pol_str name)
{
    struct check *check = &ready->checks[ready->count];

    if (name.len == 0 || find(ready, name))
        return POL_E_INVALID;
    check->name = arena_str(&ready->arena, name);
    if (!check->name.ptr)
        return POL_E_NOMEM;
    text_copy(check->detail, sizeof(check->detail), STR("not checked yet"));
    ready->count++;
    return POL_OK;
}

int pol_ready_new(pol_ctx *ctx, const char *const *names, size_t count, pol_ready **ret_ready)
{
    pol_ready *ready;
    size_t size = ready_size(count);

    if (count == 0 || count > MAX_CHECKS)
        return POL_E_INVALID;
    ready = mem_zalloc(&ctx->mem, size);
    if (!ready)
        return POL_E_NOMEM;
    ready->ctx = pol_ctx_ref(ctx);
    arena_init(&ready->arena, &ctx->mem);
    for (size_t i = 0; i < count; i++) {
        int rc = add_check(ready, str_of(names[i]));

        if (rc < 0) {
            /* pol_ready_free() works out the size from the count. */
            ready->count = count;
            pol_ready_free(ready);
            return rc;
        }
    }
    *ret_ready = ready;
    return POL_OK;
}

void pol_ready_free(pol_ready *ready)
{
    pol_ctx *ctx;

    if (!ready)
        return;
    ctx = ready->ctx;
    arena_fini(&ready->arena);
    mem_free(&ctx->mem, ready, ready_size(ready->count));
    pol_ctx_unref(ctx);
}

int pol_ready_set(pol_ready *ready, const char *name, bool ok, const char *detail)
{
    struct check *check = find(ready, str_of(name));

    if (!check)
        return POL_E_NOTFOUND;
    if (!detail)
        detail = ok ? "" : "no reason given";
    check->ok = ok;
    text_copy(check->detail, sizeof(check->detail), str_of(detail));
    return POL_OK;
}

int pol_ready_advise(pol_ready *ready, const char *name, bool advisory)
{
    struct check *check = find(ready, str_of(name));

    if (!check)
        return POL_E_NOTFOUND;
    check->advisory = advisory;
    return POL_OK;
}

bool pol_ready_ok(const pol_ready *ready)
{
    for (size_t i = 0; i < ready->count; i++) {
        if (!ready->checks[i].ok && !ready->checks[i].advisory)
            return false;
    }
    return true;
}

size_t pol_ready_count(const pol_ready *ready)
{
    return ready->count;
}

bool pol_ready_at(const pol_ready *ready, size_t index, pol_ready_line *ret_line)
{
    const struct check *check;

    if (index >= ready->count)
        return false;
    check = &ready->checks[index];
    *ret_line = (pol_ready_line){
        .name = check->name,
        .detail = str_of(check->detail),
        .ok = check->ok,
        .advisory = check->advisory,
    };
    return true;
}
