/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_PARTITION_H
#define MATCH_PARTITION_H

/*
 * Both address spaces, cut into intervals that are numbered in address order, IPv4 first: an
 * address becomes the number of its interval, and a range whose ends were given as edges becomes
 * the numbers of its ends. See partition.c.
 */

#include <string.h>

#include "match/classify_vec.h"
#include "net/addr.h"

enum {
    INDEX_FAN = CACHE_LINE / sizeof(uint64_t),
    INDEX_LEVELS = 12, /* 8 * 9^11 values, more than 32 bits count */
    SCAN = CACHE_LINE / sizeof(int32_t)
};

typedef int32_t scan_lanes __attribute__((vector_size(16)));

/* An address of either family, IPv4 in the upper 32 bits. */
struct wide {
    uint64_t hi, lo;
};

/* Sorted values, laid out so that a search reads one cache line per level. */
struct line_index {
    uint64_t *levels[INDEX_LEVELS]; /* [0] holds the values, the others the last value below */
    unsigned top;
};

/* The intervals of a family are given by the last address of each but the last one. */

/* IPv4: the upper bits of an address lead to a few neighbours, compared all at once. */
struct plane4 {
    int32_t *lasts;  /* minus 2^31, to be compared as signed numbers; SCAN more behind the end */
    uint32_t *roots; /* by the upper bits: how many lasts lie below all such addresses */
    unsigned shift;
};

struct plane6 {
    struct line_index highs; /* distinct upper halves */
    uint32_t *first;         /* where the lows of each begin, and one more */
    uint64_t *lows;
    uint32_t high_count;
    uint32_t base; /* number of the first interval */
};

struct partition {
    struct plane4 v4;
    struct plane6 v6;
    uint32_t count; /* intervals; the last one stands for "no address" */
};

/* Where a partition is to be cut: the last addresses of its intervals, by plane. */
struct edges {
    struct arena *arena;
    struct vec planes[2]; /* struct wide; IPv4, IPv6 */
};

void edges_init(struct edges *edges, struct arena *arena);
void edges_fini(struct edges *edges);

/* An interval ends before the first address of a range, and one ends with its last. Plane 0 is
 * IPv4, 1 is IPv6. POL_OK or POL_E_NOMEM. */
int edges_before(struct edges *edges, unsigned plane, struct wide first);
int edges_after(struct edges *edges, unsigned plane, struct wide last);

/* Cuts at the edges, which it sorts. All memory is that of their arena. POL_OK or POL_E_NOMEM. */
int partition_build(struct edges *edges, struct partition *ret_partition);

/* ---- Addresses as numbers ------------------------------------------------------------------ */

static inline uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t load64(const uint8_t *p)
{
    return (uint64_t)load32(p) << 32 | load32(p + 4);
}

static inline struct wide wide_of(const pol_addr *addr)
{
    return (struct wide){load64(addr->bytes), load64(addr->bytes + 8)};
}

/* The last address of a range: what is behind an IPv4 address is all ones. */
static inline struct wide wide_last(const pol_addr *addr)
{
    struct wide wide = wide_of(addr);

    if (addr->family == 4) {
        wide.hi |= UINT32_MAX;
        wide.lo = UINT64_MAX;
    }
    return wide;
}

static inline int wide_compare(struct wide a, struct wide b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return (a.lo > b.lo) - (a.lo < b.lo);
}

static inline struct wide wide_before(struct wide wide)
{
    wide.hi -= wide.lo == 0;
    wide.lo--;
    return wide;
}

static inline struct wide wide_after(struct wide wide)
{
    wide.lo++;
    wide.hi += wide.lo == 0;
    return wide;
}

/* ---- Lookup -------------------------------------------------------------------------------- */

static inline unsigned line_below(const uint64_t *line, uint64_t value)
{
    unsigned below = 0;

    for (unsigned i = 0; i < INDEX_FAN; i++)
        below += line[i] < value;
    return below;
}

/* How many values are below this one. */
static inline uint32_t index_below(const struct line_index *index, uint64_t value)
{
    size_t line = 0;

    for (unsigned level = index->top; level > 0; level--)
        line = line * (INDEX_FAN + 1) + line_below(index->levels[level] + line * INDEX_FAN, value);
    return (uint32_t)(line * INDEX_FAN + line_below(index->levels[0] + line * INDEX_FAN, value));
}

static inline uint32_t lows_below(const uint64_t *lows, uint32_t count, uint64_t value)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (lows[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline uint32_t plane6_find(const struct plane6 *plane, struct wide addr)
{
    uint32_t i = index_below(&plane->highs, addr.hi), first = plane->first[i];

    if (i < plane->high_count && plane->highs.levels[0][i] == addr.hi)
        first += lows_below(plane->lows + first, plane->first[i + 1] - first, addr.lo);
    return plane->base + first;
}

/* How many of the next SCAN values are below this one. */
static inline uint32_t scan_below(const int32_t *at, int32_t value)
{
    const scan_lanes x = {value, value, value, value};
    scan_lanes line[4], below;

    memcpy(line, at, sizeof(line));
    below = ((line[0] < x) + (line[1] < x)) + ((line[2] < x) + (line[3] < x));
    below += __builtin_shufflevector(below, below, 2, 3, 0, 1);
    return (uint32_t) - (below[0] + below[1]);
}

static inline uint32_t plane4_find(const struct plane4 *plane, uint32_t addr)
{
    int32_t value = (int32_t)(addr ^ 0x80000000u);
    const uint32_t *root = &plane->roots[addr >> plane->shift];
    uint32_t at = root[0], count = root[1] - root[0];

    while (count > SCAN) {
        uint32_t half = count / 2;

        at += plane->lasts[at + half - 1] < value ? half : 0;
        count -= half;
    }
    return at + scan_below(plane->lasts + at, value);
}

/* The number of an address of this plane. */
static inline uint32_t partition_number(const struct partition *partition, unsigned plane,
                                        struct wide addr)
{
    return plane ? plane6_find(&partition->v6, addr)
                 : plane4_find(&partition->v4, (uint32_t)(addr.hi >> 32));
}

/* The number of any address; "none" has the last. */
static inline uint32_t partition_find(const struct partition *partition, const pol_addr *addr)
{
    if (addr->family == 4)
        return plane4_find(&partition->v4, load32(addr->bytes));
    if (addr->family == 6)
        return plane6_find(&partition->v6, wide_of(addr));
    return partition->count - 1;
}

#endif
