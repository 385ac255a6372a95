/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must make no difference makes none. The same random traffic goes to several workers that
 * differ in one thing only, and their verdicts are compared packet by packet:
 *
 *   batch     pol_worker_decide_batch(), events drained in other portions: the same events, the
 *             same counters
 *   quiet     no events wanted, a clock that sometimes steps back
 *   ticked    pol_worker_tick() and pol_grants_expire() often, against never
 *   split     two workers that share a grant table, traffic divided by addresses
 *   reloaded  the same document compiled again and used under new generations
 *
 * On the way: events are well-formed JSON that says what the event says, deciding allocates
 * nothing, using a policy again takes no more memory than the first time, and nothing is left
 * when everything is freed.
 */
#include <libpolicy/policy.h>

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <malloc.h>

#include "../unit/lib/base/counting_mem.h"
#include "args.h"
#include "names.h"
#include "traffic.h"

enum {
    BATCHES = 30,
    BATCH_MAX = 64,
    PACKETS_MAX = BATCHES * BATCH_MAX,
    RING = 4096,    /* events of a worker; no batch makes that many */
    EVENTS = 16384, /* of a world */
    JSON_BYTES = 1 << 20,
    STORY = 60, /* packets told when verdicts differ */
    REUSES = 4  /* of a policy, to see what it costs */
};

enum twin_kind { PLAIN, BATCH, QUIET, TICKED, SPLIT, RELOADED, TWINS };

static const char *const twin_names[TWINS] = {"plain",  "batch", "quiet",
                                              "ticked", "split", "reloaded"};

struct twin {
    bool used;
    pol_grants *grants;
    pol_worker *workers[2];
    pol_verdict verdicts[BATCH_MAX];
};

struct seen {
    pol_packet packet;
    pol_mono now;
    pol_verdict verdict;
};

static struct world {
    uint64_t seed;
    struct draw draw;
    struct counting counting;
    pol_ctx *ctx;
    struct model models[2];
    int used; /* the model in use */
    pol_policy *policies[2], *again;
    uint64_t generation, same_generation;
    struct traffic traffic;
    bool tight;
    bool reloads; /* another policy now and then */
    struct twin twins[TWINS];
    pol_mono now;
    pol_packet packets[BATCH_MAX];
    size_t count;
    struct seen seen[PACKETS_MAX];
    size_t seen_count;
    pol_event events[2][EVENTS]; /* of PLAIN and BATCH */
    size_t event_count[2];
    char json[JSON_BYTES];
} world;

/* --- saying what differs -------------------------------------------------------------------- */

static bool says(const char *twin, const char *what)
{
    printf("%s: %s, at %.3f s\n", twin, what, (double)world.now / 1e9);
    return false;
}

static void print_packet(const pol_packet *packet, pol_mono now)
{
    char src[POL_ADDR_TEXT], dst[POL_ADDR_TEXT];

    pol_addr_format(&packet->tuple.src, src);
    pol_addr_format(&packet->tuple.dst, dst);
    printf("t=%.3f %s %s:%u > %s:%u proto %u flags 0x%02x icmp %u/%u seq %u ack %u marks 0x%x "
           "frag %u+%u%s payload %zu\n",
           (double)now / 1e9, packet->side == POL_SIDE_OUTSIDE ? "outside" : "inside", src,
           packet->tuple.src_port, dst, packet->tuple.dst_port, packet->tuple.proto,
           packet->tcp_flags, packet->icmp_type, packet->icmp_code, packet->tcp_seq,
           packet->tcp_ack, packet->marks, packet->frag_id, packet->frag_offset,
           packet->frag_more ? " more" : "", packet->payload.len);
}

static void print_verdict(const char *whose, const pol_verdict *verdict)
{
    printf("  %-8s %s raw %s group %d rule %d %s flags 0x%x side %u generation %" PRIu64
           " flow %" PRIu64 "\n",
           whose, pol_action_word(verdict->action), pol_action_word(verdict->raw_action),
           (int)verdict->group, (int)verdict->rule, pol_reason_word(verdict->reason),
           verdict->flags, verdict->side, verdict->generation, verdict->flow);
}

