/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_AUDIT_H
#define LIBPOLICY_AUDIT_H

/*
 * What was denied, or would have been: findings, merged, bounded and listed.
 */

#include <libpolicy/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Findings: denials, and what audit mode would have denied, merged by what they have in common. The
 * table is bounded; eviction respects recency and count.
 *
 * Thread class: One thread at a time.
 */
typedef struct pol_audit pol_audit;

/** What was denied. */
enum pol_finding_type {
    POL_FIND_DNS_DENY,  /* a query */
    POL_FIND_L4_DENY,   /* a packet or flow, by addresses, protocol and ports */
    POL_FIND_TLS_DENY,  /* a connection, by its TLS handshake */
    POL_FIND_ICMP_DENY, /* an ICMP or ICMPv6 packet */
    POL_FIND_AUTH_SSO,  /* a sign-in: comes by pol_audit_restore() only, never from an event */
    POL_FIND_COUNT      /* how many there are */
};

/** The word of a type: "dns_deny", "l4_deny", "tls_deny", "icmp_deny", "auth_sso"; "unknown" for a
 *  number out of range. Static storage. */
POL_API const char *pol_finding_word(unsigned type);

#define POL_FINDING_NAMES 8 /* known names kept per finding */

/**
 * One finding, self-contained: a row that can be stored and restored. The first five fields with
 * dst, port, proto, ICMP and names are its key, by type:
 *   dns: group, hostname          l4: group, dst, dst_port, proto, fqdn
 *   tls: group, sni, dst, port    icmp: group, dst, type, code
 */
typedef struct pol_finding {
    uint8_t type;        /* enum pol_finding_type */
    uint8_t proto;       /* IANA number; dns: 0 */
    uint8_t icmp_type, icmp_code; /* icmp */
    uint8_t audit;       /* 1: audit mode let it through every time it was seen */
    uint8_t name_count;  /* of names */
    uint16_t dst_port;   /* l4, tls */
    uint16_t query_type; /* dns */
    uint16_t reason;     /* enum pol_reason of the newest event */
    pol_addr dst;        /* family 0 for dns */
    pol_addr src;        /* first seen source */
    uint64_t generation; /* of the newest event */
    uint64_t count;      /* how often it was seen; stays at its largest value */
    pol_wall first_seen, last_seen; /* when */
    uint64_t reserved[4]; /* zero */
    char group[257];     /* id; "default" when no group matched */
    char rule[257];      /* id of the newest event's rule; may be empty */
    char name[POL_NAME_MAX + 1]; /* dns: queried name. tls: SNI */
    char fqdn[POL_NAME_MAX + 1]; /* l4, tls, icmp: newest name known for dst */
    char names[POL_FINDING_NAMES][POL_NAME_MAX + 1]; /* all names known for dst, newest first */
} pol_finding;

/**
 * Makes an empty table and takes all of its memory.
 *
 * @return POL_OK, POL_E_NOMEM, POL_E_INVALID (0 or more than 1 million findings)
 *
 * Thread class: any thread.
 */
POL_API int pol_audit_new(pol_ctx *ctx, uint32_t max_findings, pol_audit **ret_audit);

/** Frees the table and its findings. */
POL_API void pol_audit_free(pol_audit *audit);

/** Octets of memory the table holds, from its making to its end. */
POL_API size_t pol_audit_memory(const pol_audit *audit);

/**
 * Merges an event into its finding. Events that are no denial are ignored.
 *
 * @param policy  the policy of event->verdict.generation, for the ids; may be NULL for events whose
 *                group and rule are POL_NONE
 * @param grants  may be NULL; asked for all names known for the destination
 * @param wall    the event's time of day
 *
 * @return POL_OK (also when ignored), POL_E_INVALID (indexes do not fit the policy)
 *
 * Allocates nothing.
 */
POL_API int pol_audit_add(pol_audit *audit, const pol_policy *policy, const pol_grants *grants,
                          const pol_event *event, pol_wall wall);

/** Adds a finding from a store or from another node: counts are summed, the time span is widened.
 *  @return POL_OK, POL_E_INVALID (unknown type, count 0, text without end) */
POL_API int pol_audit_restore(pol_audit *audit, const pol_finding *finding);

/** Adds all findings of @p from, which is not @p into: a table is no news to itself. Both belong to
 *  the thread that calls. */
POL_API void pol_audit_merge(pol_audit *into, const pol_audit *from);

/** Which findings to list. Lists are OR-ed inside, AND-ed with each other; empty means any. */
typedef struct pol_audit_query {
    size_t size;              /* set by pol_audit_query_init() */
    uint32_t types;           /* 1 << enum pol_finding_type, or-ed; 0: any */
    const pol_str *groups;    /* compared caseless */
    size_t group_count;       /* of groups */
    pol_wall since;           /* keeps last_seen >= since */
    pol_wall until;           /* keeps first_seen <= until; POL_NEVER: no bound */
    size_t limit;             /* 500 */
} pol_audit_query;

/** Makes a query that every finding fits, 500 at most. Call with sizeof(pol_audit_query). */
POL_API void pol_audit_query_init(pol_audit_query *query, size_t size);

/**
 * Visits the findings that fit, newest last_seen first (in whole seconds), then highest count.
 * @p visit returns false to stop; it must not call back into @p audit.
 *
 * @return the number visited, or POL_E_NOMEM or POL_E_ABI (query->size); nobody is visited then
 *
 * Takes memory of the context for as long as it runs.
 */
POL_API int pol_audit_find(const pol_audit *audit, const pol_audit_query *query,
                           bool (*visit)(void *user, const pol_finding *finding), void *user);

/** Visits findings that changed since the last call, and forgets that they did: for a store that
 *  writes behind. Evicted ones come first, with count 0. A finding for which @p visit returns
 *  false stays changed, and ends the visit; @p visit must not call back into @p audit. Returns how
 *  many were visited and forgotten. Allocates nothing. */
POL_API size_t pol_audit_changes(pol_audit *audit,
                                 bool (*visit)(void *user, const pol_finding *finding), void *user);

/** The numbers of a table. */
typedef struct pol_audit_stats {
    uint32_t findings; /* in the table now */
    uint32_t capacity; /* max_findings */
    uint64_t events;   /* merged since it was made */
    uint64_t evicted;  /* findings that made room for others */
    uint64_t reserved[4]; /* zero */
} pol_audit_stats;

/** Copies the numbers out. */
POL_API void pol_audit_stats_get(const pol_audit *audit, pol_audit_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
