// SPDX-License-Identifier: Apache-2.0
#include "control/readiness.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpolicy/json.h>

#include "capture/capture.h"
#include "core/clock.h"
#include "core/json.h"

#define TURN_LIMIT_NS UINT64_C(1000000000)

struct readiness {
    struct readiness_options options;
    struct attach *attach; /* NULL: no interface */
    pthread_mutex_t lock;  /* of what follows */
    pol_ready *ready;
    bool draining;
    char refusal[POL_READY_DETAIL]; /* of the stored policy; empty: none */
};

int readiness_new(const struct readiness_options *options, struct readiness **ret_readiness)
{
    static const char *const names[] = POL_READY_CHECKS;
    struct readiness *readiness = calloc(1, sizeof(*readiness));

    if (!readiness)
        return -ENOMEM;

    if (pol_ready_new(options->ctx, names, sizeof(names) / sizeof(names[0]), &readiness->ready) !=
        POL_OK) {
        free(readiness);
        return -ENOMEM;
    }

    readiness->options = *options;
    pthread_mutex_init(&readiness->lock, NULL);
    *ret_readiness = readiness;
    return 0;
}

void readiness_free(struct readiness *readiness)
{
    if (!readiness)
        return;

    pol_ready_free(readiness->ready);
    pthread_mutex_destroy(&readiness->lock);
    free(readiness);
}

void readiness_watch_ports(struct readiness *readiness, struct attach *attach)
{
    readiness->attach = attach;
}

static bool has_item(const struct config_list *list, pol_str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strlen(list->items[i]) == name.len && memcmp(list->items[i], name.ptr, name.len) == 0)
            return true;
    return false;
}

void readiness_advise(struct readiness *readiness, const struct config_list *advisory)
{
    static const char *const names[] = POL_READY_CHECKS;

    pthread_mutex_lock(&readiness->lock);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        pol_ready_advise(readiness->ready, names[i],
                         has_item(advisory, (pol_str){names[i], strlen(names[i])}));
    pthread_mutex_unlock(&readiness->lock);
}

void readiness_drain(struct readiness *readiness)
{
    pthread_mutex_lock(&readiness->lock);
    readiness->draining = true;
    pthread_mutex_unlock(&readiness->lock);
}

void readiness_refuse_policy(struct readiness *readiness, const char *reason)
{
    pthread_mutex_lock(&readiness->lock);
    snprintf(readiness->refusal, sizeof(readiness->refusal), "%s", reason ? reason : "");
    pthread_mutex_unlock(&readiness->lock);
}

/* What is worth knowing of a dataplane that runs; empty: nothing. */
static void describe_running(const struct readiness *readiness, bool finished,
                             char detail[POL_READY_DETAIL])
{
    uint64_t packets = 0, incomplete = 0;

    for (size_t i = 0; i < readiness->options.loop_count; i++) {
        incomplete += worker_loop_incomplete(readiness->options.loops[i]);
        packets += worker_loop_packets(readiness->options.loops[i]);
    }

    snprintf(detail, POL_READY_DETAIL, "%s", finished ? "capture finished" : "");
    if (incomplete)
        snprintf(detail, POL_READY_DETAIL, "%s%" PRIu64 " of %" PRIu64 " packets %s",
                 finished ? "capture finished; " : "", incomplete, packets, CAPTURE_INCOMPLETE);
}

/* Why a worker does not work; empty: it does. */
static void describe_worker(const struct worker_loop *loop, size_t number,
                            char detail[POL_READY_DETAIL])
{
    uint64_t turned = worker_loop_turned(loop), now = clock_mono();
    uint64_t late = now > turned ? now - turned : 0;

    *detail = '\0';
    if (worker_loop_phase(loop) == WORKER_FAILED)
        snprintf(detail, POL_READY_DETAIL, "%s", worker_loop_problem(loop));
    else if (turned == 0)
        snprintf(detail, POL_READY_DETAIL, "worker-%zu has not started", number);
    else if (late > TURN_LIMIT_NS && worker_loop_waiting(loop))
        snprintf(detail, POL_READY_DETAIL,
                 "worker-%zu waits for the control thread, which has taken no events for "
                 "%" PRIu64 " ms; the store is slow or stands still: see the log, and whether "
                 "the disk of state.dir is full or busy",
                 number, late / 1000000);
    else if (late > TURN_LIMIT_NS)
        snprintf(detail, POL_READY_DETAIL, "worker-%zu has been stuck for %" PRIu64 " ms", number,
                 late / 1000000);
}

static bool has_finished(const struct readiness *readiness)
{
    for (size_t i = 0; i < readiness->options.loop_count; i++)
        if (worker_loop_phase(readiness->options.loops[i]) != WORKER_FINISHED)
            return false;
    return true;
}

