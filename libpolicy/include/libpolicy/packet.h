/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_PACKET_H
#define LIBPOLICY_PACKET_H

/*
 * Frames taken apart.
 */

#include <libpolicy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the first octet of a frame is. */
enum pol_link {
    POL_LINK_ETHERNET,  /* Ethernet II or 802.3, with 802.1Q and 802.1ad tags */
    POL_LINK_RAW_IP,    /* IPv4 or IPv6 header, told apart by the version nibble */
    POL_LINK_LINUX_SLL, /* Linux cooked capture v1 (LINKTYPE_LINUX_SLL, 16 octets) */
    POL_LINK_LINUX_SLL2 /* Linux cooked capture v2 (LINKTYPE_LINUX_SLL2, 20 octets) */
};

/** Which end of the wire a frame came from. */
enum pol_side {
    POL_SIDE_UNKNOWN, /* one port only: the worker infers it */
    POL_SIDE_INSIDE,  /* the clients' end, to which the sources of a policy belong */
    POL_SIDE_OUTSIDE  /* the other end */
};

/** What a frame carries, as far as the parser could tell. */
enum pol_packet_kind {
    POL_PKT_IP,     /* IPv4 or IPv6; addresses and protocol are valid */
    POL_PKT_NOT_IP, /* another EtherType or an LLC frame; ether_type is valid */
    POL_PKT_BROKEN  /* not a frame at all */
};

/** Marks: what is odd about a packet. Several may be set. */
enum pol_packet_mark {
    POL_MARK_MALFORMED = 1 << 0, /* lengths or headers contradict each other: denied */
    POL_MARK_TRUNCATED = 1 << 1, /* the capture holds fewer octets than were on the wire */
    POL_MARK_FRAGMENT = 1 << 2,  /* part of a fragmented datagram; frag_* are valid */
    POL_MARK_NO_L4 = 1 << 3,     /* ports and L4 fields are absent: a later fragment, or a
                                    protocol without ports */
    POL_MARK_OPTIONS = 1 << 4,   /* IPv4 options or IPv6 extension headers were walked */
    POL_MARK_ICMP_ERROR = 1 << 5 /* an ICMP or ICMPv6 error; inner is valid */
};

/** The bits of pol_packet.tcp_flags, RFC 9293 3.1. */
enum pol_tcp_flag {
    POL_TCP_FIN = 0x01, /* no more data from the sender */
    POL_TCP_SYN = 0x02, /* sequence numbers begin */
    POL_TCP_RST = 0x04, /* the connection is reset */
    POL_TCP_PSH = 0x08, /* data is to be handed on */
    POL_TCP_ACK = 0x10, /* tcp_ack is valid */
    POL_TCP_URG = 0x20  /* urgent data follows */
};

/** Addresses, protocol and ports. */
typedef struct pol_tuple {
    pol_addr src, dst;           /* of the IP header, of one family */
    uint16_t src_port, dst_port; /* 0 where the protocol has none; ICMP and ICMPv6 queries:
                                    src_port is the identifier */
    uint8_t proto;               /* IANA protocol number */
} pol_tuple;

/**
 * One frame, taken apart. A plain value: fill it with pol_packet_parse() or by hand. The payload
 * points into the frame.
 */
typedef struct pol_packet {
    pol_tuple tuple;   /* who sent it to whom */
    uint8_t kind;      /* enum pol_packet_kind */
    uint8_t side;      /* enum pol_side; the parser leaves POL_SIDE_UNKNOWN */
    uint8_t hop_limit; /* TTL or hop limit */
    uint8_t tcp_flags; /* enum pol_tcp_flag, or-ed */
    uint8_t icmp_type, icmp_code; /* of ICMP and ICMPv6; 0 for others */
    uint8_t vlan_count;   /* 802.1Q/802.1ad tags, outermost first; at most 2 are kept */
    uint8_t frag_more;    /* more fragments follow */
    uint16_t vlan[2];     /* VLAN identifiers, 0..4095 */
    uint16_t ether_type;  /* of the innermost payload; 0 for raw IP and LLC */
    uint16_t frag_offset; /* octets */
    uint16_t frag_len;    /* octets of the datagram this fragment carries, L4 header included, and
                             IPv6 extension headers behind that of the fragment */
    uint16_t l4_offset;   /* of the L4 header, from the start of the frame */
    uint16_t segment_len; /* a UDP super-frame: payload of each datagram that it will be cut into
                             behind us; 0: one datagram. The parser cannot know and leaves 0: the
                             caller takes it from the offload header (gso_size). Without it, a
                             second DNS query could travel behind the one that is judged */
    uint32_t marks;       /* enum pol_packet_mark, or-ed */
    uint32_t frag_id;     /* identification that the pieces of a datagram share */
    uint32_t tcp_seq, tcp_ack; /* sequence and acknowledgement number */
    uint32_t wire_len;    /* octets of the frame on the wire */
    uint32_t ip_len;      /* octets of the IP datagram, header included; what counters count */
    pol_bytes payload;    /* L4 payload as captured; what follows the IP header when NO_L4 */
    pol_tuple inner;      /* ICMP errors: the datagram that caused it, as it was sent */
    uint64_t reserved[2]; /* zero */
} pol_packet;

/**
 * Takes a frame apart: Ethernet with VLAN and QinQ tags, Linux cooked v1 and v2, raw IP; IPv4 with
 * options (RFC 791), IPv6 with hop-by-hop, routing, destination, fragment, AH and mobility headers
 * (RFC 8200 4, at most 16); fragments; TCP, UDP, UDP-Lite, SCTP, DCCP, ICMP and ICMPv6 with the
 * inner tuple of errors (RFC 792, RFC 4443). Checksums are not verified: a bump in the wire passes
 * them on for the receiver to judge.
 *
 * Always leaves a packet that pol_worker_decide() can judge; the status is for callers who count.
 *
 * @param frame      the octets that were captured
 * @param wire_len   how many the frame had on the wire; at least frame.len
 * @param ret_packet written in every case
 *
 * @return POL_OK
 *         POL_E_FORMAT     malformed; POL_MARK_MALFORMED is set
 *         POL_E_TRUNCATED  a header is cut short by the capture; POL_MARK_MALFORMED and
 *                          POL_MARK_TRUNCATED are set
 *         POL_E_INVALID    an unknown @p link
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API int pol_packet_parse(pol_bytes frame, enum pol_link link, uint32_t wire_len,
                             pol_packet *ret_packet);

/**
 * Takes several frames apart, each as pol_packet_parse() does. For callers to whom a call is dear.
 *
 * @param frames      as captured, and all of one link type and from one port
 * @param wire_lens   how many octets each had on the wire; NULL: as many as were captured
 * @param side        where that port is; written to every packet
 * @param ret_packets @p count of them, each written in every case
 *
 * @return how many are well-formed; the others carry POL_MARK_MALFORMED
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API size_t pol_packet_parse_batch(const pol_bytes *frames, const uint32_t *wire_lens,
                                      size_t count, enum pol_link link, enum pol_side side,
                                      pol_packet *ret_packets);

#ifdef __cplusplus
}
#endif

#endif
