/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_H
#define DATAPLANE_H

#include <libpolicy/grants.h>

#include "core/config.h"
#include "dataplane/attach.h"
#include "dataplane/worker_loop.h"

/* The threads that packets pass through, as the configuration wants them. Main thread. */
struct dataplane {
    struct worker_loop **loops;
    size_t loop_count;
    struct attach *attach; /* NULL: no interface */
};

struct dataplane_options {
    const struct config *config;
    pol_ctx *ctx;
    pol_grants *grants;
    /* Called in a worker's thread, as in worker_loop.h; on_start for captures alone: on a live port
     * the time is known before. */
    void (*on_start)(void *user, pol_mono now);
    void (*on_events)(void *user);
    void *user;
};

/*
 * Makes ports and workers; nothing runs, no interface is touched.
 *
 * @return 0; -ECANCELED when a signal ended the wait for a capture (a thread still waits); or
 *         another negative errno with the reason in `ret_error`
 */
int dataplane_make(const struct dataplane_options *options, struct dataplane *ret_dataplane,
                   struct text *ret_error);

/* Guards and opens the interfaces: attach_new(). Frames are received from here on. */
int dataplane_attach(struct dataplane *dataplane, const struct config *config,
                     struct text *ret_error);

int dataplane_start(struct dataplane *dataplane); /* 0 or a negative errno */

/* False when a worker did not end in time. */
bool dataplane_stop(struct dataplane *dataplane, uint64_t timeout_ns);
void dataplane_free(struct dataplane *dataplane);

#endif
