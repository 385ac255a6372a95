/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <libpolicy/policy.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dnsmsg.h"
#include "hello.h"
#include "session.h"

enum {
    POOL = 14,         /* addresses that answers hold and packets go to */
    TAUGHT_MAX = 1500, /* grants per world, so that no cap is near: grants_oracle tests those */
    TEACH_EVERY = 40,  /* cases */
    EVENTS = 64,
    REPORT_BYTES = 1 << 20,
    JSON_BYTES = 1 << 20
};

struct world {
    struct draw draw;
    struct model models[2];
    struct linear_list lists[2];
    pol_policy *policies[2];
    int used; /* the policy in use */
    uint64_t generation;
    pol_mono now;
    bool reject;

    pol_ctx *ctx;
    pol_grants *engine_grants;
    pol_worker *worker;
    struct linear_grants grants;
    struct session session;
    pol_addr pool[POOL];
    uint16_t query_id;

    pol_packet packet;   /* that opened the flow of this case */
    uint32_t client_seq; /* of the client's next octet */
    uint32_t server_isn, server_seq;
    bool server_answered, established; /* the handshake, if it was seen from its beginning */
    pol_bytes kept;                    /* of the client's octets, as the session holds them */
    uint32_t kept_seq;
    pol_event events[EVENTS];
    struct dnsmsg query, answer;

    char *json, *report;
    size_t report_len;
    char story[4096]; /* what happened in this case, a line per packet */
    size_t story_len;
};

/* --- hellos --------------------------------------------------------------------------------- */

static struct {
    uint8_t bytes[512];
    size_t len;
} hellos[NAME_COUNT + 1]; /* the last one names no server */

static const uint8_t broken_hello[] = {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0};
static const char plain_http[] = "GET / HTTP/1.0\r\n\r\n";

void world_init(void)
{
    static struct hello hello;

    linear_init();
    names_init();
    for (int i = 0; i <= NAME_COUNT; i++) {
        hello_build(&hello, &(struct hello_options){.sni = i < NAME_COUNT ? name_texts[i] : NULL,
                                                    .tls13 = i % 2});
        if (hello.len > sizeof(hellos[i].bytes))
            abort();
        memcpy(hellos[i].bytes, hello.bytes, hello.len);
        hellos[i].len = hello.len;
    }
}

/* --- what to say about a difference --------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void tell(struct world *world, const char *format, ...)
{
    size_t room = sizeof(world->story) - world->story_len;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(world->story + world->story_len, room, format, args);
    va_end(args);
    world->story_len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}

__attribute__((format(printf, 2, 3))) static void say(struct world *world, const char *format, ...)
{
    size_t room = REPORT_BYTES - world->report_len;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(world->report + world->report_len, room, format, args);
    va_end(args);
    world->report_len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}

static void say_grants(struct world *world)
{
    char text[POL_ADDR_TEXT];

    for (uint32_t i = 0; i < world->grants.count; i++) {
        const struct linear_grant *grant = &world->grants.list[i];

        pol_addr_format(&grant->addr, text);
        say(world, "grant   g%u %s %s %s until %.0f s%s\n", grant->group_id, text,
            name_texts[grant->name], grant->kind == POL_GRANT_ALLOWED ? "allowed" : "observed",
            (double)grant->until / 1e9, grant->pinned ? " pinned" : "");
    }
}

static bool differ(struct world *world, const char *what)
{
    say(world, "they differ in: %s\npolicy in use is number %d, generation %llu, now %.3f s\n",
        what, world->used, (unsigned long long)world->generation, (double)world->now / 1e9);
    for (int i = 0; i < 2; i++) {
        model_json(&world->models[i], world->json, JSON_BYTES);
        say(world, "policy %d\n%s", i, world->json);
    }
    say_grants(world);
    say(world, "%s", world->story);
    return false;
}

/* --- packets against the session ------------------------------------------------------------ */

static uint8_t expected_action(const struct world *world, bool reply)
{
    static const uint8_t actions[] = {
        [SESSION_ALLOWED] = POL_ALLOW,
        [SESSION_PENDING] = POL_PENDING,
        [SESSION_INTERCEPT] = POL_INTERCEPT,
    };

    if (world->session.state != SESSION_DENIED)
        return actions[world->session.state];
    return world->reject && !reply ? POL_REJECT : POL_DENY;
}

static void tell_packet(struct world *world, const pol_packet *packet)
{
    char src[POL_ADDR_TEXT], dst[POL_ADDR_TEXT];

    pol_addr_format(&packet->tuple.src, src);
    pol_addr_format(&packet->tuple.dst, dst);
    tell(world,
         "packet  t=%.3f %s:%u > %s:%u proto %u flags 0x%02x icmp %u/%u seq %u ack %u "
         "payload %zu\n",
         (double)world->now / 1e9, src, packet->tuple.src_port, dst, packet->tuple.dst_port,
         packet->tuple.proto, packet->tcp_flags, packet->icmp_type, packet->icmp_code,
         packet->tcp_seq, packet->tcp_ack, packet->payload.len);
}

