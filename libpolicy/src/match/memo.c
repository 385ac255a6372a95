/* SPDX-License-Identifier: Apache-2.0 */
#include "match/memo.h"

#include <string.h>

#include "base/mem.h"

enum { MEMO_WAYS = 4 };

int memo_init(struct memo *memo, const pol_mem *mem, uint32_t names)
{
    uint32_t sets = 1;

    while (sets * MEMO_WAYS < names)
        sets *= 2;
    *memo = (struct memo){.sets = sets};
    memo->entries = mem_array(mem, (size_t)sets * MEMO_WAYS, sizeof(*memo->entries));
    return memo->entries ? POL_OK : POL_E_NOMEM;
}

void memo_fini(struct memo *memo, const pol_mem *mem)
{
    mem_free(mem, memo->entries, (size_t)memo->sets * MEMO_WAYS * sizeof(*memo->entries));
    mem_free(mem, memo->overflow, memo->pattern_capacity * sizeof(*memo->overflow));
    *memo = (struct memo){0};
}

size_t memo_memory(const struct memo *memo)
{
    return (size_t)memo->sets * MEMO_WAYS * sizeof(*memo->entries) +
           memo->pattern_capacity * sizeof(*memo->overflow);
}

int memo_reset(struct memo *memo, const pol_mem *mem, uint32_t patterns)
{
    if (patterns > memo->pattern_capacity) {
        uint32_t *overflow = mem_array(mem, patterns, sizeof(*overflow));

        if (!overflow)
            return POL_E_NOMEM;
        mem_free(mem, memo->overflow, memo->pattern_capacity * sizeof(*memo->overflow));
        memo->overflow = overflow;
        memo->pattern_capacity = patterns;
    }
    memo->overflow_hash = 0;
    for (size_t i = 0; i < (size_t)memo->sets * MEMO_WAYS; i++)
        memo->entries[i].name_hash = 0;
    return POL_OK;
}

bool memo_find(struct memo *memo, uint64_t name_hash, struct memo_patterns *ret_patterns)
{
    struct memo_entry *set = &memo->entries[(name_hash & (memo->sets - 1)) * MEMO_WAYS];

    for (int way = 0; way < MEMO_WAYS; way++) {
        struct memo_entry *entry = &set[way];

        if (entry->name_hash != name_hash || entry->count > MEMO_PATTERNS)
            continue;
        entry->age = ++memo->clock;
        *ret_patterns = (struct memo_patterns){entry->ids, entry->count};
        return true;
    }
    if (memo->overflow_hash != name_hash)
        return false;
    *ret_patterns = (struct memo_patterns){memo->overflow, memo->overflow_count};
    return true;
}

static struct memo_entry *oldest(struct memo_entry *set)
{
    struct memo_entry *victim = &set[0];

    for (int way = 0; way < MEMO_WAYS; way++) {
        if (set[way].name_hash == 0)
            return &set[way];
        if ((int32_t)(set[way].age - victim->age) < 0)
            victim = &set[way];
    }
    return victim;
}

void memo_add(struct memo *memo, uint64_t name_hash, pol_str name, const struct patterns *patterns,
              struct regex_scratch *scratch, struct memo_patterns *ret_patterns)
{
    struct memo_entry *entry = oldest(&memo->entries[(name_hash & (memo->sets - 1)) * MEMO_WAYS]);
    uint32_t count =
        (uint32_t)patterns_match(patterns, scratch, name, memo->overflow, memo->pattern_capacity);

    memo->misses++;
    for (uint32_t i = 0; i < count; i++)
        memo->exceptions += memo->overflow[i] & PATTERN_EXCEPTION ? 1 : 0;
    *ret_patterns = (struct memo_patterns){memo->overflow, count};
    memo->overflow_hash = count > MEMO_PATTERNS ? name_hash : 0;
    memo->overflow_count = count;
    if (count > MEMO_PATTERNS)
        return;
    entry->name_hash = name_hash;
    entry->count = count;
    entry->age = ++memo->clock;
    if (count) /* a policy without hostnames has no overflow */
        memcpy(entry->ids, memo->overflow, count * sizeof(*entry->ids));
    ret_patterns->ids = entry->ids;
}
