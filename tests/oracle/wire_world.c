/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ICMP = 1,
    TCP = 6,
    UDP = 17,
    ICMPV6 = 58,
    DNS_PORT = 53,
    CNAME = 5,
    HTTPS = 65,
    RESOLVERS = 3
};

const char *wire_name(int name)
{
    static char links[WIRE_LINKS][32];

    if (name < NAME_COUNT)
        return name_texts[name];
    snprintf(links[name - NAME_COUNT], sizeof(*links), "c%d.links.example", name - NAME_COUNT);
    return links[name - NAME_COUNT];
}

static void turn(pol_packet *packet)
{
    pol_tuple tuple = packet->tuple;
    bool icmp = tuple.proto == ICMP || tuple.proto == ICMPV6;

    packet->tuple.src = tuple.dst;
    packet->tuple.dst = tuple.src;
    packet->tuple.src_port = icmp ? tuple.src_port : tuple.dst_port;
    packet->tuple.dst_port = icmp ? 0 : tuple.src_port;
    packet->side = packet->side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
}

static void measure(pol_packet *packet)
{
    packet->ip_len = (uint32_t)(60 + packet->payload.len);
    packet->wire_len = packet->ip_len + 14;
}

/* --- hosts ---------------------------------------------------------------------------------- */

/* What is sent to many is no flow; other tests have it. */
static bool is_host(const pol_addr *addr)
{
    static const uint8_t everyone[4] = {0};

    if (addr->family == 6)
        return addr->bytes[0] != 0xff;
    return addr->bytes[0] < 224 && memcmp(addr->bytes, everyone, 4) != 0;
}

static pol_addr draw_host(struct draw *draw, const pol_prefix *prefixes, uint32_t count)
{
    pol_addr addr = {.family = 4, .bytes = {10, 0, 0, 7}};

    for (int i = 0; i < 64; i++) {
        pol_prefix prefix = count ? prefixes[draw_below(draw, count)] : draw_prefix(draw, false);
        pol_addr other = draw_address(draw, &prefix);

        if (is_host(&other))
            return other;
    }
    return addr;
}

static void draw_clients(struct wire_world *world, const struct model *model)
{
    for (int i = 0; i < CLIENTS; i++) {
        const struct model_group *group =
            &model->groups[draw_below(&world->draw, model->group_count)];

        world->clients[i] = draw_host(&world->draw, group->sources, group->source_count);
    }
    if (draw_percent(&world->draw, 15)) /* of no group, perhaps; or a resolver that stands inside */
        world->clients[0] = draw_host(&world->draw, NULL, 0);
}

static uint16_t service(struct draw *draw)
{
    static const uint16_t ports[] = {443, 443, 80, 22, 8443, DNS_PORT};

    return draw_percent(draw, 80) ? ports[draw_below(draw, 6)]
                                  : (uint16_t)draw_between(draw, 1024, 65535);
}

static bool has_ports(uint8_t proto)
{
    return proto == TCP || proto == UDP || proto == 132 || proto == 136 || proto == 33;
}

static uint8_t draw_talk_proto(struct draw *draw, uint8_t family)
{
    static const uint8_t protos[] = {TCP, TCP, TCP, TCP, UDP, UDP, UDP, UDP, ICMP, 47, 132};
    uint8_t proto = protos[draw_below(draw, sizeof(protos))];

    return proto == ICMP && family == 6 ? ICMPV6 : proto;
}

/* Half of them go where a name has led. */
static const pol_addr *draw_server(struct wire_world *world, uint8_t family)
{
    const struct wire *wire = world->wire;

    for (int i = 0; wire->grant_count && i < 20 && draw_percent(&world->draw, 95); i++) {
        const pol_addr *addr = &wire->grants[draw_below(&world->draw, wire->grant_count)].addr;

        if (addr->family == family)
            return addr;
    }
    return draw_of_family(&world->draw, world->pool, POOL, family);
}

