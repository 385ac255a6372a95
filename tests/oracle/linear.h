/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_LINEAR_H
#define ORACLE_LINEAR_H

/*
 * Policy evaluation as decisions.md 2 and 3 tell it, by plain scans over everything. It is slow on
 * purpose and shares nothing with the library but the public constants.
 */

#include <libpolicy/worker.h>

#include "model.h"
#include "names.h"

enum { STEPS_MAX = GROUPS_MAX + RULES_MAX + 1, GRANTS_MAX = 4096 };

/* One entry of the ordered list: a rule, a group's default (rule NULL), the policy's (both NULL).
 */
struct linear_step {
    const struct model_group *group;
    const struct model_rule *rule;
    uint32_t group_number, rule_number; /* in evaluation order, as the public API counts */
};

struct linear_list {
    const struct model *model;
    uint32_t count, group_count;
    struct linear_step steps[STEPS_MAX];
};

/* A grant: of a group, by its id, so it outlives a reload. */
struct linear_grant {
    uint32_t group_id;
    pol_addr addr;
    int name;
    uint8_t kind;   /* enum pol_grant_kind */
    pol_mono until; /* live before */
    bool pinned;    /* a flow is open on it */
};

struct linear_grants {
    uint32_t count;
    struct linear_grant list[GRANTS_MAX];
};

enum linear_tls {
    HELLO_UNKNOWN,
    HELLO_SEEN,
    HELLO_NOT,
    HELLO_INCOMPLETE /* broken, late or contradicted: nothing more will be known */
};

struct linear_facts {
    pol_addr src, dst;
    uint8_t proto, icmp_type, icmp_code;
    uint16_t src_port, dst_port;
    uint8_t tls;         /* enum linear_tls */
    bool no_certificate; /* with HELLO_SEEN: none was shown, and none will be */
    int sni;             /* with HELLO_SEEN; NO_NAME: none was sent */
    bool open;           /* the flow is there: what it holds counts */
    bool forwarded;      /* packets of it have passed: too late to intercept */
    bool spoken;         /* HELLO_NOT was seen in octets, not assumed */
};

struct linear_outcome {
    uint8_t action, raw_action; /* enum pol_action */
    uint16_t reason;            /* enum pol_reason */
    uint32_t group, rule;       /* public numbers or POL_NONE */
    uint32_t resume;            /* where to go on when facts arrive, or POL_NONE */
    bool watched, audit, named;
    bool audit_mode;                    /* of the rule that decided */
    uint32_t shadow_group, shadow_rule; /* an audit rule that would have denied, or POL_NONE */
    /* The grants that carry the decision equally well. */
    uint32_t carrier_count, carrier;
};

/* Once, before anything else. */
void linear_init(void);

void linear_flatten(const struct model *model, struct linear_list *list);

void linear_walk(const struct linear_list *list, const struct linear_grants *grants,
                 const struct linear_facts *facts, uint32_t from, pol_mono now,
                 struct linear_outcome *out);

/* Whether the SNI is a name that the group may use for the destination. */
bool linear_sni_granted(const struct linear_list *list, const struct linear_grants *grants,
                        const struct linear_facts *facts, uint32_t group_number, pol_mono now);

/* --- queries --- */

struct linear_query {
    uint8_t action, raw_action, kind;
    bool audit;
    uint16_t reason;
    uint32_t group, rule;
    uint32_t grantee_count;
    uint32_t grantees[GROUPS_MAX]; /* group numbers, each once */
};

/* No client: a resolver inside asks on behalf of all. */
void linear_ask(const struct linear_list *list, const pol_addr *client, int name,
                struct linear_query *out);

/* Whether any group with the client, or without one any group, has a rule for names that acts on
 * queries. */
bool linear_has_names(const struct linear_list *list, const pol_addr *client);

void linear_learn(const struct linear_list *list, struct linear_grants *grants,
                  const struct linear_query *query, int name, const pol_addr *addr, pol_mono ttl,
                  pol_mono now);

bool prefix_has(const pol_prefix *prefix, const pol_addr *addr);

#endif
