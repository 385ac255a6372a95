/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>

#include "frames.h"
#include "world.h"

#define PACKET(name) offsetof(struct packet_words, name)

static const struct word_key packet_keys[] = {
    {"from", WORD_TEXT, PACKET(from), NULL}, {"vlan", WORD_TEXT, PACKET(vlan), NULL},
    {"part", WORD_TEXT, PACKET(part), NULL}, {"ttl", WORD_U8, PACKET(ttl), NULL},
    {"frag", WORD_U32, PACKET(frag), NULL},  {"off", WORD_U16, PACKET(off), NULL},
    {"more", WORD_BOOL, PACKET(more), NULL}, {"id", WORD_U32, PACKET(id), NULL},
    {"isn", WORD_I64, PACKET(isn), NULL},    {"at", WORD_I64, PACKET(at), NULL},
};

void packet_words_init(struct packet_words *words, uint8_t proto)
{
    *words = (struct packet_words){.proto = proto, .id = 1, .isn = -1, .at = -1};
}

enum word_taken packet_words_take(const struct word *word, struct packet_words *words)
{
    return word_take(word, packet_keys, sizeof(packet_keys) / sizeof(packet_keys[0]), words);
}

bool take_ends(struct args *args, struct endpoint *ret_src, struct endpoint *ret_dst,
               bool *ret_from_inside)
{
    const char *left = args_bare(args, "an address"), *arrow, *right;
    struct endpoint near, far;

    arrow = left ? args_bare(args, "> or <") : NULL;
    right = arrow ? args_bare(args, "the other address") : NULL;
    if (!right)
        return false;
    if (!word_endpoint(left, &near) || !word_endpoint(right, &far) || near.family != far.family ||
        word_choice(arrow, "<|>") < 0)
        return script_error(args->script, args->step->line, "\"%s %s %s\" are no two ends", left,
                            arrow, right);
    *ret_from_inside = *arrow == '>';
    *ret_src = *ret_from_inside ? near : far;
    *ret_dst = *ret_from_inside ? far : near;
    return true;
}

bool take_packet(struct world *world, struct args *args, struct packet_words *words)
{
    struct payload_words carried = {.hello = NULL};
    const struct word *word;

    while ((word = args_next(args))) {
        enum word_taken taken = packet_words_take(word, words);

        if (taken == WORD_UNKNOWN)
            taken = payload_take(word, &carried);
        if (taken == WORD_UNKNOWN && word->quoted && !word->key &&
            payload_add(&world->payload, word->text, word->len))
            taken = WORD_TAKEN;
        if (!args_taken(args, word, taken))
            return false;
    }
    if (payload_fill(&world->payload, &carried))
        return true;
    return script_error(args->script, args->step->line, "the payload makes no sense");
}

/* TCP sequence numbers. */

static struct sender *find_sender(struct world *world, const char *from, uint16_t from_port,
                                  const char *to, uint16_t to_port)
{
    for (size_t i = 0; i < world->sender_count; i++) {
        struct sender *sender = &world->senders[i];

        if (sender->from_port == from_port && sender->to_port == to_port &&
            !strcmp(sender->from, from) && !strcmp(sender->to, to))
            return sender;
    }
    return NULL;
}

static struct sender *add_sender(struct world *world, const struct frame_spec *spec)
{
    struct sender *sender;

    world->senders = grow(world->senders, (world->sender_count + 1) * sizeof(*world->senders));
    sender = &world->senders[world->sender_count++];
    *sender = (struct sender){.from_port = spec->src_port, .to_port = spec->dst_port};
    strcpy(sender->from, spec->src);
    strcpy(sender->to, spec->dst);
    return sender;
}

