/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_WORKER_LOOP_H
#define DATAPLANE_WORKER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <libpolicy/worker.h>

#include "dataplane/event_ring.h"
#include "dataplane/port.h"
#include "dataplane/slot.h"

/*
 * A dataplane thread: receive, parse, decide, act, hand the events on, nothing else. It owns a
 * worker and a port. When a capture has been read to its end the thread stays: it keeps its flows
 * as they were after the last packet and goes on taking policies.
 */
struct worker_loop;

enum worker_phase {
    WORKER_READING,
    WORKER_FINISHED, /* the capture has been read to its end */
    WORKER_FAILED    /* the port is broken; what was decided before stands */
};

struct worker_loop_options {
    pol_worker *worker; /* the loop's from now on, like the port */
    struct port *port;
    size_t event_capacity;
    bool refuse;      /* on a live wire, denials are told to who is denied: steer.h */
    uint64_t spin_ns; /* after a burst, how long to look for more before sleeping */

    /* Called in the loop's thread; `user` is theirs. */
    void (*on_start)(void *user, pol_mono now); /* before the first packet is judged; may be NULL */
    void (*on_events)(void *user);              /* events wait to be collected */
    void *user;
};

/* Takes worker and port on success only. Returns 0 or a negative errno. */
int worker_loop_new(const struct worker_loop_options *options, struct worker_loop **ret_loop);
int worker_loop_start(struct worker_loop *loop, const char *name);

/* Asks the thread to end and waits for it; false when it has not ended in time. */
bool worker_loop_stop(struct worker_loop *loop, uint64_t timeout_ns);
void worker_loop_free(struct worker_loop *loop); /* stopped, or never started */

/* Wakes the thread: a policy waits in its slot. */
void worker_loop_wake(struct worker_loop *loop);

/* Any thread: which kinds of events the worker makes from its next burst on, as for
 * pol_worker_report(). All of them at first. */
void worker_loop_report(struct worker_loop *loop, uint32_t kinds);

/* Any thread: */
struct slot *worker_loop_slot(struct worker_loop *loop);
struct event_ring *worker_loop_events(struct worker_loop *loop);
const pol_worker *worker_loop_worker(const struct worker_loop *loop); /* for its counters */
enum worker_phase worker_loop_phase(const struct worker_loop *loop);
const char *worker_loop_problem(const struct worker_loop *loop); /* when WORKER_FAILED */
uint64_t worker_loop_turned(const struct worker_loop *loop);     /* clock_mono() of the last turn */
bool worker_loop_waiting(const struct worker_loop *loop);        /* for the control thread's room */
uint64_t worker_loop_packets(const struct worker_loop *loop);
uint64_t worker_loop_incomplete(const struct worker_loop *loop); /* of the packets: not whole */
pol_mono worker_loop_now(const struct worker_loop *loop); /* a capture: of the newest packet */
struct port *worker_loop_port(struct worker_loop *loop);  /* the loop's; for its any-thread calls */
const struct port_counters *worker_loop_port_counters(const struct worker_loop *loop);

/* The time of day of a moment on the port's clock. */
pol_wall worker_loop_wall(const struct worker_loop *loop, pol_mono at);

#endif
