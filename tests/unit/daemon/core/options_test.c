// SPDX-License-Identifier: Apache-2.0
#include "core/options.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static struct options options;
static struct config config;
static struct text errors;

static bool parse(const char *line)
{
    static char words[1024];
    char *argv[32] = {"policyd"}, *save = NULL;
    int argc = 1;

    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    text_clear(&errors);
    return options_parse(argc, argv, &options, &errors);
}

Test(options, each_flag_sets_its_key)
{
    cr_assert(parse("--policy p.json --pcap=c.pcap --http 127.0.0.1:0 --state /s --workers 1 "
                    "--trust-resolver 192.0.2.1 --trust-resolver=192.0.2.2 --inside 10.0.0.0/8 "
                    "--admin-token-file t"));
    cr_assert_null(options.config_file);
    cr_assert(options_load(&options, &config, &errors), "%s", errors.ptr);
    cr_assert_str_eq(config.value.policy.file, "p.json");
    cr_assert_str_eq(config.value.dataplane.capture, "c.pcap");
    cr_assert_str_eq(config.value.http.bind, "127.0.0.1:0");
    cr_assert_str_eq(config.value.state.dir, "/s");
    cr_assert_str_eq(config.value.http.admin_token_file, "t");
    cr_assert_eq(config.value.dns.trusted_resolvers.count, 2);
    cr_assert_eq(config.value.dataplane.inside.count, 1);
    config_fini(&config);
}

Test(options, two_interfaces_are_one_word)
{
    cr_assert(parse("--policy p.json --inline lan0,wan0 --workers 4"));
    cr_assert(options_load(&options, &config, &errors), "%s", errors.ptr);
    cr_assert_eq(config.value.dataplane.inline_pair.count, 2);
    cr_assert_str_eq(config.value.dataplane.inline_pair.items[0], "lan0");
    cr_assert_str_eq(config.value.dataplane.inline_pair.items[1], "wan0");
    cr_assert_eq(config.value.runtime.workers, 4);
    config_fini(&config);
}

Test(options, a_switch_needs_no_value)
{
    cr_assert(parse("--loop --pcap c.pcap --pace real"));
    cr_assert(options_load(&options, &config, &errors), "%s", errors.ptr);
    cr_assert(config.value.dataplane.loop);
    cr_assert_eq(config.value.dataplane.pace, CONFIG_PACE_REAL);
    config_fini(&config);
}

Test(options, without_a_flag_the_standard_file_is_read)
{
    cr_assert(parse(""));
    cr_assert_str_eq(options.config_file, OPTIONS_CONFIG_FILE);
    cr_assert(parse("--check"));
    cr_assert_eq(options.action, OPTIONS_CHECK);
    cr_assert_str_eq(options.config_file, OPTIONS_CONFIG_FILE);
}

static const struct {
    const char *line, *message;
} refused[] = {
    {"--dns 127.0.0.1:53 --pcap x",
     "--dns: this version has no DNS proxy; DNS is learned as it passes, from all resolvers or "
     "those of --trust-resolver ADDR\n"},
    {"--polcy p", "unknown argument \"--polcy\"; did you mean \"--policy\"?\n"
                  "unknown argument \"p\"\n"},
    {"capture.pcap", "unknown argument \"capture.pcap\"\n"},
    {"--pcap", "--pcap: a value is missing\n"},
    {"--check=yes", "unknown argument \"--check\"; did you mean \"--check\"?\n"},
};

Test(options, what_cannot_be_done_is_refused_with_what_can)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cr_assert_not(parse(refused[i].line), "%s", refused[i].line);
        cr_assert_str_eq(errors.ptr, refused[i].message, "%s gave: %s", refused[i].line,
                         errors.ptr);
    }
}

Test(options, a_bad_value_names_its_flag)
{
    cr_assert(parse("--pcap c --trust-resolver nowhere"));
    cr_assert_not(options_load(&options, &config, &errors));
    cr_assert_str_eq(errors.ptr, "--trust-resolver: dns.trusted_resolvers: \"nowhere\" is not an "
                                 "IP address\n");
}

Test(options, a_public_address_is_refused_with_the_reason)
{
    cr_assert(parse("--pcap c --http 0.0.0.0:8080"));
    cr_assert_not(options_load(&options, &config, &errors));
    cr_assert(strstr(errors.ptr, "is not a loopback address"));
}

Test(options, help_names_every_flag_and_key)
{
    struct text help = {0};

    options_help(&help);
    cr_assert(strstr(help.ptr, "--trust-resolver ADDR"));
    cr_assert(strstr(help.ptr, "[dns.trusted_resolvers]"));
    text_fini(&help);
}
