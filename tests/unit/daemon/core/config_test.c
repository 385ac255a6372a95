// SPDX-License-Identifier: Apache-2.0
#include "core/config.h"

#include <string.h>

#include <criterion/criterion.h>

static struct config config;
static struct text errors;

static void setup(void)
{
    cr_assert_eq(config_init(&config), 0);
}

static void teardown(void)
{
    config_fini(&config);
    text_fini(&errors);
}

TestSuite(config, .init = setup, .fini = teardown);

static bool read(const char *yaml)
{
    return config_read_yaml(&config, "f.yaml", yaml, strlen(yaml), &errors);
}

Test(config, defaults_are_those_of_the_contract)
{
    cr_assert_eq(config.value.dataplane.idle_timeout_secs, 300);
    cr_assert_eq(config.value.dataplane.dns_allowlist_idle_secs, 420);
    cr_assert_eq(config.value.dataplane.sni_check, CONFIG_SNI_LOG);
    cr_assert_eq(config.value.policy.fallback, CONFIG_POLICY_DENY);
    cr_assert_str_eq(config.value.http.bind, "127.0.0.1:8080");
    cr_assert_null(config.value.policy.file);
    cr_assert_eq(config.set_by_hand, 0);
}

Test(config, sections_set_their_keys)
{
    cr_assert(read("version: 1\n"
                   "policy: {file: /tmp/p.json, pin_file: true}\n"
                   "dns:\n"
                   "  trusted_resolvers: [192.0.2.53, '2001:db8::53']\n"
                   "dataplane:\n"
                   "  sni_check: enforce\n"
                   "  admission:\n"
                   "    max_pending_tls_flows: 7\n"
                   "readiness:\n"),
              "%s", errors.ptr);
    cr_assert_str_eq(config.value.policy.file, "/tmp/p.json");
    cr_assert(config.value.policy.pin_file);
    cr_assert_eq(config.value.dns.trusted_resolvers.count, 2);
    cr_assert_str_eq(config.value.dns.trusted_resolvers.items[1], "2001:db8::53");
    cr_assert_eq(config.value.dataplane.sni_check, CONFIG_SNI_ENFORCE);
    cr_assert_eq(config.value.dataplane.max_pending_tls_flows, 7);
    cr_assert(config_is_set(&config, config_find("policy.file")));
    cr_assert_not(config_is_set(&config, config_find("http.bind")));
}

Test(config, empty_files_are_the_defaults)
{
    cr_assert(read(""));
    cr_assert(read("# nothing\n"));
    cr_assert_eq(config.set_by_hand, 0);
}

static const struct {
    const char *yaml, *message;
} refused[] = {
    {"dns:\n  trusted_resolver: []\n",
     "f.yaml:2:3: unknown key \"dns.trusted_resolver\"; did you mean \"dns.trusted_resolvers\"?\n"},
    {"dsn:\n  trusted_resolvers: []\n", "f.yaml:1:1: unknown key \"dsn\"; did you mean \"dns\"?\n"},
    {"quite_something_else: {a: [b, {c: d}]}\n",
     "f.yaml:1:1: unknown key \"quite_something_else\"\n"},
    {"dataplane:\n  snat: auto\n", "f.yaml:2:3: unknown key \"dataplane.snat\"\n"},
    {"http: {bind: 0.0.0.0:80}\n",
     "f.yaml:1:14: http.bind: \"0.0.0.0:80\" is not a loopback address: the API has no TLS yet, so "
     "it is only served to this machine; use 127.0.0.1:PORT\n"},
    {"http: {bind: '[::1]:80'}\n",
     "f.yaml:1:14: http.bind: \"[::1]:80\" is an IPv6 address, which the packaged HTTP server "
     "cannot listen on; use 127.0.0.1:PORT\n"},
    {"version: 2\n", "f.yaml:1:10: version: \"2\" must be 1\n"},
    {"runtime:\n  http_worker_threads: 2\n",
     "f.yaml:2:24: runtime.http_worker_threads: \"2\" must be 3 to 64\n"},
    {"runtime:\n  http_worker_threads: many\n",
     "f.yaml:2:24: runtime.http_worker_threads: \"many\" is not a whole number\n"},
    {"policy: {pin_file: yes}\n", "f.yaml:1:20: policy.pin_file: \"yes\" must be true or false\n"},
    {"dataplane: {sni_check: on}\n",
     "f.yaml:1:24: dataplane.sni_check: \"on\" must be one of off, log, enforce\n"},
    {"dns: {trusted_resolvers: 192.0.2.1}\n",
     "f.yaml:1:26: dns.trusted_resolvers: expected a list, such as [a, b]\n"},
    {"dns: {trusted_resolvers: [192.0.2]}\n",
     "f.yaml:1:27: dns.trusted_resolvers: \"192.0.2\" is not an IP address\n"},
    {"policy: {file: }\n", "f.yaml:1:16: policy.file: has no value\n"},
    {"policy: {file: [a]}\n", "f.yaml:1:16: policy.file: expected a single value\n"},
    {"policy:\n  file: a\n  file: b\n",
     "f.yaml:3:3: policy.file: stands here for the second time\n"},
    {"policy: &p {file: a}\n", "f.yaml:1:9: anchors, aliases and tags are not used here\n"},
    {"policy: !!map {file: a}\n", "f.yaml:1:9: anchors, aliases and tags are not used here\n"},
    {"[a]\n", "f.yaml:1:1: configuration: expected keys and values\n"},
    {"a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed in this context\n"},
    {"version: 1\n---\nversion: 1\n", "f.yaml:2:1: a second document begins here; one is enough\n"},
    {"readiness: {advisory: [dns_allowlist]}\n",
     "f.yaml:1:24: readiness.advisory: \"dns_allowlist\" cannot be advisory; only cluster and "
     "policy_replication can\n"},
};