static void tell_answers(struct world *world, const pol_verdict *verdict, uint8_t action)
{
    const struct session *session = &world->session;

    tell(world, "library %s raw %s group %d rule %d %s flags 0x%x\n",
         pol_action_word(verdict->action), pol_action_word(verdict->raw_action),
         (int)verdict->group, (int)verdict->rule, pol_reason_word(verdict->reason), verdict->flags);
    tell(world, "oracle  %s raw %s group %d rule %d %s flags 0x%x\n", pol_action_word(action),
         pol_action_word(session->raw_action), (int)session->group, (int)session->rule,
         pol_reason_word(session->reason), session->flags);
}

/* The findings of one packet. */
static bool same_denials(struct world *world)
{
    size_t count = pol_worker_drain(world->worker, world->events, EVENTS);
    const struct session *session = &world->session;
    unsigned found = 0;

    for (size_t i = 0; i < count; i++) {
        const pol_verdict *verdict = &world->events[i].verdict;
        const struct session_denial *denial = &session->denials[found];

        if (world->events[i].kind != POL_EV_DENY)
            continue;
        tell(world, "library finds group %d rule %d %s\n", (int)verdict->group, (int)verdict->rule,
             verdict->flags & POL_V_AUDIT ? "audit" : "enforce");
        if (found++ >= session->denial_count || verdict->group != denial->group ||
            verdict->rule != denial->rule || !(verdict->flags & POL_V_AUDIT) == denial->audit)
            return false;
    }
    return found == session->denial_count;
}

static bool same_verdict(struct world *world, const pol_packet *packet, bool reply)
{
    const uint32_t flags = POL_V_OPENED | POL_V_KNOWN | POL_V_REJUDGED | POL_V_WATCHED |
                           POL_V_AUDIT | POL_V_NAMED | POL_V_SNI_SEEN | POL_V_SNI_MISMATCH;
    const struct session *session = &world->session;
    uint8_t action = expected_action(world, reply);
    pol_verdict verdict;

    pol_worker_decide(world->worker, packet, world->now, &verdict);
    tell_packet(world, packet);
    tell_answers(world, &verdict, action);
    if (verdict.action != action || verdict.raw_action != session->raw_action)
        return differ(world, "action");
    if (verdict.group != session->group || verdict.rule != session->rule)
        return differ(world, "group or rule");
    if (verdict.reason != session->reason)
        return differ(world, "reason");
    if ((verdict.flags & flags) != session->flags)
        return differ(world, "flags");
    if (verdict.generation != world->generation && verdict.flags & POL_V_REJUDGED)
        return differ(world, "generation");
    return same_denials(world) || differ(world, "findings");
}

/* --- drawing packets ------------------------------------------------------------------------ */

static const struct model_rule *some_rule(struct world *world)
{
    struct model *model = &world->models[world->used];

    return model->rule_count ? &model->rules[draw_below(&world->draw, model->rule_count)] : NULL;
}

static pol_addr some_destination(struct world *world, const struct model_rule *rule,
                                 const pol_addr *src)
{
    struct draw *draw = &world->draw;

    for (;;) {
        bool ruled = rule && rule->dst_count && draw_percent(draw, 60);
        pol_prefix prefix =
            ruled ? rule->dst[draw_below(draw, rule->dst_count)] : draw_prefix(draw, false);
        pol_addr addr = draw_address(draw, &prefix);

        if (!ruled && draw_percent(draw, 80))
            addr = world->pool[draw_below(draw, POOL)];
        if (addr.family == src->family && memcmp(&addr, src, sizeof(addr)) != 0)
            return addr;
    }
}

static uint16_t some_port(struct draw *draw, const struct model_range *ranges, int count)
{
    const struct model_range *range = &ranges[draw_below(draw, (uint32_t)count + 1)];

    if (range == &ranges[count] || draw_percent(draw, 15))
        return draw_port(draw);
    switch (draw_below(draw, 6)) {
    case 0:
        return (uint16_t)(range->first - 1);
    case 1:
        return (uint16_t)(range->last + 1);
    case 2:
        return range->first;
    case 3:
        return range->last;
    default:
        return (uint16_t)draw_between(draw, range->first, range->last);
    }
}

static uint8_t some_octet(struct draw *draw, const uint8_t *octets, int count)
{
    static const uint8_t common[] = {0, 3, 8, 11, 1, 4, 5, 128, 129};

    if (count && draw_percent(draw, 70))
        return octets[draw_below(draw, (uint32_t)count)];
    return common[draw_below(draw, sizeof(common))];
}

