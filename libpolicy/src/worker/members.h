/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_MEMBERS_H
#define WORKER_MEMBERS_H

/*
 * Pairs that hold for a while, on one VLAN: a multicast group and its member, a DHCP server and
 * nobody, a DHCP client and its transaction. A table is bounded; when it is full, the pair that was
 * used least recently goes. So it is among the pairs of one `what`, which bounds every search.
 */

#include <libpolicy/context.h>
#include <libpolicy/packet.h>

#include "base/aged.h"

enum { MEMBERS_EACH = 64 /* pairs of one `what` */ };

struct member_key {
    pol_addr what; /* looked for: the group, the server, the client */
    pol_addr who;  /* the member, nobody, the transaction */
    uint16_t vlan[2];
};

struct member {
    struct member_key key;
    pol_mono until;
};

struct members {
    struct member *entries;
    struct aged aged; /* by key.what and key.vlan */
    uint64_t seed[2];
};

/* POL_OK or POL_E_NOMEM. */
int members_init(struct members *members, const pol_mem *mem, uint32_t capacity,
                 const uint64_t seed[2]);
void members_fini(struct members *members, const pol_mem *mem);

/* Adds a pair, or makes the one that is there hold at least until then. True: another had to go. */
bool members_put(struct members *members, const struct member_key *key, pol_mono until);
void members_remove(struct members *members, const struct member_key *key);
/* Whether the pair holds now; it then counts as used. */
bool members_has(struct members *members, const struct member_key *key, pol_mono now);

/* The pairs of key->what on its VLAN that hold now, whoever they are with, newest first: POL_NONE
 * at the end. `after` is the one before, POL_NONE for the first. */
uint32_t members_next(const struct members *members, const struct member_key *key, uint32_t after,
                      pol_mono now);
/* Puts a pair before the others of its `what`, as the newest. */
void members_use(struct members *members, uint32_t index);

#endif
