/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of our own, each made from the frame it answers: its link header with the stations
 * exchanged or kept, a new IP header between its two addresses, and the L4 part. The length is
 * known before anything is written, so a buffer that is too short is left alone.
 */
#include <libpolicy/reply.h>

#include <string.h>

#include "base/slice.h"
#include "net/addr.h"
#include "net/checksum.h"
#include "net/ether.h"
#include "net/proto.h"

enum {
    MAC = 6,
    IPV4_HEADER = 20,
    IPV6_HEADER = 40,
    TCP_HEADER = 20,
    UDP_HEADER = 8,
    ICMP_HEADER = 8,
    HOP_LIMIT = 64,
    INTERNET_CONTROL = 0xc0, /* precedence of ICMP errors, RFC 1812 4.3.2.5 */
    DONT_FRAGMENT = 0x4000,
    IPV4_ERROR_MAX = 576,  /* RFC 1812 4.3.2.3 */
    IPV6_ERROR_MAX = 1280, /* RFC 4443 2.4 c */
    IPV4_MTU_MIN = 68,     /* RFC 791 3.2 */
    IPV6_MTU_MIN = 1280,   /* RFC 8200 5 */
    MAX_DATAGRAM = 65535
};

enum icmp_type {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_ROUTER_ADVERTISEMENT = 9,
    ICMP_ROUTER_SOLICITATION = 10,
    ICMP_TIMESTAMP = 13,
    ICMP_ADDRESS_MASK_REPLY = 18,
    ICMP_EXTENDED_ECHO = 42,
    ICMP_EXTENDED_ECHO_REPLY = 43,
    ICMPV6_UNREACHABLE = 1,
    ICMPV6_TOO_BIG = 2,
    ICMPV6_FIRST_QUERY = 128,
    ICMPV6_REDIRECT = 137
};

enum icmp_code { ICMP_FRAGMENTATION_NEEDED = 4, ICMP_PROHIBITED = 13, ICMPV6_PROHIBITED = 1 };

/* The frame that is answered. */
struct cause {
    const pol_packet *packet;
    pol_bytes link;     /* header and tags; empty for raw IP */
    pol_bytes datagram; /* as far as it was captured, without padding */
};

/* The frame that is written. */
struct reply {
    pol_addr src, dst;
    bool onward; /* to where the cause was going */
    uint8_t proto;
    size_t l4_len;
    uint8_t *l4; /* zeroed up to l4_len */
};

struct segment {
    uint32_t seq, ack;
    uint8_t flags;
};

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value >> 16);
    put_u16(at + 2, value & 0xffff);
}

static size_t ip_header(uint8_t family)
{
    return family == 6 ? IPV6_HEADER : IPV4_HEADER;
}

/* --- What may be answered ------------------------------------------------------------------- */

/* RFC 1122 3.2.2: an address that does not define a single host gets no answer, and no answer can
 * come from one. Class E, which ends in the limited broadcast, is among them. */
static bool is_one_host(const pol_addr *addr)
{
    static const uint8_t zero[15];

    if (addr->family == 4)
        return addr->bytes[0] != 0 && addr->bytes[0] != 127 && addr->bytes[0] < 224;
    return addr->family == 6 && !addr_is_multicast(addr) &&
           (memcmp(addr->bytes, zero, sizeof(zero)) != 0 || addr->bytes[15] > 1);
}

/* IEEE 802: the group bit is the lowest of the first octet. */
static bool is_station(const uint8_t mac[MAC])
{
    static const uint8_t none[MAC];

    return !(mac[0] & 1) && memcmp(mac, none, MAC) != 0;
}

/* Moves the cursor to the datagram. */
static bool read_ether(struct cursor *in)
{
    pol_bytes macs = cursor_take(in, 2 * MAC);
    uint16_t type = cursor_u16(in);

    for (unsigned i = 0; ether_is_tag(type) && i < ETHER_MAX_TAGS; i++) {
        cursor_skip(in, 2);
        type = cursor_u16(in);
    }
    return !in->failed && is_station(macs.ptr) && is_station(macs.ptr + MAC) &&
           (type == ETHER_IPV4 || type == ETHER_IPV6);
}

static bool is_answerable(const pol_packet *packet)
{
    return packet->kind == POL_PKT_IP && !(packet->marks & POL_MARK_MALFORMED) &&
           packet->frag_offset == 0 && packet->tuple.src.family == packet->tuple.dst.family &&
           is_one_host(&packet->tuple.src) && is_one_host(&packet->tuple.dst);
}

