/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_NODE_H
#define TEST_NODE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "control/control.h"
#include "dataplane/worker_loop.h"

/*
 * A daemon without arguments, signals and HTTP: every part of the dataplane and the control thread
 * over a port that makes up its frames. Each frame is a TCP SYN from 10.0.0.1, one second after
 * the one before, to 203.0.113.1, .2, .3, ...
 */
struct node {
    char *dir;
    struct store *store;
    pol_ctx *ctx;
    pol_grants *grants;
    struct worker_loop *loops[1];
    struct publish *publish;
    struct performance *performance;
    struct tap_hub *tap; /* of two streams */
    struct observe *observe;
    struct readiness *readiness;
    struct control *control;

    unsigned frames; /* how many the port gives */
    int end;         /* and then: -ENODATA or -EIO */
    _Atomic(unsigned) sent;
    _Atomic(unsigned) starts; /* calls of on_start */
    _Atomic(uint64_t) started_at;
    size_t event_capacity; /* 0: 64 */
    bool policy_pinned;
};

/* Fill in frames and end first. Nothing runs yet; publish a policy, then start what is needed. */
void node_make(struct node *node);
void node_free(struct node *node); /* stops what runs */

void node_run_worker(struct node *node);
void node_wait_for(struct node *node, enum worker_phase phase);

/* A policy in force under this generation; the reference is the caller's. */
pol_policy *node_publish(struct node *node, const char *document, uint64_t generation);
pol_policy *node_compile(struct node *node, const char *document);

#define NODE_DENY_ALL  "{\"default_policy\":\"deny\",\"source_groups\":[]}"
#define NODE_ALLOW_ALL "{\"default_policy\":\"allow\",\"source_groups\":[]}"

#endif
