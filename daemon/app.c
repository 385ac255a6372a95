// SPDX-License-Identifier: Apache-2.0
/*
 * How the library is put to work, from top to bottom: a context, a grant table, a worker per
 * thread, a policy published to them, events collected into findings, readiness, and the API that
 * shows it all. An embedder who wants the same parts can follow steps[].
 */
#include "app.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <libpolicy/policy.h>

#include "control/boot.h"
#include "control/control.h"
#include "control/policy_file.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/secret.h"
#include "core/signals.h"
#include "dataplane.h"
#include "http/api.h"
#include "http/auth.h"
#include "http/server.h"

#define DRAIN_NS        250000000 /* how long /ready says so before the listener closes */
#define STOP_NS         UINT64_C(4000000000)
#define TOKEN_FILE_MOST 8192
#define TOKEN_LEAST     16

struct app {
    const struct config *config;
    bool temporary_state;
    char *state_dir;
    struct store *store;
    pol_ctx *ctx;
    pol_grants *grants;
    struct dataplane dataplane;
    struct publish *publish;
    struct performance *performance;
    struct tap_hub *tap;
    struct observe *observe;
    struct readiness *readiness;
    struct control *control;
    struct auth *auth;
    struct http_metrics *metrics;
    struct api api;
    struct route_context routes;
    struct server *server;
};

static int fail(struct text *error, int rc, const char *what)
{
    text_addf(error, "%s: %s\n", what, strerror(-rc));
    return rc;
}

static int open_store(struct app *app, struct text *error)
{
    int rc = 0;

    if (app->temporary_state)
        rc = fs_make_temp_dir(&app->state_dir);
    else if (!(app->state_dir = strdup(app->config->value.state.dir)))
        rc = -ENOMEM;
    if (rc < 0)
        return fail(error, rc, "state directory");

    rc = store_open(app->state_dir, &app->store, error);
    if (rc < 0)
        text_add(error, "\n");
    return rc;
}

static void log_for_library(void *user, enum pol_log_level level, pol_str message)
{
    (void)user;
    log_line((enum log_level)level, "%.*s", (int)message.len, message.ptr);
}

static int make_context(struct app *app, struct text *error)
{
    pol_ctx_options options;
    int rc;

    pol_ctx_options_init(&options, sizeof(options));
    options.log = log_for_library;
    rc = secret_random(options.hash_seed, sizeof(options.hash_seed));
    if (rc < 0)
        return fail(error, rc, "random numbers");

    return pol_ctx_new(&options, &app->ctx) == POL_OK ? 0 : fail(error, -ENOMEM, "context");
}

static int make_grants(struct app *app, struct text *error)
{
    pol_grants_options options;

    pol_grants_options_init(&options, sizeof(options));
    options.capacity = (uint32_t)app->config->value.dataplane.dns_allowlist_capacity;
    options.idle = app->config->value.dataplane.dns_allowlist_idle_secs * POL_SECONDS;
    options.idle_two_way = app->config->value.dataplane.dns_allowlist_flow_idle_secs * POL_SECONDS;
    return pol_grants_new(app->ctx, &options, &app->grants) == POL_OK
               ? 0
               : fail(error, -ENOMEM, "grant table");
}

static void on_start(void *user, pol_mono now)
{
    struct app *app = user;

    observe_restore_grants(app->observe, now);
}

static bool is_live(const struct app *app)
{
    return !app->config->value.dataplane.capture;
}

static void on_events(void *user)
{
    struct app *app = user;

    control_wake(app->control);
}

static int make_dataplane(struct app *app, struct text *error)
{
    struct dataplane_options options = {
        .config = app->config,
        .ctx = app->ctx,
        .grants = app->grants,
        .on_start = on_start,
        .on_events = on_events,
        .user = app,
    };

    return dataplane_make(&options, &app->dataplane, error);
}

