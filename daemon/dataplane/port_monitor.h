/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_PORT_MONITOR_H
#define DATAPLANE_PORT_MONITOR_H

#include "dataplane/packet_socket.h"
#include "dataplane/port.h"

/*
 * An interface that is only listened to: a ring of blocks, each of which the kernel hands over when
 * it is full or BLOCK_WAIT_MS old (TPACKET_V3). Nothing is ever sent. One worker reads it: two
 * would judge a DNS answer and the connection that follows in no order.
 */
int port_monitor_new(struct port **ret_port); /* without a socket; 0 or -ENOMEM */

/* As packet_sockets_open(), with the ring this port reads. */
int port_monitor_socket(const char *name, int index, struct packet_socket *ret_socket,
                        struct text *ret_error);

/* Any thread: gives the port a socket in place of the one it has. 0 or -ENOMEM; taken on success.
 */
int port_monitor_give(struct port *port, struct packet_socket socket);

#endif
