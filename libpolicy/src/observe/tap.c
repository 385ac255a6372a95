/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/tap.h>

#include "base/abi.h"
#include "base/arena.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "net/addr.h"
#include "pattern/regex.h"

struct pol_tap {
    pol_ctx *ctx;
    struct arena arena;    /* what the lists of `filter` point at */
    pol_tap_filter filter; /* hostnames and protos are in the fields below */
    struct regex **hostnames;
    size_t hostname_count; /* compiled so far */
    struct regex_scratch *scratch;
    bool protos[256];
};

static const pol_tap_filter defaults = {.size = sizeof(pol_tap_filter)};

void pol_tap_filter_init(pol_tap_filter *filter, size_t size)
{
    abi_defaults(filter, size, &defaults, sizeof(defaults));
}

/* NULL without memory; also an empty list has a copy. */
static const void *keep(pol_tap *tap, const void *list, size_t count, size_t size)
{
    void *copy = arena_array(&tap->arena, count, size);

    if (copy && count)
        memcpy(copy, list, count * size);
    return copy;
}

static bool prefixes_fit(const pol_prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!prefix_is_valid(&list[i]))
            return false;
    }
    return true;
}

static int keep_lists(pol_tap *tap)
{
    pol_tap_filter *filter = &tap->filter;

    for (size_t i = 0; i < filter->proto_count; i++)
        tap->protos[filter->protos[i]] = true;
    filter->src = keep(tap, filter->src, filter->src_count, sizeof(filter->src[0]));
    filter->dst = keep(tap, filter->dst, filter->dst_count, sizeof(filter->dst[0]));
    filter->src_ports =
        keep(tap, filter->src_ports, filter->src_port_count, sizeof(filter->src_ports[0]));
    filter->dst_ports =
        keep(tap, filter->dst_ports, filter->dst_port_count, sizeof(filter->dst_ports[0]));
    if (!filter->src || !filter->dst || !filter->src_ports || !filter->dst_ports)
        return POL_E_NOMEM;
    return POL_OK;
}

static int compile_hostnames(pol_tap *tap, size_t *reterr_index)
{
    char error[REGEX_ERROR_TEXT];
    int rc;

    if (tap->filter.hostname_count == 0)
        return POL_OK;
    tap->hostnames = arena_array(&tap->arena, tap->filter.hostname_count, sizeof(struct regex *));
    if (!tap->hostnames)
        return POL_E_NOMEM;
    for (size_t i = 0; i < tap->filter.hostname_count; i++) {
        rc = regex_compile(tap->ctx, tap->filter.hostnames[i], true, &tap->hostnames[i], error);
        if (rc == POL_E_FORMAT && reterr_index)
            *reterr_index = i;
        if (rc < 0)
            return rc;
        tap->hostname_count++;
    }
    return regex_scratch_new(tap->ctx, &tap->scratch);
}

int pol_tap_new(pol_ctx *ctx, const pol_tap_filter *filter, pol_tap **ret_tap, size_t *reterr_index)
{
    pol_tap *tap = mem_zalloc(&ctx->mem, sizeof(*tap));
    int rc;

    if (!tap)
        return POL_E_NOMEM;
    tap->ctx = pol_ctx_ref(ctx);
    tap->filter = defaults;
    arena_init(&tap->arena, &ctx->mem);

    rc = abi_options(&tap->filter, sizeof(tap->filter), filter,
                     ABI_UP_TO(pol_tap_filter, dst_port_count));
    if (rc < 0)
        goto out;

    rc = POL_E_INVALID;
    if (!prefixes_fit(tap->filter.src, tap->filter.src_count) ||
        !prefixes_fit(tap->filter.dst, tap->filter.dst_count))
        goto out;

    rc = keep_lists(tap);
    if (rc < 0)
        goto out;

    rc = compile_hostnames(tap, reterr_index);
    if (rc < 0)
        goto out;

    *ret_tap = tap;
    tap = NULL;

out:
    pol_tap_free(tap);
    return rc;
}

void pol_tap_free(pol_tap *tap)
{
    pol_ctx *ctx;

    if (!tap)
        return;
    ctx = tap->ctx;
    for (size_t i = 0; i < tap->hostname_count; i++)
        regex_free(tap->hostnames[i]);
    regex_scratch_free(tap->scratch);
    arena_fini(&tap->arena);
    mem_free(&ctx->mem, tap, sizeof(*tap));
    pol_ctx_unref(ctx);
}

static bool match_prefix(const pol_prefix *list, size_t count, const pol_addr *addr)
{
    for (size_t i = 0; i < count; i++) {
        if (prefix_contains(&list[i], addr))
            return true;
    }
    return count == 0;
}

static bool match_port(const pol_port_range *list, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (port >= list[i].first && port <= list[i].last)
            return true;
    }
    return count == 0;
}

/* A search that hits its limit shows nothing: the filter asked for less than everything. */
static bool match_name(const pol_tap *tap, pol_str name)
{
    for (size_t i = 0; name.len && i < tap->hostname_count; i++) {
        if (regex_search(tap->hostnames[i], tap->scratch, name) == REGEX_YES)
            return true;
    }
    return false;
}

bool pol_tap_match(pol_tap *tap, const pol_event *event)
{
    const pol_tap_filter *filter = &tap->filter;
    const pol_tuple *tuple = &event->tuple;

    if (filter->proto_count && !tap->protos[tuple->proto])
        return false;
    if (!match_port(filter->src_ports, filter->src_port_count, tuple->src_port) ||
        !match_port(filter->dst_ports, filter->dst_port_count, tuple->dst_port))
        return false;
    if (!match_prefix(filter->src, filter->src_count, &tuple->src) ||
        !match_prefix(filter->dst, filter->dst_count, &tuple->dst))
        return false;
    return tap->hostname_count == 0 || match_name(tap, (pol_str){event->name, event->name_len}) ||
           match_name(tap, (pol_str){event->fqdn, event->fqdn_len});
}