/* Takes the frame apart again, as far as pol_packet does not say. A packet that is not of this
 * frame is refused, not read past. */
static int read_cause(const pol_packet *packet, pol_bytes frame, enum pol_link link,
                      struct cause *ret_cause)
{
    struct cursor in = cursor_of(frame);
    size_t len;

    if (!is_answerable(packet) || (link != POL_LINK_ETHERNET && link != POL_LINK_RAW_IP))
        return POL_E_INVALID;
    if (link == POL_LINK_ETHERNET && !read_ether(&in))
        return POL_E_INVALID;
    ret_cause->packet = packet;
    ret_cause->link = (pol_bytes){frame.ptr, frame.len - cursor_left(&in)};
    len = cursor_left(&in) < packet->ip_len ? cursor_left(&in) : packet->ip_len;
    ret_cause->datagram = cursor_take(&in, len);
    if (len < ip_header(packet->tuple.src.family) ||
        ret_cause->datagram.ptr[0] >> 4 != packet->tuple.src.family)
        return POL_E_INVALID;
    return POL_OK;
}

/*
 * Errors about ICMP queries only. What is no known query may be an error (RFC 1122 3.2.2), and for
 * ICMPv6 the type says which it is, redirects apart (RFC 4443 2.4 e.1, e.2).
 */
static bool may_draw_error(const pol_packet *packet)
{
    uint8_t type = packet->icmp_type;

    if (packet->tuple.proto == PROTO_ICMPV6 && packet->tuple.src.family == 6)
        return type >= ICMPV6_FIRST_QUERY && type != ICMPV6_REDIRECT;
    if (packet->tuple.proto != PROTO_ICMP || packet->tuple.src.family != 4)
        return true;
    return type == ICMP_ECHO_REPLY || type == ICMP_ECHO || type == ICMP_ROUTER_ADVERTISEMENT ||
           type == ICMP_ROUTER_SOLICITATION ||
           (type >= ICMP_TIMESTAMP && type <= ICMP_ADDRESS_MASK_REPLY) ||
           type == ICMP_EXTENDED_ECHO || type == ICMP_EXTENDED_ECHO_REPLY;
}

/* --- Headers -------------------------------------------------------------------------------- */

static uint8_t *put_link(uint8_t *at, const struct cause *cause, bool onward)
{
    size_t len = cause->link.len;

    if (len == 0)
        return at;
    memcpy(at, cause->link.ptr, len);
    if (!onward) {
        memcpy(at, cause->link.ptr + MAC, MAC);
        memcpy(at + MAC, cause->link.ptr, MAC);
    }
    return at + len;
}

/* RFC 6864 4.1: what is never fragmented needs no identification. */
static uint8_t *put_ipv4(uint8_t *at, const struct reply *reply)
{
    memset(at, 0, IPV4_HEADER);
    at[0] = 0x45;
    at[1] = reply->proto == PROTO_ICMP ? INTERNET_CONTROL : 0;
    put_u16(at + 2, (unsigned)(IPV4_HEADER + reply->l4_len));
    put_u16(at + 6, DONT_FRAGMENT);
    at[8] = HOP_LIMIT;
    at[9] = reply->proto;
    memcpy(at + 12, reply->src.bytes, 4);
    memcpy(at + 16, reply->dst.bytes, 4);
    put_u16(at + 10, checksum_fold(checksum_add(0, at, IPV4_HEADER)));
    return at + IPV4_HEADER;
}

static uint8_t *put_ipv6(uint8_t *at, const struct reply *reply)
{
    put_u32(at, 0x60000000);
    put_u16(at + 4, (unsigned)reply->l4_len);
    at[6] = reply->proto;
    at[7] = HOP_LIMIT;
    memcpy(at + 8, reply->src.bytes, 16);
    memcpy(at + 24, reply->dst.bytes, 16);
    return at + IPV6_HEADER;
}

/* Writes the headers below L4 when everything fits. *ret_len is the length of the frame. */
static int begin(const struct cause *cause, struct reply *reply, uint8_t *buf, size_t capacity,
                 size_t *ret_len)
{
    const pol_tuple *tuple = &cause->packet->tuple;
    uint8_t family = tuple->src.family;

    *ret_len = cause->link.len + ip_header(family) + reply->l4_len;
    if (*ret_len > capacity)
        return POL_E_NOSPACE;
    reply->src = reply->onward ? tuple->src : tuple->dst;
    reply->dst = reply->onward ? tuple->dst : tuple->src;
    buf = put_link(buf, cause, reply->onward);
    reply->l4 = family == 6 ? put_ipv6(buf, reply) : put_ipv4(buf, reply);
    memset(reply->l4, 0, reply->l4_len);
    return POL_OK;
}