static void draw_facts(struct world *world, struct linear_facts *facts)
{
    static const struct model_rule anything = {.any_proto = true};
    const struct model *model = &world->models[world->used];
    const struct model_group *group = &model->groups[draw_below(&world->draw, model->group_count)];
    const struct model_rule *rule = some_rule(world);
    struct draw *draw = &world->draw;

    if (!rule || draw_percent(draw, 10))
        rule = &anything;
    else if (group->rule_count && draw_percent(draw, 70))
        rule = &model->rules[group->first_rule + draw_below(draw, group->rule_count)];
    *facts = (struct linear_facts){.sni = NO_NAME, .tls = HELLO_NOT};
    facts->src = draw_address(draw, &group->sources[draw_below(draw, group->source_count)]);
    facts->dst = some_destination(world, rule, &facts->src);
    facts->proto = rule->any_proto ? (draw_percent(draw, 50) ? 6 : draw_proto(draw)) : rule->proto;
    if (facts->proto == 1 || facts->proto == 58) {
        facts->icmp_type = some_octet(draw, rule->types, rule->type_count);
        facts->icmp_code = some_octet(draw, rule->codes, rule->code_count);
    } else {
        facts->src_port = some_port(draw, rule->src_ports, rule->src_port_count);
        facts->dst_port = some_port(draw, rule->dst_ports, rule->dst_port_count);
    }
}

static bool proto_has_ports(uint8_t proto)
{
    return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}

static void make_packet(struct world *world, const struct linear_facts *facts)
{
    bool icmp = facts->proto == 1 || facts->proto == 58;

    world->packet = (pol_packet){
        .tuple = {.src = facts->src, .dst = facts->dst, .proto = facts->proto},
        .kind = POL_PKT_IP,
        .side = POL_SIDE_INSIDE,
        .hop_limit = 64,
        .icmp_type = facts->icmp_type,
        .icmp_code = facts->icmp_code,
        .ether_type = facts->src.family == 4 ? 0x0800 : 0x86dd,
        .tcp_seq = (uint32_t)draw_u64(&world->draw),
        .wire_len = 74,
        .ip_len = 60,
    };
    world->client_seq = world->packet.tcp_seq + 1;
    world->server_isn = (uint32_t)draw_u64(&world->draw);
    world->server_seq = world->server_isn + 1;
    world->server_answered = world->established = false;
    world->kept.len = 0;
    if (icmp) {
        world->packet.tuple.src_port = (uint16_t)draw_below(&world->draw, 65536);
    } else if (!proto_has_ports(facts->proto)) {
        world->packet.marks = POL_MARK_NO_L4;
    } else {
        world->packet.tuple.src_port = facts->src_port;
        world->packet.tuple.dst_port = facts->dst_port;
    }
}

/* --- one case ------------------------------------------------------------------------------- */

static int some_sni(struct world *world)
{
    const struct linear_grants *grants = &world->grants;

    if (grants->count && draw_percent(&world->draw, 50))
        return grants->list[draw_below(&world->draw, grants->count)].name;
    return draw_percent(&world->draw, 10) ? NO_NAME : (int)draw_below(&world->draw, NAME_COUNT);
}

static bool is_begun(const struct world *world)
{
    return (world->packet.tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) == POL_TCP_SYN;
}

/* Does the segment say something else than what is kept? */
static bool contradicts(const struct world *world, uint32_t seq, pol_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint32_t at = seq + (uint32_t)i - world->kept_seq;

        if (at < world->kept.len && world->kept.ptr[at] != bytes.ptr[i])
            return true;
    }
    return false;
}

/* Does it begin before what is kept, or make some of that urgent? */
static bool interferes(const struct world *world, const pol_packet *packet)
{
    uint32_t first = world->kept_seq;

    if (packet->tcp_flags & POL_TCP_URG)
        first += (uint32_t)world->kept.len;
    return world->kept.len && (int32_t)(packet->tcp_seq - first) < 0;
}

/* What the session holds after a segment it has read. */
static void keep(struct world *world, uint32_t seq, pol_bytes bytes)
{
    uint32_t at;

    if (!world->session.holds) {
        world->kept.len = 0;
        return;
    }
    if (world->kept.len == 0)
        world->kept_seq = seq;
    at = seq - world->kept_seq;
    if (at <= world->kept.len && at + bytes.len > world->kept.len)
        world->kept = (pol_bytes){bytes.ptr - at, at + bytes.len};
}

/* One segment of the client. What nobody has read may come again. */
static bool client_segment(struct world *world, pol_packet *packet, bool reloaded,
                           enum session_payload payload, int sni)
{
    struct session *session = &world->session;
    struct session_segment segment = {.payload = payload, .sni = sni};
    uint32_t end = packet->tcp_seq + (uint32_t)packet->payload.len;
    bool unread = session->facts.tls == HELLO_UNKNOWN;

    segment.differs = contradicts(world, packet->tcp_seq, packet->payload) ||
                      (payload == PAYLOAD_EARLY && interferes(world, packet));
    session_packet(session, reloaded, &segment);
    if (unread || !session->holds)
        keep(world, packet->tcp_seq, packet->payload);
    if (session->facts.tls != HELLO_UNKNOWN && (int32_t)(end - world->client_seq) > 0)
        world->client_seq = end;
    world->established |= world->server_answered;
    return same_verdict(world, packet, false);
}

