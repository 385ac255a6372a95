/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings in rows of fixed size, found by a hash of their key, so merging costs the same however
 * many there are.
 *
 * Eviction. Rows stand in a queue, the most recently merged one at the end. A row earns one chance
 * each time its count doubles. When room is needed, the row at the front goes if it has no chance
 * left; otherwise it pays one and goes back to the end. So a scan that leaves thousands of findings
 * seen once pushes out its own, and a finding that was frequent long ago still leaves after a few
 * rounds. A step is bounded: after SECOND_CHANCES rows the one with the lowest count among them
 * goes.
 *
 * Changes. Rows changed since the last pol_audit_changes() form a second queue. A row that a store
 * knows of and that is evicted leaves its key in a ring, so that the store can delete it; one that
 * came and went between two calls leaves nothing.
 */
#include <libpolicy/audit.h>

#include <stdlib.h>

#include "base/abi.h"
#include "base/ctx.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/slice.h"
#include "observe/text.h"

enum { MAX_FINDINGS = 1000000, MAX_CHANCES = 7, SECOND_CHANCES = 64 };

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_ICMPV6 = 58 };

enum queue_id {
    BY_AGE,  /* every row in use */
    CHANGED, /* those changed since the last pol_audit_changes() */
    QUEUES
};

struct link {
    uint32_t before, after; /* POL_NONE at the ends */
};

struct queue {
    uint32_t first, last; /* POL_NONE when empty */
};

struct row {
    uint64_t hash;
    uint32_t next; /* in the bucket; POL_NONE at the end */
    struct link links[QUEUES];
    uint8_t chances;
    bool changed;
    bool stored; /* a store has seen it */
};

/* The fields of a finding that may be part of its key; those that are not are zero. */
struct key {
    uint8_t type, proto, icmp_type, icmp_code;
    uint16_t dst_port;
    pol_addr dst;
    char group[sizeof(((pol_finding *)0)->group)];
    char name[POL_NAME_MAX + 1];
    char fqdn[POL_NAME_MAX + 1];
};

struct pol_audit {
    pol_ctx *ctx;
    uint32_t capacity;
    uint32_t used;       /* rows in use; they are the first ones */
    uint32_t mask;       /* of buckets */
    uint32_t gone_first; /* oldest in the ring */
    uint32_t gone_count;
    uint64_t events, evicted;
    struct queue queues[QUEUES];
    uint32_t *buckets;
    struct row *rows;
    pol_finding *findings; /* beside rows: walking them touches no finding */
    struct key *gone;      /* evicted rows a store knows; a ring of `capacity` */
    pol_finding visited;   /* an evicted finding as pol_audit_changes() shows it */
};

/* ---- Queues ---- */

static void queue_remove(pol_audit *audit, enum queue_id id, uint32_t at)
{
    struct queue *queue = &audit->queues[id];
    struct link *link = &audit->rows[at].links[id];

    if (link->before == POL_NONE)
        queue->first = link->after;
    else
        audit->rows[link->before].links[id].after = link->after;
    if (link->after == POL_NONE)
        queue->last = link->before;
    else
        audit->rows[link->after].links[id].before = link->before;
}

static void queue_add_last(pol_audit *audit, enum queue_id id, uint32_t at)
{
    struct queue *queue = &audit->queues[id];

    audit->rows[at].links[id] = (struct link){queue->last, POL_NONE};
    if (queue->last == POL_NONE)
        queue->first = at;
    else
        audit->rows[queue->last].links[id].after = at;
    queue->last = at;
}

static void queue_add_first(pol_audit *audit, enum queue_id id, uint32_t at)
{
    struct queue *queue = &audit->queues[id];

    audit->rows[at].links[id] = (struct link){POL_NONE, queue->first};
    if (queue->first == POL_NONE)
        queue->last = at;
    else
        audit->rows[queue->first].links[id].before = at;
    queue->first = at;
}

/* ---- Keys ---- */

static void key_copy(char *to, size_t size, const char *from)
{
    text_copy(to, size, str_of(from));
}

