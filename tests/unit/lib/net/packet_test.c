/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/packet.h>

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/slice.h"
#include "frames.h"
#include "net/proto.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OCTETS(...)                                                                                \
    {                                                                                              \
        (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                     \
    }

static int parse_as(const struct frame *frame, enum pol_link link, size_t captured, size_t wire,
                    pol_packet *ret_packet)
{
    /* A copy of exactly that size lets the sanitizer see a read past the end. */
    uint8_t *copy = malloc(captured ? captured : 1);
    int rc;

    cr_assert_not_null(copy);
    memcpy(copy, frame->bytes, captured);
    rc = pol_packet_parse((pol_bytes){copy, captured}, link, (uint32_t)wire, ret_packet);
    if (ret_packet->payload.len) {
        cr_assert_geq(ret_packet->payload.ptr, copy);
        cr_assert_leq(ret_packet->payload.ptr + ret_packet->payload.len, copy + captured);
        ret_packet->payload.ptr = frame->bytes + (ret_packet->payload.ptr - copy);
    }
    free(copy);
    return rc;
}

static int parse(const struct frame *frame, pol_packet *ret_packet)
{
    return parse_as(frame, POL_LINK_ETHERNET, frame->len, frame->len, ret_packet);
}

static void expect_payload(const pol_packet *packet, pol_bytes payload, const char *what)
{
    cr_expect_eq(packet->payload.len, payload.len, "%s: payload of %zu octets", what,
                 packet->payload.len);
    if (packet->payload.len == payload.len && payload.len)
        cr_expect(memcmp(packet->payload.ptr, payload.ptr, payload.len) == 0, "%s", what);
}

static void expect_same(const pol_packet *a, const pol_packet *b, const char *what)
{
    cr_expect(tuple_equal(&a->tuple, &b->tuple), "%s: tuple", what);
    cr_expect(tuple_equal(&a->inner, &b->inner), "%s: inner", what);
    cr_expect_eq(a->kind, b->kind, "%s: kind", what);
    cr_expect_eq(a->hop_limit, b->hop_limit, "%s: hop limit", what);
    cr_expect_eq(a->tcp_flags, b->tcp_flags, "%s: flags", what);
    cr_expect_eq(a->tcp_seq, b->tcp_seq, "%s: sequence", what);
    cr_expect_eq(a->icmp_type, b->icmp_type, "%s: type", what);
    cr_expect_eq(a->icmp_code, b->icmp_code, "%s: code", what);
    cr_expect_eq(a->frag_more, b->frag_more, "%s: more fragments", what);
    cr_expect_eq(a->frag_offset, b->frag_offset, "%s: fragment offset", what);
    cr_expect_eq(a->frag_id, b->frag_id, "%s: fragment id", what);
    cr_expect_eq(a->ether_type, b->ether_type, "%s: EtherType", what);
    cr_expect_eq(a->l4_offset, b->l4_offset, "%s: L4 offset %u %u", what, a->l4_offset,
                 b->l4_offset);
    cr_expect_eq(a->marks, b->marks, "%s: marks %#x %#x", what, a->marks, b->marks);
    cr_expect_eq(a->wire_len, b->wire_len, "%s: wire length", what);
    cr_expect_eq(a->ip_len, b->ip_len, "%s: IP length", what);
    expect_payload(a, b->payload, what);
}

/* Frames as a capture would show them. */

/* A DNS query for "example.com", 802.1Q tag 100. */
static const uint8_t dns_query[] = {
    0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x81, 0x00, 0x00,
    0x64, 0x08, 0x00, 0x45, 0x00, 0x00, 0x39, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x11, 0x53, 0x4b,
    0x0a, 0x00, 0x00, 0x05, 0xc0, 0x00, 0x02, 0x35, 0xc3, 0x50, 0x00, 0x35, 0x00, 0x25, 0x9f,
    0x1d, 0xbe, 0xef, 0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 'e',
    'x',  'a',  'm',  'p',  'l',  'e',  0x03, 'c',  'o',  'm',  0x00, 0x00, 0x01, 0x00, 0x01,
};

/* A SYN from Linux: MSS, SACK permitted, timestamps, no-op, window scale. */
static const uint8_t tcp_syn[] = {
    0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x86, 0xdd, 0x60, 0x0d,
    0x9f, 0x3a, 0x00, 0x28, 0x06, 0x3f, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x9c, 0x40, 0x01, 0xbb, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00,
    0x00, 0x00, 0xa0, 0xc2, 0xfa, 0xf0, 0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xa0, 0x04, 0x02,
    0x08, 0x0a, 0x38, 0x5d, 0x1e, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
};

/* A bare ACK, padded by the sender's card to the 60 octets Ethernet wants. */
static const uint8_t tcp_ack[] = {
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, 0x08, 0x00, 0x45,
    0x00, 0x00, 0x28, 0xab, 0xcd, 0x40, 0x00, 0x39, 0x06, 0x00, 0x00, 0xc0, 0x00, 0x02, 0x01,
    0x0a, 0x00, 0x00, 0x05, 0x01, 0xbb, 0x9c, 0x40, 0x00, 0x00, 0x10, 0x00, 0x12, 0x34, 0x56,
    0x79, 0x50, 0x10, 0x01, 0xf5, 0x00, 0x00, 0x00, 0x00, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
};

/* An ICMP port unreachable about that DNS query. */
static const uint8_t unreachable[] = {
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, 0x08, 0x00,
    0x45, 0xc0, 0x00, 0x38, 0x77, 0x01, 0x00, 0x00, 0x3f, 0x01, 0x00, 0x00, 0xc0, 0x00,
    0x02, 0x35, 0x0a, 0x00, 0x00, 0x05, 0x03, 0x03, 0x12, 0x34, 0x00, 0x00, 0x00, 0x00,
    0x45, 0x00, 0x00, 0x39, 0x1c, 0x46, 0x40, 0x00, 0x3f, 0x11, 0x54, 0x4b, 0x0a, 0x00,
    0x00, 0x05, 0xc0, 0x00, 0x02, 0x35, 0xc3, 0x50, 0x00, 0x35, 0x00, 0x25, 0x9f, 0x1d,
};

/* A spanning tree BPDU: 802.3 length, LLC 42 42 03, padding. */
static const uint8_t bpdu[] = {
    0x01, 0x80, 0xc2, 0x00, 0x00, 0x00, 0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, 0x00, 0x26, 0x42,
    0x42, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8,
    0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8, 0x80, 0x01, 0x00,
    0x00, 0x14, 0x00, 0x02, 0x00, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static struct frame frame_from(const uint8_t *bytes, size_t len)
{
    struct frame frame = {.len = len};

    cr_assert_leq(len, sizeof(frame.bytes));
    memcpy(frame.bytes, bytes, len);
    return frame;
}

#define FRAME_FROM(array) frame_from(array, sizeof(array))

static void expect_ends(const pol_tuple *tuple, const char *src, uint16_t src_port, const char *dst,
                        uint16_t dst_port, uint8_t proto)
{
    pol_tuple expected = {.src = addr_from(src),
                          .dst = addr_from(dst),
                          .src_port = src_port,
                          .dst_port = dst_port,
                          .proto = proto};

    cr_expect(tuple_equal(tuple, &expected), "%s > %s", src, dst);
}

Test(packet, tagged_dns_query_is_taken_apart)
{
    struct frame frame = FRAME_FROM(dns_query);
    pol_packet packet;

    cr_assert_eq(parse(&frame, &packet), POL_OK);
    cr_expect_eq(packet.kind, POL_PKT_IP);
    cr_expect_eq(packet.marks, 0);
    expect_ends(&packet.tuple, "10.0.0.5", 50000, "192.0.2.53", 53, PROTO_UDP);
    cr_expect_eq(packet.vlan_count, 1);
    cr_expect_eq(packet.vlan[0], 100);
    cr_expect_eq(packet.ether_type, 0x0800);
    cr_expect_eq(packet.l4_offset, 38);
    cr_expect_eq(packet.ip_len, 57);
    cr_expect_eq(packet.wire_len, 75);
    cr_expect_eq(packet.payload.len, 29);
    cr_expect_eq(packet.payload.ptr[0], 0xbe);
    cr_expect_eq(packet.side, POL_SIDE_UNKNOWN);
}

Test(packet, syn_with_options_is_taken_apart)
{
    struct frame frame = FRAME_FROM(tcp_syn);
    pol_packet packet;

    cr_assert_eq(parse(&frame, &packet), POL_OK);
    expect_ends(&packet.tuple, "2001:db8::5", 40000, "2001:db8:1::10", 443, PROTO_TCP);
    cr_expect_eq(packet.tcp_flags, POL_TCP_SYN, "the ECN bits are left out");
    cr_expect_eq(packet.tcp_seq, 0x12345678);
    cr_expect_eq(packet.tcp_ack, 0);
    cr_expect_eq(packet.hop_limit, 63);
    cr_expect_eq(packet.payload.len, 0);
    cr_expect_eq(packet.ip_len, 80);
}

Test(packet, ethernet_padding_is_no_payload)
{
    struct frame frame = FRAME_FROM(tcp_ack);
    pol_packet packet;

    cr_assert_eq(parse(&frame, &packet), POL_OK);
    expect_ends(&packet.tuple, "192.0.2.1", 443, "10.0.0.5", 40000, PROTO_TCP);
    cr_expect_eq(packet.payload.len, 0);
    cr_expect_eq(packet.tcp_ack, 0x12345679);
    cr_expect_eq(packet.ip_len, 40);
    cr_expect_eq(packet.wire_len, 60);
}

Test(packet, icmp_error_gives_the_tuple_it_quotes)
{
    struct frame frame = FRAME_FROM(unreachable);
    pol_packet packet;

    cr_assert_eq(parse(&frame, &packet), POL_OK);
    expect_ends(&packet.tuple, "192.0.2.53", 0, "10.0.0.5", 0, PROTO_ICMP);
    expect_ends(&packet.inner, "10.0.0.5", 50000, "192.0.2.53", 53, PROTO_UDP);
    cr_expect_eq(packet.marks, POL_MARK_ICMP_ERROR);
    cr_expect_eq(packet.icmp_type, 3);
    cr_expect_eq(packet.icmp_code, 3);
    cr_expect_eq(packet.payload.len, 28);
}

Test(packet, llc_frame_is_not_ip)
{
    struct frame frame = FRAME_FROM(bpdu);
    pol_packet packet;

    cr_assert_eq(parse(&frame, &packet), POL_OK);
    cr_expect_eq(packet.kind, POL_PKT_NOT_IP);
    cr_expect_eq(packet.ether_type, 0);
    cr_expect_eq(packet.payload.len, 38, "the 802.3 length trims the padding");
    cr_expect_eq(packet.payload.ptr[0], 0x42);
    cr_expect_eq(packet.marks, POL_MARK_NO_L4);
}

/* Every layer below IP. */

static const struct {
    const char *what;
    enum pol_link link;
    unsigned vlan_count;
    uint16_t l4_offset; /* for IPv4 */
    uint16_t ether_type;
    uint8_t kept;
} links[] = {
    {"Ethernet", POL_LINK_ETHERNET, 0, 34, 0x0800, 0},
    {"802.1Q", POL_LINK_ETHERNET, 1, 38, 0x0800, 1},
    {"QinQ", POL_LINK_ETHERNET, 2, 42, 0x0800, 2},
    {"three tags", POL_LINK_ETHERNET, 3, 46, 0x0800, 2},
    {"four tags", POL_LINK_ETHERNET, 4, 50, 0x0800, 2},
    {"raw IP", POL_LINK_RAW_IP, 0, 20, 0, 0},
    {"cooked", POL_LINK_LINUX_SLL, 0, 36, 0x0800, 0},
    {"cooked, tagged", POL_LINK_LINUX_SLL, 1, 40, 0x0800, 1},
    {"cooked v2", POL_LINK_LINUX_SLL2, 0, 40, 0x0800, 0},
};

Test(packet, every_link_type_leads_to_the_same_packet)
{
    for (size_t i = 0; i < COUNT(links); i++) {
        struct frame_spec spec = {.src = "10.0.0.5",
                                  .dst = "192.0.2.1",
                                  .proto = PROTO_TCP,
                                  .src_port = 1,
                                  .dst_port = 2,
                                  .link = links[i].link,
                                  .vlan_count = links[i].vlan_count,
                                  .vlan = {4095, 0xf064, 3, 4},
                                  .payload = bytes_from("x")};
        struct frame frame = frame_build(&spec);
        pol_packet packet;

        cr_assert_eq(parse_as(&frame, spec.link, frame.len, frame.len, &packet), POL_OK, "%s",
                     links[i].what);
        expect_ends(&packet.tuple, "10.0.0.5", 1, "192.0.2.1", 2, PROTO_TCP);
        cr_expect_eq(packet.l4_offset, links[i].l4_offset, "%s", links[i].what);
        cr_expect_eq(packet.ether_type, links[i].ether_type, "%s", links[i].what);
        cr_expect_eq(packet.vlan_count, links[i].kept, "%s", links[i].what);
        cr_expect_eq(packet.vlan[0], links[i].kept > 0 ? 4095 : 0, "%s", links[i].what);
        cr_expect_eq(packet.vlan[1], links[i].kept > 1 ? 0x64 : 0, "priority bits are no part");
    }
}

static const struct {
    const char *what;
    enum pol_link link;
    pol_bytes frame;
    int status;
    uint8_t kind;
    uint16_t ether_type;
    size_t payload_len;
} others[] = {
    {"ARP", POL_LINK_ETHERNET, OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 6, 0, 1), POL_OK,
     POL_PKT_NOT_IP, 0x0806, 2},
    {"tagged ARP", POL_LINK_ETHERNET,
     OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0, 1, 8, 6), POL_OK, POL_PKT_NOT_IP,
     0x0806, 0},
    {"old QinQ type", POL_LINK_ETHERNET,
     OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x91, 0, 0, 1, 8, 6), POL_OK, POL_PKT_NOT_IP,
     0x0806, 0},
    {"smallest EtherType", POL_LINK_ETHERNET, OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1),
     POL_OK, POL_PKT_NOT_IP, 0x0600, 1},
    {"neither type nor length", POL_LINK_ETHERNET,
     OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 1), POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
    {"length beyond the frame", POL_LINK_ETHERNET,
     OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1), POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
    {"five tags", POL_LINK_ETHERNET,
     OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xa8, 0, 1, 0x88, 0xa8, 0, 1, 0x88, 0xa8, 0,
            1, 0x88, 0xa8, 0, 1, 0x81, 0, 0, 1, 8, 6),
     POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
    {"half a tag", POL_LINK_ETHERNET, OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 0),
     POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
    {"half a header", POL_LINK_ETHERNET, OCTETS(0, 0, 0, 0, 0, 0), POL_E_FORMAT, POL_PKT_BROKEN, 0,
     0},
    {"nothing behind the type", POL_LINK_ETHERNET, OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0),
     POL_E_FORMAT, POL_PKT_BROKEN, 0x0800, 0},
    {"IPv6 behind IPv4's type", POL_LINK_ETHERNET,
     OCTETS(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x60), POL_E_FORMAT, POL_PKT_BROKEN, 0x0800,
     0},
    {"cooked LLC", POL_LINK_LINUX_SLL, OCTETS(0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2),
     POL_OK, POL_PKT_NOT_IP, 0, 2},
    {"half a cooked header", POL_LINK_LINUX_SLL, OCTETS(0, 0, 0, 1, 0, 6), POL_E_FORMAT,
     POL_PKT_BROKEN, 0, 0},
    {"cooked v2 ARP", POL_LINK_LINUX_SLL2,
     OCTETS(8, 6, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1), POL_OK, POL_PKT_NOT_IP,
     0x0806, 1},
    {"half a cooked v2 header", POL_LINK_LINUX_SLL2, OCTETS(8, 0, 0), POL_E_FORMAT, POL_PKT_BROKEN,
     0, 0},
    {"raw version 5", POL_LINK_RAW_IP, OCTETS(0x55), POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
    {"unknown link", (enum pol_link)99, OCTETS(0x45), POL_E_INVALID, POL_PKT_BROKEN, 0, 0},
    {"empty frame", POL_LINK_ETHERNET, {NULL, 0}, POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
    {"empty raw frame", POL_LINK_RAW_IP, {NULL, 0}, POL_E_FORMAT, POL_PKT_BROKEN, 0, 0},
};

Test(packet, what_is_not_ip_is_said_to_be_so)
{
    for (size_t i = 0; i < COUNT(others); i++) {
        pol_packet packet;
        int rc = pol_packet_parse(others[i].frame, others[i].link, (uint32_t)others[i].frame.len,
                                  &packet);

        cr_expect_eq(rc, others[i].status, "%s: %s", others[i].what, pol_status_name(rc));
        cr_expect_eq(packet.kind, others[i].kind, "%s", others[i].what);
        cr_expect_eq(packet.ether_type, others[i].ether_type, "%s", others[i].what);
        cr_expect_eq(packet.payload.len, others[i].payload_len, "%s", others[i].what);
        cr_expect_eq(packet.marks, POL_MARK_NO_L4 | (rc < 0 ? POL_MARK_MALFORMED : 0u), "%s",
                     others[i].what);
    }
}

/* The builders used by other rooms' tests give what the parser gives. */

static struct frame_spec base_spec(bool ipv6, uint8_t proto)
{
    return (struct frame_spec){.src = ipv6 ? "2001:db8::5" : "10.0.0.5",
                               .dst = ipv6 ? "2001:db8:1::1" : "192.0.2.1",
                               .proto = proto,
                               .payload = bytes_from("sixteen octets..")};
}

static void expect_parsed(const struct frame_spec *spec, pol_packet expected, const char *what)
{
    struct frame frame = frame_build(spec);
    pol_packet packet;

    expected.side = POL_SIDE_UNKNOWN;
    cr_expect_eq(parse(&frame, &packet), POL_OK, "%s", what);
    expect_same(&packet, &expected, what);
}

static void check_tcp(bool ipv6)
{
    struct frame_spec spec = base_spec(ipv6, PROTO_TCP);
    pol_packet packet;

    spec.src_port = 40000;
    spec.dst_port = 443;
    spec.tcp_flags = POL_TCP_PSH | POL_TCP_ACK;
    spec.tcp_seq = 7;
    packet = packet_tcp(spec.src, 40000, spec.dst, 443, spec.tcp_flags, 7, spec.payload);
    expect_parsed(&spec, packet, "TCP");

    spec.src = packet.tuple.src.family == 6 ? "2001:db8:1::1" : "192.0.2.1";
    spec.dst = packet.tuple.src.family == 6 ? "2001:db8::5" : "10.0.0.5";
    spec.src_port = 443;
    spec.dst_port = 40000;
    spec.tcp_flags = POL_TCP_RST;
    spec.tcp_seq = 9;
    spec.payload = (pol_bytes){NULL, 0};
    packet = packet_reply(&packet, POL_TCP_RST, 9, spec.payload);
    cr_expect_eq(packet.side, POL_SIDE_OUTSIDE);
    expect_parsed(&spec, packet, "TCP reply");
}

static void check_udp(bool ipv6)
{
    struct frame_spec spec = base_spec(ipv6, PROTO_UDP);
    pol_packet whole, part;

    spec.src_port = 40000;
    spec.dst_port = 53;
    whole = packet_udp(spec.src, 40000, spec.dst, 53, spec.payload);
    expect_parsed(&spec, whole, "UDP");

    spec.frag_id = 77;
    spec.frag_more = true;
    part = packet_fragment(&whole, 77, 0, true, spec.payload);
    expect_parsed(&spec, part, "first fragment");

    spec.frag_offset = 24;
    spec.frag_more = false;
    part = packet_fragment(&whole, 77, 24, false, spec.payload);
    expect_parsed(&spec, part, "last fragment");
}

static void check_icmp(bool ipv6)
{
    struct frame_spec spec = base_spec(ipv6, ipv6 ? PROTO_ICMPV6 : PROTO_ICMP);
    pol_packet packet;

    spec.icmp_type = ipv6 ? 128 : 8;
    spec.src_port = 0x1234;
    spec.payload = (pol_bytes){NULL, 0};
    packet = packet_icmp(spec.src, spec.dst, spec.icmp_type, 0, 0x1234);
    cr_expect_eq(packet.tuple.src_port, 0x1234);
    expect_parsed(&spec, packet, "echo request");
}

Test(packet, builders_give_what_the_parser_gives)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct frame_spec spec = base_spec(ipv6, PROTO_ESP);

        expect_parsed(&spec, packet_proto(spec.src, spec.dst, PROTO_ESP, spec.payload), "ESP");
        check_tcp(ipv6);
        check_udp(ipv6);
        check_icmp(ipv6);
    }
}