/* A connection with a resolver; with the one that nobody trusts, it is as any other. */
static bool speaks_dns(const struct wire_world *world, const struct talk *talk)
{
    const pol_tuple *tuple = &talk->packet.tuple;

    for (int i = 0; i < RESOLVERS && tuple->proto == TCP && tuple->dst_port == DNS_PORT; i++) {
        if (memcmp(&world->resolvers[i], &tuple->dst, sizeof(tuple->dst)) == 0)
            return true;
    }
    return false;
}

static void to_resolver(struct wire_world *world, pol_tuple *tuple)
{
    const pol_addr *resolver =
        draw_of_family(&world->draw, world->resolvers, RESOLVERS, tuple->src.family);

    if (!resolver)
        return;
    tuple->dst = *resolver;
    tuple->proto = TCP;
    tuple->src_port = (uint16_t)draw_between(&world->draw, 40000, 40002);
    tuple->dst_port = DNS_PORT;
}

static void begin_talk(struct wire_world *world, struct talk *talk)
{
    struct draw *draw = &world->draw;
    pol_packet *packet = &talk->packet;
    const pol_addr *server;

    *talk = (struct talk){.isn = (uint32_t)draw_u64(draw), .server_isn = (uint32_t)draw_u64(draw)};
    if (draw_percent(draw, 10))
        talk->server_isn %= 100; /* where a sequence that nobody has begun would be */
    *packet = (pol_packet){.kind = POL_PKT_IP, .side = POL_SIDE_INSIDE, .hop_limit = 64};
    do {
        packet->tuple.src = world->clients[draw_below(draw, CLIENTS)];
        server = draw_server(world, packet->tuple.src.family);
    } while (!server || memcmp(server, &packet->tuple.src, sizeof(*server)) == 0);
    packet->tuple.dst = *server;
    packet->ether_type = server->family == 4 ? 0x0800 : 0x86dd;
    packet->tuple.proto = draw_talk_proto(draw, server->family);
    if (draw_percent(draw, 20))
        to_resolver(world, &packet->tuple);
    else if (has_ports(packet->tuple.proto)) {
        packet->tuple.src_port = (uint16_t)draw_between(draw, 40000, 40002);
        packet->tuple.dst_port = service(draw);
    } else if (packet->tuple.proto == ICMP || packet->tuple.proto == ICMPV6) {
        packet->tuple.src_port = (uint16_t)draw_below(draw, 3);
        packet->icmp_type = packet->tuple.proto == ICMP ? 8 : 128;
    } else {
        packet->marks = POL_MARK_NO_L4;
    }
    if (draw_percent(draw, 12))
        turn(packet); /* opened from outside */
}

/* Conversations that end their life on the same ports as others. */
static void again(struct wire_world *world, struct talk *talk)
{
    begin_talk(world, talk);
    for (int i = 0; i < TALKS; i++) {
        pol_packet *other = &world->talks[i].packet;

        if (&world->talks[i] != talk && other->tuple.proto == talk->packet.tuple.proto &&
            memcmp(&other->tuple, &talk->packet.tuple, sizeof(other->tuple)) == 0)
            talk->packet.tuple.src_port = (uint16_t)(50000 + i);
    }
}

void wire_world_begin(struct wire_world *world, const struct model *model)
{
    draw_clients(world, model);
    world->asked_count = world->piece_count = 0;
    world->book.count = 0;
    world->next_id = 1000;
    world->dns_talk = NULL;
    for (int i = 0; i < POOL; i++)
        world->pool[i] = draw_host(&world->draw, NULL, 0);
    for (int i = 0; i < TALKS; i++)
        begin_talk(world, &world->talks[i]);
}

/* --- DNS ------------------------------------------------------------------------------------ */

static void put_payload(pol_packet *packet, const struct dnsmsg *message)
{
    packet->payload = (pol_bytes){message->bytes, message->len};
}

static uint16_t draw_type(struct draw *draw)
{
    static const uint16_t types[] = {1, 1, 28, 28, 65, 16};

    return types[draw_below(draw, 6)];
}

