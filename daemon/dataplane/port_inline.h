/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_PORT_INLINE_H
#define DATAPLANE_PORT_INLINE_H

#include "dataplane/port.h"
#include "dataplane/ring.h"

/* A worker's part of a bump in the wire: a ring on the inside and one on the outside. */
int port_inline_new(struct port **ret_port); /* without rings; 0 or -ENOMEM */

/*
 * Any thread: gives the port a ring for a side, in place of the one it has. The worker takes it
 * before its next burst and closes the one before.
 */
void port_inline_give(struct port *port, enum pol_side side, struct ring *ring);

/* Any thread: the port has no ring for a side any more, as above. */
void port_inline_take_away(struct port *port, enum pol_side side);

/* Any thread: how long an IP datagram may be that leaves towards a side. */
void port_inline_set_mtu(struct port *port, enum pol_side towards, uint32_t mtu);

#endif