static const uint8_t with_ports[] = {PROTO_TCP, PROTO_UDP, PROTO_UDPLITE, PROTO_SCTP, PROTO_DCCP};

Test(packet, five_protocols_give_ports)
{
    for (size_t i = 0; i < 2 * COUNT(with_ports); i++) {
        struct frame_spec spec = base_spec(i % 2, with_ports[i / 2]);
        struct frame frame;
        pol_packet packet;

        spec.src_port = 1000;
        spec.dst_port = 2000;
        frame = frame_build(&spec);
        cr_expect_eq(parse(&frame, &packet), POL_OK, "%s", proto_name(spec.proto));
        expect_ends(&packet.tuple, spec.src, 1000, spec.dst, 2000, spec.proto);
        expect_payload(&packet, spec.payload, proto_name(spec.proto));
        cr_expect_eq(packet.marks, 0);
    }
}

/* IPv6 has 58 for its ICMP and IPv4 has 1; crossed over, they are just protocols. */
static const struct {
    bool ipv6;
    uint8_t proto;
} portless[] = {
    {false, 0},  {false, 2},  {false, 4},  {false, 41}, {false, 43}, {false, 44},  {false, 47},
    {false, 50}, {false, 51}, {false, 58}, {false, 59}, {false, 60}, {false, 255}, {true, 1},
    {true, 4},   {true, 41},  {true, 47},  {true, 50},  {true, 59},  {true, 255},
};

