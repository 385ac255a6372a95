/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packets of a wire against a plain model of it (wire.h): random policies, conversations, DNS,
 * openings from outside and datagrams in pieces, with time that runs by seconds or by hours. The
 * verdict on each packet and the table of grants are compared.
 *
 * Time stands still or moves on by a second or more from packet to packet: a flow tells its grant
 * at most once a second that it is used, and the model knows nothing of that.
 */
#include <libpolicy/policy.h>

#include <stdarg.h>

#include "args.h"
#include "wire_world.h"

enum { WORLD_STEPS = 250, JSON_BYTES = 1 << 20, STORY = 1 << 18, EVENTS = 64 };

static const uint32_t flags_compared = POL_V_OPENED | POL_V_KNOWN | POL_V_REPLY | POL_V_REJUDGED |
                                       POL_V_AUDIT | POL_V_NAMED | POL_V_SIDE_INFERRED;

static struct {
    struct model models[2];
    struct linear_list lists[2];
    pol_policy *policies[2];
    int used;
    pol_ctx *ctx;
    pol_grants *grants;
    pol_worker *worker;
    bool ticked;
    bool tight; /* few flows have room, and time runs by whole seconds: see draw_tight() */
    pol_prefix inside[2];
    struct wire wire;
    struct wire_world world;
    struct wire_verdict expected;
    pol_grant listed[2 * GRANTS_MAX];
    size_t listed_count;
    pol_event events[EVENTS];
    char json[JSON_BYTES], story[STORY];
    size_t story_len;
    uint32_t told; /* phrases of the book */
} run;

/* --- what to say about a difference --------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    size_t room = STORY - run.story_len;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(run.story + run.story_len, room, format, args);
    va_end(args);
    if (len > 0)
        run.story_len += (size_t)len < room ? (size_t)len : room - 1;
}

static void tell_message(const struct wire_message *message)
{
    char text[POL_ADDR_TEXT];

    tell("  %s %s type %u id %u rcode %u\n", message->answers ? "answer" : "query",
         wire_name(message->name), message->type, message->id, message->rcode);
    for (uint32_t i = 0; i < message->record_count; i++) {
        const struct wire_record *record = &message->records[i];

        pol_addr_format(&record->addr, text);
        tell("    %s %u %s\n", wire_name(record->owner), record->ttl,
             record->target == NO_NAME ? text : wire_name(record->target));
    }
}

/* What was written for a connection since. */
static void tell_book(void)
{
    for (; run.told < run.world.book.count; run.told++)
        tell_message(&run.world.book.phrases[run.told].message);
}

static void tell_packet(const pol_packet *packet)
{
    char src[POL_ADDR_TEXT], dst[POL_ADDR_TEXT];

    pol_addr_format(&packet->tuple.src, src);
    pol_addr_format(&packet->tuple.dst, dst);
    tell("t=%.3f %s %s:%u > %s:%u proto %u", (double)run.wire.now / 1e9,
         run.expected.side == POL_SIDE_OUTSIDE ? "outside" : "inside", src, packet->tuple.src_port,
         dst, packet->tuple.dst_port, packet->tuple.proto);
    if (packet->tuple.proto == 6)
        tell(" flags 0x%02x seq %u ack %u", packet->tcp_flags, packet->tcp_seq, packet->tcp_ack);
    if (packet->payload.len)
        tell(" %zu octets", packet->payload.len);
    if (packet->icmp_type)
        tell(" type %u", packet->icmp_type);
    if (packet->marks & POL_MARK_FRAGMENT)
        tell(" piece of %u at %u%s", packet->frag_id, packet->frag_offset,
             packet->frag_more ? " and more" : "");
    tell("\n");
    if (run.world.message.present)
        tell_message(&run.world.message);
    tell_book();
}

