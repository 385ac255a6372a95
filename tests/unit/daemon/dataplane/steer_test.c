// SPDX-License-Identifier: Apache-2.0
#include "dataplane/steer.h"

#include <string.h>

#include <criterion/criterion.h>

#include "dnsmsg.h"
#include "frames.h"

/* A port that remembers what it was told to send. */
static struct {
    struct port port;
    unsigned forwarded, sent[3]; /* by enum pol_side */
    struct frame last[3];
    uint32_t mtu;
} wire;

static struct steer steer;
static struct frame frame;
static struct port_frame received;
static pol_packet packet;

static void forward(struct port *port, size_t index)
{
    (void)port;
    cr_assert_eq(index, 7);
    wire.forwarded++;
}

static void send_frame(struct port *port, enum pol_side towards, pol_bytes octets)
{
    (void)port;
    wire.sent[towards]++;
    wire.last[towards].len = octets.len;
    memcpy(wire.last[towards].bytes, octets.ptr, octets.len);
}

static uint32_t mtu(const struct port *port, enum pol_side towards)
{
    (void)port;
    cr_assert_neq(towards, received.side, "the MTU of where it goes counts");
    return wire.mtu;
}

static const struct port_kind kind = {
    .live = true, .forward = forward, .send = send_frame, .mtu = mtu};

static void setup(void)
{
    wire.port.kind = &kind;
    wire.mtu = 1500;
    steer_init(&steer, &wire.port, true);
}

TestSuite(steer, .init = setup);

static const struct frame_spec syn = {.src = "192.0.2.10",
                                      .dst = "198.51.100.1",
                                      .proto = 6,
                                      .src_port = 40000,
                                      .dst_port = 443,
                                      .tcp_seq = 1000,
                                      .tcp_flags = POL_TCP_SYN};

static void receive(const struct frame_spec *spec, enum pol_side side)
{
    frame = frame_build(spec);
    packet = frame_parse(&frame, POL_LINK_ETHERNET);
    packet.side = (uint8_t)side;
    received = (struct port_frame){.octets = {frame.bytes, frame.len},
                                   .wire_len = (uint32_t)frame.len,
                                   .link = POL_LINK_ETHERNET,
                                   .side = (uint8_t)side,
                                   .at = POL_SECONDS};
}

static void act(enum pol_action action, uint32_t flags)
{
    pol_verdict verdict = {
        .action = (uint8_t)action, .flags = flags, .reason = POL_WHY_DNS_NO_RULE};

    steer_frame(&steer, 7, &received, &packet, &verdict);
}

static void expect(unsigned forwarded, unsigned inside, unsigned outside)
{
    cr_assert_eq(wire.forwarded, forwarded, "%u forwarded", wire.forwarded);
    cr_assert_eq(wire.sent[POL_SIDE_INSIDE], inside, "%u inside", wire.sent[POL_SIDE_INSIDE]);
    cr_assert_eq(wire.sent[POL_SIDE_OUTSIDE], outside, "%u outside", wire.sent[POL_SIDE_OUTSIDE]);
}

static pol_packet sent_to(enum pol_side side)
{
    return frame_parse(&wire.last[side], POL_LINK_ETHERNET);
}

Test(steer, what_is_allowed_or_waits_for_tls_goes_on)
{
    receive(&syn, POL_SIDE_INSIDE);
    act(POL_ALLOW, 0);
    act(POL_PENDING, 0);
    expect(2, 0, 0);
}

Test(steer, a_refused_client_is_told)
{
    pol_packet reset;

    receive(&syn, POL_SIDE_INSIDE);
    act(POL_REJECT, 0);
    expect(0, 1, 0);
    reset = sent_to(POL_SIDE_INSIDE);
    cr_assert_eq(reset.tcp_flags, POL_TCP_RST | POL_TCP_ACK);
    cr_assert_eq(reset.tcp_ack, 1001);
    cr_assert_eq(reset.tuple.src_port, 443);
}

Test(steer, a_denial_is_silent)
{
    receive(&syn, POL_SIDE_OUTSIDE);
    act(POL_DENY, 0);
    expect(0, 0, 0);
}

