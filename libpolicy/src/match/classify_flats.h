/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_CLASSIFY_FLATS_H
#define MATCH_CLASSIFY_FLATS_H

/*
 * Steps as flats for the trees, and the partition of the destinations that makes them boxes. See
 * classify_flats.c.
 */

#include "match/cuttree.h"
#include "match/partition.h"

/* What a group has in flats and alls. */
struct extent {
    size_t flat_first, flat_end;
    size_t all_first, all_end;
};

struct flats {
    struct arena *arena;
    const struct pp_step *steps;
    uint32_t step_count, group_count;
    bool (*take)(const struct pp_step *step);

    struct partition *dst;
    uint32_t products_max; /* flats of one step */
    struct edges edges;
    struct vec boxes;       /* struct flat, in step order */
    struct vec alls;        /* int32_t: tags of steps that select everything */
    struct extent *extents; /* by group */
};

/* Everything is released with flats_fini(), also when this fails, but for the partition, whose
 * memory is the arena's. POL_OK or POL_E_NOMEM. */
int flats_build(struct flats *flats, struct arena *arena, const struct pp_step *steps,
                uint32_t step_count, uint32_t group_count, bool (*take)(const struct pp_step *step),
                struct partition *ret_dst);
void flats_fini(struct flats *flats);

#endif
