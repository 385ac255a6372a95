/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/reply.h>

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "frames.h"
#include "net/proto.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { CANARY = 0xa5, MTU = 1300 };

enum kind { REJECT, RESET, TOO_BIG, ANSWER };

static const pol_bytes abc = {(const uint8_t *)"abc", 3};

static int write_kind(enum kind kind, const pol_packet *packet, pol_bytes frame, enum pol_link link,
                      uint8_t *buf, size_t capacity, size_t *ret_len)
{
    switch (kind) {
    case REJECT:
        return pol_reply_reject(packet, frame, link, buf, capacity, ret_len);
    case RESET:
        return pol_reply_reset(packet, frame, link, buf, capacity, ret_len);
    case TOO_BIG:
        return pol_reply_too_big(packet, frame, link, MTU, buf, capacity, ret_len);
    default:
        return pol_reply_dns(packet, frame, link, abc, buf, capacity, ret_len);
    }
}

/* Parses a copy of exactly that size, so that the sanitizer sees a read past the end. */
static int reply_to(enum kind kind, const uint8_t *bytes, size_t len, size_t wire_len,
                    enum pol_link link, struct frame *ret_reply)
{
    uint8_t *copy = malloc(len ? len : 1);
    pol_packet packet;
    int rc;

    cr_assert_not_null(copy);
    memcpy(copy, bytes, len);
    (void)pol_packet_parse((pol_bytes){copy, len}, link, (uint32_t)wire_len, &packet);
    rc = write_kind(kind, &packet, (pol_bytes){copy, len}, link, ret_reply->bytes,
                    sizeof(ret_reply->bytes), &ret_reply->len);
    free(copy);
    return rc;
}

static int reply_to_frame(enum kind kind, const struct frame *frame, enum pol_link link,
                          struct frame *ret_reply)
{
    return reply_to(kind, frame->bytes, frame->len, frame->len, link, ret_reply);
}

static int reply_to_spec(enum kind kind, const struct frame_spec *spec, struct frame *ret_reply)
{
    struct frame frame = frame_build(spec);

    return reply_to_frame(kind, &frame, spec->link, ret_reply);
}

/* --- Checksums, summed up another way: octet by octet, the carry put back at once ------------- */

static uint16_t slow_sum(uint16_t sum, const uint8_t *octets, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint32_t wide = sum + ((uint32_t)octets[i] << (i % 2 ? 0 : 8));

        sum = (uint16_t)(wide > 0xffff ? wide - 0xffff : wide);
    }
    return sum;
}

static void expect_checksums(const struct frame *reply, enum pol_link link, const char *what)
{
    pol_packet packet = frame_parse(reply, link);
    const uint8_t *l4 = reply->bytes + packet.l4_offset;
    size_t len = reply->len - packet.l4_offset;
    bool ipv6 = packet.tuple.src.family == 6;
    uint16_t sum = 0;

    if (!ipv6)
        cr_expect_eq(slow_sum(0, l4 - 20, 20), 0xffff, "%s: IP checksum", what);
    if (packet.tuple.proto != PROTO_ICMP) {
        const uint8_t rest[] = {(uint8_t)(len >> 8), (uint8_t)len, 0, packet.tuple.proto};

        sum = ipv6 ? slow_sum(sum, l4 - 32, 32) : slow_sum(sum, l4 - 8, 8);
        sum = slow_sum(sum, rest, sizeof(rest));
    }
    cr_expect_eq(slow_sum(sum, l4, len), 0xffff, "%s: L4 checksum", what);
}

/* --- Octet by octet, computed by hand --------------------------------------------------------- */

static const uint8_t rst_to_syn[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0x00,
    0x64, 0x08, 0x00, 0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x6e, 0xca,
    0xc0, 0x00, 0x02, 0x01, 0x0a, 0x00, 0x00, 0x05, 0x01, 0xbb, 0x9c, 0x40, 0x00, 0x00, 0x00,
    0x00, 0x12, 0x34, 0x56, 0x79, 0x50, 0x14, 0x00, 0x00, 0xdd, 0x21, 0x00, 0x00,
};

static const uint8_t rst_to_data[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x86, 0xdd, 0x60,
    0x00, 0x00, 0x00, 0x00, 0x14, 0x06, 0x40, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x01, 0xbb, 0x9c, 0x40, 0x9a, 0xbc,
    0xde, 0xf0, 0x00, 0x00, 0x00, 0x00, 0x50, 0x04, 0x00, 0x00, 0x3c, 0xb0, 0x00, 0x00,
};

static const uint8_t reset_onward[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00,
    0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x6e, 0xca, 0x0a, 0x00,
    0x00, 0x05, 0xc0, 0x00, 0x02, 0x01, 0x9c, 0x40, 0x01, 0xbb, 0x12, 0x34, 0x56, 0x79,
    0x9a, 0xbc, 0xde, 0xf0, 0x50, 0x14, 0x00, 0x00, 0x63, 0x74, 0x00, 0x00,
};

