// SPDX-License-Identifier: Apache-2.0
/*
 * The keys are one table: defaults, the file, the flags, --print-config and the comparison on
 * SIGHUP all walk it, so that a new key is one line here and one field in the header.
 */
#include "core/config.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpolicy/base.h>

#include "core/address.h"
#include "core/suggest.h"

static const char *check_address(const char *text)
{
    pol_addr addr;

    return pol_addr_parse((pol_str){text, strlen(text)}, &addr) == POL_OK ? NULL
                                                                          : "is not an IP address";
}

static const char *check_prefix(const char *text)
{
    pol_prefix prefix;

    return pol_prefix_parse((pol_str){text, strlen(text)}, &prefix) == POL_OK
               ? NULL
               : "is not an address or a network such as 10.0.0.0/8";
}

static const char *check_bind(const char *text)
{
    struct address address;

    if (address_parse(text, &address) < 0)
        return "is not ADDRESS:PORT, such as 127.0.0.1:8080";
    if (!address_is_loopback(&address))
        return "is not a loopback address: the API has no TLS yet, so it is only served to this "
               "machine; use 127.0.0.1:PORT";
    if (address.addr.family == 6)
        return "is an IPv6 address, which the packaged HTTP server cannot listen on; use "
               "127.0.0.1:PORT";
    return NULL;
}

static const char *check_interface(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len < IF_NAMESIZE && !strpbrk(text, "/ \t")
               ? NULL
               : "is no name of an interface: 1 to 15 characters, none of them a slash or space";
}

static const char *check_advisory(const char *text)
{
    return strcmp(text, "cluster") == 0 || strcmp(text, "policy_replication") == 0
               ? NULL
               : "cannot be advisory; only cluster and policy_replication can";
}

static const char *check_filled(const char *text)
{
    return *text ? NULL : "is empty";
}

