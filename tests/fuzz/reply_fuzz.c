/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers a frame in every way and checks what reply.h promises. The first octet picks the function
 * (low two bits), the link type (one bit) and how many octets the capture is short of (the rest);
 * the next two are the capacity, and the MTU of "packet too big".
 */
#include <libpolicy/reply.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { REJECT, RESET, TOO_BIG, ANSWER };

static const uint8_t message[] = {0, 7, 0x81, 0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static int write_reply(enum kind kind, const pol_packet *packet, pol_bytes frame,
                       enum pol_link link, uint32_t mtu, uint8_t *buf, size_t capacity,
                       size_t *ret_len)
{
    switch (kind) {
    case REJECT:
        return pol_reply_reject(packet, frame, link, buf, capacity, ret_len);
    case RESET:
        return pol_reply_reset(packet, frame, link, buf, capacity, ret_len);
    case TOO_BIG:
        return pol_reply_too_big(packet, frame, link, mtu, buf, capacity, ret_len);
    default:
        return pol_reply_dns(packet, frame, link, (pol_bytes){message, sizeof(message)}, buf,
                             capacity, ret_len);
    }
}

static bool same(const void *a, const void *b, size_t len)
{
    return memcmp(a, b, len) == 0;
}

static void check_tuple(const pol_tuple *a, const pol_tuple *b)
{
    check(same(&a->src, &b->src, sizeof(a->src)) && same(&a->dst, &b->dst, sizeof(a->dst)));
    check(a->src_port == b->src_port && a->dst_port == b->dst_port && a->proto == b->proto);
}

static void check_ends(enum kind kind, const pol_packet *cause, const pol_packet *reply)
{
    pol_tuple back = {cause->tuple.dst, cause->tuple.src, cause->tuple.dst_port,
                      cause->tuple.src_port, cause->tuple.proto};

    if (kind == RESET) {
        check_tuple(&reply->tuple, &cause->tuple);
    } else if (reply->marks & POL_MARK_ICMP_ERROR) {
        check_tuple(&reply->inner, &cause->tuple);
        check(same(&reply->tuple.src, &back.src, sizeof(back.src)));
        check(same(&reply->tuple.dst, &back.dst, sizeof(back.dst)));
    } else {
        check_tuple(&reply->tuple, &back);
    }
}

/* What was written is a packet without oddities, of the same flow, and not to be rejected itself.
 */
static void check_reply(enum kind kind, const pol_packet *cause, pol_bytes bytes,
                        enum pol_link link)
{
    uint8_t again[POL_REPLY_MAX];
    pol_packet reply;
    size_t len;

    check(kind == ANSWER || bytes.len <= POL_REPLY_MAX);
    check(pol_packet_parse(bytes, link, (uint32_t)bytes.len, &reply) == POL_OK);
    check(reply.kind == POL_PKT_IP && reply.hop_limit == 64);
    check((reply.marks & ~(uint32_t)POL_MARK_ICMP_ERROR) == 0);
    check(reply.vlan_count == cause->vlan_count && same(reply.vlan, cause->vlan, 4));
    check_ends(kind, cause, &reply);
    if (kind != ANSWER)
        check(pol_reply_reject(&reply, bytes, link, again, sizeof(again), &len) == POL_E_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum kind kind;
    enum pol_link link;
    pol_packet packet;
    pol_bytes frame;
    size_t capacity, len = 0;
    uint8_t *buf;
    int rc;

    if (size < 3)
        return 0;
    kind = data[0] & 3;
    link = data[0] & 4 ? POL_LINK_RAW_IP : POL_LINK_ETHERNET;
    capacity = (size_t)data[1] << 8 | data[2];
    frame = (pol_bytes){data + 3, size - 3};
    (void)pol_packet_parse(frame, link, (uint32_t)frame.len + (data[0] >> 3), &packet);

    /* Exactly that size: the sanitizer sees a write past the end. */
    buf = malloc(capacity ? capacity : 1);
    check(buf != NULL);
    rc = write_reply(kind, &packet, frame, link, (uint32_t)capacity, buf, capacity, &len);
    check(rc == POL_OK || rc == POL_E_INVALID || rc == POL_E_NOSPACE);
    check(rc != POL_E_INVALID || len == 0);
    check(rc != POL_E_NOSPACE || (len > capacity && len <= POL_REPLY_MAX + sizeof(message)));
    if (rc == POL_OK) {
        check(len <= capacity);
        check_reply(kind, &packet, (pol_bytes){buf, len}, link);
    }
    free(buf);
    return 0;
}
