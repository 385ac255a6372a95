/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes frames apart. Everything is read through a view, which is what is left of the frame, then
 * of the datagram in it. A view knows its captured octets and how many more were on the wire, so
 * each length field is checked against the wire, each read against the capture, and a header that
 * does not fit tells a short capture from a lie.
 *
 * The packet a quoted datagram describes (ICMP errors) goes through the same code, with a view
 * whose missing part is unbounded, because a quote may stop anywhere.
 */
#include <libpolicy/packet.h>

#include <string.h>

#include "base/slice.h"
#include "net/addr.h"
#include "net/ether.h"
#include "net/proto.h"

enum {
    MAX_EXTENSIONS = 16,
    MIN_ETHER_TYPE = 0x0600, /* IEEE 802.3 3.2.6: smaller values are lengths */
    MAX_LLC_LENGTH = 1500,
    MAX_DATAGRAM = 65535,
    TCP_FLAGS = 0x3f, /* those of enum pol_tcp_flag; the ECN bits do not concern policy */
    ND_REDIRECT = 137,
    ND_REDIRECTED_HEADER = 4 /* RFC 4861 4.6.3 */
};

struct view {
    const uint8_t *frame; /* where offsets count from */
    struct cursor in;
    size_t missing; /* octets behind in.end that were sent but not captured */
};

/* One IP datagram: the packet itself, or the one an ICMP error quotes. */
struct datagram {
    struct view left;
    pol_tuple *tuple;
    uint32_t length; /* header included */
    uint32_t frag_id;
    uint16_t frag_offset; /* octets */
    uint16_t frag_len;    /* extension headers behind the fragment header included */
    uint8_t hop_limit;
    bool fragment, frag_more;
    bool fragment_header; /* IPv6: one was read, even if it fragments nothing */
    bool options;
};

/* The status of a header that runs past the end. */
static int cut(const struct view *left)
{
    return left->missing ? POL_E_TRUNCATED : POL_E_FORMAT;
}

static int check(const struct view *left)
{
    return left->in.failed ? cut(left) : POL_OK;
}

static size_t view_size(const struct view *left)
{
    return cursor_left(&left->in) + left->missing;
}

/* Ends the view behind `len` octets. What follows is padding, and out of sight. */
static int view_limit(struct view *left, size_t len)
{
    size_t captured = cursor_left(&left->in);

    if (len > view_size(left))
        return POL_E_FORMAT;
    left->missing = len > captured ? len - captured : 0;
    if (len < captured)
        left->in.end = left->in.at + len;
    return POL_OK;
}

static pol_bytes view_rest(struct view *left)
{
    return cursor_take(&left->in, cursor_left(&left->in));
}

/*
 * A fragment ends on a multiple of eight octets unless it is the last, and no datagram is longer
 * than its length field can say (RFC 791 3.2, RFC 8200 4.5). A TCP fragment that starts inside the
 * TCP header is there to overwrite it (RFC 1858 3).
 */
static int set_fragment(struct datagram *d, unsigned offset, bool more)
{
    size_t data = view_size(&d->left);

    if (more && (data == 0 || data % 8 != 0))
        return POL_E_FORMAT;
    if (offset + data > MAX_DATAGRAM)
        return POL_E_FORMAT;
    if (d->tuple->proto == PROTO_TCP && offset > 0 && offset < 20)
        return POL_E_FORMAT;
    d->fragment = offset > 0 || more;
    d->frag_offset = (uint16_t)offset;
    d->frag_len = (uint16_t)data;
    d->frag_more = more;
    return POL_OK;
}

/* Source routes are refused (RFC 7126 4.3, 4.4): the destination that is judged would not be the
 * one the packet ends up at. */