static void tell_verdicts(const pol_verdict *verdict, const struct wire_verdict *expected)
{
    tell("  library %s raw %s group %d rule %d %s flags 0x%x\n", pol_action_word(verdict->action),
         pol_action_word(verdict->raw_action), (int)verdict->group, (int)verdict->rule,
         pol_reason_word(verdict->reason), verdict->flags & flags_compared);
    tell("  model   %s raw %s group %d rule %d %s flags 0x%x\n", pol_action_word(expected->action),
         pol_action_word(expected->raw_action), (int)expected->group, (int)expected->rule,
         pol_reason_word(expected->reason), expected->flags);
}

static void print_grants(void)
{
    char text[POL_ADDR_TEXT];

    for (uint32_t i = 0; i < run.wire.grant_count; i++) {
        const struct wire_grant *grant = &run.wire.grants[i];

        pol_addr_format(&grant->addr, text);
        printf("grant g%d %s %s kind %u used %.3f until %.3f flows %u%s\n", (int)grant->group_id,
               text, wire_name(grant->name), grant->kind, (double)grant->used / 1e9,
               (double)wire_live_until(&run.wire, grant) / 1e9, grant->flows,
               grant->two_way ? " two-way" : "");
    }
}

static bool differs(const char *what)
{
    for (int i = 0; i < 2; i++) {
        model_json(&run.models[i], run.json, JSON_BYTES);
        printf("policy %d\n%s", i, run.json);
    }
    print_grants();
    printf("%s%s differs; policy %d is in use\n", run.story, what, run.used);
    return false;
}

/* --- grants --------------------------------------------------------------------------------- */

static void list_grants(void)
{
    uint32_t position = 0;

    run.listed_count = pol_grants_list(run.grants, &position, run.wire.now, run.listed,
                                       sizeof(run.listed) / sizeof(*run.listed));
}

static uint64_t key_of(uint32_t group_id)
{
    const struct linear_list *list = &run.lists[run.used];

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->steps[i].group && list->steps[i].group->id == group_id)
            return pol_policy_group_key(run.policies[run.used], list->steps[i].group_number);
    }
    return 0;
}

static const pol_grant *listed(const struct wire_grant *grant)
{
    uint64_t key = key_of(grant->group_id);

    for (size_t i = 0; i < run.listed_count; i++) {
        const pol_grant *other = &run.listed[i];

        if (other->group_key == key && strcmp(other->name, wire_name(grant->name)) == 0 &&
            memcmp(&other->addr, &grant->addr, sizeof(grant->addr)) == 0)
            return other;
    }
    return NULL;
}

static bool same_grant(const struct wire_grant *grant, const pol_grant *other)
{
    bool live = wire_is_live(&run.wire, grant);

    if (!other)
        return !live && grant->flows == 0;
    return other->state == (live ? POL_GRANT_LIVE : POL_GRANT_HELD) && other->kind == grant->kind &&
           other->expires == wire_live_until(&run.wire, grant) && other->flows >= grant->flows &&
           !other->two_way == !grant->two_way;
}

static bool same_grants(void)
{
    size_t known = 0;

    list_grants();
    for (uint32_t i = 0; i < run.wire.grant_count; i++) {
        const pol_grant *other = listed(&run.wire.grants[i]);

        known += other != NULL;
        if (!same_grant(&run.wire.grants[i], other)) {
            tell("grant %u: library state %d kind %d expires %.3f flows %u two-way %d\n", i,
                 other ? other->state : -1, other ? other->kind : -1,
                 other ? (double)other->expires / 1e9 : 0.0, other ? other->flows : 0,
                 other ? other->two_way : 0);
            return differs("a grant");
        }
    }
    return known == run.listed_count || differs("the number of grants");
}

/* Does the library's grant carry a flow more than ours, used just now? */
static bool took_flow(uint32_t grant)
{
    const pol_grant *other = listed(&run.wire.grants[grant]);

    return other && other->used == run.wire.now && other->flows > run.wire.grants[grant].flows;
}

static uint32_t count_takers(uint32_t *ret_first)
{
    const struct wire_verdict *expected = &run.expected;
    uint32_t count = 0;

    list_grants();
    for (uint32_t i = 0; i < expected->pin_count; i++) {
        if (took_flow(expected->pins[i]) && count++ == 0)
            *ret_first = expected->pins[i];
    }
    return count;
}

