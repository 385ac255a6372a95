/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_CLASSIFY_SOURCES_H
#define MATCH_CLASSIFY_SOURCES_H

/*
 * The source trie: from a source address to the prefixes it lies in, and the groups that list each
 * of them. See classify_sources.c.
 */

#include "match/partition.h"
#include "program/program.h"

/* A node: a prefix that some group lists. */
struct spot {
    uint32_t list;   /* in source_trie.lists; POL_NONE: outside all prefixes */
    uint32_t parent; /* the next wider prefix, in source_trie.spots; POL_NONE */
};

/* Groups that have exactly the same prefix. Prefixes with the same groups share one. */
struct group_list {
    uint32_t first, count; /* in source_trie.groups, ascending */
};

struct source_trie {
    struct partition partition;
    struct spot *intervals; /* by number in the partition: a copy of the deepest prefix's spot */
    struct spot *spots;
    struct group_list *lists;
    uint32_t *groups;
    uint32_t list_count;
};

/* All memory is the arena's. POL_OK or POL_E_NOMEM. */
int source_trie_build(struct arena *arena, const struct pp_group *groups, uint32_t group_count,
                      struct source_trie *ret_trie);

/* The deepest spot of an address. */
static inline const struct spot *source_trie_find(const struct source_trie *trie,
                                                  const pol_addr *addr)
{
    return &trie->intervals[partition_find(&trie->partition, addr)];
}

#endif
