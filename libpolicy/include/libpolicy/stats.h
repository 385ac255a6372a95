/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_STATS_H
#define LIBPOLICY_STATS_H

/*
 * Counters. They are declared once, in src/observe/counters.def, with the name they have in
 * Prometheus, unit and help; everything here is expanded from that list.
 *
 * Each worker counts for itself. To read: make one pol_counters, add every worker to it, and print
 * or pick values. Counters by group keep the first 16 groups a worker meets, in group order, and
 * put the rest under "_other".
 */

#include <libpolicy/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A sum over workers. Thread class: One thread at a time. */
typedef struct pol_counters pol_counters;

/** What a counter is called and what it counts. */
typedef struct pol_counter_info {
    const char *name;   /* as in Prometheus: "dp_packets_total" */
    const char *labels; /* fixed labels: "direction=\"outbound\",proto=\"tcp\""; may be empty */
    const char *unit;   /* "packets", "bytes", "millionths" (of a ratio), …; may
                           be empty */
    const char *help;   /* one sentence: when it moves */
    bool is_gauge;      /* may go down */
    bool by_group;      /* has one value per group besides */
} pol_counter_info;

/** How many counters there are. */
POL_API size_t pol_counter_count(void);

/** What there is to know about a counter; NULL when @p index is out of range. Static storage.
 *  Counters of one name are neighbours. */
POL_API const pol_counter_info *pol_counter_describe(size_t index);

/**
 * Makes a sum over no worker, all values zero.
 *
 * @return POL_OK, POL_E_NOMEM
 *
 * Thread class: any thread.
 */
POL_API int pol_counters_new(pol_ctx *ctx, pol_counters **ret_counters);

/** Frees the sum; the workers keep theirs. */
POL_API void pol_counters_free(pol_counters *counters);

/** Makes it a sum over no worker again. */
POL_API void pol_counters_clear(pol_counters *counters);

/**
 * Adds a worker's counters. May run in another thread than the worker's: each value is read
 * atomically, the set of them is not a snapshot. The worker must not be freed meanwhile.
 */
POL_API void pol_counters_add(pol_counters *counters, const pol_worker *worker);

/** Adds the numbers of a grant table. */
POL_API void pol_counters_add_grants(pol_counters *counters, const pol_grants *grants);

/** One value, summed over groups; @p labels may be a part of the counter's labels, such as
 *  "decision=\"deny\"", and then every counter of that name with it is summed. 0 if unknown. */
POL_API uint64_t pol_counters_value(const pol_counters *counters, const char *name,
                                    const char *labels);

#ifdef __cplusplus
}
#endif

#endif