static int make_readiness(struct app *app, struct text *error)
{
    struct readiness_options options = {
        .ctx = app->ctx,
        .publish = app->publish,
        .loops = app->dataplane.loops,
        .loop_count = app->dataplane.loop_count,
        .grants = app->grants,
        .learns = app->config->value.dataplane.inline_pair.count == 0 ||
                  app->config->value.dns.trusted_resolvers.count != 0,
    };
    int rc;

    rc = readiness_new(&options, &app->readiness);
    if (rc < 0)
        return fail(error, rc, "readiness");

    readiness_advise(app->readiness, &app->config->value.readiness.advisory);
    return 0;
}

static int publish_first(struct app *app, struct text *error)
{
    struct boot_options options = {
        .ctx = app->ctx,
        .store = app->store,
        .file = app->config->value.policy.file,
        .pin_file = app->config->value.policy.pin_file,
        .default_allow = app->config->value.policy.fallback == CONFIG_POLICY_ALLOW,
    };
    struct boot_policy boot;
    int rc;

    rc = boot_policy(&options, &boot, error);
    if (rc < 0)
        return rc;

    rc = publish_new(app->dataplane.loops, app->dataplane.loop_count, &app->publish);
    if (rc == 0)
        rc = publish_send(app->publish, boot.policy, boot.generation);
    pol_policy_unref(boot.policy);
    if (rc < 0)
        return fail(error, rc, "policy");

    rc = make_readiness(app, error);
    if (rc == 0 && boot.refused)
        readiness_refuse_policy(app->readiness,
                                "the stored policy is refused by this version; put another one");
    return rc;
}

static int make_diagnostics(struct app *app, struct text *error)
{
    int rc;

    rc = performance_new(app->store, &app->performance);
    if (rc == 0)
        rc = tap_hub_new(store_node_id(app->store), app->config->value.wiretap.max_streams,
                         &app->tap);
    return rc < 0 ? fail(error, rc, "performance mode and wiretap") : 0;
}

static int make_control(struct app *app, struct text *error)
{
    struct observe_options observe = {
        .ctx = app->ctx,
        .max_findings = (uint32_t)app->config->value.audit.max_findings,
        .grants = app->grants,
        .publish = app->publish,
        .loops = app->dataplane.loops,
        .loop_count = app->dataplane.loop_count,
        .store = app->store,
    };
    struct control_options control = {
        .publish = app->publish,
        .readiness = app->readiness,
        .store = app->store,
        .policy_pinned = app->config->value.policy.pin_file,
    };
    int rc;

    rc = make_diagnostics(app, error);
    if (rc < 0)
        return rc;

    observe.performance = control.performance = app->performance;
    observe.tap = control.tap = app->tap;
    rc = observe_new(&observe, &app->observe);
    if (rc < 0)
        return fail(error, rc, "findings");

    control.observe = app->observe;
    rc = control_new(&control, &app->control);
    return rc < 0 ? fail(error, rc, "control") : 0;
}

static int attach_ports(struct app *app, struct text *error)
{
    int rc = dataplane_attach(&app->dataplane, app->config, error);

    if (rc == 0)
        readiness_watch_ports(app->readiness, app->dataplane.attach);
    return rc;
}

static void warn_if_open_to_others(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_mode & (S_IRWXG | S_IRWXO))
        log_warn("http.admin_token_file: %s can be read by others; chmod 600 keeps it yours", path);
}

static int read_token_file(const char *path, struct store_token *ret_token, struct text *error)
{
    char *content = NULL;
    size_t len = 0;
    int rc;

    rc = fs_read_file(path, TOKEN_FILE_MOST, &content, &len);
    if (rc < 0) {
        text_addf(error, "http.admin_token_file: %s: %s\n", path, strerror(-rc));
        return rc;
    }

    warn_if_open_to_others(path);
    while (len && isspace((unsigned char)content[len - 1]))
        len--;
    *ret_token = (struct store_token){.admin = true};
    if (len < TOKEN_LEAST || strcspn(content, " \t\r\n") < len) {
        text_addf(error,
                  "http.admin_token_file: %s: a token is one word of at least %d characters, such "
                  "as \"openssl rand -hex 32\" prints\n",
                  path, TOKEN_LEAST);
        rc = -EINVAL;
    } else {
        rc = secret_hash(content, len, ret_token->hash);
    }
    secret_wipe(content, strlen(content));
    free(content);
    return rc;
}

