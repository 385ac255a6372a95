/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <string.h>

#include "base/abi.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/ipset.h"

enum { CAPACITY_MAX = 1 << 24 };

static const pol_worker_options defaults = {
    .size = sizeof(pol_worker_options),
    .flow_capacity = 32768,
    .event_capacity = 4096,
    .memo_capacity = 8192,
    .pending_capacity = 2048,
    .query_capacity = 4096,
    .stream_capacity = 64,
    .fragment_capacity = 1024,
    .idle =
        {
            .tcp_opening = 30 * POL_SECONDS,
            .tcp_established = 7440 * POL_SECONDS,
            .tcp_closing = 120 * POL_SECONDS,
            .udp_one_way = 30 * POL_SECONDS,
            .udp_two_way = 300 * POL_SECONDS,
            .icmp = 60 * POL_SECONDS,
            .other = 600 * POL_SECONDS,
            .denied = 60 * POL_SECONDS,
        },
    .midstream_window = 120 * POL_SECONDS,
    .query_timeout = 5 * POL_SECONDS,
    .tls_timeout = 10 * POL_SECONDS,
    .midstream = POL_MIDSTREAM_JUDGE,
    .sni_check = POL_SNI_LOG,
    .control =
        {
            [POL_CONTROL_MULTICAST] = POL_CONTROL_DROP,
            [POL_CONTROL_OTHER] = POL_CONTROL_DROP,
        },
    .member_capacity = 1024,
    .certificate_capacity = 256,
};

void pol_worker_options_init(pol_worker_options *opts, size_t size)
{
    abi_defaults(opts, size, &defaults, sizeof(defaults));
}

static bool capacities_fit(const pol_worker_options *opts)
{
    return opts->flow_capacity <= CAPACITY_MAX && opts->event_capacity <= CAPACITY_MAX &&
           opts->memo_capacity <= CAPACITY_MAX && opts->pending_capacity <= CAPACITY_MAX &&
           opts->query_capacity <= CAPACITY_MAX && opts->stream_capacity <= CAPACITY_MAX &&
           opts->fragment_capacity <= CAPACITY_MAX && opts->member_capacity <= CAPACITY_MAX &&
           opts->certificate_capacity <= CAPACITY_MAX && opts->event_capacity > 0 &&
           opts->memo_capacity > 0;
}

static bool choices_fit(const pol_worker_options *opts)
{
    return opts->midstream <= POL_MIDSTREAM_DENY && opts->sni_check <= POL_SNI_ENFORCE &&
           control_fits(opts);
}

static int addresses_set(struct arena *arena, const pol_addr *addrs, size_t count,
                         struct ipset **ret_set)
{
    pol_prefix *prefixes;

    if (count == 0)
        return POL_OK;
    prefixes = arena_array(arena, count, sizeof(*prefixes));
    if (!prefixes)
        return POL_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (!addr_is_valid(&addrs[i]))
            return POL_E_INVALID;
        prefixes[i] = (pol_prefix){addrs[i], addrs[i].family == 4 ? 32 : 128};
    }
    return ipset_build(arena, prefixes, count, ret_set);
}

/* An own IPv4 address is own too where a translator reaches it (RFC 6052 2.1). */
static int own_set(struct arena *arena, const pol_addr *addrs, size_t count, struct ipset **ret_set)
{
    pol_addr *both;
    size_t all = count;

    if (count == 0)
        return POL_OK;
    both = arena_array(arena, 2 * count, sizeof(*both));
    if (!both)
        return POL_E_NOMEM;
    memcpy(both, addrs, count * sizeof(*both));
    for (size_t i = 0; i < count; i++) {
        if (addrs[i].family == 4)
            both[all++] = addr_nat64(&addrs[i]);
    }
    return addresses_set(arena, both, all, ret_set);
}

static int prefixes_set(struct arena *arena, const pol_prefix *prefixes, size_t count,
                        struct ipset **ret_set)
{
    if (count == 0)
        return POL_OK;
    for (size_t i = 0; i < count; i++) {
        if (!prefix_is_valid(&prefixes[i]))
            return POL_E_INVALID;
    }
    return ipset_build(arena, prefixes, count, ret_set);
}

static int build_sets(pol_worker *worker, const pol_worker_options *opts)
{
    int rc;

    rc = prefixes_set(&worker->arena, opts->inside, opts->inside_count, &worker->inside);
    if (rc == POL_OK)
        rc = addresses_set(&worker->arena, opts->trusted_resolvers, opts->trusted_resolver_count,
                           &worker->trusted);
    if (rc == POL_OK)
        rc = addresses_set(&worker->arena, opts->inside_resolvers, opts->inside_resolver_count,
                           &worker->inside_resolvers);
    if (rc == POL_OK)
        rc = own_set(&worker->arena, opts->own, opts->own_count, &worker->own);
    worker->walker.own = worker->own;
    return rc;
}