static const uint8_t prohibited[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x45,
    0xc0, 0x00, 0x3a, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0x6d, 0xfd, 0xc0, 0x00, 0x02, 0x01,
    0x0a, 0x00, 0x00, 0x05, 0x03, 0x0d, 0xc9, 0x14, 0x00, 0x00, 0x00, 0x00, 0x45, 0x00, 0x00,
    0x1e, 0x00, 0x00, 0x00, 0x00, 0x40, 0x11, 0xae, 0xc9, 0x0a, 0x00, 0x00, 0x05, 0xc0, 0x00,
    0x02, 0x01, 0xc3, 0x50, 0x11, 0x94, 0x00, 0x0a, 0xf6, 0x85, 0x68, 0x69,
};

static const uint8_t prohibited6[] = {
    0x60, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x3a, 0x40, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x20, 0x01, 0x0d, 0xb8,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x01, 0x01,
    0x31, 0xd3, 0x00, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x11, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x05, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x10, 0xc3, 0x50, 0x11, 0x94, 0x00, 0x0a, 0x67, 0x04, 0x68, 0x69,
};

static const uint8_t answer[] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x45,
    0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x6e, 0x94, 0xc0, 0x00, 0x02, 0x35,
    0x0a, 0x00, 0x00, 0x05, 0x00, 0x35, 0xc3, 0x50, 0x00, 0x0b, 0xab, 0xb5, 0x61, 0x62, 0x63,
};

static void expect_octets(const struct frame *reply, const uint8_t *octets, size_t len)
{
    cr_assert_eq(reply->len, len, "%zu octets", reply->len);
    for (size_t i = 0; i < len; i++)
        cr_expect_eq(reply->bytes[i], octets[i], "octet %zu: %02x", i, reply->bytes[i]);
}

#define EXPECT_OCTETS(reply, array) expect_octets(reply, array, sizeof(array))

/* RFC 9293 3.10.7.1: no ACK, so the whole segment is acknowledged, and the SYN counts. */
Test(reply, syn_is_answered_as_a_closed_port_would)
{
    struct frame_spec spec = {.src = "10.0.0.5",
                              .dst = "192.0.2.1",
                              .proto = PROTO_TCP,
                              .src_port = 40000,
                              .dst_port = 443,
                              .tcp_flags = POL_TCP_SYN,
                              .tcp_seq = 0x12345678,
                              .vlan_count = 1,
                              .vlan = {100}};
    struct frame reply;

    cr_assert_eq(reply_to_spec(REJECT, &spec, &reply), POL_OK);
    EXPECT_OCTETS(&reply, rst_to_syn);
}

/* RFC 9293 3.10.7.1: with an ACK, its number is the one the sender accepts. */
Test(reply, acknowledged_segment_is_answered_with_its_acknowledgement)
{
    struct frame_spec spec = {.src = "2001:db8::5",
                              .dst = "2001:db8:1::10",
                              .proto = PROTO_TCP,
                              .src_port = 40000,
                              .dst_port = 443,
                              .tcp_flags = POL_TCP_PSH | POL_TCP_ACK,
                              .tcp_seq = 0x12345679,
                              .tcp_ack = 0x9abcdef0,
                              .payload = bytes_from("GET / HTTP/1.1")};
    struct frame reply;

    cr_assert_eq(reply_to_spec(REJECT, &spec, &reply), POL_OK);
    EXPECT_OCTETS(&reply, rst_to_data);
}

Test(reply, reset_goes_on_in_the_place_of_the_segment)
{
    struct frame_spec spec = {.src = "10.0.0.5",
                              .dst = "192.0.2.1",
                              .proto = PROTO_TCP,
                              .src_port = 40000,
                              .dst_port = 443,
                              .tcp_flags = POL_TCP_PSH | POL_TCP_ACK,
                              .tcp_seq = 0x12345679,
                              .tcp_ack = 0x9abcdef0,
                              .payload = bytes_from("GET / HTTP/1.1")};
    struct frame reply;

    cr_assert_eq(reply_to_spec(RESET, &spec, &reply), POL_OK);
    EXPECT_OCTETS(&reply, reset_onward);
}

Test(reply, datagram_is_refused_with_what_it_was)
{
    struct frame_spec spec = {.src = "10.0.0.5",
                              .dst = "192.0.2.1",
                              .proto = PROTO_UDP,
                              .src_port = 50000,
                              .dst_port = 4500,
                              .payload = bytes_from("hi"),
                              .pad_to = 60};
    struct frame reply;

    cr_assert_eq(reply_to_spec(REJECT, &spec, &reply), POL_OK);
    EXPECT_OCTETS(&reply, prohibited);
    spec.src = "2001:db8::5";
    spec.dst = "2001:db8:1::10";
    spec.link = POL_LINK_RAW_IP;
    cr_assert_eq(reply_to_spec(REJECT, &spec, &reply), POL_OK);
    EXPECT_OCTETS(&reply, prohibited6);
}

Test(reply, dns_answer_comes_from_the_resolver)
{
    struct frame_spec spec = {.src = "10.0.0.5",
                              .dst = "192.0.2.53",
                              .proto = PROTO_UDP,
                              .src_port = 50000,
                              .dst_port = 53,
                              .payload = bytes_from("a query")};
    struct frame reply;

    cr_assert_eq(reply_to_spec(ANSWER, &spec, &reply), POL_OK);
    EXPECT_OCTETS(&reply, answer);
}

