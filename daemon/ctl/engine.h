/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_ENGINE_H
#define CTL_ENGINE_H

#include <libpolicy/compile.h>

#include "capture/capture.h"
#include "ctl/records.h"
#include "ctl/summary.h"

/*
 * One worker and one grant table that judge the frames of a capture, and the records of what they
 * decide. The clock is the capture's: its times are nanoseconds since 1970, on which the worker's
 * timers run too, so that replaying takes no time and gives the same result every time.
 */
struct engine;

struct engine_options {
    pol_addr *resolvers; /* whose answers are believed; none: everybody's */
    size_t resolver_count;
    pol_prefix *inside; /* none: all sources of the policy */
    size_t inside_count;
    int sni_check;          /* enum pol_sni_check */
    pol_str anchors;        /* what chains of certificates may end in, PEM; may be empty */
    uint64_t capture_bytes; /* bounds the number of flows; 0: unknown */
};

/* A context whose hash tables a stranger's capture cannot aim at; NULL: out of memory. */
pol_ctx *engine_ctx_new(void);

/* `policy` is referenced. NULL: out of memory. */
struct engine *engine_new(pol_ctx *ctx, pol_policy *policy, const struct engine_options *options);
void engine_free(struct engine *engine);

void engine_frame(struct engine *engine, enum pol_link link, const struct capture_frame *frame);

/* After the last frame: ends what is open, at the time of that frame. */
void engine_finish(struct engine *engine);

const struct records *engine_records(const struct engine *engine);
void engine_summary(const struct engine *engine, struct summary *ret_summary);

#endif
