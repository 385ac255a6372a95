/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of a worker. The input is a sequence of operations: frames made from templates with their
 * fields from the input (TCP segments in sequence, UDP, ICMP and its errors, DNS over UDP and TCP,
 * ClientHellos and certificates in pieces, fragments, control traffic, any octets), time, ticks,
 * reloads, drains, flushes. Tables are small, so they overflow. Two workers see the same: one is
 * given packet by packet, the other in batches.
 *
 *   - both give the same verdicts and events
 *   - verdicts are consistent in themselves, and a TCP packet to the one address that every policy
 *     denies first is never let through
 *   - counters add up to the packets that were judged
 *   - a flow opens before it changes, and ends once
 *   - tables stay within their capacity, nothing is allocated but by a reload, and when every flow
 *     is over no grant is held any more
 */
#include <libpolicy/policy.h>

#include "dnsmsg.h"
#include "flight.h"
#include "frames.h"
#include "fuzz.h"
#include "hello.h"

enum {
    FLOWS = 12,
    EVENTS = 64,
    GRANTS = 24,
    STEPS = 160,
    BATCH = 8,
    CONNS = 16,
    SEEN = 4 * STEPS /* flows of one life */
};

/* --- the world ------------------------------------------------------------------------------- */

#define START (1000 * POL_SECONDS)

static const char *const inside[] = {"10.0.0.5", "10.0.0.6", "10.1.0.7", "2001:db8:a::5"};
/* Resolver, web server, the one nobody may reach, one that only a name opens. */
static const char *const outside[2][4] = {
    {"192.0.2.53", "198.51.100.10", "203.0.113.66", "198.18.0.77"},
    {"2001:db8:53::53", "2001:db8:b::10", "2001:db8:66::66", "2001:db8:c::77"},
};
static const char *const answers[] = {
    "198.51.100.10",  "203.0.113.66",   "198.18.0.77",     "10.0.0.9",
    "2001:db8:b::10", "2001:db8:c::77", "2001:db8:66::66", "fe80::1",
};
static const char *const names[] = {"api.example.com", "www.example.com", "evil.test",
                                    "deep.sub.example.net", "x.regex9.org"};
static const uint16_t ports[] = {443, 53, 80, 5432, 8443, 5000, 67, 853};

#define EVIL_RULE                                                                                  \
    "{'id':'evil','action':'deny','mode':'enforce','match':"                                       \
    "{'dst_ips':['203.0.113.66','2001:db8:66::66'],'proto':'tcp'}},"
#define SOURCES "'sources':{'cidrs':['10.0.0.0/24','2001:db8:a::/64']}"

static const char *const documents[] = {
    "{'default_policy':'deny','source_groups':[{'id':'web','mode':'enforce'," SOURCES
    ",'rules':[" EVIL_RULE
    "{'id':'ex','action':'allow','match':{'dns_hostname':'^(?:.+\\\\.)?example\\\\.com$',"
    "'proto':'tcp','dst_ports':[443]}},"
    "{'id':'rx','action':'allow','match':{'dns_hostname':'^x\\\\.regex[0-9]+\\\\.org$'}},"
    "{'id':'sni','action':'allow','match':{'dst_cidrs':['198.51.100.0/24','2001:db8:b::/64'],"
    "'proto':'tcp','dst_ports':[443],'tls':{'sni':{'exact':['api.example.com']}}}},"
    "{'id':'db','action':'allow','match':{'dst_cidrs':['198.51.100.0/24'],'proto':'tcp',"
    "'dst_ports':[5432,'5000-5100']}},"
    "{'id':'san','action':'allow','match':{'proto':'tcp','dst_ports':[8443],'tls':{'server_san':"
    "['db.example.com']}}},"
    "{'id':'ping','action':'allow','match':{'proto':'icmp','icmp_types':[0,8]}},"
    "{'id':'udp','action':'allow','match':{'proto':'udp','dst_ports':[5000,8443]}}]},"
    "{'id':'trial','mode':'audit','sources':{'cidrs':['10.1.0.0/16']},'default_action':'deny',"
    "'rules':[" EVIL_RULE
    "{'id':'ok','action':'allow','match':{'dns_hostname':'^api\\\\.example\\\\.com$'}}]}]}",

    "{'default_policy':'deny','audit_deny':'continue','source_groups':[{'id':'web','mode':"
    "'audit'," SOURCES ",'rules':[" EVIL_RULE
    "{'id':'net','action':'allow','mode':'enforce','match':{'dns_hostname':"
    "'(^|\\\\.)example\\\\.net$'}},"
    "{'id':'no','action':'deny','match':{'dns_hostname':'^www\\\\.example\\\\.com$'}},"
    "{'id':'tls','action':'allow','match':{'proto':'tcp','dst_ports':[443],'tls':{'sni':"
    "{'regex':'^api'}}}}],'default_action':'deny'},"
    "{'id':'trial','mode':'enforce','sources':{'cidrs':['10.1.0.0/16','10.0.0.6/"
    "32']},'rules':[" EVIL_RULE "{'id':'all','action':'allow','match':{'proto':'udp'}}]}]}",

    "{'default_policy':'allow','source_groups':[{'id':'all','mode':'enforce','sources':{'cidrs':"
    "['10.0.0.0/8','2001:db8:a::/64']},'rules':[" EVIL_RULE
    "{'id':'no-name','action':'deny','match':{'dns_hostname':'^evil\\\\.test$'}},"
    "{'id':'any','action':'allow','match':{'dns_hostname':'.*'}}]}]}",
};