static bool same_pair(const pol_tuple *one, const pol_tuple *other)
{
    bool along = memcmp(&one->src, &other->src, sizeof(one->src)) == 0 &&
                 memcmp(&one->dst, &other->dst, sizeof(one->dst)) == 0;
    bool against = memcmp(&one->src, &other->dst, sizeof(one->src)) == 0 &&
                   memcmp(&one->dst, &other->src, sizeof(one->dst)) == 0;

    return along || against;
}

/* The policy and what the two addresses have sent each other so far. */
static bool differs(enum twin_kind kind, size_t index, const char *what)
{
    const pol_packet *packet = &world.packets[index];
    const pol_tuple *pair = packet->marks & POL_MARK_ICMP_ERROR ? &packet->inner : &packet->tuple;

    size_t skipped = 0;

    model_json(&world.models[world.used], world.json, JSON_BYTES);
    printf("%s", world.json);
    /* Those of this batch that come after it have not been. */
    world.seen_count -= world.count - index;
    for (size_t i = 0; i < world.seen_count; i++)
        skipped += same_pair(&world.seen[i].packet.tuple, pair);
    skipped = skipped > STORY ? skipped - STORY : 0;
    for (size_t i = 0; i < world.seen_count; i++) {
        if (!same_pair(&world.seen[i].packet.tuple, pair) || (skipped > 0 && skipped--))
            continue;
        print_packet(&world.seen[i].packet, world.seen[i].now);
        print_verdict("plain", &world.seen[i].verdict);
    }
    print_packet(packet, world.now);
    print_verdict("plain", &world.twins[PLAIN].verdicts[index]);
    print_verdict(twin_names[kind], &world.twins[kind].verdicts[index]);
    return says(twin_names[kind], what);
}

static void remember(void)
{
    for (size_t i = 0; i < world.count; i++)
        world.seen[world.seen_count++] =
            (struct seen){world.packets[i], world.now, world.twins[PLAIN].verdicts[i]};
}

/* --- one batch ------------------------------------------------------------------------------ */

static uint32_t sum_of(const pol_addr *addr)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof(addr->bytes); i++)
        sum += addr->bytes[i];
    return sum;
}

/* As the daemon divides its ports: by the addresses, of an ICMP error by the quoted ones. */
static unsigned share_of(const pol_packet *packet)
{
    const pol_tuple *tuple = packet->marks & POL_MARK_ICMP_ERROR ? &packet->inner : &packet->tuple;

    return (sum_of(&tuple->src) + sum_of(&tuple->dst)) % 2;
}

static void maybe_tick(struct twin *twin)
{
    if (draw_percent(&world.draw, 30))
        pol_worker_tick(twin->workers[0], world.now, draw_between(&world.draw, 1, 100));
    if (draw_percent(&world.draw, 10))
        pol_grants_expire(twin->grants, world.now, draw_between(&world.draw, 1, 100));
}

/* A clock that steps back stands still for the worker. */
static pol_mono clock_of(enum twin_kind kind)
{
    if (kind == QUIET && world.seen_count > 0 && draw_percent(&world.draw, 20))
        return world.now - draw_below(&world.draw, 1000);
    return world.now;
}

static void decide_one(enum twin_kind kind, size_t index)
{
    struct twin *twin = &world.twins[kind];
    const pol_packet *packet = &world.packets[index];
    unsigned share = kind == SPLIT ? share_of(packet) : 0;

    pol_worker_decide(twin->workers[share], packet, index ? clock_of(kind) : world.now,
                      &twin->verdicts[index]);
    if (kind == TICKED)
        maybe_tick(twin);
}

static void decide(enum twin_kind kind)
{
    struct twin *twin = &world.twins[kind];

    memset(twin->verdicts, 0xa5, sizeof(twin->verdicts));
    if (kind == BATCH) {
        pol_worker_decide_batch(twin->workers[0], world.packets, world.count, world.now,
                                twin->verdicts);
        return;
    }
    for (size_t i = 0; i < world.count; i++)
        decide_one(kind, i);
}

/* Judged again, a denied entry says once more why, and who denies it with what it knows by now. */
static void blank_reason(pol_verdict *reloaded, const pol_verdict *plain)
{
    const uint32_t kept = POL_V_KNOWN | POL_V_REPLY | POL_V_RELATED | POL_V_SIDE_INFERRED;

    reloaded->flags = (reloaded->flags & kept) | (plain->flags & ~kept);
    reloaded->reason = plain->reason;
    reloaded->group = plain->group;
    reloaded->rule = plain->rule;
    reloaded->group_key = plain->group_key;
}

