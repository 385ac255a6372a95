// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker_loop.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/thread.h"

#define BURST       64
#define TICK_BUDGET 256
#define IDLE_MS     200
#define ROOM_NS     500000 /* how long to wait for the control thread to make room */

struct worker_loop {
    struct worker_loop_options options;
    struct slot slot;
    struct event_ring *events;
    struct thread thread;
    int wake;     /* eventfd */
    bool started; /* the first packet was seen */
    _Atomic(bool) stopping;
    _Atomic(int) phase;
    _Atomic(bool) waiting; /* for room in the event ring */
    _Atomic(uint64_t) turned;
    _Atomic(uint64_t) packets;
    _Atomic(uint64_t) incomplete;
    _Atomic(uint64_t) now;
    _Atomic(uint32_t) kinds; /* of events that are wanted */
    uint32_t kinds_made;     /* of events that the worker makes */
};

int worker_loop_new(const struct worker_loop_options *options, struct worker_loop **ret_loop)
{
    struct worker_loop *loop = calloc(1, sizeof(*loop));
    int rc;

    if (!loop)
        return -ENOMEM;

    rc = event_ring_new(options->event_capacity, &loop->events);
    if (rc < 0)
        goto out;

    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0) {
        rc = -errno;
        goto out;
    }

    loop->options = *options;
    loop->phase = WORKER_READING;
    loop->kinds = loop->kinds_made = UINT32_MAX;
    *ret_loop = loop;
    return 0;

out:
    event_ring_free(loop->events);
    free(loop);
    return rc;
}

void worker_loop_free(struct worker_loop *loop)
{
    if (!loop)
        return;

    slot_fini(&loop->slot);
    pol_worker_free(loop->options.worker);
    port_close(loop->options.port);
    event_ring_free(loop->events);
    close(loop->wake);
    free(loop);
}

static bool is_stopping(const struct worker_loop *loop)
{
    return atomic_load_explicit(&loop->stopping, memory_order_relaxed);
}

static void turn(struct worker_loop *loop)
{
    atomic_store_explicit(&loop->turned, clock_mono(), memory_order_relaxed);
    atomic_store_explicit(&loop->waiting, false, memory_order_relaxed);
}

/*
 * A file does not run away: rather than losing events, wait until the control thread has room.
 * This is no turn: a control thread that stands still must show.
 */
static void wait_for_room(struct worker_loop *loop)
{
    struct timespec pause = {.tv_nsec = ROOM_NS};

    atomic_store_explicit(&loop->waiting, true, memory_order_relaxed);
    loop->options.on_events(loop->options.user);
    nanosleep(&pause, NULL);
}

static void hand_over(struct worker_loop *loop)
{
    size_t room, moved, total = 0;

    do {
        pol_event *at = event_ring_room(loop->events, &room);

        moved = room ? pol_worker_drain(loop->options.worker, at, room) : 0;
        event_ring_filled(loop->events, moved);
        total += moved;
        if (room == 0)
            wait_for_room(loop);
        else
            turn(loop);
    } while (moved == room);

    if (total)
        loop->options.on_events(loop->options.user);
}

static void run_timers(struct worker_loop *loop, pol_mono now)
{
    while (pol_worker_deadline(loop->options.worker) <= now &&
           pol_worker_tick(loop->options.worker, now, TICK_BUDGET) == TICK_BUDGET)
        hand_over(loop);
}

static void start_clock(struct worker_loop *loop, pol_mono now)
{
    if (loop->started)
        return;

    loop->started = true;
    loop->options.on_start(loop->options.user, now);
}

/* Nothing acts on the verdict of a recorded packet; the worker's events and counters tell it. */
static void judge(struct worker_loop *loop, const struct port_frame *frame)
{
    pol_packet packet;
    pol_verdict verdict;

    start_clock(loop, frame->at);
    run_timers(loop, frame->at);
    pol_packet_parse(frame->octets, frame->link, frame->wire_len, &packet);
    pol_worker_decide(loop->options.worker, &packet, frame->at, &verdict);
    atomic_store_explicit(&loop->now, frame->at, memory_order_relaxed);
    if (frame->octets.len < frame->wire_len)
        atomic_fetch_add_explicit(&loop->incomplete, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&loop->packets, 1, memory_order_relaxed);
}

