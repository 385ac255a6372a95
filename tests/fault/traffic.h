/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULT_TRAFFIC_H
#define FAULT_TRAFFIC_H

#include "bed.h"

/*
 * Traffic of every kind through a worker, and all that is done with what comes out: findings, taps,
 * counters, readiness, listings, JSON. None of it may allocate.
 */
struct traffic {
    struct bed *bed;
    pol_policy *policy; /* that of the bed */
    pol_audit *audit, *other;
    pol_tap *tap;
    pol_counters *counters;
    pol_ready *ready;
    uint64_t digest; /* of every verdict and of what was written */
};

/* The policy that the traffic is meant for, with ' for ". */
extern const char traffic_policy[];

void traffic_init(struct traffic *traffic, struct bed *bed);
void traffic_fini(struct traffic *traffic);

/* One round; later rounds do the same at a later time. */
void traffic_play(struct traffic *traffic);

#endif