/* --- Every kind on every link ----------------------------------------------------------------- */

static uint8_t bulk[3000];

static const struct {
    const char *what;
    enum pol_link link;
    unsigned tags;
} links[] = {
    {"Ethernet", POL_LINK_ETHERNET, 0}, {"802.1Q", POL_LINK_ETHERNET, 1},
    {"QinQ", POL_LINK_ETHERNET, 2},     {"four tags", POL_LINK_ETHERNET, 4},
    {"raw IP", POL_LINK_RAW_IP, 0},
};

static const struct {
    const char *what;
    enum kind kind;
    uint8_t proto;
    bool error; /* the reply is an ICMP error */
} replies[] = {
    {"RST", REJECT, PROTO_TCP, false},          {"onward RST", RESET, PROTO_TCP, false},
    {"UDP refused", REJECT, PROTO_UDP, true},   {"SCTP refused", REJECT, PROTO_SCTP, true},
    {"ESP refused", REJECT, PROTO_ESP, true},   {"too big, UDP", TOO_BIG, PROTO_UDP, true},
    {"too big, TCP", TOO_BIG, PROTO_TCP, true}, {"DNS answer", ANSWER, PROTO_UDP, false},
};

/* IPv6: hop-by-hop options and destination options, padding only. */
static struct frame big_frame(size_t link, size_t reply, bool ipv6)
{
    uint8_t extensions[16] = {PROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0, replies[reply].proto, 0, 1, 4};
    struct frame_spec spec = {.link = links[link].link,
                              .vlan_count = links[link].tags,
                              .vlan = {0xe001, 2, 3, 4},
                              .src = ipv6 ? "2001:db8::5" : "10.0.0.5",
                              .dst = ipv6 ? "2001:db8:1::10" : "192.0.2.1",
                              .proto = replies[reply].proto,
                              .src_port = 40000,
                              .dst_port = 53,
                              .tcp_flags = POL_TCP_ACK,
                              .tcp_seq = 1,
                              .tcp_ack = 0xfffffff0,
                              .payload = {bulk, 1400}};
    struct frame frame;

    if (ipv6) {
        spec.options = (pol_bytes){extensions, sizeof(extensions)};
        spec.first_extension = PROTO_HOPOPT;
    }
    frame = frame_build(&spec);
    if (!ipv6) /* don't fragment */
        frame.bytes[(links[link].link == POL_LINK_ETHERNET ? 14 + 4 * links[link].tags : 0) + 6] |=
            0x40;
    return frame;
}

static pol_tuple swapped(const pol_tuple *tuple)
{
    return (pol_tuple){tuple->dst, tuple->src, tuple->dst_port, tuple->src_port, tuple->proto};
}

static void expect_link(const struct frame *cause, const struct frame *reply, size_t link,
                        bool onward, const char *what)
{
    size_t len = 14 + 4 * links[link].tags;

    if (links[link].link == POL_LINK_RAW_IP)
        return;
    cr_expect_eq(memcmp(reply->bytes, cause->bytes + (onward ? 0 : 6), 6), 0, "%s: to", what);
    cr_expect_eq(memcmp(reply->bytes + 6, cause->bytes + (onward ? 6 : 0), 6), 0, "%s: from", what);
    cr_expect_eq(memcmp(reply->bytes + 12, cause->bytes + 12, len - 12), 0, "%s: tags", what);
}

static void expect_flow(const pol_packet *cause, const pol_packet *got, size_t reply)
{
    pol_tuple expected = swapped(&cause->tuple);
    const char *what = replies[reply].what;

    if (replies[reply].kind == RESET)
        expected = cause->tuple;
    if (replies[reply].error) {
        expected.src_port = expected.dst_port = 0;
        expected.proto = cause->tuple.src.family == 6 ? PROTO_ICMPV6 : PROTO_ICMP;
        cr_expect(tuple_equal(&got->inner, &cause->tuple), "%s: what is quoted", what);
    }
    cr_expect(tuple_equal(&got->tuple, &expected), "%s: ends", what);
    cr_expect_eq(got->marks, replies[reply].error ? POL_MARK_ICMP_ERROR : 0u, "%s", what);
    cr_expect_eq(got->hop_limit, 64, "%s", what);
}

static void check_reply(size_t link, size_t reply, bool ipv6)
{
    struct frame frame = big_frame(link, reply, ipv6), out;
    pol_packet cause = frame_parse(&frame, links[link].link), got;
    const char *what = replies[reply].what;

    cr_assert_eq(reply_to_frame(replies[reply].kind, &frame, links[link].link, &out), POL_OK,
                 "%s, %s", links[link].what, what);
    cr_expect_leq(out.len, POL_REPLY_MAX);
    cr_assert_eq(pol_packet_parse((pol_bytes){out.bytes, out.len}, links[link].link,
                                  (uint32_t)out.len, &got),
                 POL_OK, "%s, %s", links[link].what, what);
    expect_link(&frame, &out, link, replies[reply].kind == RESET, what);
    expect_flow(&cause, &got, reply);
    expect_checksums(&out, links[link].link, what);
}

