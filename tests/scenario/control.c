/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>

#include "frames.h"
#include "world.h"

/* --- ether: frames without IP ----------------------------------------------------------------- */

static bool take_ether_type(const char *text, uint32_t *ret_type)
{
    static const uint32_t types[] = {0x0806, 0x888e, 0x88cc, 0};
    int choice = word_choice(text, "arp|eapol|lldp|stp");
    uint64_t number = 0;

    if (choice >= 0)
        *ret_type = types[choice];
    if (choice >= 0 || strlen(text) != 4)
        return choice >= 0;
    for (; *text; text++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, *text);

        if (!digit)
            return false;
        number = number << 4 | (uint64_t)(digit - digits);
    }
    *ret_type = (uint32_t)number;
    return true;
}

static void put16(struct payload *payload, unsigned value)
{
    const uint8_t octets[] = {(uint8_t)(value >> 8), (uint8_t)value};

    (void)payload_add(payload, octets, sizeof(octets));
}

/* A frame of its type and 46 octets behind it; spanning tree has a length and LLC instead. */
static bool put_ether(struct payload *payload, const struct packet_words *words, uint32_t type)
{
    static const uint8_t macs[12] = {1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1};
    static const uint8_t spanning_tree[46] = {0x42, 0x42, 3}, rest[46];
    struct frame_spec spec = {.link = POL_LINK_ETHERNET};

    if (!take_vlan(words->vlan, &spec))
        return false;
    (void)payload_add(payload, macs, sizeof(macs));
    for (unsigned i = 0; i < spec.vlan_count; i++) {
        put16(payload, i + 1 < spec.vlan_count ? 0x88a8 : 0x8100);
        put16(payload, spec.vlan[i]);
    }
    put16(payload, type ? type : sizeof(spanning_tree));
    return payload_add(payload, type ? rest : spanning_tree, sizeof(rest));
}

bool play_ether(struct world *world, struct args *args)
{
    const char *text = args_bare(args, "the kind of frame"), *arrow;
    struct packet_words words;
    uint32_t type;

    if (!text)
        return false;
    if (!take_ether_type(text, &type))
        return script_error(args->script, args->step->line, "\"%s\" is no kind of frame", text);
    arrow = args_bare(args, "> or <");
    if (!arrow)
        return false;
    if (word_choice(arrow, "<|>") < 0)
        return script_error(args->script, args->step->line, "\"%s\" is not > or <", arrow);
    packet_words_init(&words, 0);
    if (!take_packet(world, args, &words))
        return false;
    if (!put_ether(&world->payload, &words, type))
        return script_error(args->script, args->step->line, "vlan= is wrong");
    return send_octets(world, args, *arrow == '>', &words);
}

/* --- group: IGMP and MLD ---------------------------------------------------------------------- */

enum group_act { GROUP_JOIN, GROUP_LEAVE, GROUP_QUERY };

/* What is said of a group, and how. */
struct group_words {
    struct packet_words packet;
    uint8_t act, version;
    bool alert; /* with a Router Alert option */
};

#define GROUP(name) offsetof(struct group_words, name)

static const struct word_key group_keys[] = {
    {"version", WORD_U8, GROUP(version), NULL},
    {"alert", WORD_BOOL, GROUP(alert), NULL},
};

static void put_address(struct payload *payload, const char *text)
{
    pol_addr addr = addr_from(text);

    (void)payload_add(payload, addr.bytes, addr.family == 4 ? 4 : 16);
}

/* RFC 3376 4.2.12: a filter that excludes nothing joins, one that includes nothing leaves. */
static void put_record(struct payload *payload, const struct group_words *words, const char *group)
{
    const uint8_t head[4] = {words->act == GROUP_JOIN ? 4 : 3};

    (void)payload_add(payload, head, sizeof(head));
    put_address(payload, group);
}

/* Where the protocol sends it: RFC 2236 9, RFC 3376 4.2.14. */
static void put_igmp(struct payload *payload, const struct group_words *words, const char *group,
                     struct frame_spec *spec)
{
    static const uint8_t types[][4] = {[GROUP_JOIN] = {0, 0x12, 0x16, 0x22},
                                       [GROUP_LEAVE] = {0, 0x17, 0x17, 0x22},
                                       [GROUP_QUERY] = {0, 0x11, 0x11, 0x11}};
    const uint8_t head[4] = {types[words->act][words->version]};
    bool records = head[0] == 0x22;

