/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of a small grant table: the input is a sequence of operations, learning, restoring rows
 * of any content, pinning and releasing, time going forwards and sometimes backwards, expiry. After
 * each, what grants.h promises holds: capacities, no grant twice, no grant lost that a flow holds,
 * states that agree with the times, and no allocation. In the end every row is saved and put into
 * a new table, which then knows the same.
 */
#include "fuzz.h"
#include "grants/grants.h"

enum { CAPACITY = 24, PER_NAME = 6, PER_ADDRESS = 4, PINS = 6, LESSON = 12, STEPS = 200 };

static const pol_str names[] = {STR("a"), STR("b.example"), STR("c.d.example"), STR("e.test")};

struct life {
    pol_ctx *ctx;
    pol_grants *grants;
    pol_mono now;
    pol_mono seen; /* the latest moment a learner has told: a clock does not go back behind it */
    struct pin {
        bool held;
        uint32_t slot;
        pol_grant grant; /* key, address and name alone */
    } pins[PINS];
    size_t count; /* of what is listed */
    pol_grant listed[CAPACITY + 1];
};

static pol_grants *make_grants(pol_ctx *ctx, uint8_t pick)
{
    pol_grants_options opts;
    pol_grants *grants;

    pol_grants_options_init(&opts, sizeof(opts));
    opts.capacity = CAPACITY;
    opts.addresses_per_name = PER_NAME;
    opts.names_per_address = PER_ADDRESS;
    opts.ttl_min = (pick & 1) * 30 * POL_SECONDS;
    opts.idle = (pick & 2) * 60 * POL_SECONDS;
    require(pol_grants_new(ctx, &opts, &grants) == POL_OK);
    return grants;
}

