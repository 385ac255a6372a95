/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_OFFLOAD_H
#define DATAPLANE_OFFLOAD_H

#include "dataplane/port.h"

/*
 * Whether what is still to be written into a frame leaves alone what was judged of it. A virtual
 * machine or container says itself where its checksum belongs; by naming the place of a port or an
 * address it would have that changed behind us.
 */
bool offload_is_honest(const struct port_frame *frame, const pol_packet *packet);

#endif
