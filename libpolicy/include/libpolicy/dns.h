/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_DNS_H
#define LIBPOLICY_DNS_H

/*
 * For a DNS proxy: judge the query, ask upstream, learn the answer, then release it. A worker on the
 * wire does all of this itself (worker.h); these functions are for those who hold whole messages.
 *
 *   pol_dns_decide()  ALLOW  -> forward the query; keep the pol_dns_query
 *                     ANSWER -> pol_dns_refuse() and send that
 *   pol_dns_learn()   before the answer is sent: when it returns, every worker sees the grants
 */

#include <libpolicy/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POL_DNS_GRANTEES 16 /* groups that one answer can open addresses for */

/** A query that was judged, and who gets the grants of its answer. A plain value. */
typedef struct pol_dns_query {
    pol_addr client;       /* who asked */
    uint16_t id, qtype, qclass; /* of the message; RFC 1035 4.1.1, 3.2 */
    uint8_t kind;          /* enum pol_grant_kind its answers get */
    uint8_t name_len;      /* octets of name */
    uint8_t grantee_count; /* of grantees */
    uint64_t grantees[POL_DNS_GRANTEES]; /* group keys, in group order */
    uint64_t reserved[2];                /* zero */
    char name[POL_NAME_MAX + 1];         /* text form, lower case, NUL-terminated */
} pol_dns_query;

/**
 * Judges a DNS query (RFC 1035 4.1; exactly one question, whole records, nothing behind the last).
 *
 * @param client      who asks
 * @param query       the whole message
 * @param ret_query   written when the message could be read, whatever the verdict
 * @param ret_verdict reasons: RULE, DNS_NO_RULE, MALFORMED, NO_POLICY, LIMIT
 *
 * @return POL_ALLOW, POL_ANSWER, or POL_DENY for a message that cannot even be refused
 *
 * Thread class: of @p worker. Allocates nothing.
 */
POL_API enum pol_action pol_dns_decide(pol_worker *worker, const pol_addr *client, pol_bytes query,
                                       pol_mono now, pol_dns_query *ret_query,
                                       pol_verdict *ret_verdict);

/** What an answer has taught. */
typedef struct pol_dns_learned {
    uint32_t addresses; /* reached from the question */
    uint32_t added;     /* new grants, over all grantees */
    uint32_t refreshed; /* grants that were there */
    uint8_t rcode;      /* of the answer, RFC 1035 4.1.1 */
    uint64_t reserved[2]; /* zero */
} pol_dns_learned;

/**
 * Learns the addresses of an answer for the groups of the query: A and AAAA records of the answer
 * section reached from the question through CNAME or DNAME (RFC 1034 3.6.2, RFC 6672), at most 11
 * steps, and the address hints of HTTPS and SVCB records so reached (RFC 9460 7.3). Class IN and
 * rcode 0 only. A truncated answer teaches its complete records.
 *
 * @return POL_OK         the answer may be sent
 *         POL_E_FORMAT   not a response to this query, or malformed; nothing was learned
 *         POL_E_FULL     no room for at least one address: answer SERVFAIL instead. What had room
 *                        is learned, and *ret_learned says so
 *         POL_E_INVALID  the worker has no grant table, or @p query is none that pol_dns_decide()
 *                        has written; nothing was learned
 *
 * Thread class: of @p worker; learner of its grants. Allocates nothing.
 */
POL_API int pol_dns_learn(pol_worker *worker, const pol_dns_query *query, pol_bytes answer,
                          pol_mono now, pol_dns_learned *ret_learned);

/** How a query is refused. */
enum pol_dns_refusal {
    POL_DNS_NXDOMAIN, /* with extended error 15, Blocked (RFC 8914 4.16) */
    POL_DNS_REFUSED,  /* with extended error 18, Prohibited */
    POL_DNS_SERVFAIL, /* with extended error 0, Other */
    POL_DNS_FORMERR   /* the query cannot be read */
};

/**
 * Writes the answer to a query that is not forwarded: id, opcode, RD and question of the query, RA,
 * the rcode, and an extended error if the query had an OPT record (RFC 6891 6.1.1).
 *
 * @return POL_OK, POL_E_NOSPACE (*ret_len is the length needed; 1 232 octets are always enough),
 *         POL_E_FORMAT (not a query that can be answered), POL_E_INVALID (no such refusal)
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API int pol_dns_refuse(pol_bytes query, enum pol_dns_refusal refusal, uint8_t *buf,
                           size_t capacity, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
