// SPDX-License-Identifier: Apache-2.0
#include "core/options.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/suggest.h"

static const struct options_flag flags[] = {
    {"--policy", "policy.file", "FILE", "policy document (JSON) that seeds an empty store"},
    {"--pcap", "dataplane.capture", "FILE", "capture to judge (pcap or pcapng)"},
    {"--pace", "dataplane.pace", "fast|real", "capture: all at once, or as it was recorded"},
    {"--loop", "dataplane.loop", NULL, "capture: begin again at its end"},
    {"--inline", "dataplane.inline", "IN,OUT", "two interfaces to stand between"},
    {"--monitor", "dataplane.monitor", "IF", "interface to listen to"},
    {"--inside", "dataplane.inside", "CIDR", "one port: network on the inside; may be repeated"},
    {"--trust-resolver", "dns.trusted_resolvers", "ADDR",
     "resolver whose answers are learned; may be repeated"},
    {"--http", "http.bind", "ADDR:PORT", "where the API listens"},
    {"--state", "state.dir", "DIR", "where policy, tokens and findings are kept"},
    {"--admin-token-file", "http.admin_token_file", "FILE", "admin token of the API"},
    {"--workers", "runtime.workers", "N", "dataplane threads"},
};

static const struct {
    const char *name;
    enum options_action action;
} actions[] = {
    {"--check", OPTIONS_CHECK}, {"--print-config", OPTIONS_PRINT_CONFIG}, {"--help", OPTIONS_HELP},
    {"-h", OPTIONS_HELP},       {"--version", OPTIONS_VERSION},           {"-V", OPTIONS_VERSION},
};

static const struct {
    const char *name, *instead;
} refused[] = {
    {"--dns", "this version has no DNS proxy; DNS is learned as it passes, from all resolvers "
              "or those of --trust-resolver ADDR"},
    {"--dns-upstream", "this version has no DNS proxy; DNS is learned as it passes, from all "
                       "resolvers or those of --trust-resolver ADDR"},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* One command-line argument, taken apart at its '='. */
struct argument {
    char name[64];
    const char *value; /* NULL: none behind a '=' */
};

static struct argument split(const char *text)
{
    const char *equals = strchr(text, '=');
    struct argument argument = {.value = equals ? equals + 1 : NULL};

    snprintf(argument.name, sizeof(argument.name), "%.*s",
             equals ? (int)(equals - text) : (int)strlen(text), text);
    return argument;
}

static void try_name(const char *given, const char *name, size_t *nearest, const char **found)
{
    size_t distance = suggest_distance(given, name);

    if (distance < *nearest) {
        *nearest = distance;
        *found = name;
    }
}

static void refuse_unknown(const char *name, struct text *errors)
{
    const char *found = NULL;
    size_t nearest = SIZE_MAX;

    for (size_t i = 0; i < COUNT(flags); i++)
        try_name(name, flags[i].name, &nearest, &found);
    for (size_t i = 0; i < COUNT(actions); i++)
        try_name(name, actions[i].name, &nearest, &found);
    try_name(name, "--config", &nearest, &found);

    text_addf(errors, "unknown argument \"%s\"", name);
    if (suggest_is_near(name, nearest))
        text_addf(errors, "; did you mean \"%s\"?", found);
    text_add(errors, "\n");
}

static const struct options_flag *find_flag(const char *name)
{
    for (size_t i = 0; i < COUNT(flags); i++)
        if (strcmp(flags[i].name, name) == 0)
            return &flags[i];
    return NULL;
}

static bool take_action(const char *name, struct options *options)
{
    for (size_t i = 0; i < COUNT(actions); i++) {
        if (strcmp(actions[i].name, name) == 0) {
            options->action = actions[i].action;
            return true;
        }
    }
    return false;
}

static bool take_refused(const char *name, struct text *errors)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        if (strcmp(refused[i].name, name) == 0) {
            text_addf(errors, "%s: %s\n", name, refused[i].instead);
            return true;
        }
    }
    return false;
}

/* The value behind '=', or else the next argument, which is then used up. */
static const char *value_of(const struct argument *argument, char **argv, int *at,
                            struct text *errors)
{
    if (argument->value)
        return argument->value;
    if (argv[*at + 1])
        return argv[++*at];

    text_addf(errors, "%s: a value is missing\n", argument->name);
    return NULL;
}

static void take_flag(const struct options_flag *flag, const char *value, struct options *options,
                      struct text *errors)
{
    if (options->given_count == COUNT(options->given)) {
        text_add(errors, "too many arguments; use a configuration file\n");
        return;
    }

    options->given[options->given_count].flag = flag;
    options->given[options->given_count++].value = value;
}

