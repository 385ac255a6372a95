// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpolicy/policy.h>

#include "app.h"
#include "control/policy_file.h"
#include "core/log.h"
#include "core/options.h"
#include "core/signals.h"

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 4 };

#define WAIT_NS UINT64_C(3600000000000)

static void print(FILE *to, const struct text *text)
{
    if (text->ptr)
        fputs(text->ptr, to);
}

static int show_help(void)
{
    struct text help = {0};

    options_help(&help);
    print(stdout, &help);
    text_fini(&help);
    return EXIT_FINE;
}

static int show_config(const struct config *config)
{
    struct text yaml = {0};

    config_print(config, &yaml);
    print(stdout, &yaml);
    text_fini(&yaml);
    return EXIT_FINE;
}

/* The configuration has been read without an error; what is left is the policy it names. */
static int check_policy(const struct config *config)
{
    struct text report = {0};
    pol_policy *policy = NULL;
    pol_ctx *ctx = NULL;
    int rc = 0;

    if (!config->value.policy.file)
        return EXIT_FINE;
    if (pol_ctx_new(NULL, &ctx) != POL_OK)
        return EXIT_FAILED;

    rc = policy_file_load(ctx, config->value.policy.file,
                          config->value.policy.fallback == CONFIG_POLICY_ALLOW, &policy, &report);
    print(stderr, &report);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
    text_fini(&report);
    return rc < 0 ? EXIT_CONFIG : EXIT_FINE;
}

static void work(struct app *app, const struct options *options)
{
    enum signals_wish wish;

    while ((wish = signals_wait(WAIT_NS)) != SIGNALS_STOP)
        if (wish == SIGNALS_RELOAD)
            app_reload(app, options);
}

static int run(const struct options *options, const struct config *config)
{
    bool temporary = !options->config_file && !config_is_set(config, config_find("state.dir"));
    struct text errors = {0};
    struct app *app;
    int rc;

    umask(077); /* policies, hashes of tokens and findings are nobody else's */
    log_set_level((enum log_level)config->value.log.level);
    signals_block();
    rc = app_start(config, temporary, &app, &errors);
    print(stderr, &errors);
    text_fini(&errors);
    if (rc == -ECANCELED) {
        log_info("stopped before the capture began");
        _exit(EXIT_FINE);
    }
    if (rc < 0)
        return rc == -EINVAL ? EXIT_CONFIG : EXIT_FAILED;

    work(app, options);
    log_info("stopping");
    if (!app_stop(app)) {
        log_warn("a thread did not end in time; what was acknowledged is in the store");
        _exit(EXIT_FINE);
    }
    return EXIT_FINE;
}

static int act(const struct options *options, const struct config *config)
{
    switch (options->action) {
    case OPTIONS_CHECK:
        return check_policy(config);
    case OPTIONS_PRINT_CONFIG:
        return show_config(config);
    default:
        return run(options, config);
    }
}

int main(int argc, char **argv)
{
    struct text errors = {0};
    struct options options;
    struct config config;
    int code = EXIT_USAGE;

    if (!options_parse(argc, argv, &options, &errors)) {
        print(stderr, &errors);
        fputs("see policyd --help\n", stderr);
    } else if (options.action == OPTIONS_HELP) {
        code = show_help();
    } else if (options.action == OPTIONS_VERSION) {
        printf("policyd %s\n", pol_version());
        code = EXIT_FINE;
    } else if (!options_load(&options, &config, &errors)) {
        print(stderr, &errors);
        code = EXIT_CONFIG;
    } else {
        code = act(&options, &config);
        config_fini(&config);
    }

    text_fini(&errors);
    return code;
}