/* The sender, begun by its SYN, or by what it sends first. */
static struct sender *begin_sender(struct world *world, const struct packet_words *words,
                                   const struct frame_spec *spec)
{
    struct sender *sender =
        find_sender(world, spec->src, spec->src_port, spec->dst, spec->dst_port);

    if (sender && !(words->tcp_flags & POL_TCP_SYN) && words->isn < 0)
        return sender;
    if (!sender)
        sender = add_sender(world, spec);
    sender->isn = words->isn < 0 ? 1000 : (uint32_t)words->isn;
    sender->next = sender->isn + !(words->tcp_flags & POL_TCP_SYN);
    return sender;
}

static void number_segment(struct world *world, const struct packet_words *words,
                           struct frame_spec *spec)
{
    struct sender *sender = begin_sender(world, words, spec);
    const struct sender *peer =
        find_sender(world, spec->dst, spec->dst_port, spec->src, spec->src_port);
    uint32_t after;

    spec->tcp_flags = words->tcp_flags;
    spec->tcp_seq = words->at < 0 ? sender->next : sender->isn + 1 + (uint32_t)words->at;
    if (peer && (words->tcp_flags & POL_TCP_ACK))
        spec->tcp_ack = peer->next;
    after = spec->tcp_seq + (uint32_t)spec->payload.len;
    after += (words->tcp_flags & POL_TCP_SYN) != 0;
    after += (words->tcp_flags & POL_TCP_FIN) != 0;
    if ((int32_t)(after - sender->next) > 0)
        sender->next = after;
}

/* Sending. */

bool take_vlan(const char *text, struct frame_spec *spec)
{
    while (text && *text && spec->vlan_count < 4) {
        char number[8] = "";
        size_t len = strcspn(text, ",");
        uint64_t vlan;

        if (len >= sizeof(number))
            return false;
        memcpy(number, text, len);
        if (!word_number(number, 4095, &vlan))
            return false;
        spec->vlan[spec->vlan_count++] = (uint16_t)vlan;
        text += len + (text[len] == ',');
    }
    return true;
}

static bool side_of(const struct world *world, const char *from, bool from_inside,
                    uint8_t *ret_side)
{
    int choice = from ? word_choice(from, "unknown|inside|outside") : 0;

    if (!from && world->settings.ports == 0)
        choice = from_inside ? POL_SIDE_INSIDE : POL_SIDE_OUTSIDE;
    *ret_side = (uint8_t)choice;
    return choice >= 0;
}

static void judge_frame(struct world *world, pol_bytes frame, uint8_t side)
{
    pol_packet packet;
    pol_verdict verdict;

    (void)pol_packet_parse(frame, POL_LINK_ETHERNET, (uint32_t)frame.len, &packet);
    packet.side = side;
    (void)pol_worker_decide(world->worker, &packet, world->now, &verdict);
    facts_verdict(world, &verdict);
}

/* What frame_build() would abort on. */
static bool fits_frame(const struct packet_words *words, size_t payload)
{
    return words->off % 8 == 0 && payload + 128 <= FRAME_CAPACITY;
}

bool send_frame(struct world *world, const struct args *args, struct frame_spec *spec,
                bool from_inside, const struct packet_words *words)
{
    struct frame frame;
    uint8_t side;

    if (!side_of(world, words->from, from_inside, &side) || !take_vlan(words->vlan, spec) ||
        !fits_frame(words, world->payload.len))
        return script_error(args->script, args->step->line, "from, vlan, off or length is wrong");
    spec->hop_limit = words->ttl;
    spec->frag_id = words->frag;
    spec->frag_offset = words->off;
    spec->frag_more = words->more;
    spec->payload = (pol_bytes){world->payload.bytes, world->payload.len};
    if (spec->proto == IPPROTO_TCP)
        number_segment(world, words, spec);
    frame = frame_build(spec);
    judge_frame(world, (pol_bytes){frame.bytes, frame.len}, side);
    return true;
}