static int read_options4(struct datagram *d, size_t len)
{
    enum { END = 0, NOP = 1, LSRR = 131, SSRR = 137 };
    pol_bytes bytes = cursor_take(&d->left.in, len);
    struct cursor in = cursor_of(bytes);

    if (d->left.in.failed)
        return cut(&d->left);
    d->options = len > 0;
    while (cursor_left(&in) > 0) {
        uint8_t kind = cursor_u8(&in);
        uint8_t size;

        if (kind == END)
            break;
        if (kind == NOP)
            continue;
        size = cursor_u8(&in);
        if (size < 2 || kind == LSRR || kind == SSRR)
            return POL_E_FORMAT;
        cursor_skip(&in, size - 2u);
    }
    return in.failed ? POL_E_FORMAT : POL_OK;
}

static int read_ipv4(struct datagram *d)
{
    struct cursor *in = &d->left.in;
    size_t header = (cursor_u8(in) & 0xfu) * 4;
    uint16_t fragment;
    pol_bytes addrs;
    int rc;

    cursor_skip(in, 1);
    d->length = cursor_u16(in);
    d->frag_id = cursor_u16(in);
    fragment = cursor_u16(in);
    d->hop_limit = cursor_u8(in);
    d->tuple->proto = cursor_u8(in);
    cursor_skip(in, 2);
    addrs = cursor_take(in, 8);
    if (in->failed)
        return cut(&d->left);
    d->tuple->src = addr_v4(addrs.ptr);
    d->tuple->dst = addr_v4(addrs.ptr + 4);

    if (header < 20 || d->length < header)
        return POL_E_FORMAT;
    rc = view_limit(&d->left, d->length - 20);
    if (rc < 0)
        return rc;
    rc = read_options4(d, header - 20);
    if (rc < 0)
        return rc;
    return set_fragment(d, (fragment & 0x1fffu) * 8, fragment & 0x2000);
}

/* RFC 8200 4.5. One that says "first and last" is no fragment (RFC 6946). */
static int read_fragment_header(struct datagram *d)
{
    struct cursor *in = &d->left.in;
    uint8_t next = cursor_u8(in);
    uint16_t fragment;

    cursor_skip(in, 1);
    fragment = cursor_u16(in);
    d->frag_id = cursor_u32(in);
    if (in->failed)
        return cut(&d->left);
    if (d->fragment_header)
        return POL_E_FORMAT;
    d->fragment_header = true;
    d->tuple->proto = next;
    return set_fragment(d, fragment & 0xfff8u, fragment & 1);
}

/* A routing header that is not used up names further stops: refused like IPv4 source routes (RFC
 * 5095 for type 0, whose case the others share). */
static int read_extension(struct datagram *d)
{
    struct cursor *in = &d->left.in;
    uint8_t kind = d->tuple->proto;
    uint8_t next = cursor_u8(in);
    size_t len = cursor_u8(in);
    uint8_t segments_left;

    len = kind == PROTO_AH ? (len + 2) * 4 : (len + 1) * 8;
    cursor_skip(in, 1);
    segments_left = cursor_u8(in);
    cursor_skip(in, len - 4);
    if (in->failed)
        return cut(&d->left);
    if (kind == PROTO_ROUTING && segments_left > 0)
        return POL_E_FORMAT;
    d->tuple->proto = next;
    return POL_OK;
}

static bool is_extension(uint8_t proto)
{
    switch (proto) {
    case PROTO_HOPOPT:
    case PROTO_ROUTING:
    case PROTO_FRAGMENT:
    case PROTO_AH:
    case PROTO_DSTOPTS:
    case PROTO_MOBILITY:
        return true;
    default:
        return false;
    }
}

/* Stops behind the header of a later fragment: what follows is the middle of something. */
static int read_extensions(struct datagram *d)
{
    for (unsigned i = 0; is_extension(d->tuple->proto) && d->frag_offset == 0; i++) {
        int rc;

        /* RFC 8200 4.1: hop-by-hop options come first or not at all. */
        if (i == MAX_EXTENSIONS || (i > 0 && d->tuple->proto == PROTO_HOPOPT))
            return POL_E_FORMAT;
        d->options = true;
        rc = d->tuple->proto == PROTO_FRAGMENT ? read_fragment_header(d) : read_extension(d);
        if (rc < 0)
            return rc;
    }
    return POL_OK;
}