    spec->dst = records ? "224.0.0.22" : words->act == GROUP_LEAVE ? "224.0.0.2" : group;
    (void)payload_add(payload, head, sizeof(head));
    if (records) {
        put16(payload, 0);
        put16(payload, 1);
        put_record(payload, words, group);
    } else {
        put_address(payload, group);
    }
}

/* RFC 2710 5, RFC 3810 5.2.14. The fields behind the checksum are the frame's "ports". */
static void put_mld(struct payload *payload, const struct group_words *words, const char *group,
                    struct frame_spec *spec)
{
    static const uint8_t types[][3] = {
        [GROUP_JOIN] = {0, 131, 143}, [GROUP_LEAVE] = {0, 132, 143}, [GROUP_QUERY] = {0, 130, 130}};
    static const uint8_t router_alert[] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};

    spec->icmp_type = types[words->act][words->version];
    if (words->alert) {
        spec->options = (pol_bytes){router_alert, sizeof(router_alert)};
        spec->first_extension = IPPROTO_HOPOPTS;
    }
    spec->dst = group;
    if (spec->icmp_type == 143) {
        spec->dst = "ff02::16";
        spec->dst_port = 1;
        put_record(payload, words, group);
    } else {
        put_address(payload, group);
        if (words->act == GROUP_LEAVE)
            spec->dst = "ff02::2";
    }
}

static bool take_group(struct args *args, struct group_words *words, int family)
{
    const struct word *word;

    while ((word = args_next(args))) {
        enum word_taken taken = packet_words_take(word, &words->packet);

        if (taken == WORD_UNKNOWN)
            taken = word_take(word, group_keys, sizeof(group_keys) / sizeof(group_keys[0]), words);
        if (!args_taken(args, word, taken))
            return false;
    }
    if (words->version == 0)
        words->version = family == 4 ? 3 : 2;
    if (words->version <= (family == 4 ? 3 : 2))
        return true;
    return script_error(args->script, args->step->line, "there is no such version");
}

bool play_group(struct world *world, struct args *args)
{
    struct group_words words = {.alert = true};
    struct endpoint src, group;
    bool from_inside;
    const char *text;
    int act;

    if (!take_ends(args, &src, &group, &from_inside))
        return false;
    text = args_bare(args, "join, leave or query");
    act = text ? word_choice(text, "join|leave|query") : 0;
    if (text && act < 0)
        return script_error(args->script, args->step->line, "\"%s\" is not join, leave or query",
                            text);
    packet_words_init(&words.packet, src.family == 4 ? IPPROTO_IGMP : IPPROTO_ICMPV6);
    words.packet.ttl = 1;
    words.act = (uint8_t)act;
    if (!text || !take_group(args, &words, src.family))
        return false;

    struct frame_spec spec = {.src = src.addr, .proto = words.packet.proto};

    (src.family == 4 ? put_igmp : put_mld)(&world->payload, &words, group.addr, &spec);
    return send_frame(world, args, &spec, from_inside, &words.packet);
}

/* --- dhcp --------------------------------------------------------------------------------------
 */

struct dhcp_words {
    struct packet_words packet;
    uint32_t transaction;
    uint8_t client; /* last octet of its hardware address */
    const char *server, *relay;
    pol_mono lease;
};

#define DHCP(name) offsetof(struct dhcp_words, name)

static const struct word_key dhcp_keys[] = {
    {"xid", WORD_U32, DHCP(transaction), NULL}, {"client", WORD_U8, DHCP(client), NULL},
    {"server", WORD_TEXT, DHCP(server), NULL},  {"relay", WORD_TEXT, DHCP(relay), NULL},
    {"lease", WORD_TIME, DHCP(lease), NULL},
};

