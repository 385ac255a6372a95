/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ETHERNET_HEADER = 14 };

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "test packet: %s\n", what);
    abort();
}

pol_addr addr_from(const char *text)
{
    pol_addr addr = {0};

    require(text && pol_addr_parse((pol_str){text, strlen(text)}, &addr) == POL_OK, text);
    return addr;
}

pol_prefix prefix_from(const char *text)
{
    pol_prefix prefix = {.len = 0};

    require(text && pol_prefix_parse((pol_str){text, strlen(text)}, &prefix) == POL_OK, text);
    return prefix;
}

pol_bytes bytes_from(const char *text)
{
    return (pol_bytes){(const uint8_t *)text, strlen(text)};
}

/* Octets on a wire. */

static void put(struct frame *frame, const void *bytes, size_t len)
{
    require(len <= FRAME_CAPACITY - frame->len, "frame does not fit");
    if (len)
        memcpy(frame->bytes + frame->len, bytes, len);
    frame->len += len;
}

static void put8(struct frame *frame, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    put(frame, &byte, 1);
}

static void put16(struct frame *frame, unsigned value)
{
    put8(frame, value >> 8);
    put8(frame, value & 0xff);
}

static void put32(struct frame *frame, uint32_t value)
{
    put16(frame, value >> 16);
    put16(frame, value & 0xffff);
}

static void set16(struct frame *frame, size_t at, unsigned value)
{
    frame->bytes[at] = (uint8_t)(value >> 8);
    frame->bytes[at + 1] = (uint8_t)value;
}

/* RFC 1071: the sum so far plus these octets. */
static uint32_t add_up(uint32_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    return sum;
}

static unsigned fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void put_link(struct frame *frame, const struct frame_spec *spec, unsigned ether_type)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    static const uint8_t cooked[14] = {0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1};
    static const uint8_t cooked2[18] = {0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1};

    if (spec->link == POL_LINK_RAW_IP)
        return;
    if (spec->link == POL_LINK_ETHERNET)
        put(frame, macs, sizeof(macs));
    else if (spec->link == POL_LINK_LINUX_SLL)
        put(frame, cooked, sizeof(cooked));

    require(spec->vlan_count <= 4, "too many tags");
    require(spec->vlan_count == 0 || spec->link != POL_LINK_LINUX_SLL2, "tags in SLL2");
    for (unsigned i = 0; i < spec->vlan_count; i++) {
        put16(frame, i + 1 < spec->vlan_count ? 0x88a8 : 0x8100);
        put16(frame, spec->vlan[i]);
    }
    put16(frame, ether_type);
    if (spec->link == POL_LINK_LINUX_SLL2)
        put(frame, cooked2, sizeof(cooked2));
}

static void put_ipv4(struct frame *frame, const struct frame_spec *spec)
{
    pol_addr src = addr_from(spec->src), dst = addr_from(spec->dst);

    require(spec->options.len % 4 == 0 && spec->options.len <= 40, "IPv4 options of that length");
    put8(frame, (unsigned)(0x45 + spec->options.len / 4));
    put8(frame, 0);
    put16(frame, 0); /* total length, in finish_ipv4() */
    put16(frame, spec->frag_id);
    put16(frame, (spec->frag_more ? 0x2000u : 0) | spec->frag_offset / 8u);
    put8(frame, spec->hop_limit ? spec->hop_limit : 64);
    put8(frame, spec->proto);
    put16(frame, 0);
    put(frame, src.bytes, 4);
    put(frame, dst.bytes, 4);
    put(frame, spec->options.ptr, spec->options.len);
}

static void finish_ipv4(struct frame *frame, size_t ip, size_t l4)
{
    set16(frame, ip + 2, (unsigned)(frame->len - ip));
    set16(frame, ip + 10, fold(add_up(0, frame->bytes + ip, l4 - ip)));
}

static bool is_fragment(const struct frame_spec *spec)
{
    return spec->frag_more || spec->frag_offset;
}

static void put_ipv6(struct frame *frame, const struct frame_spec *spec)
{
    pol_addr src = addr_from(spec->src), dst = addr_from(spec->dst);
    unsigned inner = spec->options.len ? spec->first_extension : spec->proto;

    put32(frame, 0x60000000);
    put16(frame, 0); /* payload length, in frame_build() */
    put8(frame, is_fragment(spec) ? IPPROTO_FRAGMENT : inner);
    put8(frame, spec->hop_limit ? spec->hop_limit : 64);
    put(frame, src.bytes, 16);
    put(frame, dst.bytes, 16);
    if (is_fragment(spec)) {
        put16(frame, inner << 8);
        put16(frame, spec->frag_offset | (spec->frag_more ? 1u : 0));
        put32(frame, spec->frag_id);
    }
    put(frame, spec->options.ptr, spec->options.len);
}

static void put_tcp(struct frame *frame, const struct frame_spec *spec)
{
    put16(frame, spec->src_port);
    put16(frame, spec->dst_port);
    put32(frame, spec->tcp_seq);
    put32(frame, spec->tcp_ack);
    put8(frame, 5 << 4);
    put8(frame, spec->tcp_flags);
    put16(frame, 65535);
    put32(frame, 0); /* checksum and urgent pointer */
}