/* A hello in one or two segments, or only its beginning. */
static bool client_hello(struct world *world, pol_packet *packet, bool reloaded)
{
    int sni = some_sni(world);
    const uint8_t *bytes = hellos[sni == NO_NAME ? NAME_COUNT : sni].bytes;
    size_t len = hellos[sni == NO_NAME ? NAME_COUNT : sni].len, cut;

    tell(world, "hello   %s\n", sni == NO_NAME ? "without a name" : name_texts[sni]);
    if (draw_percent(&world->draw, 40)) {
        cut = draw_between(&world->draw, 1, (uint32_t)len - 1);
        packet->payload = (pol_bytes){bytes, cut};
        if (!client_segment(world, packet, reloaded, PAYLOAD_PART, NO_NAME))
            return false;
        if (draw_percent(&world->draw, 25))
            return true;
        packet->tcp_seq += (uint32_t)cut;
        bytes += cut;
        len -= cut;
        reloaded = false;
    }
    packet->payload = (pol_bytes){bytes, len};
    return client_segment(world, packet, reloaded, PAYLOAD_HELLO, sni);
}

/* Urgent octets, octets before the first (if anybody knows which that is) and keep-alives. */
static bool client_oddity(struct world *world, pol_packet *packet, bool reloaded)
{
    bool placed = is_begun(world) || world->session.holds;
    unsigned what = placed ? draw_below(&world->draw, 3) : 0;

    packet->payload = (pol_bytes){(const uint8_t *)plain_http, sizeof(plain_http) - 1};
    if (what == 0)
        packet->tcp_flags |= POL_TCP_URG;
    else if (what == 1)
        packet->tcp_seq -= draw_between(&world->draw, 2, 30);
    if (what < 2)
        return client_segment(world, packet, reloaded, PAYLOAD_EARLY, NO_NAME);
    packet->tcp_seq--;
    packet->payload.len = draw_below(&world->draw, 2);
    return client_segment(world, packet, reloaded, PAYLOAD_NONE, NO_NAME);
}

/* The client's next octets, or once more those that the server may not have. */
static bool client_payload(struct world *world, pol_packet *packet, bool reloaded)
{
    packet->tcp_seq = world->client_seq;
    if (world->kept.len && draw_percent(&world->draw, 30))
        packet->tcp_seq = world->kept_seq;
    switch (draw_below(&world->draw, 16)) {
    case 0:
    case 1:
        packet->payload = (pol_bytes){(const uint8_t *)plain_http, sizeof(plain_http) - 1};
        return client_segment(world, packet, reloaded, PAYLOAD_OTHER, NO_NAME);
    case 2:
    case 3:
        packet->payload = (pol_bytes){broken_hello, sizeof(broken_hello)};
        return client_segment(world, packet, reloaded, PAYLOAD_BROKEN, NO_NAME);
    case 4:
        return client_oddity(world, packet, reloaded);
    default:
        return client_hello(world, packet, reloaded);
    }
}

static bool reload(struct world *world)
{
    world->used = !world->used;
    world->generation++;
    world->session.list = &world->lists[world->used];
    tell(world, "reload  to policy %d\n", world->used);
    return pol_worker_use(world->worker, world->policies[world->used], world->generation) == POL_OK;
}

static void let_time_pass(struct world *world, pol_mono time)
{
    world->now += time;
    world->session.now = world->now;
}

/* A query and its reply are of different types; other types have none. */
static bool answer_icmp(pol_packet *packet)
{
    static const uint8_t pairs[][3] = {{1, 8, 0}, {1, 13, 14}, {58, 128, 129}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        for (int query = 1; query <= 2; query++) {
            if (packet->tuple.proto == pairs[i][0] && packet->icmp_type == pairs[i][query]) {
                packet->icmp_type = pairs[i][3 - query];
                return true;
            }
        }
    }
    return false;
}

/* What comes from outside to such an address is multicast, whoever claims it as a source. */
static bool is_group(const pol_addr *addr)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};

    if (addr->family == 6)
        return addr->bytes[0] == 0xff;
    return addr->bytes[0] >> 4 == 0xe || memcmp(addr->bytes, broadcast, sizeof(broadcast)) == 0;
}

/* Turns the packet round; false when nobody would answer it. */
static bool make_reply(pol_packet *packet)
{
    pol_tuple tuple = packet->tuple;
    bool icmp = tuple.proto == 1 || tuple.proto == 58;

    if (is_group(&tuple.src) || (icmp && !answer_icmp(packet)))
        return false;
    packet->tuple.src = tuple.dst;
    packet->tuple.dst = tuple.src;
    packet->side = POL_SIDE_OUTSIDE;
    if (!icmp) {
        packet->tuple.src_port = tuple.dst_port;
        packet->tuple.dst_port = tuple.src_port;
    }
    return true;
}

