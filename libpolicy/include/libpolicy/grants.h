/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_GRANTS_H
#define LIBPOLICY_GRANTS_H

/*
 * What DNS answers have opened.
 */

#include <libpolicy/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What DNS answers have opened: (group key, address, name) with a lifetime. A policy's hostname
 * rules turn a grant into permission; the grants themselves know no rules, so a reload changes
 * nothing in them.
 *
 * A grant is live until the later of (answer + TTL, clamped) and (last use + idle time), where use
 * is an answer that holds it or a packet of a flow it carries. Then, while a flow is open on it, it
 * is held: that flow goes on and no new one opens. Then it is gone; it is remembered a while longer
 * so that a refusal can say that a name has expired.
 *
 * Memory is taken at creation and never grows.
 *
 * Learners move the clock of the object on, readers only look at it: a moment earlier than the
 * latest one that a learner has said counts as that one. A decision goes by the clock of its worker.
 *
 * Thread class: Many learners, many readers. Functions marked learner take turns on a spin flag
 * that is held for one message at most; functions marked reader, and decisions made by a worker
 * attached to the object, run in any number of threads meanwhile and never wait for a learner that
 * sleeps (they repeat a read that a learner disturbed). A new grant is visible to every reader when
 * the learning function returns.
 */
typedef struct pol_grants pol_grants;

/** What a grant is good for. */
enum pol_grant_kind {
    POL_GRANT_ALLOWED,  /* a rule allowed the name */
    POL_GRANT_OBSERVED, /* only audit mode let the query through: audit rules see it, enforce
                           rules do not */
    POL_GRANT_RECORDED  /* the name is known for the address but opens nothing */
};

/** Where a grant is in its life. */
enum pol_grant_state {
    POL_GRANT_LIVE, /* opens its address */
    POL_GRANT_HELD, /* past its time, kept for the flows open on it */
    POL_GRANT_GONE  /* opens nothing and carries nothing */
};

/** How large a table is and how long grants live; see pol_grants_options_init(). */
typedef struct pol_grants_options {
    size_t size;                  /* set by pol_grants_options_init() */
    uint32_t capacity;            /* 65 536 grants in all */
    uint32_t addresses_per_name;  /* 1 000 for one (group, name); least recently used goes first */
    uint32_t names_per_address;   /* 256 for one (group, address); least recently used goes first */
    pol_mono ttl_min, ttl_max;    /* durations; 0 and 86 400 s: what a TTL is clamped to. The first
                                     one holds where they contradict each other */
    pol_mono idle;                /* duration; 420 s */
    pol_mono idle_two_way;        /* duration; 7 440 s, once it has carried a flow with packets
                                     both ways (RFC 5382 REQ-5) */
} pol_grants_options;

/**
 * Fills in the defaults. Call as pol_grants_options_init(&opts, sizeof(opts)).
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API void pol_grants_options_init(pol_grants_options *opts, size_t size);

/**
 * Makes an empty table and takes all of its memory. @p opts may be NULL for the defaults.
 *
 * @return POL_OK, POL_E_NOMEM, POL_E_ABI, POL_E_INVALID (a capacity of 0 or above 16 million, no
 *         address per name, no name per address or more than 256)
 *
 * Thread class: any thread.
 */
POL_API int pol_grants_new(pol_ctx *ctx, const pol_grants_options *opts, pol_grants **ret_grants);

/**
 * Gives the table up. It is freed with the last worker that is attached to it, or now if there is
 * none; the caller must not use it any more.
 *
 * Thread class: any thread.
 */
POL_API void pol_grants_free(pol_grants *grants);

/** Octets of memory the table holds, from its making to its end.
 *
 * Thread class: reader. Allocates nothing.
 */
POL_API size_t pol_grants_memory(const pol_grants *grants);

/** One grant, copied out. Moments are on the caller's monotonic clock. */
typedef struct pol_grant {
    uint64_t group_key;   /* pol_policy_group_key(); 0 for names recorded without a group */
    pol_addr addr;        /* what it opens */
    uint8_t kind;         /* enum pol_grant_kind */
    uint8_t state;        /* enum pol_grant_state */
    uint8_t two_way;      /* has carried a flow with packets both ways */
    uint8_t name_len;     /* octets of name */
    uint32_t flows;       /* open on it now */
    uint32_t ttl;         /* seconds, of the newest answer, before clamping */
    pol_mono learned;     /* first answer */
    pol_mono answered;    /* newest answer */
    pol_mono used;        /* newest answer or packet */
    pol_mono expires;     /* when it stops being live, as things stand now */
    uint64_t reserved[2]; /* zero */
    char name[POL_NAME_MAX + 1]; /* text form, lower case, NUL-terminated */
} pol_grant;

/**
 * Copies out grants that are live or held, in no particular order, a batch at a time.
 *
 * @param position  0 to begin; updated; pass it back for the next batch. A grant learned or evicted
 *                  meanwhile may or may not appear. None appears twice, unless it was evicted and
 *                  learned again meanwhile
 * @return the number of grants written; fewer than @p capacity means the end
 *
 * Thread class: reader. Allocates nothing.
 */
POL_API size_t pol_grants_list(const pol_grants *grants, uint32_t *position, pol_mono now,
                               pol_grant *ret_grants, size_t capacity);

/**
 * The names known for an address in a group, newest use first: live and held grants of any kind,
 * those of the group itself and those recorded without a group.
 *
 * @return the number of names there are; at most @p capacity were written
 *
 * Thread class: reader. Allocates nothing.
 */
POL_API size_t pol_grants_names(const pol_grants *grants, uint64_t group_key, const pol_addr *addr,
                                pol_mono now, pol_grant *ret_grants, size_t capacity);

/**
 * Puts back a grant that was listed in an earlier life of the process. Moments must have been
 * carried over to the present clock by the caller, and one that is later than @p now counts as
 * @p now, so that no row holds an address open by claiming the future; flows and state are ignored.
 * A grant already there keeps the later of both times.
 *
 * @return POL_OK, POL_E_FULL, POL_E_INVALID (no address, empty name or unknown kind),
 *         POL_E_NOTFOUND (it is gone at @p now)
 *
 * Thread class: learner. Allocates nothing.
 */
POL_API int pol_grants_restore(pol_grants *grants, const pol_grant *grant, pol_mono now);

/**
 * Frees what is gone, looking at no more than @p budget grants. Lookups judge by time themselves,
 * so calling this late changes no verdict; it only makes room.
 *
 * @return the number of grants freed
 *
 * Thread class: learner. Allocates nothing.
 */
POL_API size_t pol_grants_expire(pol_grants *grants, pol_mono now, size_t budget);

/** The numbers of a table since it was made. */
typedef struct pol_grants_stats {
    uint32_t capacity;        /* pol_grants_options.capacity */
    uint32_t live;            /* slots in use; held ones included */
    uint64_t learned;         /* new grants */
    uint64_t refreshed;       /* answers for a grant already there, remembered ones included */
    uint64_t expired;         /* freed because their time was over */
    uint64_t evicted_name;    /* for addresses_per_name */
    uint64_t evicted_address; /* for names_per_address */
    uint64_t evicted_total;   /* for capacity */
    uint64_t refused_full;    /* no room: every candidate carried a flow */
    uint64_t reserved[4];     /* zero */
} pol_grants_stats;

/**
 * Copies the numbers out. Each is read atomically, the set of them is not a snapshot.
 *
 * Thread class: reader. Allocates nothing.
 */
POL_API void pol_grants_stats_get(const pol_grants *grants, pol_grants_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif
