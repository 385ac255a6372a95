/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"

enum { TCP = 6, UDP = 17, ICMP = 1, ICMPV6 = 58, IGMP = 2, DNS_PORT = 53 };

enum talk_kind { TALK_TCP, TALK_TLS, TALK_UDP, TALK_DNS, TALK_DNS_TCP, TALK_ICMP, TALK_OTHER };

/* --- names ---------------------------------------------------------------------------------- */

static const char *const odd_names[] = {
    "a\\034b.example.com",
    "\\092.example.net",
    "\\000\\001\\200\\255.example.org",
    "*.login.test",
};

enum { ODD_NAMES = sizeof(odd_names) / sizeof(*odd_names) };

const char *traffic_name(int number)
{
    return number < NAME_COUNT ? name_texts[number] : odd_names[number - NAME_COUNT];
}

int traffic_name_draw(struct draw *draw)
{
    return (int)draw_below(draw, NAME_COUNT + ODD_NAMES);
}

/* --- pieces --------------------------------------------------------------------------------- */

static pol_bytes keep(struct traffic *traffic, const void *bytes, size_t len)
{
    uint8_t *copy = traffic->arena + traffic->used;

    if (len > TRAFFIC_ARENA - traffic->used)
        return (pol_bytes){NULL, 0};
    memcpy(copy, bytes, len);
    traffic->used += len;
    return (pol_bytes){copy, len};
}

static void turn(pol_packet *packet)
{
    pol_tuple tuple = packet->tuple;
    bool icmp = tuple.proto == ICMP || tuple.proto == ICMPV6;

    packet->tuple.src = tuple.dst;
    packet->tuple.dst = tuple.src;
    if (!icmp) {
        packet->tuple.src_port = tuple.dst_port;
        packet->tuple.dst_port = tuple.src_port;
    }
    if (packet->side != POL_SIDE_UNKNOWN)
        packet->side = packet->side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
}

/* Lengths as the parser would have found them. */
static void measure(pol_packet *packet)
{
    size_t head = packet->tuple.src.family == 4 ? 20 : 40;

    head += packet->marks & POL_MARK_NO_L4 ? 0u : packet->tuple.proto == TCP ? 20u : 8u;
    packet->ip_len = (uint32_t)(head + packet->payload.len);
    packet->wire_len = packet->ip_len + 14;
}

/* --- conversations -------------------------------------------------------------------------- */

static bool has_ports(uint8_t proto)
{
    return proto == TCP || proto == UDP || proto == 33 || proto == 132 || proto == 136;
}

static uint8_t other_proto(struct draw *draw)
{
    uint8_t proto;

    do {
        proto = draw_proto(draw);
    } while (proto == ICMP || proto == ICMPV6 || proto == TCP || proto == UDP);
    return proto;
}

static uint8_t proto_of(struct draw *draw, uint8_t what, uint8_t family)
{
    switch (what) {
    case TALK_TCP:
    case TALK_TLS:
    case TALK_DNS_TCP:
        return TCP;
    case TALK_UDP:
    case TALK_DNS:
        return UDP;
    case TALK_ICMP:
        return family == 4 ? ICMP : ICMPV6;
    default:
        return other_proto(draw);
    }
}

static uint16_t server_port(struct traffic *traffic, uint8_t what)
{
    static const uint16_t ports[] = {443, 443, 443, 80, 22, 8443, DNS_PORT};
    struct draw *draw = &traffic->draw;
    uint16_t port = draw_percent(draw, 70) ? ports[draw_below(draw, 7)] : draw_port(draw);

    if (what == TALK_DNS || what == TALK_DNS_TCP)
        return DNS_PORT;
    return traffic->steady && port == DNS_PORT ? 443 : port;
}

static void set_ports(struct traffic *traffic, struct talk *talk)
{
    struct draw *draw = &traffic->draw;
    pol_packet *packet = &talk->packet;

    if (talk->what == TALK_ICMP) {
        static const uint8_t types[] = {8, 8, 13, 0, 17}, types6[] = {128, 128, 129, 128, 144};

        packet->icmp_type = (packet->tuple.proto == ICMP ? types : types6)[draw_below(draw, 5)];
        packet->tuple.src_port = (uint16_t)draw_below(draw, 4);
    } else if (has_ports(packet->tuple.proto)) {
        packet->tuple.src_port = (uint16_t)draw_between(draw, 40000, 40010);
        packet->tuple.dst_port = server_port(traffic, talk->what);
    } else {
        packet->marks = POL_MARK_NO_L4;
    }
}

static const pol_addr *responder(struct traffic *traffic, uint8_t what, uint8_t family)
{
    if (what == TALK_DNS || what == TALK_DNS_TCP)
        return draw_of_family(&traffic->draw, traffic->resolvers, RESOLVERS, family);
    return draw_of_family(&traffic->draw, traffic->servers, SERVERS, family);
}

static uint8_t talk_kind(struct traffic *traffic)
{
    static const uint8_t kinds[] = {TALK_TCP, TALK_TLS, TALK_TLS,     TALK_TLS,  TALK_UDP,
                                    TALK_DNS, TALK_DNS, TALK_DNS_TCP, TALK_ICMP, TALK_OTHER};
    uint8_t kind;

    do {
        kind = kinds[draw_below(&traffic->draw, sizeof(kinds))];
    } while (traffic->steady && (kind == TALK_DNS || kind == TALK_DNS_TCP));
    return kind;
}

static void begin_talk(struct traffic *traffic, struct talk *talk)
{
    struct draw *draw = &traffic->draw;
    const pol_addr *client, *server;
    pol_packet *packet = &talk->packet;

    *talk = (struct talk){.what = talk_kind(traffic), .name = traffic_name_draw(draw)};
    do {
        client = &traffic->clients[draw_below(draw, CLIENTS)];
        server = responder(traffic, talk->what, client->family);
    } while (!server);
    *packet = (pol_packet){.kind = POL_PKT_IP, .side = POL_SIDE_INSIDE, .hop_limit = 64};
    packet->tuple.src = *client;
    packet->tuple.dst = *server;
    packet->ether_type = client->family == 4 ? 0x0800 : 0x86dd;
    packet->tuple.proto = proto_of(draw, talk->what, client->family);
    set_ports(traffic, talk);
    if (draw_percent(draw, 5))
        turn(packet); /* opened from outside */
    if (draw_percent(draw, 5)) {
        packet->vlan_count = 1;
        packet->vlan[0] = 7;
    }
    if (traffic->one_port)
        packet->side = POL_SIDE_UNKNOWN;
    talk->client_seq = (uint32_t)draw_u64(draw);
    talk->server_seq = (uint32_t)draw_u64(draw);
    talk->query_id = (uint16_t)draw_below(draw, 8);
}

/* --- TCP ------------------------------------------------------------------------------------ */

static void from_client(struct talk *talk, pol_packet *packet, uint8_t flags, pol_bytes payload)
{
    packet->tcp_flags = flags;
    packet->tcp_seq = talk->client_seq;
    packet->tcp_ack = flags & POL_TCP_ACK ? talk->server_seq : 0;
    packet->payload = payload;
    talk->client_seq += (uint32_t)payload.len + !!(flags & (POL_TCP_SYN | POL_TCP_FIN));
}

static void from_server(struct talk *talk, pol_packet *packet, uint8_t flags, pol_bytes payload)
{
    turn(packet);
    packet->tcp_flags = flags;
    packet->tcp_seq = talk->server_seq;
    packet->tcp_ack = talk->client_seq;
    packet->payload = payload;
    talk->server_seq += (uint32_t)payload.len + !!(flags & (POL_TCP_SYN | POL_TCP_FIN));
}

/* The hello of the talk's name, in as many pieces as chance wills. */
static pol_bytes hello_piece(struct traffic *traffic, struct talk *talk)
{
    struct draw *draw = &traffic->draw;
    uint32_t left;

    hello_build(&traffic->hello,
                &(struct hello_options){.sni = traffic_name(talk->name), .tls13 = talk->name % 2});
    if (draw_percent(draw, 3))
        traffic->hello.bytes[draw_below(draw, (uint32_t)traffic->hello.len)] ^= 0x40;
    if (draw_percent(draw, 5))
        talk->hello_sent = 0; /* once more, which may contradict what came before */
    left = (uint32_t)traffic->hello.len - talk->hello_sent;
    if (left == 0)
        return keep(traffic, "more", 4);
    if (draw_percent(draw, 40))
        left = draw_between(draw, 1, left);
    talk->hello_sent += left;
    return keep(traffic, traffic->hello.bytes + talk->hello_sent - left, left);
}

