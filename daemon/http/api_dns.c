// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

#include <stdlib.h>
#include <string.h>

#define BATCH ((size_t)64)

/* The whole table as it is now, in memory that is free()d after the answer. */
struct listing {
    pol_grant *grants;
    size_t count, capacity;
};

static bool make_room(struct listing *listing)
{
    size_t capacity = listing->capacity ? listing->capacity * 2 : 4 * BATCH;
    pol_grant *grants;

    if (listing->count + BATCH <= listing->capacity)
        return true;

    grants = realloc(listing->grants, capacity * sizeof(*grants));
    if (!grants)
        return false;

    listing->grants = grants;
    listing->capacity = capacity;
    return true;
}

static bool list_all(const pol_grants *grants, pol_mono now, struct listing *listing)
{
    uint32_t position = 0;
    size_t got;

    do {
        if (!make_room(listing))
            return false;
        got = pol_grants_list(grants, &position, now, listing->grants + listing->count, BATCH);
        listing->count += got;
    } while (got == BATCH);
    return true;
}

static int by_name_then_addr(const void *left, const void *right)
{
    const pol_grant *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order ? order : memcmp(&a->addr, &b->addr, sizeof(a->addr));
}

/* Several groups may hold one address under one name; a cache shows it once. */
static bool is_repeated(const struct listing *listing, size_t at, size_t first)
{
    return at > first && by_name_then_addr(&listing->grants[at], &listing->grants[at - 1]) == 0;
}

static size_t print_entry(const struct worker_loop *loop, const struct listing *listing,
                          size_t first, struct text *out)
{
    char addr[POL_ADDR_TEXT];
    pol_mono newest = 0;
    size_t at;

    text_add(out, first ? ",{\"hostname\":" : "{\"hostname\":");
    text_add_json(out, listing->grants[first].name);
    text_add(out, ",\"ips\":[");
    for (at = first;
         at < listing->count && strcmp(listing->grants[at].name, listing->grants[first].name) == 0;
         at++) {
        if (listing->grants[at].answered > newest)
            newest = listing->grants[at].answered;
        if (is_repeated(listing, at, first))
            continue;
        pol_addr_format(&listing->grants[at].addr, addr);
        text_addf(out, "%s\"%s\"", at > first ? "," : "", addr);
    }
    text_addf(out, "],\"last_seen\":%llu}",
              (unsigned long long)worker_loop_wall(loop, newest) / 1000);
    return at;
}

void api_dns_cache(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    const struct worker_loop *loop = api->loops[0];
    struct listing listing = {0};

    (void)request;
    if (!list_all(api->grants, worker_loop_now(loop), &listing))
        reply->body.failed = true;
    if (listing.count)
        qsort(listing.grants, listing.count, sizeof(pol_grant), by_name_then_addr);

    text_add(&reply->body, "{\"entries\":[");
    for (size_t at = 0; at < listing.count;)
        at = print_entry(loop, &listing, at, &reply->body);
    text_add(&reply->body, "]}");
    free(listing.grants);
}
