/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_STEER_H
#define DATAPLANE_STEER_H

#include <libpolicy/reply.h>
#include <libpolicy/worker.h>

#include "dataplane/port.h"

enum { STEER_CLIENTS = 256 };

/* How many refusals may still be sent. */
struct refusals {
    uint64_t tokens; /* nanoseconds of waiting, saved up */
    pol_mono filled; /* when they were last counted */
};

/*
 * What a verdict does to a frame on a live wire: forward it, drop it, refuse it, answer it. One
 * thread, the worker's.
 */
struct steer {
    struct port *port;
    bool refuse; /* say so to who was denied: dataplane.deny is "reject" */
    struct refusals refusals;
    struct refusals clients[STEER_CLIENTS]; /* by a hash of the client's address */
    uint8_t reply[POL_REPLY_MAX];
};

void steer_init(struct steer *steer, struct port *port, bool refuse);

/* `index` is the frame's number among those received last. */
void steer_frame(struct steer *steer, size_t index, const struct port_frame *frame,
                 const pol_packet *packet, const pol_verdict *verdict);

#endif