Test(steer, a_connection_that_is_cut_is_reset_at_both_ends)
{
    struct frame_spec data = syn;

    data.tcp_flags = POL_TCP_ACK | POL_TCP_PSH;
    data.tcp_ack = 5000;
    data.payload = bytes_from("hello");
    receive(&data, POL_SIDE_INSIDE);
    act(POL_REJECT, POL_V_KNOWN | POL_V_CUT);
    expect(0, 1, 1);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).tcp_seq, 5000);
    cr_assert_eq(sent_to(POL_SIDE_OUTSIDE).tcp_seq, 1000);
    cr_assert(sent_to(POL_SIDE_OUTSIDE).tcp_flags & POL_TCP_RST);
}

Test(steer, it_is_too_when_a_packet_from_outside_cut_it)
{
    struct frame_spec data = syn;

    data.tcp_flags = POL_TCP_ACK;
    receive(&data, POL_SIDE_OUTSIDE);
    act(POL_DENY, POL_V_KNOWN | POL_V_CUT);
    expect(0, 1, 1);
}

Test(steer, nobody_is_told_when_denials_are_to_be_silent)
{
    steer_init(&steer, &wire.port, false);
    receive(&syn, POL_SIDE_INSIDE);
    act(POL_REJECT, POL_V_CUT);
    act(POL_INTERCEPT, 0);
    expect(0, 0, 0);
}

Test(steer, what_nothing_here_can_intercept_is_refused)
{
    receive(&syn, POL_SIDE_INSIDE);
    act(POL_INTERCEPT, 0);
    expect(0, 1, 0);
}

Test(steer, udp_is_refused_by_icmp_and_a_reset_is_not_sent)
{
    struct frame_spec spec = syn;

    spec.proto = 17;
    receive(&spec, POL_SIDE_INSIDE);
    act(POL_REJECT, POL_V_KNOWN | POL_V_CUT);
    expect(0, 1, 0);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).icmp_type, 3);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).icmp_code, 13);
}

/* Each from a client of its own. */
static void flood(unsigned clients)
{
    for (unsigned i = 0; i < 10000; i++) {
        packet.tuple.src.bytes[3] = (uint8_t)(i % clients);
        act(POL_REJECT, 0);
    }
}

Test(steer, a_flood_of_denials_is_no_flood_of_refusals)
{
    receive(&syn, POL_SIDE_INSIDE);
    flood(100);
    expect(0, 500, 0);
    cr_assert_eq(wire.port.counters.unreplied, 9500);

    received.at += POL_SECONDS / 10; /* 1 000 a second */
    flood(100);
    expect(0, 600, 0);

    received.at += 100 * POL_SECONDS; /* never more than a burst's worth is saved up */
    flood(100);
    expect(0, 1100, 0);
}

Test(steer, a_client_that_never_stops_leaves_refusals_for_others)
{
    receive(&syn, POL_SIDE_INSIDE);
    flood(1);
    expect(0, 100, 0);
    received.at += POL_SECONDS; /* 100 a second */
    flood(1);
    expect(0, 200, 0);

    packet.tuple.src.bytes[3] = 77;
    act(POL_REJECT, 0);
    expect(0, 201, 0);
}

Test(steer, a_cut_connection_is_reset_in_a_flood_too)
{
    struct frame_spec data = syn;

    data.tcp_flags = POL_TCP_ACK;
    receive(&data, POL_SIDE_INSIDE);
    flood(100);
    expect(0, 500, 0);
    act(POL_REJECT, POL_V_KNOWN | POL_V_CUT);
    expect(0, 501, 1);
}

Test(steer, a_denied_query_is_answered)
{
    static struct dnsmsg query;
    struct frame_spec spec = syn;
    pol_packet answer;

    dnsmsg_query(&query, "bad.example", 1, 0x1234, 1232);
    spec.proto = 17;
    spec.dst_port = 53;
    spec.payload = (pol_bytes){query.bytes, query.len};
    receive(&spec, POL_SIDE_INSIDE);
    act(POL_ANSWER, 0);
    expect(0, 1, 0);
    answer = sent_to(POL_SIDE_INSIDE);
    cr_assert_eq(answer.tuple.src_port, 53);
    cr_assert_eq(answer.tuple.dst_port, 40000);
    cr_assert_eq(answer.payload.ptr[0], 0x12);
    cr_assert_eq(answer.payload.ptr[3] & 0x0f, 3, "NXDOMAIN");
}

