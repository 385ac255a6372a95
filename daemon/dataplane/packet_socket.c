// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/fanout.h"

#define SEND_BUFFER (32 << 20) /* a burst of super-frames, twice over: forwarding never waits */

enum { MOST_SOCKETS = 64 };

static int set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_options(int fd, const struct packet_socket_options *options)
{
    int rc, size = SEND_BUFFER;

    rc = set(fd, PACKET_VERSION, options->version);
    if (rc == 0 && options->ignore_outgoing)
        rc = set(fd, PACKET_IGNORE_OUTGOING, 1);
    if (rc == 0 && options->offload_headers)
        rc = set(fd, PACKET_VNET_HDR, 1);
    if (rc == 0 && options->bypass_qdisc)
        rc = set(fd, PACKET_QDISC_BYPASS, 1);
    if (rc == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
        rc = -errno;
    return rc;
}

static int map_ring(const struct packet_socket_options *options, struct packet_socket *ret_socket)
{
    /* The kernel tells the two forms apart by their size. */
    socklen_t size =
        options->version == TPACKET_V3 ? sizeof(struct tpacket_req3) : sizeof(struct tpacket_req);
    size_t len = (size_t)options->ring.tp_block_size * options->ring.tp_block_nr;
    void *map;

    if (setsockopt(ret_socket->fd, SOL_PACKET, PACKET_RX_RING, &options->ring, size) < 0)
        return -errno;

    map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ret_socket->fd, 0);
    if (map == MAP_FAILED)
        return -errno;

    ret_socket->map = map;
    ret_socket->map_len = len;
    return 0;
}

/* Until all sockets share the frames, each would receive every one of them. */
static int receive_nothing(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog code = {1, &nothing};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &code, sizeof(code)) < 0 ? -errno : 0;
}

static int attach(int fd, int index)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
    struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};

    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) < 0)
        return -errno;
    return 0;
}

static int open_one(const struct packet_socket_options *options, struct packet_socket *ret_socket)
{
    int rc;

    /* Protocol 0: nothing is received before bind(). */
    ret_socket->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (ret_socket->fd < 0)
        return -errno;

    rc = set_options(ret_socket->fd, options);
    if (rc == 0)
        rc = map_ring(options, ret_socket);
    if (rc == 0)
        rc = receive_nothing(ret_socket->fd);
    if (rc == 0)
        rc = attach(ret_socket->fd, options->index);
    return rc;
}

static int share_and_receive(const struct packet_socket *sockets, size_t count,
                             bool ignore_outgoing)
{
    int fds[MOST_SOCKETS], unused = 0, rc = 0;

    for (size_t i = 0; i < count; i++)
        fds[i] = sockets[i].fd;
    if (count > 1)
        rc = fanout_join(fds, count, ignore_outgoing);
    for (size_t i = 0; i < count && rc == 0; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0)
            rc = -errno;
    return rc;
}

static void explain(const struct packet_socket_options *options, int rc, struct text *error)
{
    text_addf(error, "%s: no packet socket: %s", options->name, strerror(-rc));
    if (rc == -EPERM)
        text_add(error, "; CAP_NET_RAW and CAP_NET_ADMIN are needed");
    if (rc == -ENOMEM || rc == -ENOBUFS)
        text_addf(error, "; the ring needs %zu MiB, lower dataplane.ring_slots",
                  ((size_t)options->ring.tp_block_size * options->ring.tp_block_nr) >> 20);
}

int packet_sockets_open(const struct packet_socket_options *options, size_t count,
                        struct packet_socket *ret_sockets, struct text *ret_error)
{
    int rc = count <= MOST_SOCKETS ? 0 : -EINVAL;

    for (size_t i = 0; i < count; i++)
        ret_sockets[i] = (struct packet_socket){.fd = -1};
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = open_one(options, &ret_sockets[i]);
    if (rc == 0)
        rc = share_and_receive(ret_sockets, count, options->ignore_outgoing);
    if (rc == 0)
        return 0;

    explain(options, rc, ret_error);
    for (size_t i = 0; i < count; i++)
        packet_socket_close(&ret_sockets[i]);
    return rc;
}

void packet_socket_close(struct packet_socket *socket)
{
    if (socket->map)
        munmap(socket->map, socket->map_len);
    if (socket->fd >= 0)
        close(socket->fd);
    *socket = (struct packet_socket){.fd = -1};
}

uint64_t packet_socket_drops(const struct packet_socket *socket)
{
    struct tpacket_stats_v3 stats = {0};
    socklen_t len = sizeof(stats);

    return getsockopt(socket->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0 ? 0
                                                                                   : stats.tp_drops;
}