static void end_reading(struct worker_loop *loop, int rc)
{
    uint64_t packets = worker_loop_packets(loop), incomplete = worker_loop_incomplete(loop);

    if (incomplete)
        log_warn("%llu of %llu packets " CAPTURE_INCOMPLETE, (unsigned long long)incomplete,
                 (unsigned long long)packets);
    if (rc == -ENODATA)
        log_info("capture finished after %llu packets", (unsigned long long)packets);
    else
        log_error("%s", worker_loop_problem(loop));
    atomic_store(&loop->phase, rc == -ENODATA ? WORKER_FINISHED : WORKER_FAILED);
}

static void read_burst(struct worker_loop *loop)
{
    struct port_frame frame;
    int rc = 1;

    for (int i = 0; i < BURST && rc == 1; i++) {
        rc = loop->options.port->receive(loop->options.port, &frame);
        if (rc == 1)
            judge(loop, &frame);
    }

    hand_over(loop);
    if (rc != 1)
        end_reading(loop, rc);
}

static void rest(struct worker_loop *loop)
{
    struct pollfd wake = {.fd = loop->wake, .events = POLLIN};
    uint64_t count;

    if (poll(&wake, 1, IDLE_MS) == 1 && read(loop->wake, &count, sizeof(count)) < 0)
        return;
}

static void choose_events(struct worker_loop *loop)
{
    uint32_t kinds = atomic_load_explicit(&loop->kinds, memory_order_relaxed);

    if (kinds == loop->kinds_made)
        return;

    pol_worker_report(loop->options.worker, kinds);
    loop->kinds_made = kinds;
}

static void *run(void *arg)
{
    struct worker_loop *loop = arg;

    while (!is_stopping(loop)) {
        turn(loop);
        slot_apply(&loop->slot, loop->options.worker);
        choose_events(loop);
        if (atomic_load(&loop->phase) == WORKER_READING)
            read_burst(loop);
        else
            rest(loop);
    }
    return NULL;
}

int worker_loop_start(struct worker_loop *loop, const char *name)
{
    turn(loop);
    return thread_start(&loop->thread, name, run, loop);
}

bool worker_loop_stop(struct worker_loop *loop, uint64_t timeout_ns)
{
    atomic_store(&loop->stopping, true);
    worker_loop_wake(loop);
    return thread_join_within(&loop->thread, timeout_ns);
}

void worker_loop_wake(struct worker_loop *loop)
{
    uint64_t one = 1;

    /* Fails only when the counter is full, and then the thread is awake anyway. */
    if (write(loop->wake, &one, sizeof(one)) < 0)
        return;
}

void worker_loop_report(struct worker_loop *loop, uint32_t kinds)
{
    if (atomic_exchange(&loop->kinds, kinds) != kinds)
        worker_loop_wake(loop);
}

struct slot *worker_loop_slot(struct worker_loop *loop)
{
    return &loop->slot;
}

struct event_ring *worker_loop_events(struct worker_loop *loop)
{
    return loop->events;
}

const pol_worker *worker_loop_worker(const struct worker_loop *loop)
{
    return loop->options.worker;
}

enum worker_phase worker_loop_phase(const struct worker_loop *loop)
{
    return (enum worker_phase)atomic_load(&loop->phase);
}

const char *worker_loop_problem(const struct worker_loop *loop)
{
    return loop->options.port->problem(loop->options.port);
}

uint64_t worker_loop_turned(const struct worker_loop *loop)
{
    return atomic_load_explicit(&loop->turned, memory_order_relaxed);
}

bool worker_loop_waiting(const struct worker_loop *loop)
{
    return atomic_load_explicit(&loop->waiting, memory_order_relaxed);
}

uint64_t worker_loop_packets(const struct worker_loop *loop)
{
    return atomic_load_explicit(&loop->packets, memory_order_relaxed);
}

uint64_t worker_loop_incomplete(const struct worker_loop *loop)
{
    return atomic_load_explicit(&loop->incomplete, memory_order_relaxed);
}

pol_mono worker_loop_now(const struct worker_loop *loop)
{
    return atomic_load_explicit(&loop->now, memory_order_relaxed);
}

pol_wall worker_loop_wall(const struct worker_loop *loop, pol_mono at)
{
    return loop->options.port->epoch + at / 1000000;
}
