// SPDX-License-Identifier: Apache-2.0
#include "support/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "core/fs.h"
#include "core/log.h"

struct made_up_port {
    struct port port;
    struct node *node;
    uint8_t octets[40];
};

static pol_mono now(const struct port *port)
{
    const struct made_up_port *self = (const struct made_up_port *)port;

    return (999 + self->node->sent) * POL_SECONDS;
}

static int receive(struct port *port, struct port_frame ret_frames[PORT_BURST])
{
    struct made_up_port *self = (struct made_up_port *)port;
    unsigned number = self->node->sent;

    if (number == self->node->frames)
        return self->node->end;

    self->octets[19] = (uint8_t)(number + 1);
    self->node->sent = number + 1;
    ret_frames[0] = (struct port_frame){
        .octets = {self->octets, sizeof(self->octets)},
        .wire_len = sizeof(self->octets),
        .link = POL_LINK_RAW_IP,
        .at = (1000 + number) * POL_SECONDS,
    };
    return 1;
}

static const char *problem(const struct port *port)
{
    (void)port;
    return "packet 7 is made of cheese";
}

static void flush(struct port *port)
{
    (void)port;
}

static void close_port(struct port *port)
{
    free(port);
}

static const struct port_kind made_up_kind = {
    .now = now, .receive = receive, .problem = problem, .flush = flush, .close = close_port};

static struct port *make_port(struct node *node)
{
    /* RFC 791 3.1 and RFC 9293 3.1: a SYN from 10.0.0.1:40000 to 203.0.113.x:443. */
    static const uint8_t syn[40] = {0x45, 0, 0, 40, 0,   0, 0,   0, 64,   6,    0, 0,
                                    10,   0, 0, 1,  203, 0, 113, 0, 0x9c, 0x40, 1, 0xbb,
                                    0,    0, 0, 9,  0,   0, 0,   0, 0x50, 2};
    struct made_up_port *self = calloc(1, sizeof(*self));

    self->port.kind = &made_up_kind;
    self->node = node;
    memcpy(self->octets, syn, sizeof(syn));
    return &self->port;
}

static void on_start(void *user, pol_mono now)
{
    struct node *node = user;

    node->starts++;
    node->started_at = now;
    observe_restore_grants(node->observe, now);
}

static void on_events(void *user)
{
    struct node *node = user;

    control_wake(node->control);
}

static void make_loop(struct node *node)
{
    struct worker_loop_options options = {
        .port = make_port(node),
        .event_capacity = node->event_capacity ? node->event_capacity : 64,
        .on_start = on_start,
        .on_events = on_events,
        .user = node,
    };
    pol_worker_options worker;

    pol_worker_options_init(&worker, sizeof(worker));
    worker.grants = node->grants;
    worker.flow_capacity = 64;
    cr_assert_eq(pol_worker_new(node->ctx, &worker, &options.worker), POL_OK);
    cr_assert_eq(worker_loop_new(&options, &node->loops[0]), 0);
}

static void make_control(struct node *node)
{
    struct readiness_options readiness = {node->ctx, node->publish, node->loops,
                                          1,         node->grants,  .learns = true};
    struct observe_options observe = {.ctx = node->ctx,
                                      .max_findings = 100,
                                      .grants = node->grants,
                                      .publish = node->publish,
                                      .loops = node->loops,
                                      .loop_count = 1,
                                      .store = node->store};
    struct control_options control = {
        .publish = node->publish, .store = node->store, .policy_pinned = node->policy_pinned};

    cr_assert_eq(performance_new(node->store, &node->performance), 0);
    cr_assert_eq(tap_hub_new(store_node_id(node->store), 2, &node->tap), 0);
    observe.performance = control.performance = node->performance;
    observe.tap = control.tap = node->tap;
    cr_assert_eq(readiness_new(&readiness, &node->readiness), 0);
    cr_assert_eq(observe_new(&observe, &node->observe), 0);
    control.readiness = node->readiness;
    control.observe = node->observe;
    cr_assert_eq(control_new(&control, &node->control), 0);
}

void node_make(struct node *node)
{
    pol_grants_options grants;
    struct text error = {0};

    log_set_level(LOG_LEVEL_ERROR);
    pol_grants_options_init(&grants, sizeof(grants));
    grants.capacity = 64;
    if (!node->dir)
        cr_assert_eq(fs_make_temp_dir(&node->dir), 0);
    cr_assert_eq(store_open(node->dir, &node->store, &error), 0, "%s", error.ptr);
    cr_assert_eq(pol_ctx_new(NULL, &node->ctx), POL_OK);
    cr_assert_eq(pol_grants_new(node->ctx, &grants, &node->grants), POL_OK);
    make_loop(node);
    cr_assert_eq(publish_new(node->loops, 1, &node->publish), 0);
    make_control(node);
}

void node_free(struct node *node)
{
    cr_assert(worker_loop_stop(node->loops[0], UINT64_C(5000000000)));
    control_stop(node->control);
    control_free(node->control);
    observe_free(node->observe);
    tap_hub_free(node->tap);
    performance_free(node->performance);
    readiness_free(node->readiness);
    publish_free(node->publish);
    worker_loop_free(node->loops[0]);
    pol_grants_free(node->grants);
    pol_ctx_unref(node->ctx);
    store_close(node->store);
    fs_remove_dir(node->dir);
    free(node->dir);
}

void node_run_worker(struct node *node)
{
    cr_assert_eq(worker_loop_start(node->loops[0], "worker-0"), 0);
}

void node_wait_for(struct node *node, enum worker_phase phase)
{
    struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < 10000 && worker_loop_phase(node->loops[0]) != phase; i++)
        nanosleep(&pause, NULL);
    cr_assert_eq(worker_loop_phase(node->loops[0]), phase);
}

pol_policy *node_compile(struct node *node, const char *document)
{
    pol_policy *policy = NULL;

    cr_assert_eq(pol_compile(node->ctx, (pol_str){document, strlen(document)}, NULL, &policy, NULL),
                 POL_OK);
    return policy;
}

pol_policy *node_publish(struct node *node, const char *document, uint64_t generation)
{
    pol_policy *policy = node_compile(node, document);

    cr_assert_eq(publish_send(node->publish, policy, generation), 0);
    return policy;
}