static void ask(struct wire_world *world)
{
    struct draw *draw = &world->draw;
    struct asked asked = {.id = (uint16_t)draw_below(draw, 3), .type = draw_type(draw)};
    const pol_addr *resolver;

    do {
        asked.tuple.src = world->clients[draw_below(draw, CLIENTS)];
        resolver = draw_of_family(draw, world->resolvers, RESOLVERS, asked.tuple.src.family);
    } while (!resolver);
    asked.tuple.dst = *resolver;
    asked.tuple.proto = UDP;
    asked.tuple.src_port = (uint16_t)draw_between(draw, 5000, 5002);
    asked.tuple.dst_port = DNS_PORT;
    asked.name = (int)draw_below(draw, NAME_COUNT);
    if (world->asked_count && draw_percent(draw, 15)) /* once more */
        asked = world->asked[draw_below(draw, world->asked_count)];
    world->newest = world->asked_count < ASKED ? world->asked_count++ : draw_below(draw, ASKED);
    world->asked[world->newest] = asked;
    world->packet = (pol_packet){
        .tuple = asked.tuple, .kind = POL_PKT_IP, .side = POL_SIDE_INSIDE, .hop_limit = 64};
    world->packet.ether_type = asked.tuple.src.family == 4 ? 0x0800 : 0x86dd;
    world->message = (struct wire_message){
        .present = true, .id = asked.id, .type = asked.type, .name = asked.name};
    dnsmsg_query(&world->query, wire_name(asked.name), asked.type, asked.id, 0);
    put_payload(&world->packet, &world->query);
}

static uint32_t draw_ttl(struct draw *draw)
{
    static const uint32_t ttls[] = {0, 30, 60, 300, 600, 3600, 90000};

    return draw_percent(draw, 50) ? ttls[draw_below(draw, 7)] : draw_below(draw, 900);
}

static struct wire_record *add_record(struct wire_message *message, int owner, uint32_t ttl)
{
    struct wire_record *record = &message->records[message->record_count++];

    *record = (struct wire_record){.owner = owner, .target = NO_NAME, .ttl = ttl};
    return record;
}

/* Links from the name to where its addresses are; now and then in a circle. */
static int draw_chain(struct wire_world *world)
{
    struct draw *draw = &world->draw;
    struct wire_message *message = &world->message;
    uint32_t length = draw_percent(draw, 50)   ? 0
                      : draw_percent(draw, 70) ? draw_between(draw, 1, 3)
                                               : draw_between(draw, 9, 13);
    int owner = message->name;

    for (uint32_t i = 0; i < length; i++) {
        add_record(message, owner, draw_ttl(draw))->target = NAME_COUNT + (int)i;
        owner = NAME_COUNT + (int)i;
    }
    if (length && draw_percent(draw, 10))
        add_record(message, owner, draw_ttl(draw))->target = message->name;
    return owner;
}

static void draw_addresses(struct wire_world *world, int owner)
{
    struct draw *draw = &world->draw;
    struct wire_message *message = &world->message;
    uint32_t count = draw_between(draw, 1, 4), place = draw_below(draw, POOL);

    if (world->wire->grant_count > WIRE_TAUGHT)
        return;
    for (uint32_t i = 0; i < count; i++) {
        int whose = draw_percent(draw, 10)  ? message->name
                    : draw_percent(draw, 8) ? (int)draw_below(draw, WIRE_NAMES)
                                            : owner;

        struct wire_record *record = add_record(message, whose, draw_ttl(draw));

        /* Names share addresses, but not all of them. */
        record->addr = world->pool[(place + i * 7 + (uint32_t)message->name) % POOL];
        record->hint = draw_percent(draw, 10);
        record->aside = draw_percent(draw, 8);
    }
}

static void shuffle(struct draw *draw, struct wire_message *message)
{
    for (uint32_t i = message->record_count; i > 1; i--) {
        uint32_t j = draw_below(draw, i);
        struct wire_record record = message->records[i - 1];

        message->records[i - 1] = message->records[j];
        message->records[j] = record;
    }
}