static bool server_segment(struct world *world, pol_packet *packet, bool reloaded, bool speaks)
{
    struct session_segment segment = {.payload = speaks ? PAYLOAD_SERVER : PAYLOAD_NONE};
    uint32_t kept_end = world->kept_seq + (uint32_t)world->kept.len, missing;

    if (draw_percent(&world->draw, 70) && !(packet->tcp_flags & POL_TCP_SYN))
        packet->tcp_ack = world->kept.len && world->session.reading ? kept_end : world->client_seq;
    missing = kept_end - packet->tcp_ack;
    segment.acks = packet->tcp_flags & POL_TCP_ACK && (missing == 0 || missing > INT32_MAX);
    if (speaks) {
        packet->payload = (pol_bytes){(const uint8_t *)"220 ready\r\n", 11};
        world->server_seq += (uint32_t)packet->payload.len;
    }
    session_packet(&world->session, reloaded, &segment);
    keep(world, world->kept_seq, world->kept);
    return same_verdict(world, packet, true);
}

/* Whether the client may begin another connection without the flow making room for it at once. */
static bool can_ask_again(const struct world *world, bool reloaded)
{
    const struct session *session = &world->session;

    return world->established && !reloaded && session->state == SESSION_ALLOWED &&
           session->deadline > world->now;
}

/* The client begins another connection; that may be near the old one. */
static bool ask_again(struct world *world)
{
    static const struct session_segment empty = {.payload = PAYLOAD_NONE};
    unsigned far = draw_below(&world->draw, 2) ? 100 : 1u << 30;
    pol_packet syn = world->packet;

    syn.tcp_seq += draw_between(&world->draw, 1, far);
    syn.tcp_flags = POL_TCP_SYN;
    syn.payload = (pol_bytes){NULL, 0};
    session_packet(&world->session, false, &empty);
    return same_verdict(world, &syn, false);
}

/* The server has forgotten this connection and answers to another one's SYN. */
static bool server_forgets(struct world *world, pol_packet *packet)
{
    if (!ask_again(world))
        return false;
    packet->tcp_ack += draw_between(&world->draw, 0, 1u << 30);
    session_forgotten(&world->session);
    return same_verdict(world, packet, true);
}

/* The server's half of the handshake, of another connection's, or of none. */
static bool server_syn(struct world *world, pol_packet *packet, bool reloaded)
{
    unsigned what = draw_below(&world->draw, 5);

    packet->tcp_seq = world->server_isn;
    packet->tcp_flags = POL_TCP_SYN | POL_TCP_ACK;
    if (what == 0) {
        packet->tcp_flags = POL_TCP_SYN;
    } else if (what == 1 && is_begun(world)) {
        if (can_ask_again(world, reloaded) && draw_percent(&world->draw, 50))
            return server_forgets(world, packet);
        packet->tcp_ack -= draw_between(&world->draw, 1, 1u << 30);
    } else {
        world->server_answered |= is_begun(world);
    }
    return server_segment(world, packet, reloaded, false);
}

static bool tcp_reply(struct world *world, pol_packet *packet, bool reloaded)
{
    unsigned what = draw_below(&world->draw, 6);

    packet->tcp_seq = world->server_seq;
    packet->tcp_ack = world->packet.tcp_seq + is_begun(world);
    if (what < 2)
        return server_segment(world, packet, reloaded, true);
    return what == 2 ? server_syn(world, packet, reloaded)
                     : server_segment(world, packet, reloaded, false);
}

static bool later_packet(struct world *world, bool reloaded)
{
    static const struct session_segment empty = {.payload = PAYLOAD_NONE};
    struct session *session = &world->session;
    pol_packet packet = world->packet;
    unsigned what = draw_below(&world->draw, 10);
    bool reply = what < 3 && make_reply(&packet);

    packet.payload = (pol_bytes){NULL, 0};
    if (packet.tuple.proto == 6) {
        packet.tcp_flags = POL_TCP_ACK;
        packet.tcp_seq = world->client_seq;
        if (reply)
            return tcp_reply(world, &packet, reloaded);
        if (what > 4)
            return client_payload(world, &packet, reloaded);
        return client_segment(world, &packet, reloaded, PAYLOAD_NONE, NO_NAME);
    }
    session_packet(session, reloaded, &empty);
    return same_verdict(world, &packet, reply);
}

static bool follow_ups(struct world *world)
{
    unsigned count = draw_below(&world->draw, 4);
    bool waited = false;

    for (unsigned i = 0; i < count; i++) {
        bool reloaded = draw_percent(&world->draw, 25), wait = draw_percent(&world->draw, 6);

        /* Which of several names a flow holds is nobody's business, so none may run out. */
        if (world->session.carrier_count > 1 && (wait || waited))
            return true;
        if (wait)
            let_time_pass(world, draw_between(&world->draw, 1, 200) * POL_SECONDS);
        waited |= wait;
        if (reloaded && !reload(world))
            return differ(world, "pol_worker_use");
        if (!later_packet(world, reloaded))
            return false;
        if (world->session.reason == POL_WHY_MIDSTREAM)
            return true; /* it is gone */
    }
    return true;
}

