/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of a small audit table: findings of any content are restored, events are added, another
 * table is merged in, changes are taken by a store that sometimes refuses one, and queries are
 * asked. A model beside it sums what was seen; the store is kept up to date by the changes alone
 * and must hold what the table holds.
 */
#include <libpolicy/audit.h>

#include "fuzz.h"

enum { CAPACITY = 5, STORED = 128, STEPS = 120 };

struct store {
    size_t count;
    unsigned refuse; /* in so many visits from now; 0: never */
    pol_finding rows[STORED];
};

struct life {
    pol_ctx *ctx;
    pol_audit *audit;
    struct store store;
    uint64_t seen; /* sum of all counts that went in */
    bool full;     /* the sum went beyond what a count can hold */
};

static bool same_key(const pol_finding *a, const pol_finding *b)
{
    bool l4 = a->type == POL_FIND_L4_DENY, icmp = a->type == POL_FIND_ICMP_DENY;
    bool tls = a->type == POL_FIND_TLS_DENY, sso = a->type == POL_FIND_AUTH_SSO;

    if (a->type != b->type || strcmp(a->group, b->group) != 0)
        return false;
    if ((l4 || tls || icmp) && memcmp(&a->dst, &b->dst, sizeof(a->dst)) != 0)
        return false;
    if ((l4 || tls) && a->dst_port != b->dst_port)
        return false;
    if (l4 && a->proto != b->proto)
        return false;
    if (icmp && (a->icmp_type != b->icmp_type || a->icmp_code != b->icmp_code))
        return false;
    if ((l4 || sso) && strcmp(a->fqdn, b->fqdn) != 0)
        return false;
    return l4 || icmp || strcmp(a->name, b->name) == 0;
}

/* --- a store --------------------------------------------------------------------------------- */

static pol_finding *store_find(struct store *store, const pol_finding *key)
{
    for (size_t i = 0; i < store->count; i++) {
        if (same_key(&store->rows[i], key))
            return &store->rows[i];
    }
    return NULL;
}

static bool write_behind(void *user, const pol_finding *finding)
{
    struct store *store = user;
    pol_finding *row = store_find(store, finding);

    if (store->refuse && --store->refuse == 0)
        return false;
    if (finding->count == 0) {
        if (row)
            *row = store->rows[--store->count];
        return true;
    }
    if (!row) {
        require(store->count < STORED);
        row = &store->rows[store->count++];
    }
    *row = *finding;
    return true;
}

/* --- what is found --------------------------------------------------------------------------- */

struct listing {
    size_t count;
    pol_finding rows[CAPACITY + 1];
};

static bool collect(void *user, const pol_finding *finding)
{
    struct listing *listing = user;

    require(listing->count <= CAPACITY);
    listing->rows[listing->count++] = *finding;
    return true;
}

static void list(const struct life *life, const pol_audit_query *query, struct listing *listing)
{
    listing->count = 0;
    require(pol_audit_find(life->audit, query, collect, listing) == (int)listing->count);
    for (size_t i = 1; i < listing->count; i++) {
        const pol_finding *a = &listing->rows[i - 1], *b = &listing->rows[i];

        require(a->last_seen / 1000 >= b->last_seen / 1000);
        require(a->last_seen / 1000 > b->last_seen / 1000 || a->count >= b->count);
    }
}

static void check(const struct life *life)
{
    static struct listing listing;
    pol_audit_stats stats;
    uint64_t sum = 0;

    list(life, NULL, &listing);
    pol_audit_stats_get(life->audit, &stats);
    require(stats.findings == listing.count && stats.capacity == CAPACITY);
    for (size_t i = 0; i < listing.count; i++) {
        const pol_finding *row = &listing.rows[i];

        require(row->count > 0 && row->type < POL_FIND_COUNT);
        require(row->name_count <= POL_FINDING_NAMES);
        for (size_t j = 0; j < i; j++)
            require(!same_key(row, &listing.rows[j]));
        sum += row->count;
    }
    if (!life->full)
        require(stats.evicted ? sum <= life->seen : sum == life->seen);
}

