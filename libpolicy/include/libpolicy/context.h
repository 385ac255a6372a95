/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_CONTEXT_H
#define LIBPOLICY_CONTEXT_H

/*
 * What every other object is made from: memory, log, hash seed and limits.
 */

#include <libpolicy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What every other object is made from: where memory comes from, where log lines go, the secret
 * that keys the hash tables, and the limits on documents.
 *
 * Thread class: Shareable. Immutable once made. Any number of threads may use it at the same time.
 * Reference and release it from any thread. If it is shared, the allocator and log functions must
 * be safe to call from several threads.
 */
typedef struct pol_ctx pol_ctx;

/** Where memory comes from, aligned as malloc() aligns it. Sizes are given back on release, so an
 *  arena or a counting allocator needs no headers of its own. libc's malloc() is used for what does
 *  not outlive the call alone: by cJSON and mbedTLS while a document is compiled, and by qsort(),
 *  which can do without. */
typedef struct pol_mem {
    void *user; /* handed to each of the functions */
    void *(*alloc)(void *user, size_t size); /* NULL when there is no memory; size is never 0 */
    void *(*resize)(void *user, void *ptr, size_t old_size,
                    size_t new_size); /* as realloc(): NULL without memory, and ptr stays valid */
    void (*release)(void *user, void *ptr, size_t size); /* ptr is never NULL */
} pol_mem;

/** How much a log line matters. */
enum pol_log_level {
    POL_LOG_ERROR, /* something does not work */
    POL_LOG_WARN,  /* something is odd, and goes on */
    POL_LOG_INFO,  /* what an operator may want to know */
    POL_LOG_DEBUG  /* what a developer may want to know */
};

/** Receives one line without a newline, borrowed for the call: that a policy was compiled (debug),
 *  refused with its first error (warn), or found no memory (error), in the thread that compiles it.
 *  Must not call back into the library. Never called while a packet or a query is decided, and
 *  never given a secret. */
typedef void (*pol_log_fn)(void *user, enum pol_log_level level, pol_str message);

/** What a policy document may hold at most. Beyond a limit the document is rejected and the
 *  diagnostic names the limit. A limit may be any number: 0 lets nothing of its kind in, the
 *  largest one everything that time and memory have room for. */
typedef struct pol_limits {
    size_t document_bytes;  /* 64 MiB; below 4 GiB whatever it says */
    uint32_t groups;        /* 65 536 */
    uint32_t rules;         /* 1 000 000 in the whole document */
    uint32_t id_bytes;      /* 256; findings and counters know ids by their first 256 octets */
    uint32_t pattern_bytes; /* 1 024 per regular expression */
    uint32_t regexes;       /* 1 000 patterns that need the regex engine; literal and suffix
                               shapes are not counted */
    uint32_t diagnostics;   /* 1 000; further ones are counted, not kept. 0 keeps one */
    uint32_t regex_match;   /* 10 000: PCRE2 match limit; reaching it is an exception and denies */
} pol_limits;

/** What a context is made with; see pol_ctx_options_init(). */
typedef struct pol_ctx_options {
    size_t size;           /* set by pol_ctx_options_init() */
    const pol_mem *mem;    /* NULL: libc. Copied; the functions must outlive the context */
    pol_log_fn log;        /* NULL: silent */
    void *log_user;        /* handed to log */
    uint64_t hash_seed[2]; /* random and secret in production, constant in tests */
    pol_limits limits;     /* of policy documents; stands last, where it can grow */
} pol_ctx_options;

/**
 * Fills in the defaults. Call as pol_ctx_options_init(&opts, sizeof(opts)).
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API void pol_ctx_options_init(pol_ctx_options *opts, size_t size);

/**
 * Makes a context with one reference. @p opts may be NULL for defaults (the hash seed is then
 * zero: fine for tests, an invitation to collision attacks in production).
 *
 * @return POL_OK, POL_E_NOMEM, POL_E_ABI (size), POL_E_INVALID (an incomplete pol_mem)
 *
 * Thread class: any thread.
 */
POL_API int pol_ctx_new(const pol_ctx_options *opts, pol_ctx **ret_ctx);

/**
 * Adds a reference and returns its argument.
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API pol_ctx *pol_ctx_ref(pol_ctx *ctx);

/**
 * Drops a reference and frees the context with the last. Objects made from a context hold a
 * reference of their own.
 *
 * Thread class: any thread.
 */
POL_API void pol_ctx_unref(pol_ctx *ctx);

#ifdef __cplusplus
}
#endif

#endif