static void put_udp(struct frame *frame, const struct frame_spec *spec)
{
    put16(frame, spec->src_port);
    put16(frame, spec->dst_port);
    put16(frame, spec->proto == IPPROTO_UDP ? (unsigned)(8 + spec->payload.len) : 0);
    put16(frame, 0);
}

static void put_sctp(struct frame *frame, const struct frame_spec *spec)
{
    put16(frame, spec->src_port);
    put16(frame, spec->dst_port);
    put32(frame, 1); /* verification tag */
    put32(frame, 0); /* CRC32c, which nobody here verifies */
}

static void put_dccp(struct frame *frame, const struct frame_spec *spec)
{
    put16(frame, spec->src_port);
    put16(frame, spec->dst_port);
    put8(frame, 4); /* data offset: 16 octets */
    put8(frame, 0);
    put16(frame, 0);
    put8(frame, 1); /* long sequence numbers */
    put8(frame, 0);
    put16(frame, 0);
    put32(frame, 1);
}

static void put_icmp(struct frame *frame, const struct frame_spec *spec)
{
    put8(frame, spec->icmp_type);
    put8(frame, spec->icmp_code);
    put16(frame, 0);
    put16(frame, spec->src_port);
    put16(frame, spec->dst_port);
}

/* Returns where the checksum is, from the start of the L4 header; 0 if there is none. */
static size_t put_l4(struct frame *frame, const struct frame_spec *spec)
{
    switch (spec->proto) {
    case IPPROTO_TCP:
        put_tcp(frame, spec);
        return 16;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
        put_udp(frame, spec);
        return 6;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        put_icmp(frame, spec);
        return 2;
    case IPPROTO_SCTP:
        put_sctp(frame, spec);
        return 0;
    case IPPROTO_DCCP:
        put_dccp(frame, spec);
        return 0;
    default:
        return 0;
    }
}

/* All but ICMPv4 cover a pseudo header too (RFC 9293 3.1, RFC 8200 8.1). */
static void finish_l4(struct frame *frame, const struct frame_spec *spec, size_t l4, size_t at)
{
    pol_addr src = addr_from(spec->src), dst = addr_from(spec->dst);
    size_t len = frame->len - l4;
    uint32_t sum = 0;
    unsigned folded;

    if (spec->proto != IPPROTO_ICMP) {
        sum = add_up(sum, src.bytes, sizeof(src.bytes));
        sum = add_up(sum, dst.bytes, sizeof(dst.bytes));
        sum += (uint32_t)len + spec->proto;
    }
    folded = fold(add_up(sum, frame->bytes + l4, len));
    set16(frame, l4 + at, folded || spec->proto != IPPROTO_UDP ? folded : 0xffff);
}

struct frame frame_build(const struct frame_spec *spec)
{
    struct frame frame = {.len = 0};
    bool ipv6 = addr_from(spec->src).family == 6;
    size_t ip, l4, checksum = 0;

    require(addr_from(spec->dst).family == (ipv6 ? 6 : 4), "ends of two families");
    require(spec->frag_offset % 8 == 0, "fragment offset is not a multiple of 8");
    put_link(&frame, spec, ipv6 ? 0x86dd : 0x0800);
    ip = frame.len;
    if (ipv6)
        put_ipv6(&frame, spec);
    else
        put_ipv4(&frame, spec);

    l4 = frame.len;
    if (spec->frag_offset == 0)
        checksum = put_l4(&frame, spec);
    put(&frame, spec->payload.ptr, spec->payload.len);
    if (ipv6)
        set16(&frame, ip + 4, (unsigned)(frame.len - ip - 40));
    else
        finish_ipv4(&frame, ip, l4);
    if (checksum && !is_fragment(spec))
        finish_l4(&frame, spec, l4, checksum);

    require(spec->pad_to <= FRAME_CAPACITY, "frame does not fit");
    if (frame.len < spec->pad_to)
        frame.len = spec->pad_to;
    return frame;
}

pol_packet frame_parse(const struct frame *frame, enum pol_link link)
{
    pol_packet packet;

    (void)pol_packet_parse((pol_bytes){frame->bytes, frame->len}, link, (uint32_t)frame->len,
                           &packet);
    return packet;
}

/* Packets without octets. */

static void set_lengths(pol_packet *packet, size_t l4_header, pol_bytes payload)
{
    size_t ip_header = packet->tuple.src.family == 6 ? 40 : 20;

    packet->payload = payload;
    packet->l4_offset = (uint16_t)(ETHERNET_HEADER + ip_header);
    packet->ip_len = (uint32_t)(ip_header + l4_header + payload.len);
    packet->wire_len = ETHERNET_HEADER + packet->ip_len;
}

static size_t header_of(const pol_packet *packet)
{
    switch (packet->tuple.proto) {
    case IPPROTO_TCP:
        return 20;
    case IPPROTO_DCCP:
        return 16;
    case IPPROTO_SCTP:
        return 12;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return 8;
    default:
        return 0;
    }
}

