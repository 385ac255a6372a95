// SPDX-License-Identifier: Apache-2.0
#include "control/observe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libpolicy/json.h>

#include "core/json.h"
#include "core/log.h"

#define GRANT_BATCH   64
#define FINDING_BATCH 256
#define AUDIT_KINDS   (1u << POL_EV_DENY | 1u << POL_EV_DNS)

struct observe {
    struct observe_options options;
    pol_audit *audit;
    pol_finding *unsaved; /* taken from the audit, not yet committed: at most FINDING_BATCH */
    size_t unsaved_count;
    pol_grant *remembered; /* from the store, until the first packet tells the time */
    size_t remembered_count, remembered_capacity;
    uint64_t grants_written; /* learned and refreshed together, when grants were last written */
};

static void restore_finding(void *user, const pol_finding *finding)
{
    struct observe *observe = user;

    if (pol_audit_restore(observe->audit, finding) != POL_OK)
        log_warn("store: a finding could not be read back");
}

static void remember_grant(void *user, const pol_grant *grant)
{
    struct observe *observe = user;
    size_t capacity = observe->remembered_capacity ? observe->remembered_capacity * 2 : 256;
    pol_grant *grown;

    if (observe->remembered_count == observe->remembered_capacity) {
        grown = realloc(observe->remembered, capacity * sizeof(*grown));
        if (!grown)
            return;
        observe->remembered = grown;
        observe->remembered_capacity = capacity;
    }
    observe->remembered[observe->remembered_count++] = *grant;
}

/* What nobody reads is not made. */
static void ask_for_events(const struct observe *observe)
{
    uint32_t kinds = performance_is_enabled(observe->options.performance)
                         ? AUDIT_KINDS | tap_hub_kinds(observe->options.tap)
                         : 0;

    for (size_t i = 0; i < observe->options.loop_count; i++)
        worker_loop_report(observe->options.loops[i], kinds);
}

static bool skip_finding(void *user, const pol_finding *finding)
{
    (void)user;
    (void)finding;
    return true;
}

int observe_new(const struct observe_options *options, struct observe **ret_observe)
{
    struct observe *observe = calloc(1, sizeof(*observe));
    int rc;

    if (!observe)
        return -ENOMEM;

    observe->options = *options;
    observe->unsaved = calloc(FINDING_BATCH, sizeof(*observe->unsaved));
    if (!observe->unsaved) {
        rc = -ENOMEM;
        goto out;
    }
    if (pol_audit_new(options->ctx, options->max_findings, &observe->audit) != POL_OK) {
        rc = -ENOMEM;
        goto out;
    }

    rc = store_findings(options->store, restore_finding, observe);
    if (rc == 0)
        rc = store_grants(options->store, remember_grant, observe);
    if (rc < 0)
        goto out;

    /* What was just read need not be written again. */
    pol_audit_changes(observe->audit, skip_finding, NULL);
    ask_for_events(observe);
    *ret_observe = observe;
    observe = NULL;

out:
    observe_free(observe);
    return rc;
}

void observe_free(struct observe *observe)
{
    if (!observe)
        return;

    pol_audit_free(observe->audit);
    free(observe->unsaved);
    free(observe->remembered);
    free(observe);
}

static void add_finding(struct observe *observe, const pol_policy *policy, const pol_event *event,
                        pol_wall wall)
{
    int rc = pol_audit_add(observe->audit, policy, observe->options.grants, event, wall);

    if (rc != POL_OK)
        log_warn("audit: %s", pol_status_text(rc));
}

static void take_in(struct observe *observe, const struct worker_loop *loop, const pol_event *event)
{
    const pol_policy *policy = publish_find(observe->options.publish, event->verdict.generation);

    if (!policy && event->verdict.generation != 0)
        return;

    if (AUDIT_KINDS & 1u << event->kind)
        add_finding(observe, policy, event, worker_loop_wall(loop, event->at));
    tap_hub_offer(observe->options.tap, event, policy, worker_loop_wall(loop, event->last));
}

static void collect_from(struct observe *observe, struct worker_loop *loop)
{
    struct event_ring *ring = worker_loop_events(loop);
    const pol_event *events;
    bool wanted = performance_is_enabled(observe->options.performance);
    size_t count;

    while ((events = event_ring_waiting(ring, &count)) && count) {
        for (size_t i = 0; i < count && wanted; i++)
            take_in(observe, loop, &events[i]);
        event_ring_done(ring, count);
    }
}

void observe_collect(struct observe *observe)
{
    uint64_t oldest;

    /* Asked first: a worker hands over the events of a policy before it takes the next one, so
     * afterwards no event of an older policy can be on its way. */
    publish_applied(observe->options.publish, &oldest);
    for (size_t i = 0; i < observe->options.loop_count; i++)
        collect_from(observe, observe->options.loops[i]);
    publish_forget(observe->options.publish, oldest);
    ask_for_events(observe);
}