static const char *const default_policies[] = {"deny", "allow", NULL};
static const char *const sni_checks[] = {"off", "log", "enforce", NULL};
static const char *const midstreams[] = {"judge", "deny", NULL};
static const char *const monitor_drivers[] = {"afpacket", "libpcap", NULL};
static const char *const paces[] = {"fast", "real", NULL};
static const char *const denials[] = {"reject", "drop", NULL};
static const char *const link_losses[] = {"ignore", "signal", NULL};
static const char *const frame_policies[] = {"pass", "drop", NULL};
static const char *const packet_policies[] = {"pass", "drop", "judge", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

#define AT(field)             .offset = offsetof(struct config, value.field)
#define COUNT_OF(first, last) .type = CONFIG_COUNT, .least = (first), .most = (last)
#define CHOICE_OF(words)      .type = CONFIG_CHOICE, .choices = (words)

const struct config_key config_keys[] = {
    {"version", AT(version), COUNT_OF(1, 1), .standard = "1"},
    {"state.dir", AT(state.dir), .type = CONFIG_TEXT, .standard = "/var/lib/policyd",
     .check = check_filled},
    {"policy.file", AT(policy.file), .type = CONFIG_TEXT, .check = check_filled, .live = true},
    {"policy.pin_file", AT(policy.pin_file), .type = CONFIG_BOOL, .standard = "false"},
    {"policy.default", AT(policy.fallback), CHOICE_OF(default_policies), .standard = "deny"},
    {"dataplane.capture", AT(dataplane.capture), .type = CONFIG_TEXT, .check = check_filled},
    {"dataplane.pace", AT(dataplane.pace), CHOICE_OF(paces), .standard = "fast"},
    {"dataplane.loop", AT(dataplane.loop), .type = CONFIG_BOOL, .standard = "false"},
    {"dataplane.inline", AT(dataplane.inline_pair), .type = CONFIG_LIST, .check = check_interface},
    {"dataplane.monitor", AT(dataplane.monitor), .type = CONFIG_TEXT, .check = check_interface},
    {"dataplane.monitor_driver", AT(dataplane.monitor_driver), CHOICE_OF(monitor_drivers),
     .standard = "afpacket"},
    {"dataplane.deny", AT(dataplane.deny), CHOICE_OF(denials), .standard = "reject"},
    {"dataplane.admit_outside", AT(dataplane.admit_outside), .type = CONFIG_BOOL,
     .standard = "false"},
    {"dataplane.control.arp", AT(dataplane.control.arp), CHOICE_OF(frame_policies),
     .standard = "pass"},
    {"dataplane.control.ndp", AT(dataplane.control.ndp), CHOICE_OF(packet_policies),
     .standard = "pass"},
    {"dataplane.control.groups", AT(dataplane.control.groups), CHOICE_OF(packet_policies),
     .standard = "pass"},
    {"dataplane.control.dhcp", AT(dataplane.control.dhcp), CHOICE_OF(packet_policies),
     .standard = "pass"},
    {"dataplane.control.dhcpv6", AT(dataplane.control.dhcpv6), CHOICE_OF(packet_policies),
     .standard = "pass"},
    {"dataplane.control.eapol", AT(dataplane.control.eapol), CHOICE_OF(frame_policies),
     .standard = "pass"},
    {"dataplane.control.lldp", AT(dataplane.control.lldp), CHOICE_OF(frame_policies),
     .standard = "pass"},
    {"dataplane.control.stp", AT(dataplane.control.stp), CHOICE_OF(frame_policies),
     .standard = "pass"},
    {"dataplane.control.multicast", AT(dataplane.control.multicast), CHOICE_OF(packet_policies),
     .standard = "drop"},
    {"dataplane.control.other", AT(dataplane.control.other), CHOICE_OF(frame_policies),
     .standard = "drop"},
    {"dataplane.link_loss", AT(dataplane.link_loss), CHOICE_OF(link_losses), .standard = "ignore"},
    {"dataplane.qdisc_bypass", AT(dataplane.qdisc_bypass), .type = CONFIG_BOOL,
     .standard = "false"},
    {"dataplane.ring_slots", AT(dataplane.ring_slots), COUNT_OF(64, 65536), .standard = "1024"},
    {"dataplane.spin_usecs", AT(dataplane.spin_usecs), COUNT_OF(0, 10000), .standard = "50"},
    {"dataplane.inside", AT(dataplane.inside), .type = CONFIG_LIST, .check = check_prefix},
    {"dataplane.sni_check", AT(dataplane.sni_check), CHOICE_OF(sni_checks), .standard = "log"},
    {"dataplane.midstream", AT(dataplane.midstream), CHOICE_OF(midstreams), .standard = "judge"},
    {"dataplane.idle_timeout_secs", AT(dataplane.idle_timeout_secs), COUNT_OF(1, 86400),
     .standard = "300"},
    {"dataplane.dns_allowlist_idle_secs", AT(dataplane.dns_allowlist_idle_secs),
     COUNT_OF(1, 604800), .standard = "420"},
    {"dataplane.dns_allowlist_flow_idle_secs", AT(dataplane.dns_allowlist_flow_idle_secs),
     COUNT_OF(1, 604800), .standard = "7440"},
    {"dataplane.dns_allowlist_capacity", AT(dataplane.dns_allowlist_capacity),
     COUNT_OF(1024, 16000000), .standard = "65536"},
    {"dataplane.flow_table_capacity", AT(dataplane.flow_table_capacity), COUNT_OF(1024, 16000000),
     .standard = "32768"},
    {"dataplane.admission.max_pending_tls_flows", AT(dataplane.max_pending_tls_flows),
     COUNT_OF(1, 65536), .standard = "2048"},
    {"tls.trust_anchors", AT(tls.trust_anchors), .type = CONFIG_TEXT,
     .standard = "/etc/ssl/certs/ca-certificates.crt", .check = check_filled},
    {"dns.trusted_resolvers", AT(dns.trusted_resolvers), .type = CONFIG_LIST,
     .check = check_address},
    {"dns.inside_resolvers", AT(dns.inside_resolvers), .type = CONFIG_LIST, .check = check_address},
    {"http.bind", AT(http.bind), .type = CONFIG_TEXT, .standard = "127.0.0.1:8080",
     .check = check_bind},
    {"http.admin_token_file", AT(http.admin_token_file), .type = CONFIG_TEXT,
     .check = check_filled},
    {"runtime.workers", AT(runtime.workers), COUNT_OF(1, 64), .standard = "1"},
    {"runtime.http_worker_threads", AT(runtime.http_worker_threads), COUNT_OF(3, 64),
     .standard = "8"},
    {"audit.max_findings", AT(audit.max_findings), COUNT_OF(16, 1000000), .standard = "65536"},
    {"wiretap.max_streams", AT(wiretap.max_streams), COUNT_OF(1, 256), .standard = "16"},
    {"readiness.advisory", AT(readiness.advisory), .type = CONFIG_LIST, .check = check_advisory,
     .live = true},
    {"log.level", AT(log.level), CHOICE_OF(log_levels), .standard = "info", .live = true},
};

const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= 64, "set_by_hand has 64 bits");

static void *field_of(const struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

int config_init(struct config *config)
{
    struct text errors = {0};

    *config = (struct config){0};
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->standard && !config_set(config, key, key->standard,
                                         (struct config_place){.source = "default"}, &errors)) {
            text_fini(&errors);
            config_fini(config);
            return -ENOMEM;
        }
    }

    config->set_by_hand = 0;
    text_fini(&errors);
    return 0;
}