/* What a TCP packet that finds no flow carries. */
static struct session_segment draw_first_data(struct world *world)
{
    int sni = some_sni(world);
    pol_bytes *bytes = &world->packet.payload;
    unsigned what = draw_below(&world->draw, 10);

    if (what < 3) {
        *bytes = (pol_bytes){(const uint8_t *)plain_http, sizeof(plain_http) - 1};
        return (struct session_segment){.payload = PAYLOAD_OTHER, .sni = NO_NAME};
    }
    if (what == 3) {
        *bytes = (pol_bytes){broken_hello, sizeof(broken_hello)};
        return (struct session_segment){.payload = PAYLOAD_BROKEN, .sni = NO_NAME};
    }
    bytes->ptr = hellos[sni == NO_NAME ? NAME_COUNT : sni].bytes;
    bytes->len = hellos[sni == NO_NAME ? NAME_COUNT : sni].len;
    if (what > 4)
        return (struct session_segment){.payload = PAYLOAD_HELLO, .sni = sni};
    bytes->len = draw_between(&world->draw, 1, (uint32_t)bytes->len - 1);
    return (struct session_segment){.payload = PAYLOAD_PART, .sni = NO_NAME};
}

/* A TCP packet that begins the flow, or finds it missing. */
static struct session_segment draw_tcp_opening(struct world *world, struct linear_facts *facts)
{
    unsigned what = draw_below(&world->draw, 20);
    pol_packet *packet = &world->packet;

    facts->tls = HELLO_UNKNOWN;
    packet->tcp_flags = what < 2    ? POL_TCP_ACK
                        : what == 2 ? POL_TCP_RST | POL_TCP_ACK
                                    : POL_TCP_SYN;
    facts->forwarded = what < 3;
    if (what == 2)
        facts->tls = HELLO_NOT;
    if (what < 3)
        world->client_seq = packet->tcp_seq;
    if (what != 1 && what != 3)
        return (struct session_segment){.payload = PAYLOAD_NONE, .sni = NO_NAME};
    return draw_first_data(world);
}

static bool is_icmp_error(const struct linear_facts *facts)
{
    uint8_t type = facts->icmp_type;

    if (facts->proto == 1)
        return type == 3 || type == 4 || type == 11 || type == 12;
    return facts->proto == 58 && type >= 1 && type <= 4;
}

static bool is_icmp_reply(const struct linear_facts *facts)
{
    uint8_t type = facts->icmp_type;

    if (facts->proto == 1)
        return type == 0 || type == 9 || type == 14 || type == 16 || type == 18;
    return facts->proto == 58 && (type == 129 || type == 140);
}

static bool play_case(struct world *world)
{
    struct session_segment segment = {.payload = PAYLOAD_NONE, .sni = NO_NAME};
    struct linear_facts facts;
    bool stays;

    draw_facts(world, &facts);
    make_packet(world, &facts);
    if (facts.proto == 6)
        segment = draw_tcp_opening(world, &facts);
    stays = !(world->packet.tcp_flags & POL_TCP_RST) && !is_icmp_reply(&facts);
    if (is_icmp_error(&facts) && draw_percent(&world->draw, 50)) {
        /* An error about a datagram nobody knows: judged, but it begins nothing. */
        world->packet.marks |= POL_MARK_ICMP_ERROR;
        stays = false;
    }
    session_open(&world->session, &facts, &segment, stays);
    keep(world, world->client_seq, world->packet.payload);
    if (world->session.facts.tls != HELLO_UNKNOWN)
        world->client_seq += (uint32_t)world->packet.payload.len;
    if (!same_verdict(world, &world->packet, false))
        return false;
    if (pol_worker_flow_count(world->worker) != (world->session.flags & POL_V_OPENED ? 1 : 0))
        return differ(world, "number of flows");
    return !(world->session.flags & POL_V_OPENED) || follow_ups(world);
}

static bool end_case(struct world *world)
{
    session_end(&world->session);
    pol_worker_flush(world->worker, world->now);
    pol_worker_drain(world->worker, world->events, EVENTS);
    return pol_worker_flow_count(world->worker) == 0 || differ(world, "flows left");
}

/* --- names ---------------------------------------------------------------------------------- */

static pol_addr some_client(struct world *world)
{
    const struct model *model = &world->models[world->used];
    const struct model_group *group = &model->groups[draw_below(&world->draw, model->group_count)];

    return draw_address(&world->draw,
                        &group->sources[draw_below(&world->draw, group->source_count)]);
}