Test(steer, a_query_that_cannot_be_read_is_told_so)
{
    static struct dnsmsg query;
    struct frame_spec spec = syn;
    pol_verdict verdict = {.action = POL_ANSWER, .reason = POL_WHY_MALFORMED};

    dnsmsg_query(&query, "a.example", 1, 1, 0);
    dnsmsg_raw(&query, "more", 4);
    spec.proto = 17;
    spec.payload = (pol_bytes){query.bytes, query.len};
    receive(&spec, POL_SIDE_INSIDE);
    steer_frame(&steer, 7, &received, &packet, &verdict);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).payload.ptr[3] & 0x0f, 1, "FORMERR");
    verdict.reason = POL_WHY_LIMIT;
    steer_frame(&steer, 7, &received, &packet, &verdict);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).payload.ptr[3] & 0x0f, 2, "SERVFAIL");
}

static const uint8_t filling[3000];

Test(steer, what_does_not_fit_the_other_side_is_told_its_mtu)
{
    struct frame_spec spec = {.src = "2001:db8::10",
                              .dst = "2001:db8::1",
                              .proto = 17,
                              .src_port = 1,
                              .dst_port = 2,
                              .payload = {filling, 1453}};

    receive(&spec, POL_SIDE_INSIDE);
    act(POL_ALLOW, 0);
    expect(0, 1, 0);
    cr_assert_eq(wire.port.counters.oversized, 1);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).icmp_type, 2);

    spec.payload.len = 1452; /* 40 + 8 + 1452 = 1500 */
    receive(&spec, POL_SIDE_INSIDE);
    act(POL_ALLOW, 0);
    expect(1, 1, 0);
}

Test(steer, of_a_super_frame_the_segments_count)
{
    struct frame_spec spec = syn;

    spec.tcp_flags = POL_TCP_ACK;
    spec.payload = (pol_bytes){filling, sizeof(filling)};
    spec.vlan_count = 1;
    receive(&spec, POL_SIDE_INSIDE);
    received.segment = 1460;
    act(POL_ALLOW, 0);
    expect(1, 0, 0);
    received.segment = 1461;
    act(POL_ALLOW, 0);
    expect(1, 0, 0);
    cr_assert_eq(wire.port.counters.oversized, 1);
}

Test(steer, two_tags_need_room_in_the_mtu)
{
    struct frame_spec spec = {.src = "2001:db8::10",
                              .dst = "2001:db8::1",
                              .proto = 17,
                              .vlan_count = 2,
                              .payload = {filling, 1445}};

    receive(&spec, POL_SIDE_INSIDE);
    act(POL_ALLOW, 0);
    expect(0, 1, 0);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).vlan_count, 2);
    cr_assert_eq(sent_to(POL_SIDE_INSIDE).icmp_type, 2);
    cr_assert_eq(wire.last[POL_SIDE_INSIDE].bytes[14 + 8 + 40 + 6] << 8 |
                     wire.last[POL_SIDE_INSIDE].bytes[14 + 8 + 40 + 7],
                 1492);

    spec.payload.len = 1444; /* 8 + 40 + 8 + 1444 = 1500 */
    receive(&spec, POL_SIDE_INSIDE);
    act(POL_ALLOW, 0);
    expect(1, 1, 0);
}

Test(steer, what_was_cut_short_on_its_way_in_does_not_go_out)
{
    receive(&syn, POL_SIDE_INSIDE);
    received.wire_len++;
    act(POL_ALLOW, 0);
    expect(0, 0, 0);
    cr_assert_eq(wire.port.counters.oversized, 1);
}

Test(steer, frames_without_ip_have_an_mtu_too)
{
    static uint8_t arp[1600] = {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x06};

    received = (struct port_frame){.octets = {arp, 1514},
                                   .wire_len = 1514,
                                   .link = POL_LINK_ETHERNET,
                                   .side = POL_SIDE_INSIDE};
    pol_packet_parse(received.octets, POL_LINK_ETHERNET, received.wire_len, &packet);
    act(POL_ALLOW, 0);
    expect(1, 0, 0);
    received.octets.len = received.wire_len = 1515;
    pol_packet_parse(received.octets, POL_LINK_ETHERNET, received.wire_len, &packet);
    act(POL_ALLOW, 0);
    expect(1, 0, 0);
}