/* --- operations ------------------------------------------------------------------------------ */

static void fill(struct cursor *in, char *field, size_t size)
{
    pol_str text = input_text(in);

    if (text.len)
        memcpy(field, text.ptr, text.len < size ? text.len : size);
}

/* Often one of few, so that findings meet; sometimes of any content. */
static void read_finding(struct cursor *in, pol_finding *finding)
{
    uint8_t pick = cursor_u8(in);

    memset(finding, 0, sizeof(*finding));
    finding->type = pick & 7;
    finding->dst = input_addr(in);
    finding->dst_port = cursor_u8(in) & 3;
    finding->proto = pick >> 3 & 1 ? 6 : 17;
    finding->audit = pick >> 4 & 1;
    finding->count = pick & 0x80 ? input_u64(in) : cursor_u8(in);
    finding->first_seen = cursor_u16(in);
    finding->last_seen = finding->first_seen + cursor_u16(in);
    finding->name[0] = (char)('a' + (pick >> 5 & 1));
    finding->fqdn[0] = finding->name[0];
    if (pick & 0x40) {
        fill(in, finding->group, sizeof(finding->group));
        fill(in, finding->name, sizeof(finding->name));
        fill(in, finding->fqdn, sizeof(finding->fqdn));
        finding->name_count = cursor_u8(in);
        fill(in, finding->names[0], sizeof(finding->names[0]));
        finding->icmp_type = cursor_u8(in);
    }
}

static void count_seen(struct life *life, uint64_t count)
{
    life->full |= count > UINT64_MAX - life->seen;
    life->seen += count;
}

static bool lists(const struct listing *listing, const pol_finding *key)
{
    for (size_t i = 0; i < listing->count; i++) {
        if (same_key(&listing->rows[i], key))
            return true;
    }
    return false;
}

/* A row the table does not have comes from the store, which is up to date by then. */
static void keep_in_store(struct store *store, const pol_finding *finding)
{
    pol_finding *row = store_find(store, finding);

    if (!row) {
        require(store->count < STORED);
        row = &store->rows[store->count++];
    }
    *row = *finding;
}

static void restore(struct life *life, struct cursor *in)
{
    static struct listing listing;
    pol_finding finding;
    bool known;
    int rc;

    read_finding(in, &finding);
    (void)pol_audit_changes(life->audit, write_behind, &life->store);
    list(life, NULL, &listing);
    known = lists(&listing, &finding);
    rc = pol_audit_restore(life->audit, &finding);
    require(rc == POL_OK || rc == POL_E_INVALID);
    if (finding.type >= POL_FIND_COUNT || !finding.count || finding.name_count > POL_FINDING_NAMES)
        require(rc == POL_E_INVALID);
    if (rc < 0)
        return;
    count_seen(life, finding.count);
    list(life, NULL, &listing);
    for (size_t i = 0; i < listing.count; i++) {
        if (!same_key(&listing.rows[i], &finding))
            continue;
        require(listing.rows[i].count >= finding.count);
        require(listing.rows[i].first_seen <= finding.first_seen);
        require(listing.rows[i].last_seen >= finding.last_seen);
    }
    if (!known)
        keep_in_store(&life->store, &finding);
    /* What it evicted is told at once: the table remembers no more of that than it has rows. */
    (void)pol_audit_changes(life->audit, write_behind, &life->store);
}

