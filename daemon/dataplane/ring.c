// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/packet_socket.h"

/*
 * A slot holds the longest super-frame (65 536 octets of IP before BIG TCP), its link header with
 * two tags, and what the kernel writes before it. Consecutive slots begin on different cache sets.
 */
#define SLOT_SIZE  (65536 + 256)
#define ADDRESS_AT TPACKET_ALIGN(sizeof(struct tpacket2_hdr)) /* in a slot: a sockaddr_ll */
#define BLOCK_SIZE (4 << 20) /* the largest piece of contiguous memory */

enum { TAG_LEN = 4, ADDRESSES_LEN = 2 * ETH_ALEN, SLOTS_PER_BLOCK = BLOCK_SIZE / SLOT_SIZE };

struct ring {
    struct packet_socket socket;
    uint32_t slots, next, held; /* held: received and not released, the ones before next */
    size_t queued;
    struct iovec parts[RING_BURST];
    struct mmsghdr messages[RING_BURST];
};

static struct packet_socket_options socket_options(const struct ring_options *options)
{
    uint32_t blocks = (options->slots + SLOTS_PER_BLOCK - 1) / SLOTS_PER_BLOCK;

    return (struct packet_socket_options){
        .name = options->name,
        .index = options->index,
        .version = TPACKET_V2,
        .ring = {.tp_block_size = BLOCK_SIZE,
                 .tp_block_nr = blocks,
                 .tp_frame_size = SLOT_SIZE,
                 .tp_frame_nr = blocks * SLOTS_PER_BLOCK},
        .ignore_outgoing = true,
        .offload_headers = true,
        .bypass_qdisc = options->bypass_qdisc,
    };
}

static struct ring *make_ring(struct packet_socket socket, uint32_t slots)
{
    struct ring *ring = calloc(1, sizeof(*ring));

    if (!ring)
        return NULL;

    ring->socket = socket;
    ring->slots = slots;
    for (size_t i = 0; i < RING_BURST; i++)
        ring->messages[i].msg_hdr = (struct msghdr){.msg_iov = &ring->parts[i], .msg_iovlen = 1};
    return ring;
}

int ring_open(const struct ring_options *options, size_t count, struct ring **ret_rings,
              struct text *ret_error)
{
    struct packet_socket_options inner = socket_options(options);
    struct packet_socket *sockets = calloc(count, sizeof(*sockets));
    size_t made = 0;
    int rc;

    if (!sockets) {
        text_add(ret_error, "out of memory");
        return -ENOMEM;
    }

    rc = packet_sockets_open(&inner, count, sockets, ret_error);
    if (rc < 0) {
        free(sockets);
        return rc;
    }
    while (made < count && (ret_rings[made] = make_ring(sockets[made], inner.ring.tp_frame_nr)))
        made++;

    if (made < count) {
        text_add(ret_error, "out of memory");
        rc = -ENOMEM;
        for (size_t i = made; i < count; i++)
            packet_socket_close(&sockets[i]);
        while (made > 0)
            ring_close(ret_rings[--made]);
    }
    free(sockets);
    return rc;
}

void ring_close(struct ring *ring)
{
    if (!ring)
        return;

    packet_socket_close(&ring->socket);
    free(ring);
}

int ring_fd(const struct ring *ring)
{
    return ring->socket.fd;
}

uint64_t ring_drops(const struct ring *ring)
{
    return packet_socket_drops(&ring->socket);
}

/* --- receiving ------------------------------------------------------------------------------ */

static struct tpacket2_hdr *slot_at(const struct ring *ring, uint32_t number)
{
    size_t block = number / SLOTS_PER_BLOCK, place = number % SLOTS_PER_BLOCK;

    return (void *)(ring->socket.map + block * BLOCK_SIZE + place * SLOT_SIZE);
}

static uint32_t status_of(const struct tpacket2_hdr *slot)
{
    return __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
}

