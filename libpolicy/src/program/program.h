/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROGRAM_PROGRAM_H
#define PROGRAM_PROGRAM_H

/*
 * The compiled form of a policy, read-only after the build (pp_* for "policy program"; what the
 * author wrote is pm_* in policy/model.h).
 *
 * Flattened, a policy is ONE ordered list of steps: for every group in priority order its rules in
 * priority order, then a step for the group's default, and at the very end the policy's default.
 * A decision is the first step that matches and whose conditional parts hold. Steps are numbered by
 * their place; everything below speaks of step numbers, the public API of rule numbers.
 *
 *   group 0: r0 r1 [default]   group 1: r2 [default]   [policy default]
 *   steps:   0  1   2                   3   4           5
 *
 * A group without default_action keeps its default step, with action PP_NO_ACTION, so that the
 * arithmetic stays simple; it is never a candidate.
 *
 * How a step is reached:
 *  - by_packet: through the classifier (match/classify.h). Every step without a hostname, deny
 *    rules with a hostname that can see TCP (their hostname is a condition on the SNI), defaults.
 *  - allow rules with a hostname: through the names granted for (group, destination): the name's
 *    patterns (pattern/patterns.h), and the pattern's list of steps (pp_pattern).
 */

#include <libpolicy/compile.h>
#include <libpolicy/worker.h>

#include <stdatomic.h>

#include "base/arena.h"

struct classifier;
struct ipset;
struct patterns;
struct portset;
struct regex;
struct x509_anchors;

enum pp_kind { PP_RULE, PP_GROUP_DEFAULT, PP_POLICY_DEFAULT };

#define PP_NO_ACTION UINT8_MAX /* a group default that is not set */

/* A set of octet values, for ICMP types and codes. */
struct pp_octets {
    uint32_t bits[8];
};

static inline bool pp_octets_has(const struct pp_octets *set, uint8_t value)
{
    return set->bits[value >> 5] >> (value & 31) & 1;
}

struct pp_icmp {
    bool any_type, any_code;
    struct pp_octets types, codes;
};

/* A Name of the document: exact values and/or one regular expression; given both, both must hold.
 * Exact values are normalised (wire/dnsname.h, names in certificates wire/certname.h) and sorted by
 * memcmp over (text, length). */
struct pp_name {
    const pol_str *exact;
    uint32_t exact_count;      /* 0: no exact part */
    const struct regex *regex; /* NULL: no regex part */
};

struct pp_http; /* compiled request and response constraints, http.h */

struct pp_tls {
    bool intercept;
    bool tls13_allow;          /* tls13_uninspectable: allow */
    bool needs_certificate;    /* any of the certificate fields below is set */
    const struct pp_name *sni; /* NULL: any */
    const struct pp_name *san, *cn;
    pol_str server_dn; /* normalised; ptr NULL: any */
    const uint8_t (*fingerprints)[32];
    uint32_t fingerprint_count;
    const struct x509_anchors *anchors; /* NULL: those of the worker */
    const struct pp_http *http; /* intercept only */
};

struct pp_step {
    uint8_t kind;   /* enum pp_kind */
    uint8_t action; /* POL_ALLOW or POL_DENY; PP_NO_ACTION */
    uint8_t mode;   /* enum pol_mode; the policy default is POL_MODE_ENFORCE */
    uint8_t proto;  /* IANA number; valid when !any_proto */
    bool any_proto;
    bool by_packet;   /* a candidate of the classifier */
    bool on_query;    /* acts on DNS queries: has a hostname, and is an allow rule or a deny rule
                         with nothing but a hostname */
    uint32_t group;   /* index into groups; POL_NONE for the policy default */
    uint32_t rule;    /* public rule number; POL_NONE for defaults */
    uint32_t pattern; /* the hostname's pattern, or POL_NONE */
    const struct ipset *dst;         /* NULL: any */
    const struct portset *src_ports; /* NULL: any; a packet without ports has none in any set */
    const struct portset *dst_ports;
    const struct pp_icmp *icmp; /* NULL: any */
    const struct pp_tls *tls;   /* NULL: none */
};

struct pp_group {
    pol_str id;
    uint64_t key;            /* pol_policy_group_key() */
    uint8_t mode;            /* enum pol_mode */
    bool has_query_rules;    /* any rule with on_query */
    bool has_hostname_allow; /* any allow rule with a hostname: packets may be opened by names */
    uint32_t first;          /* first step; rules are [first, end) */
    uint32_t end;            /* the step of the default */
    const struct ipset *sources;
};

/* The steps whose hostname is one pattern, ascending. */
struct pp_pattern {
    const uint32_t *steps;
    uint32_t count;
};

struct pol_policy {
    atomic_uint refs;
    pol_ctx *ctx;
    struct arena arena; /* owns everything below */

    struct pp_step *steps;
    uint32_t step_count; /* the last one is the policy default */
    struct pp_group *groups;
    uint32_t group_count;
    uint32_t *rule_steps; /* public rule number -> step; 64-bit safe: rules <= pol_limits.rules */
    pol_str *rule_ids;    /* by public rule number */
    uint32_t rule_count;

    struct regex **regexes; /* every distinct pattern of names and HTTP constraints; the pp_name
                               and pp_http structs borrow from here */
    uint32_t regex_count;

    struct patterns *patterns;           /* every distinct hostname pattern */
    const struct pp_pattern *by_pattern; /* indexed by pattern id */

    struct classifier *by_packet;       /* every by_packet step */
    struct classifier *by_packet_audit; /* by_packet steps in audit mode only, without defaults;
                                           NULL when no audit rule denies */
    bool audit_continues;               /* document option: an audit deny records and goes on */
    bool has_audit_deny; /* some rule in audit mode can deny: the second pass is worth it */
    uint32_t needs;      /* enum pol_need */
    pol_str json;        /* the accepted document */
    uint8_t digest[32];
};

#endif
