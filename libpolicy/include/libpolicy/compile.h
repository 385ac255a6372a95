/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_COMPILE_H
#define LIBPOLICY_COMPILE_H

/*
 * From the text of a policy to what a worker runs, and what there is to say about it.
 */

#include <libpolicy/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A policy document, checked and compiled. It decides nothing itself: workers use it.
 *
 * Groups and rules are numbered in evaluation order (by priority, ties in document order), groups
 * from 0 to pol_policy_group_count() - 1 and rules through all groups from 0 to
 * pol_policy_rule_count() - 1. Verdicts and events carry these numbers.
 *
 * Thread class: Shareable. Immutable once made. Any number of threads may use it at the same time.
 * Reference and release it from any thread.
 */
typedef struct pol_policy pol_policy;

/** What the compiler has to say about a document. Owned by the caller; a plain value list.
 *  Thread class: One thread at a time. */
typedef struct pol_diags pol_diags;

/** Whether a diagnostic rejects the document. */
enum pol_severity {
    POL_DIAG_ERROR,  /* the document was rejected */
    POL_DIAG_WARNING /* accepted, but probably not what the author means */
};

/** XX(name, number, what): stable numbers for programs. The text is for people. */
#define POL_DIAG_MAP(XX)                                                                           \
    XX(SYNTAX, 1, "not JSON, or JSON with duplicate keys, NUL, invalid UTF-8 or too deep")         \
    XX(TYPE, 2, "a value of the wrong type")                                                       \
    XX(UNKNOWN_KEY, 3, "a key the document does not know")                                         \
    XX(MISSING, 4, "a required key is absent or empty")                                            \
    XX(VALUE, 5, "a value outside its range or spelling")                                          \
    XX(DUPLICATE, 6, "an id used twice")                                                           \
    XX(CONFLICT, 7, "keys that exclude each other")                                                \
    XX(REGEX, 8, "a regular expression that cannot be used")                                       \
    XX(CERTIFICATE, 9, "a PEM block or fingerprint that cannot be read")                           \
    XX(LIMIT, 10, "more than a configured limit")                                                  \
    XX(UNAVAILABLE, 11, "a feature this node does not have")                                       \
    XX(SHADOWED, 101, "a rule that an earlier unconditional rule covers")                          \
    XX(UNANCHORED, 102, "an unanchored pattern in an allow rule")                                  \
    XX(DENY_SERVICE, 103, "a deny rule whose hostname does not act on queries")                    \
    XX(SLOW_PATTERN, 104, "a pattern that needs the regex engine")                                 \
    XX(ONE_FAMILY, 105, "hostname rules in a group with sources of one IP family only")            \
    XX(INTERCEPT_LATE, 106, "an intercept rule that a forwarded flow can reach")                   \
    XX(NEVER_MATCHES, 107, "a rule that no packet can match")                                      \
    XX(LOOSE_DOT, 108, "a dot that matches any character, in the pattern of a name")               \
    XX(WILDCARD, 109, "a * that does not stand for any name")                                      \
    XX(QUERY_DECIDED, 110, "a hostname rule whose queries an earlier one decides otherwise")       \
    XX(PACKET_DECIDED, 111, "a hostname rule whose connections an earlier rule decides")           \
    XX(NO_NAME_ALLOWED, 112, "a group that denies names and allows none")                          \
    XX(CERTIFICATE_HIDDEN, 113, "a certificate condition that is silent about TLS 1.3")            \
    XX(MIXED_PRIORITY, 114, "a place in the list that counts as a priority, out of order")         \
    XX(HALF_OF_ALL, 115, "every address of one IP family and none of the other")                   \
    XX(NO_EFFECT, 116, "a group that decides nothing")                                             \
    XX(ICMP_FAMILY, 117, "an ICMP type of the other IP family")                                    \
    XX(RESERVED_ID, 118, "a group id that reports use for something else")                         \
    XX(PORT_ZERO, 119, "port 0, which is not any port")

/** What a diagnostic is about: errors from 1, warnings from 101. */
enum pol_diag_code {
#define XX(name, number, what) POL_DIAG_##name = number,
    POL_DIAG_MAP(XX)
#undef XX
};

/** One error or warning, borrowed from the list it stands in. */
typedef struct pol_diag {
    enum pol_severity severity; /* whether it rejects the document */
    uint32_t code;         /* enum pol_diag_code; new codes may appear */
    uint32_t line, column; /* 1-based, of the value or key at fault; 0 when unknown */
    pol_str path;          /* JSON pointer, RFC 6901: "/source_groups/2/rules/0/match/dst_ports" */
    pol_str text;          /* one line, no trailing period */
} pol_diag;

/** Whether a group or rule acts or only tells. */
enum pol_mode {
    POL_MODE_ENFORCE, /* a denial denies */
    POL_MODE_AUDIT,   /* a denial is reported and let through */
    POL_MODE_REQUIRED /* no mode: only in pol_compile_options.absent_mode */
};

/** How a document is taken; see pol_compile_options_init(). */
typedef struct pol_compile_options {
    size_t size;         /* set by pol_compile_options_init() */
    bool default_allow;  /* what an absent default_policy resolves to; false: deny. The resolved
                            value is part of the accepted document (pol_policy_json()) */
    uint8_t absent_mode; /* enum pol_mode: how a group without "mode" is taken;
                            POL_MODE_REQUIRED (default): an error */
} pol_compile_options;