static bool same_grant(const pol_grant *a, const pol_grant *b)
{
    return a->group_key == b->group_key && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0 &&
           a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

static const pol_grant *find(const struct life *life, const pol_grant *grant)
{
    for (size_t i = 0; i < life->count; i++) {
        if (same_grant(&life->listed[i], grant))
            return &life->listed[i];
    }
    return NULL;
}

static pol_mono moment(const struct life *life)
{
    return life->now > life->seen ? life->now : life->seen;
}

/* --- what holds after every operation -------------------------------------------------------- */

static void check_grant(const pol_grant *grant, pol_mono now)
{
    require(grant->name_len > 0 && grant->name[grant->name_len] == '\0');
    require(grant->kind <= POL_GRANT_RECORDED && grant->two_way <= 1);
    require(grant->used >= grant->answered && grant->expires >= grant->used);
    if (now < grant->expires)
        require(grant->state == POL_GRANT_LIVE);
    else
        require(grant->state == POL_GRANT_HELD && grant->flows > 0);
}

/* A name may exceed its addresses only by grants that carry flows. */
static void check_caps(const struct life *life, const pol_grant *grant)
{
    unsigned addresses = 0, of_name = 0, held = 0;

    for (size_t i = 0; i < life->count; i++) {
        const pol_grant *other = &life->listed[i];
        bool name = other->name_len == grant->name_len &&
                    memcmp(other->name, grant->name, grant->name_len) == 0;
        bool addr = memcmp(&other->addr, &grant->addr, sizeof(other->addr)) == 0;

        if (other->group_key != grant->group_key)
            continue;
        require(other == grant || !name || !addr);
        addresses += name;
        held += name && other->flows;
        of_name += addr;
    }
    require(of_name <= PER_ADDRESS && addresses <= PER_NAME + held);
}

static void check_pins(const struct life *life)
{
    uint32_t flows = 0, pinned = 0;

    for (size_t i = 0; i < PINS; i++) {
        const struct pin *pin = &life->pins[i];

        pinned += pin->held;
        if (pin->held)
            require(find(life, &pin->grant) && find(life, &pin->grant)->flows > 0);
    }
    for (size_t i = 0; i < life->count; i++)
        flows += life->listed[i].flows;
    require(flows == pinned);
}

/* The names of an address are those listed for it, the newest first. */
static void check_names(const struct life *life, const pol_grant *grant)
{
    pol_grant out[CAPACITY];
    size_t count =
        pol_grants_names(life->grants, grant->group_key, &grant->addr, life->now, out, CAPACITY);
    size_t expected = 0;

    for (size_t i = 0; i < life->count; i++) {
        const pol_grant *other = &life->listed[i];

        expected += memcmp(&other->addr, &grant->addr, sizeof(other->addr)) == 0 &&
                    (other->group_key == grant->group_key || other->group_key == 0);
    }
    require(count == expected);
    for (size_t i = 0; i < count; i++) {
        require(find(life, &out[i]));
        require(i == 0 || out[i - 1].used >= out[i].used);
    }
}

static void check(struct life *life)
{
    uint32_t position = 0;
    pol_grants_stats stats;

    life->count = pol_grants_list(life->grants, &position, life->now, life->listed, CAPACITY + 1);
    require(life->count <= CAPACITY);
    pol_grants_stats_get(life->grants, &stats);
    require(stats.capacity == CAPACITY && stats.live <= CAPACITY);
    require(stats.learned >= stats.evicted_name + stats.evicted_address + stats.evicted_total);
    for (size_t i = 0; i < life->count; i++) {
        check_grant(&life->listed[i], moment(life));
        check_caps(life, &life->listed[i]);
    }
    if (life->count)
        check_names(life, &life->listed[life->now / POL_SECONDS % life->count]);
    check_pins(life);
}

/* --- operations ------------------------------------------------------------------------------ */

static void learn(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    uint64_t keys[2] = {pick & 3, (pick & 3) + 1u};
    struct grants_lesson lesson = {.keys = keys, .key_count = 1 + (pick >> 2 & 1)};
    struct grants_learned learned;
    pol_addr addrs[LESSON];
    uint32_t ttls[LESSON];

    lesson.kind = (pick >> 3) % 3;
    lesson.name = names[pick >> 6];
    lesson.addrs = addrs;
    lesson.ttls = ttls;
    lesson.addr_count = 1 + cursor_u8(in) % LESSON;
    for (uint32_t i = 0; i < lesson.addr_count; i++) {
        addrs[i] = input_addr(in);
        ttls[i] = cursor_u8(in) == 255 ? UINT32_MAX : i * 60;
    }
    grants_learn(life->grants, &lesson, life->now, &learned);
    life->seen = moment(life);
    require(learned.full ||
            learned.added + learned.refreshed == lesson.addr_count * lesson.key_count);
    require(learned.added + learned.refreshed <= lesson.addr_count * lesson.key_count);
}

static pol_grant read_row(struct cursor *in)
{
    pol_grant row = {.group_key = cursor_u8(in) & 3, .addr = input_addr(in)};
    uint8_t pick = cursor_u8(in);
    pol_str name = pick & 0x80 ? input_text(in) : names[pick & 3];

    row.kind = pick >> 2 & 3;
    row.two_way = pick >> 4;
    row.state = cursor_u8(in);
    row.flows = cursor_u8(in);
    row.ttl = pick & 0x40 ? cursor_u32(in) : cursor_u8(in);
    row.learned = input_u64(in);
    row.answered = pick & 0x20 ? input_u64(in) : cursor_u16(in) * POL_SECONDS;
    row.used = pick & 0x20 ? input_u64(in) : cursor_u16(in) * POL_SECONDS;
    row.name_len = (uint8_t)name.len;
    if (name.len)
        memcpy(row.name, name.ptr, name.len);
    if (pick == 0xff)
        row.addr.family = cursor_u8(in);
    return row;
}

static void restore(struct life *life, struct cursor *in)
{
    pol_grant row = read_row(in);
    bool usable = (row.addr.family == 4 || row.addr.family == 6) && row.name_len &&
                  row.kind <= POL_GRANT_RECORDED;
    int rc = pol_grants_restore(life->grants, &row, life->now);

    if (rc != POL_E_INVALID)
        life->seen = moment(life);
    require((rc == POL_E_INVALID) == !usable);
    require(rc == POL_OK || rc == POL_E_FULL || rc == POL_E_INVALID || rc == POL_E_NOTFOUND);
    if (rc == POL_OK) {
        check(life);
        require(find(life, &row));
    }
}

static void pin(struct life *life, struct cursor *in)
{
    struct pin *pin = &life->pins[cursor_u8(in) % PINS];
    struct grants_hit hits[GRANTS_HITS_MAX];
    const pol_grant *grant;
    size_t count;

    if (pin->held) {
        grants_unpin(life->grants, pin->slot);
        pin->held = false;
        return;
    }
    if (life->count == 0)
        return;
    grant = &life->listed[cursor_u8(in) % life->count];
    count = grants_lookup(life->grants, grant->group_key, &grant->addr, moment(life), hits);
    for (size_t i = 0; i < count && !pin->held; i++) {
        char text[POL_NAME_MAX + 1];
        uint8_t len;

        require(grants_name(life->grants, hits[i].name, hits[i].name_hash, text, &len));
        if (len != grant->name_len || memcmp(text, grant->name, len) != 0)
            continue;
        require(hits[i].kind == grant->kind && hits[i].state == grant->state);
        require(grants_pin(life->grants, hits[i].slot, hits[i].version));
        *pin = (struct pin){true, hits[i].slot, *grant};
    }
    require(pin->held);
}

static void touch(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);
    const struct pin *pin = &life->pins[pick % PINS];

    if (pin->held)
        grants_touch(life->grants, pin->slot, life->now, pick & 0x80);
}

