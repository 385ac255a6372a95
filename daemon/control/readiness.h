/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_READINESS_H
#define CONTROL_READINESS_H

#include <stdbool.h>
#include <stddef.h>

#include <libpolicy/context.h>
#include <libpolicy/grants.h>

#include "control/publish.h"
#include "core/config.h"
#include "core/text.h"
#include "dataplane/attach.h"

/*
 * Whether this node is able to work, asked of the parts themselves at every request: nothing here
 * is remembered but what only an event can tell (draining, a stored policy that was refused).
 * Any thread; it waits for nothing but another asker.
 */
struct readiness;

struct readiness_options {
    pol_ctx *ctx;
    struct publish *publish;
    struct worker_loop *const *loops;
    size_t loop_count;
    const pol_grants *grants;
    bool learns; /* some resolver is trusted: DNS that passes is learned from */
};

int readiness_new(const struct readiness_options *options, struct readiness **ret_readiness);
void readiness_free(struct readiness *readiness);

/* From now on interfaces count. Before the first report; never on a capture. */
void readiness_watch_ports(struct readiness *readiness, struct attach *attach);

/* Which failing checks leave the whole ready; names were checked with the configuration. */
void readiness_advise(struct readiness *readiness, const struct config_list *advisory);

void readiness_drain(struct readiness *readiness);

/* The stored policy could not be used and the built-in default denies everything; NULL: it can. */
void readiness_refuse_policy(struct readiness *readiness, const char *reason);

/* Appends the report as JSON and returns whether the node is ready. */
bool readiness_report(struct readiness *readiness, struct text *out);

#endif