static void add(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    pol_event event = {.kind = pick & 1 ? POL_EV_DENY : POL_EV_DNS};
    pol_audit_stats before, after;
    int rc;

    event.tuple.dst = input_addr(in);
    event.tuple.dst_port = pick >> 1 & 3;
    event.tuple.proto = cursor_u8(in) & 1 ? 6 : pick & 0x40 ? 58 : 17;
    event.verdict.group = event.verdict.rule = POL_NONE;
    if (pick == 255)
        event.verdict.group = cursor_u8(in);
    event.verdict.action = pick >> 3 & 3;
    event.verdict.flags = cursor_u16(in);
    event.verdict.reason = cursor_u8(in);
    event.qclass = pick >> 5 & 1;
    event.name_len = 1;
    event.name[0] = (char)('a' + (pick >> 7));
    pol_audit_stats_get(life->audit, &before);
    rc = pol_audit_add(life->audit, NULL, NULL, &event, cursor_u16(in));
    pol_audit_stats_get(life->audit, &after);
    require(rc == POL_OK || (rc == POL_E_INVALID && event.verdict.group != POL_NONE));
    require(after.events - before.events <= 1);
    count_seen(life, after.events - before.events);
}

static void merge(struct life *life, struct cursor *in)
{
    pol_finding finding;
    pol_audit *other;

    require(pol_audit_new(life->ctx, 2, &other) == POL_OK);
    read_finding(in, &finding);
    if (pol_audit_restore(other, &finding) == POL_OK)
        count_seen(life, finding.count);
    pol_audit_merge(life->audit, other);
    pol_audit_free(other);
}

/* When the store has taken all changes, it holds the table. */
static void write_changes(struct life *life, struct cursor *in)
{
    static struct listing listing;
    struct store *store = &life->store;

    store->refuse = cursor_u8(in);
    (void)pol_audit_changes(life->audit, write_behind, store);
    store->refuse = 0;
    (void)pol_audit_changes(life->audit, write_behind, store);
    require(pol_audit_changes(life->audit, write_behind, store) == 0);
    list(life, NULL, &listing);
    require(store->count == listing.count);
    for (size_t i = 0; i < listing.count; i++) {
        const pol_finding *row = store_find(store, &listing.rows[i]);

        require(row && row->count == listing.rows[i].count);
        require(row->last_seen == listing.rows[i].last_seen && row->audit == listing.rows[i].audit);
    }
}

static void ask(const struct life *life, struct cursor *in)
{
    static struct listing all, some;
    pol_str group = {NULL, 0};
    pol_audit_query query;
    size_t expected = 0;

    pol_audit_query_init(&query, sizeof(query));
    query.types = cursor_u8(in);
    query.since = cursor_u16(in);
    query.until = cursor_u16(in);
    query.limit = cursor_u8(in) & 7;
    group = input_text(in);
    query.groups = &group;
    query.group_count = group.len > 0;
    list(life, NULL, &all);
    list(life, &query, &some);
    for (size_t i = 0; i < all.count; i++) {
        const pol_finding *row = &all.rows[i];

        expected += (!query.types || query.types >> row->type & 1) &&
                    row->last_seen >= query.since && row->first_seen <= query.until &&
                    (!group.len || str_equal_nocase(group, str_of(row->group)));
    }
    require(some.count == (expected < query.limit ? expected : query.limit));
}

static void step(struct life *life, struct cursor *in)
{
    switch (cursor_u8(in) % 5) {
    case 0:
        restore(life, in);
        break;
    case 1:
        add(life, in);
        break;
    case 2:
        merge(life, in);
        break;
    case 3:
        write_changes(life, in);
        break;
    default:
        ask(life, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct life life;
    struct cursor in = input_of(data, size);
    struct ledger ledger = {0, 0};

    memset(&life, 0, sizeof(life));
    life.ctx = ledger_ctx(&ledger, NULL);
    require(pol_audit_new(life.ctx, CAPACITY, &life.audit) == POL_OK);
    for (unsigned i = 0; i < STEPS && cursor_left(&in); i++) {
        step(&life, &in);
        check(&life);
    }
    write_changes(&life, &in);
    pol_audit_free(life.audit);
    pol_ctx_unref(life.ctx);
    require(ledger.bytes == 0);
    return 0;
}
