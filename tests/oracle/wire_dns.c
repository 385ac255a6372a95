/* SPDX-License-Identifier: Apache-2.0 */
/* Queries, answers and what they grant. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { UDP = 17, DNS_PORT = 53, CHAIN_STEPS = 11, HEADER = 12 };

bool wire_trusts(const struct wire *wire, const pol_addr *addr)
{
    for (uint32_t i = 0; i < wire->resolver_count; i++) {
        if (memcmp(&wire->resolvers[i], addr, sizeof(*addr)) == 0)
            return true;
    }
    return false;
}

const pol_addr *wire_asker(const struct wire *wire, const pol_addr *client)
{
    const pol_addr *inside = wire->inside_resolver;

    return inside && memcmp(inside, client, sizeof(*client)) == 0 ? NULL : client;
}

/* --- grants --------------------------------------------------------------------------------- */

pol_mono wire_live_until(const struct wire *wire, const struct wire_grant *grant)
{
    pol_mono idle = grant->two_way ? wire->times.grant_idle_two_way : wire->times.grant_idle;

    return grant->used + idle > grant->by_answer ? grant->used + idle : grant->by_answer;
}

bool wire_is_live(const struct wire *wire, const struct wire_grant *grant)
{
    return wire->now < wire_live_until(wire, grant);
}

/* The grants as linear.c knows them, place by place. */
void wire_view(struct wire *wire)
{
    wire->view.count = wire->grant_count;
    for (uint32_t i = 0; i < wire->grant_count; i++) {
        const struct wire_grant *grant = &wire->grants[i];

        wire->view.list[i] = (struct linear_grant){
            .group_id = grant->group_id,
            .addr = grant->addr,
            .name = grant->name,
            .kind = grant->kind,
            .until = wire_live_until(wire, grant),
            .pinned = grant->flows > 0,
        };
    }
}

static struct wire_grant *find_grant(struct wire *wire, uint32_t group_id, int name,
                                     const pol_addr *addr)
{
    for (uint32_t i = 0; i < wire->grant_count; i++) {
        struct wire_grant *grant = &wire->grants[i];

        if (grant->group_id == group_id && grant->name == name &&
            memcmp(&grant->addr, addr, sizeof(*addr)) == 0)
            return grant;
    }
    return NULL;
}

static pol_mono clamp(const struct wire *wire, uint32_t ttl)
{
    pol_mono time = ttl * POL_SECONDS;

    time = time < wire->times.ttl_min ? wire->times.ttl_min : time;
    return time > wire->times.ttl_max ? wire->times.ttl_max : time;
}

static void grant_one(struct wire *wire, uint32_t group_id, int name, uint8_t kind,
                      const pol_addr *addr, uint32_t ttl)
{
    struct wire_grant *grant = find_grant(wire, group_id, name, addr);
    pol_mono until = wire->now + clamp(wire, ttl);

    if (!grant) {
        grant = &wire->grants[wire->grant_count++];
        *grant = (struct wire_grant){.group_id = group_id, .addr = *addr, .name = name};
    } else if (grant->flows == 0 && !wire_is_live(wire, grant)) {
        /* It was gone: this is another one. */
        *grant = (struct wire_grant){.group_id = group_id, .addr = *addr, .name = name};
    } else if (kind > grant->kind) {
        return; /* what a rule allowed lives by answers that a rule allowed */
    }
    grant->kind = kind;
    grant->used = wire->now;
    if (until > grant->by_answer)
        grant->by_answer = until;
}

/* --- what an answer says -------------------------------------------------------------------- */

struct reached {
    bool is[WIRE_NAMES];
    uint32_t ttl[WIRE_NAMES]; /* the smallest on the way */
};

