/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_RING_H
#define DATAPLANE_RING_H

#include <linux/virtio_net.h>

#include <libpolicy/base.h>

#include "core/text.h"

/*
 * The two ways of one interface of a bump in the wire: frames come in place, in a ring the kernel
 * fills (TPACKET_V2: a frame is there when it arrives; V3 would hold it back until its block is
 * full), with the checksum and segmentation state their sender left to the hardware; frames go out
 * from wherever they stand, a burst in one system call. One thread.
 */
struct ring;

/*
 * A frame, with its checksum and segmentation state right before its first octet: what the kernel
 * writes and reads in one piece.
 */
struct ring_frame {
    pol_bytes octets;  /* VLAN tags where they were on the wire */
    uint32_t wire_len; /* more than there are octets: cut short by the slot, not to be sent on */
};

#define RING_HEADROOM                                                                              \
    sizeof(struct virtio_net_hdr) /* all zero: an ordinary frame, checksums done */

static inline struct virtio_net_hdr *ring_offload(const struct ring_frame *frame)
{
    return (struct virtio_net_hdr *)(frame->octets.ptr - RING_HEADROOM);
}

struct ring_options {
    const char *name; /* of the interface */
    int index;        /* of the interface, in the network namespace of this thread */
    uint32_t slots;   /* frames that can wait; 64 KiB and some each */
    bool bypass_qdisc;
};

#define RING_BURST 64

/*
 * Opens rings on one interface, one for each of `count` workers. Frames of a flow reach the same
 * worker in both directions.
 *
 * @return 0, or a negative errno with the reason and what helps in `ret_error`
 */
int ring_open(const struct ring_options *options, size_t count, struct ring **ret_rings,
              struct text *ret_error);
void ring_close(struct ring *ring);

int ring_fd(const struct ring *ring);

/* Up to RING_BURST frames. They stay where they are until ring_release(), which gives all back. */
size_t ring_receive(struct ring *ring, struct ring_frame ret_frames[RING_BURST]);
void ring_release(struct ring *ring);

uint64_t ring_drops(const struct ring *ring); /* for want of a slot, since the last call */

/* Adds a frame to the burst that ring_flush() sends; headroom and octets are read there. A full
 * burst is sent at once. Returns how many were lost by that. */
size_t ring_queue(struct ring *ring, const struct ring_frame *frame);
size_t ring_flush(struct ring *ring);

#endif
