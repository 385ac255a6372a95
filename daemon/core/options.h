/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_OPTIONS_H
#define CORE_OPTIONS_H

#include "core/config.h"

#define OPTIONS_CONFIG_FILE "/etc/policyd/config.yaml"

enum options_action {
    OPTIONS_RUN,
    OPTIONS_CHECK,
    OPTIONS_PRINT_CONFIG,
    OPTIONS_HELP,
    OPTIONS_VERSION
};

struct options_flag {
    const char *name;  /* "--policy" */
    const char *key;   /* the configuration key it sets */
    const char *value; /* what its value is called in --help; NULL: a switch */
    const char *help;
};

struct options {
    enum options_action action;
    const char *config_file; /* NULL: flags alone */
    struct {
        const struct options_flag *flag;
        const char *value;
    } given[64];
    size_t given_count;
};

/*
 * Reads the command line; texts are borrowed from argv. False when `errors` has grown: unknown
 * flags, and flags of features this version does not have, are errors and never ignored.
 */
bool options_parse(int argc, char **argv, struct options *ret_options, struct text *errors);

/* Defaults, then the file, then the flags, then the checks. The result is config_fini()'s. */
bool options_load(const struct options *options, struct config *ret_config, struct text *errors);

void options_help(struct text *out);

#endif
