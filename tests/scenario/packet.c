/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>

#include "frames.h"
#include "hello.h"
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

/* Payload. */

struct payload_words {
    const char *hello, *hex, *tls;
    size_t zeros, pad;
    uint8_t version;
    uint32_t records;
    bool ech;
    bool given; /* there is a payload */
};

#define PAYLOAD(name) offsetof(struct payload_words, name)

static const struct word_key payload_keys[] = {
    {"hello", WORD_TEXT, PAYLOAD(hello), NULL},        {"hex", WORD_TEXT, PAYLOAD(hex), NULL},
    {"zeros", WORD_SIZE, PAYLOAD(zeros), NULL},        {"pad", WORD_SIZE, PAYLOAD(pad), NULL},
    {"records", WORD_U32, PAYLOAD(records), NULL},     {"ech", WORD_BOOL, PAYLOAD(ech), NULL},
    {"tls", WORD_CHOICE, PAYLOAD(version), "1.3|1.2"},
};

static bool add_payload(struct payload *payload, const void *octets, size_t len)
{
    if (len > sizeof(payload->bytes) - payload->len)
        return false;
    if (len)
        memcpy(payload->bytes + payload->len, octets, len);
    payload->len += len;
    return true;
}

static bool add_hex(struct payload *payload, const char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (; hex[0] && hex[1]; hex += 2) {
        const char *high = strchr(digits, hex[0]), *low = strchr(digits, hex[1]);
        uint8_t octet;

        if (!high || !low)
            return false;
        octet = (uint8_t)((high - digits) << 4 | (low - digits));
        if (!add_payload(payload, &octet, 1))
            return false;
    }
    return hex[0] == '\0';
}

static bool add_zeros(struct payload *payload, size_t len)
{
    if (len > sizeof(payload->bytes) - payload->len)
        return false;
    memset(payload->bytes + payload->len, 0, len);
    payload->len += len;
    return true;
}

static bool add_hello(struct payload *payload, const struct payload_words *words)
{
    static struct hello hello;
    struct hello_options options = {
        .sni = strcmp(words->hello, "-") ? words->hello : NULL,
        .tls13 = words->version == 0,
        .ech = words->ech,
        .message_len = words->pad,
        .records = words->records,
    };

    hello_build(&hello, &options);
    return add_payload(payload, hello.bytes, hello.len);
}

static bool fill_payload(struct payload *payload, const struct payload_words *words)
{
    return (!words->hex || add_hex(payload, words->hex)) && add_zeros(payload, words->zeros) &&
           (!words->hello || add_hello(payload, words));
}

/* Takes the rest of the words, which say what the packet carries and how it travels. */
static bool take_packet(struct world *world, struct args *args, struct packet_words *words)
{
    struct payload_words carried = {.hello = NULL};
    const struct word *word;

    while ((word = args_next(args))) {
        enum word_taken taken = packet_words_take(word, words);

        if (taken == WORD_UNKNOWN)
            taken = word_take(word, payload_keys, sizeof(payload_keys) / sizeof(payload_keys[0]),
                              &carried);
        if (taken == WORD_UNKNOWN && word->quoted && !word->key &&
            add_payload(&world->payload, word->text, word->len))
            taken = WORD_TAKEN;
        if (!args_taken(args, word, taken))
            return false;
    }
    if (fill_payload(&world->payload, &carried))
        return true;
    return script_error(args->script, args->step->line, "the payload makes no sense");
}

/* Keeps "FROM..TO" of the payload. */
static bool cut_payload(struct payload *payload, const char *part)
{
    const char *dots = strstr(part, "..");
    size_t digits = dots ? (size_t)(dots - part) : 0;
    uint64_t from, to = payload->len;
    char number[16] = "";

    if (digits == 0 || digits >= sizeof(number))
        return false;
    memcpy(number, part, digits);
    if (!word_number(number, payload->len, &from) ||
        (dots[2] && !word_number(dots + 2, payload->len, &to)) || to < from)
        return false;
    memmove(payload->bytes, payload->bytes + from, to - from);
    payload->len = to - from;
    return true;
}

/* TCP sequence numbers. */

static bool same_end(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && !strcmp(a->addr, b->addr);
}

static struct sender *find_sender(struct world *world, const struct endpoint *from,
                                  const struct endpoint *to)
{
    for (size_t i = 0; i < world->sender_count; i++)
        if (same_end(&world->senders[i].from, from) && same_end(&world->senders[i].to, to))
            return &world->senders[i];
    return NULL;
}

