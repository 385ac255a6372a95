/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_WORLD_H
#define ORACLE_WORLD_H

/*
 * One random policy, a second one that replaces it now and then, the names taught under them, and
 * the packets judged by both: the library and the oracle. A world follows from its seed alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORLD_CASES = 500 };

struct world;

struct world *world_new(void);
void world_free(struct world *world);

/* Once, before any world. */
void world_init(void);

/* Plays `cases` cases; false when library and oracle differ. */
bool world_play(struct world *world, uint64_t seed, uint32_t cases);

/* The difference, with all it takes to understand it. Valid until the world plays again. */
const char *world_difference(const struct world *world);

#endif