static pol_bytes dns_stream_piece(struct traffic *traffic, struct talk *talk, bool answers)
{
    struct dnsmsg *message = answers ? &traffic->answer : &traffic->query;
    uint8_t framed[2048];
    size_t len;

    dnsmsg_query(&traffic->query, traffic_name(talk->name), 1, talk->query_id, 0);
    if (answers) {
        char text[POL_ADDR_TEXT];

        dnsmsg_response(&traffic->answer, &traffic->query, 0);
        pol_addr_format(&traffic->servers[draw_below(&traffic->draw, SERVERS)], text);
        dnsmsg_address(&traffic->answer, traffic_name(talk->name), 30, text);
    }
    len = message->len;
    framed[0] = (uint8_t)(len >> 8);
    framed[1] = (uint8_t)len;
    memcpy(framed + 2, message->bytes, len);
    len += 2;
    if (draw_percent(&traffic->draw, 25))
        len = draw_between(&traffic->draw, 1, (uint32_t)len);
    return keep(traffic, framed, len);
}

static pol_bytes client_octets(struct traffic *traffic, struct talk *talk)
{
    if (talk->what == TALK_TLS && draw_percent(&traffic->draw, 90))
        return hello_piece(traffic, talk);
    if (talk->what == TALK_DNS_TCP && draw_percent(&traffic->draw, 95))
        return dns_stream_piece(traffic, talk, false);
    return keep(traffic, "GET / HTTP/1.0\r\n\r\n", 18);
}

static pol_bytes server_octets(struct traffic *traffic, struct talk *talk)
{
    if (talk->what == TALK_DNS_TCP && draw_percent(&traffic->draw, 95))
        return dns_stream_piece(traffic, talk, true);
    return keep(traffic, "220 ready\r\n", 11);
}

static void tcp_oddity(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    static const pol_bytes none = {NULL, 0};
    struct draw *draw = &traffic->draw;

    switch (draw_below(draw, 8)) {
    case 0:
        from_client(talk, packet, POL_TCP_FIN | POL_TCP_ACK, none);
        break;
    case 1:
        from_server(talk, packet, POL_TCP_FIN | POL_TCP_ACK, none);
        break;
    case 2:
        from_client(talk, packet, POL_TCP_RST | POL_TCP_ACK, none);
        break;
    case 3:
        from_server(talk, packet, POL_TCP_RST | POL_TCP_ACK, none);
        break;
    case 4: /* another connection, near or far */
        talk->client_seq += draw_below(draw, 2) ? 100 : 1u << 30;
        talk->hello_sent = 0;
        from_client(talk, packet, POL_TCP_SYN, none);
        break;
    case 5: /* something seen before */
        talk->client_seq -= draw_below(draw, 300);
        from_client(talk, packet, POL_TCP_ACK, client_octets(traffic, talk));
        break;
    case 6:
        from_server(talk, packet, POL_TCP_SYN, none);
        break;
    default:
        from_client(talk, packet, POL_TCP_ACK | POL_TCP_URG, client_octets(traffic, talk));
    }
}

static void tcp_packet(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    static const pol_bytes none = {NULL, 0};
    unsigned what = draw_below(&traffic->draw, 16);

    if (!talk->asked && what < 14) {
        talk->asked = true;
        from_client(talk, packet, POL_TCP_SYN, none);
    } else if (what < 3) {
        from_server(talk, packet, POL_TCP_SYN | POL_TCP_ACK, none);
    } else if (what < 5) {
        from_client(talk, packet, POL_TCP_ACK, none);
    } else if (what < 10) {
        from_client(talk, packet, POL_TCP_ACK, client_octets(traffic, talk));
    } else if (what < 13) {
        from_server(talk, packet, POL_TCP_ACK, server_octets(traffic, talk));
    } else {
        tcp_oddity(traffic, talk, packet);
    }
}

/* --- DNS over UDP --------------------------------------------------------------------------- */