static void write_record(struct dnsmsg *answer, const struct wire_record *record)
{
    const char *owner = wire_name(record->owner);
    char text[POL_ADDR_TEXT];

    pol_addr_format(&record->addr, text);
    if (record->target != NO_NAME)
        dnsmsg_name(answer, owner, CNAME, record->ttl, wire_name(record->target));
    else if (record->hint)
        dnsmsg_service(answer, owner, HTTPS, record->ttl, 1, ".",
                       record->addr.family == 4 ? text : NULL,
                       record->addr.family == 6 ? text : NULL);
    else
        dnsmsg_address(answer, owner, record->ttl, text);
}

static void begin_answer(struct wire_world *world, const struct asked *asked)
{
    world->message = (struct wire_message){.present = true, .answers = true, .id = asked->id};
    world->message.type = asked->type;
    world->message.name = asked->name;
    world->message.rcode = draw_percent(&world->draw, 8) ? 3 : 0;
}

static void write_answer(struct wire_world *world)
{
    const struct wire_message *message = &world->message;

    draw_addresses(world, draw_chain(world));
    if (draw_percent(&world->draw, 40))
        shuffle(&world->draw, &world->message);
    dnsmsg_query(&world->query, wire_name(message->name), message->type, message->id, 0);
    dnsmsg_response(&world->answer, &world->query, message->rcode);
    for (int aside = 0; aside < 2; aside++) {
        world->answer.section = aside ? 3 : 1;
        for (uint32_t i = 0; i < message->record_count; i++) {
            if (message->records[i].aside == aside)
                write_record(&world->answer, &message->records[i]);
            if (message->records[i].aside == aside)
                world->ends[i] = world->answer.len;
        }
    }
}

/* One thing that makes it the answer to another query, or to none. */
static void spoil(struct wire_world *world)
{
    struct draw *draw = &world->draw;

    switch (draw_below(draw, 6)) {
    case 0:
        world->message.id ^= 1;
        break;
    case 1:
        world->message.name = (world->message.name + 1) % NAME_COUNT;
        break;
    case 2:
        world->message.type = world->message.type == 1 ? 28 : 1;
        break;
    case 3:
        world->packet.tuple.dst_port++;
        break;
    case 4:
        world->packet.side = POL_SIDE_INSIDE;
        break;
    default:
        world->packet.tuple.src_port++;
    }
}

static void answer(struct wire_world *world)
{
    struct draw *draw = &world->draw;
    const struct asked *asked =
        &world
             ->asked[draw_percent(draw, 70) ? world->newest : draw_below(draw, world->asked_count)];

    world->packet = (pol_packet){
        .tuple = asked->tuple, .kind = POL_PKT_IP, .side = POL_SIDE_INSIDE, .hop_limit = 64};
    world->packet.ether_type = asked->tuple.src.family == 4 ? 0x0800 : 0x86dd;
    turn(&world->packet);
    begin_answer(world, asked);
    if (draw_percent(draw, 10))
        spoil(world);
    write_answer(world);
    put_payload(&world->packet, &world->answer);
}

/* What goes to port 53 and is no message. */
static void no_dns(struct wire_world *world)
{
    ask(world);
    world->message = (struct wire_message){.present = false};
    world->packet.payload = (pol_bytes){(const uint8_t *)"no DNS", 6};
    if (draw_percent(&world->draw, 50))
        turn(&world->packet);
}

/* Begins a datagram in pieces with the packet. */
static void keep_piece(struct wire_world *world)
{
    uint32_t place = draw_below(&world->draw, 4);
    pol_packet *packet = &world->packet;

    packet->frag_id = draw_below(&world->draw, 3);
    world->pieces[place] = *packet;
    if (place >= world->piece_count)
        world->piece_count = place + 1;
}

