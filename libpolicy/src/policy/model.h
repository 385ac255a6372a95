/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICY_MODEL_H
#define POLICY_MODEL_H

/*
 * A policy document as its author wrote it (pm_* for "policy model"): load_json.c fills in what was
 * written, check.c judges it and fills in what it means (fields marked "check"), print.c writes it
 * back, compile.c makes the program (pp_*, program.h). Everything lives in one arena that is gone
 * when the program is built.
 *
 * `at` is the number of the scanned node (scan.h), POL_NONE for what is absent. `broken` marks an
 * object with a fault already reported, in which an absence proves nothing.
 */

#include <libpolicy/compile.h>

#include "net/portset.h"

struct pm_text {
    pol_str text; /* ptr NULL: absent */
    uint32_t at;
};

struct pm_texts {
    struct pm_text *items;
    uint32_t count;
    uint32_t at;
};

enum pm_form { PM_ABSENT, PM_TEXT, PM_NUMBER };

/* A value that may be written as a string or as a number. */
struct pm_scalar {
    pol_str text;
    uint32_t number;
    uint32_t at;
    uint8_t form; /* enum pm_form */
};

struct pm_scalars {
    struct pm_scalar *items;
    uint32_t count;
    uint32_t at;
};

struct pm_octets {
    uint8_t *items;
    uint32_t count;
    uint32_t at;
};

struct pm_regex {
    struct pm_text text;
    uint32_t pattern; /* check: number among the model's patterns or regexes; POL_NONE */
};

enum pm_name_form {
    PM_NAME_ABSENT,
    PM_NAME_PATTERN, /* "regex" */
    PM_NAME_LIST,    /* ["exact", ...] */
    PM_NAME_OBJECT   /* {"exact": [...], "regex": "..."} */
};

struct pm_name {
    uint8_t form; /* enum pm_name_form */
    bool broken;
    uint32_t at;
    struct pm_texts exact;
    struct pm_regex regex;
};

/* One member of key_values_exact, key_values_regex, headers.exact or headers.regex. */
struct pm_pair {
    struct pm_text key;
    struct pm_texts values;
    struct pm_regex regex;
};

struct pm_pairs {
    struct pm_pair *items;
    uint32_t count;
    uint32_t at;
};

/* Query and header constraints have the same parts; the query has no `deny`. */
struct pm_fields {
    bool set, broken;
    uint32_t at;
    struct pm_texts require, deny;
    struct pm_pairs exact, regex;
};

/* Host and path; the host has no `prefix`. */
struct pm_place {
    bool set, broken;
    uint32_t at;
    struct pm_texts exact, prefix;
    struct pm_regex regex;
};

struct pm_http {
    bool broken;
    bool has_request, has_response;
    uint32_t at;
    struct pm_place host, path;
    struct pm_texts methods;
    struct pm_fields query, headers;
    struct pm_fields response_headers;
};

struct pm_tls {
    bool broken;
    uint32_t at;
    struct pm_text mode; /* absent, "metadata" or "intercept" */
    struct pm_name sni, server_san, server_cn;
    struct pm_text server_dn;
    struct pm_texts fingerprints;
    struct pm_texts anchors;
    struct pm_text tls13; /* absent, "allow" or "deny" */
    struct pm_http *http; /* NULL: absent */
};

struct pm_match {
    uint32_t at;
    struct pm_texts dst_cidrs, dst_ips;
    struct pm_regex hostname;
    struct pm_scalar proto;
    struct pm_scalars src_ports, dst_ports;
    struct pm_octets icmp_types, icmp_codes;
    struct pm_tls *tls; /* NULL: absent */

    pol_prefix *dst;              /* check: dst_cidrs and dst_ips */
    uint32_t dst_count;           /* check */
    uint8_t proto_number;         /* check */
    bool any_proto;               /* check; false with ICMP types or codes */
    struct portrange *src, *dsts; /* check: as many as src_ports and dst_ports */
};

struct pm_rule {
    uint32_t at;
    struct pm_text id, action, mode; /* mode: absent, "audit" or "enforce" */
    uint32_t priority;
    uint32_t priority_at; /* POL_NONE: absent, priority is the index in the document */
    struct pm_match match;
    bool deny;  /* check */
    bool audit; /* check: the group's mode applied */
};

struct pm_group {
    uint32_t at;
    struct pm_text id, mode, default_action;
    uint32_t priority;
    uint32_t priority_at;
    bool sources_broken;
    uint32_t sources_at;
    struct pm_texts cidrs, ips;
    struct pm_rule *rules;
    uint32_t rule_count;

    pol_prefix *sources;   /* check */
    uint32_t source_count; /* check */
    bool audit;            /* check */
    bool default_deny;     /* check; meaningful when default_action is there */
};

/* A distinct regular expression. */
struct pm_pattern {
    pol_str text; /* trimmed */
    uint32_t at;  /* where it was first written */
    bool caseless;
    bool engine;   /* check: needs the regex engine */
    pol_str error; /* check: why it cannot be used; ptr NULL when it can */
};

struct pm_patterns {
    struct pm_pattern *items;
    size_t count, capacity;
};

struct pm_policy {
    struct pm_text default_policy; /* resolved: never absent once checked */
    struct pm_text audit_deny;     /* absent, "terminal" or "continue" */
    struct pm_group *groups;
    uint32_t group_count;
    uint32_t rule_count; /* of all groups */
    bool default_allow;  /* check */

    struct pm_patterns hostnames; /* check: every distinct dns_hostname */
    struct pm_patterns regexes;   /* check: every other distinct regular expression */
};

#endif
