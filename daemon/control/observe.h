/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_OBSERVE_H
#define CONTROL_OBSERVE_H

#include <libpolicy/audit.h>
#include <libpolicy/grants.h>

#include "control/performance.h"
#include "control/publish.h"
#include "control/tap_hub.h"
#include "core/text.h"
#include "store/records.h"

/*
 * What the node has observed: findings merged from the workers' events, and grants. Both are
 * written behind to the store. Events also go to those who watch. Control thread.
 */
struct observe;

struct observe_options {
    pol_ctx *ctx;
    uint32_t max_findings;
    pol_grants *grants;
    struct publish *publish;
    struct worker_loop *const *loops;
    size_t loop_count;
    struct store *store;
    struct performance *performance;
    struct tap_hub *tap;
};

/* Brings back what the store holds. */
int observe_new(const struct observe_options *options, struct observe **ret_observe);
void observe_free(struct observe *observe);

/* Takes in every event that waits, and tells the workers which ones are wanted from now on. */
void observe_collect(struct observe *observe);

/* Writes what has changed to the store; `all` also grants that were merely used. What cannot be
 * written now is written by a later call. */
void observe_save(struct observe *observe, bool all);

/* Appends the findings that fit as JSON objects with commas between them. */
void observe_findings(struct observe *observe, const pol_audit_query *query, struct text *out);

/* The worker's thread, before its first packet: puts back grants the store remembered. */
void observe_restore_grants(struct observe *observe, pol_mono now);

#endif
