/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/engine.h"

#include <stdlib.h>

#include <libpolicy/packet.h>
#include <libpolicy/stats.h>

#include "core/secret.h"

#define FLOWS_AT_MOST    (1024 * 1024) /* a workstation's memory, not an appliance's */
#define FLOWS_AT_LEAST   4096
#define SMALLEST_PACKET  36 /* octets in a capture: its header and an IPv4 header */
#define GRANT_CAPACITY   (256 * 1024)
#define PENDING_CAPACITY 4096
#define EVENT_BATCH      64
#define NAMES_LIMIT      256 /* pol_grants_options.names_per_address */
#define TICK_BUDGET      1024
#define EXPIRE_BUDGET    4096
#define EXPIRE_EVERY     (10 * POL_SECONDS)
#define MILLISECOND      1000000

struct engine {
    pol_ctx *ctx;
    pol_grants *grants;
    pol_worker *worker;
    struct records *records;
    pol_mono now, first, next_expiry;
    uint64_t packets, incomplete;
    pol_event events[EVENT_BATCH];
    pol_grant names[NAMES_LIMIT];
};

static size_t names_of(void *user, uint64_t group_key, const pol_addr *addr, pol_mono now,
                       const pol_grant **ret_names)
{
    struct engine *engine = user;
    size_t count =
        pol_grants_names(engine->grants, group_key, addr, now, engine->names, NAMES_LIMIT);

    *ret_names = engine->names;
    return count < NAMES_LIMIT ? count : NAMES_LIMIT;
}

pol_ctx *engine_ctx_new(void)
{
    pol_ctx_options options;
    pol_ctx *ctx = NULL;

    pol_ctx_options_init(&options, sizeof(options));
    if (secret_random(options.hash_seed, sizeof(options.hash_seed)) < 0)
        return NULL;
    return pol_ctx_new(&options, &ctx) == POL_OK ? ctx : NULL;
}

static int make_grants(struct engine *engine)
{
    pol_grants_options options;

    pol_grants_options_init(&options, sizeof(options));
    options.capacity = GRANT_CAPACITY;
    return pol_grants_new(engine->ctx, &options, &engine->grants);
}

/* Every flow needs a packet, so a small capture needs no large table. */
static uint32_t flow_capacity(uint64_t capture_bytes)
{
    uint64_t packets = capture_bytes / SMALLEST_PACKET;

    if (capture_bytes == 0 || packets > FLOWS_AT_MOST)
        return FLOWS_AT_MOST;
    return packets < FLOWS_AT_LEAST ? FLOWS_AT_LEAST : (uint32_t)packets;
}

static int make_worker(struct engine *engine, const struct engine_options *from, pol_idle *ret_idle)
{
    pol_worker_options options;

    pol_worker_options_init(&options, sizeof(options));
    options.flow_capacity = flow_capacity(from->capture_bytes);
    options.pending_capacity = PENDING_CAPACITY;
    options.sni_check = (uint8_t)from->sni_check;
    options.trust_all_resolvers = from->resolver_count == 0;
    options.trusted_resolvers = from->resolvers;
    options.trusted_resolver_count = from->resolver_count;
    options.inside = from->inside;
    options.inside_count = from->inside_count;
    options.grants = engine->grants;
    *ret_idle = options.idle;
    options.trust_anchors_pem = from->anchors;
    return pol_worker_new(engine->ctx, &options, &engine->worker);
}

/* The clock is the time of day: a millisecond of it is one since 1970. */
static void set_clock(struct engine *engine)
{
    pol_worker_wall(engine->worker, MILLISECOND, 1);
}

static int make_records(struct engine *engine, const pol_idle *idle)
{
    struct records_options options = {.idle = *idle, .names = names_of, .user = engine};

    if (secret_random(&options.seed, sizeof(options.seed)) < 0)
        return POL_E_NOMEM;
    engine->records = records_new(&options);
    return engine->records ? POL_OK : POL_E_NOMEM;
}

struct engine *engine_new(pol_ctx *ctx, pol_policy *policy, const struct engine_options *options)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    pol_idle idle;

    if (!engine)
        return NULL;

    engine->ctx = pol_ctx_ref(ctx);
    if (make_grants(engine) < 0 || make_worker(engine, options, &idle) < 0 ||
        pol_worker_use(engine->worker, policy, 1) < 0 || make_records(engine, &idle) < 0) {
        engine_free(engine);
        return NULL;
    }
    set_clock(engine);
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;

    records_free(engine->records);
    pol_worker_free(engine->worker);
    pol_grants_free(engine->grants);
    pol_ctx_unref(engine->ctx);
    free(engine);
}

static void drain(struct engine *engine)
{
    size_t count;

    do {
        count = pol_worker_drain(engine->worker, engine->events, EVENT_BATCH);
        for (size_t i = 0; i < count; i++)
            records_event(engine->records, &engine->events[i]);
    } while (count == EVENT_BATCH);
}

/* What ran out before `now` ends at its own time, not at that of the next packet. */
static void run_timers(struct engine *engine, pol_mono now)
{
    pol_mono due;

    while ((due = pol_worker_deadline(engine->worker)) <= now) {
        size_t done = pol_worker_tick(engine->worker, due, TICK_BUDGET);

        drain(engine);
        if (done == 0 && pol_worker_deadline(engine->worker) <= due)
            break;
    }
    if (now >= engine->next_expiry) {
        pol_grants_expire(engine->grants, now, EXPIRE_BUDGET);
        engine->next_expiry = now + EXPIRE_EVERY;
    }
}

void engine_frame(struct engine *engine, enum pol_link link, const struct capture_frame *frame)
{
    pol_packet packet;
    pol_verdict verdict;

    /* A capture of several interfaces may step back a little; the worker's time does not. */
    if (frame->time_ns > engine->now)
        engine->now = frame->time_ns;
    if (engine->packets++ == 0)
        engine->first = engine->now;
    engine->incomplete += frame->data.len < frame->wire_len;

    run_timers(engine, engine->now);
    pol_packet_parse(frame->data, link, frame->wire_len, &packet);
    pol_worker_decide(engine->worker, &packet, engine->now, &verdict);
    records_packet(engine->records, &packet, &verdict, engine->now);
    drain(engine);
}

void engine_finish(struct engine *engine)
{
    size_t left, before = SIZE_MAX;

    while ((left = pol_worker_flush(engine->worker, engine->now)) > 0 && left < before) {
        drain(engine);
        before = left;
    }
    drain(engine);
    records_finish(engine->records);
}

const struct records *engine_records(const struct engine *engine)
{
    return engine->records;
}

static uint64_t events_lost(const struct engine *engine)
{
    pol_counters *counters = NULL;
    uint64_t lost;

    if (pol_counters_new(engine->ctx, &counters) < 0)
        return 0;

    pol_counters_add(counters, engine->worker);
    lost = pol_counters_value(counters, "policyd_events_dropped_total", "");
    pol_counters_free(counters);
    return lost;
}

void engine_summary(const struct engine *engine, struct summary *ret_summary)
{
    pol_grants_stats grants;

    pol_grants_stats_get(engine->grants, &grants);
    *ret_summary = (struct summary){
        .packets = engine->packets,
        .incomplete = engine->incomplete,
        .first = engine->first,
        .last = engine->now,
        .grants_learned = grants.learned,
        .grants_live = grants.live,
        .events_lost = events_lost(engine),
    };
    summary_count(ret_summary, engine->records);
}