static bool check_running(struct readiness *readiness)
{
    char detail[POL_READY_DETAIL] = "";
    bool ok;

    for (size_t i = 0; !*detail && i < readiness->options.loop_count; i++)
        describe_worker(readiness->options.loops[i], i, detail);
    if (!*detail && readiness->attach)
        attach_missing(readiness->attach, detail, sizeof(detail));

    ok = !*detail;
    if (ok)
        describe_running(readiness, has_finished(readiness), detail);
    pol_ready_set(readiness->ready, "dataplane_running", ok, *detail ? detail : NULL);
    return ok;
}

/* A capture that cannot be opened ends the start, so there is none to complain about here. */
static void check_config(struct readiness *readiness)
{
    char detail[POL_READY_DETAIL] = "";

    if (readiness->attach)
        attach_wrong(readiness->attach, detail, sizeof(detail));
    pol_ready_set(readiness->ready, "dataplane_config", !*detail, *detail ? detail : NULL);
}

/* Which worker still decides by another policy than the newest; empty: none. */
static void describe_laggard(const struct readiness *readiness, uint64_t newest,
                             char detail[POL_READY_DETAIL])
{
    *detail = '\0';
    for (size_t i = 0; !*detail && i < readiness->options.loop_count; i++) {
        uint64_t applied = slot_applied(worker_loop_slot(readiness->options.loops[i]));

        if (applied != newest)
            snprintf(detail, POL_READY_DETAIL,
                     "generation %" PRIu64 " is published, worker-%zu still decides by %" PRIu64,
                     newest, i, applied);
    }
}

static void check_policy(struct readiness *readiness)
{
    char detail[POL_READY_DETAIL];
    uint64_t generation;

    pol_policy_unref(publish_current(readiness->options.publish, &generation));
    if (*readiness->refusal)
        snprintf(detail, sizeof(detail), "%s", readiness->refusal);
    else
        describe_laggard(readiness, generation, detail);
    pol_ready_set(readiness->ready, "policy_ready", !*detail, *detail ? detail : NULL);
}

static void check_dns(struct readiness *readiness, uint32_t needs, bool running)
{
    char detail[POL_READY_DETAIL] = "";
    pol_grants_stats stats;

    pol_grants_stats_get(readiness->options.grants, &stats);
    if (needs & POL_NEEDS_DNS && !running)
        snprintf(detail, sizeof(detail),
                 "rules have hostnames, but no DNS is learned: the dataplane is not running");
    else if (needs & POL_NEEDS_DNS && !readiness->options.learns)
        snprintf(detail, sizeof(detail),
                 "rules have hostnames, but no resolver is trusted, so no address is ever learned; "
                 "set dns.trusted_resolvers (--trust-resolver ADDR)");
    else if (needs & POL_NEEDS_DNS && stats.live >= stats.capacity)
        snprintf(detail, sizeof(detail),
                 "all %" PRIu32 " grants are in use; raise dataplane.dns_allowlist_capacity",
                 stats.capacity);

    pol_ready_set(readiness->ready, "dns_allowlist", !*detail, *detail ? detail : NULL);
}

static void check_all(struct readiness *readiness)
{
    uint64_t generation;
    pol_policy *policy = publish_current(readiness->options.publish, &generation);
    uint32_t needs = pol_policy_needs(policy);
    bool intercepts = (needs & POL_NEEDS_INTERCEPT) != 0, running;

    pol_policy_unref(policy);
    running = check_running(readiness);
    check_config(readiness);
    check_policy(readiness);
    check_dns(readiness, needs, running);
    pol_ready_set(readiness->ready, "service_plane", !intercepts,
                  intercepts
                      ? "a rule in force intercepts TLS, and nothing here does: such flows are "
                        "dropped on a wire, and reported on a capture or monitor port"
                      : NULL);
    pol_ready_set(readiness->ready, "draining", !readiness->draining,
                  readiness->draining ? "the daemon is stopping" : NULL);
    pol_ready_set(readiness->ready, "cluster", true, NULL);
    pol_ready_set(readiness->ready, "policy_replication", true, NULL);
}

static int write_report(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    return pol_json_ready(object, buf, capacity, ret_len);
}

bool readiness_report(struct readiness *readiness, struct text *out)
{
    bool ok;

    pthread_mutex_lock(&readiness->lock);
    check_all(readiness);
    ok = pol_ready_ok(readiness->ready);
    json_append(out, write_report, readiness->ready);
    pthread_mutex_unlock(&readiness->lock);
    return ok;
}