/* One step from the names that were reached before. */
static bool step(const struct wire_message *answer, struct reached *reached)
{
    struct reached before = *reached;
    bool more = false;

    for (uint32_t i = 0; i < answer->record_count; i++) {
        const struct wire_record *record = &answer->records[i];

        if (record->target == NO_NAME || record->aside || !before.is[record->owner] ||
            reached->is[record->target])
            continue;
        reached->is[record->target] = more = true;
        reached->ttl[record->target] =
            record->ttl < before.ttl[record->owner] ? record->ttl : before.ttl[record->owner];
    }
    return more;
}

static void reach(const struct wire_message *answer, struct reached *reached)
{
    memset(reached, 0, sizeof(*reached));
    reached->is[answer->name] = true;
    reached->ttl[answer->name] = UINT32_MAX;
    for (int i = 0; i < CHAIN_STEPS && step(answer, reached); i++)
        continue;
}

static void teach(struct wire *wire, const struct wire_query *query, const pol_addr *addr,
                  uint32_t ttl)
{
    if (query->recorded)
        grant_one(wire, POL_NONE, query->name, POL_GRANT_RECORDED, addr, ttl);
    for (uint32_t i = 0; !query->recorded && i < query->asked.grantee_count; i++)
        grant_one(wire, query->group_ids[i], query->name, query->asked.kind, addr, ttl);
}

static void learn(struct wire *wire, const struct wire_query *query,
                  const struct wire_message *answer)
{
    struct reached reached;

    if (answer->rcode != 0)
        return;
    reach(answer, &reached);
    for (uint32_t i = 0; i < answer->record_count; i++) {
        const struct wire_record *record = &answer->records[i];
        uint32_t way;

        if (record->target != NO_NAME || record->aside || !reached.is[record->owner])
            continue;
        way = reached.ttl[record->owner];
        teach(wire, query, &record->addr, record->ttl < way ? record->ttl : way);
    }
}

/* --- queries -------------------------------------------------------------------------------- */

static bool is_same(const struct wire_query *query, const pol_tuple *tuple,
                    const struct wire_message *message)
{
    return memcmp(&query->tuple.src, &tuple->src, sizeof(tuple->src)) == 0 &&
           memcmp(&query->tuple.dst, &tuple->dst, sizeof(tuple->dst)) == 0 &&
           query->tuple.src_port == tuple->src_port && query->tuple.dst_port == tuple->dst_port &&
           query->tuple.proto == tuple->proto && query->id == message->id &&
           query->name == message->name && query->type == message->type;
}

static struct wire_query *find_query(struct wire *wire, const pol_tuple *tuple,
                                     const struct wire_message *message)
{
    for (uint32_t i = 0; i < wire->query_count; i++) {
        if (is_same(&wire->queries[i], tuple, message))
            return &wire->queries[i];
    }
    return NULL;
}

static void forget_late(struct wire *wire)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < wire->query_count; i++) {
        if (wire->now < wire->queries[i].at + wire->times.query)
            wire->queries[kept++] = wire->queries[i];
    }
    wire->query_count = kept;
}

static uint32_t group_id(const struct linear_list *list, uint32_t number)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->steps[i].group && list->steps[i].group_number == number)
            return list->steps[i].group->id;
    }
    abort();
}

static void let_through(struct wire *wire, const pol_tuple *tuple,
                        const struct wire_message *message, const struct linear_query *asked,
                        bool recorded)
{
    struct wire_query *query = find_query(wire, tuple, message);

    if (!query)
        query = &wire->queries[wire->query_count++];
    *query = (struct wire_query){
        .tuple = *tuple,
        .id = message->id,
        .type = message->type,
        .name = message->name,
        .at = wire->now,
        .recorded = recorded,
        .refused = asked->action != POL_ALLOW && !recorded,
        .asked = *asked,
    };
    for (uint32_t i = 0; i < asked->grantee_count; i++)
        query->group_ids[i] = group_id(wire->list, asked->grantees[i]);
}

/* Asked again and refused by the rules of now: the client has its answer. */
static void take_back(struct wire *wire, const pol_packet *packet,
                      const struct wire_message *message)
{
    struct wire_query *query = find_query(wire, &packet->tuple, message);

    if (query)
        *query = wire->queries[--wire->query_count];
}

