/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/ipset.h"
#include "net/proto.h"

enum {
    LOOK_AHEAD_MAX = 64 /* unknown steps looked past; more count as differing outcomes */
};

enum condition {
    FAILS,
    HOLDS,
    UNKNOWN, /* the facts are not there yet */
    BROKEN,  /* they will never be: denied where the outcome depends on them */
    REFUSED  /* the certificate is no good: the rule denies, whatever its action is */
};

/* Outcomes an undecided flow can still have, or-ed. */
enum { CAN_ALLOW = 1, CAN_DENY = 2, CAN_INTERCEPT = 4 };

/* --- names ---------------------------------------------------------------------------------- */

void walk_patterns(struct walker *walker, uint64_t name_hash, pol_str name,
                   struct memo_patterns *ret_patterns)
{
    if (!memo_find(&walker->memo, name_hash, ret_patterns))
        memo_add(&walker->memo, name_hash, name, walker->policy->patterns, walker->scratch,
                 ret_patterns);
}

/* The patterns of a granted name; none when the grant's slot has been reused meanwhile. */
static struct memo_patterns hit_patterns(struct walker *walker, const struct grants_hit *hit)
{
    struct memo_patterns found = {NULL, 0};
    char text[POL_NAME_MAX + 1];
    uint8_t len;

    if (memo_find(&walker->memo, hit->name_hash, &found))
        return found;
    if (grants_name(walker->grants, hit->name, hit->name_hash, text, &len))
        memo_add(&walker->memo, hit->name_hash, (pol_str){text, len}, walker->policy->patterns,
                 walker->scratch, &found);
    return found;
}