/* Printed, not logged: whoever starts the daemon by hand reads it here and nowhere else. */
static int invent_token(struct store_token *ret_token)
{
    char token[SECRET_TOKEN_SIZE];
    int rc;

    rc = secret_token(token);
    *ret_token = (struct store_token){.admin = true};
    if (rc == 0)
        rc = secret_hash(token, strlen(token), ret_token->hash);
    if (rc == 0)
        fprintf(stderr, "policyd: admin token (shown once): %s\n", token);
    secret_wipe(token, sizeof(token));
    return rc;
}

static int admit_admin(struct app *app, const struct store_token *tokens, size_t count,
                       struct text *error)
{
    const char *path = app->config->value.http.admin_token_file;
    struct store_token token;
    bool admin = false;
    int rc;

    for (size_t i = 0; i < count; i++)
        admin |= tokens[i].admin;
    if (!path && admin)
        return 0;

    rc = path ? read_token_file(path, &token, error) : invent_token(&token);
    if (rc == 0)
        rc = store_token_put(app->store, "admin", &token);
    return rc;
}

static int load_tokens(struct app *app, struct store_token *tokens, size_t *ret_count)
{
    return store_tokens(app->store, tokens, AUTH_TOKENS, ret_count);
}

static int make_auth(struct app *app, struct text *error)
{
    struct store_token *stored = calloc(AUTH_TOKENS, sizeof(*stored));
    struct auth_token *tokens = calloc(AUTH_TOKENS, sizeof(*tokens));
    size_t count = 0;
    int rc = -ENOMEM;

    if (!stored || !tokens)
        goto out;

    rc = load_tokens(app, stored, &count);
    if (rc == 0)
        rc = admit_admin(app, stored, count, error);
    if (rc == 0)
        rc = load_tokens(app, stored, &count);
    if (rc == 0)
        rc = auth_new(&app->auth);
    if (rc < 0)
        goto out;

    for (size_t i = 0; i < count; i++) {
        memcpy(tokens[i].hash, stored[i].hash, SECRET_HASH_LEN);
        tokens[i].admin = stored[i].admin;
    }
    auth_replace(app->auth, tokens, count);

out:
    if (rc < 0 && error->len == 0)
        fail(error, rc, "tokens");
    free(stored);
    free(tokens);
    return rc;
}

static void serve(void *user, const struct http_request *request, struct http_reply *reply)
{
    route_serve(user, request, reply);
}

static int start_api(struct app *app, struct text *error)
{
    struct server_options options = {
        .threads = (unsigned)app->config->value.runtime.http_worker_threads,
        .streams = (unsigned)app->config->value.wiretap.max_streams,
        .serve = serve,
        .user = &app->routes,
    };
    int rc;

    rc = http_metrics_new(&app->metrics);
    if (rc < 0)
        return fail(error, rc, "metrics");

    app->api = (struct api){
        .ctx = app->ctx,
        .control = app->control,
        .publish = app->publish,
        .readiness = app->readiness,
        .performance = app->performance,
        .tap = app->tap,
        .metrics = app->metrics,
        .grants = app->grants,
        .loops = app->dataplane.loops,
        .loop_count = app->dataplane.loop_count,
    };
    app->routes = (struct route_context){&api_routes, app->auth, app->metrics, &app->api};
    address_parse(app->config->value.http.bind, &options.address);
    rc = server_start(&options, &app->server, error);
    if (rc < 0)
        text_add(error, "\n");
    return rc;
}

static int start_threads(struct app *app, struct text *error)
{
    int rc;

    if (is_live(app))
        observe_restore_grants(app->observe, clock_steady());
    rc = control_start(app->control);
    if (rc == 0)
        rc = start_api(app, error);
    if (rc == 0)
        rc = dataplane_start(&app->dataplane);
    return rc < 0 && error->len == 0 ? fail(error, rc, "threads") : rc;
}