/*
 * The kernel takes the outermost tag away; here it goes back in front of the EtherType, and what
 * stands before it moves ahead. Offsets from the start of the frame grow by it.
 */
static void put_tag_back(const struct tpacket2_hdr *slot, struct ring_frame *frame)
{
    uint16_t tpid = slot->tp_status & TP_STATUS_VLAN_TPID_VALID ? slot->tp_vlan_tpid : ETH_P_8021Q;
    uint8_t *from = (uint8_t *)ring_offload(frame), *to = from - TAG_LEN;
    uint8_t tag[TAG_LEN] = {(uint8_t)(tpid >> 8), (uint8_t)tpid, (uint8_t)(slot->tp_vlan_tci >> 8),
                            (uint8_t)slot->tp_vlan_tci};
    struct virtio_net_hdr *offload = (struct virtio_net_hdr *)to;

    memmove(to, from, RING_HEADROOM + ADDRESSES_LEN);
    memcpy(to + RING_HEADROOM + ADDRESSES_LEN, tag, TAG_LEN);
    frame->octets.ptr -= TAG_LEN;
    frame->octets.len += TAG_LEN;
    frame->wire_len += TAG_LEN;
    if (offload->hdr_len)
        offload->hdr_len += TAG_LEN;
    if (offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        offload->csum_start += TAG_LEN;
}

static void read_slot(const struct tpacket2_hdr *slot, struct ring_frame *ret_frame)
{
    ret_frame->octets = (pol_bytes){(const uint8_t *)slot + slot->tp_mac, slot->tp_snaplen};
    ret_frame->wire_len = slot->tp_len;
    if (slot->tp_status & TP_STATUS_VLAN_VALID && slot->tp_snaplen >= ADDRESSES_LEN)
        put_tag_back(slot, ret_frame);
}

/* A fanout group of an older kernel also delivers what was sent. */
static bool was_sent(const struct tpacket2_hdr *slot)
{
    const struct sockaddr_ll *address = (const void *)((const uint8_t *)slot + ADDRESS_AT);

    return address->sll_pkttype == PACKET_OUTGOING;
}

size_t ring_receive(struct ring *ring, struct ring_frame ret_frames[RING_BURST])
{
    size_t count = 0;

    while (count < RING_BURST && ring->held < ring->slots) {
        struct tpacket2_hdr *slot = slot_at(ring, ring->next);

        if (!(status_of(slot) & TP_STATUS_USER))
            break;
        if (!was_sent(slot))
            read_slot(slot, &ret_frames[count++]);
        ring->next = ring->next + 1 == ring->slots ? 0 : ring->next + 1;
        ring->held++;
        __builtin_prefetch(slot_at(ring, ring->next));
    }
    return count;
}

void ring_release(struct ring *ring)
{
    uint32_t number = (ring->next + ring->slots - ring->held) % ring->slots;

    for (; ring->held; ring->held--) {
        __atomic_store_n(&slot_at(ring, number)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        number = number + 1 == ring->slots ? 0 : number + 1;
    }
}

/* --- sending -------------------------------------------------------------------------------- */

size_t ring_flush(struct ring *ring)
{
    size_t sent = 0, lost = 0;

    while (sent < ring->queued) {
        int rc = sendmmsg(ring->socket.fd, &ring->messages[sent], (unsigned)(ring->queued - sent),
                          MSG_DONTWAIT);

        if (rc > 0)
            sent += (size_t)rc;
        else if (rc == 0 || errno != EINTR) {
            sent++; /* the kernel refuses this one; those behind it may go */
            lost++;
        }
    }
    ring->queued = 0;
    return lost;
}

size_t ring_queue(struct ring *ring, const struct ring_frame *frame)
{
    size_t lost = ring->queued == RING_BURST ? ring_flush(ring) : 0, at = ring->queued++;

    ring->parts[at] = (struct iovec){ring_offload(frame), RING_HEADROOM + frame->octets.len};
    return lost;
}
