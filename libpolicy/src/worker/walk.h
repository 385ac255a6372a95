/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_WALK_H
#define WORKER_WALK_H

/*
 * The ordered search: from the facts of a flow to the first step of the policy that matches and
 * whose conditions hold. It merges the classifier's steps with the hostname rules that the names
 * granted for (group, destination) satisfy.
 *
 * A condition on TLS may be unknown yet. Then the search looks on to the next unconditional step:
 * if every outcome on the way is the same, the answer is there already; otherwise it is PENDING and
 * resumes at the first unknown step when facts arrive.
 */

#include "flow/table.h"
#include "grants/grants.h"
#include "match/memo.h"
#include "match/rule.h"
#include "worker/chains.h"

/* What is known of a flow when it is judged. */
struct walk_facts {
    pol_addr src;
    struct classify_key key;
    uint8_t tls;         /* enum tls_fact; TLS_NOT for anything but TCP */
    uint8_t certificate; /* enum certificate_fact; with TLS_HELLO */
    uint32_t chain;      /* with CERTIFICATE_SEEN: its place among the walker's chains */
    pol_wall wall;       /* with CERTIFICATE_SEEN: the time of day; 0: unknown */
    pol_str sni;         /* with TLS_HELLO; empty: none was sent */
    uint32_t held;       /* with only_held: the grant that the flow holds, or POL_NONE */
    bool only_held;      /* no other grant counts */
    bool held_counts;    /* the flow is open: held grants count as live ones */
    bool forwarded;      /* packets have been forwarded: too late to intercept */
    bool spoken;         /* TLS_NOT was seen in octets, not assumed */
};

/* The answer. */
struct walk_outcome {
    uint8_t action;                /* POL_ALLOW, POL_DENY, POL_PENDING, POL_INTERCEPT */
    uint8_t raw_action;            /* before audit mode softened it */
    uint16_t reason;               /* enum pol_reason */
    uint32_t step;                 /* that decided; POL_NONE while pending */
    uint32_t resume;               /* first unknown step, or POL_NONE */
    bool watched;                  /* allowed, but unknown steps may correct the rule */
    bool audit;                    /* raw_action is a denial that audit mode softened */
    bool expired;                  /* a name that has expired would have opened the address */
    uint32_t shadow;               /* an audit-mode step that would have denied, or POL_NONE */
    uint32_t grant, grant_version; /* that carried the decision, or POL_NONE */
};

/* What a walk needs; one per worker. */
struct walker {
    const pol_policy *policy; /* never NULL while walking */
    const pol_grants *grants; /* may be NULL */
    const struct ipset *own;  /* addresses of the host, special too; NULL: none are known */
    struct memo memo;
    struct regex_scratch *scratch;
    struct chains chains;
    struct x509_anchors anchors; /* for rules that name none */
    pol_mono now;
    struct classify_path path; /* of the facts' source */
    /* names of one (group, destination), fetched when the walk reaches the group */
    uint32_t hits_group;
    bool hits_special; /* the destination is a special address */
    bool skip_shadows; /* nobody reads denials, so rules behind the deciding one are not asked */
    bool limited;      /* a name was passed over because its regex hit a limit */
    size_t hit_count;
    struct grants_hit hits[GRANTS_HITS_MAX];
};

/* Walks from step `from`: 0, or walk_outcome.resume in the same generation. */
void walk_packet(struct walker *walker, const struct walk_facts *facts, uint32_t from,
                 struct walk_outcome *ret_outcome);

/* The patterns a name satisfies under the walker's policy. Valid until the next call. */
void walk_patterns(struct walker *walker, uint64_t name_hash, pol_str name,
                   struct memo_patterns *ret_patterns);

/* The first step of a pattern at or after `from`, or POL_NONE. */
uint32_t pattern_step(const struct pp_pattern *pattern, uint32_t from);

/* Whether the SNI of the facts is a live, held or observed name of (group, destination). */
bool walk_sni_granted(struct walker *walker, const struct walk_facts *facts, uint32_t group);

#endif