static bool take_unsaved(void *user, const pol_finding *finding)
{
    struct observe *observe = user;

    if (observe->unsaved_count == FINDING_BATCH)
        return false;

    observe->unsaved[observe->unsaved_count++] = *finding;
    return true;
}

/* What was put is undone unless the whole transaction ends on the disk. */
static int end_transaction(struct observe *observe, int rc)
{
    if (rc == 0)
        return store_observed_commit(observe->options.store);

    store_observed_undo(observe->options.store);
    return rc;
}

static int save_unsaved(struct observe *observe)
{
    int rc;

    rc = store_observed_begin(observe->options.store);
    if (rc < 0)
        return rc;

    for (size_t i = 0; i < observe->unsaved_count && rc == 0; i++)
        rc = store_finding_put(observe->options.store, &observe->unsaved[i]);
    rc = end_transaction(observe, rc);
    if (rc == 0)
        observe->unsaved_count = 0;
    return rc;
}

/*
 * The audit forgets what it has handed over, but rows can be lost as late as in the commit. So they
 * are kept until it succeeded, and otherwise written again next time, before what changed since.
 */
static int save_findings(struct observe *observe)
{
    bool more;
    int rc = 0;

    do {
        pol_audit_changes(observe->audit, take_unsaved, observe);
        more = observe->unsaved_count == FINDING_BATCH;
        if (observe->unsaved_count)
            rc = save_unsaved(observe);
    } while (rc == 0 && more);
    return rc;
}

static pol_mono newest_moment(const struct observe *observe)
{
    return worker_loop_now(observe->options.loops[0]);
}

/* The store keeps moments as times of day, since the next process has another clock. */
static uint64_t since_1970(const struct observe *observe, pol_mono at)
{
    return worker_loop_wall(observe->options.loops[0], at) * 1000000 + at % 1000000;
}

static int save_grant(struct observe *observe, pol_grant *grant)
{
    grant->learned = since_1970(observe, grant->learned);
    grant->answered = since_1970(observe, grant->answered);
    grant->used = since_1970(observe, grant->used);
    if (grant->expires != POL_NEVER)
        grant->expires = since_1970(observe, grant->expires);
    return store_grant_put(observe->options.store, grant);
}

static int put_grants(struct observe *observe)
{
    pol_grant grants[GRANT_BATCH];
    pol_mono now = newest_moment(observe);
    uint32_t position = 0;
    size_t count = GRANT_BATCH;
    int rc;

    rc = store_grants_expire(observe->options.store, since_1970(observe, now));
    while (rc == 0 && count == GRANT_BATCH) {
        count = pol_grants_list(observe->options.grants, &position, now, grants, GRANT_BATCH);
        for (size_t i = 0; i < count && rc == 0; i++)
            rc = save_grant(observe, &grants[i]);
    }
    return rc;
}

static int save_grants(struct observe *observe)
{
    int rc;

    rc = store_observed_begin(observe->options.store);
    if (rc < 0)
        return rc;
    return end_transaction(observe, put_grants(observe));
}

void observe_save(struct observe *observe, bool all)
{
    pol_grants_stats stats;
    uint64_t answers;

    if (save_findings(observe) < 0)
        return;

    pol_grants_stats_get(observe->options.grants, &stats);
    answers = stats.learned + stats.refreshed;
    if (!(all && answers) && answers == observe->grants_written)
        return;

    if (save_grants(observe) == 0)
        observe->grants_written = answers;
}

struct listing {
    struct observe *observe;
    struct text *out;
    const pol_finding *finding; /* the current one */
    size_t start;               /* where the list began, to tell the first one */
};

static int write_finding(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    const struct listing *listing = object;
    const char *node_id = store_node_id(listing->observe->options.store);

    return pol_json_finding(listing->finding, (pol_str){node_id, strlen(node_id)}, buf, capacity,
                            ret_len);
}

static bool list_finding(void *user, const pol_finding *finding)
{
    struct listing *listing = user;

    listing->finding = finding;
    text_add(listing->out, listing->out->len > listing->start ? "," : "");
    json_append(listing->out, write_finding, listing);
    return !listing->out->failed;
}

void observe_findings(struct observe *observe, const pol_audit_query *query, struct text *out)
{
    struct listing listing = {.observe = observe, .out = out, .start = out->len};

    if (pol_audit_find(observe->audit, query, list_finding, &listing) < 0)
        out->failed = true;
}

/* A grant cannot be known before it was learned, so an older capture does not profit from it. */
void observe_restore_grants(struct observe *observe, pol_mono now)
{
    for (size_t i = 0; i < observe->remembered_count; i++)
        if (observe->remembered[i].learned <= now)
            pol_grants_restore(observe->options.grants, &observe->remembered[i], now);

    free(observe->remembered);
    observe->remembered = NULL;
    observe->remembered_count = 0;
}