static void dns_query(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    static const uint16_t types[] = {1, 28, 65, 16};
    struct draw *draw = &traffic->draw;

    if (draw_percent(draw, 30)) {
        talk->name = traffic_name_draw(draw);
        talk->query_id = (uint16_t)draw_below(draw, 8);
    }
    talk->asked = true;
    dnsmsg_query(&traffic->query, traffic_name(talk->name), types[draw_below(draw, 4)],
                 talk->query_id, draw_percent(draw, 30) ? 1232 : 0);
    if (draw_percent(draw, 3))
        dnsmsg_raw(&traffic->query, "x", 1); /* more than a message */
    packet->payload = keep(traffic, traffic->query.bytes, traffic->query.len);
}

static void dns_answer(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    static const uint16_t types[] = {1, 28, 65};
    struct draw *draw = &traffic->draw;
    uint32_t count = draw_below(draw, 4);
    char text[POL_ADDR_TEXT];

    turn(packet);
    dnsmsg_query(&traffic->query, traffic_name(talk->name), types[draw_below(draw, 3)],
                 (uint16_t)(talk->query_id + draw_percent(draw, 5)), 0);
    dnsmsg_response(&traffic->answer, &traffic->query, draw_percent(draw, 8) ? 3 : 0);
    for (uint32_t i = 0; i < count; i++) {
        pol_addr_format(&traffic->servers[draw_below(draw, SERVERS)], text);
        dnsmsg_address(&traffic->answer, traffic_name(talk->name), draw_below(draw, 200), text);
    }
    packet->payload = keep(traffic, traffic->answer.bytes, traffic->answer.len);
}

static void dns_packet(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    if (!talk->asked || draw_percent(&traffic->draw, 50))
        dns_query(traffic, talk, packet);
    else if (draw_percent(&traffic->draw, 95))
        dns_answer(traffic, talk, packet);
    else
        packet->payload = keep(traffic, "no DNS", 6);
}

/* --- the rest ------------------------------------------------------------------------------- */

static void plain_packet(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    static const uint8_t pairs[][2] = {{8, 0}, {0, 8}, {13, 14}, {128, 129}, {129, 128}};

    if (draw_percent(&traffic->draw, 40)) {
        turn(packet);
        for (size_t i = 0; talk->what == TALK_ICMP && i < sizeof(pairs) / sizeof(*pairs); i++) {
            if (talk->packet.icmp_type == pairs[i][0])
                packet->icmp_type = pairs[i][1];
        }
    }
    packet->payload = keep(traffic, "payload!", draw_below(&traffic->draw, 9));
}

/* An error about a packet of the talk, from its other end or from a router on the way. */
static void make_error(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    static const uint8_t types[] = {3, 3, 11, 12, 5}, types6[] = {1, 2, 3, 4, 137};
    struct draw *draw = &traffic->draw;
    bool v4 = packet->tuple.src.family == 4;
    pol_packet cause = talk->packet;

    if (draw_percent(draw, 40))
        turn(&cause);
    *packet = cause;
    turn(packet);
    packet->tuple.proto = v4 ? ICMP : ICMPV6;
    packet->tuple.src_port = packet->tuple.dst_port = 0;
    packet->inner = cause.tuple;
    packet->icmp_type = (v4 ? types : types6)[draw_below(draw, 5)];
    packet->icmp_code = (uint8_t)draw_below(draw, 5);
    packet->marks = POL_MARK_ICMP_ERROR;
    packet->tcp_flags = 0;
    packet->payload = (pol_bytes){NULL, 0};
    if (draw_percent(draw, 30))
        packet->tuple.src =
            *draw_of_family(draw, traffic->servers, SERVERS, packet->tuple.src.family);
    if (draw_percent(draw, 10) && packet->side != POL_SIDE_UNKNOWN)
        packet->side ^= POL_SIDE_INSIDE ^ POL_SIDE_OUTSIDE;
}

/* A piece of a datagram: the first one keeps its L4 fields. */
static void make_fragment(struct traffic *traffic, struct talk *talk, pol_packet *packet)
{
    struct draw *draw = &traffic->draw;
    unsigned what = draw_below(draw, 5);

    if (what == 0)
        talk->frag_id = draw_below(draw, 4);
    packet->marks |= POL_MARK_FRAGMENT;
    packet->frag_id = talk->frag_id;
    packet->frag_more = what < 4;
    packet->frag_offset = (uint16_t)(what < 2 ? 0 : 16 * (what - 1));
    packet->frag_len = 16;
    if (what < 2)
        return;
    packet->marks |= POL_MARK_NO_L4;
    packet->tuple.src_port = packet->tuple.dst_port = 0;
    packet->tcp_flags = packet->icmp_type = packet->icmp_code = 0;
    packet->payload = keep(traffic, "sixteen octets..", 16);
}