/* The packet as the first piece of a longer one. */
static void as_piece(struct wire_world *world, size_t header)
{
    pol_packet *packet = &world->packet;

    keep_piece(world);
    packet->marks |= POL_MARK_FRAGMENT;
    packet->frag_len = (uint16_t)(header + packet->payload.len);
    packet->frag_more = true;
}

/* What a first piece of so many octets says of an answer: the records that are whole. */
static void cut_message(struct wire_world *world, size_t len)
{
    struct wire_message *message = &world->message;
    uint32_t kept = 0;

    message->present &= len >= world->query.question_end;
    for (uint32_t i = 0; i < message->record_count; i++) {
        if (world->ends[i] <= len)
            message->records[kept++] = message->records[i];
    }
    message->record_count = kept;
}

static void in_first_piece(struct wire_world *world)
{
    pol_bytes *payload = &world->packet.payload;

    if (draw_percent(&world->draw, 60)) {
        payload->len = draw_below(&world->draw, (uint32_t)payload->len + 1);
        cut_message(world, payload->len);
    }
    as_piece(world, 8);
}

static void dns(struct wire_world *world)
{
    uint32_t what = draw_below(&world->draw, 100);

    if (what < 4)
        no_dns(world);
    else if (world->asked_count == 0 || what < 45)
        ask(world);
    else
        answer(world);
    if (draw_percent(&world->draw, 8))
        in_first_piece(world);
}

/* --- DNS over TCP --------------------------------------------------------------------------- */

static void segment(struct wire_world *world, struct talk *talk, bool reply, uint8_t flags)
{
    pol_packet *packet = &world->packet;

    if (reply)
        turn(packet);
    packet->tcp_flags = flags;
    packet->tcp_seq = reply ? talk->server_isn : talk->isn;
    if (!(flags & POL_TCP_SYN))
        packet->tcp_seq += 1 + talk->says[reply].sent;
    if (flags & POL_TCP_ACK)
        packet->tcp_ack = (reply ? talk->isn : talk->server_isn) + 1 + talk->says[!reply].sent;
}

/* The next connection on the same ports. */
static void renew(struct talk *talk, uint32_t isn)
{
    talk->isn = isn;
    talk->says[0].len = talk->says[0].sent = talk->says[1].len = talk->says[1].sent = 0;
    talk->open_count = 0;
}

/* What it means is written down; without a meaning it is no message. */
static void write_frame(struct wire_world *world, struct script *script, const uint8_t *octets,
                        size_t len, const struct wire_message *meaning)
{
    struct wire_phrase *phrase = &world->book.phrases[world->book.count];

    if (len > WIRE_PHRASE || script->len + len + 2 > SCRIPT || world->book.count == WIRE_PHRASES)
        return;
    script->octets[script->len] = (uint8_t)(len >> 8);
    script->octets[script->len + 1] = (uint8_t)len;
    memcpy(script->octets + script->len + 2, octets, len);
    script->len += (uint32_t)len + 2;
    if (!meaning)
        return;
    phrase->len = (uint32_t)len;
    memcpy(phrase->octets, octets, len);
    phrase->message = *meaning;
    world->book.count++;
}

/* Too short, no DNS at all, or a query with something behind it. */
static void write_no_dns(struct wire_world *world, struct script *script)
{
    uint8_t octets[64];

    dnsmsg_query(&world->query, "www.example.com", 1, 7, 0);
    memcpy(octets, world->query.bytes, world->query.len);
    memcpy(octets + world->query.len, "more", 4);
    switch (draw_below(&world->draw, 3)) {
    case 0:
        write_frame(world, script, octets, draw_below(&world->draw, 12), NULL);
        break;
    case 1:
        write_frame(world, script, (const uint8_t *)"GET / HTTP/1.0\r\n", 16, NULL);
        break;
    default:
        write_frame(world, script, octets, world->query.len + 4, NULL);
    }
}