/* What servers have said, among it a chain that does not verify. */
static const char *const flights[] = {"plain.flight",     "direct.flight",  "ecdsa.flight",
                                      "records.flight",   "tls13.flight",   "expired.flight",
                                      "untrusted.flight", "resumed.flight", "retry.flight",
                                      "odd.flight",       "warning.flight"};

enum { DOCUMENTS = sizeof(documents) / sizeof(*documents) };

static pol_policy *policies[DOCUMENTS];
static struct flight anchors;

static void compile_documents(void)
{
    char json[4096];
    pol_ctx *ctx;

    if (policies[0])
        return;
    flight_load(&anchors, "ca.pem");
    require(pol_ctx_new(NULL, &ctx) == POL_OK);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        size_t len = strlen(documents[i]);

        require(len < sizeof(json));
        for (size_t j = 0; j < len; j++)
            json[j] = documents[i][j] == '\'' ? '"' : documents[i][j];
        require(pol_compile(ctx, (pol_str){json, len}, NULL, &policies[i], NULL) == POL_OK);
    }
    pol_ctx_unref(ctx);
}

/* --- the two engines ------------------------------------------------------------------------- */

struct engine {
    pol_grants *grants;
    pol_worker *worker;
};

struct item {
    struct frame frame;
    pol_packet packet;
    pol_verdict verdict; /* the first engine's */
};

struct totals {
    uint64_t packets, bytes, denies, other, opened;
};

struct flow_seen {
    uint64_t id;
    bool open, ended;
};

struct conn {
    uint32_t next[2]; /* sequence numbers, from inside and from outside */
};

struct life {
    struct ledger ledger;
    pol_ctx *ctx;
    struct engine one, twin;
    pol_policy *policy;
    uint64_t generation, newest_flow;
    pol_mono now;
    bool two_ports, admit_outside, trust_all, dropped;
    struct totals totals;
    struct conn conns[CONNS];
    struct item batch[BATCH];
    size_t waiting;
    size_t seen_count;
    struct flow_seen seen[SEEN];
};

static pol_prefix inside_nets[3];

static void set_options(pol_worker_options *opts, uint8_t pick, uint8_t more)
{
    static pol_addr resolvers[2];

    pol_worker_options_init(opts, sizeof(*opts));
    opts->flow_capacity = FLOWS;
    opts->event_capacity = EVENTS;
    opts->memo_capacity = 16;
    opts->pending_capacity = 2;
    opts->query_capacity = 4;
    opts->stream_capacity = 2;
    opts->fragment_capacity = 3;
    opts->member_capacity = 2;
    opts->certificate_capacity = 2;
    opts->trust_anchors_pem = (pol_str){(const char *)anchors.bytes, anchors.len};
    opts->sni_check = (pick & 3) % 3;
    opts->reject_inside = pick & 4;
    opts->admit_outside = pick & 8;
    opts->midstream = pick >> 4 & 1;
    opts->trust_all_resolvers = pick & 0x20;
    opts->report_interval = pick & 0x40 ? POL_SECONDS : 0;
    resolvers[0] = addr_from(outside[0][0]);
    resolvers[1] = addr_from(outside[1][0]);
    opts->trusted_resolvers = resolvers;
    opts->trusted_resolver_count = 2;
    inside_nets[0] = prefix_from("10.0.0.0/8");
    inside_nets[1] = prefix_from("2001:db8:a::/64");
    opts->inside = inside_nets;
    opts->inside_count = more & 1 ? 2 : 0;
    opts->control[POL_CONTROL_DHCP] = (more >> 1 & 3) % 3;
    opts->control[POL_CONTROL_NDP] = (more >> 3 & 3) % 3;
    opts->control[POL_CONTROL_MULTICAST] = (more >> 5 & 3) % 3;
}

