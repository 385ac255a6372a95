/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_QUERIES_H
#define WORKER_QUERIES_H

/*
 * DNS queries on the wire that have been let through and wait for their answer. The first answer
 * that fits closes the query; none is accepted without one (RFC 5452).
 */

#include <libpolicy/dns.h>
#include <libpolicy/packet.h>

#include "base/aged.h"

struct query {
    pol_tuple tuple; /* client to resolver */
    uint16_t vlan[2];
    pol_dns_query dns;
    pol_verdict verdict; /* of the query */
    pol_mono asked;      /* newest copy of the query */
    pol_mono first;
    bool refused; /* denied, but seen on a port that cannot hold it back: its answer will come, and
                     belongs to it */
};

struct queries {
    struct query *entries;
    struct aged aged; /* by all that tells queries apart */
    uint64_t seed[2];
};

int queries_init(struct queries *queries, const pol_mem *mem, uint32_t capacity,
                 const uint64_t seed[2]);
void queries_fini(struct queries *queries, const pol_mem *mem);

/* The open query with these ends, id, type and name, or POL_NONE. */
uint32_t queries_find(const struct queries *queries, const pol_tuple *tuple, const uint16_t vlan[2],
                      const pol_dns_query *dns);

/* A place for a query that is not there yet; POL_NONE when full (close the oldest first). The
 * caller has filled in tuple, vlan and dns of `query`. */
uint32_t queries_open(struct queries *queries, const struct query *query);
/* A repeated query waits from now on. */
void queries_renew(struct queries *queries, uint32_t index, pol_mono now);
void queries_close(struct queries *queries, uint32_t index);

#endif