/* Several grants may carry a flow equally well: the library's choice is the model's, too, if it is
 * one of them. Flows that are over and still there may hide it, so they are ended first. */
static bool choose_pin(void)
{
    uint32_t chosen = POL_NONE;

    if (!run.expected.flow)
        return true;
    if (count_takers(&chosen) > 1) {
        pol_worker_tick(run.worker, run.wire.now, 1000);
        count_takers(&chosen);
    }
    if (chosen == POL_NONE)
        return differs("the grant that carries the flow");
    wire_carry(&run.wire, &run.expected, chosen);
    return true;
}

/* --- one packet ----------------------------------------------------------------------------- */

static bool same_decision(const pol_verdict *verdict)
{
    const struct wire_verdict *expected = &run.expected;

    if (verdict->action != expected->action || verdict->raw_action != expected->raw_action)
        return differs("the action");
    if (verdict->reason != expected->reason)
        return differs("the reason");
    if (expected->vague)
        return true;
    if (verdict->side != expected->side)
        return differs("the side");
    if (verdict->group != expected->group || verdict->rule != expected->rule)
        return differs("group or rule");
    return (verdict->flags & flags_compared) == expected->flags || differs("a flag");
}

/* A grant that a flow holds opens another when that is judged again. In a worker that nobody ticks
 * the flow may be over and still hold it, so such flows are ended first. */
static void end_holders(void)
{
    const struct wire_flow *flow = wire_find(&run.wire, &run.world.packet);

    if (flow && flow->generation != run.wire.generation)
        pol_worker_tick(run.worker, run.wire.now, 1000);
}

static bool same_packet(void)
{
    pol_verdict verdict;

    wire_world_next(&run.world);
    end_holders();
    wire_decide(&run.wire, &run.world.packet, &run.world.message, &run.expected);
    pol_worker_decide(run.worker, &run.world.packet, run.wire.now, &verdict);
    tell_packet(&run.world.packet);
    tell_verdicts(&verdict, &run.expected);
    if (run.tight && run.ticked && pol_worker_flow_count(run.worker) != run.wire.flow_count)
        return differs("the number of flows");
    return same_decision(&verdict) && choose_pin();
}

/* --- a world -------------------------------------------------------------------------------- */

static void let_time_pass(void)
{
    static const uint32_t waits[] = {5, 30, 60, 120, 300, 420, 600, 3600, 7440};
    struct draw *draw = &run.world.draw;
    pol_mono seconds = 1, part = run.tight ? 0 : draw_below(draw, 1000000000);

    if (draw_percent(draw, 15))
        return; /* at the same moment */
    if (draw_percent(draw, 4))
        seconds = waits[draw_below(draw, 9)] - draw_below(draw, 3) + 1;
    else if (draw_percent(draw, 8))
        seconds = draw_between(draw, 2, 40);
    if (run.tight)
        seconds += seconds % 2;
    run.wire.now += seconds * POL_SECONDS + part;
    wire_clock(&run.wire);
    /* Who has been denied for longest makes room first; without ticks, who was found to be late. */
    if (run.ticked || (run.tight && run.wire.was_late))
        pol_worker_tick(run.worker, run.wire.now, 1000);
    if (run.ticked)
        pol_grants_expire(run.grants, run.wire.now, draw_below(draw, 50));
}

static bool reload(void)
{
    run.used = !run.used;
    run.wire.generation++;
    run.wire.list = &run.lists[run.used];
    tell("policy %d\n", run.used);
    return pol_worker_use(run.worker, run.policies[run.used], run.wire.generation) == POL_OK ||
           differs("pol_worker_use");
}

static bool step(uint32_t number)
{
    let_time_pass();
    if (draw_percent(&run.world.draw, run.tight ? 8 : 2) && !reload())
        return false;
    while (pol_worker_drain(run.worker, run.events, EVENTS) > 0)
        continue;
    return same_packet() && (number % 10 || same_grants());
}

