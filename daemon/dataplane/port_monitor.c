// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"

#define BLOCK_SIZE    (1 << 20)
#define BLOCKS        32
#define BLOCK_WAIT_MS 10
#define SMALLEST_SLOT 2048 /* what the kernel wants to hear; frames take what they need */

enum { TAG_LEN = 4, ADDRESSES_LEN = 2 * ETH_ALEN };

struct port_monitor {
    struct port port; /* first, so that a port is one of these */
    struct packet_socket socket;
    _Atomic(struct packet_socket *) given;
    uint32_t block; /* the one being read */
    uint32_t left;  /* frames in it that are not handed out yet */
    struct tpacket3_hdr *next;
    bool reading; /* the block is ours until it is flushed with nothing left */
};

static struct port_monitor *self_of(struct port *port)
{
    return (struct port_monitor *)port;
}

static void take_given(struct port_monitor *self)
{
    struct packet_socket *given;

    if (!atomic_load_explicit(&self->given, memory_order_relaxed))
        return;

    given = atomic_exchange(&self->given, NULL);
    packet_socket_close(&self->socket);
    self->socket = *given;
    self->block = 0;
    self->left = 0;
    self->reading = false;
    free(given);
}

static struct tpacket_block_desc *block_at(const struct port_monitor *self)
{
    return (void *)(self->socket.map + (size_t)self->block * BLOCK_SIZE);
}

static bool open_block(struct port_monitor *self)
{
    struct tpacket_block_desc *block = block_at(self);

    if (self->reading)
        return true;
    if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return false;

    self->reading = true;
    self->left = block->hdr.bh1.num_pkts;
    self->next = (void *)((uint8_t *)block + block->hdr.bh1.offset_to_first_pkt);
    return true;
}

/* The outermost tag goes back over the room the kernel leaves before every frame. */
static void put_tag_back(const struct tpacket3_hdr *slot, struct port_frame *frame)
{
    uint16_t tpid =
        slot->tp_status & TP_STATUS_VLAN_TPID_VALID ? slot->hv1.tp_vlan_tpid : ETH_P_8021Q;
    uint16_t tci = (uint16_t)slot->hv1.tp_vlan_tci;
    uint8_t *to = (uint8_t *)frame->octets.ptr - TAG_LEN;
    uint8_t tag[TAG_LEN] = {(uint8_t)(tpid >> 8), (uint8_t)tpid, (uint8_t)(tci >> 8), (uint8_t)tci};

    memmove(to, frame->octets.ptr, ADDRESSES_LEN);
    memcpy(to + ADDRESSES_LEN, tag, TAG_LEN);
    frame->octets.ptr = to;
    frame->octets.len += TAG_LEN;
    frame->wire_len += TAG_LEN;
}

static void read_slot(const struct tpacket3_hdr *slot, pol_mono at, struct port_frame *ret_frame)
{
    *ret_frame = (struct port_frame){
        .octets = {(const uint8_t *)slot + slot->tp_mac, slot->tp_snaplen},
        .wire_len = slot->tp_len,
        .link = POL_LINK_ETHERNET,
        .side = POL_SIDE_UNKNOWN,
        .at = at,
    };
    if (slot->tp_status & TP_STATUS_VLAN_VALID && slot->tp_snaplen >= ADDRESSES_LEN)
        put_tag_back(slot, ret_frame);
}

static int receive(struct port *port, struct port_frame ret_frames[PORT_BURST])
{
    struct port_monitor *self = self_of(port);
    pol_mono at = clock_steady();
    int count = 0;

    take_given(self);
    if (!self->socket.map || !open_block(self))
        return 0;

    for (; count < PORT_BURST && self->left; self->left--, count++) {
        read_slot(self->next, at, &ret_frames[count]);
        self->next = (void *)((uint8_t *)self->next + self->next->tp_next_offset);
    }
    return count;
}

static void flush(struct port *port)
{
    struct port_monitor *self = self_of(port);

    if (!self->reading || self->left)
        return;

    __atomic_store_n(&block_at(self)->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    self->block = (self->block + 1) % BLOCKS;
    self->reading = false;
}

static void wait_for_frames(struct port *port, int wake, int timeout_ms)
{
    struct port_monitor *self = self_of(port);
    struct pollfd fds[2] = {{.fd = wake, .events = POLLIN},
                            {.fd = self->socket.fd, .events = POLLIN}};
    int error;
    socklen_t len = sizeof(error);

    /* An interface that went down says so once, in the error of the socket; reading it is enough.
     */
    if (poll(fds, 2, timeout_ms) > 0 && fds[1].revents & POLLERR)
        getsockopt(self->socket.fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

static void account(struct port *port)
{
    struct port_monitor *self = self_of(port);

    if (self->socket.map)
        port_count(&port->counters.rx_dropped, packet_socket_drops(&self->socket));
}

static void close_port(struct port *port)
{
    struct port_monitor *self = self_of(port);

    take_given(self);
    packet_socket_close(&self->socket);
    free(self);
}

static const struct port_kind monitor_kind = {
    .live = true,
    .receive = receive,
    .wait = wait_for_frames,
    .flush = flush,
    .account = account,
    .close = close_port,
};

int port_monitor_new(struct port **ret_port)
{
    struct port_monitor *self = calloc(1, sizeof(*self));

    if (!self)
        return -ENOMEM;

    self->port.kind = &monitor_kind;
    self->socket.fd = -1;
    *ret_port = &self->port;
    return 0;
}

/* What the host sends to itself is there twice, going and coming. */
static bool is_loopback(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    found = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_LOOPBACK;
    if (fd >= 0)
        close(fd);
    return found;
}

int port_monitor_socket(const char *name, int index, struct packet_socket *ret_socket,
                        struct text *ret_error)
{
    struct packet_socket_options options = {
        .name = name,
        .index = index,
        .version = TPACKET_V3,
        .ring = {.tp_block_size = BLOCK_SIZE,
                 .tp_block_nr = BLOCKS,
                 .tp_frame_size = SMALLEST_SLOT,
                 .tp_frame_nr = BLOCK_SIZE / SMALLEST_SLOT * BLOCKS,
                 .tp_retire_blk_tov = BLOCK_WAIT_MS},
        .ignore_outgoing = is_loopback(name),
    };

    return packet_sockets_open(&options, 1, ret_socket, ret_error);
}

int port_monitor_give(struct port *port, struct packet_socket socket)
{
    struct packet_socket *given = malloc(sizeof(*given));

    if (!given)
        return -ENOMEM;

    *given = socket;
    given = atomic_exchange(&self_of(port)->given, given);
    if (given) {
        packet_socket_close(given);
        free(given);
    }
    return 0;
}
