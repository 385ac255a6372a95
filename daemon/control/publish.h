/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_PUBLISH_H
#define CONTROL_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpolicy/compile.h>

#include "dataplane/worker_loop.h"

/*
 * Which policy is in force, and bringing another one to every worker. The control thread
 * publishes; any thread may ask what is in force. A policy that was sent is accepted only when
 * every worker took it and the store has it; until then it may still be taken back.
 *
 * Policies that a worker may still decide by are kept, since events name groups and rules by their
 * number in the policy that decided.
 */
struct publish;

int publish_new(struct worker_loop *const *loops, size_t loop_count, struct publish **ret_publish);
void publish_free(struct publish *publish);

/* Hands a policy to every worker. The first one, at the start, is accepted. 0 or -ENOMEM. */
int publish_send(struct publish *publish, pol_policy *policy, uint64_t generation);

/* Whether every worker decides by the newest generation; the oldest one in use otherwise. */
bool publish_applied(struct publish *publish, uint64_t *ret_oldest);

/* The policy sent last, which workers may decide by, with a reference for the caller. */
pol_policy *publish_current(struct publish *publish, uint64_t *ret_generation);

/* From now on this policy, which has been sent, is the accepted one. */
void publish_accept(struct publish *publish, pol_policy *policy);

/* The policy that was accepted last, with a reference for the caller. */
pol_policy *publish_accepted(struct publish *publish);

/* The policy of a generation, borrowed; NULL when no worker can decide by it any more. */
const pol_policy *publish_find(const struct publish *publish, uint64_t generation);

/* Lets go of policies older than this generation. */
void publish_forget(struct publish *publish, uint64_t before);

#endif