/* Has any group that was asked a rule for names? Then its word counts, whatever packet rules say.
 */
static bool has_a_say(const struct linear_query *asked)
{
    return asked->group != POL_NONE;
}

static bool contains(const struct model_group *group, const pol_addr *addr)
{
    for (int i = 0; i < group->source_count; i++) {
        if (prefix_has(&group->sources[i], addr))
            return true;
    }
    return false;
}

/* The first group asked that has a rule for names, or NULL. */
static const struct linear_step *strict_group(const struct wire *wire, const pol_addr *client)
{
    for (uint32_t i = 0; i + 1 < wire->list->count; i++) {
        const struct linear_step *step = &wire->list->steps[i];

        if (client && !contains(step->group, client))
            continue;
        if (step->rule && step->rule->pattern != NO_PATTERN)
            return step;
        if (client && !step->rule && step->group->default_action != DEFAULT_NONE)
            return NULL;
    }
    return NULL;
}

/* What is no query, or not all of one, goes by the mode of who would have judged one, or is an
 * ordinary packet. */
static void judge_no_query(struct wire *wire, const pol_packet *packet, struct wire_verdict *out)
{
    const struct linear_step *strict = strict_group(wire, wire_asker(wire, &packet->tuple.src));

    if (!strict) {
        wire_ordinary(wire, packet, out);
        return;
    }
    out->reason = POL_WHY_MALFORMED;
    out->group = strict->group_number;
    if (packet->payload.len >= HEADER) /* there is an id to answer to */
        out->action = POL_ANSWER;
    if (strict->group->mode == MODE_AUDIT) {
        out->action = POL_ALLOW;
        out->flags = POL_V_AUDIT;
    }
}

static void answer_for_query(const struct linear_query *asked, struct wire_verdict *out)
{
    out->action = asked->action;
    out->raw_action = asked->raw_action;
    out->reason = asked->reason;
    out->group = asked->group;
    out->rule = asked->rule;
    out->flags = asked->audit ? POL_V_AUDIT : 0;
}

static void judge_query(struct wire *wire, const pol_packet *packet,
                        const struct wire_message *message, struct wire_verdict *out)
{
    struct linear_query asked;

    if (!message->present || message->answers || packet->marks & POL_MARK_FRAGMENT) {
        judge_no_query(wire, packet, out);
        return;
    }
    linear_ask(wire->list, wire_asker(wire, &packet->tuple.src), message->name, &asked);
    if (has_a_say(&asked)) {
        answer_for_query(&asked, out);
    } else {
        wire_ordinary(wire, packet, out);
    }
    if (out->action == POL_ALLOW || (wire->one_port && has_a_say(&asked)))
        let_through(wire, &packet->tuple, message, &asked, !has_a_say(&asked));
    else
        take_back(wire, packet, message);
}

/* --- answers -------------------------------------------------------------------------------- */

static pol_tuple swapped(const pol_tuple *tuple)
{
    pol_tuple other = *tuple;

    other.src = tuple->dst;
    other.dst = tuple->src;
    other.src_port = tuple->dst_port;
    other.dst_port = tuple->src_port;
    return other;
}

/* A, AAAA, SVCB, HTTPS, ANY: nobody may hold an address from a piece that was not read. */
static bool asks_for_addresses(uint16_t type)
{
    return type == 1 || type == 28 || type == 64 || type == 65 || type == 255;
}