static void write_query(struct wire_world *world, struct talk *talk, struct script *script)
{
    struct asked asked = {.id = world->next_id++, .type = draw_type(&world->draw)};
    struct wire_message message = {.present = true, .id = asked.id, .type = asked.type};

    asked.name = message.name = (int)draw_below(&world->draw, NAME_COUNT);
    dnsmsg_query(&world->query, wire_name(asked.name), asked.type, asked.id, 0);
    write_frame(world, script, world->query.bytes, world->query.len, &message);
    talk->open[talk->open_count++ % OPEN] = asked;
}

/* To one of the newest queries, and now and then to none. */
static void write_reply(struct wire_world *world, struct talk *talk, struct script *script)
{
    struct draw *draw = &world->draw;
    uint32_t known = talk->open_count < OPEN ? talk->open_count : OPEN;
    uint32_t place = draw_percent(draw, 70) ? talk->open_count - 1 : draw_below(draw, OPEN);
    struct asked asked = {.id = 7, .type = 1};

    if (known == 0 && draw_percent(draw, 80))
        return;
    if (known)
        asked = talk->open[place % known];
    if (draw_percent(draw, 5))
        asked.id ^= 1;
    if (draw_percent(draw, 3))
        asked.name = (asked.name + 1) % NAME_COUNT;
    begin_answer(world, &asked);
    write_answer(world);
    write_frame(world, script, world->answer.bytes, world->answer.len, &world->message);
    world->message = (struct wire_message){.present = false};
}

static void write_more(struct wire_world *world, struct talk *talk, bool reply)
{
    struct script *script = &talk->says[reply];
    uint32_t what = draw_below(&world->draw, 100);

    if (what < 3)
        write_no_dns(world, script);
    else if (what < 5)
        write_query(world, talk, script);
    else if (reply)
        write_reply(world, talk, script);
    else
        write_query(world, talk, script);
    if (draw_percent(&world->draw, 25) && script->len < SCRIPT / 2)
        write_more(world, talk, reply);
}

/* From where to where the segment goes: all that is left, a part, a part behind a hole, or what was
 * sent before. */
static void draw_range(struct draw *draw, const struct script *script, uint32_t *ret_from,
                       uint32_t *ret_to)
{
    uint32_t what = draw_below(draw, 100), left = script->len - script->sent;

    *ret_from = script->sent;
    *ret_to = script->len;
    if (what < 25 && left)
        *ret_to = script->sent + draw_between(draw, 1, left);
    else if (what < 30 && left)
        *ret_from += draw_below(draw, left);
    else if (what < 42 && script->sent)
        *ret_from = draw_below(draw, script->sent);
}

/* Where a segment may be that is not read: before the first octet, far away, or urgent. */
static void misplace(struct draw *draw, pol_packet *packet)
{
    switch (draw_below(draw, 4)) {
    case 0:
        packet->tcp_flags |= POL_TCP_URG;
        break;
    case 1:
        packet->tcp_seq += 1u << draw_between(draw, 20, 31);
        break;
    case 2:
        packet->tcp_seq -= SCRIPT + 100;
        break;
    default:
        packet->payload.len = 1;
        packet->tcp_seq--;
    }
}

/* Another copy of the octets [from, to): in the last message with its flags there, they say that it
 * is no query (RFC 1035 4.1.1, OPCODE). */
static void make_other(const struct script *script, uint32_t from, uint32_t to, uint8_t *octets)
{
    uint32_t flags = POL_NONE;

    for (uint32_t at = 0; at + 4 < to;
         at += 2 + (script->octets[at] << 8 | script->octets[at + 1])) {
        if (at + 4 >= from)
            flags = at + 4;
    }
    if (flags != POL_NONE)
        octets[flags - from] ^= 0x20;
}