Test(reply, every_reply_belongs_to_the_flow_it_answers)
{
    for (size_t link = 0; link < COUNT(links); link++) {
        for (size_t reply = 0; reply < COUNT(replies); reply++) {
            check_reply(link, reply, false);
            check_reply(link, reply, true);
        }
    }
}

Test(reply, buffer_that_is_too_short_is_left_alone)
{
    for (size_t reply = 0; reply < COUNT(replies); reply++) {
        struct frame frame = big_frame(1, reply, reply % 2), out;
        pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET);

        cr_assert_eq(reply_to_frame(replies[reply].kind, &frame, POL_LINK_ETHERNET, &out), POL_OK);
        for (size_t capacity = 0; capacity <= out.len; capacity++) {
            uint8_t *buf = malloc(capacity + 1);
            size_t len = 0;
            int rc;

            cr_assert_not_null(buf);
            memset(buf, CANARY, capacity + 1);
            rc = write_kind(replies[reply].kind, &packet, (pol_bytes){frame.bytes, frame.len},
                            POL_LINK_ETHERNET, buf, capacity, &len);
            cr_expect_eq(rc, capacity < out.len ? POL_E_NOSPACE : POL_OK, "%zu", capacity);
            cr_expect_eq(len, out.len);
            for (size_t i = capacity < out.len ? 0 : capacity; i <= capacity; i++)
                cr_assert_eq(buf[i], CANARY, "%s: octet %zu", replies[reply].what, i);
            free(buf);
        }
    }
}

/* --- TCP -------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    uint8_t flags;
    size_t payload;
    uint8_t reply_flags;
    uint32_t seq, ack; /* of the reply; the segment's are 0xffffffff and 77 */
} segments[] = {
    {"SYN", POL_TCP_SYN, 0, POL_TCP_RST | POL_TCP_ACK, 0, 0},
    {"SYN with data", POL_TCP_SYN, 10, POL_TCP_RST | POL_TCP_ACK, 0, 10},
    {"SYN and FIN", POL_TCP_SYN | POL_TCP_FIN, 1, POL_TCP_RST | POL_TCP_ACK, 0, 2},
    {"FIN alone", POL_TCP_FIN, 0, POL_TCP_RST | POL_TCP_ACK, 0, 0},
    {"no flag at all", 0, 5, POL_TCP_RST | POL_TCP_ACK, 0, 4},
    {"SYN and ACK", POL_TCP_SYN | POL_TCP_ACK, 0, POL_TCP_RST, 77, 0},
    {"FIN and ACK", POL_TCP_FIN | POL_TCP_ACK, 3, POL_TCP_RST, 77, 0},
};

static struct frame segment_frame(uint8_t flags, size_t payload, bool ipv6)
{
    struct frame_spec spec = {.src = ipv6 ? "2001:db8::5" : "10.0.0.5",
                              .dst = ipv6 ? "2001:db8:1::10" : "192.0.2.1",
                              .proto = PROTO_TCP,
                              .src_port = 1,
                              .dst_port = 2,
                              .tcp_flags = flags,
                              .tcp_seq = UINT32_MAX,
                              .tcp_ack = 77,
                              .pad_to = 60,
                              .payload = {bulk, payload}};

    return frame_build(&spec);
}

static void expect_segment(const struct frame *reply, uint8_t flags, uint32_t seq, uint32_t ack,
                           const char *what)
{
    pol_packet got = frame_parse(reply, POL_LINK_ETHERNET);

    cr_expect_eq(got.tcp_flags, flags, "%s: flags %#x", what, got.tcp_flags);
    cr_expect_eq(got.tcp_seq, seq, "%s: seq %u", what, got.tcp_seq);
    cr_expect_eq(got.tcp_ack, ack, "%s: ack %u", what, got.tcp_ack);
    cr_expect_eq(got.payload.len, 0, "%s", what);
}

Test(reply, rst_has_the_numbers_of_the_rfc)
{
    for (size_t i = 0; i < COUNT(segments); i++) {
        for (int ipv6 = 0; ipv6 < 2; ipv6++) {
            struct frame frame = segment_frame(segments[i].flags, segments[i].payload, ipv6), out;

            cr_assert_eq(reply_to_frame(REJECT, &frame, POL_LINK_ETHERNET, &out), POL_OK);
            expect_segment(&out, segments[i].reply_flags, segments[i].seq, segments[i].ack,
                           segments[i].what);
        }
    }
}

/* The options of the segment are no data. */
Test(reply, header_with_options_is_not_acknowledged)
{
    struct frame frame = segment_frame(POL_TCP_SYN, 20, false), out;

    frame.bytes[14 + 20 + 12] = 10 << 4;
    memset(frame.bytes + 14 + 40, 1, 20);
    cr_assert_eq(reply_to_frame(REJECT, &frame, POL_LINK_ETHERNET, &out), POL_OK);
    expect_segment(&out, POL_TCP_RST | POL_TCP_ACK, 0, 0, "20 octets of options");
}

