/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GRANTS_GRANTS_H
#define GRANTS_GRANTS_H

/*
 * The inside of pol_grants, as workers use it: look names up for an address, pin a grant while a
 * flow is open on it, learn an answer. What a grant is stands in <libpolicy/grants.h>.
 */

#include <libpolicy/grants.h>

#define GRANTS_HITS_MAX 256 /* names one (group, address) can have */

/* One grant as a lookup found it. */
struct grants_hit {
    uint32_t slot;
    uint32_t version;   /* of the slot, for grants_pin() */
    uint32_t name;      /* where the text is, for grants_name() */
    uint8_t kind;       /* enum pol_grant_kind */
    uint8_t state;      /* enum pol_grant_state; GONE ones are remembered for the finding */
    uint64_t name_hash; /* identifies the name */
    pol_mono used;
};

/* What one answer teaches. */
struct grants_lesson {
    const uint64_t *keys; /* of the groups that get the grants */
    uint32_t key_count;
    uint8_t kind;
    pol_str name; /* normalised, 1..POL_NAME_MAX octets */
    const pol_addr *addrs;
    const uint32_t *ttls; /* seconds */
    uint32_t addr_count;
};

struct grants_learned {
    uint32_t added, refreshed;
    bool full; /* at least one address found no room */
};

/* Reader. All grants of (key, addr), remembered ones included; at most GRANTS_HITS_MAX. */
size_t grants_lookup(const pol_grants *grants, uint64_t key, const pol_addr *addr, pol_mono now,
                     struct grants_hit hits[GRANTS_HITS_MAX]);

/* Reader. Copies a name out; false when the slot holds another name by now. */
bool grants_name(const pol_grants *grants, uint32_t name, uint64_t name_hash,
                 char text[POL_NAME_MAX + 1], uint8_t *ret_len);

/* The identity of a name as hits carry it. */
uint64_t grants_name_hash(const pol_grants *grants, pol_str name);

/* Reader. Keeps the grant for a flow; false when the slot has been reused. */
bool grants_pin(pol_grants *grants, uint32_t slot, uint32_t version);
/* Reader. The flow is over. Only for a slot this caller has pinned. */
void grants_unpin(pol_grants *grants, uint32_t slot);
/* Reader. A packet of the flow passed. Only for a slot this caller has pinned. */
void grants_touch(pol_grants *grants, uint32_t slot, pol_mono now, bool two_way);

/* Learner. */
void grants_learn(pol_grants *grants, const struct grants_lesson *lesson, pol_mono now,
                  struct grants_learned *ret_learned);

/* A worker holds one until it is freed; pol_grants_free() gives it back. NULL is fine. */
void grants_ref(pol_grants *grants);

#endif