/* Octets of the script, in the segment that is there. */
static void put_octets(struct wire_world *world, struct talk *talk, bool reply)
{
    struct draw *draw = &world->draw;
    struct script *script = &talk->says[reply];
    pol_packet *packet = &world->packet;
    uint32_t from, to;

    if (script->sent == script->len && script->len < SCRIPT / 2)
        write_more(world, talk, reply);
    draw_range(draw, script, &from, &to);
    memcpy(world->octets, script->octets + from, to - from);
    packet->payload = (pol_bytes){world->octets, to - from};
    packet->tcp_seq += from - script->sent;
    if (from <= script->sent && to > script->sent)
        script->sent = to;
    if (to == from)
        return;
    if (draw_percent(draw, 3))
        make_other(script, from, to, world->octets);
    if (draw_percent(draw, 2))
        misplace(draw, packet);
}

static void dns_segment(struct wire_world *world, struct talk *talk)
{
    struct draw *draw = &world->draw;
    bool reply = draw_percent(draw, talk->says[0].sent ? 50 : 15);

    segment(world, talk, reply, POL_TCP_ACK);
    if (draw_percent(draw, 10)) /* acknowledges less, or what was not sent */
        world->packet.tcp_ack += draw_below(draw, 120) - 60;
    if (draw_percent(draw, 75))
        put_octets(world, talk, reply);
    if (draw_percent(draw, 3))
        as_piece(world, 20);
}

/* --- TCP ------------------------------------------------------------------------------------ */

/* A connection with a resolver may bring its first octets with the SYN (RFC 7413). */
static void begin_connection(struct wire_world *world, struct talk *talk)
{
    segment(world, talk, false, POL_TCP_SYN);
    if (speaks_dns(world, talk) && draw_percent(&world->draw, 8))
        put_octets(world, talk, false);
}

static void no_flow_segment(struct wire_world *world, struct talk *talk)
{
    unsigned what = draw_below(&world->draw, 20);
    uint8_t fin = draw_percent(&world->draw, 30) ? POL_TCP_FIN : 0;

    renew(talk, (uint32_t)draw_u64(&world->draw));
    if (what < 15)
        begin_connection(world, talk);
    else if (what < 17)
        segment(world, talk, false, POL_TCP_ACK | fin);
    else
        segment(world, talk, true, what == 17 ? POL_TCP_SYN | POL_TCP_ACK : POL_TCP_ACK | fin);
}

static void opening_segment(struct wire_world *world, struct talk *talk,
                            const struct wire_flow *flow)
{
    unsigned what = draw_below(&world->draw, 20);

    if (what == 0)
        renew(talk, talk->isn + draw_between(&world->draw, 1, 1u << 30));
    if (what < 2)
        begin_connection(world, talk);
    else if (what == 2)
        segment(world, talk, what % 2, POL_TCP_RST | POL_TCP_ACK);
    else if (flow->midstream || flow->syn_ack)
        segment(world, talk, what < 8, POL_TCP_ACK);
    else
        segment(world, talk, true, POL_TCP_SYN | POL_TCP_ACK);
}

static void open_segment(struct wire_world *world, struct talk *talk)
{
    static const uint8_t flags[] = {POL_TCP_ACK,
                                    POL_TCP_ACK,
                                    POL_TCP_ACK,
                                    POL_TCP_ACK,
                                    POL_TCP_ACK,
                                    POL_TCP_FIN | POL_TCP_ACK,
                                    POL_TCP_FIN | POL_TCP_ACK,
                                    POL_TCP_RST};
    unsigned what = draw_below(&world->draw, 16);

    segment(world, talk, what % 2, flags[what / 2]);
}

/* The connection is denied or closing: a late segment, its SYN once more, or a new one. */
static void late_segment(struct wire_world *world, struct talk *talk)
{
    unsigned what = draw_below(&world->draw, 8);

    if (what < 5) {
        segment(world, talk, what % 2, POL_TCP_ACK);
        return;
    }
    if (what > 5)
        renew(talk, talk->isn + draw_between(&world->draw, 1, 1u << 30));
    begin_connection(world, talk);
}