static bool is_denied(const pol_verdict *verdict)
{
    return verdict->action == POL_DENY || verdict->action == POL_REJECT;
}

/* What a flow is judged on may have changed since: its hello has proved broken, which the mode of
 * what decided let pass and the whole list may not, or which leaves so few rules to look past that
 * all outcomes are seen to allow it; or its packets have passed while it waits, and what would have
 * intercepted it now denies. What follows is another story. */
static bool may_part(const pol_verdict *reloaded, const pol_verdict *plain)
{
    bool too_late = reloaded->reason == POL_WHY_INTERCEPT_TOO_LATE ||
                    (reloaded->reason == POL_WHY_DENIED_FLOW && reloaded->flags & POL_V_RELATED);

    if (is_denied(plain))
        return reloaded->flags & POL_V_WATCHED;
    return plain->reason == POL_WHY_TLS_INCOMPLETE ||
           (plain->raw_action == POL_PENDING && too_late);
}

static bool same_verdicts(enum twin_kind kind)
{
    for (size_t i = 0; i < world.count; i++) {
        pol_verdict mine = world.twins[kind].verdicts[i], plain = world.twins[PLAIN].verdicts[i];

        if (kind == SPLIT || kind == TICKED)
            mine.flow = plain.flow;
        if (kind == RELOADED && may_part(&mine, &plain)) {
            world.twins[kind].used = false;
            return true;
        }
        if (kind == RELOADED) {
            mine.generation = plain.generation;
            /* Nor is a flow watched any longer whose hello has proved broken. */
            mine.flags &= ~(uint32_t)(POL_V_REJUDGED | POL_V_WATCHED);
            plain.flags &= ~(uint32_t)(POL_V_REJUDGED | POL_V_WATCHED);
            /* An opening packet with urgent data was taken for what it says; the flow was not. */
            if (plain.reason == POL_WHY_NOT_TLS)
                mine.reason = plain.reason;
            if (is_denied(&plain) && is_denied(&mine))
                blank_reason(&mine, &plain);
        }
        if (memcmp(&mine, &plain, sizeof(mine)) != 0)
            return differs(kind, i, "another verdict");
    }
    return true;
}

/* --- events --------------------------------------------------------------------------------- */

static bool says_name(const cJSON *json, const char *key, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

    return *name ? cJSON_IsString(item) && strcmp(item->valuestring, name) == 0
                 : cJSON_IsNull(item);
}

static bool good_json(const pol_event *event)
{
    bool dns = event->kind == POL_EV_DNS, good;
    pol_str node = {"node \"1\"\\\x01", 10};
    size_t len, needed;
    cJSON *json;

    if (pol_json_event(event, world.policies[world.used], node, 5000, NULL, 0, &needed) !=
            POL_E_NOSPACE ||
        pol_json_event(event, world.policies[world.used], node, 5000, world.json, needed, &len) !=
            POL_OK ||
        len != needed)
        return says("json", "the length of an event");
    json = cJSON_ParseWithLength(world.json, len);
    good = json && says_name(json, "hostname", dns ? event->name : event->fqdn) &&
           (dns || says_name(json, "sni", event->name)) &&
           says_name(json, "node_id", "node \"1\"\\\x01");
    cJSON_Delete(json);
    return good || says("json", world.json);
}

/* A ring that is full would keep a tick from ending what has run out. */
static void drop_events(enum twin_kind kind)
{
    static pol_event events[64];

    if (!world.twins[kind].used)
        return;
    while (pol_worker_drain(world.twins[kind].workers[0], events, 64) > 0)
        continue;
}

/* Takes what is there, or a part of it. */
static bool drain(int whose, enum twin_kind kind, size_t portion)
{
    size_t count = world.event_count[whose], added;

    added = pol_worker_drain(world.twins[kind].workers[0], &world.events[whose][count],
                             portion < EVENTS - count ? portion : EVENTS - count);
    for (size_t i = 0; i < added; i += 5) {
        if (!good_json(&world.events[whose][count + i]))
            return false;
    }
    world.event_count[whose] += added;
    return true;
}

