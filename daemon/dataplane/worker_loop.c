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
#include "dataplane/offload.h"
#include "dataplane/steer.h"

#define TICK_BUDGET 256
#define IDLE_MS     200
#define ROOM_NS     500000     /* how long to wait for the control thread to make room */
#define ACCOUNT_NS  1000000000 /* how old the kernel's counters may be */
#define TELL_NS     1000000000 /* how often the worker is told the time of day */
#define CAPTURE_MS  1000000    /* the first moment of a capture's clock that is one of 1970 */

struct worker_loop {
    struct worker_loop_options options;
    struct slot slot;
    struct event_ring *events;
    struct thread thread;
    int wake;           /* eventfd */
    bool started;       /* the first packet was seen */
    uint64_t busy;      /* clock_mono() of the last burst that held a frame */
    uint64_t told;      /* clock_mono() of when the worker was told the time of day */
    uint64_t accounted; /* clock_mono() of when the port was last asked for its counters */
    struct steer steer;
    struct {
        struct port_frame frames[PORT_BURST];
        pol_packet packets[PORT_BURST];
        pol_verdict verdicts[PORT_BURST];
    } burst;
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
    steer_init(&loop->steer, options->port, options->refuse);
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

static struct port *port_of(const struct worker_loop *loop)
{
    return loop->options.port;
}

static pol_mono time_of(const struct port *port)
{
    return port->kind->live ? clock_steady() : port->kind->now(port);
}

static uint64_t turn(struct worker_loop *loop)
{
    uint64_t now = clock_mono();

    atomic_store_explicit(&loop->turned, now, memory_order_relaxed);
    atomic_store_explicit(&loop->waiting, false, memory_order_relaxed);
    return now;
}

/* --- events --------------------------------------------------------------------------------- */

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

/*
 * False when the control thread has no room for all. A wire does not wait for it: what is left
 * stays in the worker, which counts the events it has no room for either.
 */
static bool hand_over(struct worker_loop *loop)
{
    bool live = port_of(loop)->kind->live;
    size_t room, moved, total = 0;

    do {
        pol_event *at = event_ring_room(loop->events, &room);

        moved = room ? pol_worker_drain(loop->options.worker, at, room) : 0;
        event_ring_filled(loop->events, moved);
        total += moved;
        if (room == 0 && !live)
            wait_for_room(loop);
        else
            turn(loop);
    } while (moved == room && !(live && room == 0));

    if (total)
        loop->options.on_events(loop->options.user);
    return moved < room;
}

static void run_timers(struct worker_loop *loop, pol_mono now)
{
    while (pol_worker_deadline(loop->options.worker) <= now &&
           pol_worker_tick(loop->options.worker, now, TICK_BUDGET) == TICK_BUDGET)
        hand_over(loop);
}

/* --- frames --------------------------------------------------------------------------------- */

static void start_clock(struct worker_loop *loop, pol_mono now)
{
    if (loop->started)
        return;

    loop->started = true;
    if (loop->options.on_start)
        loop->options.on_start(loop->options.user, now);
}

static void take_apart(struct worker_loop *loop, size_t frames)
{
    uint64_t incomplete = 0;

    for (size_t i = 0; i < frames; i++) {
        const struct port_frame *frame = &loop->burst.frames[i];

        pol_packet_parse(frame->octets, (enum pol_link)frame->link, frame->wire_len,
                         &loop->burst.packets[i]);
        loop->burst.packets[i].side = frame->side;
        loop->burst.packets[i].segment_len = frame->segment;
        if (!offload_is_honest(frame, &loop->burst.packets[i]))
            loop->burst.packets[i].marks |= POL_MARK_MALFORMED;
        incomplete += frame->octets.len < frame->wire_len;
    }
    port_count(&loop->incomplete, incomplete);
}

/* How many frames from `first` on came at the same moment. */
static size_t moment_len(const struct worker_loop *loop, size_t first, size_t frames)
{
    size_t len = 1;

    while (first + len < frames &&
           loop->burst.frames[first + len].at == loop->burst.frames[first].at)
        len++;
    return len;
}

static void decide(struct worker_loop *loop, size_t frames)
{
    for (size_t first = 0, len; first < frames; first += len) {
        pol_mono at = loop->burst.frames[first].at;

        len = moment_len(loop, first, frames);
        start_clock(loop, at);
        run_timers(loop, at);
        pol_worker_decide_batch(loop->options.worker, &loop->burst.packets[first], len, at,
                                &loop->burst.verdicts[first]);
        atomic_store_explicit(&loop->now, at, memory_order_relaxed);
    }
}

/* Nothing acts on the verdict of a recorded packet; the worker's events and counters tell it. */
static void act(struct worker_loop *loop, size_t frames)
{
    for (size_t i = 0; port_of(loop)->kind->forward && i < frames; i++)
        steer_frame(&loop->steer, i, &loop->burst.frames[i], &loop->burst.packets[i],
                    &loop->burst.verdicts[i]);
    port_of(loop)->kind->flush(port_of(loop));
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

static void clear_wake(struct worker_loop *loop)
{
    uint64_t wakes;

    if (read(loop->wake, &wakes, sizeof(wakes)) < 0) /* nobody has woken it */
        return;
}

/* Looking a little longer is cheaper than falling asleep and being woken, while frames come. */
static void rest(struct worker_loop *loop, uint64_t now)
{
    if (now - loop->busy < loop->options.spin_ns)
        return;

    port_of(loop)->kind->wait(port_of(loop), loop->wake, IDLE_MS);
    clear_wake(loop);
}

static void read_burst(struct worker_loop *loop, uint64_t now)
{
    int frames = port_of(loop)->kind->receive(port_of(loop), loop->burst.frames);

    if (frames > 0) {
        take_apart(loop, (size_t)frames);
        decide(loop, (size_t)frames);
        act(loop, (size_t)frames);
        port_count(&loop->packets, (uint64_t)frames);
        loop->busy = now;
    } else if (frames == 0) {
        run_timers(loop, time_of(port_of(loop)));
    }

    hand_over(loop);
    if (frames < 0)
        end_reading(loop, frames);
    else if (frames == 0)
        rest(loop, now);
}

static void wait_for_policy(struct worker_loop *loop)
{
    struct pollfd wake = {.fd = loop->wake, .events = POLLIN};

    poll(&wake, 1, IDLE_MS);
    clear_wake(loop);
}

static void account(struct worker_loop *loop, uint64_t now)
{
    if (!port_of(loop)->kind->account || now - loop->accounted < ACCOUNT_NS)
        return;

    loop->accounted = now;
    port_of(loop)->kind->account(port_of(loop));
}

/* A capture's clock is the time of day; a live one reckons from what it was told last. */
static void tell_time(struct worker_loop *loop, uint64_t now)
{
    pol_mono at = port_of(loop)->kind->live ? clock_steady() : CAPTURE_MS;

    if (loop->told && now - loop->told < TELL_NS)
        return;

    loop->told = now;
    pol_worker_wall(loop->options.worker, at, worker_loop_wall(loop, at));
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
        uint64_t now = turn(loop);

        /* Events of the policy before are handed over first: publish.h. */
        if (slot_is_waiting(&loop->slot) && hand_over(loop))
            slot_apply(&loop->slot, loop->options.worker);
        choose_events(loop);
        account(loop, now);
        tell_time(loop, now);
        if (atomic_load(&loop->phase) == WORKER_READING)
            read_burst(loop, now);
        else
            wait_for_policy(loop);
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
    return port_of(loop)->kind->problem(port_of(loop));
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
    return port_of(loop)->kind->live ? clock_steady()
                                     : atomic_load_explicit(&loop->now, memory_order_relaxed);
}

struct port *worker_loop_port(struct worker_loop *loop)
{
    return port_of(loop);
}

const struct port_counters *worker_loop_port_counters(const struct worker_loop *loop)
{
    return &port_of(loop)->counters;
}

/* A live port's clock is steady; where the system's was set meanwhile, that is what counts. */
pol_wall worker_loop_wall(const struct worker_loop *loop, pol_mono at)
{
    return port_of(loop)->kind->live ? clock_wall() - (clock_steady() - at) / 1000000
                                     : at / 1000000;
}
