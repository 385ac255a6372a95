/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_READY_H
#define LIBPOLICY_READY_H

/*
 * Is a node ready, and if not, why not.
 */

#include <libpolicy/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Readiness: named checks in a fixed order, each ok or not with a detail that says cause and fix.
 * Every check begins as not ok, detail "not checked yet".
 *
 * Thread class: One thread at a time.
 */
typedef struct pol_ready pol_ready;

/** The checks of a node, in the order in which the runtime depends on itself. */
#define POL_READY_CHECKS                                                                           \
    {                                                                                              \
        "dataplane_running", "dataplane_config", "policy_ready", "dns_allowlist", "service_plane", \
            "draining", "cluster", "policy_replication"                                            \
    }

#define POL_READY_DETAIL 256 /* longest detail and its NUL; longer ones are cut */

/**
 * Makes the checks of these names, in this order. The names are copied.
 *
 * @return POL_OK, POL_E_NOMEM, POL_E_INVALID (no names, more than 32, one twice, or an empty one)
 *
 * Thread class: any thread.
 */
POL_API int pol_ready_new(pol_ctx *ctx, const char *const *names, size_t count,
                          pol_ready **ret_ready);

/** Frees the checks. */
POL_API void pol_ready_free(pol_ready *ready);

/**
 * Sets a check.
 *
 * @param detail  one line; copied. May be NULL when ok; a detail with ok is kept and shown
 * @return POL_OK, POL_E_NOTFOUND (no check of that name)
 */
POL_API int pol_ready_set(pol_ready *ready, const char *name, bool ok, const char *detail);

/**
 * Makes a check advisory or not. An advisory one is shown, but does not make the whole not ready.
 *
 * @return POL_OK, POL_E_NOTFOUND (no check of that name)
 */
POL_API int pol_ready_advise(pol_ready *ready, const char *name, bool advisory);

/** One check as it stands. */
typedef struct pol_ready_line {
    pol_str name;   /* as given to pol_ready_new() */
    pol_str detail; /* empty when there is none */
    bool ok;        /* what pol_ready_set() said last */
    bool advisory;  /* shown, but does not count */
    uint64_t reserved[2]; /* zero */
} pol_ready_line;

/** Whether every check that is not advisory is ok. */
POL_API bool pol_ready_ok(const pol_ready *ready);

/** How many checks there are. */
POL_API size_t pol_ready_count(const pol_ready *ready);

/** One check, in the order of pol_ready_new(). Borrowed until the next change. False when @p index
 *  is out of range. */
POL_API bool pol_ready_at(const pol_ready *ready, size_t index, pol_ready_line *ret_line);

#ifdef __cplusplus
}
#endif

#endif