Test(config, mistakes_are_told_with_their_place)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        text_clear(&errors);
        cr_assert_not(read(refused[i].yaml), "%s", refused[i].yaml);
        cr_assert_str_eq(errors.ptr, refused[i].message, "%s gave: %s", refused[i].yaml,
                         errors.ptr);
    }
}

Test(config, all_mistakes_are_told_at_once)
{
    cr_assert_not(read("version: 3\nhttp: {bnd: x}\npolicy: {pin_file: maybe}\n"));
    cr_assert_str_eq(errors.ptr,
                     "f.yaml:1:10: version: \"3\" must be 1\n"
                     "f.yaml:2:8: unknown key \"http.bnd\"; did you mean \"http.bind\"?\n"
                     "f.yaml:3:20: policy.pin_file: \"maybe\" must be true or false\n");
}

Test(config, depth_without_end_is_refused_not_followed)
{
    char yaml[20001];

    memset(yaml, '[', sizeof(yaml) - 1);
    yaml[sizeof(yaml) - 1] = '\0';
    cr_assert_not(read(yaml));
}

Test(config, error_is_one_line_whatever_the_value)
{
    cr_assert_not(read("http: {bind: \"a\\nb\\e[1m\\x7f\"}\n"));
    cr_assert_eq(strchr(errors.ptr, '\n'), errors.ptr + errors.len - 1);
    cr_assert_not_null(strstr(errors.ptr, "\"a?b?[1m?\""));
}

Test(config, key_ends_where_its_text_ends)
{
    cr_assert_not(read("\"http\\0x\": {bind: 127.0.0.1:80}\nlog: {level: info}\n"));
    cr_assert_str_eq(errors.ptr, "f.yaml:1:1: the name of a key contains a NUL character\n");
}

Test(config, unprintable_texts_read_back_the_same)
{
    struct text printed = {0};

    cr_assert(read("policy: {file: \"a\\x7f\\x85\\L\\P\\uFEFF\\uFFFE.json\"}\n"));
    config_print(&config, &printed);
    config_fini(&config);
    cr_assert_eq(config_init(&config), 0);
    cr_assert(read(printed.ptr), "%s", errors.ptr);
    cr_assert_str_eq(config.value.policy.file,
                     "a\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\xef\xbf\xbe.json");
    text_fini(&printed);
}

Test(config, what_is_printed_reads_back_the_same)
{
    struct text first = {0}, second = {0};

    cr_assert(read("policy: {file: 'a \"b\".json'}\n"
                   "dataplane: {inside: [10.0.0.0/8, '2001:db8::/32'], sni_check: off}\n"));
    config_print(&config, &first);
    config_fini(&config);
    cr_assert_eq(config_init(&config), 0);
    cr_assert(read(first.ptr), "%s", errors.ptr);
    config_print(&config, &second);
    cr_assert_str_eq(first.ptr, second.ptr);
    text_fini(&first);
    text_fini(&second);
}

static const struct {
    const char *yaml, *complaint;
} contradictions[] = {
    {"dataplane: {}\n", "no packets would come from anywhere"},
    {"dataplane: {capture: c, monitor: eth0}\n", "packets can come from one source only"},
    {"dataplane: {inline: [lan0]}\n", "dataplane.inline needs two different interfaces"},
    {"dataplane: {inline: [lan0, lan0]}\n", "dataplane.inline needs two different interfaces"},
    {"dataplane: {inline: [a, b], inside: [10.0.0.0/8]}\n", "dataplane.inside is for captures"},
    {"dataplane: {monitor: a, loop: true}\n", "dataplane.loop are for dataplane.capture"},
    {"dataplane: {monitor: a, pace: real}\n", "dataplane.loop are for dataplane.capture"},
    {"dataplane: {capture: c}\nruntime: {workers: 2}\n", "a capture is read by one worker"},
    {"dataplane: {monitor: a}\nruntime: {workers: 2}\n", "a monitor port is read by one worker"},
};

Test(config, keys_that_contradict_each_other_are_refused)
{
    for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++) {
        config_fini(&config);
        cr_assert_eq(config_init(&config), 0);
        text_clear(&errors);
        cr_assert(read(contradictions[i].yaml), "%s", errors.ptr);
        cr_assert_not(config_check(&config, "f.yaml", &errors), "%s", contradictions[i].yaml);
        cr_assert(strstr(errors.ptr, contradictions[i].complaint), "%s", errors.ptr);
    }
}

Test(config, an_interface_name_fits_the_kernel)
{
    cr_assert_not(read("dataplane: {monitor: abcdefghijklmnop}\n"));
    cr_assert(strstr(errors.ptr, "is no name of an interface"), "%s", errors.ptr);
    cr_assert_not(read("dataplane: {inline: [a, b/c]}\n"));
    cr_assert_not(read("dataplane: {control: {arp: judge}}\n"));
}

Test(config, a_source_is_needed_and_a_pin_needs_its_file)
{
    cr_assert(read("policy: {pin_file: true}\n"));
    cr_assert_not(config_check(&config, "f.yaml", &errors));
    cr_assert(strstr(errors.ptr, "f.yaml: no packets would come from anywhere"));
    cr_assert(strstr(errors.ptr, "f.yaml: policy.pin_file is true"));
}