/*
 * A jumbogram (RFC 2675) has payload length 0 and therefore no room for the header that would say
 * so: malformed. So are IPv4-mapped addresses, which would let one host go by two names (RFC 4942
 * 2.2).
 */
static int read_ipv6(struct datagram *d)
{
    struct cursor *in = &d->left.in;
    uint16_t payload;
    pol_bytes addrs;
    int rc;

    cursor_skip(in, 4);
    payload = cursor_u16(in);
    d->tuple->proto = cursor_u8(in);
    d->hop_limit = cursor_u8(in);
    addrs = cursor_take(in, 32);
    if (in->failed)
        return cut(&d->left);
    d->tuple->src = addr_v6(addrs.ptr);
    d->tuple->dst = addr_v6(addrs.ptr + 16);
    d->length = 40u + payload;

    if (addr_is_mapped(&d->tuple->src) || addr_is_mapped(&d->tuple->dst))
        return POL_E_FORMAT;
    rc = view_limit(&d->left, payload);
    return rc < 0 ? rc : read_extensions(d);
}

static unsigned ip_version(const struct view *left)
{
    struct cursor peek = left->in;

    return cursor_u8(&peek) >> 4;
}

static int read_datagram(struct datagram *d)
{
    switch (ip_version(&d->left)) {
    case 4:
        return read_ipv4(d);
    case 6:
        return read_ipv6(d);
    default:
        return cursor_left(&d->left.in) ? POL_E_FORMAT : cut(&d->left);
    }
}

static void read_ports(struct cursor *in, pol_tuple *tuple)
{
    tuple->src_port = cursor_u16(in);
    tuple->dst_port = cursor_u16(in);
}

/* RFC 9293 3.1 */
static int read_tcp(pol_packet *packet, struct view *left)
{
    struct cursor *in = &left->in;
    size_t header;

    read_ports(in, &packet->tuple);
    packet->tcp_seq = cursor_u32(in);
    packet->tcp_ack = cursor_u32(in);
    header = (cursor_u8(in) >> 4) * 4u;
    packet->tcp_flags = cursor_u8(in) & TCP_FLAGS;
    cursor_skip(in, 6);
    if (in->failed)
        return cut(left);
    if (header < 20)
        return POL_E_FORMAT;
    cursor_skip(in, header - 20);
    return check(left);
}

/*
 * RFC 768. Octets behind the UDP length are not payload (RFC 9868 keeps options there). In a first
 * fragment the length is that of the whole datagram.
 */
static int read_udp(pol_packet *packet, struct view *left)
{
    struct cursor *in = &left->in;
    size_t length;

    read_ports(in, &packet->tuple);
    length = cursor_u16(in);
    cursor_skip(in, 2);
    if (in->failed)
        return cut(left);
    if (length < 8)
        return POL_E_FORMAT;
    if (packet->frag_more && length - 8 > view_size(left))
        return POL_OK;
    return view_limit(left, length - 8);
}

/* RFC 3828 3.1: the checksum covers everything (0) or at least the header. */
static int read_udplite(pol_packet *packet, struct view *left)
{
    struct cursor *in = &left->in;
    size_t coverage;

    read_ports(in, &packet->tuple);
    coverage = cursor_u16(in);
    cursor_skip(in, 2);
    if (in->failed)
        return cut(left);
    if (coverage > 0 && coverage < 8)
        return POL_E_FORMAT;
    if (!packet->frag_more && coverage > 8 + view_size(left))
        return POL_E_FORMAT;
    return POL_OK;
}

/* RFC 9260 3.1: verification tag and checksum follow the ports. */
static int read_sctp(pol_packet *packet, struct view *left)
{
    read_ports(&left->in, &packet->tuple);
    cursor_skip(&left->in, 8);
    return check(left);
}