static void mix_case(struct draw *draw, const char *name, char *ret_text)
{
    do {
        bool letter = *name >= 'a' && *name <= 'z';

        *ret_text++ = letter && draw_percent(draw, 20) ? (char)(*name - 32) : *name;
    } while (*name++);
}

static bool same_query(struct world *world, const struct linear_query *expected,
                       const pol_dns_query *query, const pol_verdict *verdict)
{
    pol_policy *policy = world->policies[world->used];

    if (verdict->action != expected->action || verdict->raw_action != expected->raw_action ||
        !(verdict->flags & POL_V_AUDIT) == expected->audit)
        return differ(world, "action on a query");
    if (verdict->group != expected->group || verdict->rule != expected->rule ||
        verdict->reason != expected->reason)
        return differ(world, "group, rule or reason of a query");
    if (verdict->action != POL_ALLOW)
        return true;
    if (query->kind != expected->kind || query->grantee_count != expected->grantee_count)
        return differ(world, "kind or number of grantees");
    for (uint32_t i = 0; i < expected->grantee_count; i++) {
        if (query->grantees[i] != pol_policy_group_key(policy, expected->grantees[i]))
            return differ(world, "grantees");
    }
    return true;
}

static bool teach(struct world *world, const struct linear_query *expected, int name,
                  const pol_dns_query *query)
{
    uint32_t count = draw_between(&world->draw, 1, 3);
    struct linear_grants *grants = &world->grants;
    uint32_t before = grants->count, ttl;
    pol_dns_learned learned;
    char text[POL_ADDR_TEXT];

    dnsmsg_response(&world->answer, &world->query, 0);
    for (uint32_t i = 0; i < count; i++) {
        const pol_addr *addr = &world->pool[draw_below(&world->draw, POOL)];

        ttl = draw_between(&world->draw, 5, 600);
        pol_addr_format(addr, text);
        dnsmsg_address(&world->answer, name_texts[name], ttl, text);
        tell(world, "answer  %s ttl %u\n", text, ttl);
        linear_learn(&world->lists[world->used], grants, expected, name, addr, ttl * POL_SECONDS,
                     world->now);
    }
    if (pol_dns_learn(world->worker, query, (pol_bytes){world->answer.bytes, world->answer.len},
                      world->now, &learned) != POL_OK)
        return differ(world, "pol_dns_learn");
    return learned.added == grants->count - before || differ(world, "number of grants");
}

/* It asks on behalf of others, and no group need contain it. */
static const pol_addr inside_resolver = {.family = 4, .bytes = {10, 77, 77, 53}};

static bool ask(struct world *world)
{
    pol_addr client = draw_percent(&world->draw, 10) ? inside_resolver : some_client(world);
    bool for_all = memcmp(&client, &inside_resolver, sizeof(client)) == 0;
    int name = (int)draw_below(&world->draw, NAME_COUNT);
    char text[POL_ADDR_TEXT], mixed[POL_NAME_MAX + 1];
    struct linear_query expected;
    pol_dns_query query;
    pol_verdict verdict;

    mix_case(&world->draw, name_texts[name], mixed);
    dnsmsg_query(&world->query, mixed, draw_percent(&world->draw, 50) ? 1 : 28, world->query_id++,
                 0);
    linear_ask(&world->lists[world->used], for_all ? NULL : &client, name, &expected);
    pol_dns_decide(world->worker, &client, (pol_bytes){world->query.bytes, world->query.len},
                   world->now, &query, &verdict);
    pol_addr_format(&client, text);
    tell(world, "query   t=%.3f %s asks for %s\n", (double)world->now / 1e9, text, mixed);
    tell(world, "library %s raw %s group %d rule %d %s\noracle  %s raw %s group %d rule %d %s\n",
         pol_action_word(verdict.action), pol_action_word(verdict.raw_action), (int)verdict.group,
         (int)verdict.rule, pol_reason_word(verdict.reason), pol_action_word(expected.action),
         pol_action_word(expected.raw_action), (int)expected.group, (int)expected.rule,
         pol_reason_word(expected.reason));
    if (!same_query(world, &expected, &query, &verdict))
        return false;
    if (verdict.action != POL_ALLOW || world->grants.count > TAUGHT_MAX)
        return true;
    return teach(world, &expected, name, &query);
}

static bool ask_around(struct world *world)
{
    unsigned count = draw_between(&world->draw, 5, 30);

    for (unsigned i = 0; i < count; i++) {
        world->story_len = 0;
        if (!ask(world))
            return false;
    }
    pol_worker_drain(world->worker, world->events, EVENTS);
    return true;
}

/* --- a world -------------------------------------------------------------------------------- */