/* Rules that ask for TLS have another oracle, and so have denied names on TCP. */
static void without_tls(struct model *model, struct draw *draw)
{
    for (uint32_t i = 0; i < model->rule_count; i++) {
        struct model_rule *rule = &model->rules[i];

        rule->tls = TLS_NONE;
        if (rule->pattern == NO_PATTERN && !rule->deny && draw_percent(draw, 40)) {
            rule->pattern = (int)draw_below(draw, PATTERN_COUNT);
            rule->dst_count = 0;
        }
        if (rule->deny)
            rule->pattern = NO_PATTERN;
    }
    if (draw_percent(draw, 70))
        model->default_policy = DEFAULT_DENY;
}

static bool compile(int which)
{
    size_t len = model_json(&run.models[which], run.json, JSON_BYTES);
    pol_diags *diags = NULL;
    int rc = pol_compile(run.ctx, (pol_str){run.json, len}, NULL, &run.policies[which], &diags);

    pol_diags_free(diags);
    linear_flatten(&run.models[which], &run.lists[which]);
    return rc == POL_OK || differs("pol_compile");
}

/* The library finds what is over by the second. Who makes room must not depend on that, so moments
 * are even here and idle times odd: what is over has been so for a second. */
static void draw_tight(struct draw *draw, pol_worker_options *options)
{
    run.tight = draw_percent(draw, 30);
    run.wire.capacity = run.tight ? draw_between(draw, 2, 7) : WIRE_FLOWS;
    options->flow_capacity = run.wire.capacity;
    if (!run.tight)
        return;
    options->idle = (pol_idle){
        .tcp_opening = 31 * POL_SECONDS,
        .tcp_established = 7441 * POL_SECONDS,
        .tcp_closing = 121 * POL_SECONDS,
        .udp_one_way = 31 * POL_SECONDS,
        .udp_two_way = 301 * POL_SECONDS,
        .icmp = 61 * POL_SECONDS,
        .other = 601 * POL_SECONDS,
        .denied = 61 * POL_SECONDS,
    };
    options->midstream_window = 121 * POL_SECONDS;
    options->tls_timeout = 21 * POL_SECONDS / 2; /* a denied entry begins there */
}

static void draw_times(struct draw *draw, pol_worker_options *options,
                       pol_grants_options *grants_options)
{
    struct wire *wire = &run.wire;

    wire->admit_outside = options->admit_outside = draw_percent(draw, 30);
    /* Who is let in from outside needs no guess at what was there before. */
    if (options->admit_outside)
        options->midstream_window = 0;
    if (draw_percent(draw, 30))
        grants_options->idle_two_way = grants_options->idle = 90 * POL_SECONDS;
    if (draw_percent(draw, 30))
        grants_options->ttl_min = 100 * POL_SECONDS;
    if (draw_percent(draw, 60))
        options->tls_timeout += 18 * POL_SECONDS;
    if (draw_percent(draw, 30))
        options->idle.udp_one_way = options->idle.icmp = 45 * POL_SECONDS;
    wire->times = (struct wire_times){
        .idle = options->idle,
        .grant_idle = grants_options->idle,
        .grant_idle_two_way = grants_options->idle_two_way,
        .ttl_min = grants_options->ttl_min,
        .ttl_max = grants_options->ttl_max,
        .query = options->query_timeout,
        .midstream = options->midstream_window,
        .datagram = 60 * POL_SECONDS,
        .octets = options->tls_timeout,
    };
}

static pol_addr resolvers[3]; /* the last one is trusted by nobody */

static bool make_engine(void)
{
    pol_grants_options grants_options;
    pol_worker_options options;

    pol_grants_options_init(&grants_options, sizeof(grants_options));
    pol_worker_options_init(&options, sizeof(options));
    draw_tight(&run.world.draw, &options);
    draw_times(&run.world.draw, &options, &grants_options);
    grants_options.capacity = 2 * GRANTS_MAX;
    options.query_capacity = 256;
    options.event_capacity = EVENTS;
    options.memo_capacity = 64;
    options.pending_capacity = options.certificate_capacity = options.member_capacity = 2;
    options.stream_capacity = 16;
    options.fragment_capacity = 64;
    options.sni_check = POL_SNI_OFF;
    options.trusted_resolvers = resolvers;
    options.trusted_resolver_count = 2;
    options.inside = run.wire.inside;
    options.inside_count = run.wire.inside_count;
    options.inside_resolvers = run.wire.inside_resolver;
    options.inside_resolver_count = run.wire.inside_resolver != NULL;
    if (pol_grants_new(run.ctx, &grants_options, &run.grants) != POL_OK)
        return differs("pol_grants_new");
    options.grants = run.grants;
    return pol_worker_new(run.ctx, &options, &run.worker) == POL_OK || differs("pol_worker_new");
}