static void engine_start(struct engine *engine, pol_ctx *ctx, const pol_worker_options *given)
{
    pol_worker_options opts = *given;
    pol_grants_options limits;

    pol_grants_options_init(&limits, sizeof(limits));
    limits.capacity = GRANTS;
    limits.addresses_per_name = 4;
    limits.names_per_address = 3;
    require(pol_grants_new(ctx, &limits, &engine->grants) == POL_OK);
    opts.grants = engine->grants;
    require(pol_worker_new(ctx, &opts, &engine->worker) == POL_OK);
    pol_worker_wall(engine->worker, START, UINT64_C(1780272000000));
}

static uint64_t value(const pol_counters *counters, const char *name)
{
    return pol_counters_value(counters, name, "");
}

/* --- what a verdict must be ------------------------------------------------------------------ */

static bool passes(const pol_verdict *verdict)
{
    return verdict->action == POL_ALLOW || verdict->action == POL_PENDING ||
           verdict->action == POL_INTERCEPT;
}

static void check_indexes(const struct life *life, const pol_verdict *verdict)
{
    require(verdict->generation <= life->generation);
    if (verdict->generation != life->generation || !life->policy)
        return;
    if (verdict->group != POL_NONE)
        require(verdict->group < pol_policy_group_count(life->policy));
    if (verdict->rule != POL_NONE) {
        require(verdict->rule < pol_policy_rule_count(life->policy));
        require(pol_policy_rule_group(life->policy, verdict->rule) == verdict->group);
    }
}

/* The source is inside and the packet came from there: nothing makes it an answer, unless flows may
 * be opened from outside. Where every address is a trusted resolver, its port 53 needs no rule. */
static void check_evil(const struct life *life, const pol_packet *packet,
                       const pol_verdict *verdict)
{
    bool mine = packet->side == POL_SIDE_INSIDE && packet->kind == POL_PKT_IP &&
                packet->tuple.proto == 6 && !life->admit_outside &&
                !(life->trust_all && packet->tuple.dst_port == 53);
    pol_addr src = packet->tuple.src;
    bool evil = false, known = false;

    for (size_t family = 0; family < 2; family++) {
        pol_addr addr = addr_from(outside[family][2]);

        evil |= memcmp(&addr, &packet->tuple.dst, sizeof(addr)) == 0;
    }
    for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++) {
        pol_addr addr = addr_from(inside[i]);

        known |= memcmp(&addr, &src, sizeof(addr)) == 0;
    }
    if (mine && evil && known && !(packet->marks & POL_MARK_NO_L4) &&
        verdict->generation == life->generation)
        require(!passes(verdict));
}

static void check_verdict(struct life *life, const pol_packet *packet, const pol_verdict *verdict)
{
    bool soft = verdict->flags & POL_V_AUDIT;

    require(verdict->action <= POL_ANSWER && verdict->raw_action <= POL_ANSWER);
    require(verdict->reason < POL_WHY_COUNT);
    require(packet->side == POL_SIDE_UNKNOWN || verdict->side == packet->side);
    if (packet->kind == POL_PKT_BROKEN || packet->marks & POL_MARK_MALFORMED)
        require(verdict->action == POL_DENY || verdict->action == POL_REJECT);
    if (passes(verdict) && verdict->action != POL_PENDING)
        require(soft == (verdict->raw_action == POL_DENY));
    if (!passes(verdict))
        require(!soft);
    check_indexes(life, verdict);
    check_evil(life, packet, verdict);
    /* What opens a flow may be denied all the same: DNS over TCP that is malformed. */
    if (verdict->flags & POL_V_OPENED)
        require(verdict->flow > life->newest_flow && !(verdict->flags & POL_V_KNOWN));
    if (verdict->flow > life->newest_flow)
        life->newest_flow = verdict->flow;
    require(!(verdict->flags & POL_V_REJUDGED) || verdict->flow);
}

static void count_verdict(struct life *life, const pol_packet *packet, const pol_verdict *verdict)
{
    struct totals *totals = &life->totals;

    totals->denies += !passes(verdict);
    totals->opened += (verdict->flags & POL_V_OPENED) != 0;
    if (packet->kind == POL_PKT_IP) {
        totals->packets++;
        totals->bytes += packet->ip_len;
    } else {
        totals->other++;
    }
}

/* The octets between `rule` and `group_key` are nobody's. */
static bool same_verdict(const pol_verdict *a, const pol_verdict *b)
{
    size_t front = offsetof(pol_verdict, rule) + sizeof(a->rule);
    size_t back = offsetof(pol_verdict, group_key);

    return memcmp(a, b, front) == 0 &&
           memcmp((const char *)a + back, (const char *)b + back, sizeof(*a) - back) == 0;
}