Test(packet, other_protocols_have_no_l4)
{
    for (size_t i = 0; i < COUNT(portless); i++) {
        struct frame_spec spec = base_spec(portless[i].ipv6, portless[i].proto);
        struct frame frame = frame_build(&spec);
        pol_packet packet;

        cr_expect_eq(parse(&frame, &packet), POL_OK, "%u", spec.proto);
        cr_expect_eq(packet.marks, POL_MARK_NO_L4, "%u", spec.proto);
        expect_ends(&packet.tuple, spec.src, 0, spec.dst, 0, spec.proto);
        cr_expect_eq(packet.l4_offset, spec.dst[0] == '2' ? 54 : 34);
        cr_expect_geq(packet.payload.len, spec.payload.len);
    }
}

/* Headers that contradict themselves or the rest. */

enum {
    IP4 = 14, /* where headers start in an untagged frame */
    L4_OF_IP4 = 34,
    IP6 = 14,
    L4_OF_IP6 = 54
};

static const struct {
    const char *what;
    uint8_t proto;
    bool ipv6;
    uint16_t at;
    uint8_t value;
} lies[] = {
    {"IPv4 header length 4", PROTO_TCP, false, IP4, 0x44},
    {"IPv4 header longer than the datagram", PROTO_ESP, false, IP4, 0x4f},
    {"IPv4 total length below the header", PROTO_TCP, false, IP4 + 3, 19},
    {"IPv4 total length 0", PROTO_TCP, false, IP4 + 3, 0},
    {"IPv4 total length beyond the frame", PROTO_TCP, false, IP4 + 3, 200},
    {"IPv4 version 6", PROTO_TCP, false, IP4, 0x65},
    {"IPv4 total length cuts TCP", PROTO_TCP, false, IP4 + 3, 39},
    {"IPv4 total length cuts UDP", PROTO_UDP, false, IP4 + 3, 27},
    {"IPv6 payload beyond the frame", PROTO_TCP, true, IP6 + 4, 1},
    {"IPv6 payload cuts TCP", PROTO_TCP, true, IP6 + 5, 19},
    {"IPv6 payload 0, as in a jumbogram", PROTO_TCP, true, IP6 + 5, 0},
    {"IPv6 version 4", PROTO_TCP, true, IP6, 0x40},
    {"TCP data offset 4", PROTO_TCP, false, L4_OF_IP4 + 12, 0x40},
    {"TCP data offset beyond the datagram", PROTO_TCP, false, L4_OF_IP4 + 12, 0xf0},
    {"TCP data offset 4 in IPv6", PROTO_TCP, true, L4_OF_IP6 + 12, 0x40},
    {"UDP length 7", PROTO_UDP, false, L4_OF_IP4 + 5, 7},
    {"UDP length 0", PROTO_UDP, true, L4_OF_IP6 + 5, 0},
    {"UDP length beyond the datagram", PROTO_UDP, false, L4_OF_IP4 + 5, 25},
    {"UDP-Lite coverage 7", PROTO_UDPLITE, false, L4_OF_IP4 + 5, 7},
    {"UDP-Lite coverage beyond the datagram", PROTO_UDPLITE, false, L4_OF_IP4 + 5, 25},
    {"DCCP data offset below the long header", PROTO_DCCP, false, L4_OF_IP4 + 4, 3},
    {"DCCP data offset beyond the datagram", PROTO_DCCP, false, L4_OF_IP4 + 4, 9},
};