static void tcp(struct wire_world *world, struct talk *talk)
{
    const struct wire_flow *flow = wire_find((struct wire *)world->wire, &talk->packet);

    world->dns_talk = speaks_dns(world, talk) ? talk : NULL;
    if (!flow)
        no_flow_segment(world, talk);
    else if (world->dns_talk && draw_percent(&world->draw, flow->denied || flow->closing ? 15 : 75))
        dns_segment(world, talk);
    else if (flow->denied || flow->closing)
        late_segment(world, talk);
    else if (flow->established)
        open_segment(world, talk);
    else
        opening_segment(world, talk, flow);
}

/* --- what is no TCP ------------------------------------------------------------------------- */

static void datagram(struct wire_world *world)
{
    pol_packet *packet = &world->packet;

    if (draw_percent(&world->draw, 40)) {
        turn(packet);
        if (packet->icmp_type)
            packet->icmp_type = packet->tuple.proto == ICMP ? 0 : 129;
    }
    if (packet->tuple.proto == UDP)
        packet->payload = (pol_bytes){(const uint8_t *)"datagram", 8};
}

static void talk_on(struct wire_world *world)
{
    struct talk *talk = &world->talks[draw_below(&world->draw, TALKS)];

    if (world->dns_talk && draw_percent(&world->draw, 80))
        talk = world->dns_talk;
    else if (draw_percent(&world->draw, 4))
        again(world, talk);
    world->packet = talk->packet;
    if (talk->packet.tuple.proto == TCP)
        tcp(world, talk);
    else
        datagram(world);
}

/* --- pieces --------------------------------------------------------------------------------- */

static const pol_packet *some_udp_talk(struct wire_world *world)
{
    for (int i = 0; i < 64; i++) {
        const pol_packet *packet = &world->talks[draw_below(&world->draw, TALKS)].packet;

        if (packet->tuple.proto == UDP)
            return packet;
    }
    return NULL;
}

static void fragment(struct wire_world *world, uint16_t offset, bool more)
{
    pol_packet *packet = &world->packet;

    packet->marks |= POL_MARK_FRAGMENT;
    packet->frag_offset = offset;
    packet->frag_len = 512;
    packet->frag_more = more;
    packet->payload = (pol_bytes){world->octets, offset ? 512 : 504};
    if (offset) {
        packet->marks |= POL_MARK_NO_L4;
        packet->tuple.src_port = packet->tuple.dst_port = 0;
    }
}

static void begin_datagram(struct wire_world *world)
{
    const pol_packet *talk = some_udp_talk(world);

    if (!talk) {
        talk_on(world);
        return;
    }
    world->packet = *talk;
    if (draw_percent(&world->draw, 30))
        turn(&world->packet);
    keep_piece(world);
    fragment(world, 0, true);
}

/* A later piece of something begun before, or of nothing. */
static void go_on_datagram(struct wire_world *world)
{
    static const uint16_t offsets[] = {512, 512, 1024, 1024, 768, 1536};
    uint32_t place = draw_below(&world->draw, world->piece_count);

    world->packet = world->pieces[place];
    if (world->packet.kind != POL_PKT_IP) {
        begin_datagram(world);
        return;
    }
    if (draw_percent(&world->draw, 5))
        world->packet.frag_id = 77;
    fragment(world, offsets[draw_below(&world->draw, 6)], draw_percent(&world->draw, 60));
}

static void in_pieces(struct wire_world *world)
{
    if (world->piece_count == 0 || draw_percent(&world->draw, 40))
        begin_datagram(world);
    else
        go_on_datagram(world);
}

void wire_world_next(struct wire_world *world)
{
    uint32_t what = draw_below(&world->draw, 100);

    world->message = (struct wire_message){.present = false};
    if (world->dns_talk && what < 70)
        talk_on(world);
    else if (what < 40)
        dns(world);
    else if (what < 52)
        in_pieces(world);
    else
        talk_on(world);
    if (draw_percent(&world->draw, 2))
        world->packet.side =
            world->packet.side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
    if (world->wire->one_port)
        world->packet.side = POL_SIDE_UNKNOWN;
    measure(&world->packet);
}
