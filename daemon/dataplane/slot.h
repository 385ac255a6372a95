/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_SLOT_H
#define DATAPLANE_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpolicy/worker.h>

/*
 * How a policy reaches a worker without a lock: the publisher exchanges one in, the worker
 * exchanges it out between two bursts. A publication that was never taken is replaced by a later
 * one and freed by whoever gets it back.
 */
struct slot {
    _Atomic(struct slot_publication *) waiting;
    _Atomic(uint64_t) applied; /* generation the worker decides by; 0 before the first */
};

/* Publisher. Takes its own reference. Returns 0 or -ENOMEM. */
int slot_publish(struct slot *slot, pol_policy *policy, uint64_t generation);

bool slot_is_waiting(struct slot *slot); /* any thread */

/* Worker. True when a policy was waiting; it is in use then, unless memory was short. */
bool slot_apply(struct slot *slot, pol_worker *worker);

uint64_t slot_applied(struct slot *slot); /* any thread */

void slot_fini(struct slot *slot);

#endif