Test(packet, contradicting_headers_are_malformed)
{
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct frame_spec spec = base_spec(lies[i].ipv6, lies[i].proto);
        struct frame frame;
        pol_packet packet;
        int rc;

        spec.src_port = spec.dst_port = 1;
        frame = frame_build(&spec);
        cr_assert_eq(parse(&frame, &packet), POL_OK, "%s", lies[i].what);
        frame.bytes[lies[i].at] = lies[i].value;
        rc = parse(&frame, &packet);
        cr_expect_eq(rc, POL_E_FORMAT, "%s: %s", lies[i].what, pol_status_name(rc));
        cr_expect_eq(packet.marks, POL_MARK_MALFORMED | POL_MARK_NO_L4, "%s", lies[i].what);
        cr_expect_eq(packet.tuple.src_port, 0, "%s", lies[i].what);
        cr_expect_eq(packet.payload.len, 0, "%s", lies[i].what);
    }
}

static const struct {
    const char *what;
    uint8_t proto;
    uint16_t at; /* in the L4 header */
    uint8_t value;
    size_t payload_len; /* of the 16 octets */
} shorter[] = {
    {"UDP length trims", PROTO_UDP, 5, 12, 4},
    {"UDP without payload", PROTO_UDP, 5, 8, 0},
    {"UDP-Lite coverage does not", PROTO_UDPLITE, 5, 12, 16},
    {"TCP options are no payload", PROTO_TCP, 12, 0x60, 12},
    {"DCCP options are no payload", PROTO_DCCP, 4, 5, 12},
    {"DCCP short sequence numbers", PROTO_DCCP, 8, 0, 16},
};

Test(packet, payload_begins_and_ends_where_the_l4_header_says)
{
    for (size_t i = 0; i < COUNT(shorter); i++) {
        struct frame_spec spec = base_spec(false, shorter[i].proto);
        struct frame frame = frame_build(&spec);
        pol_packet packet;

        frame.bytes[L4_OF_IP4 + shorter[i].at] = shorter[i].value;
        cr_expect_eq(parse(&frame, &packet), POL_OK, "%s", shorter[i].what);
        cr_expect_eq(packet.payload.len, shorter[i].payload_len, "%s: %zu", shorter[i].what,
                     packet.payload.len);
    }
}

/* Short captures. */