Test(reply, segment_cut_short_by_the_capture_is_acknowledged_whole)
{
    struct frame frame = segment_frame(0, 1000, false), out;

    cr_assert_eq(reply_to(REJECT, frame.bytes, 60, frame.len, POL_LINK_ETHERNET, &out), POL_OK);
    expect_segment(&out, POL_TCP_RST | POL_TCP_ACK, 0, 999, "60 octets of it");
}

Test(reply, super_frame_is_acknowledged_and_quoted)
{
    static uint8_t bytes[14 + 65535];
    struct frame frame = segment_frame(0, 0, false), out;
    pol_packet got;

    frame.bytes[14 + 2] = frame.bytes[14 + 3] = 0xff;
    frame.bytes[14 + 6] = 0x40;
    memcpy(bytes, frame.bytes, 14 + 40);
    cr_assert_eq(reply_to(REJECT, bytes, sizeof(bytes), sizeof(bytes), POL_LINK_ETHERNET, &out),
                 POL_OK);
    expect_segment(&out, POL_TCP_RST | POL_TCP_ACK, 0, 65535 - 40 - 1, "64 KiB");

    cr_assert_eq(reply_to(TOO_BIG, bytes, sizeof(bytes), sizeof(bytes), POL_LINK_ETHERNET, &out),
                 POL_OK);
    got = frame_parse(&out, POL_LINK_ETHERNET);
    cr_expect_eq(got.ip_len, 576);
    cr_expect_eq(memcmp(got.payload.ptr, bytes + 14, 548), 0, "unfinished checksum and all");
}

Test(reply, reset_takes_the_acknowledgement_from_the_segment)
{
    struct frame frame = segment_frame(POL_TCP_FIN, 1, true), out;

    cr_assert_eq(reply_to_frame(RESET, &frame, POL_LINK_ETHERNET, &out), POL_OK);
    expect_segment(&out, POL_TCP_RST, UINT32_MAX, 0, "without ACK");
    frame = segment_frame(POL_TCP_SYN | POL_TCP_ACK, 0, true);
    cr_assert_eq(reply_to_frame(RESET, &frame, POL_LINK_ETHERNET, &out), POL_OK);
    expect_segment(&out, POL_TCP_RST | POL_TCP_ACK, UINT32_MAX, 77, "SYN and ACK");
}

/* A sender that gives up is believed: the far end is told, and nobody answers a RST. */
Test(reply, denied_rst_is_passed_on_and_not_answered)
{
    struct frame frame = segment_frame(POL_TCP_RST, 0, true), out;

    cr_expect_eq(reply_to_frame(REJECT, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
    cr_assert_eq(reply_to_frame(RESET, &frame, POL_LINK_ETHERNET, &out), POL_OK);
    expect_segment(&out, POL_TCP_RST, UINT32_MAX, 0, "RST");
}

/* --- ICMP errors ------------------------------------------------------------------------------ */

static const struct {
    bool ipv6;
    size_t payload, ip_len; /* of the error */
} sizes[] = {
    {false, 0, 56}, {false, 520, 576},  {false, 521, 576},  {false, 2000, 576},
    {true, 0, 96},  {true, 1184, 1280}, {true, 1185, 1280}, {true, 3000, 1280},
};

Test(reply, quote_ends_where_the_error_would_grow_too_long)
{
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct frame_spec spec = {.src = sizes[i].ipv6 ? "2001:db8::5" : "10.0.0.5",
                                  .dst = sizes[i].ipv6 ? "2001:db8:1::10" : "192.0.2.1",
                                  .link = POL_LINK_RAW_IP,
                                  .proto = PROTO_UDP,
                                  .src_port = 1,
                                  .dst_port = 2,
                                  .payload = {bulk, sizes[i].payload}};
        struct frame frame = frame_build(&spec), out;
        size_t header = sizes[i].ipv6 ? 48 : 28;

        cr_assert_eq(reply_to_frame(REJECT, &frame, POL_LINK_RAW_IP, &out), POL_OK);
        cr_expect_eq(out.len, sizes[i].ip_len, "%zu octets of payload", sizes[i].payload);
        cr_expect_eq(memcmp(out.bytes + header, frame.bytes, out.len - header), 0);
        expect_checksums(&out, POL_LINK_RAW_IP, "quote");
    }
}

Test(reply, too_big_says_what_fits)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct frame frame = big_frame(4, 5, ipv6), out;
        const uint8_t *l4 = out.bytes + (ipv6 ? 40 : 20);
        const uint8_t expected[] = {ipv6 ? 2 : 3, ipv6 ? 0 : 4, 0, 0, MTU >> 8, MTU & 0xff};

        cr_assert_eq(reply_to_frame(TOO_BIG, &frame, POL_LINK_RAW_IP, &out), POL_OK);
        cr_expect_eq(memcmp(l4, expected, 2), 0);
        cr_expect_eq(memcmp(l4 + 4, expected + 2, 4), 0);
    }
}