static void judge_answer(struct wire *wire, const pol_packet *packet,
                         const struct wire_message *message, struct wire_verdict *out)
{
    pol_tuple asked = swapped(&packet->tuple);
    struct wire_query *query = NULL, copy;

    if (message->present && message->answers)
        query = find_query(wire, &asked, message);
    if (!query) {
        out->reason = POL_WHY_DNS_UNSOLICITED;
        out->flags = POL_V_REPLY;
        return;
    }
    if (!query->refused && packet->marks & POL_MARK_FRAGMENT && asks_for_addresses(query->type)) {
        out->reason = POL_WHY_FRAGMENT; /* the query stays open */
        out->flags = POL_V_REPLY;
        return;
    }
    copy = *query;
    *query = wire->queries[--wire->query_count];
    if (copy.refused) {
        answer_for_query(&copy.asked, out);
        out->action = POL_DENY;
        out->flags = POL_V_REPLY;
        return;
    }
    learn(wire, &copy, message);
    if (copy.recorded) { /* its flow was opened by packet rules and carries the answer */
        wire_ordinary(wire, packet, out);
        return;
    }
    out->action = out->raw_action = POL_ALLOW;
    out->reason = POL_WHY_DNS_QUERY;
    out->group = copy.asked.group;
    out->rule = copy.asked.rule;
    out->flags = POL_V_REPLY;
}

/* --- over TCP ------------------------------------------------------------------------------- */

void wire_deny_dns(struct wire *wire, struct wire_flow *flow, uint16_t reason, uint32_t group,
                   uint32_t rule)
{
    flow->out = (struct linear_outcome){
        .action = POL_DENY, .raw_action = POL_DENY, .reason = reason, .group = group, .rule = rule};
    flow->denied = true;
    wire_end_streams(wire, flow);
}

/* Nobody reads it any more: what comes goes by the list. */
static void stop_reading(struct wire *wire, struct wire_flow *flow)
{
    flow->dns = false;
    flow->facts.tls = HELLO_NOT;
    flow->facts.spoken = true;
    wire_end_streams(wire, flow);
}

void wire_no_query(struct wire *wire, struct wire_flow *flow)
{
    const struct linear_step *strict = strict_group(wire, wire_asker(wire, &flow->tuple.src));

    if (strict ? strict->group->mode == MODE_AUDIT : wire_passes(wire, flow))
        stop_reading(wire, flow);
    else
        wire_deny_dns(wire, flow, POL_WHY_MALFORMED, strict ? strict->group_number : POL_NONE,
                      POL_NONE);
}

void wire_tcp_query(struct wire *wire, struct wire_flow *flow, const struct wire_message *message)
{
    struct linear_query asked;
    bool passes;

    if (!message || message->answers) {
        wire_no_query(wire, flow);
        return;
    }
    linear_ask(wire->list, wire_asker(wire, &flow->tuple.src), message->name, &asked);
    passes = has_a_say(&asked) ? asked.action == POL_ALLOW : wire_passes(wire, flow);
    if (passes)
        let_through(wire, &flow->tuple, message, &asked, !has_a_say(&asked));
    else
        wire_deny_dns(wire, flow, asked.reason, asked.group, asked.rule);
}

/* Whatever answers no open query ends the connection: nothing is sent that was not learned. */
void wire_tcp_answer(struct wire *wire, struct wire_flow *flow, const struct wire_message *message)
{
    struct wire_query *query = NULL, copy;

    if (message && message->answers)
        query = find_query(wire, &flow->tuple, message);
    if (!query) {
        wire_deny_dns(wire, flow, POL_WHY_DNS_UNSOLICITED, POL_NONE, POL_NONE);
        return;
    }
    copy = *query;
    *query = wire->queries[--wire->query_count];
    learn(wire, &copy, message);
}

bool wire_dns(struct wire *wire, const pol_packet *packet, const struct wire_message *message,
              struct wire_verdict *out)
{
    const pol_tuple *tuple = &packet->tuple;
    bool inside = packet->side == POL_SIDE_INSIDE;

    forget_late(wire);
    if (tuple->proto != UDP || packet->marks & POL_MARK_NO_L4)
        return false;
    if (inside && tuple->dst_port == DNS_PORT && wire_trusts(wire, &tuple->dst)) {
        judge_query(wire, packet, message, out);
        return true;
    }
    if (!inside && tuple->src_port == DNS_PORT && wire_trusts(wire, &tuple->src)) {
        judge_answer(wire, packet, message, out);
        return true;
    }
    return false;
}