static pol_packet packet_ip(pol_addr src, pol_addr dst, uint8_t proto, pol_bytes payload)
{
    pol_packet packet;

    require(src.family == dst.family, "ends of two families");
    memset(&packet, 0, sizeof(packet));
    packet.kind = POL_PKT_IP;
    packet.side = POL_SIDE_INSIDE;
    packet.hop_limit = 64;
    packet.ether_type = src.family == 6 ? 0x86dd : 0x0800;
    packet.tuple.src = src;
    packet.tuple.dst = dst;
    packet.tuple.proto = proto;
    set_lengths(&packet, header_of(&packet), payload);
    return packet;
}

pol_packet packet_tcp(const char *src, uint16_t src_port, const char *dst, uint16_t dst_port,
                      uint8_t flags, uint32_t seq, pol_bytes payload)
{
    pol_packet packet = packet_ip(addr_from(src), addr_from(dst), IPPROTO_TCP, payload);

    packet.tuple.src_port = src_port;
    packet.tuple.dst_port = dst_port;
    packet.tcp_flags = flags;
    packet.tcp_seq = seq;
    return packet;
}

pol_packet packet_udp(const char *src, uint16_t src_port, const char *dst, uint16_t dst_port,
                      pol_bytes payload)
{
    pol_packet packet = packet_ip(addr_from(src), addr_from(dst), IPPROTO_UDP, payload);

    packet.tuple.src_port = src_port;
    packet.tuple.dst_port = dst_port;
    return packet;
}

static uint8_t icmp_for(pol_addr addr)
{
    return addr.family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

static bool is_query(const pol_packet *packet)
{
    uint8_t type = packet->icmp_type;

    if (packet->tuple.proto == IPPROTO_ICMPV6)
        return type == 128 || type == 129 || type == 160 || type == 161;
    return type == 0 || type == 8 || (type >= 13 && type <= 18) || type == 42 || type == 43;
}

pol_packet packet_icmp(const char *src, const char *dst, uint8_t type, uint8_t code,
                       uint16_t identifier)
{
    pol_addr from = addr_from(src);
    pol_packet packet = packet_ip(from, addr_from(dst), icmp_for(from), (pol_bytes){NULL, 0});

    packet.icmp_type = type;
    packet.icmp_code = code;
    if (is_query(&packet))
        packet.tuple.src_port = identifier;
    return packet;
}

pol_packet packet_icmp_error(const char *src, uint8_t type, uint8_t code, const pol_packet *cause)
{
    pol_addr from = addr_from(src);
    pol_packet packet = packet_ip(from, cause->tuple.src, icmp_for(from), (pol_bytes){NULL, 0});

    packet.icmp_type = type;
    packet.icmp_code = code;
    packet.inner = cause->tuple;
    packet.marks |= POL_MARK_ICMP_ERROR;
    return packet;
}

pol_packet packet_proto(const char *src, const char *dst, uint8_t proto, pol_bytes payload)
{
    pol_packet packet = packet_ip(addr_from(src), addr_from(dst), proto, payload);

    if (header_of(&packet) == 0)
        packet.marks |= POL_MARK_NO_L4;
    return packet;
}

pol_packet packet_fragment(const pol_packet *whole, uint32_t id, uint16_t offset, bool more,
                           pol_bytes payload)
{
    pol_packet packet = *whole;

    packet.marks |= POL_MARK_FRAGMENT;
    packet.frag_id = id;
    packet.frag_offset = offset;
    packet.frag_more = more;
    packet.frag_len = (uint16_t)((offset ? 0 : header_of(whole)) + payload.len);
    set_lengths(&packet, offset ? 0 : header_of(whole), payload);
    if (offset) {
        packet.marks |= POL_MARK_NO_L4;
        packet.tuple.src_port = packet.tuple.dst_port = 0;
        packet.tcp_flags = packet.icmp_type = packet.icmp_code = 0;
        packet.tcp_seq = packet.tcp_ack = 0;
    }
    if (packet.tuple.src.family == 6) {
        packet.marks |= POL_MARK_OPTIONS;
        packet.l4_offset += 8;
        packet.ip_len += 8;
        packet.wire_len += 8;
    }
    return packet;
}

pol_packet packet_reply(const pol_packet *packet, uint8_t flags, uint32_t seq, pol_bytes payload)
{
    pol_packet reply = *packet;

    reply.tuple.src = packet->tuple.dst;
    reply.tuple.dst = packet->tuple.src;
    if (packet->tuple.proto != IPPROTO_ICMP && packet->tuple.proto != IPPROTO_ICMPV6) {
        reply.tuple.src_port = packet->tuple.dst_port;
        reply.tuple.dst_port = packet->tuple.src_port;
    }
    if (packet->side != POL_SIDE_UNKNOWN)
        reply.side = packet->side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
    reply.tcp_flags = flags;
    reply.tcp_seq = seq;
    reply.tcp_ack = packet->tcp_seq + (uint32_t)packet->payload.len +
                    (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_FIN) ? 1 : 0);
    set_lengths(&reply, header_of(packet), payload);
    return reply;
}