static void expect_cut(const struct frame_spec *spec)
{
    struct frame frame = frame_build(spec);
    pol_packet whole, packet;
    bool complete = false;

    cr_assert_eq(parse_as(&frame, spec->link, frame.len, frame.len, &whole), POL_OK);
    for (size_t captured = 0; captured < frame.len; captured++) {
        int rc = parse_as(&frame, spec->link, captured, frame.len, &packet);

        cr_expect(packet.marks & POL_MARK_TRUNCATED, "%zu", captured);
        cr_expect_eq(packet.wire_len, frame.len);
        cr_expect_eq(rc, complete || rc == POL_OK ? POL_OK : POL_E_TRUNCATED, "%zu: %s", captured,
                     pol_status_name(rc));
        cr_expect_eq(!(packet.marks & POL_MARK_MALFORMED), rc == POL_OK, "%zu", captured);
        if (rc == POL_OK) {
            cr_expect(tuple_equal(&packet.tuple, &whole.tuple), "%zu", captured);
            cr_expect(tuple_equal(&packet.inner, &whole.inner), "%zu", captured);
            cr_expect_eq(packet.ip_len, whole.ip_len, "%zu", captured);
            expect_payload(&packet,
                           (pol_bytes){whole.payload.ptr,
                                       captured - (size_t)(whole.payload.ptr - frame.bytes)},
                           "short capture");
        }
        complete = rc == POL_OK;

        /* The same octets as a whole frame: now it is the headers that lie. */
        rc = parse_as(&frame, spec->link, captured, captured, &packet);
        cr_expect_eq(rc, POL_E_FORMAT, "%zu: %s", captured, pol_status_name(rc));
        cr_expect(!(packet.marks & POL_MARK_TRUNCATED));
    }
    cr_expect(complete, "payload alone may be missing");
}

Test(packet, short_capture_is_truncated_until_the_headers_are_there)
{
    static const uint8_t protos[] = {PROTO_TCP,  PROTO_UDP, PROTO_UDPLITE, PROTO_SCTP,
                                     PROTO_DCCP, PROTO_ESP, PROTO_ICMP,    PROTO_ICMPV6};

    for (size_t i = 0; i < 2 * COUNT(protos); i++) {
        struct frame_spec spec = base_spec(i % 2, protos[i / 2]);

        spec.vlan_count = (unsigned)(i % 3);
        if (i % 5 == 1)
            spec.link = POL_LINK_LINUX_SLL;
        expect_cut(&spec);
    }
}

Test(packet, short_capture_is_truncated_inside_options_too)
{
    static const uint8_t alert[] = {148, 4, 0, 0};
    static const uint8_t hop_by_hop[] = {17, 0, 1, 4, 0, 0, 0, 0};
    struct frame_spec spec = base_spec(false, PROTO_UDP);

    spec.options = (pol_bytes){alert, sizeof(alert)};
    expect_cut(&spec);

    spec = base_spec(true, PROTO_UDP);
    spec.options = (pol_bytes){hop_by_hop, sizeof(hop_by_hop)};
    expect_cut(&spec);

    spec = base_spec(true, PROTO_UDP);
    spec.frag_more = true;
    expect_cut(&spec);
}

Test(packet, short_capture_of_an_icmp_error_needs_the_quoted_ports)
{
    struct frame_spec quoted = base_spec(false, PROTO_TCP);
    struct frame_spec spec = base_spec(false, PROTO_ICMP);
    struct frame inner;

    quoted.link = POL_LINK_RAW_IP;
    quoted.src_port = 1;
    quoted.dst_port = 2;
    inner = frame_build(&quoted);
    spec.icmp_type = 11;
    spec.payload = (pol_bytes){inner.bytes, inner.len};
    expect_cut(&spec);
}

Test(packet, wire_length_below_the_capture_is_raised_to_it)
{
    struct frame frame = FRAME_FROM(dns_query);
    pol_packet packet;

    cr_expect_eq(parse_as(&frame, POL_LINK_ETHERNET, frame.len, 10, &packet), POL_OK);
    cr_expect_eq(packet.wire_len, frame.len);
    cr_expect_eq(packet.marks, 0);
}

/* IPv4 options. */

static const struct {
    const char *what;
    pol_bytes options;
    int status;
} options4[] = {
    {"no-ops", OCTETS(1, 1, 1, 1), POL_OK},
    {"end, then anything", OCTETS(0, 0xff, 0xff, 0xff), POL_OK},
    {"router alert", OCTETS(148, 4, 0, 0), POL_OK},
    {"record route", OCTETS(7, 7, 4, 0, 0, 0, 0, 0), POL_OK},
    {"timestamp to the end", OCTETS(1, 68, 7, 5, 0, 0, 0, 0), POL_OK},
    {"length 1", OCTETS(148, 1, 0, 0), POL_E_FORMAT},
    {"length 0", OCTETS(148, 0, 0, 0), POL_E_FORMAT},
    {"no length", OCTETS(1, 1, 1, 148), POL_E_FORMAT},
    {"past the header", OCTETS(1, 148, 4, 0), POL_E_FORMAT},
    {"loose source route", OCTETS(131, 7, 4, 192, 0, 2, 9, 0), POL_E_FORMAT},
    {"strict source route", OCTETS(137, 7, 4, 192, 0, 2, 9, 0), POL_E_FORMAT},
};

Test(packet, ipv4_options_are_walked_and_source_routes_refused)
{
    for (size_t i = 0; i < COUNT(options4); i++) {
        struct frame_spec spec = base_spec(false, PROTO_UDP);
        struct frame frame;
        pol_packet packet;
        int rc;

        spec.options = options4[i].options;
        frame = frame_build(&spec);
        rc = parse(&frame, &packet);
        cr_expect_eq(rc, options4[i].status, "%s: %s", options4[i].what, pol_status_name(rc));
        cr_expect(packet.marks & POL_MARK_OPTIONS, "%s", options4[i].what);
        if (rc == POL_OK) {
            cr_expect_eq(packet.l4_offset, L4_OF_IP4 + spec.options.len);
            expect_payload(&packet, spec.payload, options4[i].what);
        }
    }
}

/* IPv6 extension headers. Each ends up at UDP unless it says otherwise. */

static const struct {
    const char *what;
    uint8_t first;
    pol_bytes headers;
    int status;
} extensions[] = {
    {"hop-by-hop", 0, OCTETS(17, 0, 1, 4, 0, 0, 0, 0), POL_OK},
    {"destination options of 16 octets", 60,
     OCTETS(17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), POL_OK},
    {"AH", 51, OCTETS(17, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9), POL_OK},
    {"mobility", 135, OCTETS(17, 0, 0, 0, 0, 0, 0, 0), POL_OK},
    {"finished routing header", 43, OCTETS(17, 0, 4, 0, 0, 0, 0, 0), POL_OK},
    {"fragment header that fragments nothing", 44, OCTETS(17, 0, 0, 0, 0, 0, 0, 1), POL_OK},
    {"hop-by-hop, destination, routing", 0,
     OCTETS(60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 2, 0, 0, 0, 0, 0), POL_OK},
    {"unfinished routing header", 43, OCTETS(17, 0, 4, 1, 0, 0, 0, 0), POL_E_FORMAT},
    {"unfinished routing header type 0", 43, OCTETS(17, 0, 0, 1, 0, 0, 0, 0), POL_E_FORMAT},
    {"hop-by-hop not first", 60, OCTETS(0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0),
     POL_E_FORMAT},
    {"two fragment headers", 44, OCTETS(44, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 1),
     POL_E_FORMAT},
    {"longer than the datagram", 60, OCTETS(17, 200, 1, 4, 0, 0, 0, 0), POL_E_FORMAT},
};