/**
 * Fills in the defaults. Call as pol_compile_options_init(&opts, sizeof(opts)).
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API void pol_compile_options_init(pol_compile_options *opts, size_t size);

/**
 * Reads, checks and compiles a policy document.
 *
 * The document is the JSON form described in docs/policy-language.md. All errors are found in one
 * call. Memory while the JSON and trust anchors are read comes from libc (cJSON, mbedTLS),
 * everything kept comes from the context. Compiling may take seconds for a million rules; it may
 * run in any thread.
 *
 * @param json         the whole document, UTF-8
 * @param opts         NULL for defaults
 * @param ret_policy   on success, with one reference; release with pol_policy_unref()
 * @param reterr_diags may be NULL. Set on success (warnings, possibly none) and on
 *                     POL_E_POLICY (at least one error); release with pol_diags_free()
 *
 * @return POL_OK
 *         POL_E_POLICY   rejected; the diagnostics say why
 *         POL_E_NOMEM    nothing is returned, *reterr_diags is NULL
 *         POL_E_ABI      opts->size; *reterr_diags is NULL
 *         POL_E_INVALID  opts->absent_mode is no enum pol_mode; *reterr_diags is NULL
 *
 * Thread class: any thread.
 */
POL_API int pol_compile(pol_ctx *ctx, pol_str json, const pol_compile_options *opts,
                        pol_policy **ret_policy, pol_diags **reterr_diags);

/**
 * Adds a reference and returns its argument, which may be NULL.
 *
 * Thread class: any thread. Allocates nothing.
 */
POL_API pol_policy *pol_policy_ref(pol_policy *policy);

/**
 * Drops a reference and frees the policy with the last. A worker that uses it holds one of its own.
 *
 * Thread class: any thread.
 */
POL_API void pol_policy_unref(pol_policy *policy);

/**
 * @name What is in a policy
 * Each takes NULL for "no policy in use" (pol_worker_policy()), which has no groups and no rules,
 * needs nothing, denies by default and holds no memory. Thread class: any thread. None allocates.
 * @{
 */
/** How many groups there are. */
POL_API uint32_t pol_policy_group_count(const pol_policy *policy);

/** How many rules there are, in all groups. */
POL_API uint32_t pol_policy_rule_count(const pol_policy *policy);

/** The id of a group as the author wrote it, borrowed from the policy; "default" for POL_NONE or a
 *  number out of range. */
POL_API pol_str pol_policy_group_id(const pol_policy *policy, uint32_t group);

/** The id of a rule as the author wrote it, borrowed from the policy; empty for POL_NONE or a
 *  number out of range. */
POL_API pol_str pol_policy_rule_id(const pol_policy *policy, uint32_t rule);

/** The group a rule belongs to; POL_NONE for a number out of range. */
POL_API uint32_t pol_policy_rule_group(const pol_policy *policy, uint32_t rule);

/** The key under which grants are kept for a group: the first 8 octets of SHA-256 of its id, read
 *  big-endian, so it is the same in every process and after every reload. 0 for POL_NONE. */
POL_API uint64_t pol_policy_group_key(const pol_policy *policy, uint32_t group);

/** SHA-256 of pol_policy_json(); zeros for no policy. Equal digests mean equal documents. */
POL_API void pol_policy_digest(const pol_policy *policy, uint8_t ret_sha256[32]);

/** The default_policy of the accepted document, resolved: true for allow. What a document without
 *  one keeps when it comes after this one (pol_compile_options.default_allow). */
POL_API bool pol_policy_default_allow(const pol_policy *policy);

/** What a policy needs from the node, for readiness. */
enum pol_need {
    POL_NEEDS_DNS = 1 << 0,      /* a rule in force has a hostname */
    POL_NEEDS_TLS = 1 << 1,      /* a rule in force has a TLS condition */
    POL_NEEDS_INTERCEPT = 1 << 2 /* a rule in force intercepts TLS */
};

/** What the policy needs: enum pol_need, or-ed. */
POL_API uint32_t pol_policy_needs(const pol_policy *policy);

/** Octets of memory the compiled policy holds. */
POL_API size_t pol_policy_memory(const pol_policy *policy);

/**
 * Writes the accepted document: every key present, null or [] for what the author left out, the
 * default resolved, groups and rules in the author's order and spelling. Compiling it again gives
 * an equal policy.
 *
 * @return POL_OK
 *         POL_E_NOSPACE  *ret_len is the length needed; buf holds nothing useful
 *         POL_E_INVALID  no policy
 *
 * No NUL is written.
 */
POL_API int pol_policy_json(const pol_policy *policy, char *buf, size_t capacity, size_t *ret_len);
/** @} */

/**
 * @name What a list of diagnostics holds
 * NULL is an empty list.
 * @{
 */
/** Errors and warnings that were kept, at most pol_limits.diagnostics. */
POL_API size_t pol_diags_count(const pol_diags *diags);

/** Errors only, including those beyond pol_limits.diagnostics. */
POL_API size_t pol_diags_errors(const pol_diags *diags);

/** In document order; borrowed from @p diags. NULL when @p index is out of range. */
POL_API const pol_diag *pol_diags_at(const pol_diags *diags, size_t index);
/** @} */

/** Frees the list and what was borrowed from it. */
POL_API void pol_diags_free(pol_diags *diags);

#ifdef __cplusplus
}
#endif

#endif