static void put_option(struct payload *payload, uint8_t code, const void *value, uint8_t len)
{
    (void)payload_add(payload, &code, 1);
    (void)payload_add(payload, &len, 1);
    (void)payload_add(payload, value, len);
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* RFC 2131 2, with an Ethernet client */
static void put_dhcp(struct payload *payload, const struct dhcp_words *words, bool reply,
                     uint8_t type)
{
    static const uint8_t end = 255;
    uint8_t head[240] = {reply ? 2 : 1, 1, 6}, lease[4];

    put32(head + 4, words->transaction);
    if (words->relay)
        memcpy(head + 24, addr_from(words->relay).bytes, 4);
    head[28] = 2;
    head[33] = words->client;
    put32(head + 236, 0x63825363);
    (void)payload_add(payload, head, sizeof(head));
    put_option(payload, 53, &type, 1);
    if (words->server)
        put_option(payload, 54, addr_from(words->server).bytes, 4);
    put32(lease, (uint32_t)(words->lease / POL_SECONDS));
    if (words->lease)
        put_option(payload, 51, lease, sizeof(lease));
    (void)payload_add(payload, &end, 1);
}

static bool is_ipv4(const char *text)
{
    pol_addr addr;

    return !text ||
           (pol_addr_parse((pol_str){text, strlen(text)}, &addr) == POL_OK && addr.family == 4);
}

static bool take_dhcp(struct args *args, struct dhcp_words *words)
{
    const struct word *word;

    while ((word = args_next(args))) {
        enum word_taken taken = packet_words_take(word, &words->packet);

        if (taken == WORD_UNKNOWN)
            taken = word_take(word, dhcp_keys, sizeof(dhcp_keys) / sizeof(dhcp_keys[0]), words);
        if (!args_taken(args, word, taken))
            return false;
    }
    if (is_ipv4(words->server) && is_ipv4(words->relay))
        return true;
    return script_error(args->script, args->step->line, "server= or relay= is no IPv4 address");
}

/* The ports of who speaks, unless the scenario says others. */
static void default_ports(struct endpoint *src, struct endpoint *dst, uint16_t from, uint16_t to)
{
    if (!src->has_port)
        src->port = from;
    if (!dst->has_port)
        dst->port = to;
}

bool play_dhcp(struct world *world, struct args *args)
{
    static const char types[] = "discover|offer|request|decline|ack|nak|release|inform";
    struct dhcp_words words = {.transaction = 1, .client = 5};
    struct endpoint src, dst;
    bool from_inside, reply;
    const char *text;
    int type;

    if (!take_ends(args, &src, &dst, &from_inside))
        return false;
    text = args_bare(args, "the kind of message");
    if (!text)
        return false;
    type = word_choice(text, types);
    if (type < 0 || src.family != 4)
        return script_error(args->script, args->step->line, "\"%s\" is no kind of message", text);
    packet_words_init(&words.packet, IPPROTO_UDP);
    if (!take_dhcp(args, &words))
        return false;
    reply = word_choice(text, "offer|ack|nak") >= 0;
    default_ports(&src, &dst, reply ? 67 : 68, reply ? 68 : 67);
    put_dhcp(&world->payload, &words, reply, (uint8_t)(type + 1));
    return send_payload(world, args, &src, &dst, from_inside, &words.packet);
}

bool play_dhcp6(struct world *world, struct args *args)
{
    static const char types[] = "solicit|advertise|request|confirm|renew|rebind|reply|release|"
                                "decline|reconfigure|information-request";
    struct packet_words words;
    struct endpoint src, dst;
    bool from_inside, reply;
    uint8_t head[4] = {0, 1, 2, 3};
    const char *text;
    int type;

    if (!take_ends(args, &src, &dst, &from_inside))
        return false;
    text = args_bare(args, "the kind of message");
    if (!text)
        return false;
    type = word_choice(text, types);
    if (type < 0 || src.family != 6)
        return script_error(args->script, args->step->line, "\"%s\" is no kind of message", text);
    reply = word_choice(text, "advertise|reply|reconfigure") >= 0;
    default_ports(&src, &dst, reply ? 547 : 546, reply ? 546 : 547);
    head[0] = (uint8_t)(type + 1);
    (void)payload_add(&world->payload, head, sizeof(head));
    packet_words_init(&words, IPPROTO_UDP);
    return take_packet(world, args, &words) &&
           send_payload(world, args, &src, &dst, from_inside, &words);
}
