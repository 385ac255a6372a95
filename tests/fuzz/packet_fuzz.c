/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses a frame and checks what packet.h promises about any frame. The first octet picks the link
 * type (low two bits) and whether the capture is short by that many octets (the rest).
 */
#include <libpolicy/packet.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_none(const pol_addr *addr)
{
    static const pol_addr none;

    return memcmp(addr, &none, sizeof(none)) == 0;
}

static void check_addr(const pol_addr *addr, uint8_t family)
{
    static const uint8_t zeros[12];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    check(addr->family == family);
    if (family == 4)
        check(memcmp(addr->bytes + 4, zeros, sizeof(zeros)) == 0);
    else
        check(family == 6 && memcmp(addr->bytes, mapped, sizeof(mapped)) != 0);
}

static void check_status(const pol_packet *packet, int status)
{
    bool malformed = packet->marks & POL_MARK_MALFORMED;
    bool truncated = packet->marks & POL_MARK_TRUNCATED;

    check(status == POL_OK || status == POL_E_FORMAT || status == POL_E_TRUNCATED);
    check(malformed == (status != POL_OK));
    check(truncated || status != POL_E_TRUNCATED);
    check(packet->kind != POL_PKT_BROKEN || malformed);
    check(!malformed || packet->marks & POL_MARK_NO_L4);
}

static void check_payload(const pol_packet *packet, pol_bytes frame)
{
    size_t at;

    if (packet->payload.len == 0)
        return;
    check(packet->payload.ptr >= frame.ptr);
    at = (size_t)(packet->payload.ptr - frame.ptr);
    check(at <= frame.len && packet->payload.len <= frame.len - at);
    check(packet->kind != POL_PKT_IP || at >= packet->l4_offset);
    check(packet->kind != POL_PKT_IP || packet->payload.len < packet->ip_len);
}

static void check_ip(const pol_packet *packet, pol_bytes frame)
{
    check(packet->ip_len <= packet->wire_len);
    check(packet->l4_offset <= frame.len);
    check(packet->l4_offset >= (packet->tuple.src.family == 6 ? 40 : 20));
    check_addr(&packet->tuple.src, packet->tuple.src.family);
    check_addr(&packet->tuple.dst, packet->tuple.src.family);
    if (packet->marks & POL_MARK_NO_L4)
        check(packet->tuple.src_port == 0 && packet->tuple.dst_port == 0);
    if (packet->marks & POL_MARK_ICMP_ERROR) {
        check_addr(&packet->inner.src, packet->tuple.src.family);
        check_addr(&packet->inner.dst, packet->tuple.src.family);
    }
}

static void check_fields(const pol_packet *packet)
{
    bool fragment = packet->marks & POL_MARK_FRAGMENT;

    check(packet->side == POL_SIDE_UNKNOWN);
    check(packet->vlan_count <= 2);
    check(packet->vlan[0] <= 4095 && packet->vlan[1] <= 4095);
    check(packet->tcp_flags <= 0x3f);
    check(packet->frag_offset % 8 == 0);
    check(fragment || (packet->frag_offset == 0 && !packet->frag_more && packet->frag_id == 0));
    check(packet->frag_offset == 0 || packet->marks & POL_MARK_NO_L4);
    check(packet->marks & POL_MARK_ICMP_ERROR || is_none(&packet->inner.src));
    check(packet->reserved[0] == 0 && packet->reserved[1] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pol_packet packet, again;
    enum pol_link link;
    pol_bytes frame;
    uint32_t wire_len;
    int status;

    if (size == 0)
        return 0;
    link = data[0] & 3;
    frame = (pol_bytes){data + 1, size - 1};
    wire_len = (uint32_t)frame.len + (data[0] >> 2);

    memset(&packet, 0x5a, sizeof(packet));
    memset(&again, 0xa5, sizeof(again));
    status = pol_packet_parse(frame, link, wire_len, &packet);
    check(status == pol_packet_parse(frame, link, wire_len, &again));
    check(memcmp(&packet, &again, sizeof(packet)) == 0);
    check(packet.wire_len == wire_len);

    check_status(&packet, status);
    check_payload(&packet, frame);
    check_fields(&packet);
    if (status == POL_OK && packet.kind == POL_PKT_IP)
        check_ip(&packet, frame);
    return 0;
}