static void make_control(struct traffic *traffic, pol_packet *packet)
{
    static const uint16_t types[] = {0x0806, 0x888e, 0x88cc, 0x1234, 0};
    static const uint8_t join[] = {0x16, 0, 0, 0, 224, 0, 0, 251};
    struct draw *draw = &traffic->draw;
    pol_addr group = {.family = 4, .bytes = {224, 0, 0, 251}};

    if (draw_percent(draw, 30) || packet->tuple.src.family != 4) {
        packet->kind = draw_percent(draw, 10) ? POL_PKT_BROKEN : POL_PKT_NOT_IP;
        packet->ether_type = types[draw_below(draw, 5)];
        packet->tuple = (pol_tuple){.proto = 0};
        return;
    }
    packet->tuple.dst = group;
    packet->marks = 0;
    if (draw_percent(draw, 50)) {
        packet->tuple.proto = IGMP;
        packet->marks = POL_MARK_NO_L4 | POL_MARK_OPTIONS;
        packet->hop_limit = 1;
        packet->tuple.src_port = packet->tuple.dst_port = 0;
        packet->payload = keep(traffic, join, sizeof(join));
    } else {
        packet->tuple.proto = UDP;
        packet->tuple.src_port = packet->tuple.dst_port = 5353;
        if (packet->side != POL_SIDE_UNKNOWN && draw_percent(draw, 50))
            packet->side = POL_SIDE_OUTSIDE;
    }
}

static void next_packet(struct traffic *traffic, pol_packet *packet)
{
    struct draw *draw = &traffic->draw;
    struct talk *talk = &traffic->talks[draw_below(draw, TALKS)];
    unsigned what = draw_below(draw, 100);

    if (what < 4)
        begin_talk(traffic, talk);
    *packet = talk->packet;
    if (what >= 97 && traffic->control) {
        make_control(traffic, packet);
    } else if (what >= 91) {
        make_error(traffic, talk, packet);
    } else if (packet->tuple.proto == TCP) {
        tcp_packet(traffic, talk, packet);
    } else if (talk->what == TALK_DNS) {
        dns_packet(traffic, talk, packet);
    } else {
        plain_packet(traffic, talk, packet);
    }
    if (packet->kind == POL_PKT_IP && !(packet->marks & POL_MARK_ICMP_ERROR) &&
        draw_percent(draw, 8))
        make_fragment(traffic, talk, packet);
    if (draw_percent(draw, 1))
        packet->marks |= POL_MARK_MALFORMED;
    measure(packet);
}

void traffic_next(struct traffic *traffic, pol_packet *ret_packets, size_t count)
{
    traffic->used = 0;
    for (size_t i = 0; i < count; i++)
        next_packet(traffic, &ret_packets[i]);
}

/* --- a world -------------------------------------------------------------------------------- */

/* Half the servers of either family, so that everybody finds one. */
static void draw_servers(struct traffic *traffic)
{
    for (uint32_t i = 0; i < SERVERS;) {
        pol_prefix prefix = draw_prefix(&traffic->draw, false);
        pol_addr addr = draw_address(&traffic->draw, &prefix);

        if (addr.family == (i % 2 ? 6 : 4))
            traffic->servers[i++] = addr;
    }
}

void traffic_begin(struct traffic *traffic, const struct model *model, uint64_t seed)
{
    static const pol_addr resolvers[RESOLVERS] = {
        {.family = 4, .bytes = {203, 0, 113, 53}},
        {.family = 6, .bytes = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53}},
        {.family = 4, .bytes = {203, 0, 113, 54}},
    };
    struct draw *draw = &traffic->draw;

    draw->state = seed;
    traffic->model = model;
    traffic->used = 0;
    memcpy(traffic->resolvers, resolvers, sizeof(resolvers));
    for (int i = 0; i < CLIENTS; i++) {
        const struct model_group *group = &model->groups[draw_below(draw, model->group_count)];

        traffic->clients[i] =
            draw_address(draw, &group->sources[draw_below(draw, group->source_count)]);
    }
    draw_servers(traffic);
    for (int i = 0; i < TALKS; i++)
        begin_talk(traffic, &traffic->talks[i]);
}
