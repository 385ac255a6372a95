// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mailbox.h"
#include "core/thread.h"

#define MAILBOX_CAPACITY 64
#define PAUSE_NS         UINT64_C(100000000)   /* longest wait between two collections */
#define SAVE_NS          UINT64_C(1000000000)  /* how far the store may be behind */
#define SAVE_ALL_NS      UINT64_C(30000000000) /* and with the last use of grants */
#define APPLY_NS         UINT64_C(2000000000)  /* how long workers may take for a policy */

/* One question. It lives on the asker's stack, who waits until it is answered. */
struct task {
    enum control_result (*run)(struct control *control, void *arg);
    void *arg;
    enum control_result result;
    bool answered;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct control {
    struct control_options options;
    struct mailbox *mailbox;
    struct thread thread;
    _Atomic(bool) stopping;
    uint64_t saved, saved_all; /* clock_mono() of the last time */
};

int control_new(const struct control_options *options, struct control **ret_control)
{
    struct control *control = calloc(1, sizeof(*control));
    int rc;

    if (!control)
        return -ENOMEM;

    rc = mailbox_new(MAILBOX_CAPACITY, &control->mailbox);
    if (rc < 0) {
        free(control);
        return rc;
    }

    control->options = *options;
    if (!performance_is_enabled(options->performance))
        tap_hub_suspend(options->tap, PERFORMANCE_NO_TAP);
    *ret_control = control;
    return 0;
}

void control_free(struct control *control)
{
    if (!control)
        return;

    mailbox_free(control->mailbox);
    free(control);
}

void control_wake(struct control *control)
{
    mailbox_wake(control->mailbox);
}

static void answer(struct task *task, enum control_result result)
{
    pthread_mutex_lock(&task->lock);
    task->result = result;
    task->answered = true;
    pthread_cond_signal(&task->changed);
    pthread_mutex_unlock(&task->lock);
}

static enum control_result ask(struct control *control,
                               enum control_result (*run)(struct control *control, void *arg),
                               void *arg)
{
    struct task task = {.run = run,
                        .arg = arg,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};

    if (!mailbox_post(control->mailbox, &task))
        return control->stopping ? CONTROL_STOPPING : CONTROL_BUSY;

    pthread_mutex_lock(&task.lock);
    while (!task.answered)
        pthread_cond_wait(&task.changed, &task.lock);
    pthread_mutex_unlock(&task.lock);
    return task.result;
}

static void save_when_due(struct control *control)
{
    uint64_t now = clock_mono();
    bool all = now - control->saved_all >= SAVE_ALL_NS;

    if (now - control->saved < SAVE_NS)
        return;

    observe_save(control->options.observe, all);
    control->saved = now;
    if (all)
        control->saved_all = now;
}

static void *run(void *arg)
{
    struct control *control = arg;
    struct task *task;

    do {
        task = mailbox_take(control->mailbox, PAUSE_NS);
        observe_collect(control->options.observe);
        if (task)
            answer(task, task->run(control, task->arg));
        save_when_due(control);
    } while (task || !control->stopping);

    observe_collect(control->options.observe);
    observe_save(control->options.observe, true);
    return NULL;
}

int control_start(struct control *control)
{
    return thread_start(&control->thread, "control", run, control);
}

void control_stop(struct control *control)
{
    control->stopping = true;
    mailbox_close(control->mailbox);
    thread_join(&control->thread);
}

/* What the node says of itself; a quote in the detail of a check would be escaped. */
static bool is_draining(struct control *control)
{
    struct text report = {0};
    bool draining;

    readiness_report(control->options.readiness, &report);
    draining = report.ptr && strstr(report.ptr, "{\"name\":\"draining\",\"ok\":false");
    text_fini(&report);
    return draining;
}

/* Workers go on handing over events meanwhile; one that waits for room could take no policy. */
static bool wait_until_applied(struct control *control, uint64_t *ret_slowest)
{
    uint64_t deadline = clock_mono() + APPLY_NS;
    struct timespec pause = {.tv_nsec = 1000000};

    while (!publish_applied(control->options.publish, ret_slowest)) {
        if (clock_mono() > deadline || is_draining(control))
            return false;
        observe_collect(control->options.observe);
        nanosleep(&pause, NULL);
    }
    return true;
}

struct application {
    pol_policy *policy;
    bool from_file;
    pol_ctx *ctx; /* NULL: the policy is as it should be */
    pol_str document;
    bool default_allow; /* what the document was compiled with */
    pol_diags *diags;
    struct control_applied applied;
};

/* The policy before goes out again, under a number that tells it from the one given up. */
static void roll_back(struct control *control, pol_policy *before, struct control_applied *applied)
{
    applied->in_force = applied->generation + 1;
    if (publish_send(control->options.publish, before, applied->in_force) < 0)
        log_error("policy: out of memory while going back; generation %llu is in force",
                  (unsigned long long)applied->generation);
    store_policy_drop(control->options.store, applied->generation, applied->in_force);
}

static enum control_result publish_and_wait(struct control *control, struct application *what,
                                            pol_policy *before)
{
    struct control_applied *applied = &what->applied;

    if (publish_send(control->options.publish, what->policy, applied->generation) < 0 ||
        !wait_until_applied(control, &applied->slowest)) {
        roll_back(control, before, applied);
        return is_draining(control) ? CONTROL_STOPPING : CONTROL_TIMED_OUT;
    }

    if (store_policy_activate(control->options.store, applied->generation) < 0) {
        roll_back(control, before, applied);
        return CONTROL_STORE;
    }

    publish_accept(control->options.publish, what->policy);
    applied->in_force = applied->generation;
    readiness_refuse_policy(control->options.readiness, NULL);
    log_info("policy: generation %llu is in force", (unsigned long long)applied->generation);
    return CONTROL_DONE;
}

static enum control_result compile(struct application *what, bool default_allow)
{
    pol_compile_options options;
    int rc;