/* --- judging --------------------------------------------------------------------------------- */

/* The other engine sees what has been waiting, in one go. */
static void judge_batch(struct life *life)
{
    pol_packet packets[BATCH];
    pol_verdict verdicts[BATCH];

    for (size_t i = 0; i < life->waiting; i++)
        packets[i] = life->batch[i].packet;
    pol_worker_decide_batch(life->twin.worker, packets, life->waiting, life->now, verdicts);
    for (size_t i = 0; i < life->waiting; i++)
        require(same_verdict(&verdicts[i], &life->batch[i].verdict));
    require(pol_worker_flow_count(life->twin.worker) == pol_worker_flow_count(life->one.worker));
    life->waiting = 0;
}

/* A frame in memory of its size, so that the sanitizer sees a read behind it. */
static void judge_frame(struct life *life, const struct frame *frame, enum pol_link link,
                        enum pol_side side)
{
    struct item *item = &life->batch[life->waiting];
    size_t calls = life->ledger.calls;
    uint8_t *exact = malloc(frame->len + !frame->len);
    pol_packet packet;

    require(exact);
    memcpy(exact, frame->bytes, frame->len);
    item->frame = *frame;
    (void)pol_packet_parse((pol_bytes){item->frame.bytes, frame->len}, link, (uint32_t)frame->len,
                           &item->packet);
    (void)pol_packet_parse((pol_bytes){exact, frame->len}, link, (uint32_t)frame->len, &packet);
    packet.side = item->packet.side = (uint8_t)(life->two_ports ? side : POL_SIDE_UNKNOWN);
    require(pol_worker_decide(life->one.worker, &packet, life->now, &item->verdict) ==
            item->verdict.action);
    free(exact);
    require(life->ledger.calls == calls);
    check_verdict(life, &item->packet, &item->verdict);
    count_verdict(life, &item->packet, &item->verdict);
    if (++life->waiting == BATCH)
        judge_batch(life);
}

/* --- frames ---------------------------------------------------------------------------------- */

/* Who talks to whom: chosen by two octets, with a state of its own for sequence numbers. */
struct talk {
    struct conn *conn;
    struct frame_spec spec;
    bool from_outside;
};

static struct talk read_talk(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in), port = cursor_u8(in);
    size_t host = pick & 3, remote = pick >> 2 & 3;
    struct talk talk = {.conn = &life->conns[host << 2 | remote], .from_outside = pick & 0x80};
    const char *client = inside[host], *server = outside[host == 3][remote];
    uint16_t mine = (uint16_t)(40000 + (port >> 3 & 3)), other = ports[port & 7];

    talk.spec.src = talk.from_outside ? server : client;
    talk.spec.dst = talk.from_outside ? client : server;
    talk.spec.src_port = talk.from_outside ? other : mine;
    talk.spec.dst_port = talk.from_outside ? mine : other;
    talk.spec.hop_limit = port & 0x80 ? 1 : 0;
    if (pick & 0x40) {
        talk.spec.vlan_count = 1;
        talk.spec.vlan[0] = 7;
    }
    return talk;
}

/* Octets of the frame are changed last, so that a template can become anything. */
static void send_frame(struct life *life, struct cursor *in, const struct talk *talk)
{
    struct frame frame = frame_build(&talk->spec);
    unsigned patches = cursor_u8(in);

    for (unsigned i = patches >= 0xf0 ? patches & 15 : 0; i > 0; i--)
        frame.bytes[cursor_u16(in) % frame.len] ^= cursor_u8(in);
    judge_frame(life, &frame, talk->spec.link,
                talk->from_outside ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE);
}

/* In sequence, but for a small step that the input may ask for. */
static void send_segment(struct life *life, struct cursor *in, struct talk *talk, uint8_t flags,
                         pol_bytes payload)
{
    int8_t shift = (int8_t)cursor_u8(in);
    uint32_t *next = &talk->conn->next[talk->from_outside];

    if (flags & POL_TCP_SYN)
        *next = 0x10000;
    talk->spec.proto = 6;
    talk->spec.tcp_flags = flags;
    talk->spec.tcp_seq = *next + (uint32_t)(int32_t)shift;
    talk->spec.tcp_ack = talk->conn->next[!talk->from_outside];
    talk->spec.payload = payload;
    *next += (uint32_t)payload.len + (flags & POL_TCP_SYN ? 1 : 0) + (flags & POL_TCP_FIN ? 1 : 0);
    send_frame(life, in, talk);
}