static int (*const steps[])(struct app *app, struct text *error) = {
    open_store,                                   /* one policyd per state directory from here on */
    make_context,  make_grants,   make_dataplane, /* ports and workers, not running yet */
    publish_first, /* so that no packet is ever judged without a policy */
    make_control,  /* findings and grants come back from the store */
    attach_ports,  /* frames are received from here on */
    make_auth,     start_threads,
};

static void remove_temporary_state(const struct app *app)
{
    if (app->temporary_state && app->state_dir)
        fs_remove_dir(app->state_dir);
}

static void app_free(struct app *app)
{
    control_free(app->control);
    observe_free(app->observe);
    tap_hub_free(app->tap);
    performance_free(app->performance);
    readiness_free(app->readiness);
    publish_free(app->publish);
    dataplane_free(&app->dataplane);
    pol_grants_free(app->grants);
    pol_ctx_unref(app->ctx);
    auth_free(app->auth);
    http_metrics_free(app->metrics);
    store_close(app->store);
    remove_temporary_state(app);
    free(app->state_dir);
    free(app);
}

int app_start(const struct config *config, bool temporary_state, struct app **ret_app,
              struct text *ret_error)
{
    struct app *app = calloc(1, sizeof(*app));
    int rc = 0;

    if (!app)
        return fail(ret_error, -ENOMEM, "start");

    app->config = config;
    app->temporary_state = temporary_state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
        rc = steps[i](app, ret_error);
    if (rc < 0) {
        app_stop(app);
        return rc;
    }

    log_info("listening on http://%s (port %u)", config->value.http.bind, server_port(app->server));
    *ret_app = app;
    return 0;
}

/* Says itself what went wrong. */
static bool apply_pinned_policy(struct app *app, const struct config *config)
{
    struct control_applied applied;
    struct text report = {0};
    pol_policy *policy = NULL;
    bool done = false;

    if (policy_file_load(app->ctx, config->value.policy.file,
                         config->value.policy.fallback == CONFIG_POLICY_ALLOW, &policy,
                         &report) < 0)
        log_error("the policy before stays in force: %s", report.ptr ? report.ptr : "");
    else if (control_apply(app->control, policy, true, &applied) != CONTROL_DONE)
        log_error("the pinned policy could not be brought into force");
    else
        done = true;
    pol_policy_unref(policy);
    text_fini(&report);
    return done;
}

static void name_restarts(const struct config *before, const struct config *after)
{
    struct text old = {0}, new = {0};

    for (size_t i = 0; i < config_key_count; i++) {
        text_clear(&old);
        text_clear(&new);
        config_print_value(before, &config_keys[i], &old);
        config_print_value(after, &config_keys[i], &new);
        if (!config_keys[i].live && old.len + new.len &&
            (old.len != new.len || memcmp(old.ptr, new.ptr, old.len) != 0))
            log_warn("%s has changed; restart policyd to apply it", config_keys[i].name);
    }
    text_fini(&old);
    text_fini(&new);
}

void app_reload(struct app *app, const struct options *options)
{
    struct text errors = {0};
    struct config config;

    if (!options_load(options, &config, &errors)) {
        log_error("the configuration before stays in force: %s", errors.ptr ? errors.ptr : "");
        text_fini(&errors);
        return;
    }

    log_set_level((enum log_level)config.value.log.level);
    readiness_advise(app->readiness, &config.value.readiness.advisory);
    name_restarts(app->config, &config);
    if (!app->config->value.policy.pin_file || !config.value.policy.file ||
        apply_pinned_policy(app, &config))
        log_info("configuration was read again");
    config_fini(&config);
}

bool app_stop(struct app *app)
{
    struct timespec pause = {.tv_nsec = DRAIN_NS};
    bool clean = true;

    if (app->tap)
        tap_hub_close(app->tap, "policyd is stopping");
    if (app->server) {
        readiness_drain(app->readiness);
        nanosleep(&pause, NULL);
    }
    clean &= dataplane_stop(&app->dataplane, STOP_NS);
    clean &= server_stop(app->server, STOP_NS);
    if (app->control)
        control_stop(app->control);
    if (clean)
        app_free(app);
    else
        remove_temporary_state(app); /* what is open in it stays usable until the end */
    return clean;
}