Test(packet, ipv6_extension_headers_are_walked)
{
    for (size_t i = 0; i < COUNT(extensions); i++) {
        struct frame_spec spec = base_spec(true, PROTO_UDP);
        struct frame frame;
        pol_packet packet;
        int rc;

        spec.first_extension = extensions[i].first;
        spec.options = extensions[i].headers;
        frame = frame_build(&spec);
        rc = parse(&frame, &packet);
        cr_expect_eq(rc, extensions[i].status, "%s: %s", extensions[i].what, pol_status_name(rc));
        cr_expect_eq(packet.marks,
                     POL_MARK_OPTIONS | (rc < 0 ? POL_MARK_MALFORMED | POL_MARK_NO_L4 : 0u), "%s",
                     extensions[i].what);
        if (rc == POL_OK) {
            cr_expect_eq(packet.tuple.proto, PROTO_UDP, "%s", extensions[i].what);
            cr_expect_eq(packet.l4_offset, L4_OF_IP6 + spec.options.len);
            expect_payload(&packet, spec.payload, extensions[i].what);
        }
    }
}

Test(packet, sixteen_extension_headers_are_the_most)
{
    uint8_t headers[17 * 8];

    for (size_t count = 15; count <= 17; count++) {
        struct frame_spec spec = base_spec(true, PROTO_UDP);
        struct frame frame;
        pol_packet packet;

        memset(headers, 0, sizeof(headers));
        for (size_t i = 0; i < count; i++) {
            headers[8 * i] = i + 1 < count ? PROTO_DSTOPTS : PROTO_UDP;
            headers[8 * i + 2] = 1;
            headers[8 * i + 3] = 4;
        }
        spec.first_extension = PROTO_DSTOPTS;
        spec.options = (pol_bytes){headers, count * 8};
        frame = frame_build(&spec);
        cr_expect_eq(parse(&frame, &packet), count <= 16 ? POL_OK : POL_E_FORMAT, "%zu", count);
    }
}

Test(packet, mapped_addresses_are_malformed)
{
    for (size_t i = 0; i < 2; i++) {
        struct frame_spec spec = base_spec(true, PROTO_TCP);
        struct frame frame = frame_build(&spec);
        uint8_t *addr = frame.bytes + IP6 + 8 + 16 * i;
        pol_packet packet;

        memset(addr, 0, 10);
        memset(addr + 10, 0xff, 2);
        cr_expect_eq(parse(&frame, &packet), POL_E_FORMAT);
        cr_expect_eq(packet.kind, POL_PKT_IP);
        cr_expect_eq(packet.marks, POL_MARK_MALFORMED | POL_MARK_NO_L4);
    }
}

/* Fragments. */

static const struct {
    const char *what;
    uint8_t proto;
    uint16_t offset;
    bool more;
    size_t payload_len;
    int status;
} fragments[] = {
    {"first", PROTO_UDP, 0, true, 16, POL_OK},
    {"first, TCP", PROTO_TCP, 0, true, 4, POL_OK},
    {"middle", PROTO_UDP, 24, true, 16, POL_OK},
    {"last", PROTO_UDP, 48, false, 5, POL_OK},
    {"last that just fits", PROTO_UDP, 65520, false, 15, POL_OK},
    {"last that does not", PROTO_UDP, 65520, false, 16, POL_E_FORMAT},
    {"middle, not of eight octets", PROTO_UDP, 24, true, 15, POL_E_FORMAT},
    {"middle, empty", PROTO_UDP, 24, true, 0, POL_E_FORMAT},
    {"inside the TCP header", PROTO_TCP, 8, false, 16, POL_E_FORMAT},
    {"inside the TCP header too", PROTO_TCP, 16, true, 16, POL_E_FORMAT},
    {"behind the TCP header", PROTO_TCP, 24, true, 16, POL_OK},
};

Test(packet, fragments_keep_ports_only_in_the_first)
{
    static const uint8_t zeros[16];

    for (size_t i = 0; i < 2 * COUNT(fragments); i++) {
        const char *what = fragments[i / 2].what;
        struct frame_spec spec = base_spec(i % 2, fragments[i / 2].proto);
        struct frame frame;
        pol_packet packet;
        int rc;

        spec.src_port = spec.dst_port = 7;
        spec.frag_id = 0xabcd;
        spec.frag_offset = fragments[i / 2].offset;
        spec.frag_more = fragments[i / 2].more;
        spec.payload = (pol_bytes){zeros, fragments[i / 2].payload_len};
        frame = frame_build(&spec);
        rc = parse(&frame, &packet);
        cr_expect_eq(rc, fragments[i / 2].status, "%s: %s", what, pol_status_name(rc));
        if (rc < 0)
            continue;
        cr_expect(packet.marks & POL_MARK_FRAGMENT, "%s", what);
        cr_expect_eq(packet.frag_id, 0xabcd, "%s", what);
        cr_expect_eq(packet.frag_offset, spec.frag_offset, "%s", what);
        cr_expect_eq(packet.frag_more, spec.frag_more, "%s", what);
        cr_expect_eq(packet.tuple.proto, spec.proto, "%s", what);
        cr_expect_eq(packet.tuple.src_port, spec.frag_offset ? 0 : 7, "%s", what);
        cr_expect_eq(!(packet.marks & POL_MARK_NO_L4), spec.frag_offset == 0, "%s", what);
        expect_payload(&packet, spec.payload, what);
    }
}

Test(packet, first_fragment_needs_the_whole_l4_header)
{
    /* 16 octets of TCP header in the first fragment: RFC 1858 3, RFC 7112. */
    static const uint8_t part[16] = {0x9c, 0x40, 0x01, 0xbb};

    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct frame_spec spec = base_spec(ipv6, PROTO_ESP);
        struct frame frame;
        pol_packet packet;

        spec.frag_more = true;
        spec.payload = (pol_bytes){part, sizeof(part)};
        frame = frame_build(&spec);
        cr_expect_eq(parse(&frame, &packet), POL_OK);
        frame.bytes[ipv6 ? IP6 + 40 : IP4 + 9] = PROTO_TCP;
        cr_expect_eq(parse(&frame, &packet), POL_E_FORMAT);
        cr_expect_eq(packet.tuple.src_port, 0);
    }
}

Test(packet, first_udp_fragment_may_announce_more_than_it_holds)
{
    struct frame_spec spec = base_spec(false, PROTO_UDP);
    struct frame frame;
    pol_packet packet;

    spec.frag_more = true;
    frame = frame_build(&spec);
    frame.bytes[L4_OF_IP4 + 4] = 0x10;
    cr_expect_eq(parse(&frame, &packet), POL_OK);
    expect_payload(&packet, spec.payload, "all of the fragment");
}