uint32_t pattern_step(const struct pp_pattern *pattern, uint32_t from)
{
    uint32_t low = 0, high = pattern->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (pattern->steps[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < pattern->count ? pattern->steps[low] : POL_NONE;
}

static bool hit_opens(const struct walker *walker, const struct grants_hit *hit,
                      const struct pp_step *step, const struct walk_facts *facts)
{
    if (step->action != POL_ALLOW || hit->kind == POL_GRANT_RECORDED)
        return false;
    if (hit->kind == POL_GRANT_OBSERVED && step->mode != POL_MODE_AUDIT)
        return false;
    /* A special address opens only where the rule lists it too. */
    if (walker->hits_special && !step->dst)
        return false;
    return rule_selects(step, &facts->key);
}

/* The first hostname rule in [from, end) that one granted name opens. */
static uint32_t hit_step(struct walker *walker, const struct grants_hit *hit,
                         const struct walk_facts *facts, uint32_t from, uint32_t end)
{
    struct memo_patterns found = hit_patterns(walker, hit);

    for (uint32_t i = 0; i < found.count; i++) {
        const struct pp_pattern *pattern;
        uint32_t step;

        if (found.ids[i] & PATTERN_EXCEPTION) {
            walker->limited = true;
            continue; /* fails closed: an allow rule does not match */
        }
        pattern = &walker->policy->by_pattern[found.ids[i]];
        step = pattern_step(pattern, from);
        while (step < end && !hit_opens(walker, hit, &walker->policy->steps[step], facts))
            step = pattern_step(pattern, step + 1);
        if (step < end)
            end = step;
    }
    return end;
}

static void fetch_hits(struct walker *walker, const struct walk_facts *facts, uint32_t group)
{
    if (walker->hits_group == group)
        return;
    walker->hits_group = group;
    walker->hits_special = addr_is_special(&facts->key.dst) ||
                           (walker->own && ipset_has(walker->own, &facts->key.dst));
    walker->hit_count = grants_lookup(walker->grants, walker->policy->groups[group].key,
                                      &facts->key.dst, walker->now, walker->hits);
}

static bool hit_counts(const struct grants_hit *hit, const struct walk_facts *facts)
{
    if (facts->only_held && hit->slot != facts->held)
        return false;
    return hit->state == POL_GRANT_LIVE || (hit->state == POL_GRANT_HELD && facts->held_counts);
}

struct named {
    uint32_t step; /* POL_NONE: none */
    uint32_t grant, version;
};

/* The first named step of a group in [from, end), by the names that count. */
static void group_named(struct walker *walker, const struct walk_facts *facts, uint32_t from,
                        uint32_t end, struct named *ret_named, bool *expired)
{
    uint32_t best = end;

    for (size_t i = 0; i < walker->hit_count; i++) {
        const struct grants_hit *hit = &walker->hits[i];
        uint32_t step;

        if (!hit_counts(hit, facts)) {
            if (!*expired)
                *expired = hit_step(walker, hit, facts, from, end) < end;
            continue;
        }
        step = hit_step(walker, hit, facts, from, best);
        if (step < best) {
            best = step;
            *ret_named = (struct named){step, hit->slot, hit->version};
        }
    }
}

/* The first named step in [from, end) over all groups that contain the source. */
static struct named next_named(struct walker *walker, const struct walk_facts *facts, uint32_t from,
                               uint32_t end, bool *expired)
{
    const pol_policy *policy = walker->policy;
    struct named named = {POL_NONE, POL_NONE, 0};
    uint32_t group;

    if (!walker->grants || from >= policy->step_count)
        return named;
    group = policy->steps[from].group;
    group = group == POL_NONE ? POL_NONE : classify_group(policy->by_packet, &walker->path, group);
    while (group != POL_NONE && policy->groups[group].first < end) {
        const struct pp_group *g = &policy->groups[group];
        uint32_t first = g->first > from ? g->first : from;
        uint32_t last = g->end < end ? g->end : end;

        if (g->has_hostname_allow && first < last) {
            fetch_hits(walker, facts, group);
            group_named(walker, facts, first, last, &named, expired);
            if (named.step != POL_NONE)
                break;
        }
        group = classify_group(policy->by_packet, &walker->path, group + 1);
    }
    return named;
}

bool walk_sni_granted(struct walker *walker, const struct walk_facts *facts, uint32_t group)
{
    uint64_t hash;

    if (!walker->grants || group == POL_NONE || facts->sni.len == 0)
        return false;
    hash = grants_name_hash(walker->grants, facts->sni);
    fetch_hits(walker, facts, group);
    for (size_t i = 0; i < walker->hit_count; i++) {
        if (walker->hits[i].name_hash == hash && walker->hits[i].state != POL_GRANT_GONE &&
            walker->hits[i].kind != POL_GRANT_RECORDED)
            return true;
    }
    return false;
}

/* --- conditions ----------------------------------------------------------------------------- */

static int compare_text(const void *a, const void *b)
{
    const pol_str *left = a, *right = b;
    size_t shorter = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->ptr, right->ptr, shorter);

    return order ? order : (left->len > right->len) - (left->len < right->len);
}

static enum condition name_holds(struct walker *walker, const struct pp_name *name, pol_str text,
                                 bool *limit)
{
    enum regex_result result;

    if (text.len == 0)
        return FAILS;
    if (name->exact_count &&
        !bsearch(&text, name->exact, name->exact_count, sizeof(text), compare_text))
        return FAILS;
    if (!name->regex)
        return HOLDS;
    result = regex_search(name->regex, walker->scratch, text);
    if (result == REGEX_EXCEPTION) {
        walker->memo.exceptions++;
        *limit = true;
    }
    return result == REGEX_YES ? HOLDS : FAILS;
}

/* The hostname of a deny rule is a condition on the SNI. */
static enum condition deny_name_holds(struct walker *walker, const struct pp_step *step,
                                      const struct walk_facts *facts, bool *limit)
{
    struct memo_patterns found;

    if (facts->tls == TLS_UNKNOWN || facts->tls == TLS_INCOMPLETE)
        return facts->tls == TLS_UNKNOWN ? UNKNOWN : BROKEN;
    if (facts->tls == TLS_NOT || facts->sni.len == 0)
        return FAILS;
    walk_patterns(walker,
                  hash_bytes(walker->policy->ctx->hash_seed, facts->sni.ptr, facts->sni.len),
                  facts->sni, &found);
    for (uint32_t i = 0; i < found.count; i++) {
        if ((found.ids[i] & ~PATTERN_EXCEPTION) != step->pattern)
            continue;
        *limit |= found.ids[i] & PATTERN_EXCEPTION; /* fails closed: a deny rule matches */
        return HOLDS;
    }
    return FAILS;
}

/* Names are NUL-terminated, one behind the other. */
static enum condition any_name_holds(struct walker *walker, const struct pp_name *name,
                                     const char *text, uint32_t count, bool *limit)
{
    for (uint32_t i = 0; i < count; i++) {
        pol_str one = str_of(text);

        if (name_holds(walker, name, one, limit) == HOLDS)
            return HOLDS;
        text += one.len + 1;
    }
    return FAILS;
}

static const char *names_behind(const char *text, uint32_t count)
{
    while (count-- > 0)
        text += strlen(text) + 1;
    return text;
}

static bool has_fingerprint(const struct pp_tls *tls, const uint8_t sha256[32])
{
    for (uint32_t i = 0; i < tls->fingerprint_count; i++) {
        if (memcmp(tls->fingerprints[i], sha256, sizeof(tls->fingerprints[i])) == 0)
            return true;
    }
    return tls->fingerprint_count == 0;
}

static enum condition leaf_holds(struct walker *walker, const struct pp_tls *tls,
                                 const pol_certificate *leaf, bool *limit)
{
    pol_str subject = {leaf->subject, leaf->subject_len};
    const char *cns;

    if (!has_fingerprint(tls, leaf->sha256) ||
        (tls->server_dn.ptr && !(subject.len && str_equal(tls->server_dn, subject))))
        return FAILS;
    if (tls->san && any_name_holds(walker, tls->san, leaf->names, leaf->san_count, limit) != HOLDS)
        return FAILS;
    if (!tls->cn)
        return HOLDS;
    cns = names_behind(leaf->names, leaf->san_count);
    return any_name_holds(walker, tls->cn, cns, leaf->cn_count, limit);
}

/* What a rule asks of the certificate, in the order of semantics 6: a chain that does not verify
 * denies even where its names would have led to the next rule. */
static enum condition certificate_holds(struct walker *walker, const struct pp_step *step,
                                        const struct walk_facts *facts, bool *limit)
{
    const struct pp_tls *tls = step->tls;
    const struct x509_anchors *anchors = tls->anchors ? tls->anchors : &walker->anchors;
    const pol_certificate *leaf;
    enum condition holds;
    bool hit_limit = false;

    if (facts->certificate == CERTIFICATE_UNKNOWN || facts->certificate == CERTIFICATE_MISSING)
        return facts->certificate == CERTIFICATE_UNKNOWN ? UNKNOWN : BROKEN;
    if (facts->certificate == CERTIFICATE_HIDDEN)
        return tls->tls13_allow ? HOLDS : REFUSED;
    leaf = chains_verified(&walker->chains, facts->chain, anchors, facts->wall)
               ? chains_leaf(&walker->chains, facts->chain)
               : NULL;
    if (!leaf)
        return REFUSED;
    holds = leaf_holds(walker, tls, leaf, &hit_limit);
    *limit |= hit_limit;
    return hit_limit && step->action == POL_DENY ? HOLDS : holds; /* fails closed */
}

static enum condition tls_holds(struct walker *walker, const struct pp_step *step,
                                const struct walk_facts *facts, bool *limit)
{
    const struct pp_tls *tls = step->tls;
    enum condition sni = HOLDS;
    bool hit_limit = false;

    if (facts->key.proto != PROTO_TCP)
        return FAILS;
    if (tls->intercept)
        return HOLDS;
    if (facts->tls == TLS_UNKNOWN || facts->tls == TLS_INCOMPLETE)
        return facts->tls == TLS_UNKNOWN ? UNKNOWN : BROKEN;
    if (facts->tls == TLS_NOT)
        return FAILS;
    if (tls->sni)
        sni = name_holds(walker, tls->sni, facts->sni, &hit_limit);
    *limit |= hit_limit;
    if (hit_limit && step->action == POL_DENY)
        sni = HOLDS; /* fails closed */
    if (sni != HOLDS)
        return FAILS;
    return tls->needs_certificate ? certificate_holds(walker, step, facts, limit) : HOLDS;
}

static enum condition step_holds(struct walker *walker, const struct pp_step *step,
                                 const struct walk_facts *facts, bool *limit)
{
    enum condition name = HOLDS, tls = HOLDS;

    if (step->pattern != POL_NONE && step->action == POL_DENY)
        name = deny_name_holds(walker, step, facts, limit);
    if (name != FAILS && step->tls)
        tls = tls_holds(walker, step, facts, limit);
    if (name == FAILS || tls == FAILS)
        return FAILS;
    return name > tls ? name : tls; /* HOLDS, or what keeps it from being known */
}

/* --- outcomes ------------------------------------------------------------------------------- */

static uint8_t raw_of(const struct pp_step *step)
{
    if (step->action == POL_ALLOW && step->tls && step->tls->intercept)
        return POL_INTERCEPT;
    return step->action;
}

static bool softened(const struct pp_step *step)
{
    return step->action == POL_DENY && step->mode == POL_MODE_AUDIT;
}

/* A denial, by the step or by its certificate, that audit mode softens. */
static bool denies_softly(const struct pp_step *step, enum condition holds)
{
    return holds == REFUSED ? step->mode == POL_MODE_AUDIT : softened(step);
}

static unsigned possible_of(const struct pp_step *step)
{
    unsigned possible;

    if (softened(step))
        return CAN_ALLOW;
    switch (raw_of(step)) {
    case POL_ALLOW:
        possible = CAN_ALLOW;
        break;
    case POL_INTERCEPT:
        possible = CAN_INTERCEPT;
        break;
    default:
        possible = CAN_DENY;
        break;
    }
    /* A chain that does not verify, or TLS 1.3 where it is not tolerated, denies in its own right.
     */
    if (step->tls && step->tls->needs_certificate && step->mode != POL_MODE_AUDIT)
        possible |= CAN_DENY;
    return possible;
}

static uint16_t reason_of(const struct pp_step *step)
{
    switch (step->kind) {
    case PP_GROUP_DEFAULT:
        return POL_WHY_GROUP_DEFAULT;
    case PP_POLICY_DEFAULT:
        return POL_WHY_POLICY_DEFAULT;
    default:
        return POL_WHY_RULE;
    }
}

static void decide_by(struct walk_outcome *out, const struct walk_facts *facts,
                      const struct pp_step *step, uint32_t index, const struct named *named)
{
    out->step = index;
    out->raw_action = raw_of(step);
    out->audit = softened(step);
    out->action = out->audit ? POL_ALLOW : out->raw_action;
    out->reason = reason_of(step);
    if (out->action == POL_INTERCEPT && facts->forwarded) {
        out->action = out->raw_action = POL_DENY;
        out->reason = POL_WHY_INTERCEPT_TOO_LATE;
    }
    if (named->step == index) {
        out->grant = named->grant;
        out->grant_version = named->version;
    }
}

/* The step denies for what the certificate is. */
static void refuse(struct walk_outcome *out, const struct walk_facts *facts,
                   const struct pp_step *step)
{
    out->raw_action = POL_DENY;
    out->audit = step->mode == POL_MODE_AUDIT;
    out->action = out->audit ? POL_ALLOW : POL_DENY;
    out->reason = facts->certificate == CERTIFICATE_HIDDEN ? POL_WHY_CERTIFICATE_HIDDEN
                                                           : POL_WHY_CERTIFICATE_UNTRUSTED;
}

/* Whether what a rule asks for will never be known. */
static bool is_broken(const struct walk_facts *facts)
{
    return facts->tls == TLS_INCOMPLETE ||
           (facts->tls == TLS_HELLO && facts->certificate == CERTIFICATE_MISSING);
}

static void deny_broken(struct walk_outcome *out, const struct walk_facts *facts)
{
    out->action = out->raw_action = POL_DENY;
    out->reason = facts->tls == TLS_HELLO ? POL_WHY_CERTIFICATE_MISSING : POL_WHY_TLS_INCOMPLETE;
    out->step = POL_NONE;
    out->resume = POL_NONE;
}

struct unknowns {
    uint32_t first;
    uint32_t count;
    unsigned possible;    /* outcomes of the unknown steps */
    bool only_deny_names; /* all that can decide are deny rules with a bare hostname */
};

static void note_unknown(struct unknowns *unknown, const struct pp_step *step, uint32_t index,
                         bool audit_continues)
{
    if (unknown->count++ == 0) {
        unknown->first = index;
        unknown->only_deny_names = true;
    }
    if (audit_continues && softened(step))
        return; /* it is recorded and decides nothing */
    unknown->possible |= possible_of(step);
    if (step->action != POL_DENY || step->pattern == POL_NONE || step->tls)
        unknown->only_deny_names = false;
}

/* Combines what unknown steps could still decide with the unconditional step behind them. */
static void settle(struct walk_outcome *out, const struct unknowns *unknown)
{
    unsigned possible = unknown->possible;

    if (unknown->count == 0)
        return;
    out->resume = unknown->first;
    if (unknown->count <= LOOK_AHEAD_MAX) {
        if (out->action == POL_INTERCEPT && unknown->only_deny_names)
            return;
        possible |= out->action == POL_ALLOW       ? CAN_ALLOW
                    : out->action == POL_INTERCEPT ? CAN_INTERCEPT
                                                   : CAN_DENY;
        if (possible == CAN_ALLOW) {
            out->watched = true;
            return;
        }
        if (possible == CAN_DENY)
            return;
    }
    out->action = out->raw_action = POL_PENDING;
    out->reason = POL_WHY_NEED_TLS;
    out->step = POL_NONE;
    out->audit = false;
}

static bool explains_itself(uint16_t reason)
{
    return reason == POL_WHY_INTERCEPT_TOO_LATE || reason == POL_WHY_TLS_INCOMPLETE ||
           reason == POL_WHY_CERTIFICATE_UNTRUSTED || reason == POL_WHY_CERTIFICATE_HIDDEN ||
           reason == POL_WHY_CERTIFICATE_MISSING;
}

static void explain(struct walk_outcome *out, const struct walk_facts *facts, bool limit,
                    bool tls_failed)
{
    if (out->raw_action != POL_DENY || explains_itself(out->reason))
        return;
    if (limit)
        out->reason = POL_WHY_LIMIT;
    else if (out->expired)
        out->reason = POL_WHY_DNS_EXPIRED;
    else if (tls_failed && facts->spoken && facts->tls == TLS_NOT)
        out->reason = POL_WHY_NOT_TLS;
}

/*
 * The second walk: the first rule in audit mode, whatever decided before. If it denies, that is a
 * finding of its own.
 */
static uint32_t shadow_denial(struct walker *walker, const struct walk_facts *facts)
{
    const pol_policy *policy = walker->policy;
    struct classify_path path;
    uint32_t from = 0;
    bool limit = false, expired = false;

    classify_source(policy->by_packet_audit, &facts->src, &path);
    while (from < policy->step_count) {
        uint32_t packet = classify_next(policy->by_packet_audit, &path, &facts->key, from);
        uint32_t end = packet == POL_NONE ? policy->step_count : packet;
        struct named named = next_named(walker, facts, from, end, &expired);
        uint32_t index = named.step != POL_NONE ? named.step : packet;
        enum condition holds = FAILS;
        const struct pp_step *step;

        if (index == POL_NONE)
            return POL_NONE;
        step = &policy->steps[index];
        if (step->mode == POL_MODE_AUDIT && step->kind == PP_RULE)
            holds = step_holds(walker, step, facts, &limit);
        if (holds == HOLDS || holds == REFUSED)
            return step->action == POL_DENY || holds == REFUSED ? index : POL_NONE;
        from = index + 1;
    }
    return POL_NONE;
}

void walk_packet(struct walker *walker, const struct walk_facts *facts, uint32_t from,
                 struct walk_outcome *ret_outcome)
{
    const pol_policy *policy = walker->policy;
    struct walk_outcome out = {.resume = POL_NONE, .shadow = POL_NONE, .grant = POL_NONE};
    struct unknowns unknown = {0};
    bool limit = false, tls_failed = false;

    classify_source(policy->by_packet, &facts->src, &walker->path);
    classify_destination(policy->by_packet, &facts->key.dst, &walker->path);
    walker->hits_group = POL_NONE;
    walker->limited = false;
    for (uint32_t i = from;;) {
        uint32_t packet = classify_next(policy->by_packet, &walker->path, &facts->key, i);
        struct named named = next_named(walker, facts, i, packet, &out.expired);
        uint32_t index = named.step != POL_NONE ? named.step : packet;
        const struct pp_step *step = &policy->steps[index];
        enum condition holds = step_holds(walker, step, facts, &limit);
        bool decides = holds == HOLDS || holds == REFUSED;

        if (decides && denies_softly(step, holds) && policy->audit_continues &&
            step->kind == PP_RULE) {
            if (out.shadow == POL_NONE)
                out.shadow = index;
        } else if (holds == BROKEN && step->mode == POL_MODE_AUDIT) {
            if (out.shadow == POL_NONE)
                out.shadow = index; /* audit never drops: reported, and the walk goes on */
        } else if (decides || unknown.count > LOOK_AHEAD_MAX) {
            decide_by(&out, facts, step, index, &named);
            if (holds == REFUSED)
                refuse(&out, facts, step);
            break;
        } else if (holds == UNKNOWN || holds == BROKEN) {
            note_unknown(&unknown, step, index, policy->audit_continues);
        } else {
            tls_failed |= step->tls && facts->key.proto == PROTO_TCP;
        }
        i = index + 1;
    }
    settle(&out, &unknown);
    if (out.action == POL_PENDING && is_broken(facts))
        deny_broken(&out, facts);
    explain(&out, facts, limit || walker->limited, tls_failed);
    if (policy->has_audit_deny && policy->by_packet_audit && !walker->skip_shadows &&
        out.action != POL_PENDING && out.shadow == POL_NONE && out.raw_action != POL_DENY)
        out.shadow = shadow_denial(walker, facts);
    *ret_outcome = out;
}