/* RFC 4340 5.1: 12 octets, or 16 with long sequence numbers, then options up to the data offset. */
static int read_dccp(pol_packet *packet, struct view *left)
{
    struct cursor *in = &left->in;
    size_t header, least;

    read_ports(in, &packet->tuple);
    header = cursor_u8(in) * 4u;
    cursor_skip(in, 3);
    least = cursor_u8(in) & 1 ? 16 : 12;
    cursor_skip(in, 3);
    if (in->failed)
        return cut(left);
    if (header < least)
        return POL_E_FORMAT;
    cursor_skip(in, header - 12);
    return check(left);
}

static bool icmp_has_identifier(uint8_t proto, uint8_t type)
{
    if (proto == PROTO_ICMPV6) {
        return type == 128 || type == 129 || /* echo, RFC 4443 4 */
               type == 160 || type == 161;   /* extended echo, RFC 8335 */
    }
    return type == 0 || type == 8 ||     /* echo, RFC 792 */
           (type >= 13 && type <= 18) || /* timestamp, information, address mask (RFC 950) */
           type == 42 || type == 43;     /* extended echo */
}

/* Source quench and redirects are errors here: they quote the datagram they complain about. */
static bool icmp_is_error(uint8_t proto, uint8_t type)
{
    if (proto == PROTO_ICMPV6)
        return (type >= 1 && type <= 4) || type == ND_REDIRECT;
    return (type >= 3 && type <= 5) || type == 11 || type == 12;
}

/* ICMPv4 travels in IPv4 and ICMPv6 in IPv6; crossed over they are just numbers. */
static bool is_icmp(const pol_tuple *tuple)
{
    return (tuple->proto == PROTO_ICMP && tuple->src.family == 4) ||
           (tuple->proto == PROTO_ICMPV6 && tuple->src.family == 6);
}

/* Eight octets of the L4 header are all that an ICMPv4 error promises to quote (RFC 792). */
static int read_quoted_ports(struct datagram *quote)
{
    struct cursor *in = &quote->left.in;

    if (proto_has_ports(quote->tuple->proto)) {
        read_ports(in, quote->tuple);
    } else if (is_icmp(quote->tuple)) {
        uint8_t type = cursor_u8(in);
        uint16_t identifier;

        cursor_skip(in, 3);
        identifier = cursor_u16(in);
        if (icmp_has_identifier(quote->tuple->proto, type))
            quote->tuple->src_port = identifier;
    }
    return check(&quote->left);
}

/* Reads the datagram an error quotes. A quote may be cut anywhere behind the ports, so its own
 * lengths are taken at their word. */
static int read_quote(pol_packet *packet, const struct view *left)
{
    struct datagram quote = {.left = *left, .tuple = &packet->inner};
    int rc;

    quote.left.missing = MAX_DATAGRAM + 40;
    rc = read_datagram(&quote);
    if (rc == POL_OK && packet->inner.src.family != packet->tuple.src.family)
        rc = POL_E_FORMAT;
    if (rc == POL_OK && quote.frag_offset == 0)
        rc = read_quoted_ports(&quote);

    if (rc < 0) {
        memset(&packet->inner, 0, sizeof(packet->inner));
        return rc == POL_E_TRUNCATED ? cut(left) : rc;
    }
    packet->marks |= POL_MARK_ICMP_ERROR;
    return POL_OK;
}

/* RFC 4861 4.5: two addresses and options, one of which may quote the datagram. */
static int read_nd_redirect(pol_packet *packet, struct view left)
{
    struct cursor *in = &left.in;

    cursor_skip(in, 32);
    while (!in->failed && view_size(&left) > 0) {
        uint8_t type = cursor_u8(in);
        size_t len = cursor_u8(in) * 8u;

        cursor_skip(in, 6);
        if (in->failed)
            break;
        if (len == 0)
            return POL_E_FORMAT;
        if (type == ND_REDIRECTED_HEADER)
            return read_quote(packet, &left);
        cursor_skip(in, len - 8);
    }
    return check(&left);
}