static pol_bytes as_bytes(pol_str text)
{
    return (pol_bytes){(const uint8_t *)text.ptr, text.len};
}

static void send_tcp(struct life *life, struct cursor *in)
{
    struct talk talk = read_talk(life, in);
    uint8_t flags = cursor_u8(in) & 0x3f;

    send_segment(life, in, &talk, flags, as_bytes(input_text(in)));
}

static void send_udp(struct life *life, struct cursor *in)
{
    struct talk talk = read_talk(life, in);

    talk.spec.proto = cursor_u8(in) & 0x80 ? 136 : 17;
    talk.spec.payload = as_bytes(input_text(in));
    send_frame(life, in, &talk);
}

static bool is_ipv6(const struct talk *talk)
{
    return strchr(talk->spec.src, ':');
}

static void send_icmp(struct life *life, struct cursor *in)
{
    struct talk talk = read_talk(life, in);
    uint8_t pick = cursor_u8(in);

    talk.spec.proto = is_ipv6(&talk) ? 58 : 1;
    talk.spec.icmp_type = is_ipv6(&talk) ? 128 : 8;
    if (pick & 1)
        talk.spec.icmp_type = is_ipv6(&talk) ? 129 : 0;
    if (pick & 0x80)
        talk.spec.icmp_type = cursor_u8(in);
    talk.spec.icmp_code = pick >> 1 & 3;
    talk.spec.src_port = pick >> 3 & 3;
    send_frame(life, in, &talk);
}

/* About a packet that went the other way. */
static void send_icmp_error(struct life *life, struct cursor *in)
{
    struct talk talk = read_talk(life, in);
    uint8_t pick = cursor_u8(in);
    struct frame_spec inner = talk.spec;
    struct frame cause;

    inner.link = POL_LINK_RAW_IP;
    inner.vlan_count = 0;
    inner.src = talk.spec.dst;
    inner.dst = talk.spec.src;
    inner.src_port = talk.spec.dst_port;
    inner.dst_port = talk.spec.src_port;
    inner.proto = pick & 1 ? 6 : 17;
    inner.payload = bytes_from("8 octets");
    cause = frame_build(&inner);
    talk.spec.proto = is_ipv6(&talk) ? 58 : 1;
    talk.spec.icmp_type = is_ipv6(&talk) ? 1 + (pick >> 1 & 3) : pick & 2 ? 11 : 3;
    talk.spec.icmp_code = pick >> 3 & 7;
    talk.spec.src_port = 0;
    talk.spec.dst_port = pick & 0x40 ? 1280 : 0;
    talk.spec.payload = (pol_bytes){cause.bytes, pick & 0x20 ? cause.len : cause.len / 2};
    send_frame(life, in, &talk);
}

static struct dnsmsg query, answer;

static void read_query(struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    static const uint16_t types[] = {1, 28, 65, 5};

    dnsmsg_query(&query, names[pick % 5], types[pick >> 4 & 3], cursor_u8(in) & 7,
                 pick & 0x80 ? 1232 : 0);
}

static void read_answer(struct cursor *in)
{
    uint8_t pick;
    const char *owner;

    read_query(in);
    pick = cursor_u8(in);
    owner = names[pick & 3];
    dnsmsg_response(&answer, &query, pick & 0x80 ? 3 : 0);
    if (pick & 0x40)
        dnsmsg_name(&answer, owner, 5, 60, names[pick >> 2 & 3]);
    for (unsigned i = 1 + (pick >> 4 & 3); i > 0; i--) {
        uint8_t row = cursor_u8(in);

        dnsmsg_address(&answer, names[row >> 3 & 3],
                       row & 0x20   ? 3600
                       : row & 0x40 ? 0
                                    : 30,
                       answers[row & 7]);
    }
}

static void send_dns(struct life *life, struct cursor *in, bool response)
{
    struct talk talk = read_talk(life, in);
    struct dnsmsg *message = response ? &answer : &query;

    if (response)
        read_answer(in);
    else
        read_query(in);
    *(talk.from_outside ? &talk.spec.src_port : &talk.spec.dst_port) = 53;
    talk.spec.proto = 17;
    talk.spec.payload = (pol_bytes){message->bytes, message->len};
    send_frame(life, in, &talk);
}