    pol_policy_unref(what->policy);
    what->policy = NULL;
    pol_diags_free(what->diags);
    what->diags = NULL;

    pol_compile_options_init(&options, sizeof(options));
    options.default_allow = what->default_allow = default_allow;
    rc = pol_compile(what->ctx, what->document, &options, &what->policy, &what->diags);
    return rc == POL_OK ? CONTROL_DONE : rc == POL_E_POLICY ? CONTROL_REFUSED : CONTROL_MEMORY;
}

/* The policy accepted meanwhile may have another default than was assumed when compiling. */
static enum control_result settle_default(struct application *what, const pol_policy *before)
{
    bool default_allow = pol_policy_default_allow(before);

    if (!what->ctx || what->default_allow == default_allow ||
        pol_policy_default_allow(what->policy) != what->default_allow)
        return CONTROL_DONE;
    return compile(what, default_allow);
}

static bool same_document(const pol_policy *a, const pol_policy *b)
{
    uint8_t digest_a[32], digest_b[32];

    pol_policy_digest(a, digest_a);
    pol_policy_digest(b, digest_b);
    return memcmp(digest_a, digest_b, sizeof(digest_a)) == 0;
}

static enum control_result keep(struct control *control, struct application *what)
{
    what->applied.generation = what->applied.in_force;
    readiness_refuse_policy(control->options.readiness, NULL);
    log_info("policy: the file has not changed; generation %llu stays in force",
             (unsigned long long)what->applied.in_force);
    return CONTROL_DONE;
}

static enum control_result replace(struct control *control, struct application *what,
                                   pol_policy *before)
{
    enum control_result result = settle_default(what, before);
    struct text document = {0};

    if (result != CONTROL_DONE)
        return result;

    if (!control_policy_json(what->policy, &document) ||
        store_policy_add(control->options.store, document.ptr, document.len, what->applied.in_force,
                         &what->applied.generation) < 0)
        result = CONTROL_STORE;
    else
        result = publish_and_wait(control, what, before);
    text_fini(&document);
    return result;
}

static enum control_result apply(struct control *control, void *arg)
{
    struct application *what = arg;
    enum control_result result;
    pol_policy *before = publish_accepted(control->options.publish);

    pol_policy_unref(publish_current(control->options.publish, &what->applied.in_force));
    if (control->options.policy_pinned && !what->from_file)
        result = CONTROL_PINNED;
    else if (is_draining(control))
        result = CONTROL_STOPPING;
    else if (what->from_file && same_document(what->policy, before))
        result = keep(control, what);
    else
        result = replace(control, what, before);

    pol_policy_unref(before);
    return result;
}

enum control_result control_apply(struct control *control, pol_policy *policy, bool from_file,
                                  struct control_applied *ret_applied)
{
    struct application what = {.policy = policy, .from_file = from_file};
    enum control_result result = ask(control, apply, &what);

    *ret_applied = what.applied;
    return result;
}

enum control_result control_put(struct control *control, pol_ctx *ctx, pol_str document,
                                struct control_applied *ret_applied, pol_policy **ret_policy,
                                pol_diags **ret_diags)
{
    struct application what = {.ctx = ctx, .document = document};
    enum control_result result;

    if (control->stopping || is_draining(control))
        result = CONTROL_STOPPING;
    else
        result = compile(&what, control_default_allow(control));
    if (result == CONTROL_DONE)
        result = ask(control, apply, &what);

    *ret_applied = what.applied;
    *ret_policy = what.policy;
    *ret_diags = what.diags;
    return result;
}

struct search {
    const pol_audit_query *query;
    struct text *out;
};

/* Whoever was shown a finding will find it again after a crash. */
static enum control_result search(struct control *control, void *arg)
{
    struct search *what = arg;

    observe_findings(control->options.observe, what->query, what->out);
    observe_save(control->options.observe, false);
    return CONTROL_DONE;
}

enum control_result control_findings(struct control *control, const pol_audit_query *query,
                                     struct text *out)
{
    struct search what = {query, out};

    return ask(control, search, &what);
}

static enum control_result set_performance(struct control *control, void *arg)
{
    const bool *enabled = arg;

    if (performance_set(control->options.performance, *enabled) < 0)
        return CONTROL_STORE;

    if (*enabled)
        tap_hub_resume(control->options.tap);
    else
        tap_hub_suspend(control->options.tap, PERFORMANCE_NO_TAP);
    observe_collect(control->options.observe);
    observe_save(control->options.observe, false);
    log_info("performance mode is %s", *enabled ? "enabled" : "disabled");
    return CONTROL_DONE;
}

enum control_result control_set_performance(struct control *control, bool enabled)
{
    return ask(control, set_performance, &enabled);
}

static int write_policy(const void *object, char *buf, size_t capacity, size_t *ret_len)
{
    return pol_policy_json(object, buf, capacity, ret_len);
}

bool control_policy_json(const pol_policy *policy, struct text *out)
{
    json_append(out, write_policy, policy);
    return !out->failed;
}

bool control_default_allow(struct control *control)
{
    pol_policy *policy = publish_accepted(control->options.publish);
    bool result = pol_policy_default_allow(policy);

    pol_policy_unref(policy);
    return result;
}