static int read_icmp(pol_packet *packet, struct view *left)
{
    struct cursor *in = &left->in;
    uint8_t proto = packet->tuple.proto;
    uint16_t identifier;

    packet->icmp_type = cursor_u8(in);
    packet->icmp_code = cursor_u8(in);
    cursor_skip(in, 2);
    identifier = cursor_u16(in);
    cursor_skip(in, 2);
    if (in->failed)
        return cut(left);

    if (icmp_has_identifier(proto, packet->icmp_type))
        packet->tuple.src_port = identifier;
    if (!icmp_is_error(proto, packet->icmp_type))
        return POL_OK;
    return packet->icmp_type == ND_REDIRECT ? read_nd_redirect(packet, *left)
                                            : read_quote(packet, left);
}

static int read_l4(pol_packet *packet, struct view *left)
{
    if (is_icmp(&packet->tuple))
        return read_icmp(packet, left);
    switch (packet->tuple.proto) {
    case PROTO_TCP:
        return read_tcp(packet, left);
    case PROTO_UDP:
        return read_udp(packet, left);
    case PROTO_UDPLITE:
        return read_udplite(packet, left);
    case PROTO_SCTP:
        return read_sctp(packet, left);
    case PROTO_DCCP:
        return read_dccp(packet, left);
    default:
        packet->marks |= POL_MARK_NO_L4;
        return POL_OK;
    }
}

/* A header that was read only in part is no header. */
static void forget_l4(pol_packet *packet)
{
    packet->l4_offset = 0;
    packet->tuple.src_port = packet->tuple.dst_port = 0;
    packet->tcp_flags = 0;
    packet->tcp_seq = packet->tcp_ack = 0;
    packet->icmp_type = packet->icmp_code = 0;
    packet->marks |= POL_MARK_NO_L4;
}

static void note_datagram(pol_packet *packet, const struct datagram *d)
{
    packet->kind = POL_PKT_IP;
    packet->hop_limit = d->hop_limit;
    packet->ip_len = d->length;
    if (d->options)
        packet->marks |= POL_MARK_OPTIONS;
    if (d->fragment) {
        packet->marks |= POL_MARK_FRAGMENT;
        packet->frag_id = d->frag_id;
        packet->frag_offset = d->frag_offset;
        packet->frag_len = d->frag_len;
        packet->frag_more = d->frag_more;
    }
}

static int read_payload(pol_packet *packet, struct view *left)
{
    int rc = POL_OK;

    /* At most sixteen extension headers of at most 2048 octets: the offset fits. */
    packet->l4_offset = (uint16_t)(left->in.at - left->frame);
    if (packet->frag_offset == 0)
        rc = read_l4(packet, left);
    else
        packet->marks |= POL_MARK_NO_L4;
    if (rc == POL_OK)
        packet->payload = view_rest(left);
    return rc;
}

static int read_ip(pol_packet *packet, const struct view *left)
{
    struct datagram d = {.left = *left, .tuple = &packet->tuple};
    int rc = read_datagram(&d);

    if (packet->tuple.src.family == 0)
        return rc;
    note_datagram(packet, &d);
    if (rc == POL_OK)
        rc = read_payload(packet, &d.left);
    if (rc < 0)
        forget_l4(packet);
    return rc;
}

static int not_ip(pol_packet *packet, struct view *left)
{
    packet->kind = POL_PKT_NOT_IP;
    packet->marks |= POL_MARK_NO_L4;
    packet->payload = view_rest(left);
    return POL_OK;
}

/* An 802.3 length, then LLC. IP in LLC/SNAP (RFC 1042) is left as LLC: hosts on Ethernet do not
 * speak it, and what is not judged is not let through. */
static int read_llc(pol_packet *packet, struct view *left, uint16_t length)
{
    int rc;

    if (length > MAX_LLC_LENGTH)
        return POL_E_FORMAT;
    rc = view_limit(left, length);
    return rc < 0 ? rc : not_ip(packet, left);
}

