// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_inline.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libpolicy/reply.h>

#include "core/clock.h"

_Static_assert(RING_BURST <= PORT_BURST, "a ring's burst fits a port's");

enum { SIDES = 2, REPLIES = 2 * PORT_BURST /* a reset towards each end of every frame */ };

struct port_inline {
    struct port port; /* first, so that a port is one of these */
    struct ring *rings[SIDES];
    _Atomic(struct ring *) given[SIDES];
    _Atomic(uint32_t) mtus[SIDES];
    size_t side;                          /* the frames below came from */
    struct ring_frame frames[RING_BURST]; /* received and not flushed */
    size_t reply_count;
    uint8_t replies[REPLIES][RING_HEADROOM + POL_REPLY_MAX]; /* the headroom stays zero */
};

static size_t index_of(enum pol_side side)
{
    return side == POL_SIDE_OUTSIDE;
}

static struct port_inline *self_of(struct port *port)
{
    return (struct port_inline *)port;
}

/* Is given to say that there is no ring any more. */
static struct ring *nothing(void)
{
    static char place;

    return (struct ring *)&place;
}

static void take_given(struct port_inline *self, size_t side)
{
    struct ring *ring;

    if (!atomic_load_explicit(&self->given[side], memory_order_relaxed))
        return;

    ring = atomic_exchange(&self->given[side], NULL);
    ring_close(self->rings[side]);
    self->rings[side] = ring == nothing() ? NULL : ring;
}

static void read_offload(const struct ring_frame *frame, struct port_frame *ret_frame)
{
    const struct virtio_net_hdr *offload = ring_offload(frame);

    if (offload->gso_type != VIRTIO_NET_HDR_GSO_NONE)
        ret_frame->segment = offload->gso_size;
    if (offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        ret_frame->checksum_from = offload->csum_start;
        ret_frame->checksum_at = (uint32_t)offload->csum_start + offload->csum_offset;
    }
}

/* The side that was not served last goes first. */
static int receive(struct port *port, struct port_frame ret_frames[PORT_BURST])
{
    struct port_inline *self = self_of(port);
    pol_mono at = clock_steady();
    size_t count = 0;

    for (size_t tries = 0; tries < SIDES && count == 0; tries++) {
        self->side ^= 1;
        take_given(self, self->side);
        if (self->rings[self->side])
            count = ring_receive(self->rings[self->side], self->frames);
    }

    for (size_t i = 0; i < count; i++) {
        ret_frames[i] = (struct port_frame){
            .octets = self->frames[i].octets,
            .wire_len = self->frames[i].wire_len,
            .link = POL_LINK_ETHERNET,
            .side = self->side ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE,
            .at = at,
        };
        read_offload(&self->frames[i], &ret_frames[i]);
    }
    return (int)count;
}

static void queue(struct port_inline *self, size_t side, const struct ring_frame *frame,
                  _Atomic(uint64_t) *counter)
{
    size_t lost = 1;

    if (self->rings[side]) {
        lost = ring_queue(self->rings[side], frame);
        port_count(counter, 1);
    }
    port_count(&self->port.counters.tx_dropped, lost);
}

static void forward(struct port *port, size_t index)
{
    struct port_inline *self = self_of(port);

    queue(self, self->side ^ 1, &self->frames[index], &port->counters.forwarded);
}

static void send_reply(struct port *port, enum pol_side towards, pol_bytes frame)
{
    struct port_inline *self = self_of(port);
    struct ring_frame reply = {.wire_len = (uint32_t)frame.len};
    uint8_t *octets;

    if (self->reply_count == REPLIES || frame.len > POL_REPLY_MAX) {
        port_count(&port->counters.unreplied, 1);
        return;
    }

    octets = self->replies[self->reply_count++] + RING_HEADROOM;
    memcpy(octets, frame.ptr, frame.len);
    reply.octets = (pol_bytes){octets, frame.len};
    queue(self, index_of(towards), &reply, &port->counters.replies);
}

static uint32_t mtu(const struct port *port, enum pol_side towards)
{
    const struct port_inline *self = (const struct port_inline *)port;

    return atomic_load_explicit(&self->mtus[index_of(towards)], memory_order_relaxed);
}

static void flush(struct port *port)
{
    struct port_inline *self = self_of(port);

    for (size_t side = 0; side < SIDES; side++)
        if (self->rings[side])
            port_count(&port->counters.tx_dropped, ring_flush(self->rings[side]));
    if (self->rings[self->side])
        ring_release(self->rings[self->side]);
    self->reply_count = 0;
}

/* An interface that went down says so once, in the error of the socket; reading it is enough. */
static void forget_error(int fd)
{
    int error;
    socklen_t len = sizeof(error);

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

static void wait_for_frames(struct port *port, int wake, int timeout_ms)
{
    struct port_inline *self = self_of(port);
    struct pollfd fds[SIDES + 1] = {{.fd = wake, .events = POLLIN}};

    for (size_t side = 0; side < SIDES; side++)
        fds[side + 1] = (struct pollfd){.fd = self->rings[side] ? ring_fd(self->rings[side]) : -1,
                                        .events = POLLIN};
    if (poll(fds, SIDES + 1, timeout_ms) <= 0)
        return;
    for (size_t side = 0; side < SIDES; side++)
        if (fds[side + 1].revents & POLLERR)
            forget_error(fds[side + 1].fd);
}

static void account(struct port *port)
{
    struct port_inline *self = self_of(port);

    for (size_t side = 0; side < SIDES; side++)
        if (self->rings[side])
            port_count(&port->counters.rx_dropped, ring_drops(self->rings[side]));
}

static void close_port(struct port *port)
{
    struct port_inline *self = self_of(port);

    for (size_t side = 0; side < SIDES; side++) {
        take_given(self, side);
        ring_close(self->rings[side]);
    }
    free(self);
}

static const struct port_kind inline_kind = {
    .live = true,
    .receive = receive,
    .wait = wait_for_frames,
    .forward = forward,
    .send = send_reply,
    .mtu = mtu,
    .flush = flush,
    .account = account,
    .close = close_port,
};

int port_inline_new(struct port **ret_port)
{
    struct port_inline *self = calloc(1, sizeof(*self));

    if (!self)
        return -ENOMEM;

    self->port.kind = &inline_kind;
    *ret_port = &self->port;
    return 0;
}

void port_inline_give(struct port *port, enum pol_side side, struct ring *ring)
{
    struct ring *before = atomic_exchange(&self_of(port)->given[index_of(side)], ring);

    if (before != nothing())
        ring_close(before);
}

void port_inline_take_away(struct port *port, enum pol_side side)
{
    port_inline_give(port, side, nothing());
}

void port_inline_set_mtu(struct port *port, enum pol_side towards, uint32_t mtu_now)
{
    atomic_store_explicit(&self_of(port)->mtus[index_of(towards)], mtu_now, memory_order_relaxed);
}