/* All but ICMPv4 cover a pseudo header too (RFC 9293 3.1, RFC 768, RFC 8200 8.1). */
static void finish(const struct reply *reply, size_t checksum_at)
{
    size_t addr_len = reply->src.family == 6 ? 16 : 4;
    uint64_t sum = 0;
    uint16_t folded;

    if (reply->proto != PROTO_ICMP) {
        sum = checksum_add(sum, reply->src.bytes, addr_len);
        sum = checksum_add(sum, reply->dst.bytes, addr_len);
        sum += reply->l4_len + reply->proto;
    }
    folded = checksum_fold(checksum_add(sum, reply->l4, reply->l4_len));
    if (folded == 0 && reply->proto == PROTO_UDP)
        folded = 0xffff; /* RFC 768: 0 says that there is no checksum */
    put_u16(reply->l4 + checksum_at, folded);
}

static void put_ports(const struct reply *reply, const pol_tuple *tuple)
{
    put_u16(reply->l4, reply->onward ? tuple->src_port : tuple->dst_port);
    put_u16(reply->l4 + 2, reply->onward ? tuple->dst_port : tuple->src_port);
}

/* --- TCP ------------------------------------------------------------------------------------ */

static int write_segment(const struct cause *cause, bool onward, const struct segment *segment,
                         uint8_t *buf, size_t capacity, size_t *ret_len)
{
    struct reply reply = {.onward = onward, .proto = PROTO_TCP, .l4_len = TCP_HEADER};
    int rc = begin(cause, &reply, buf, capacity, ret_len);

    if (rc < 0)
        return rc;
    put_ports(&reply, &cause->packet->tuple);
    put_u32(reply.l4 + 4, segment->seq);
    put_u32(reply.l4 + 8, segment->ack);
    reply.l4[12] = TCP_HEADER / 4 << 4;
    reply.l4[13] = segment->flags;
    finish(&reply, 16);
    return POL_OK;
}

/* RFC 9293 3.3.1, SEG.LEN: from the IP length, since a capture may hold less. */
static int segment_len(const struct cause *cause, uint32_t *ret_len)
{
    const pol_packet *packet = cause->packet;
    struct cursor in = cursor_of(cause->datagram);
    size_t headers;

    if (packet->l4_offset < cause->link.len)
        return POL_E_INVALID;
    headers = packet->l4_offset - cause->link.len;
    cursor_skip(&in, headers + 12);
    headers += (cursor_u8(&in) >> 4) * 4u;
    if (in.failed || headers > packet->ip_len)
        return POL_E_INVALID;
    *ret_len = packet->ip_len - (uint32_t)headers;
    *ret_len += !!(packet->tcp_flags & POL_TCP_SYN) + !!(packet->tcp_flags & POL_TCP_FIN);
    return POL_OK;
}

/* RFC 9293 3.10.7.1 */
static int reject_tcp(const struct cause *cause, uint8_t *buf, size_t capacity, size_t *ret_len)
{
    const pol_packet *packet = cause->packet;
    struct segment rst = {.seq = packet->tcp_ack, .flags = POL_TCP_RST};
    uint32_t len;
    int rc;

    if (packet->tcp_flags & POL_TCP_RST)
        return POL_E_INVALID;
    if (!(packet->tcp_flags & POL_TCP_ACK)) {
        rc = segment_len(cause, &len);
        if (rc < 0)
            return rc;
        rst = (struct segment){0, packet->tcp_seq + len, POL_TCP_RST | POL_TCP_ACK};
    }
    return write_segment(cause, false, &rst, buf, capacity, ret_len);
}

int pol_reply_reset(const pol_packet *packet, pol_bytes frame, enum pol_link link, uint8_t *buf,
                    size_t capacity, size_t *ret_len)
{
    struct segment rst = {packet->tcp_seq, 0, POL_TCP_RST};
    struct cause cause;
    int rc;

    rc = read_cause(packet, frame, link, &cause);
    if (rc < 0)
        return rc;
    if (packet->tuple.proto != PROTO_TCP ||
        (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) == POL_TCP_SYN)
        return POL_E_INVALID;
    if (packet->tcp_flags & POL_TCP_ACK) {
        rst.ack = packet->tcp_ack;
        rst.flags |= POL_TCP_ACK;
    }
    return write_segment(&cause, true, &rst, buf, capacity, ret_len);
}

