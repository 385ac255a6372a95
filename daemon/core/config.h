/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"

struct config_list {
    char **items;
    size_t count;
};

/* Positions in the choices of their keys. */
enum config_default_policy { CONFIG_POLICY_DENY, CONFIG_POLICY_ALLOW };
enum config_sni_check { CONFIG_SNI_OFF, CONFIG_SNI_LOG, CONFIG_SNI_ENFORCE };
enum config_midstream { CONFIG_MIDSTREAM_JUDGE, CONFIG_MIDSTREAM_DENY };
enum config_monitor_driver { CONFIG_MONITOR_AFPACKET, CONFIG_MONITOR_LIBPCAP };
enum config_pace { CONFIG_PACE_FAST, CONFIG_PACE_REAL };
enum config_deny { CONFIG_DENY_REJECT, CONFIG_DENY_DROP };
enum config_link_loss { CONFIG_LINK_LOSS_IGNORE, CONFIG_LINK_LOSS_SIGNAL };
enum config_control { CONFIG_CONTROL_PASS, CONFIG_CONTROL_DROP, CONFIG_CONTROL_JUDGE };

/*
 * The configuration: every key of the file, one field each. Made once from defaults, file and
 * flags, then only read. Texts belong to it and are NULL when a key has no value.
 */
struct config {
    struct {
        uint64_t version;
        struct {
            char *dir;
        } state;
        struct {
            char *file;
            bool pin_file;
            uint64_t fallback; /* enum config_default_policy */
        } policy;
        struct {
            char *capture;
            uint64_t pace; /* enum config_pace */
            bool loop;
            struct config_list inline_pair; /* empty, or inside and outside */
            char *monitor;
            uint64_t monitor_driver; /* enum config_monitor_driver */
            uint64_t deny;           /* enum config_deny */
            bool admit_outside;
            struct {
                /* enum config_control */
                uint64_t arp, ndp, groups, dhcp, dhcpv6, eapol, lldp, stp, multicast, other;
            } control;
            uint64_t link_loss; /* enum config_link_loss */
            bool qdisc_bypass;
            uint64_t ring_slots;
            uint64_t spin_usecs;
            struct config_list inside;
            uint64_t sni_check; /* enum config_sni_check */
            uint64_t midstream; /* enum config_midstream */
            uint64_t idle_timeout_secs;
            uint64_t dns_allowlist_idle_secs;
            uint64_t dns_allowlist_flow_idle_secs;
            uint64_t dns_allowlist_capacity;
            uint64_t flow_table_capacity;
            uint64_t max_pending_tls_flows;
        } dataplane;
        struct {
            char *trust_anchors;
        } tls;
        struct {
            struct config_list trusted_resolvers;
            struct config_list inside_resolvers;
        } dns;
        struct {
            char *bind;
            char *admin_token_file;
        } http;
        struct {
            uint64_t workers;
            uint64_t http_worker_threads;
        } runtime;
        struct {
            uint64_t max_findings;
        } audit;
        struct {
            uint64_t max_streams;
        } wiretap;
        struct {
            struct config_list advisory;
        } readiness;
        struct {
            uint64_t level; /* enum log_level */
        } log;
    } value;
    uint64_t set_by_hand; /* bit i: key i came from the file or a flag, not from its default */
};

/* Where a value stands, for messages. Line 0 means the value came from a flag called `source`. */
struct config_place {
    const char *source;
    size_t line, column;
};

enum config_type { CONFIG_TEXT, CONFIG_LIST, CONFIG_COUNT, CONFIG_BOOL, CONFIG_CHOICE };

struct config_key {
    const char *name;                       /* as in the file, sections joined by dots */
    size_t offset;                          /* of the field in struct config's value */
    const char *standard;                   /* the default as text; NULL: empty */
    uint64_t least, most;                   /* CONFIG_COUNT */
    const char *const *choices;             /* CONFIG_CHOICE, NULL at the end */
    const char *(*check)(const char *text); /* why a text cannot be; NULL when it can */
    enum config_type type;
    bool live; /* SIGHUP is enough; no restart */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

int config_init(struct config *config); /* the defaults; 0 or -ENOMEM */
void config_fini(struct config *config);

const struct config_key *config_find(const char *name);

/* True when some key begins with "name.". */
bool config_is_section(const char *name);

/*
 * Sets a key from its text, or adds to it when it is a list. On failure one line is added to
 * `errors`: "file:3:5: http.bind: ...".
 */
bool config_set(struct config *config, const struct config_key *key, const char *text,
                struct config_place place, struct text *errors);

/* Whether the file or a flag has given the key a value. */
bool config_is_set(const struct config *config, const struct config_key *key);
void config_mark_set(struct config *config, const struct config_key *key);
void config_clear_list(struct config *config, const struct config_key *key);

void config_report(struct text *errors, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "; did you mean ...?" for a name that is no key and no section, or nothing. */
void config_suggest(struct text *errors, const char *name);

/* Reads a YAML file into the configuration. False when `errors` has grown. */
bool config_read_file(struct config *config, const char *path, struct text *errors);
bool config_read_yaml(struct config *config, const char *source, const char *yaml, size_t len,
                      struct text *errors);

/* What one key alone cannot show. `name` is what messages call the configuration. */
bool config_check(const struct config *config, const char *name, struct text *errors);

/* The whole configuration as YAML that config_read_yaml() accepts. */
void config_print(const struct config *config, struct text *out);

/* The value of a key as config_print() writes it. */
void config_print_value(const struct config *config, const struct config_key *key,
                        struct text *out);

#endif