static int build_anchors(pol_worker *worker, pol_str pem)
{
    const pol_mem *mem = &worker->ctx->mem;
    char *text; /* with a NUL behind it */
    int rc;

    if (pem.len == 0)
        return POL_OK;
    text = mem_alloc(mem, pem.len + 1);
    if (!text)
        return POL_E_NOMEM;
    memcpy(text, pem.ptr, pem.len);
    text[pem.len] = '\0';
    rc = x509_anchors_build(&worker->arena, (pol_str){text, pem.len}, &worker->walker.anchors);
    mem_free(mem, text, pem.len + 1);
    return rc;
}

static int build_tables(pol_worker *worker, const pol_worker_options *opts)
{
    const pol_mem *mem = &worker->ctx->mem;
    const uint64_t *seed = worker->ctx->hash_seed;
    int rc;

    rc = flow_table_init(&worker->flows, mem, opts->flow_capacity, seed);
    if (rc == POL_OK)
        rc = stream_pool_init(&worker->hellos, mem, opts->pending_capacity, HELLO_BYTES);
    if (rc == POL_OK)
        rc = stream_pool_init(&worker->flights, mem, opts->certificate_capacity, TLS_FLIGHT_MAX);
    if (rc == POL_OK)
        rc = chains_init(&worker->walker.chains, mem, opts->certificate_capacity);
    if (rc == POL_OK)
        rc = stream_pool_init(&worker->dns_streams, mem, 2 * opts->stream_capacity,
                              DNS_STREAM_BYTES);
    if (rc == POL_OK)
        rc = queries_init(&worker->queries, mem, opts->query_capacity, seed);
    if (rc == POL_OK)
        rc = fragments_init(&worker->fragments, mem, opts->fragment_capacity, seed);
    if (rc == POL_OK)
        rc = members_init(&worker->members, mem, opts->member_capacity, seed);
    if (rc == POL_OK)
        rc = members_init(&worker->dhcp_requests, mem, opts->member_capacity, seed);
    if (rc == POL_OK)
        rc = members_init(&worker->dhcp_servers, mem, opts->member_capacity, seed);
    if (rc == POL_OK)
        rc = events_init(&worker->events, mem, opts->event_capacity);
    if (rc == POL_OK)
        rc = memo_init(&worker->walker.memo, mem, opts->memo_capacity);
    if (rc == POL_OK)
        rc = regex_scratch_new(worker->ctx, &worker->walker.scratch);
    return rc;
}

int pol_worker_new(pol_ctx *ctx, const pol_worker_options *given, pol_worker **ret_worker)
{
    pol_worker_options opts = defaults;
    pol_worker *worker = NULL;
    int rc;

    rc = abi_options(&opts, sizeof(opts), given, ABI_UP_TO(pol_worker_options, trust_anchors_pem));
    if (rc < 0)
        return rc;
    if (!capacities_fit(&opts) || !choices_fit(&opts))
        return POL_E_INVALID;

    rc = POL_E_NOMEM;
    worker = mem_zalloc(&ctx->mem, sizeof(*worker));
    if (!worker)
        goto out;
    worker->ctx = pol_ctx_ref(ctx);
    worker->opts = opts;
    worker->started = POL_NEVER;
    worker->signatures = SIGNATURES_AT_ONCE;
    worker->walker.grants = opts.grants;
    grants_ref(opts.grants);
    arena_init(&worker->arena, &ctx->mem);
    rc = build_sets(worker, &opts);
    if (rc == POL_OK)
        rc = build_anchors(worker, opts.trust_anchors_pem);
    if (rc == POL_OK)
        rc = build_tables(worker, &opts);
    if (rc < 0)
        goto out;
    pol_worker_report(worker, UINT32_MAX);
    counter_set(&worker->counters, COUNT_FLOW_CAPACITY, opts.flow_capacity);
    *ret_worker = worker;
    worker = NULL;

out:
    pol_worker_free(worker);
    return rc;
}

static void release_pins(pol_worker *worker)
{
    for (uint32_t i = 0; worker->opts.grants && worker->flows.heads && i <= worker->flows.mask;
         i++) {
        for (uint32_t f = worker->flows.heads[i]; f != POL_NONE; f = worker->flows.flows[f].next) {
            if (worker->flows.flows[f].grant != POL_NONE)
                grants_unpin(worker->opts.grants, worker->flows.flows[f].grant);
        }
    }
}

void pol_worker_free(pol_worker *worker)
{
    const pol_mem *mem;
    pol_ctx *ctx;

    if (!worker)
        return;
    ctx = worker->ctx;
    mem = &ctx->mem;
    release_pins(worker);
    flow_table_fini(&worker->flows, mem);
    stream_pool_fini(&worker->hellos, mem);
    stream_pool_fini(&worker->flights, mem);
    chains_fini(&worker->walker.chains, mem);
    stream_pool_fini(&worker->dns_streams, mem);
    queries_fini(&worker->queries, mem);
    fragments_fini(&worker->fragments, mem);
    members_fini(&worker->members, mem);
    members_fini(&worker->dhcp_requests, mem);
    members_fini(&worker->dhcp_servers, mem);
    events_fini(&worker->events, mem);
    memo_fini(&worker->walker.memo, mem);
    regex_scratch_free(worker->walker.scratch);
    arena_fini(&worker->arena);
    pol_policy_unref(worker->policy);
    pol_grants_free(worker->opts.grants);
    mem_free(mem, worker, sizeof(*worker));
    pol_ctx_unref(ctx);
}