void config_clear_list(struct config *config, const struct config_key *key)
{
    struct config_list *list = field_of(config, key);

    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){0};
}

void config_fini(struct config *config)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].type == CONFIG_TEXT)
            free(*(char **)field_of(config, &config_keys[i]));
        if (config_keys[i].type == CONFIG_LIST)
            config_clear_list(config, &config_keys[i]);
    }
    *config = (struct config){0};
}

const struct config_key *config_find(const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

bool config_is_section(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < config_key_count; i++)
        if (strncmp(config_keys[i].name, name, len) == 0 && config_keys[i].name[len] == '.')
            return true;
    return false;
}

static uint64_t bit_of(const struct config_key *key)
{
    return UINT64_C(1) << (key - config_keys);
}

bool config_is_set(const struct config *config, const struct config_key *key)
{
    return (config->set_by_hand & bit_of(key)) != 0;
}

void config_mark_set(struct config *config, const struct config_key *key)
{
    config->set_by_hand |= bit_of(key);
}

void config_report(struct text *errors, struct config_place place, const char *format, ...)
{
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    /* A value may hold a line break, or what a terminal would obey. */
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    if (place.line)
        text_addf(errors, "%s:%zu:%zu: %s\n", place.source, place.line, place.column, message);
    else
        text_addf(errors, "%s: %s\n", place.source, message);
}

/* Writes the part of a key's name that a person who typed `name` could have typed instead. */
static void candidate(const struct config_key *key, const char *name, char *ret, size_t capacity)
{
    size_t dots = 0, len = 0;

    for (const char *c = name; *c; c++)
        dots += *c == '.';
    for (len = 0; key->name[len] && (key->name[len] != '.' || dots-- > 0); len++)
        ;
    snprintf(ret, capacity, "%.*s", (int)len, key->name);
}

void config_suggest(struct text *errors, const char *name)
{
    char found[64] = "", tried[64];
    const char *last = strrchr(name, '.');
    size_t nearest = SIZE_MAX;

    for (size_t i = 0; i < config_key_count; i++) {
        size_t distance;

        candidate(&config_keys[i], name, tried, sizeof(tried));
        distance = suggest_distance(name, tried);
        if (distance < nearest) {
            nearest = distance;
            snprintf(found, sizeof(found), "%s", tried);
        }
    }

    if (suggest_is_near(last ? last + 1 : name, nearest))
        text_addf(errors, "; did you mean \"%s\"?", found);
}

static const char *set_text(char **field, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return "out of memory";

    free(*field);
    *field = copy;
    return NULL;
}

static const char *add_item(struct config_list *list, const char *text)
{
    char *copy = strdup(text);
    char **items = realloc(list->items, (list->count + 1) * sizeof(char *));

    if (items)
        list->items = items;
    if (!copy || !items) {
        free(copy);
        return "out of memory";
    }

    list->items[list->count++] = copy;
    return NULL;
}

static const char *set_count(uint64_t *field, const struct config_key *key, const char *text,
                             char *reason, size_t capacity)
{
    uint64_t value;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno)
        return "is not a whole number";

    if (value < key->least || value > key->most) {
        if (key->least == key->most)
            snprintf(reason, capacity, "must be %llu", (unsigned long long)key->least);
        else
            snprintf(reason, capacity, "must be %llu to %llu", (unsigned long long)key->least,
                     (unsigned long long)key->most);
        return reason;
    }

    *field = value;
    return NULL;
}

static const char *set_bool(bool *field, const char *text)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return "must be true or false";

    *field = *text == 't';
    return NULL;
}

static const char *set_choice(uint64_t *field, const struct config_key *key, const char *text,
                              char *reason, size_t capacity)
{
    size_t len = (size_t)snprintf(reason, capacity, "must be one of");

    for (uint64_t i = 0; key->choices[i]; i++) {
        if (strcmp(key->choices[i], text) == 0) {
            *field = i;
            return NULL;
        }
        len +=
            (size_t)snprintf(reason + len, capacity - len, "%s %s", i ? "," : "", key->choices[i]);
    }
    return reason;
}

static const char *set_value(struct config *config, const struct config_key *key, const char *text,
                             char *reason, size_t capacity)
{
    const char *wrong = key->check ? key->check(text) : NULL;
    void *field = field_of(config, key);

    if (wrong)
        return wrong;

    switch (key->type) {
    case CONFIG_TEXT:
        return set_text(field, text);
    case CONFIG_LIST:
        return add_item(field, text);
    case CONFIG_COUNT:
        return set_count(field, key, text, reason, capacity);
    case CONFIG_BOOL:
        return set_bool(field, text);
    case CONFIG_CHOICE:
        return set_choice(field, key, text, reason, capacity);
    }
    return NULL;
}

