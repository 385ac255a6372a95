/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SUPPORT_FRAMES_H
#define SUPPORT_FRAMES_H

/*
 * Packets for tests, two ways: as octets on a wire (frame_build) and as the pol_packet a parser
 * would have made of them (packet_tcp and its siblings). Uses the public headers only, so it links
 * with the shared library too. A mistake in a test's own spec aborts with a message.
 */

#include <libpolicy/packet.h>

enum { FRAME_CAPACITY = 4096 };

struct frame {
    uint8_t bytes[FRAME_CAPACITY];
    size_t len;
};

/*
 * What to build; everything left zero has a useful meaning. Lengths and checksums come out right.
 *
 *     struct frame_spec spec = {.src = "10.0.0.5", .dst = "192.0.2.1", .proto = 6,
 *                               .src_port = 40000, .dst_port = 443, .tcp_flags = POL_TCP_SYN};
 *     struct frame frame = frame_build(&spec);
 */
struct frame_spec {
    enum pol_link link;
    unsigned vlan_count; /* at most 4; the last tag is 802.1Q, those before it 802.1ad */
    uint16_t vlan[4];
    size_t pad_to; /* zeros are appended up to this length */

    const char *src, *dst; /* the family follows from src */
    uint8_t proto;
    uint8_t hop_limit; /* 0: 64 */
    pol_bytes options; /* IPv4: options, a multiple of 4 octets; IPv6: whole extension headers,
                          the last of which must name proto itself */
    uint8_t first_extension; /* IPv6 with options: the type of the first one */
    uint32_t frag_id;
    uint16_t frag_offset; /* octets; above 0 the payload follows without an L4 header */
    bool frag_more;

    uint16_t src_port, dst_port; /* ICMP: identifier and sequence number */
    uint32_t tcp_seq, tcp_ack;
    uint8_t tcp_flags;
    uint8_t icmp_type, icmp_code;
    pol_bytes payload;
};

struct frame frame_build(const struct frame_spec *spec);

/* As pol_packet_parse() of the whole frame; nothing is missing from it. */
pol_packet frame_parse(const struct frame *frame, enum pol_link link);

/*
 * Ready-made packets, equal to what the parser makes of the same packet on untagged Ethernet,
 * except for the side: they come from the inside. Change any field afterwards.
 */
pol_packet packet_tcp(const char *src, uint16_t src_port, const char *dst, uint16_t dst_port,
                      uint8_t flags, uint32_t seq, pol_bytes payload);
pol_packet packet_udp(const char *src, uint16_t src_port, const char *dst, uint16_t dst_port,
                      pol_bytes payload);
/* ICMP or ICMPv6 by the family of src. The identifier counts for queries only. */
pol_packet packet_icmp(const char *src, const char *dst, uint8_t type, uint8_t code,
                       uint16_t identifier);
/* An error from `src` about `cause`, sent to where that came from. The payload is left empty. */
pol_packet packet_icmp_error(const char *src, uint8_t type, uint8_t code, const pol_packet *cause);
pol_packet packet_proto(const char *src, const char *dst, uint8_t proto, pol_bytes payload);
/* One fragment of `whole`; above offset 0 the L4 fields go. */
pol_packet packet_fragment(const pol_packet *whole, uint32_t id, uint16_t offset, bool more,
                           pol_bytes payload);
/* The same the other way round: ends and side exchanged, flags and numbers of its own. */
pol_packet packet_reply(const pol_packet *packet, uint8_t flags, uint32_t seq, pol_bytes payload);

/* Text that a test is sure of. */
pol_addr addr_from(const char *text);
pol_prefix prefix_from(const char *text);
pol_bytes bytes_from(const char *text); /* without the NUL; valid as long as the text */

#endif