/* The sender, begun by its SYN, or by what it sends first. */
static struct sender *begin_sender(struct world *world, const struct endpoint *from,
                                   const struct endpoint *to, const struct packet_words *words)
{
    struct sender *sender = find_sender(world, from, to);

    if (sender && !(words->tcp_flags & POL_TCP_SYN) && words->isn < 0)
        return sender;
    if (!sender) {
        world->senders = grow(world->senders, (world->sender_count + 1) * sizeof(*world->senders));
        sender = &world->senders[world->sender_count++];
    }
    *sender = (struct sender){.from = *from, .to = *to};
    sender->isn = words->isn < 0 ? 1000 : (uint32_t)words->isn;
    sender->next = sender->isn + !(words->tcp_flags & POL_TCP_SYN);
    return sender;
}

static void number_segment(struct world *world, const struct endpoint *src,
                           const struct endpoint *dst, const struct packet_words *words,
                           struct frame_spec *spec)
{
    struct sender *sender = begin_sender(world, src, dst, words);
    const struct sender *peer = find_sender(world, dst, src);
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

static bool take_vlan(const char *text, struct frame_spec *spec)
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

bool send_payload(struct world *world, const struct args *args, const struct endpoint *src,
                  const struct endpoint *dst, bool from_inside, struct packet_words *words)
{
    struct frame_spec spec = {
        .src = src->addr,
        .dst = dst->addr,
        .src_port = src->port,
        .dst_port = dst->port,
        .proto = (uint8_t)words->proto,
        .hop_limit = words->ttl,
        .frag_id = words->frag,
        .frag_offset = words->off,
        .frag_more = words->more,
    };
    struct frame frame;
    uint8_t side;

    if (words->part && !cut_payload(&world->payload, words->part))
        return script_error(args->script, args->step->line, "\"%s\" is no part of the %zu octets",
                            words->part, world->payload.len);
    if (!side_of(world, words->from, from_inside, &side) || !take_vlan(words->vlan, &spec) ||
        !fits_frame(words, world->payload.len))
        return script_error(args->script, args->step->line, "from, vlan, off or length is wrong");
    spec.payload = (pol_bytes){world->payload.bytes, world->payload.len};
    if (words->proto == IPPROTO_TCP)
        number_segment(world, src, dst, words, &spec);
    frame = frame_build(&spec);
    judge_frame(world, (pol_bytes){frame.bytes, frame.len}, side);
    return true;
}

/* Verbs. */

static bool needs_ports(int proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE ||
           proto == IPPROTO_SCTP || proto == IPPROTO_DCCP;
}

static bool check_ports(const struct args *args, int proto, const struct endpoint *src,
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
    uint8_t side;

    packet_words_init(&words, 0);
    while ((word = args_next(args))) {
        bool hex = !word->key && add_hex(&world->payload, word->text);

        if (!hex && !args_taken(args, word, packet_words_take(word, &words)))
            return false;
    }
    if (!side_of(world, words.from, true, &side))
        return script_error(args->script, args->step->line, "from= is wrong");
    judge_frame(world, (pol_bytes){world->payload.bytes, world->payload.len}, side);
    return true;
}

/* ICMP. */

struct icmp_kind {
    uint8_t type, code;
};

static bool take_kind(const char *text, int family, struct icmp_kind *ret_kind)
{
    static const char names[] = "echo-request|echo-reply|net-unreachable|port-unreachable|"
                                "too-big|time-exceeded|redirect";
    static const struct icmp_kind v4[] = {{8, 0}, {0, 0}, {3, 0}, {3, 3}, {3, 4}, {11, 0}, {5, 1}};
    static const struct icmp_kind v6[] = {{128, 0}, {129, 0}, {1, 0},  {1, 4},
                                          {2, 0},   {3, 0},   {137, 0}};
    int choice = word_choice(text, names);
    const char *slash = strchr(text, '/');
    char type_text[4] = "";
    uint64_t type, code;

    if (choice >= 0)
        *ret_kind = family == 6 ? v6[choice] : v4[choice];
    if (choice >= 0 || !slash || slash - text >= (int)sizeof(type_text))
        return choice >= 0;
    memcpy(type_text, text, (size_t)(slash - text));
    if (!word_number(type_text, UINT8_MAX, &type) || !word_number(slash + 1, UINT8_MAX, &code))
        return false;
    *ret_kind = (struct icmp_kind){(uint8_t)type, (uint8_t)code};
    return true;
}

static uint8_t icmp_proto(int family)
{
    return family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* The protocol behind "about". */
static bool take_protocol(struct args *args, int family, uint8_t *ret_proto)
{
    const char *text = args_bare(args, "the protocol of the inner packet");
    uint64_t number = 0;

    if (!text)
        return false;
    if (!strcmp(text, "tcp"))
        number = IPPROTO_TCP;
    else if (!strcmp(text, "udp"))
        number = IPPROTO_UDP;
    else if (!strcmp(text, "icmp"))
        number = icmp_proto(family);
    else if (!word_number(text, UINT8_MAX, &number))
        return script_error(args->script, args->step->line, "\"%s\" is no protocol", text);
    *ret_proto = (uint8_t)number;
    return true;
}

/* Makes the payload of an error: the IP header and 8 octets of what caused it (RFC 792). */
static bool take_about(struct world *world, struct args *args, int family, uint32_t id)
{
    struct frame_spec spec = {.link = POL_LINK_RAW_IP};
    size_t kept = family == 6 ? 48 : 28;
    struct endpoint src, dst;
    struct frame frame;
    bool from_inside;

    if (!take_protocol(args, family, &spec.proto) || !take_ends(args, &src, &dst, &from_inside) ||
        !check_ports(args, spec.proto, &src, &dst))
        return false;
    spec.src = src.addr;
    spec.dst = dst.addr;
    spec.src_port = src.port;
    spec.dst_port = dst.port;
    if (spec.proto == icmp_proto(family)) {
        spec.icmp_type = family == 6 ? 128 : 8;
        spec.src_port = (uint16_t)id;
    }
    if (src.family != family)
        return script_error(args->script, args->step->line,
                            "the inner packet is of another family");
    frame = frame_build(&spec);
    return add_payload(&world->payload, frame.bytes, frame.len < kept ? frame.len : kept);
}

/* Finds id=, which the inner packet needs before the words are taken in order. */
static uint32_t peek_id(const struct args *args)
{
    uint64_t id = 1;

    for (size_t i = args->next; i < args->step->count; i++)
        if (args->step->words[i].key && !strcmp(args->step->words[i].key, "id"))
            (void)word_number(args->step->words[i].text, UINT16_MAX, &id);
    return (uint32_t)id;
}

static bool send_icmp(struct world *world, const struct endpoint *src, const struct endpoint *dst,
                      bool from_inside, const struct packet_words *words, struct icmp_kind kind,
                      bool is_error)
{
    struct frame_spec spec = {
        .src = src->addr,
        .dst = dst->addr,
        .proto = (uint8_t)words->proto,
        .hop_limit = words->ttl,
        .icmp_type = kind.type,
        .icmp_code = kind.code,
        .src_port = is_error ? 0 : (uint16_t)words->id,
        .dst_port = is_error ? 0 : 1,
        .payload = {world->payload.bytes, world->payload.len},
        .frag_id = words->frag,
        .frag_offset = words->off,
        .frag_more = words->more,
    };
    struct frame frame;
    uint8_t side;

    if (!side_of(world, words->from, from_inside, &side) || !take_vlan(words->vlan, &spec) ||
        !fits_frame(words, world->payload.len))
        return false;
    frame = frame_build(&spec);
    judge_frame(world, (pol_bytes){frame.bytes, frame.len}, side);
    return true;
}

bool play_icmp(struct world *world, struct args *args)
{
    struct packet_words words;
    struct endpoint src, dst;
    struct icmp_kind kind;
    bool from_inside, is_error;
    const char *text;

    if (!take_ends(args, &src, &dst, &from_inside))
        return false;
    text = args_bare(args, "the kind of ICMP packet");
    if (!text)
        return false;
    if (!take_kind(text, src.family, &kind))
        return script_error(args->script, args->step->line, "\"%s\" is no kind of ICMP", text);
    packet_words_init(&words, icmp_proto(src.family));
    is_error = word_is(args_peek(args), "about");
    if (is_error) {
        (void)args_next(args);
        if (!take_about(world, args, src.family, peek_id(args)))
            return false;
    }
    if (!take_packet(world, args, &words))
        return false;
    return send_icmp(world, &src, &dst, from_inside, &words, kind, is_error) ||
           script_error(args->script, args->step->line, "from, vlan or off is wrong");
}