/* A piece of the framed message: the whole, or its beginning or end. */
static void send_dns_stream(struct life *life, struct cursor *in)
{
    static uint8_t framed[2 + sizeof(query.bytes)];
    struct talk talk = read_talk(life, in);
    struct dnsmsg *message = talk.from_outside ? &answer : &query;
    size_t len, cut;

    if (talk.from_outside)
        read_answer(in);
    else
        read_query(in);
    *(talk.from_outside ? &talk.spec.src_port : &talk.spec.dst_port) = 53;
    framed[0] = (uint8_t)(message->len >> 8);
    framed[1] = (uint8_t)message->len;
    memcpy(framed + 2, message->bytes, message->len);
    len = message->len + 2;
    cut = cursor_u8(in);
    if (cut & 0x80)
        cut = len;
    if (cut && cut < len)
        send_segment(life, in, &talk, POL_TCP_ACK, (pol_bytes){framed, cut});
    else
        cut = 0;
    send_segment(life, in, &talk, POL_TCP_ACK, (pol_bytes){framed + cut, len - cut});
}

static void send_hello(struct life *life, struct cursor *in)
{
    static struct hello hello;
    struct talk talk = read_talk(life, in);
    uint8_t pick = cursor_u8(in);
    struct hello_options options = {.sni = pick & 8 ? NULL : names[(pick & 7) % 5]};
    size_t cut;

    options.tls13 = pick & 0x10;
    options.ech = pick & 0x20;
    options.records = 1 + (pick >> 6);
    hello_build(&hello, &options);
    cut = cursor_u8(in) & 0x80 ? hello.len : 11;
    send_segment(life, in, &talk, POL_TCP_ACK, (pol_bytes){hello.bytes, cut});
    if (cut < hello.len)
        send_segment(life, in, &talk, POL_TCP_ACK, (pol_bytes){hello.bytes + cut, hello.len - cut});
}

/* From the server, in pieces of one length. */
static void send_flight(struct life *life, struct cursor *in)
{
    static struct flight flight;
    struct talk talk = read_talk(life, in);
    uint8_t pick = cursor_u8(in);
    size_t piece = pick & 0x80 ? 97 : 1200;

    flight_load(&flight, flights[(pick & 15) % (sizeof(flights) / sizeof(*flights))]);
    for (size_t at = 0; at < flight.len; at += piece) {
        size_t left = flight.len - at;

        send_segment(life, in, &talk, POL_TCP_ACK,
                     (pol_bytes){flight.bytes + at, left < piece ? left : piece});
    }
}

static void send_fragment(struct life *life, struct cursor *in)
{
    struct talk talk = read_talk(life, in);
    uint8_t pick = cursor_u8(in);

    talk.spec.proto = pick & 0x80 ? 6 : 17;
    talk.spec.frag_id = pick & 3;
    talk.spec.frag_offset = (uint16_t)(8 * (pick >> 2 & 7));
    talk.spec.frag_more = pick & 0x20;
    talk.spec.tcp_flags = POL_TCP_SYN;
    talk.spec.payload = as_bytes(input_text(in));
    if (talk.spec.frag_more)
        talk.spec.payload.len &= ~(size_t)7;
    send_frame(life, in, &talk);
}

static void send_any(struct life *life, struct cursor *in)
{
    pol_bytes bytes = as_bytes(input_text(in));
    uint8_t pick = cursor_u8(in);
    struct frame frame = {.len = bytes.len};

    if (bytes.len)
        memcpy(frame.bytes, bytes.ptr, bytes.len);
    judge_frame(life, &frame, pick & 3, pick & 4 ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE);
}

/* RFC 2131 2: the fixed part, the cookie, message type, server and lease. */
static void send_dhcp(struct life *life, struct cursor *in)
{
    uint8_t message[256] = {1, 1, 6, 0, 0, 0, 0, 1}, pick = cursor_u8(in);
    static const uint8_t options[] = {99, 130, 83, 99, 53, 1, 1, 54, 4, 192,
                                      0,  2,   53, 51, 4,  0, 0, 1,  0, 255};
    struct talk talk = {.from_outside = pick & 1};

    message[0] = pick & 1 ? 2 : 1;
    message[7] = pick >> 1 & 3;
    memcpy(message + 236, options, sizeof(options));
    message[242] = pick >> 3 & 7;
    talk.conn = &life->conns[0];
    talk.spec.proto = 17;
    talk.spec.src_port = pick & 1 ? 67 : 68;
    talk.spec.dst_port = pick & 1 ? 68 : 67;
    talk.spec.src = pick & 1 ? outside[0][0] : pick & 0x40 ? inside[0] : "0.0.0.0";
    talk.spec.dst = pick & 0x40 ? (pick & 1 ? inside[0] : outside[0][0]) : "255.255.255.255";
    talk.spec.payload = (pol_bytes){message, 236 + sizeof(options)};
    send_frame(life, in, &talk);
}