/* A pair of ports, or one. What is inside is a list, some of the sources, or all of them. */
static void draw_ports(struct draw *draw)
{
    const struct model *model = &run.models[0];

    run.wire.one_port = draw_percent(draw, 30);
    run.wire.inside = run.inside;
    run.wire.inside_count = run.wire.one_port ? draw_below(draw, 3) : 0;
    for (uint32_t i = 0; i < run.wire.inside_count; i++) {
        const struct model_group *group = &model->groups[draw_below(draw, model->group_count)];

        run.inside[i] = draw_percent(draw, 70)
                            ? group->sources[draw_below(draw, group->source_count)]
                            : draw_prefix(draw, draw_percent(draw, 50));
    }
}

static bool begin(uint64_t seed)
{
    struct draw *draw = &run.world.draw;
    struct wire *wire = &run.wire;

    run.story_len = run.told = 0;
    run.story[0] = '\0';
    draw->state = seed * UINT64_C(0x2545f4914f6cdd1d);
    model_draw(&run.models[0], draw);
    without_tls(&run.models[0], draw);
    run.models[1] = run.models[0];
    model_change(&run.models[1], draw);
    without_tls(&run.models[1], draw);
    wire->grant_count = wire->flow_count = wire->query_count = wire->datagram_count = 0;
    wire->stream_count = 0;
    wire->book = &run.world.book;
    wire->has_begun = false;
    wire->generation = 0;
    wire->now = 2 * draw_below(draw, 50000) * POL_SECONDS;
    wire->resolvers = resolvers;
    wire->resolver_count = 2;
    run.ticked = draw_percent(draw, 50);
    run.used = 1;
    run.world.wire = wire;
    run.world.resolvers = resolvers;
    wire_world_begin(&run.world, &run.models[0]);
    wire->inside_resolver = draw_percent(draw, 30) ? &run.world.clients[0] : NULL;
    draw_ports(draw);
    return compile(0) && compile(1) && make_engine() && reload();
}

static void end(void)
{
    pol_worker_free(run.worker);
    pol_grants_free(run.grants);
    run.worker = NULL;
    run.grants = NULL;
    for (int i = 0; i < 2; i++) {
        pol_policy_unref(run.policies[i]);
        run.policies[i] = NULL;
    }
}

static bool play(uint64_t seed)
{
    bool same = begin(seed);

    for (uint32_t i = 1; same && i <= WORLD_STEPS; i++)
        same = step(i);
    end();
    return same;
}

static void read_resolvers(void)
{
    static const char *const texts[] = {"192.0.2.53", "2001:db8::53", "198.51.100.53"};

    for (int i = 0; i < 3; i++) {
        if (pol_addr_parse((pol_str){texts[i], strlen(texts[i])}, &resolvers[i]) != POL_OK)
            abort();
    }
}

int main(int argc, char **argv)
{
    uint64_t cases = 1000000, seed = 1, worlds, passed = 0;

    if (!args_read(argc, argv, &cases, &seed))
        return 2;
    linear_init();
    names_init();
    read_resolvers();
    if (pol_ctx_new(NULL, &run.ctx) != POL_OK)
        return 2;
    worlds = (cases + WORLD_STEPS - 1) / WORLD_STEPS;
    while (passed < worlds && play(seed + passed))
        passed++;
    pol_ctx_unref(run.ctx);
    if (passed < worlds)
        printf("again:  wire_oracle --cases 1 --seed %" PRIu64 "\n", seed + passed);
    return args_result(passed, worlds);
}