static void take_argument(char **argv, int *at, struct options *options, struct text *errors)
{
    struct argument argument = split(argv[*at]);
    const struct options_flag *flag = find_flag(argument.name);
    bool is_config = strcmp(argument.name, "--config") == 0 || strcmp(argument.name, "-c") == 0;
    const char *value;

    if (take_refused(argument.name, errors)) {
        /* Its value, if one follows, must not be complained about as well. */
        if (!argument.value && argv[*at + 1] && argv[*at + 1][0] != '-')
            ++*at;
        return;
    }
    if (!flag && !is_config) {
        if (argument.value || !take_action(argument.name, options))
            refuse_unknown(argument.name, errors);
        return;
    }

    if (flag && !flag->value) /* a switch */
        value = argument.value ? argument.value : "true";
    else
        value = value_of(&argument, argv, at, errors);
    if (value && is_config)
        options->config_file = value;
    else if (value)
        take_flag(flag, value, options, errors);
}

bool options_parse(int argc, char **argv, struct options *ret_options, struct text *errors)
{
    struct options options = {.action = OPTIONS_RUN};

    for (int at = 1; at < argc; at++)
        take_argument(argv, &at, &options, errors);

    if (!options.config_file && options.given_count == 0)
        options.config_file = OPTIONS_CONFIG_FILE;

    if (errors->len)
        return false;
    *ret_options = options;
    return true;
}

/* "A,B" is two items of a list. */
static void set_items(struct config *config, const struct config_key *key, const char *value,
                      struct config_place place, struct text *errors)
{
    char item[256];
    size_t len;

    for (;; value += len + 1) {
        len = strcspn(value, ",");
        snprintf(item, sizeof(item), "%.*s", (int)len, value);
        config_set(config, key, item, place, errors);
        if (!value[len])
            return;
    }
}

static void apply_flags(const struct options *options, struct config *config, struct text *errors)
{
    uint64_t cleared = 0;

    for (size_t i = 0; i < options->given_count; i++) {
        const struct options_flag *flag = options->given[i].flag;
        const struct config_key *key = config_find(flag->key);
        uint64_t bit = UINT64_C(1) << (flag - flags);

        /* A flag replaces the file's list; its repetitions add to one another. */
        if (key->type == CONFIG_LIST && !(cleared & bit))
            config_clear_list(config, key);
        cleared |= bit;
        if (key->type == CONFIG_LIST)
            set_items(config, key, options->given[i].value,
                      (struct config_place){.source = flag->name}, errors);
        else
            config_set(config, key, options->given[i].value,
                       (struct config_place){.source = flag->name}, errors);
    }
}

bool options_load(const struct options *options, struct config *ret_config, struct text *errors)
{
    struct config config;
    bool good;

    if (config_init(&config) < 0) {
        text_add(errors, "out of memory\n");
        return false;
    }

    if (options->config_file)
        config_read_file(&config, options->config_file, errors);
    apply_flags(options, &config, errors);
    if (errors->len == 0)
        config_check(&config, options->config_file ? options->config_file : "flags", errors);

    good = errors->len == 0 && !errors->failed;
    if (good)
        *ret_config = config;
    else
        config_fini(&config);
    return good;
}

static void help_line(const struct options_flag *flag, struct text *out)
{
    char left[64];

    snprintf(left, sizeof(left), "      %s %s", flag->name, flag->value ? flag->value : "");
    text_addf(out, "%-31s%s [%s]\n", left, flag->help, flag->key);
}

void options_help(struct text *out)
{
    text_add(out,
             "Usage: policyd [--config FILE] [FLAG]...\n"
             "       policyd --policy FILE (--inline IN,OUT | --monitor IF | --pcap FILE) "
             "[FLAG]...\n"
             "\n"
             "Enforces an egress policy on the packets that pass between two interfaces, or\n"
             "judges those of one interface or a capture, and serves what it decided over HTTP\n"
             "on this machine.\n"
             "\n"
             "  -c, --config FILE            configuration (" OPTIONS_CONFIG_FILE
             " without any flag)\n"
             "\n"
             "Each of these sets the configuration key in brackets:\n");
    for (size_t i = 0; i < COUNT(flags); i++)
        help_line(&flags[i], out);
    text_add(
        out,
        "\n"
        "      --check                  check configuration and policy, then exit\n"
        "      --print-config           print the configuration in force, then exit\n"
        "  -h, --help                   print this text\n"
        "  -V, --version                print the version\n"
        "\n"
        "With flags alone the state directory is temporary. Without an admin token file a\n"
        "token is made at the first start and printed once on standard error.\n"
        "\n"
        "Exit status: 0 success, 1 failure, 2 wrong usage, 4 invalid configuration or policy.\n"
        "SIGHUP reads the configuration again; SIGTERM drains and stops.\n");
}
