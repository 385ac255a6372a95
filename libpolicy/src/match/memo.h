/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_MEMO_H
#define MATCH_MEMO_H

/*
 * Which hostname patterns a name satisfies, remembered per worker and policy, so that a regular
 * expression runs at most once for a name while the memo has room. A name is known by its keyed
 * hash. Fixed capacity: a new name takes the place of an old one in its set of four.
 */

#include "pattern/patterns.h"

/* Patterns kept for one name; a name that satisfies more is asked anew. */
#define MEMO_PATTERNS 64

struct memo_entry {
    uint64_t name_hash; /* 0: empty */
    uint32_t count;     /* may exceed MEMO_PATTERNS */
    uint32_t age;
    uint32_t ids[MEMO_PATTERNS];
};

struct memo {
    struct memo_entry *entries;
    uint32_t sets; /* power of two; MEMO_WAYS entries each */
    uint32_t clock;
    uint64_t misses;
    uint64_t exceptions; /* regular expressions that hit a limit */
    uint32_t *overflow;  /* ids of a name with more than MEMO_PATTERNS, pattern_capacity of them */
    uint32_t pattern_capacity;
    uint64_t overflow_hash; /* the newest such name, whose ids are still in `overflow`; 0: none */
    uint32_t overflow_count;
};

/* The patterns of a name, ascending ids, PATTERN_EXCEPTION or-ed where the regex hit a limit. Valid
 * until the next memo_find(). */
struct memo_patterns {
    const uint32_t *ids;
    uint32_t count;
};

int memo_init(struct memo *memo, const pol_mem *mem, uint32_t names);
void memo_fini(struct memo *memo, const pol_mem *mem);
size_t memo_memory(const struct memo *memo);

/* Forgets everything, for another policy with that many patterns. POL_OK, or POL_E_NOMEM and the
 * memo is as before. */
int memo_reset(struct memo *memo, const pol_mem *mem, uint32_t patterns);

/* What is remembered for the hash; false: ask with memo_add(). */
bool memo_find(struct memo *memo, uint64_t name_hash, struct memo_patterns *ret_patterns);

void memo_add(struct memo *memo, uint64_t name_hash, pol_str name, const struct patterns *patterns,
              struct regex_scratch *scratch, struct memo_patterns *ret_patterns);

#endif
