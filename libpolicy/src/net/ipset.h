/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_IPSET_H
#define NET_IPSET_H

/*
 * An immutable set of addresses, built once from prefixes of both families. Any number of threads
 * may read it.
 */

#include "net/addr.h"

struct arena;
struct ipset;

/*
 * Overlapping, nested and adjacent prefixes become one range. The set lives in the arena and is
 * released with it; no prefixes give the empty set. POL_OK or POL_E_NOMEM.
 */
int ipset_build(struct arena *arena, const pol_prefix *prefixes, size_t count,
                struct ipset **ret_set);

bool ipset_has(const struct ipset *set, const pol_addr *addr);
/* Every address of `inner` is in `outer`. The empty set is covered by all. */
bool ipset_covers(const struct ipset *outer, const struct ipset *inner);

/* The disjoint ranges the set was merged into, ascending, IPv4 first. Neighbours never touch. */
size_t ipset_range_count(const struct ipset *set);
struct iprange ipset_range(const struct ipset *set, size_t index);

#endif
