/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_PORTSET_H
#define NET_PORTSET_H

/*
 * An immutable set of ports: sorted disjoint ranges that never touch, to be read directly.
 */

#include <libpolicy/base.h>

struct arena;

/* Both ends included; first is at most last. */
struct portrange {
    uint16_t first, last;
};

struct portset {
    uint32_t count;
    struct portrange ranges[];
};

/*
 * Overlapping and adjacent ranges become one. The set lives in the arena; no ranges give the empty
 * set, which holds no port (that "no ports given" means "any port" is for the rule to know).
 * POL_OK or POL_E_NOMEM.
 */
int portset_build(struct arena *arena, const struct portrange *ranges, size_t count,
                  struct portset **ret_set);

bool portset_has(const struct portset *set, uint16_t port);
/* Every port of `inner` is in `outer`. */
bool portset_covers(const struct portset *outer, const struct portset *inner);

#endif