int pol_worker_use(pol_worker *worker, pol_policy *policy, uint64_t generation)
{
    WORKER_ENTER(worker);
    int rc;

    if (generation <= worker->generation)
        return POL_E_INVALID;
    if (policy) {
        rc = memo_reset(&worker->walker.memo, &worker->ctx->mem, patterns_count(policy->patterns));
        if (rc < 0)
            return rc;
        pol_policy_ref(policy);
    }
    pol_policy_unref(worker->policy);
    worker->policy = policy;
    worker->walker.policy = policy;
    worker->generation = generation;
    slots_assign(&worker->slots, policy);
    counter_set(&worker->counters, COUNT_POLICY_GENERATION, generation);
    return POL_OK;
}

pol_policy *pol_worker_policy(const pol_worker *worker, uint64_t *ret_generation)
{
    if (ret_generation)
        *ret_generation = worker->generation;
    return worker->policy;
}

void pol_worker_wall(pol_worker *worker, pol_mono now, pol_wall wall)
{
    WORKER_ENTER(worker);

    worker->wall = wall;
    worker->wall_at = now;
}

pol_mono pol_worker_deadline(const pol_worker *worker)
{
    pol_mono flows = flow_next_due(&worker->flows), query = POL_NEVER;
    uint32_t oldest = worker->queries.aged.oldest;

    if (oldest != POL_NONE)
        query = mono_after(worker->queries.entries[oldest].asked, worker->opts.query_timeout);
    if (fragments_deadline(&worker->fragments) < query)
        query = fragments_deadline(&worker->fragments);
    return flows < query ? flows : query;
}

size_t pol_worker_tick(pol_worker *worker, pol_mono now, size_t budget)
{
    WORKER_ENTER(worker);
    size_t done = 0;

    if (now > worker->now)
        worker->now = now;
    if (worker->started == POL_NEVER)
        worker->started = worker->now;
    worker->walker.now = worker->now;
    done += dns_expire(worker, budget, false);
    done += fragments_expire(&worker->fragments, worker->now, budget - done);
    if (done < budget)
        done += flows_expire(worker, budget - done);
    return done;
}

size_t pol_worker_flush(pol_worker *worker, pol_mono now)
{
    WORKER_ENTER(worker);

    if (now > worker->now)
        worker->now = now;
    dns_expire(worker, SIZE_MAX, true);
    for (uint32_t i = 0; worker->flows.count && i <= worker->flows.mask; i++) {
        while (worker->flows.heads[i] != POL_NONE && !events_full(&worker->events)) {
            uint32_t index = worker->flows.heads[i];
            enum pol_end end = flow_end(&worker->flows.flows[index]);

            end_flow(worker, index, end == POL_END_IDLE ? POL_END_FLUSHED : end);
        }
    }
    return worker->flows.count + worker->queries.aged.count;
}

size_t pol_worker_drain(pol_worker *worker, pol_event *ret_events, size_t capacity)
{
    WORKER_ENTER(worker);

    return events_drain(&worker->events, ret_events, capacity);
}

void pol_worker_report(pol_worker *worker, uint32_t kinds)
{
    worker->events.kinds = kinds;
    worker->walker.skip_shadows = !events_wanted(&worker->events, POL_EV_DENY);
    worker->report_interval = POL_NEVER;
    if (worker->opts.report_interval && events_wanted(&worker->events, POL_EV_FLOW_ACTIVE))
        worker->report_interval = worker->opts.report_interval;
}

uint32_t pol_worker_flow_count(const pol_worker *worker)
{
    return worker->flows.count;
}

size_t pol_worker_memory(const pol_worker *worker)
{
    return sizeof(*worker) + worker->arena.bytes + regex_scratch_memory() +
           flow_table_memory(&worker->flows) + memo_memory(&worker->walker.memo) +
           (size_t)worker->hellos.count * (HELLO_BYTES + sizeof(struct stream)) +
           (size_t)worker->flights.count * (TLS_FLIGHT_MAX + sizeof(struct stream)) +
           chains_memory(&worker->walker.chains) +
           (size_t)worker->dns_streams.count * (DNS_STREAM_BYTES + sizeof(struct stream)) +
           aged_memory(&worker->queries.aged) + aged_memory(&worker->fragments.aged) +
           3 * aged_memory(&worker->members.aged) + worker->events.capacity * sizeof(pol_event);
}

void pol_counters_add(pol_counters *counters, const pol_worker *worker)
{
    counters_sum(counters, &worker->counters, &worker->slots);
}