/* Returns the EtherType behind the tags, or POL_E_FORMAT or POL_E_TRUNCATED. */
static int read_tags(pol_packet *packet, struct view *left, uint16_t type)
{
    for (unsigned i = 0; ether_is_tag(type); i++) {
        uint16_t control = cursor_u16(&left->in);

        type = cursor_u16(&left->in);
        if (left->in.failed)
            return cut(left);
        if (i == ETHER_MAX_TAGS)
            return POL_E_FORMAT;
        if (packet->vlan_count < 2)
            packet->vlan[packet->vlan_count++] = control & 0xfff;
    }
    return type;
}

/* What follows an EtherType, which was the last thing read. */
static int read_ether(pol_packet *packet, struct view *left, uint16_t outer_type)
{
    int type;

    if (left->in.failed)
        return cut(left);
    type = read_tags(packet, left, outer_type);
    if (type < 0)
        return type;
    if (type < MIN_ETHER_TYPE)
        return read_llc(packet, left, (uint16_t)type);

    packet->ether_type = (uint16_t)type;
    if (type != ETHER_IPV4 && type != ETHER_IPV6)
        return not_ip(packet, left);
    if (cursor_left(&left->in) > 0 && ip_version(left) != (type == ETHER_IPV4 ? 4 : 6))
        return POL_E_FORMAT;
    return read_ip(packet, left);
}

/* In a cooked header, numbers below the EtherTypes are kinds of frame without one, not lengths. */
static int read_cooked(pol_packet *packet, struct view *left, uint16_t type)
{
    if (!left->in.failed && type < MIN_ETHER_TYPE)
        return not_ip(packet, left);
    return read_ether(packet, left, type);
}

static int read_frame(pol_packet *packet, struct view *left, enum pol_link link)
{
    uint16_t type;

    switch (link) {
    case POL_LINK_ETHERNET:
        cursor_skip(&left->in, 12);
        return read_ether(packet, left, cursor_u16(&left->in));
    case POL_LINK_RAW_IP:
        return read_ip(packet, left);
    case POL_LINK_LINUX_SLL:
        cursor_skip(&left->in, 14);
        return read_cooked(packet, left, cursor_u16(&left->in));
    case POL_LINK_LINUX_SLL2:
        type = cursor_u16(&left->in);
        cursor_skip(&left->in, 18);
        return read_cooked(packet, left, type);
    default:
        return POL_E_INVALID;
    }
}

int pol_packet_parse(pol_bytes frame, enum pol_link link, uint32_t wire_len, pol_packet *ret_packet)
{
    struct view left = {.frame = frame.ptr, .in = cursor_of(frame)};
    int rc;

    /* No frame is longer than wire_len can say; whoever claims so still gets a verdict. */
    if (wire_len < frame.len)
        wire_len = frame.len < UINT32_MAX ? (uint32_t)frame.len : UINT32_MAX;
    left.missing = wire_len > frame.len ? wire_len - frame.len : 0;

    memset(ret_packet, 0, sizeof(*ret_packet));
    ret_packet->kind = POL_PKT_BROKEN;
    ret_packet->wire_len = wire_len;
    if (left.missing > 0)
        ret_packet->marks |= POL_MARK_TRUNCATED;

    rc = read_frame(ret_packet, &left, link);
    if (rc < 0)
        ret_packet->marks |= POL_MARK_MALFORMED;
    if (ret_packet->kind == POL_PKT_BROKEN)
        ret_packet->marks |= POL_MARK_NO_L4;
    return rc;
}

size_t pol_packet_parse_batch(const pol_bytes *frames, const uint32_t *wire_lens, size_t count,
                              enum pol_link link, enum pol_side side, pol_packet *ret_packets)
{
    size_t well_formed = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t wire_len = wire_lens ? wire_lens[i] : 0;

        /* A wire_len below the captured length is taken as the captured length. */
        if (pol_packet_parse(frames[i], link, wire_len, &ret_packets[i]) == POL_OK)
            well_formed++;
        ret_packets[i].side = (uint8_t)side;
    }
    return well_formed;
}
