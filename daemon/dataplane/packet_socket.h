/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_PACKET_SOCKET_H
#define DATAPLANE_PACKET_SOCKET_H

#include <linux/if_packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

/* A packet socket on one interface, its receive ring mapped (packet(7)). */
struct packet_socket {
    int fd;
    uint8_t *map;
    size_t map_len;
};

struct packet_socket_options {
    const char *name;         /* of the interface */
    int index;                /* of the interface, in the network namespace of this thread */
    int version;              /* TPACKET_V2 or TPACKET_V3 */
    struct tpacket_req3 ring; /* for TPACKET_V2 the fields it shares */
    bool ignore_outgoing;     /* what the host itself sends there is not received */
    bool offload_headers;     /* PACKET_VNET_HDR, both ways */
    bool bypass_qdisc;        /* PACKET_QDISC_BYPASS: no queueing discipline, no egress filter */
};

/*
 * Opens `count` sockets that share the interface's frames. Both directions of a flow and its ICMP
 * errors reach the socket of the same number, on every interface opened with the same count. None
 * receives before all of them stand.
 *
 * @return 0, or a negative errno with the reason and what helps in `ret_error`
 */
int packet_sockets_open(const struct packet_socket_options *options, size_t count,
                        struct packet_socket *ret_sockets, struct text *ret_error);
void packet_socket_close(struct packet_socket *socket);

/* Frames the kernel had no room for since the last call (PACKET_STATISTICS resets itself). */
uint64_t packet_socket_drops(const struct packet_socket *socket);

#endif