static bool same_tuple(const pol_tuple *one, const pol_tuple *other)
{
    return memcmp(&one->src, &other->src, sizeof(one->src)) == 0 &&
           memcmp(&one->dst, &other->dst, sizeof(one->dst)) == 0 &&
           one->src_port == other->src_port && one->dst_port == other->dst_port &&
           one->proto == other->proto;
}

/* All but the octet that fills up the tuple. */
static bool same_event(const pol_event *one, const pol_event *other)
{
    const size_t behind = offsetof(pol_event, verdict);

    return memcmp(one, other, offsetof(pol_event, tuple)) == 0 &&
           same_tuple(&one->tuple, &other->tuple) &&
           memcmp(&one->verdict, &other->verdict, offsetof(pol_event, name) - behind) == 0 &&
           strcmp(one->name, other->name) == 0 && strcmp(one->fqdn, other->fqdn) == 0;
}

static bool differs_in(size_t index)
{
    for (int i = 0; i < 2; i++) {
        const pol_event *event = &world.events[i][index];
        size_t len = 0;

        pol_json_event(event, NULL, (pol_str){NULL, 0}, 0, world.json, JSON_BYTES, &len);
        printf("%.*s at %" PRIu64 " names of %" PRIx64 "\n", (int)len, world.json, event->at,
               event->names_key);
        print_verdict(twin_names[i], &event->verdict);
    }
    return says("batch", "an event");
}

static bool same_events(void)
{
    if (world.event_count[0] == EVENTS)
        return says("batch", "more events than the test keeps");
    if (world.event_count[0] != world.event_count[1])
        return says("batch", "number of events");
    for (size_t i = 0; i < world.event_count[0]; i++) {
        if (!same_event(&world.events[0][i], &world.events[1][i]))
            return differs_in(i);
    }
    return true;
}

static bool metrics(enum twin_kind kind, char *text, size_t *ret_len)
{
    pol_counters *counters;
    bool good;

    if (pol_counters_new(world.ctx, &counters) != POL_OK)
        return false;
    pol_counters_add(counters, world.twins[kind].workers[0]);
    pol_counters_add_grants(counters, world.twins[kind].grants);
    good = pol_metrics_text(counters, text, JSON_BYTES / 2, ret_len) == POL_OK;
    pol_counters_free(counters);
    return good;
}

static bool same_counters(void)
{
    size_t lens[2];

    if (!metrics(PLAIN, world.json, &lens[0]) ||
        !metrics(BATCH, world.json + JSON_BYTES / 2, &lens[1]))
        return says("batch", "pol_metrics_text");
    return (lens[0] == lens[1] && memcmp(world.json, world.json + JSON_BYTES / 2, lens[0]) == 0) ||
           says("batch", "counters");
}

/* --- a world -------------------------------------------------------------------------------- */

static bool use_everywhere(pol_policy *policy)
{
    world.generation += 100;
    for (int kind = 0; kind < TWINS; kind++) {
        for (int i = 0; i < 2; i++) {
            pol_worker *worker = world.twins[kind].workers[i];

            if (worker && pol_worker_use(worker, policy, world.generation) != POL_OK)
                return says(twin_names[kind], "pol_worker_use");
        }
    }
    world.same_generation = world.generation;
    return true;
}

/* The same document, sometimes the same policy. */
static bool reload_same(void)
{
    pol_policy *policy = draw_percent(&world.draw, 50) ? world.again : world.policies[0];

    return pol_worker_use(world.twins[RELOADED].workers[0], policy, ++world.same_generation) ==
               POL_OK ||
           says("reloaded", "pol_worker_use");
}

static bool maybe_reload(void)
{
    if (world.reloads && draw_percent(&world.draw, 10)) {
        world.used = !world.used;
        return use_everywhere(world.policies[world.used]);
    }
    return !world.twins[RELOADED].used || !draw_percent(&world.draw, 40) || reload_same();
}

static void let_time_pass(void)
{
    static const uint32_t seconds[] = {1, 1, 1, 1, 1, 1, 1, 5, 10, 40, 70, 130, 400, 8000};
    uint32_t most = seconds[draw_below(&world.draw, sizeof(seconds) / sizeof(*seconds))];

    world.now += draw_below(&world.draw, most * 1000000) * UINT64_C(1000);
}