static void pass_time(struct life *life, struct cursor *in)
{
    uint8_t pick = cursor_u8(in);

    if (pick == 255)
        life->now = input_u64(in) >> 1;
    else if (pick & 0x80)
        life->now -= life->now < POL_SECONDS ? life->now : POL_SECONDS;
    else
        life->now += (pol_mono)(pick & 0x40 ? 3600 : 7) * (pick & 0x3f) * POL_SECONDS;
}

static void step(struct life *life, struct cursor *in)
{
    uint8_t budget;

    switch (cursor_u8(in) % 6) {
    case 0:
        learn(life, in);
        break;
    case 1:
        restore(life, in);
        break;
    case 2:
        pin(life, in);
        break;
    case 3:
        touch(life, in);
        break;
    case 4:
        budget = cursor_u8(in);
        require(pol_grants_expire(life->grants, life->now, budget) <= budget);
        life->seen = moment(life);
        break;
    default:
        pass_time(life, in);
    }
}

/* As a store does it. What was held by a flow alone is over; the rest comes back as it was. */
static void save_and_restore(const struct life *life, pol_grants *again)
{
    struct life after = {.now = moment(life), .grants = again};
    size_t live = 0;

    for (size_t i = 0; i < life->count; i++) {
        int rc = pol_grants_restore(again, &life->listed[i], after.now);

        require(rc == POL_OK || rc == POL_E_NOTFOUND);
        live += rc == POL_OK;
    }
    check(&after);
    require(after.count == live);
    for (size_t i = 0; i < after.count; i++) {
        const pol_grant *before = find(life, &after.listed[i]);

        require(before && before->kind == after.listed[i].kind);
        require(before->ttl == after.listed[i].ttl);
        require(after.listed[i].used == (before->used < after.now ? before->used : after.now));
        require(before->expires >= after.listed[i].expires);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct life life;
    struct cursor in = input_of(data, size);
    struct ledger ledger = {0, 0};
    pol_grants *again;
    uint8_t pick = cursor_u8(&in);
    size_t calls;

    memset(&life, 0, sizeof(life));
    life.ctx = ledger_ctx(&ledger, NULL);
    life.grants = make_grants(life.ctx, pick);
    again = make_grants(life.ctx, pick);
    require(pol_grants_memory(life.grants) <= ledger.bytes);
    life.now = 1000 * POL_SECONDS;
    calls = ledger.calls;
    for (unsigned i = 0; i < STEPS && cursor_left(&in); i++) {
        step(&life, &in);
        check(&life);
    }
    for (size_t i = 0; i < PINS; i++) {
        if (life.pins[i].held)
            grants_unpin(life.grants, life.pins[i].slot);
        life.pins[i].held = false;
    }
    check(&life);
    save_and_restore(&life, again);
    require(ledger.calls == calls);
    pol_grants_free(life.grants);
    pol_grants_free(again);
    pol_ctx_unref(life.ctx);
    require(ledger.bytes == 0);
    return 0;
}
