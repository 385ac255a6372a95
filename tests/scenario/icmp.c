/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>

#include "frames.h"
#include "world.h"

struct icmp_kind {
    uint8_t type, code;
    bool is_error; /* it quotes what caused it */
};

static bool take_kind(const char *text, int family, struct icmp_kind *ret_kind)
{
    static const char names[] = "echo-request|echo-reply|net-unreachable|port-unreachable|"
                                "too-big|time-exceeded|redirect";
    static const struct icmp_kind v4[] = {{8, 0, false}, {0, 0, false}, {3, 0, false},
                                          {3, 3, false}, {3, 4, false}, {11, 0, false},
                                          {5, 1, false}};
    static const struct icmp_kind v6[] = {{128, 0, false}, {129, 0, false}, {1, 0, false},
                                          {1, 4, false},   {2, 0, false},   {3, 0, false},
                                          {137, 0, false}};
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
    *ret_kind = (struct icmp_kind){(uint8_t)type, (uint8_t)code, false};
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
    return payload_add(&world->payload, frame.bytes, frame.len < kept ? frame.len : kept);
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

static bool send_icmp(struct world *world, const struct args *args, const struct endpoint *src,
                      const struct endpoint *dst, bool from_inside,
                      const struct packet_words *words, struct icmp_kind kind)
{
    struct frame_spec spec = {
        .src = src->addr,
        .dst = dst->addr,
        .proto = words->proto,
        .icmp_type = kind.type,
        .icmp_code = kind.code,
        .src_port = kind.is_error ? 0 : (uint16_t)words->id,
        .dst_port = kind.is_error ? 0 : 1,
    };

    return send_frame(world, args, &spec, from_inside, words);
}

bool play_icmp(struct world *world, struct args *args)
{
    struct packet_words words;
    struct endpoint src, dst;
    struct icmp_kind kind;
    bool from_inside;
    const char *text;

    if (!take_ends(args, &src, &dst, &from_inside))
        return false;
    text = args_bare(args, "the kind of ICMP packet");
    if (!text)
        return false;
    if (!take_kind(text, src.family, &kind))
        return script_error(args->script, args->step->line, "\"%s\" is no kind of ICMP", text);
    packet_words_init(&words, icmp_proto(src.family));
    kind.is_error = word_is(args_peek(args), "about");
    if (kind.is_error) {
        (void)args_next(args);
        if (!take_about(world, args, src.family, peek_id(args)))
            return false;
    }
    return take_packet(world, args, &words) &&
           send_icmp(world, args, &src, &dst, from_inside, &words, kind);
}