/* ICMP. */

static const struct {
    bool ipv6;
    uint8_t type;
    bool identified;
} queries[] = {
    {false, 0, true},   {false, 8, true},    {false, 9, false},  {false, 10, false},
    {false, 13, true},  {false, 14, true},   {false, 15, true},  {false, 16, true},
    {false, 17, true},  {false, 18, true},   {false, 19, false}, {false, 42, true},
    {false, 43, true},  {false, 128, false}, {true, 128, true},  {true, 129, true},
    {true, 130, false}, {true, 133, false},  {true, 135, false}, {true, 160, true},
    {true, 161, true},  {true, 8, false},
};

Test(packet, queries_have_their_identifier_as_source_port)
{
    for (size_t i = 0; i < COUNT(queries); i++) {
        struct frame_spec spec =
            base_spec(queries[i].ipv6, queries[i].ipv6 ? PROTO_ICMPV6 : PROTO_ICMP);
        struct frame frame;
        pol_packet packet;

        spec.icmp_type = queries[i].type;
        spec.icmp_code = 5;
        spec.src_port = 4242;
        frame = frame_build(&spec);
        cr_expect_eq(parse(&frame, &packet), POL_OK, "type %u", queries[i].type);
        cr_expect_eq(packet.tuple.src_port, queries[i].identified ? 4242 : 0, "type %u",
                     queries[i].type);
        cr_expect_eq(packet.icmp_type, queries[i].type);
        cr_expect_eq(packet.icmp_code, 5);
        cr_expect_eq(packet.marks, 0);
        expect_payload(&packet, spec.payload, "behind eight octets");
    }
}

static const struct {
    bool ipv6;
    uint8_t type;
} errors[] = {
    {false, 3}, {false, 4}, {false, 5}, {false, 11}, {false, 12},
    {true, 1},  {true, 2},  {true, 3},  {true, 4},
};

static struct frame error_about(bool ipv6, uint8_t type, const struct frame *quoted, size_t len)
{
    struct frame_spec spec = base_spec(ipv6, ipv6 ? PROTO_ICMPV6 : PROTO_ICMP);

    spec.icmp_type = type;
    spec.payload = (pol_bytes){quoted->bytes, len};
    return frame_build(&spec);
}

static struct frame_spec quoted_spec(bool ipv6, uint8_t proto)
{
    struct frame_spec spec = base_spec(ipv6, proto);

    spec.link = POL_LINK_RAW_IP;
    spec.src = ipv6 ? "2001:db8::9" : "10.9.9.9";
    spec.src_port = 1111;
    spec.dst_port = 2222;
    spec.icmp_type = ipv6 ? 128 : 8;
    return spec;
}

Test(packet, errors_quote_down_to_eight_octets_of_l4)
{
    static const uint8_t protos[] = {PROTO_TCP,  PROTO_UDP,  PROTO_UDPLITE,
                                     PROTO_SCTP, PROTO_DCCP, PROTO_ESP};

    for (size_t i = 0; i < COUNT(errors) * COUNT(protos); i++) {
        bool ipv6 = errors[i / COUNT(protos)].ipv6;
        struct frame_spec spec = quoted_spec(ipv6, protos[i % COUNT(protos)]);
        struct frame quoted = frame_build(&spec);
        struct frame frame =
            error_about(ipv6, errors[i / COUNT(protos)].type, &quoted, (ipv6 ? 40 : 20) + 8u);
        uint16_t ports = proto_has_ports(spec.proto);
        pol_packet packet;

        cr_expect_eq(parse(&frame, &packet), POL_OK, "%s", proto_name(spec.proto));
        cr_expect_eq(packet.marks, POL_MARK_ICMP_ERROR);
        expect_ends(&packet.inner, spec.src, ports * 1111, spec.dst, ports * 2222, spec.proto);
    }
}

Test(packet, error_builder_gives_what_the_parser_gives)
{
    struct frame_spec spec = quoted_spec(true, PROTO_UDP);
    pol_packet cause = packet_udp(spec.src, 1111, spec.dst, 2222, spec.payload);
    pol_packet built = packet_icmp_error("2001:db8:1::1", 1, 4, &cause);
    struct frame quoted = frame_build(&spec), frame;
    struct frame_spec outer = {.src = "2001:db8:1::1",
                               .dst = spec.src,
                               .proto = PROTO_ICMPV6,
                               .icmp_type = 1,
                               .icmp_code = 4,
                               .payload = {quoted.bytes, quoted.len}};
    pol_packet parsed;

    frame = frame_build(&outer);
    cr_assert_eq(parse(&frame, &parsed), POL_OK);
    built.payload = parsed.payload;
    built.ip_len += (uint32_t)parsed.payload.len;
    built.wire_len += (uint32_t)parsed.payload.len;
    expect_same(&parsed, &built, "error");
}

Test(packet, quoted_echo_has_its_identifier)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct frame_spec spec = quoted_spec(ipv6, ipv6 ? PROTO_ICMPV6 : PROTO_ICMP);
        struct frame quoted = frame_build(&spec);
        struct frame frame = error_about(ipv6, ipv6 ? 3 : 11, &quoted, quoted.len);
        pol_packet packet;

        cr_expect_eq(parse(&frame, &packet), POL_OK);
        expect_ends(&packet.inner, spec.src, 1111, spec.dst, 0, spec.proto);
    }
}

Test(packet, quoted_options_and_fragments_are_understood)
{
    static const uint8_t alert[] = {148, 4, 0, 0};
    static const uint8_t hop_by_hop[] = {17, 0, 1, 4, 0, 0, 0, 0};

    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct frame_spec spec = quoted_spec(ipv6, PROTO_UDP);
        struct frame quoted, frame;
        pol_packet packet;

        spec.options = ipv6 ? (pol_bytes){hop_by_hop, 8} : (pol_bytes){alert, 4};
        quoted = frame_build(&spec);
        frame = error_about(ipv6, 3, &quoted, (ipv6 ? 48 : 24) + 8u);
        cr_expect_eq(parse(&frame, &packet), POL_OK);
        expect_ends(&packet.inner, spec.src, 1111, spec.dst, 2222, PROTO_UDP);
        cr_expect_eq(packet.marks, POL_MARK_ICMP_ERROR, "options of the quote are not its own");

        spec.options = (pol_bytes){NULL, 0};
        spec.frag_offset = 24;
        quoted = frame_build(&spec);
        frame = error_about(ipv6, 3, &quoted, quoted.len);
        cr_expect_eq(parse(&frame, &packet), POL_OK);
        expect_ends(&packet.inner, spec.src, 0, spec.dst, 0, PROTO_UDP);
        cr_expect_eq(packet.marks, POL_MARK_ICMP_ERROR, "the fragment is the quoted one");
    }
}