bool send_payload(struct world *world, const struct args *args, const struct endpoint *src,
                  const struct endpoint *dst, bool from_inside, const struct packet_words *words)
{
    struct frame_spec spec = {
        .src = src->addr,
        .dst = dst->addr,
        .src_port = src->port,
        .dst_port = dst->port,
        .proto = words->proto,
    };

    if (words->part && !payload_cut(&world->payload, words->part))
        return script_error(args->script, args->step->line, "\"%s\" is no part of the %zu octets",
                            words->part, world->payload.len);
    return send_frame(world, args, &spec, from_inside, words);
}

bool send_octets(struct world *world, const struct args *args, bool from_inside,
                 const struct packet_words *words)
{
    uint8_t side;

    if (!side_of(world, words->from, from_inside, &side))
        return script_error(args->script, args->step->line, "from= is wrong");
    judge_frame(world, (pol_bytes){world->payload.bytes, world->payload.len}, side);
    return true;
}

/* Verbs. */

static bool needs_ports(int proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE ||
           proto == IPPROTO_SCTP || proto == IPPROTO_DCCP;
}

bool check_ports(const struct args *args, int proto, const struct endpoint *src,
                 const struct endpoint *dst)
{
    bool wanted = needs_ports(proto);

    if (src->has_port == wanted && dst->has_port == wanted)
        return true;
    return script_error(args->script, args->step->line,
                        wanted ? "the protocol has ports, and a port is missing"
                               : "the protocol has no ports");
}

static bool take_flags(const char *text, uint8_t *ret_flags)
{
    static const struct {
        const char *name;
        uint8_t flag;
    } names[] = {{"SYN", POL_TCP_SYN}, {"ACK", POL_TCP_ACK}, {"FIN", POL_TCP_FIN},
                 {"RST", POL_TCP_RST}, {"PSH", POL_TCP_PSH}, {"URG", POL_TCP_URG}};
    size_t i;

    for (*ret_flags = 0; strlen(text) >= 3; text += 3 + (text[3] == '+')) {
        for (i = 0; i < 6 && strncmp(text, names[i].name, 3); i++)
            ;
        if (i == 6 || (text[3] && text[3] != '+'))
            return false;
        *ret_flags |= names[i].flag;
    }
    return *ret_flags && *text == '\0';
}

static bool play_ported(struct world *world, struct args *args, uint8_t proto)
{
    struct packet_words words;
    struct endpoint src, dst;
    bool from_inside;
    const char *flags;

    packet_words_init(&words, proto);
    if (!take_ends(args, &src, &dst, &from_inside) || !check_ports(args, proto, &src, &dst))
        return false;
    if (proto == IPPROTO_TCP) {
        flags = args_bare(args, "TCP flags");
        if (!flags)
            return false;
        if (!take_flags(flags, &words.tcp_flags))
            return script_error(args->script, args->step->line, "\"%s\" are no flags", flags);
    }
    return take_packet(world, args, &words) &&
           send_payload(world, args, &src, &dst, from_inside, &words);
}

bool play_tcp(struct world *world, struct args *args)
{
    return play_ported(world, args, IPPROTO_TCP);
}

bool play_udp(struct world *world, struct args *args)
{
    return play_ported(world, args, IPPROTO_UDP);
}

bool play_proto(struct world *world, struct args *args)
{
    const char *text = args_bare(args, "a protocol number");
    uint64_t proto;

    if (!text)
        return false;
    if (!word_number(text, UINT8_MAX, &proto) || proto == IPPROTO_TCP || proto == IPPROTO_ICMP ||
        proto == IPPROTO_ICMPV6)
        return script_error(args->script, args->step->line, "\"%s\" is no other protocol", text);
    return play_ported(world, args, (uint8_t)proto);
}

bool play_frame(struct world *world, struct args *args)
{
    struct packet_words words;
    const struct word *word;

    packet_words_init(&words, 0);
    while ((word = args_next(args))) {
        bool hex = !word->key && payload_add_hex(&world->payload, word->text);

        if (!hex && !args_taken(args, word, packet_words_take(word, &words)))
            return false;
    }
    return send_octets(world, args, true, &words);
}