static bool play_batch(void)
{
    size_t requests;

    let_time_pass();
    if (!maybe_reload())
        return false;
    world.count = draw_between(&world.draw, 1, BATCH_MAX);
    traffic_next(&world.traffic, world.packets, world.count);
    requests = world.counting.requests;
    for (int kind = 0; kind < TWINS; kind++) {
        if (!world.twins[kind].used)
            continue;
        decide((enum twin_kind)kind);
        if (kind == PLAIN)
            remember();
        if (!same_verdicts((enum twin_kind)kind))
            return false;
    }
    if (world.counting.requests != requests)
        return says("plain", "deciding allocates");
    drop_events(TICKED);
    return drain(0, PLAIN, EVENTS) && drain(1, BATCH, draw_below(&world.draw, 200));
}

static bool reuse_costs_nothing(void)
{
    size_t bytes = 0;

    for (int i = 0; i < REUSES; i++) {
        if (!use_everywhere(world.policies[0]))
            return false;
        if (i && world.counting.bytes != bytes)
            return says("memory", "a policy used again takes more");
        bytes = world.counting.bytes;
    }
    return true;
}

static bool compile(pol_policy **ret_policy, int which)
{
    size_t len = model_json(&world.models[which], world.json, JSON_BYTES);

    return pol_compile(world.ctx, (pol_str){world.json, len}, NULL, ret_policy, NULL) == POL_OK ||
           says("plain", "pol_compile");
}

/* Accepted, printed and accepted again: an equal document, from any spelling. */
static bool compile_printed(void)
{
    uint8_t digest[32], again[32];
    size_t len;

    if (pol_policy_json(world.policies[0], world.json, JSON_BYTES, &len) != POL_OK ||
        pol_compile(world.ctx, (pol_str){world.json, len}, NULL, &world.again, NULL) != POL_OK)
        return says("print", "the printed document is not accepted");
    pol_policy_digest(world.policies[0], digest);
    pol_policy_digest(world.again, again);
    return memcmp(digest, again, sizeof(digest)) == 0 || says("print", "another digest");
}

static void draw_grants(pol_grants *grants, uint64_t seed)
{
    struct draw draw = {seed};

    for (int i = 0; i < 40; i++) {
        uint32_t group = draw_below(&draw, world.models[0].group_count);
        pol_grant grant = {.group_key = pol_policy_group_key(world.policies[0], group)};

        grant.addr = world.traffic.servers[draw_below(&draw, SERVERS)];
        grant.kind = (uint8_t)draw_below(&draw, 3);
        grant.ttl = 80000;
        grant.learned = grant.answered = grant.used = world.now + (uint64_t)i;
        strcpy(grant.name, name_texts[draw_below(&draw, NAME_COUNT)]);
        grant.name_len = (uint8_t)strlen(grant.name);
        pol_grants_restore(grants, &grant, world.now);
    }
}

static void draw_options(pol_worker_options *options, pol_grants_options *grants)
{
    struct draw *draw = &world.draw;

    pol_worker_options_init(options, sizeof(*options));
    pol_grants_options_init(grants, sizeof(*grants));
    options->flow_capacity = world.tight ? draw_between(draw, 2, 12) : 1000;
    options->pending_capacity = world.tight ? draw_between(draw, 1, 3) : 40;
    options->query_capacity = world.tight ? draw_between(draw, 1, 4) : 1000;
    options->stream_capacity = world.tight ? draw_between(draw, 1, 2) : 12;
    options->fragment_capacity = world.tight ? draw_between(draw, 1, 3) : 1000;
    options->memo_capacity = world.tight ? 4 : 100;
    options->event_capacity = RING;
    /* A grant is held by flows that are over until a tick says so: where ticks make the difference,
     * none runs out. */
    if (!world.reloads)
        grants->ttl_min = grants->ttl_max = 1000000 * POL_SECONDS;
    grants->capacity = world.tight ? draw_between(draw, 1, 20) : 2000;
    options->sni_check = (uint8_t)draw_below(draw, 3);
    options->midstream = (uint8_t)draw_below(draw, 2);
    options->reject_inside = draw_percent(draw, 30);
    options->admit_outside = draw_percent(draw, 30);
    options->trust_all_resolvers = draw_percent(draw, 20);
    options->midstream_window = draw_percent(draw, 50) ? 0 : 1000000 * POL_SECONDS;
    options->report_interval = draw_percent(draw, 50) ? 5 * POL_SECONDS : 0;
    options->trusted_resolvers = world.traffic.resolvers;
    options->trusted_resolver_count = RESOLVERS - 1;
    if (draw_percent(draw, 30))
        options->control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
}