/* --- ICMP errors ---------------------------------------------------------------------------- */

/* The datagram is quoted as it came, unfinished checksum and all: who reads it looks at addresses,
 * ports and sequence number. */
static int write_error(const struct cause *cause, uint8_t type, uint8_t code, uint32_t rest,
                       uint8_t *buf, size_t capacity, size_t *ret_len)
{
    bool ipv6 = cause->packet->tuple.src.family == 6;
    size_t room = ipv6 ? IPV6_ERROR_MAX - IPV6_HEADER - ICMP_HEADER
                       : IPV4_ERROR_MAX - IPV4_HEADER - ICMP_HEADER;
    size_t quote = cause->datagram.len < room ? cause->datagram.len : room;
    struct reply reply = {.proto = ipv6 ? PROTO_ICMPV6 : PROTO_ICMP, .l4_len = ICMP_HEADER + quote};
    int rc = begin(cause, &reply, buf, capacity, ret_len);

    if (rc < 0)
        return rc;
    reply.l4[0] = type;
    reply.l4[1] = code;
    put_u32(reply.l4 + 4, rest);
    memcpy(reply.l4 + ICMP_HEADER, cause->datagram.ptr, quote);
    finish(&reply, 2);
    return POL_OK;
}

int pol_reply_reject(const pol_packet *packet, pol_bytes frame, enum pol_link link, uint8_t *buf,
                     size_t capacity, size_t *ret_len)
{
    struct cause cause;
    int rc;

    rc = read_cause(packet, frame, link, &cause);
    if (rc < 0)
        return rc;
    if (packet->tuple.proto == PROTO_TCP)
        return reject_tcp(&cause, buf, capacity, ret_len);
    if (!may_draw_error(packet))
        return POL_E_INVALID;
    if (packet->tuple.src.family == 6)
        return write_error(&cause, ICMPV6_UNREACHABLE, ICMPV6_PROHIBITED, 0, buf, capacity,
                           ret_len);
    return write_error(&cause, ICMP_UNREACHABLE, ICMP_PROHIBITED, 0, buf, capacity, ret_len);
}

int pol_reply_too_big(const pol_packet *packet, pol_bytes frame, enum pol_link link, uint32_t mtu,
                      uint8_t *buf, size_t capacity, size_t *ret_len)
{
    bool ipv6 = packet->tuple.src.family == 6;
    struct cause cause;
    int rc;

    rc = read_cause(packet, frame, link, &cause);
    if (rc < 0)
        return rc;
    if (!may_draw_error(packet) || packet->ip_len <= mtu ||
        mtu < (ipv6 ? IPV6_MTU_MIN : IPV4_MTU_MIN))
        return POL_E_INVALID;
    if (ipv6)
        return write_error(&cause, ICMPV6_TOO_BIG, 0, mtu, buf, capacity, ret_len);
    if (!(cause.datagram.ptr[6] & DONT_FRAGMENT >> 8))
        return POL_E_INVALID;
    return write_error(&cause, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, mtu, buf, capacity,
                       ret_len);
}

/* --- DNS ------------------------------------------------------------------------------------ */

int pol_reply_dns(const pol_packet *packet, pol_bytes frame, enum pol_link link, pol_bytes message,
                  uint8_t *buf, size_t capacity, size_t *ret_len)
{
    struct reply reply = {.proto = PROTO_UDP, .l4_len = UDP_HEADER + message.len};
    struct cause cause;
    int rc;

    rc = read_cause(packet, frame, link, &cause);
    if (rc < 0)
        return rc;
    if (packet->tuple.proto != PROTO_UDP || packet->tuple.src_port == 0 ||
        packet->marks & (POL_MARK_FRAGMENT | POL_MARK_NO_L4) ||
        message.len > MAX_DATAGRAM - IPV4_HEADER - UDP_HEADER)
        return POL_E_INVALID;
    rc = begin(&cause, &reply, buf, capacity, ret_len);
    if (rc < 0)
        return rc;
    put_ports(&reply, &packet->tuple);
    put_u16(reply.l4 + 4, (unsigned)reply.l4_len);
    if (message.len)
        memcpy(reply.l4 + UDP_HEADER, message.ptr, message.len);
    finish(&reply, 6);
    return POL_OK;
}