/* IGMPv2 reports and leaves, and traffic to the group. */
static void send_group(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    uint8_t report[8] = {pick & 1 ? 0x17 : 0x16, 0, 0, 0, 239, 1, 1, pick >> 1 & 3};
    struct talk talk = {.conn = &life->conns[0], .from_outside = pick & 0x80};

    talk.spec.src = talk.from_outside ? outside[0][1] : inside[pick >> 3 & 1];
    talk.spec.dst = "239.1.1.1";
    talk.spec.hop_limit = 1;
    if (pick & 0x40) {
        talk.spec.proto = 17;
        talk.spec.src_port = talk.spec.dst_port = 5000;
    } else {
        talk.spec.proto = 2;
        talk.spec.payload = (pol_bytes){report, sizeof(report)};
    }
    send_frame(life, in, &talk);
}

/* --- other operations ------------------------------------------------------------------------ */

static struct flow_seen *seen_find(struct life *life, uint64_t id)
{
    for (size_t i = 0; i < life->seen_count; i++) {
        if (life->seen[i].id == id)
            return &life->seen[i];
    }
    require(life->seen_count < SEEN);
    life->seen[life->seen_count] = (struct flow_seen){.id = id};
    return &life->seen[life->seen_count++];
}

/* A flow opens once, ends once, and says nothing before or after. */
static void check_event(struct life *life, const pol_event *event)
{
    struct flow_seen *flow;

    require(event->kind <= POL_EV_DNS && event->end <= POL_END_FLUSHED);
    require((event->end != POL_END_NONE) == (event->kind == POL_EV_FLOW_END));
    require(event->at <= life->now && strlen(event->name) == event->name_len);
    require(strlen(event->fqdn) == event->fqdn_len && event->first <= event->at);
    if (event->kind > POL_EV_FLOW_END || life->dropped)
        return;
    require(event->verdict.flow);
    flow = seen_find(life, event->verdict.flow);
    require(!flow->ended && flow->open == (event->kind != POL_EV_FLOW_OPEN));
    flow->open = true;
    flow->ended = event->kind == POL_EV_FLOW_END;
}

static size_t drain(struct life *life)
{
    static pol_event events[EVENTS], twins[EVENTS];
    pol_counters *counters;
    size_t count;

    judge_batch(life);
    require(pol_counters_new(life->ctx, &counters) == POL_OK);
    pol_counters_add(counters, life->one.worker);
    life->dropped |= value(counters, "policyd_events_dropped_total") > 0;
    pol_counters_free(counters);
    count = pol_worker_drain(life->one.worker, events, EVENTS);
    require(count == pol_worker_drain(life->twin.worker, twins, EVENTS));
    for (size_t i = 0; i < count; i++) {
        check_event(life, &events[i]);
        require(events[i].kind == twins[i].kind && events[i].at == twins[i].at);
        require(same_verdict(&events[i].verdict, &twins[i].verdict));
    }
    require(pol_worker_drain(life->one.worker, events, EVENTS) == 0);
    return count;
}

static void reload(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    pol_policy *policy = pick % 8 < 7 ? policies[pick % DOCUMENTS] : NULL;

    judge_batch(life);
    require(pol_worker_use(life->one.worker, policy, life->generation) == POL_E_INVALID);
    life->generation += 1 + (pick >> 6);
    require(pol_worker_use(life->one.worker, policy, life->generation) == POL_OK);
    require(pol_worker_use(life->twin.worker, policy, life->generation) == POL_OK);
    life->policy = policy;
}

static void tick(struct life *life, struct cursor *in)
{
    uint8_t budget = cursor_u8(in);
    size_t calls = life->ledger.calls;

    judge_batch(life);
    require(pol_worker_tick(life->one.worker, life->now, budget) ==
            pol_worker_tick(life->twin.worker, life->now, budget));
    require(pol_worker_deadline(life->one.worker) == pol_worker_deadline(life->twin.worker));
    require(life->ledger.calls == calls);
    /* Queries that run out wait for room in a full ring. */
    if (budget == 255 && pol_worker_deadline(life->one.worker) <= life->now)
        require(drain(life) == EVENTS);
}

static void pass_time(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    pol_mono step = (pol_mono)(pick & 0x1f) * (pick & 0x20 ? 60 : pick & 0x40 ? 2 : 1);

    judge_batch(life);
    life->now += step * (pick & 0x40 ? POL_SECONDS : pick & 0x20 ? POL_SECONDS : POL_SECONDS / 10);
}

static void expire_grants(struct life *life, struct cursor *in)
{
    uint8_t budget = cursor_u8(in);

    judge_batch(life);
    require(pol_grants_expire(life->one.grants, life->now, budget) ==
            pol_grants_expire(life->twin.grants, life->now, budget));
}