/* runtime.md of the contract, section "Audit store", lists the keys. */
static void key_of(const pol_finding *finding, struct key *key)
{
    memset(key, 0, sizeof(*key));
    key->type = finding->type;
    key_copy(key->group, sizeof(key->group), finding->group);
    switch (finding->type) {
    case POL_FIND_L4_DENY:
        key->dst = finding->dst;
        key->dst_port = finding->dst_port;
        key->proto = finding->proto;
        key_copy(key->fqdn, sizeof(key->fqdn), finding->fqdn);
        break;
    case POL_FIND_TLS_DENY:
        key->dst = finding->dst;
        key->dst_port = finding->dst_port;
        key_copy(key->name, sizeof(key->name), finding->name);
        break;
    case POL_FIND_ICMP_DENY:
        key->dst = finding->dst;
        key->icmp_type = finding->icmp_type;
        key->icmp_code = finding->icmp_code;
        break;
    case POL_FIND_AUTH_SSO:
        key_copy(key->fqdn, sizeof(key->fqdn), finding->fqdn);
        key_copy(key->name, sizeof(key->name), finding->name);
        break;
    default:
        key_copy(key->name, sizeof(key->name), finding->name);
        break;
    }
}

static bool key_equal(const struct key *a, const struct key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static uint64_t key_hash(const pol_audit *audit, const struct key *key)
{
    return hash_bytes(audit->ctx->hash_seed, key, sizeof(*key));
}

/* ---- The table ---- */

static uint32_t lookup(const pol_audit *audit, const struct key *key, uint64_t hash)
{
    uint32_t at = audit->buckets[hash & audit->mask];
    struct key other;

    for (; at != POL_NONE; at = audit->rows[at].next) {
        if (audit->rows[at].hash != hash)
            continue;
        key_of(&audit->findings[at], &other);
        if (key_equal(key, &other))
            break;
    }
    return at;
}

static void unlink_bucket(pol_audit *audit, uint32_t at)
{
    uint32_t *link = &audit->buckets[audit->rows[at].hash & audit->mask];

    while (*link != at)
        link = &audit->rows[*link].next;
    *link = audit->rows[at].next;
}

/* One chance for each doubling. */
static uint8_t chances_of(uint64_t count)
{
    uint8_t chances = 0;

    while (chances < MAX_CHANCES && count > 1) {
        count >>= 1;
        chances++;
    }
    return chances;
}

static uint32_t choose_victim(pol_audit *audit)
{
    uint32_t victim = audit->queues[BY_AGE].first;

    for (int i = 0; i < SECOND_CHANCES; i++) {
        uint32_t at = audit->queues[BY_AGE].first;

        if (audit->rows[at].chances == 0)
            return at;
        if (audit->findings[at].count < audit->findings[victim].count)
            victim = at;
        audit->rows[at].chances--;
        queue_remove(audit, BY_AGE, at);
        queue_add_last(audit, BY_AGE, at);
    }
    return victim;
}

/* The ring holds as many keys as there are rows. More can only be evicted between two calls if a
 * store restores meanwhile; then the oldest key is lost and the store keeps a row too many. */
static void remember_gone(pol_audit *audit, const pol_finding *finding)
{
    if (audit->gone_count == audit->capacity) {
        audit->gone_first = (audit->gone_first + 1) % audit->capacity;
        audit->gone_count--;
    }
    key_of(finding, &audit->gone[(audit->gone_first + audit->gone_count) % audit->capacity]);
    audit->gone_count++;
}

static uint32_t evict(pol_audit *audit)
{
    uint32_t at = choose_victim(audit);
    struct row *row = &audit->rows[at];

    if (row->stored)
        remember_gone(audit, &audit->findings[at]);
    if (row->changed)
        queue_remove(audit, CHANGED, at);
    queue_remove(audit, BY_AGE, at);
    unlink_bucket(audit, at);
    audit->evicted++;
    return at;
}

static uint32_t insert(pol_audit *audit, const pol_finding *finding, uint64_t hash)
{
    uint32_t at = audit->used < audit->capacity ? audit->used++ : evict(audit);
    uint32_t *bucket = &audit->buckets[hash & audit->mask];

    audit->findings[at] = *finding;
    audit->rows[at] = (struct row){
        .hash = hash,
        .next = *bucket,
        .chances = chances_of(finding->count),
    };
    *bucket = at;
    queue_add_last(audit, BY_AGE, at);
    return at;
}

static void mark_changed(pol_audit *audit, uint32_t at)
{
    if (audit->rows[at].changed)
        return;
    audit->rows[at].changed = true;
    queue_add_last(audit, CHANGED, at);
}

/* ---- Merging ---- */

static void take_newest(pol_finding *into, const pol_finding *from)
{
    into->last_seen = from->last_seen;
    into->generation = from->generation;
    into->reason = from->reason;
    memcpy(into->rule, from->rule, sizeof(into->rule));
    if (from->name_count) {
        into->name_count = from->name_count;
        memcpy(into->names, from->names, sizeof(into->names));
        memcpy(into->fqdn, from->fqdn, sizeof(into->fqdn));
    }
}

static void take_oldest(pol_finding *into, const pol_finding *from)
{
    into->first_seen = from->first_seen;
    into->src = from->src;
    into->query_type = from->query_type;
}

static void combine(pol_finding *into, const pol_finding *from)
{
    /* A row from elsewhere may hold any count, and 0 would mean that the finding is gone. */
    into->count = from->count < UINT64_MAX - into->count ? into->count + from->count : UINT64_MAX;
    into->audit &= from->audit;
    if (from->last_seen >= into->last_seen)
        take_newest(into, from);
    if (from->first_seen < into->first_seen)
        take_oldest(into, from);
}

/* Returns the row. *ret_new says whether the finding was not there before. */
static uint32_t merge(pol_audit *audit, const pol_finding *finding, bool *ret_new)
{
    struct key key;
    uint64_t hash;
    uint32_t at;

    key_of(finding, &key);
    hash = key_hash(audit, &key);
    at = lookup(audit, &key, hash);
    *ret_new = at == POL_NONE;
    if (*ret_new)
        return insert(audit, finding, hash);

    combine(&audit->findings[at], finding);
    audit->rows[at].chances = chances_of(audit->findings[at].count);
    queue_remove(audit, BY_AGE, at);
    queue_add_last(audit, BY_AGE, at);
    return at;
}

/* ---- Events ---- */

static bool is_tls_reason(unsigned reason)
{
    switch (reason) {
    case POL_WHY_NEED_TLS:
    case POL_WHY_NOT_TLS:
    case POL_WHY_TLS_INCOMPLETE:
    case POL_WHY_PENDING_FULL:
    case POL_WHY_SNI_MISMATCH:
    case POL_WHY_INTERCEPT_TOO_LATE:
    case POL_WHY_CERTIFICATE_UNTRUSTED:
    case POL_WHY_CERTIFICATE_HIDDEN:
    case POL_WHY_CERTIFICATE_MISSING:
        return true;
    default:
        return false;
    }
}

static enum pol_finding_type type_of(const pol_event *event)
{
    const pol_verdict *verdict = &event->verdict;

    if (event->kind == POL_EV_DNS || event->qclass)
        return POL_FIND_DNS_DENY;
    if (event->tuple.proto == PROTO_ICMP || event->tuple.proto == PROTO_ICMPV6)
        return POL_FIND_ICMP_DENY;
    if (event->tuple.proto == PROTO_TCP &&
        (event->name_len || verdict->flags & POL_V_SNI_SEEN || is_tls_reason(verdict->reason)))
        return POL_FIND_TLS_DENY;
    return POL_FIND_L4_DENY;
}

static bool is_denial(const pol_event *event)
{
    const pol_verdict *verdict = &event->verdict;

    if (event->kind == POL_EV_DENY)
        return true;
    return event->kind == POL_EV_DNS &&
           (verdict->flags & POL_V_AUDIT || verdict->action == POL_DENY ||
            verdict->action == POL_REJECT || verdict->action == POL_ANSWER);
}

static bool fits(const pol_policy *policy, const pol_verdict *verdict)
{
    uint32_t groups = policy ? pol_policy_group_count(policy) : 0;
    uint32_t rules = policy ? pol_policy_rule_count(policy) : 0;

    return (verdict->group == POL_NONE || verdict->group < groups) &&
           (verdict->rule == POL_NONE || verdict->rule < rules);
}

static void fill_ids(pol_finding *finding, const pol_policy *policy, const pol_verdict *verdict)
{
    pol_str group = STR("default");
    pol_str rule = STR("");

    if (verdict->group != POL_NONE)
        group = pol_policy_group_id(policy, verdict->group);
    if (verdict->rule != POL_NONE)
        rule = pol_policy_rule_id(policy, verdict->rule);
    text_copy(finding->group, sizeof(finding->group), group);
    text_copy(finding->rule, sizeof(finding->rule), rule);
}

static void fill_names(pol_finding *finding, const pol_grants *grants, const pol_event *event)
{
    pol_grant known[POL_FINDING_NAMES];
    size_t count = 0;

    text_copy(finding->fqdn, sizeof(finding->fqdn), (pol_str){event->fqdn, event->fqdn_len});
    if (grants)
        count = pol_grants_names(grants, event->names_key, &finding->dst, event->at, known,
                                 POL_FINDING_NAMES);
    if (count > POL_FINDING_NAMES)
        count = POL_FINDING_NAMES;
    for (size_t i = 0; i < count; i++)
        text_copy(finding->names[i], sizeof(finding->names[i]),
                  (pol_str){known[i].name, known[i].name_len});

    if (count == 0 && event->fqdn_len) {
        memcpy(finding->names[0], finding->fqdn, sizeof(finding->fqdn));
        count = 1;
    } else if (count && !event->fqdn_len) {
        memcpy(finding->fqdn, finding->names[0], sizeof(finding->fqdn));
    }
    finding->name_count = (uint8_t)count;
}

static void fill_packet(pol_finding *finding, const pol_grants *grants, const pol_event *event)
{
    finding->dst = event->tuple.dst;
    finding->proto = event->tuple.proto;
    if (finding->type == POL_FIND_ICMP_DENY) {
        finding->icmp_type = event->icmp_type;
        finding->icmp_code = event->icmp_code;
    } else {
        finding->dst_port = event->tuple.dst_port;
    }
    fill_names(finding, grants, event);
}

int pol_audit_add(pol_audit *audit, const pol_policy *policy, const pol_grants *grants,
                  const pol_event *event, pol_wall wall)
{
    const pol_verdict *verdict = &event->verdict;
    pol_finding finding = {
        .type = (uint8_t)type_of(event),
        .audit = (verdict->flags & POL_V_AUDIT) != 0,
        .reason = verdict->reason,
        .src = event->tuple.src,
        .generation = verdict->generation,
        .count = 1,
        .first_seen = wall,
        .last_seen = wall,
    };
    bool is_new;

    if (!is_denial(event))
        return POL_OK;
    if (!fits(policy, verdict))
        return POL_E_INVALID;

    fill_ids(&finding, policy, verdict);
    text_copy(finding.name, sizeof(finding.name), (pol_str){event->name, event->name_len});
    if (finding.type == POL_FIND_DNS_DENY)
        finding.query_type = event->qtype;
    else
        fill_packet(&finding, grants, event);
    mark_changed(audit, merge(audit, &finding, &is_new));
    audit->events++;
    return POL_OK;
}

/* ---- Rows from elsewhere ---- */

static bool is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static bool is_valid(const pol_finding *finding)
{
    if (finding->type >= POL_FIND_COUNT || finding->name_count > POL_FINDING_NAMES ||
        finding->count == 0)
        return false;
    for (size_t i = 0; i < finding->name_count; i++) {
        if (!is_text(finding->names[i], sizeof(finding->names[i])))
            return false;
    }
    return is_text(finding->group, sizeof(finding->group)) &&
           is_text(finding->rule, sizeof(finding->rule)) &&
           is_text(finding->name, sizeof(finding->name)) &&
           is_text(finding->fqdn, sizeof(finding->fqdn));
}

/* Rows restored in the order of last_seen, either way round, end up in that order. */
static void place_by_age(pol_audit *audit, uint32_t at)
{
    uint32_t before = audit->rows[at].links[BY_AGE].before;

    if (before == POL_NONE || audit->findings[before].last_seen <= audit->findings[at].last_seen)
        return;
    queue_remove(audit, BY_AGE, at);
    queue_add_first(audit, BY_AGE, at);
}

int pol_audit_restore(pol_audit *audit, const pol_finding *finding)
{
    bool is_new;
    uint32_t at;

    if (!is_valid(finding))
        return POL_E_INVALID;
    at = merge(audit, finding, &is_new);
    audit->rows[at].stored = true;
    /* A row that came from the store need not go back there. */
    if (is_new)
        place_by_age(audit, at);
    else
        mark_changed(audit, at);
    return POL_OK;
}

void pol_audit_merge(pol_audit *into, const pol_audit *from)
{
    bool is_new;

    if (into == from)
        return;
    for (uint32_t at = from->queues[BY_AGE].first; at != POL_NONE;
         at = from->rows[at].links[BY_AGE].after)
        mark_changed(into, merge(into, &from->findings[at], &is_new));
}

/* ---- Reading ---- */

struct hit {
    pol_wall last_seen;
    uint64_t count;
    uint32_t row;
};

static int compare_hits(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;

    if (a->last_seen != b->last_seen)
        return a->last_seen > b->last_seen ? -1 : 1;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static bool fits_group(const pol_audit_query *query, pol_str group)
{
    for (size_t i = 0; i < query->group_count; i++) {
        if (str_equal_nocase(query->groups[i], group))
            return true;
    }
    return query->group_count == 0;
}

static bool fits_query(const pol_audit_query *query, const pol_finding *finding)
{
    return (query->types == 0 || query->types & 1u << finding->type) &&
           finding->last_seen >= query->since && finding->first_seen <= query->until &&
           fits_group(query, str_of(finding->group));
}

static size_t collect(const pol_audit *audit, const pol_audit_query *query, struct hit *hits)
{
    size_t count = 0;

    for (uint32_t at = 0; at < audit->used; at++) {
        const pol_finding *finding = &audit->findings[at];

        if (fits_query(query, finding))
            /* In whole seconds, as clients see it. */
            hits[count++] = (struct hit){finding->last_seen / 1000, finding->count, at};
    }
    return count;
}

static const pol_audit_query query_defaults = {
    .size = sizeof(pol_audit_query),
    .until = POL_NEVER,
    .limit = 500,
};

void pol_audit_query_init(pol_audit_query *query, size_t size)
{
    abi_defaults(query, size, &query_defaults, sizeof(query_defaults));
}

int pol_audit_find(const pol_audit *audit, const pol_audit_query *given,
                   bool (*visit)(void *user, const pol_finding *finding), void *user)
{
    pol_audit_query query = query_defaults;
    struct hit *hits;
    size_t count;
    int visited = 0;
    int rc;

    rc = abi_options(&query, sizeof(query), given, ABI_UP_TO(pol_audit_query, limit));
    if (rc < 0)
        return rc;
    hits = mem_array(&audit->ctx->mem, audit->used, sizeof(*hits));
    if (!hits)
        return POL_E_NOMEM;

    count = collect(audit, &query, hits);
    qsort(hits, count, sizeof(*hits), compare_hits);
    for (size_t i = 0; i < count && i < query.limit; i++) {
        visited++;
        if (!visit(user, &audit->findings[hits[i].row]))
            break;
    }
    mem_free(&audit->ctx->mem, hits, audit->used * sizeof(*hits));
    return visited;
}

static const pol_finding *gone_finding(pol_audit *audit)
{
    const struct key *key = &audit->gone[audit->gone_first];
    pol_finding *finding = &audit->visited;

    memset(finding, 0, sizeof(*finding));
    finding->type = key->type;
    finding->proto = key->proto;
    finding->icmp_type = key->icmp_type;
    finding->icmp_code = key->icmp_code;
    finding->dst_port = key->dst_port;
    finding->dst = key->dst;
    memcpy(finding->group, key->group, sizeof(key->group));
    memcpy(finding->name, key->name, sizeof(key->name));
    memcpy(finding->fqdn, key->fqdn, sizeof(key->fqdn));
    return finding;
}

/* Evicted rows come first: a key that is back again is then deleted and written anew. A row for
 * which the visitor returns false stays changed. */
size_t pol_audit_changes(pol_audit *audit, bool (*visit)(void *user, const pol_finding *finding),
                         void *user)
{
    size_t visited = 0;

    while (audit->gone_count) {
        if (!visit(user, gone_finding(audit)))
            return visited;
        audit->gone_first = (audit->gone_first + 1) % audit->capacity;
        audit->gone_count--;
        visited++;
    }
    while (audit->queues[CHANGED].first != POL_NONE) {
        uint32_t at = audit->queues[CHANGED].first;

        if (!visit(user, &audit->findings[at]))
            return visited;
        queue_remove(audit, CHANGED, at);
        audit->rows[at].changed = false;
        audit->rows[at].stored = true;
        visited++;
    }
    return visited;
}

void pol_audit_stats_get(const pol_audit *audit, pol_audit_stats *ret_stats)
{
    *ret_stats = (pol_audit_stats){
        .findings = audit->used,
        .capacity = audit->capacity,
        .events = audit->events,
        .evicted = audit->evicted,
    };
}

/* ---- Life ---- */

static int take_memory(pol_audit *audit)
{
    const pol_mem *mem = &audit->ctx->mem;
    size_t buckets = (size_t)audit->mask + 1;

    audit->buckets = mem_array(mem, buckets, sizeof(audit->buckets[0]));
    audit->rows = mem_array(mem, audit->capacity, sizeof(audit->rows[0]));
    audit->findings = mem_array(mem, audit->capacity, sizeof(audit->findings[0]));
    audit->gone = mem_array(mem, audit->capacity, sizeof(audit->gone[0]));
    if (!audit->buckets || !audit->rows || !audit->findings || !audit->gone)
        return POL_E_NOMEM;
    for (size_t i = 0; i < buckets; i++)
        audit->buckets[i] = POL_NONE;
    return POL_OK;
}

int pol_audit_new(pol_ctx *ctx, uint32_t max_findings, pol_audit **ret_audit)
{
    pol_audit *audit;
    int rc;

    if (max_findings == 0 || max_findings > MAX_FINDINGS)
        return POL_E_INVALID;
    audit = mem_zalloc(&ctx->mem, sizeof(*audit));
    if (!audit)
        return POL_E_NOMEM;
    audit->ctx = pol_ctx_ref(ctx);
    audit->capacity = max_findings;
    while (audit->mask < max_findings)
        audit->mask = audit->mask << 1 | 1;
    for (int i = 0; i < QUEUES; i++)
        audit->queues[i] = (struct queue){POL_NONE, POL_NONE};

    rc = take_memory(audit);
    if (rc < 0) {
        pol_audit_free(audit);
        return rc;
    }
    *ret_audit = audit;
    return POL_OK;
}

size_t pol_audit_memory(const pol_audit *audit)
{
    size_t row = sizeof(audit->rows[0]) + sizeof(audit->findings[0]) + sizeof(audit->gone[0]);

    return sizeof(*audit) + ((size_t)audit->mask + 1) * sizeof(audit->buckets[0]) +
           audit->capacity * row;
}

void pol_audit_free(pol_audit *audit)
{
    const pol_mem *mem;
    pol_ctx *ctx;

    if (!audit)
        return;
    ctx = audit->ctx;
    mem = &ctx->mem;
    mem_free(mem, audit->buckets, ((size_t)audit->mask + 1) * sizeof(audit->buckets[0]));
    mem_free(mem, audit->rows, audit->capacity * sizeof(audit->rows[0]));
    mem_free(mem, audit->findings, audit->capacity * sizeof(audit->findings[0]));
    mem_free(mem, audit->gone, audit->capacity * sizeof(audit->gone[0]));
    mem_free(mem, audit, sizeof(*audit));
    pol_ctx_unref(ctx);
}
