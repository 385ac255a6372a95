/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_MODEL_H
#define ORACLE_MODEL_H

/*
 * A policy as the oracle sees it: what the document says, in the order of the document. It is
 * drawn at random and written as JSON for the library; the oracle itself never reads JSON and never
 * sees the library's structures.
 */

#include <libpolicy/base.h>

#include "draw.h"

enum { GROUPS_MAX = 60, RULES_MAX = 600, GROUP_RULES_MAX = 60, LIST_MAX = 3 };

enum model_mode { MODE_INHERIT, MODE_ENFORCE, MODE_AUDIT };
enum model_default { DEFAULT_NONE, DEFAULT_ALLOW, DEFAULT_DENY };
enum model_tls { TLS_NONE, TLS_METADATA, TLS_INTERCEPT };

struct model_range {
    uint16_t first, last;
};

struct model_rule {
    uint32_t id;
    bool has_priority;
    uint32_t priority;
    bool deny;
    uint8_t mode; /* enum model_mode */
    uint8_t dst_count, src_port_count, dst_port_count, type_count, code_count;
    pol_prefix dst[LIST_MAX];
    bool any_proto;
    uint8_t proto;
    struct model_range src_ports[LIST_MAX], dst_ports[LIST_MAX];
    uint8_t types[LIST_MAX], codes[LIST_MAX];
    int pattern;     /* of the hostname, or NO_PATTERN */
    uint8_t tls;     /* enum model_tls */
    int sni_pattern; /* or NO_PATTERN */
    uint8_t sni_count;
    int sni[LIST_MAX]; /* exact names */
    bool certificate;  /* a condition on the certificate, which no server ever shows here */
};

struct model_group {
    uint32_t id;
    bool has_priority;
    uint32_t priority;
    uint8_t mode; /* MODE_ENFORCE or MODE_AUDIT */
    uint8_t default_action;
    uint8_t source_count;
    pol_prefix sources[LIST_MAX];
    uint32_t first_rule, rule_count;
};

struct model {
    uint8_t default_policy;
    uint8_t audit_deny; /* 0 absent, 1 terminal, 2 continue */
    uint32_t group_count, rule_count;
    struct model_group groups[GROUPS_MAX];
    struct model_rule rules[RULES_MAX];
};

void model_draw(struct model *model, struct draw *draw);
/* Another policy of the same groups: some rules, modes and defaults differ. */
void model_change(struct model *model, struct draw *draw);

/* The document; the length without the NUL. */
size_t model_json(const struct model *model, char *buf, size_t capacity);

/* --- values that policies and packets have in common --- */

pol_prefix draw_prefix(struct draw *draw, bool source);
/* An address in the prefix, or next to it: its edges more often than chance would have them. */
pol_addr draw_address(struct draw *draw, const pol_prefix *prefix);
uint16_t draw_port(struct draw *draw);
uint8_t draw_proto(struct draw *draw);

#endif
