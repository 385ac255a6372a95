/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpolicy/audit.h>
#include <libpolicy/compile.h>

#include "control/observe.h"
#include "control/publish.h"
#include "control/readiness.h"
#include "core/text.h"
#include "store/records.h"

/*
 * The thread that owns change: it alone publishes policies, merges events into findings and writes
 * to the store. Others ask it and wait for the answer; what they ask is done in the order it came.
 */
struct control;

struct control_options {
    struct publish *publish;
    struct observe *observe;
    struct readiness *readiness;
    struct store *store;
    struct performance *performance;
    struct tap_hub *tap;
    bool policy_pinned; /* the policy file is authoritative */
};

int control_new(const struct control_options *options, struct control **ret_control);
int control_start(struct control *control);

/* Answers what still waits, saves what was observed and ends the thread. */
void control_stop(struct control *control);
void control_free(struct control *control);

/* Any thread, also a worker's: there are events to collect. */
void control_wake(struct control *control);

enum control_result {
    CONTROL_DONE,
    CONTROL_REFUSED,   /* the document has errors */
    CONTROL_MEMORY,    /* too little of it to compile the document */
    CONTROL_PINNED,    /* the policy file decides, not a request */
    CONTROL_TIMED_OUT, /* a worker did not take the policy; the one before is in force again */
    CONTROL_STORE,     /* the store cannot keep it; nothing has changed */
    CONTROL_BUSY,      /* too many wait already */
    CONTROL_STOPPING
};

struct control_applied {
    uint64_t generation; /* of the policy that was asked for */
    uint64_t in_force;
    uint64_t slowest; /* the oldest generation a worker decides by */
};

/*
 * Any thread: brings a compiled policy into force, on the disk and in every worker, or changes
 * nothing. `from_file` passes where a pinned policy refuses requests; a file that says what is in
 * force already is done at once and keeps the generation.
 */
enum control_result control_apply(struct control *control, pol_policy *policy, bool from_file,
                                  struct control_applied *ret_applied);

/*
 * Any thread: the same for a document. Without default_policy it keeps the default of the policy
 * that is accepted when its turn comes, not of one that is still tried or was taken back.
 *
 * @param ret_policy  what was compiled, NULL when nothing was; pol_policy_unref()
 * @param ret_diags   may be set with every result; pol_diags_free()
 */
enum control_result control_put(struct control *control, pol_ctx *ctx, pol_str document,
                                struct control_applied *ret_applied, pol_policy **ret_policy,
                                pol_diags **ret_diags);

/* Any thread: appends the findings that fit, newest first, and makes sure the store has them. */
enum control_result control_findings(struct control *control, const pol_audit_query *query,
                                     struct text *out);

/*
 * Any thread: switches performance mode. Once off, live streams have ended, what was found is in
 * the store, and nothing is collected.
 */
enum control_result control_set_performance(struct control *control, bool enabled);

/* The document of a policy as JSON. False when memory is short. */
bool control_policy_json(const pol_policy *policy, struct text *out);

/* The default of the accepted policy. */
bool control_default_allow(struct control *control);

#endif
