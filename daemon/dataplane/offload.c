// SPDX-License-Identifier: Apache-2.0
#include "dataplane/offload.h"

enum {
    PROTO_ICMP = 1,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_DCCP = 33,
    PROTO_ICMPV6 = 58,
    PROTO_SCTP = 132,
    PROTO_UDPLITE = 136,
    WELL_KNOWN_PORTS = 1024
};

/* Where a header has its checksum; 0: nowhere. */
static uint32_t checksum_place(uint8_t proto)
{
    switch (proto) {
    case PROTO_ICMP:
    case PROTO_ICMPV6:
        return 2;
    case PROTO_TCP:
        return 16;
    case PROTO_UDP:
    case PROTO_UDPLITE:
    case PROTO_DCCP:
        return 6;
    case PROTO_SCTP:
        return 8;
    default:
        return 0;
    }
}

/* TCP streams, and DNS and DHCP messages. */
static bool payload_is_read(const pol_packet *packet)
{
    const pol_tuple *tuple = &packet->tuple;

    return tuple->proto == PROTO_TCP ||
           (tuple->proto == PROTO_UDP &&
            (tuple->src_port < WELL_KNOWN_PORTS || tuple->dst_port < WELL_KNOWN_PORTS));
}

/* In a tunnel, the checksum may be that of a datagram inside. */
static bool is_of_inner(const struct port_frame *frame, const pol_packet *packet)
{
    return frame->segment == 0 && packet->kind == POL_PKT_IP && packet->payload.ptr &&
           !payload_is_read(packet) && frame->checksum_at >= frame->checksum_from &&
           frame->checksum_from >= (size_t)(packet->payload.ptr - frame->octets.ptr);
}

bool offload_is_honest(const struct port_frame *frame, const pol_packet *packet)
{
    uint32_t place = checksum_place(packet->tuple.proto);

    if (frame->checksum_at == 0)
        return true;
    if (place && !(packet->marks & POL_MARK_NO_L4) && frame->checksum_from == packet->l4_offset &&
        frame->checksum_at == packet->l4_offset + place)
        return true;
    return is_of_inner(frame, packet);
}