static const struct {
    const char *what;
    bool ipv6, quoted_ipv6;
    size_t len;    /* of the quote */
    uint8_t first; /* its first octet */
} bad_quotes[] = {
    {"nothing quoted", false, false, 0, 0x45},
    {"half an IPv4 header", false, false, 19, 0x45},
    {"no ports", false, false, 20, 0x45},
    {"half the ports", false, false, 23, 0x45},
    {"version 5", false, false, 28, 0x55},
    {"header length 4", false, false, 28, 0x44},
    {"options past the end", false, false, 28, 0x4f},
    {"IPv6 in ICMPv4", false, true, 48, 0x60},
    {"IPv4 in ICMPv6", true, false, 28, 0x45},
    {"half an IPv6 header", true, true, 39, 0x60},
    {"no ports in IPv6", true, true, 40, 0x60},
};

Test(packet, errors_that_quote_too_little_are_malformed)
{
    static const pol_tuple none;

    for (size_t i = 0; i < COUNT(bad_quotes); i++) {
        struct frame_spec spec = quoted_spec(bad_quotes[i].quoted_ipv6, PROTO_TCP);
        struct frame quoted = frame_build(&spec), frame;
        pol_packet packet;
        int rc;

        quoted.bytes[0] = bad_quotes[i].first;
        frame = error_about(bad_quotes[i].ipv6, 3, &quoted, bad_quotes[i].len);
        rc = parse(&frame, &packet);
        cr_expect_eq(rc, POL_E_FORMAT, "%s: %s", bad_quotes[i].what, pol_status_name(rc));
        cr_expect_eq(packet.marks, POL_MARK_MALFORMED | POL_MARK_NO_L4, "%s", bad_quotes[i].what);
        cr_expect(tuple_equal(&packet.inner, &none), "%s", bad_quotes[i].what);
    }
}

/* A redirect: 32 octets of addresses, then options. */
static struct frame redirect_with(pol_bytes options)
{
    struct frame_spec spec = base_spec(true, PROTO_ICMPV6);
    uint8_t body[512] = {0xfe, 0x80};

    cr_assert_leq(options.len, sizeof(body) - 32);
    if (options.len)
        memcpy(body + 32, options.ptr, options.len);
    spec.hop_limit = 255;
    spec.icmp_type = 137;
    spec.payload = (pol_bytes){body, 32 + options.len};
    return frame_build(&spec);
}

Test(packet, nd_redirect_gives_the_tuple_it_quotes)
{
    struct frame_spec spec = quoted_spec(true, PROTO_UDP);
    struct frame quoted = frame_build(&spec), frame;
    /* The target's link-layer address, then the redirected header with six reserved octets. */
    uint8_t options[16 + 64] = {2, 1, 2, 0, 0, 0, 0, 1, 4, 9};
    pol_packet packet;

    memcpy(options + 16, quoted.bytes, 64);
    frame = redirect_with((pol_bytes){options, sizeof(options)});
    cr_expect_eq(parse(&frame, &packet), POL_OK);
    cr_expect_eq(packet.marks, POL_MARK_ICMP_ERROR);
    expect_ends(&packet.inner, spec.src, 1111, spec.dst, 2222, PROTO_UDP);
}

static const struct {
    const char *what;
    pol_bytes options;
    int status;
} redirects[] = {
    {"no options", {NULL, 0}, POL_OK},
    {"link-layer address only", OCTETS(2, 1, 2, 0, 0, 0, 0, 1), POL_OK},
    {"option of length 0", OCTETS(2, 0, 2, 0, 0, 0, 0, 1), POL_E_FORMAT},
    {"option past the end", OCTETS(2, 2, 2, 0, 0, 0, 0, 1), POL_E_FORMAT},
    {"half an option", OCTETS(2, 1, 2, 0), POL_E_FORMAT},
    {"empty redirected header", OCTETS(4, 1, 0, 0, 0, 0, 0, 0), POL_E_FORMAT},
};

Test(packet, nd_redirect_options_are_walked)
{
    for (size_t i = 0; i < COUNT(redirects); i++) {
        struct frame frame = redirect_with(redirects[i].options);
        pol_packet packet;
        int rc = parse(&frame, &packet);

        cr_expect_eq(rc, redirects[i].status, "%s: %s", redirects[i].what, pol_status_name(rc));
        cr_expect_eq(packet.marks, rc < 0 ? POL_MARK_MALFORMED | POL_MARK_NO_L4 : 0, "%s",
                     redirects[i].what);
    }
}

Test(packet, reserved_and_unused_fields_are_zero)
{
    static const uint8_t zeros[sizeof(pol_packet)];
    struct frame frame = FRAME_FROM(bpdu);
    pol_packet packet;

    memset(&packet, 0xff, sizeof(packet));
    cr_assert_eq(parse(&frame, &packet), POL_OK);
    cr_expect(memcmp(&packet.tuple, zeros, sizeof(packet.tuple)) == 0);
    cr_expect(memcmp(&packet.inner, zeros, sizeof(packet.inner)) == 0);
    cr_expect(memcmp(packet.reserved, zeros, sizeof(packet.reserved)) == 0);
}

Test(packet, a_batch_is_what_its_frames_are_one_by_one)
{
    struct frame frames[] = {FRAME_FROM(dns_query), FRAME_FROM(bpdu), FRAME_FROM(tcp_syn)};
    uint32_t wire_lens[COUNT(frames)] = {(uint32_t)frames[0].len, 1500, 0};
    pol_bytes octets[COUNT(frames)];
    pol_packet together[COUNT(frames)], alone;

    frames[2].len -= 5; /* cut inside the TCP header */
    for (size_t i = 0; i < COUNT(frames); i++)
        octets[i] = (pol_bytes){frames[i].bytes, frames[i].len};

    memset(together, 0xff, sizeof(together));
    cr_expect_eq(pol_packet_parse_batch(octets, wire_lens, COUNT(frames), POL_LINK_ETHERNET,
                                        POL_SIDE_OUTSIDE, together),
                 2);
    for (size_t i = 0; i < COUNT(frames); i++) {
        pol_packet_parse(octets[i], POL_LINK_ETHERNET, wire_lens[i], &alone);
        alone.side = POL_SIDE_OUTSIDE;
        cr_expect(memcmp(&alone, &together[i], sizeof(alone)) == 0, "frame %zu", i);
    }
}

Test(packet, a_batch_without_lengths_was_captured_whole)
{
    struct frame frame = FRAME_FROM(tcp_syn);
    pol_bytes octets = {frame.bytes, frame.len};
    pol_packet packet;

    cr_expect_eq(
        pol_packet_parse_batch(&octets, NULL, 1, POL_LINK_ETHERNET, POL_SIDE_INSIDE, &packet), 1);
    cr_expect_eq(packet.wire_len, frame.len);
    cr_expect_eq(packet.marks, 0);
    cr_expect_eq(packet.side, POL_SIDE_INSIDE);
}

Test(packet, an_empty_batch_writes_nothing)
{
    pol_packet packet = {.wire_len = 7};

    cr_expect_eq(pol_packet_parse_batch(NULL, NULL, 0, POL_LINK_ETHERNET, POL_SIDE_INSIDE, &packet),
                 0);
    cr_expect_eq(packet.wire_len, 7);
}