/* As a proxy would: asks, and learns the answer. */
static void ask_proxy(struct life *life, struct cursor *in)
{
    struct engine *engines[] = {&life->one, &life->twin};
    pol_addr client = addr_from(inside[cursor_u8(in) & 3]);
    enum pol_action actions[2];
    pol_dns_learned learned;
    pol_verdict verdict;
    pol_dns_query asked;

    judge_batch(life);
    read_answer(in);
    for (size_t i = 0; i < 2; i++) {
        actions[i] =
            pol_dns_decide(engines[i]->worker, &client, (pol_bytes){query.bytes, query.len},
                           life->now, &asked, &verdict);
        require(actions[i] == POL_ALLOW || actions[i] == POL_ANSWER || actions[i] == POL_DENY);
        if (actions[i] == POL_ALLOW)
            (void)pol_dns_learn(engines[i]->worker, &asked, (pol_bytes){answer.bytes, answer.len},
                                life->now, &learned);
    }
    require(actions[0] == actions[1]);
}

static void (*const senders[])(struct life *, struct cursor *) = {
    send_tcp,   send_tcp,        send_tcp,        send_udp,      send_udp,
    send_icmp,  send_icmp_error, send_any,        send_dhcp,     send_group,
    send_hello, send_hello,      send_dns_stream, send_fragment, send_flight,
};

static void step(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);

    switch (pick >> 5) {
    case 0:
        send_dns(life, in, false);
        break;
    case 1:
        send_dns(life, in, true);
        break;
    case 2:
        pass_time(life, in);
        break;
    case 3:
        tick(life, in);
        break;
    case 4:
        if (pick & 16)
            drain(life);
        else if (pick & 8)
            reload(life, in);
        else if (pick & 4)
            expire_grants(life, in);
        else
            ask_proxy(life, in);
        break;
    default:
        senders[(pick & 31) % (sizeof(senders) / sizeof(*senders))](life, in);
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static void check_counters(struct life *life)
{
    const struct totals *totals = &life->totals;
    pol_counters *counters;

    require(pol_counters_new(life->ctx, &counters) == POL_OK);
    pol_counters_add(counters, life->one.worker);
    require(value(counters, "dp_packets_total") == totals->packets);
    require(value(counters, "dp_bytes_total") == totals->bytes);
    require(value(counters, "policyd_not_ip_total") == totals->other);
    require(value(counters, "dp_flow_opens_total") == totals->opened);
    require(value(counters, "dp_active_flows") == pol_worker_flow_count(life->one.worker));
    pol_counters_free(counters);
}

/* Every flow ends, then no grant is held and nothing waits. */
static void finish(struct life *life)
{
    pol_grant grants[GRANTS];
    uint32_t position = 0;
    size_t left, count;

    judge_batch(life);
    check_counters(life);
    do {
        left = pol_worker_flush(life->one.worker, life->now);
        require(left == pol_worker_flush(life->twin.worker, life->now));
        drain(life);
    } while (left);
    require(pol_worker_flow_count(life->one.worker) == 0);
    for (size_t i = 0; i < life->seen_count && !life->dropped; i++)
        require(life->seen[i].ended);
    count = pol_grants_list(life->one.grants, &position, life->now, grants, GRANTS);
    for (size_t i = 0; i < count; i++)
        require(grants[i].flows == 0);
    check_counters(life);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct life life;
    struct cursor in = input_of(data, size);
    pol_worker_options opts;
    uint8_t pick = cursor_u8(&in), more = cursor_u8(&in);
    size_t memory;

    compile_documents();
    memset(&life, 0, sizeof(life));
    life.two_ports = !(pick & 0x80);
    life.admit_outside = pick & 8;
    life.trust_all = pick & 0x20;
    life.ctx = ledger_ctx(&life.ledger, NULL);
    set_options(&opts, pick, more);
    engine_start(&life.one, life.ctx, &opts);
    engine_start(&life.twin, life.ctx, &opts);
    life.now = START;
    reload(&life, &in);
    memory = pol_worker_memory(life.one.worker);
    for (unsigned i = 0; i < STEPS && cursor_left(&in); i++) {
        step(&life, &in);
        require(pol_worker_flow_count(life.one.worker) <= FLOWS);
    }
    if (life.generation == 1)
        require(pol_worker_memory(life.one.worker) == memory);
    finish(&life);
    pol_worker_free(life.one.worker);
    pol_worker_free(life.twin.worker);
    pol_grants_free(life.one.grants);
    pol_grants_free(life.twin.grants);
    pol_ctx_unref(life.ctx);
    require(life.ledger.bytes == 0);
    return 0;
}