static bool compile(struct world *world, int which)
{
    size_t len = model_json(&world->models[which], world->json, JSON_BYTES);
    pol_diags *diags = NULL;
    bool ok = pol_compile(world->ctx, (pol_str){world->json, len}, NULL, &world->policies[which],
                          &diags) == POL_OK;

    if (!ok) {
        const pol_diag *diag = pol_diags_at(diags, 0);

        say(world, "not accepted: %.*s at %.*s\n", diag ? (int)diag->text.len : 0,
            diag ? diag->text.ptr : "", diag ? (int)diag->path.len : 0, diag ? diag->path.ptr : "");
        differ(world, "pol_compile");
    }
    pol_diags_free(diags);
    linear_flatten(&world->models[which], &world->lists[which]);
    return ok;
}

/* Flows end by the clock alone in other tests: here they outlive every wait. */
static const pol_idle patient = {
    .tcp_opening = 1000000 * POL_SECONDS,
    .tcp_established = 1000000 * POL_SECONDS,
    .tcp_closing = 1000000 * POL_SECONDS,
    .udp_one_way = 1000000 * POL_SECONDS,
    .udp_two_way = 1000000 * POL_SECONDS,
    .icmp = 1000000 * POL_SECONDS,
    .other = 1000000 * POL_SECONDS,
    .denied = 1000000 * POL_SECONDS,
};

static bool make_engine(struct world *world)
{
    pol_grants_options grants_options;
    pol_worker_options options;

    pol_grants_options_init(&grants_options, sizeof(grants_options));
    grants_options.capacity = 2 * TAUGHT_MAX;
    grants_options.idle = grants_options.idle_two_way = 0; /* lifetimes are grants_oracle's */
    if (pol_grants_new(world->ctx, &grants_options, &world->engine_grants) != POL_OK)
        return differ(world, "pol_grants_new");
    pol_worker_options_init(&options, sizeof(options));
    options.flow_capacity = 16;
    options.event_capacity = EVENTS;
    options.memo_capacity = 16;
    options.pending_capacity = 2;
    options.query_capacity = options.stream_capacity = options.fragment_capacity = 2;
    options.grants = world->engine_grants;
    options.inside_resolvers = &inside_resolver;
    options.inside_resolver_count = 1;
    options.idle = patient;
    /* The list is asked about everything that can be left to it. */
    memset(options.control + POL_CONTROL_NDP, POL_CONTROL_JUDGE,
           POL_CONTROL_DHCPV6 - POL_CONTROL_NDP + 1);
    options.sni_check = (uint8_t)draw_below(&world->draw, 3);
    options.reject_inside = world->reject = draw_percent(&world->draw, 30);
    world->session.sni_check = options.sni_check;
    if (pol_worker_new(world->ctx, &options, &world->worker) != POL_OK)
        return differ(world, "pol_worker_new");
    return true;
}

static bool begin(struct world *world, uint64_t seed)
{
    struct draw *draw = &world->draw;

    draw->state = seed;
    model_draw(&world->models[0], draw);
    world->models[1] = world->models[0];
    model_change(&world->models[1], draw);
    for (int i = 0; i < POOL; i++) {
        pol_prefix prefix = draw_prefix(draw, false);

        world->pool[i] = draw_address(draw, &prefix);
    }
    world->now = draw_below(draw, 100000) * POL_SECONDS;
    world->used = 1;
    world->generation = world->grants.count = 0;
    world->session = (struct session){.pinned = POL_NONE, .grants = &world->grants};
    if (!compile(world, 0) || !compile(world, 1) || !make_engine(world))
        return false;
    world->session.now = world->now;
    return reload(world);
}

static void end(struct world *world)
{
    pol_worker_free(world->worker);
    pol_grants_free(world->engine_grants);
    pol_policy_unref(world->policies[0]);
    pol_policy_unref(world->policies[1]);
    world->worker = NULL;
    world->engine_grants = NULL;
    world->policies[0] = world->policies[1] = NULL;
}

static bool play(struct world *world, uint32_t cases)
{
    for (uint32_t i = 0; i < cases; i++) {
        if (i % TEACH_EVERY == 0) {
            let_time_pass(world, draw_below(&world->draw, 60) * POL_SECONDS);
            if (!ask_around(world))
                return false;
        }
        if (draw_percent(&world->draw, 2) && !reload(world))
            return false;
        world->story_len = 0;
        world->story[0] = '\0';
        let_time_pass(world, draw_below(&world->draw, 2000) * 1000000);
        if (!play_case(world) || !end_case(world))
            return false;
    }
    return true;
}

bool world_play(struct world *world, uint64_t seed, uint32_t cases)
{
    bool same;

    world->report_len = world->story_len = 0;
    world->story[0] = '\0';
    same = begin(world, seed) && play(world, cases);
    end(world);
    return same;
}

const char *world_difference(const struct world *world)
{
    return world->report;
}

struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world || pol_ctx_new(NULL, &world->ctx) != POL_OK)
        abort();
    world->json = malloc(JSON_BYTES);
    world->report = malloc(REPORT_BYTES);
    if (!world->json || !world->report)
        abort();
    return world;
}

void world_free(struct world *world)
{
    pol_ctx_unref(world->ctx);
    free(world->json);
    free(world->report);
    free(world);
}
