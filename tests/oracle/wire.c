/* SPDX-License-Identifier: Apache-2.0 */
/* Flows, who opens them, how long they last, and datagrams in pieces. */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, DNS_PORT = 53, BOTH_WAYS = 3 };

static bool same_addr(const pol_addr *a, const pol_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* --- flows ---------------------------------------------------------------------------------- */

void wire_unpin(struct wire *wire, struct wire_flow *flow)
{
    if (flow->grant != POL_NONE)
        wire->grants[flow->grant].flows--;
    flow->grant = POL_NONE;
}

static void end_flow(struct wire *wire, struct wire_flow *flow)
{
    wire_unpin(wire, flow);
    wire_end_streams(wire, flow);
    *flow = wire->flows[--wire->flow_count];
}

static uint8_t room_of(const struct wire_flow *flow)
{
    bool tcp = flow->tuple.proto == TCP;

    if (flow->denied)
        return ROOM_DENIED;
    if (tcp && flow->closing)
        return ROOM_CLOSING;
    return (tcp ? flow->established : flow->seen == BOTH_WAYS) ? ROOM_NONE : ROOM_HALF_OPEN;
}

/* Who has been so for longest goes first. */
static void note_room(struct wire *wire, struct wire_flow *flow)
{
    uint8_t room = room_of(flow);

    if (flow->turn == 0 || flow->room != room)
        flow->turn = ++wire->last_turn;
    flow->room = room;
}

static bool goes_before(const struct wire_flow *flow, const struct wire_flow *other)
{
    return flow->room < other->room || (flow->room == other->room && flow->turn < other->turn);
}

static bool make_room(struct wire *wire)
{
    struct wire_flow *victim = &wire->flows[0];

    if (wire->flow_count < wire->capacity)
        return true;
    for (uint32_t i = 1; i < wire->flow_count; i++) {
        if (goes_before(&wire->flows[i], victim))
            victim = &wire->flows[i];
    }
    if (victim->room == ROOM_NONE)
        return false;
    end_flow(wire, victim);
    return true;
}

static struct wire_flow *flow_of(struct wire *wire, uint64_t number)
{
    for (uint32_t i = 0; i < wire->flow_count; i++) {
        if (wire->flows[i].number == number)
            return &wire->flows[i];
    }
    return NULL;
}

static pol_mono silence(const struct wire *wire, const struct wire_flow *flow)
{
    const pol_idle *idle = &wire->times.idle;

    switch (flow->tuple.proto) {
    case TCP:
        return flow->closing       ? idle->tcp_closing
               : flow->established ? idle->tcp_established
                                   : idle->tcp_opening;
    case UDP:
        return flow->seen == BOTH_WAYS ? idle->udp_two_way : idle->udp_one_way;
    case ICMP:
    case ICMPV6:
        return idle->icmp;
    default:
        return idle->other;
    }
}

static bool is_over(const struct wire *wire, const struct wire_flow *flow)
{
    if (flow->denied)
        return wire->now >= flow->last + wire->times.idle.denied;
    return wire->now >= flow->alive + silence(wire, flow);
}

/* The flow that has been late for longest; NULL: none is. */
static struct wire_flow *find_late(struct wire *wire)
{
    struct wire_flow *found = NULL;

    for (uint32_t i = 0; i < wire->flow_count; i++) {
        struct wire_flow *flow = &wire->flows[i];

        if (wire_late(wire, flow) <= wire->now &&
            (!found || wire_late(wire, flow) < wire_late(wire, found)))
            found = flow;
    }
    return found;
}

/* Denied since it was due, whoever notices when. */
static void deny_late(struct wire *wire, struct wire_flow *flow)
{
    pol_mono due = wire_late(wire, flow);

    wire_deny_dns(wire, flow, POL_WHY_MALFORMED, POL_NONE, POL_NONE);
    flow->last = flow->alive = due;
    note_room(wire, flow);
}

void wire_clock(struct wire *wire)
{
    struct wire_flow *late;

    wire->was_late = false;
    while ((late = find_late(wire))) {
        deny_late(wire, late);
        wire->was_late = true;
    }
    for (uint32_t i = wire->flow_count; i-- > 0;) {
        if (is_over(wire, &wire->flows[i]))
            end_flow(wire, &wire->flows[i]);
    }
}

static bool is_icmp(uint8_t proto)
{
    return proto == ICMP || proto == ICMPV6;
}

/* The answer to an echo request. */
static bool is_icmp_answer(const struct wire_flow *flow, const pol_packet *packet)
{
    uint8_t asked = flow->facts.icmp_type, type = packet->icmp_type;

    return flow->tuple.src_port == packet->tuple.src_port &&
           (flow->tuple.proto == ICMP ? asked == 8 && type == 0 : asked == 128 && type == 129);
}

static bool is_forward(const struct wire_flow *flow, const pol_packet *packet)
{
    const pol_tuple *a = &flow->tuple, *b = &packet->tuple;

    return a->proto == b->proto && same_addr(&a->src, &b->src) && same_addr(&a->dst, &b->dst) &&
           a->src_port == b->src_port && a->dst_port == b->dst_port &&
           (!is_icmp(a->proto) || flow->facts.icmp_type == packet->icmp_type);
}

static bool is_reply(const struct wire_flow *flow, const pol_packet *packet)
{
    const pol_tuple *a = &flow->tuple, *b = &packet->tuple;

    if (a->proto != b->proto || !same_addr(&a->src, &b->dst) || !same_addr(&a->dst, &b->src))
        return false;
    if (is_icmp(a->proto))
        return is_icmp_answer(flow, packet);
    return a->src_port == b->dst_port && a->dst_port == b->src_port;
}

struct wire_flow *wire_find(struct wire *wire, const pol_packet *packet)
{
    for (uint32_t i = 0; i < wire->flow_count; i++) {
        if (is_forward(&wire->flows[i], packet) || is_reply(&wire->flows[i], packet))
            return &wire->flows[i];
    }
    return NULL;
}

/* --- sides with one port -------------------------------------------------------------------- */

static uint8_t other_side(uint8_t side)
{
    return side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
}

static bool is_inside(const struct wire *wire, const pol_addr *addr)
{
    bool inside = false;

    for (uint32_t i = 0; i < wire->inside_count; i++)
        inside |= prefix_has(&wire->inside[i], addr);
    for (uint32_t i = 0; i < wire->list->count && wire->inside_count == 0; i++) {
        const struct model_group *group = wire->list->steps[i].group;

        for (int s = 0; group && s < group->source_count; s++)
            inside |= prefix_has(&group->sources[s], addr);
    }
    return inside;
}

/* As the addresses tell; POL_SIDE_UNKNOWN: they do not. */
static uint8_t told_side(const struct wire *wire, const pol_packet *packet)
{
    bool src = is_inside(wire, &packet->tuple.src), dst = is_inside(wire, &packet->tuple.dst);

    if (src == dst)
        return POL_SIDE_UNKNOWN;
    return src ? POL_SIDE_INSIDE : POL_SIDE_OUTSIDE;
}

/* Of what belongs to no flow. Who opens one stands inside; a SYN+ACK answers one. */
static uint8_t fresh_side(const struct wire *wire, const pol_packet *packet)
{
    const uint8_t both = POL_TCP_SYN | POL_TCP_ACK;
    bool answers = packet->tuple.proto == TCP && (packet->tcp_flags & both) == both;
    uint8_t told = told_side(wire, packet);

    if (told != POL_SIDE_UNKNOWN)
        return told;
    return answers ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
}

/* A flow keeps its sides, whatever a reload says of the addresses. */
static uint8_t infer_side(const struct wire *wire, const struct wire_flow *flow,
                          const pol_packet *packet)
{
    if (!flow)
        return fresh_side(wire, packet);
    return is_forward(flow, packet) ? flow->side : other_side(flow->side);
}

/* Who asks a resolver stands inside, where addresses do not tell. */
static uint8_t dns_side(const struct wire *wire, const pol_packet *packet)
{
    uint8_t told = told_side(wire, packet);

    if (told != POL_SIDE_UNKNOWN)
        return told;
    return packet->tuple.dst_port == DNS_PORT ? POL_SIDE_INSIDE : POL_SIDE_OUTSIDE;
}

/* --- what the list says --------------------------------------------------------------------- */

static bool by_default(const struct linear_outcome *out)
{
    return out->reason == POL_WHY_GROUP_DEFAULT || out->reason == POL_WHY_POLICY_DEFAULT;
}

/* Nothing is known of a conversation with a resolver that nobody trusts. */
static void explain_dns(const struct wire *wire, const struct linear_facts *facts,
                        struct linear_outcome *out)
{
    if (out->raw_action == POL_DENY && by_default(out) && facts->dst_port == DNS_PORT &&
        (facts->proto == TCP || facts->proto == UDP) && !wire_trusts(wire, &facts->dst))
        out->reason = POL_WHY_DNS_UNTRUSTED_RESOLVER;
}

static void ask_list(struct wire *wire, const struct linear_facts *facts,
                     struct linear_outcome *out)
{
    wire_view(wire);
    linear_walk(wire->list, &wire->view, facts, 0, wire->now, out);
    if (!facts->open)
        explain_dns(wire, facts, out);
}

bool wire_passes(struct wire *wire, const struct wire_flow *flow)
{
    struct linear_outcome out;

    ask_list(wire, &flow->facts, &out);
    return out.action == POL_ALLOW;
}

static const struct linear_step *step_of(const struct wire *wire, const struct linear_outcome *out)
{
    for (uint32_t i = 0; i < wire->list->count; i++) {
        if (wire->list->steps[i].rule && wire->list->steps[i].rule_number == out->rule)
            return &wire->list->steps[i];
    }
    abort();
}

static bool opens(const struct linear_step *step, const struct linear_grant *grant, bool audit_mode)
{
    return grant->group_id == step->group->id && grant->kind != POL_GRANT_RECORDED &&
           (grant->kind == POL_GRANT_ALLOWED || audit_mode) &&
           pattern_matches(step->rule->pattern, grant->name);
}

/* Every grant that carries the decision as well as any other. */
static void list_pins(struct wire *wire, struct wire_flow *flow, struct wire_verdict *out)
{
    const struct linear_step *step;

    if (!flow->out.named || flow->denied)
        return;
    step = step_of(wire, &flow->out);
    out->flow = flow->number;
    for (uint32_t i = 0; i < wire->view.count; i++) {
        const struct linear_grant *grant = &wire->view.list[i];

        if (same_addr(&grant->addr, &flow->facts.dst) && opens(step, grant, flow->out.audit_mode) &&
            (wire->now < grant->until || (grant->pinned && flow->facts.open)))
            out->pins[out->pin_count++] = i;
    }
}

static void use_grant(struct wire *wire, struct wire_flow *flow)
{
    struct wire_grant *grant;

    if (flow->grant == POL_NONE)
        return;
    grant = &wire->grants[flow->grant];
    grant->used = wire->now;
    grant->two_way |= flow->seen == BOTH_WAYS;
}

void wire_carry(struct wire *wire, const struct wire_verdict *verdict, uint32_t grant)
{
    struct wire_flow *flow = flow_of(wire, verdict->flow);

    flow->grant = grant;
    wire->grants[grant].flows++;
    use_grant(wire, flow);
}

static void say(const struct linear_outcome *from, uint32_t flags, struct wire_verdict *out)
{
    out->action = from->action;
    out->raw_action = from->raw_action;
    out->reason = from->reason;
    out->group = from->group;
    out->rule = from->rule;
    out->flags = flags | (from->audit ? POL_V_AUDIT : 0) | (from->named ? POL_V_NAMED : 0);
}

/* --- a packet of a flow --------------------------------------------------------------------- */

/* As TCP opens and closes, segment by segment in order. */
static void follow_tcp(struct wire_flow *flow, const pol_packet *packet, bool reply)
{
    uint8_t flags = packet->tcp_flags;

    if (flags & POL_TCP_RST)
        flow->closing = true;
    if (flags & POL_TCP_FIN)
        flow->fins |= reply ? 2 : 1;
    flow->closing |= flow->fins == 3;
    /* It acknowledges the SYN, and perhaps data that came with it (RFC 7413). */
    if (!flow->syn_ack && reply && flags & POL_TCP_SYN && flags & POL_TCP_ACK &&
        (flow->midstream || packet->tcp_ack - (flow->isn + 1) <= UINT16_MAX)) {
        flow->syn_ack = true;
        flow->peer_isn = packet->tcp_seq;
    }
    if (!reply && flow->syn_ack && flags & POL_TCP_ACK)
        flow->established = true;
    /* Nobody saw the handshake: an answer stands for it. */
    if (flow->midstream && flow->seen == BOTH_WAYS)
        flow->established = true;
}

/* TCP lives from both ends, everything else from the inside. A denied entry follows what it sees
 * and lives from both ends, too, so that what is allowed again begins to be idle only then. */
static void follow(struct wire *wire, struct wire_flow *flow, const pol_packet *packet, bool reply)
{
    flow->last = wire->now;
    flow->seen |= reply ? 2 : 1;
    if (flow->tuple.proto == TCP)
        follow_tcp(flow, packet, reply);
    if (flow->tuple.proto == TCP || packet->side == POL_SIDE_INSIDE || flow->denied)
        flow->alive = wire->now;
    use_grant(wire, flow);
}

static void deny_flow(struct wire *wire, struct wire_flow *flow)
{
    flow->denied = true;
    wire_unpin(wire, flow);
}

/* Not where every message is judged: a denied one cannot be read any further. */
static void judge_again(struct wire *wire, struct wire_flow *flow, struct wire_verdict *out)
{
    flow->generation = wire->generation;
    if (flow->dns) {
        flow->out.group = flow->out.rule = POL_NONE; /* they were those of another policy */
        return;
    }
    ask_list(wire, &flow->facts, &flow->out);
    flow->denied = false;
    wire_unpin(wire, flow);
    if (flow->out.action == POL_DENY)
        deny_flow(wire, flow);
    list_pins(wire, flow, out);
}

static bool is_syn(const pol_packet *packet)
{
    return (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) == POL_TCP_SYN;
}

/* The responder's SYN follows its flow and begins nothing; from outside it would, when the flow is
 * over. With one port nobody knows that it came from there. */
static bool opens_backwards(const struct wire *wire, const struct wire_flow *flow,
                            const pol_packet *packet, bool reply)
{
    return reply && flow->tuple.proto == TCP && is_syn(packet) && flow->closing &&
           packet->side == POL_SIDE_OUTSIDE && !wire->admit_outside && !wire->one_port;
}

static void known(struct wire *wire, struct wire_flow *flow, const pol_packet *packet,
                  struct wire_verdict *out)
{
    bool reply = !is_forward(flow, packet), again = flow->generation != wire->generation;
    bool told = flow->told;
    uint32_t flags = POL_V_KNOWN | (reply ? POL_V_REPLY : 0u) | (again ? POL_V_REJUDGED : 0u);

    if ((packet->side == flow->side) == reply) {
        out->reason = POL_WHY_WRONG_SIDE;
        out->vague = true;
        return;
    }
    if (opens_backwards(wire, flow, packet, reply)) {
        out->reason = POL_WHY_OUTSIDE;
        out->vague = true;
        return;
    }
    follow(wire, flow, packet, reply);
    if (again)
        judge_again(wire, flow, out);
    if (flow->dns && !flow->denied)
        wire_read(wire, flow, packet, reply);
    note_room(wire, flow);
    say(&flow->out, flags, out);
    out->own = flow->number;
    if (told && !again)
        out->reason = POL_WHY_DENIED_FLOW;
    flow->told = flow->denied;
}

/* A SYN of another connection, where the old one is not established. */
static bool begins_anew(const struct wire_flow *flow, const pol_packet *packet)
{
    return flow->tuple.proto == TCP && is_forward(flow, packet) && is_syn(packet) &&
           packet->side == flow->side && (flow->midstream || packet->tcp_seq != flow->isn) &&
           (flow->denied || flow->closing || !flow->established);
}

/* --- a packet of none ----------------------------------------------------------------------- */

static struct linear_facts facts_of(const pol_packet *packet, const pol_tuple *tuple)
{
    bool icmp = is_icmp(tuple->proto);

    return (struct linear_facts){
        .src = tuple->src,
        .dst = tuple->dst,
        .proto = tuple->proto,
        .icmp_type = packet->icmp_type,
        .icmp_code = packet->icmp_code,
        .src_port = icmp ? 0 : tuple->src_port,
        .dst_port = icmp ? 0 : tuple->dst_port,
        .tls = tuple->proto == TCP ? HELLO_UNKNOWN : HELLO_NOT,
        .sni = NO_NAME,
    };
}

/* The end of something, or the answer to what nobody has asked. */
static bool begins_nothing(const pol_packet *packet)
{
    return packet->tcp_flags & POL_TCP_RST ||
           (packet->tuple.proto == ICMP && packet->icmp_type == 0) ||
           (packet->tuple.proto == ICMPV6 && packet->icmp_type == 129);
}

static const struct linear_outcome dns_flow = {
    .action = POL_ALLOW,
    .raw_action = POL_ALLOW,
    .reason = POL_WHY_DNS_QUERY,
    .group = POL_NONE,
    .rule = POL_NONE,
};

/* The SYN of a connection for DNS may bring the first octets. */
static void read_first(struct wire *wire, struct wire_flow *flow, const pol_packet *packet,
                       struct wire_verdict *out)
{
    wire_begin_streams(wire, flow);
    wire_read(wire, flow, packet, false);
    flow->told = flow->denied;
    say(&flow->out, POL_V_OPENED, out);
}

static void open_flow(struct wire *wire, const pol_packet *packet, const pol_tuple *tuple,
                      bool reply, struct wire_verdict *out)
{
    struct wire_flow begun = {
        .tuple = *tuple,
        .side = reply ? POL_SIDE_INSIDE : packet->side,
        .facts = facts_of(packet, tuple),
        .generation = wire->generation,
        .midstream = tuple->proto == TCP && !is_syn(packet),
        .isn = packet->tcp_seq,
        .alive = wire->now,
        .grant = POL_NONE,
    };
    struct wire_flow *flow;

    begun.dns = !reply && packet->side == POL_SIDE_INSIDE && wire_opens_dns(wire, packet);
    if (begun.dns)
        begun.out = dns_flow;
    else
        ask_list(wire, &begun.facts, &begun.out);
    say(&begun.out, reply ? POL_V_REPLY : 0, out);
    if (begun.out.action == POL_DENY || begins_nothing(packet))
        return;
    if (!make_room(wire)) {
        out->action = out->raw_action = POL_DENY;
        out->reason = POL_WHY_FLOWS_FULL;
        out->vague = true;
        return;
    }
    out->flags |= POL_V_OPENED;
    flow = &wire->flows[wire->flow_count++];
    *flow = begun;
    flow->number = out->own = ++wire->last_number;
    wire_view(wire); /* without what has made room */
    list_pins(wire, flow, out);
    flow->facts.open = true;
    follow(wire, flow, packet, reply);
    if (flow->dns)
        read_first(wire, flow, packet, out);
    note_room(wire, flow);
}

/* In the first minutes, what may be the reply of a flow that was there before. Who sees one port
 * only cannot have held the SYN back, so a SYN+ACK is one, too. */
static bool may_be_reply(const struct wire *wire, const pol_packet *packet)
{
    uint8_t proto = packet->tuple.proto;

    return wire->now < wire->begun + wire->times.midstream &&
           (proto == UDP ||
            (proto == TCP && (!(packet->tcp_flags & POL_TCP_SYN) ||
                              (wire->one_port && packet->tcp_flags & POL_TCP_ACK))));
}

static void fresh(struct wire *wire, const pol_packet *packet, struct wire_verdict *out)
{
    pol_tuple other = packet->tuple;

    other.src = packet->tuple.dst;
    other.dst = packet->tuple.src;
    other.src_port = packet->tuple.dst_port;
    other.dst_port = packet->tuple.src_port;
    if (packet->side == POL_SIDE_INSIDE)
        open_flow(wire, packet, &packet->tuple, false, out);
    else if (may_be_reply(wire, packet))
        open_flow(wire, packet, &other, true, out);
    else if (wire->admit_outside)
        open_flow(wire, packet, &packet->tuple, false, out);
    else
        out->reason = POL_WHY_OUTSIDE;
}

void wire_ordinary(struct wire *wire, const pol_packet *packet, struct wire_verdict *out)
{
    struct wire_flow *flow = wire_find(wire, packet);
    pol_packet sided = *packet;

    if (wire->one_port)
        sided.side = infer_side(wire, flow, packet);
    if (flow && begins_anew(flow, &sided)) {
        end_flow(wire, flow);
        flow = NULL;
        if (wire->one_port)
            sided.side = infer_side(wire, NULL, packet);
    }
    out->side = sided.side;
    if (flow)
        known(wire, flow, &sided, out);
    else
        fresh(wire, &sided, out);
}

/* A datagram, or the piece that says whose it is. */
static void whole(struct wire *wire, const pol_packet *packet, const struct wire_message *message,
                  struct wire_verdict *out)
{
    pol_packet sided = *packet;

    if (wire->one_port)
        sided.side = out->side = dns_side(wire, packet);
    if (!wire_dns(wire, &sided, message, out))
        wire_ordinary(wire, packet, out);
}

/* --- pieces --------------------------------------------------------------------------------- */

/* Of IPv6, the protocol that a later piece names may be that of options (RFC 8200 4.5). */
static struct wire_datagram *find_datagram(struct wire *wire, const pol_packet *packet)
{
    for (uint32_t i = 0; i < wire->datagram_count; i++) {
        struct wire_datagram *datagram = &wire->datagrams[i];

        if (datagram->id == packet->frag_id &&
            (packet->tuple.src.family == 6 || datagram->tuple.proto == packet->tuple.proto) &&
            same_addr(&datagram->tuple.src, &packet->tuple.src) &&
            same_addr(&datagram->tuple.dst, &packet->tuple.dst))
            return datagram;
    }
    return NULL;
}

static void forget_datagrams(struct wire *wire)
{
    for (uint32_t i = wire->datagram_count; i-- > 0;) {
        if (wire->now >= wire->datagrams[i].at + wire->times.datagram)
            wire->datagrams[i] = wire->datagrams[--wire->datagram_count];
    }
}

static bool is_whole(const struct wire_datagram *datagram)
{
    uint32_t octets = 0;

    for (uint32_t i = 0; i < datagram->piece_count; i++)
        octets += datagram->pieces[i].to - datagram->pieces[i].from;
    return datagram->end && octets == datagram->end;
}

static bool fits(const struct wire_datagram *datagram, const pol_packet *packet)
{
    uint32_t from = packet->frag_offset, to = from + packet->frag_len;

    for (uint32_t i = 0; i < datagram->piece_count; i++) {
        if (from < datagram->pieces[i].to && to > datagram->pieces[i].from)
            return false;
        if (!packet->frag_more && datagram->pieces[i].to > to)
            return false; /* something behind the end */
    }
    return !datagram->end || (packet->frag_more && to <= datagram->end);
}

static void add_piece(struct wire *wire, struct wire_datagram *datagram, const pol_packet *packet)
{
    uint32_t from = packet->frag_offset, to = from + packet->frag_len;

    datagram->pieces[datagram->piece_count].from = from;
    datagram->pieces[datagram->piece_count++].to = to;
    if (!packet->frag_more)
        datagram->end = to;
    if (is_whole(datagram))
        *datagram = wire->datagrams[--wire->datagram_count];
}

static bool is_wrong_side(const struct wire *wire, const struct wire_datagram *datagram,
                          const pol_packet *packet)
{
    return !wire->one_port && datagram->side != packet->side;
}

/* Octets that have to be read do not pass in pieces. */
static bool must_be_read(struct wire *wire, const struct wire_verdict *out)
{
    const struct wire_flow *flow = flow_of(wire, out->own);

    return flow && flow->dns;
}

static void drop_piece(struct wire_verdict *out)
{
    out->action = out->raw_action = POL_DENY;
    out->reason = POL_WHY_FRAGMENT;
    out->vague = true;
}

static void first_piece(struct wire *wire, const pol_packet *packet,
                        const struct wire_message *message, struct wire_verdict *out)
{
    struct wire_datagram *datagram;

    datagram = find_datagram(wire, packet);
    if (datagram) {
        out->reason = is_wrong_side(wire, datagram, packet) ? POL_WHY_WRONG_SIDE : POL_WHY_FRAGMENT;
        out->vague = true;
        return;
    }
    whole(wire, packet, message, out);
    if (out->action != POL_ALLOW)
        return;
    if (must_be_read(wire, out)) {
        drop_piece(out);
        return;
    }
    datagram = &wire->datagrams[wire->datagram_count++];
    *datagram = (struct wire_datagram){
        .tuple = packet->tuple,
        .id = packet->frag_id,
        .side = out->side,
        .at = wire->now,
        .flow = out->own,
        .out = {.action = out->action, .raw_action = out->raw_action, .reason = out->reason},
    };
    add_piece(wire, datagram, packet);
}

/* It keeps its flow alive; what the datagram is to a grant, its first piece has been. */
static void refresh(struct wire *wire, struct wire_flow *flow, uint8_t side)
{
    flow->last = wire->now;
    if (side == POL_SIDE_INSIDE)
        flow->alive = wire->now;
}

/* A later piece goes where its first one went, even if the flow is over by now; not if that has
 * been denied since. */
static void later_piece(struct wire *wire, const pol_packet *packet, struct wire_verdict *out)
{
    struct wire_datagram *datagram = find_datagram(wire, packet);
    struct wire_flow *flow = datagram ? flow_of(wire, datagram->flow) : NULL;

    out->vague = true;
    if (datagram && is_wrong_side(wire, datagram, packet)) {
        out->reason = POL_WHY_WRONG_SIDE;
        return;
    }
    if (!datagram || (flow && (flow->denied || flow->dns)) || !fits(datagram, packet)) {
        drop_piece(out);
        return;
    }
    say(&datagram->out, 0, out);
    if (flow)
        refresh(wire, flow, datagram->side);
    add_piece(wire, datagram, packet);
}

/* --- a packet ------------------------------------------------------------------------------- */

static void decide(struct wire *wire, const pol_packet *packet, const struct wire_message *message,
                   struct wire_verdict *out)
{
    if (!(packet->marks & POL_MARK_FRAGMENT))
        whole(wire, packet, message, out);
    else if (packet->marks & POL_MARK_NO_L4)
        later_piece(wire, packet, out);
    else
        first_piece(wire, packet, message, out);
}

void wire_decide(struct wire *wire, const pol_packet *packet, const struct wire_message *message,
                 struct wire_verdict *out)
{
    out->action = out->raw_action = POL_DENY;
    out->group = out->rule = POL_NONE;
    out->flags = 0;
    out->vague = false;
    out->flow = out->own = 0;
    out->side = packet->side;
    out->pin_count = 0;
    if (!wire->has_begun)
        wire->begun = wire->now;
    wire->has_begun = true;
    wire_clock(wire);
    forget_datagrams(wire);
    decide(wire, packet, message, out);
    if (wire->one_port)
        out->flags |= POL_V_SIDE_INFERRED;
}