bool config_set(struct config *config, const struct config_key *key, const char *text,
                struct config_place place, struct text *errors)
{
    char reason[128];
    const char *wrong = set_value(config, key, text, reason, sizeof(reason));

    if (wrong) {
        config_report(errors, place, "%s: \"%s\" %s", key->name, text, wrong);
        return false;
    }

    config_mark_set(config, key);
    return true;
}

static void check_source(const struct config *config, struct config_place place,
                         struct text *errors)
{
    const struct config_list *pair = &config->value.dataplane.inline_pair;
    int sources = (config->value.dataplane.capture != NULL) +
                  (config->value.dataplane.monitor != NULL) + (pair->count != 0);

    if (sources != 1)
        config_report(errors, place,
                      "%s: give one of dataplane.inline (--inline IN,OUT), dataplane.monitor "
                      "(--monitor IF) and dataplane.capture (--pcap FILE)",
                      sources ? "packets can come from one source only"
                              : "no packets would come from anywhere");
    if (pair->count != 0 && (pair->count != 2 || strcmp(pair->items[0], pair->items[1]) == 0))
        config_report(errors, place,
                      "dataplane.inline needs two different interfaces, the inside one first");
}

static bool is_set(const struct config *config, const char *name)
{
    return config_is_set(config, config_find(name));
}

/* Keys that would do nothing are mistakes. */
static void check_idle_keys(const struct config *config, struct config_place place,
                            struct text *errors)
{
    bool capture = config->value.dataplane.capture != NULL;
    bool one_thread = capture || config->value.dataplane.monitor;

    if (config->value.dataplane.inline_pair.count && is_set(config, "dataplane.inside"))
        config_report(errors, place,
                      "dataplane.inside is for captures and monitor ports; of dataplane.inline the "
                      "first interface is the inside");
    if (!capture && (config->value.dataplane.loop || is_set(config, "dataplane.pace")))
        config_report(errors, place, "dataplane.pace and dataplane.loop are for dataplane.capture");
    if (one_thread && config->value.runtime.workers > 1)
        config_report(errors, place,
                      "runtime.workers: %s is read by one worker, since several would judge a DNS "
                      "answer and the connection behind it in no order; leave the key out",
                      capture ? "a capture" : "a monitor port");
}

bool config_check(const struct config *config, const char *name, struct text *errors)
{
    struct config_place place = {.source = name};
    size_t before = errors->len;

    check_source(config, place, errors);
    check_idle_keys(config, place, errors);
    if (config->value.policy.pin_file && !config->value.policy.file)
        config_report(errors, place,
                      "policy.pin_file is true but policy.file names no file to pin");
    return errors->len == before;
}

static void print_list(const struct config_list *list, struct text *out)
{
    text_add(out, "[");
    for (size_t i = 0; i < list->count; i++) {
        text_add(out, i ? ", " : "");
        text_add_json(out, list->items[i]);
    }
    text_add(out, "]");
}

void config_print_value(const struct config *config, const struct config_key *key, struct text *out)
{
    const void *field = field_of(config, key);

    switch (key->type) {
    case CONFIG_TEXT:
        if (*(char *const *)field)
            text_add_json(out, *(char *const *)field);
        break;
    case CONFIG_LIST:
        print_list(field, out);
        break;
    case CONFIG_COUNT:
        text_addf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case CONFIG_BOOL:
        text_add(out, *(const bool *)field ? "true" : "false");
        break;
    case CONFIG_CHOICE:
        text_add(out, key->choices[*(const uint64_t *)field]);
        break;
    }
}

/* Opens the sections of `name` that `previous` has not opened, and returns the last part. */
static const char *print_sections(const char *name, const char *previous, struct text *out)
{
    const char *part = name, *dot;
    int depth = 0;

    for (; (dot = strchr(part, '.')); part = dot + 1, depth++)
        if (strncmp(name, previous, (size_t)(dot + 1 - name)) != 0)
            text_addf(out, "%*s%.*s:\n", depth * 2, "", (int)(dot - part), part);
    text_addf(out, "%*s", depth * 2, "");
    return part;
}

void config_print(const struct config *config, struct text *out)
{
    const char *previous = "";

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *last;

        /* A text without a value has no YAML form; the comment keeps the key in sight. */
        last = print_sections(key->name, previous, out);
        if (key->type == CONFIG_TEXT && !*(char *const *)field_of(config, key))
            text_addf(out, "# %s: not set", last);
        else
            text_addf(out, "%s: ", last);
        config_print_value(config, key, out);
        text_add(out, "\n");
        previous = key->name;
    }
}