/* Of a datagram in fragments only the first may draw an error. */
Test(reply, first_fragment_is_refused_for_all)
{
    struct frame_spec spec = {.src = "2001:db8::5",
                              .dst = "2001:db8:1::10",
                              .proto = PROTO_UDP,
                              .src_port = 1,
                              .dst_port = 2,
                              .frag_id = 9,
                              .frag_more = true,
                              .payload = {bulk, 8}};
    struct frame frame = frame_build(&spec), out;
    pol_packet cause = frame_parse(&frame, POL_LINK_ETHERNET), got;

    cr_assert_eq(reply_to_frame(REJECT, &frame, POL_LINK_ETHERNET, &out), POL_OK);
    got = frame_parse(&out, POL_LINK_ETHERNET);
    cr_expect(tuple_equal(&got.inner, &cause.tuple));
    cr_expect_eq(reply_to_frame(ANSWER, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
}

static bool is_query(bool ipv6, unsigned type)
{
    static const uint8_t queries[] = {0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43};

    return ipv6 ? type >= 128 && type != 137 : memchr(queries, (int)type, sizeof(queries)) != NULL;
}

Test(reply, icmp_is_refused_when_it_is_a_query)
{
    for (unsigned i = 0; i < 512; i++) {
        bool ipv6 = i >= 256;
        uint8_t type = (uint8_t)i;
        struct frame_spec spec = {.src = ipv6 ? "2001:db8::5" : "10.0.0.5",
                                  .dst = ipv6 ? "2001:db8:1::10" : "192.0.2.1",
                                  .proto = ipv6 ? PROTO_ICMPV6 : PROTO_ICMP,
                                  .icmp_type = type,
                                  .payload = {bulk, 1400}};
        struct frame frame = frame_build(&spec), out;
        pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET);
        pol_bytes bytes = {frame.bytes, frame.len};
        int expected = is_query(ipv6, type) ? POL_OK : POL_E_INVALID;

        /* An error quotes zeros here: it is malformed to the parser, and refused for that alone. */
        packet.marks &= ~(uint32_t)POL_MARK_MALFORMED;
        packet.icmp_type = type;
        frame.bytes[14 + 6] |= ipv6 ? 0 : 0x40;
        cr_expect_eq(pol_reply_reject(&packet, bytes, POL_LINK_ETHERNET, out.bytes,
                                      sizeof(out.bytes), &out.len),
                     expected, "type %u", i);
        cr_expect_eq(pol_reply_too_big(&packet, bytes, POL_LINK_ETHERNET, MTU, out.bytes,
                                       sizeof(out.bytes), &out.len),
                     expected, "type %u", i);
    }
}

/* Crossed over they are numbers of no meaning here. */
Test(reply, icmp_of_the_other_family_is_refused)
{
    struct frame_spec spec = {.src = "2001:db8::5", .dst = "2001:db8::6", .proto = PROTO_ICMP};
    struct frame out;

    cr_expect_eq(reply_to_spec(REJECT, &spec, &out), POL_OK);
    spec = (struct frame_spec){.src = "10.0.0.5", .dst = "10.0.0.6", .proto = PROTO_ICMPV6};
    cr_expect_eq(reply_to_spec(REJECT, &spec, &out), POL_OK);
}

/* --- Nobody to answer ------------------------------------------------------------------------- */

static const char *const nobody[][2] = {
    {"0.0.0.0", "192.0.2.1"},        {"0.1.2.3", "192.0.2.1"},
    {"127.0.0.1", "192.0.2.1"},      {"224.0.0.1", "192.0.2.1"},
    {"240.0.0.1", "192.0.2.1"},      {"255.255.255.255", "192.0.2.1"},
    {"10.0.0.5", "0.0.0.0"},         {"10.0.0.5", "127.0.0.1"},
    {"10.0.0.5", "224.0.0.251"},     {"10.0.0.5", "239.255.255.250"},
    {"10.0.0.5", "255.255.255.255"}, {"::", "2001:db8::1"},
    {"::1", "2001:db8::1"},          {"ff02::1", "2001:db8::1"},
    {"2001:db8::5", "::"},           {"2001:db8::5", "::1"},
    {"2001:db8::5", "ff02::fb"},     {"2001:db8::5", "ff0e::1"},
};

static const struct {
    enum kind kind;
    uint8_t proto;
} forms[] = {{REJECT, PROTO_TCP},
             {REJECT, PROTO_UDP},
             {RESET, PROTO_TCP},
             {TOO_BIG, PROTO_UDP},
             {ANSWER, PROTO_UDP}};

static struct frame plain_frame(const char *src, const char *dst, uint8_t proto)
{
    struct frame_spec spec = {.src = src,
                              .dst = dst,
                              .proto = proto,
                              .src_port = 40000,
                              .dst_port = 53,
                              .tcp_flags = POL_TCP_ACK,
                              .payload = {bulk, 1400}};
    struct frame frame = frame_build(&spec);

    if (!strchr(src, ':'))
        frame.bytes[14 + 6] |= 0x40;
    return frame;
}

static void expect_nothing(const struct frame *frame, enum pol_link link, size_t form,
                           const char *what)
{
    struct frame out;

    memset(&out, CANARY, sizeof(out));
    cr_expect_eq(reply_to_frame(forms[form].kind, frame, link, &out), POL_E_INVALID, "form %zu: %s",
                 form, what);
    for (size_t i = 0; i < sizeof(out); i++)
        cr_assert_eq(((const uint8_t *)&out)[i], CANARY, "form %zu: %s", form, what);
}

Test(reply, address_of_no_single_host_gets_no_reply)
{
    for (size_t i = 0; i < COUNT(nobody); i++) {
        for (size_t form = 0; form < COUNT(forms); form++) {
            struct frame frame = plain_frame(nobody[i][0], nobody[i][1], forms[form].proto);

            expect_nothing(&frame, POL_LINK_ETHERNET, form, nobody[i][0]);
        }
    }
}

static const struct {
    size_t at; /* 0: destination, 6: source */
    uint8_t mac[6];
} stations[] = {
    {0, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {0, {0x01, 0x00, 0x5e, 0, 0, 1}},
    {0, {0x33, 0x33, 0, 0, 0, 1}},
    {0, {0}},
    {6, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {6, {0x33, 0x33, 0, 0, 0, 1}},
    {6, {0}},
};

Test(reply, frame_of_no_single_station_gets_no_reply)
{
    for (size_t i = 0; i < COUNT(stations); i++) {
        for (size_t form = 0; form < COUNT(forms); form++) {
            struct frame frame = plain_frame("10.0.0.5", "192.0.2.1", forms[form].proto), out;

            cr_assert_eq(reply_to_frame(forms[form].kind, &frame, POL_LINK_ETHERNET, &out), POL_OK);
            memcpy(frame.bytes + stations[i].at, stations[i].mac, 6);
            expect_nothing(&frame, POL_LINK_ETHERNET, form, "station");
        }
    }
}

Test(reply, later_fragment_gets_no_reply)
{
    struct frame_spec spec = {.proto = PROTO_UDP, .frag_offset = 1400, .payload = {bulk, 1400}};

    for (size_t form = 0; form < COUNT(forms); form++) {
        struct frame frame;

        spec.proto = forms[form].proto;
        spec.src = form % 2 ? "10.0.0.5" : "2001:db8::5";
        spec.dst = form % 2 ? "192.0.2.1" : "2001:db8::6";
        frame = frame_build(&spec);
        expect_nothing(&frame, POL_LINK_ETHERNET, form, "later fragment");
    }
}

Test(reply, what_is_no_whole_packet_gets_no_reply)
{
    for (size_t form = 0; form < COUNT(forms); form++) {
        struct frame frame = plain_frame("10.0.0.5", "192.0.2.1", forms[form].proto);

        frame.bytes[14 + 3]++; /* a datagram longer than the frame */
        expect_nothing(&frame, POL_LINK_ETHERNET, form, "malformed");
        frame.bytes[12] = 0x08;
        frame.bytes[13] = 0x06;
        expect_nothing(&frame, POL_LINK_ETHERNET, form, "ARP");
        frame.len = 0;
        expect_nothing(&frame, POL_LINK_ETHERNET, form, "nothing");
    }
}

Test(reply, cooked_frame_gets_no_reply)
{
    for (size_t form = 0; form < COUNT(forms); form++) {
        for (enum pol_link link = POL_LINK_LINUX_SLL; link <= POL_LINK_LINUX_SLL2; link++) {
            struct frame_spec spec = {.link = link,
                                      .src = "2001:db8::5",
                                      .dst = "2001:db8::6",
                                      .proto = forms[form].proto,
                                      .src_port = 1,
                                      .tcp_flags = POL_TCP_ACK,
                                      .payload = {bulk, 1400}};
            struct frame frame = frame_build(&spec);

            expect_nothing(&frame, link, form, "cooked");
        }
    }
}

/* A packet and a frame that do not belong together are refused, and nothing is read past its end.
 */
Test(reply, packet_of_another_frame_gets_no_reply)
{
    for (size_t form = 0; form < COUNT(forms); form++) {
        struct frame frame = plain_frame("10.0.0.5", "192.0.2.1", forms[form].proto);
        struct frame other = plain_frame("2001:db8::5", "2001:db8::6", forms[form].proto), out;
        pol_packet packet = frame_parse(&other, POL_LINK_ETHERNET);

        cr_expect_eq(write_kind(forms[form].kind, &packet, (pol_bytes){frame.bytes, frame.len},
                                POL_LINK_ETHERNET, out.bytes, sizeof(out.bytes), &out.len),
                     POL_E_INVALID, "another family");
        packet = frame_parse(&frame, POL_LINK_ETHERNET);
        for (size_t len = 0; len < 14 + 20; len++) {
            uint8_t *copy = malloc(len ? len : 1);

            cr_assert_not_null(copy);
            memcpy(copy, frame.bytes, len);
            cr_expect_eq(write_kind(forms[form].kind, &packet, (pol_bytes){copy, len},
                                    POL_LINK_ETHERNET, out.bytes, sizeof(out.bytes), &out.len),
                         POL_E_INVALID, "%zu octets", len);
            free(copy);
        }
    }
}

Test(reply, segment_whose_header_is_not_there_gets_no_reply)
{
    struct frame frame = segment_frame(POL_TCP_SYN, 0, false), out;
    pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET);
    pol_bytes bytes = {frame.bytes, 14 + 32};

    cr_expect_eq(
        pol_reply_reject(&packet, bytes, POL_LINK_ETHERNET, out.bytes, sizeof(out.bytes), &out.len),
        POL_E_INVALID, "cut in front of the data offset");
    bytes.len = frame.len;
    packet.l4_offset = 13;
    cr_expect_eq(
        pol_reply_reject(&packet, bytes, POL_LINK_ETHERNET, out.bytes, sizeof(out.bytes), &out.len),
        POL_E_INVALID, "in front of the datagram");
}

/* --- What each function is not for ------------------------------------------------------------ */

Test(reply, reset_is_for_segments_of_a_connection)
{
    struct frame frame = plain_frame("10.0.0.5", "192.0.2.1", PROTO_UDP), out;

    cr_expect_eq(reply_to_frame(RESET, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
    frame = segment_frame(POL_TCP_SYN, 0, false);
    cr_expect_eq(reply_to_frame(RESET, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
}

static const struct {
    uint32_t mtu;
    bool ipv6;
    int status;
} mtus[] = {
    {67, false, POL_E_INVALID},   {68, false, POL_OK},         {1427, false, POL_OK},
    {1428, false, POL_E_INVALID}, {1279, true, POL_E_INVALID}, {1280, true, POL_OK},
    {1447, true, POL_OK},         {1448, true, POL_E_INVALID},
};

Test(reply, too_big_is_for_what_does_not_fit)
{
    for (size_t i = 0; i < COUNT(mtus); i++) {
        bool ipv6 = mtus[i].ipv6;
        struct frame frame = plain_frame(ipv6 ? "2001:db8::5" : "10.0.0.5",
                                         ipv6 ? "2001:db8::6" : "192.0.2.1", PROTO_UDP);
        pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET);
        struct frame out;

        cr_expect_eq(pol_reply_too_big(&packet, (pol_bytes){frame.bytes, frame.len},
                                       POL_LINK_ETHERNET, mtus[i].mtu, out.bytes, sizeof(out.bytes),
                                       &out.len),
                     mtus[i].status, "%u", mtus[i].mtu);
    }
}

Test(reply, too_big_is_for_what_must_not_be_fragmented)
{
    struct frame frame = plain_frame("10.0.0.5", "192.0.2.1", PROTO_UDP), out;

    frame.bytes[14 + 6] = 0;
    cr_expect_eq(reply_to_frame(TOO_BIG, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
}

Test(reply, dns_answer_is_for_udp_from_a_port)
{
    struct frame frame = plain_frame("10.0.0.5", "192.0.2.1", PROTO_TCP), out;

    cr_expect_eq(reply_to_frame(ANSWER, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
    frame = plain_frame("10.0.0.5", "192.0.2.1", PROTO_UDP);
    frame.bytes[14 + 20] = frame.bytes[14 + 21] = 0;
    cr_expect_eq(reply_to_frame(ANSWER, &frame, POL_LINK_ETHERNET, &out), POL_E_INVALID);
}

Test(reply, dns_answer_is_at_most_a_datagram)
{
    static uint8_t message[65508], out[POL_REPLY_MAX + sizeof(message)];
    struct frame frame = plain_frame("10.0.0.5", "192.0.2.53", PROTO_UDP);
    pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET), got;
    pol_bytes bytes = {frame.bytes, frame.len};
    size_t len;

    cr_expect_eq(pol_reply_dns(&packet, bytes, POL_LINK_ETHERNET, (pol_bytes){message, 65508}, out,
                               sizeof(out), &len),
                 POL_E_INVALID);
    cr_assert_eq(pol_reply_dns(&packet, bytes, POL_LINK_ETHERNET, (pol_bytes){message, 65507}, out,
                               sizeof(out), &len),
                 POL_OK);
    cr_assert_eq(pol_packet_parse((pol_bytes){out, len}, POL_LINK_ETHERNET, (uint32_t)len, &got),
                 POL_OK);
    cr_expect_eq(got.payload.len, 65507);
}

/* RFC 768: a checksum that comes out as 0 is sent as all ones, since 0 says that there is none. */
Test(reply, udp_checksum_is_never_zero)
{
    struct frame frame = plain_frame("10.0.0.5", "192.0.2.53", PROTO_UDP), out;
    pol_packet packet = frame_parse(&frame, POL_LINK_ETHERNET);
    pol_bytes bytes = {frame.bytes, frame.len};
    uint8_t message[2] = {0, 0};

    cr_assert_eq(pol_reply_dns(&packet, bytes, POL_LINK_ETHERNET, (pol_bytes){message, 2},
                               out.bytes, sizeof(out.bytes), &out.len),
                 POL_OK);
    memcpy(message, out.bytes + 14 + 26, 2);
    cr_assert_eq(pol_reply_dns(&packet, bytes, POL_LINK_ETHERNET, (pol_bytes){message, 2},
                               out.bytes, sizeof(out.bytes), &out.len),
                 POL_OK);
    cr_expect_eq(out.bytes[14 + 26] << 8 | out.bytes[14 + 27], 0xffff);
}