static bool make_twin(enum twin_kind kind, pol_worker_options *options,
                      const pol_grants_options *grants)
{
    struct twin *twin = &world.twins[kind];

    twin->used = true;
    if (pol_grants_new(world.ctx, grants, &twin->grants) != POL_OK)
        return says(twin_names[kind], "pol_grants_new");
    options->grants = twin->grants;
    for (int i = 0; i < (kind == SPLIT ? 2 : 1); i++) {
        if (pol_worker_new(world.ctx, options, &twin->workers[i]) != POL_OK)
            return says(twin_names[kind], "pol_worker_new");
        pol_worker_tick(twin->workers[i], world.now, 0); /* all of them start now */
    }
    if (kind == QUIET)
        pol_worker_report(twin->workers[0], 0);
    if (world.traffic.steady)
        draw_grants(twin->grants, world.seed);
    return true;
}

static bool make_twins(void)
{
    pol_worker_options options;
    pol_grants_options grants;
    bool wanted[TWINS] = {[PLAIN] = true, [BATCH] = true, [QUIET] = true};

    draw_options(&options, &grants);
    /* What runs out at a tick is judged by the policy of that moment. */
    wanted[TICKED] = !world.tight && !world.reloads;
    /* Members of groups are known to the worker that saw them join. */
    wanted[SPLIT] = !world.tight && !world.traffic.control;
    wanted[RELOADED] = !world.tight && world.traffic.steady;
    for (int kind = 0; kind < TWINS; kind++) {
        if (wanted[kind] && !make_twin((enum twin_kind)kind, &options, &grants))
            return false;
    }
    return true;
}

static bool begin(uint64_t seed)
{
    memset(&world, 0, offsetof(struct world, packets));
    world.seen_count = world.event_count[0] = world.event_count[1] = 0;
    world.seed = world.draw.state = seed;
    world.ctx = counting_ctx(&world.counting);
    model_draw(&world.models[0], &world.draw);
    world.models[1] = world.models[0];
    model_change(&world.models[1], &world.draw);
    world.now = draw_between(&world.draw, 1, 100000) * POL_SECONDS;
    world.tight = draw_percent(&world.draw, 30);
    world.traffic.steady = draw_percent(&world.draw, 40);
    world.reloads = !world.traffic.steady && draw_percent(&world.draw, 50);
    world.traffic.one_port = draw_percent(&world.draw, 20);
    world.traffic.control = draw_percent(&world.draw, 50);
    traffic_begin(&world.traffic, &world.models[0], seed);
    return compile(&world.policies[0], 0) && compile(&world.policies[1], 1) && compile_printed() &&
           make_twins() && use_everywhere(world.policies[0]);
}

static void end(void)
{
    for (int kind = 0; kind < TWINS; kind++) {
        pol_worker_free(world.twins[kind].workers[0]);
        pol_worker_free(world.twins[kind].workers[1]);
        pol_grants_free(world.twins[kind].grants);
    }
    pol_policy_unref(world.policies[0]);
    pol_policy_unref(world.policies[1]);
    pol_policy_unref(world.again);
    pol_ctx_unref(world.ctx);
}

static bool play(uint64_t seed)
{
    bool same = begin(seed);

    for (int i = 0; same && i < BATCHES; i++)
        same = play_batch();
    same = same && drain(1, BATCH, EVENTS) && same_events() && same_counters() &&
           reuse_costs_nothing();
    end();
    if (same && (world.counting.bytes || world.counting.blocks))
        same = says("memory", "something is left");
    return same;
}

int main(int argc, char **argv)
{
    uint64_t cases = 1000000, seed = 1, packets = 0;
    bool same = true;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    /* Tables come and go with every world: let their pages stay. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    names_init();
    for (; same && packets < cases; seed++) {
        same = play(seed);
        packets += same ? world.seen_count : 0;
    }
    if (!same)
        printf("again:  properties --cases 1 --seed %" PRIu64 "\n", seed - 1);
    return args_result(same ? cases : packets, cases);
}
