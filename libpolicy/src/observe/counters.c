/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/counters.h"

#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "observe/text.h"

/* Places in the sum: as in struct counters, but with room for more groups. */
enum sum_place {
#define COUNTER(id, name, labels, unit, kind, slots, help)                                         \
    SUM_##id, SUM_##id##_END = SUM_##id + ((slots) == 1 ? 1 : SUM_SLOTS) - 1,
#include "observe/counters.def"
    SUM_PLACES
};

struct row {
    pol_counter_info info;
    uint16_t place; /* in struct counters */
    uint16_t sum;   /* in struct pol_counters */
    uint8_t kind;   /* enum counter_kind */
};

static const struct row rows[] = {
#define COUNTER(id, name, labels, unit, kind, slots, help)                                         \
    {{name, labels, unit, help, KIND_##kind != KIND_COUNTER, (slots) > 1},                         \
     COUNT_##id,                                                                                   \
     SUM_##id,                                                                                     \
     KIND_##kind},
#include "observe/counters.def"
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), MILLION = 1000000 };

struct pol_counters {
    pol_ctx *ctx;
    uint32_t workers; /* added so far */
    uint32_t groups;  /* named slots in use */
    uint64_t values[SUM_PLACES];
    char names[SUM_SLOTS][GROUP_NAME_MAX + 1];
};

_Static_assert(SUM_PLACES <= UINT16_MAX, "places fit struct row");
_Static_assert(COUNT_BYTES_INBOUND_OTHER_PENDING ==
                   COUNT_BYTES_OUTBOUND_TCP_ALLOW + GROUP_SLOTS * 23,
               "counter_traffic() knows the layout");
_Static_assert(COUNT_ICMP_INBOUND_DENY == COUNT_ICMP_OUTBOUND_ALLOW + GROUP_SLOTS * 3,
               "counter_icmp() knows the layout");
_Static_assert(COUNT_CONTROL_OTHER_DROP == COUNT_CONTROL_ARP_PASS + 2 * POL_CONTROL_COUNT - 1 &&
                   COUNT_CONTROL_MULTICAST_JUDGE == COUNT_CONTROL_NDP_JUDGE + 4,
               "counter_control() knows the layout");
_Static_assert(COUNT_FLOW_OPENS_OTHER == COUNT_FLOW_OPENS_TCP + GROUP_SLOTS * COUNTER_OTHER,
               "counter_flow_opens() knows the layout");
_Static_assert(COUNT_FLOW_CLOSES_FLUSHED ==
                   COUNT_FLOW_CLOSES_FIN + (int)POL_END_FLUSHED - (int)POL_END_FIN,
               "counter_flow_closes() knows the layout");

/* ---- Source groups ---- */

static bool slots_know(const struct group_slots *slots, unsigned count, uint64_t key)
{
    for (unsigned i = 0; i < count; i++) {
        if (slots->keys[i] == key)
            return true;
    }
    return false;
}

void slots_assign(struct group_slots *slots, const pol_policy *policy)
{
    unsigned count = atomic_load_explicit(&slots->count, memory_order_relaxed);
    uint32_t groups = policy ? pol_policy_group_count(policy) : 0;

    for (uint32_t group = 0; group < groups && count < GROUP_SLOTS_NAMED; group++) {
        uint64_t key = pol_policy_group_key(policy, group);

        if (slots_know(slots, count, key))
            continue;
        slots->keys[count] = key;
        text_copy(slots->names[count], sizeof(slots->names[count]),
                  pol_policy_group_id(policy, group));
        count++;
        /* Pairs with the acquire in counters_sum(): the name is there before the slot counts.
         */
        atomic_store_explicit(&slots->count, count, memory_order_release);
    }
}

/* ---- Description ---- */

size_t pol_counter_count(void)
{
    return ROWS;
}

const pol_counter_info *pol_counter_describe(size_t index)
{
    return index < ROWS ? &rows[index].info : NULL;
}

enum counter_kind counter_kind(size_t row)
{
    return (enum counter_kind)rows[row].kind;
}

/* ---- Sums ---- */

int pol_counters_new(pol_ctx *ctx, pol_counters **ret_counters)
{
    pol_counters *counters = mem_alloc(&ctx->mem, sizeof(*counters));

    if (!counters)
        return POL_E_NOMEM;
    counters->ctx = pol_ctx_ref(ctx);
    pol_counters_clear(counters);
    *ret_counters = counters;
    return POL_OK;
}

void pol_counters_free(pol_counters *counters)
{
    pol_ctx *ctx;

    if (!counters)
        return;
    ctx = counters->ctx;
    mem_free(&ctx->mem, counters, sizeof(*counters));
    pol_ctx_unref(ctx);
}

void pol_counters_clear(pol_counters *counters)
{
    counters->workers = 0;
    counters->groups = 0;
    memset(counters->values, 0, sizeof(counters->values));
    memset(counters->names, 0, sizeof(counters->names));
    text_copy(counters->names[SUM_OTHER], sizeof(counters->names[0]), STR("_other"));
    text_copy(counters->names[SUM_DEFAULT], sizeof(counters->names[0]), STR("default"));
}

/* A group that is called as one of the two fixed slots is counted there: a page must not have the
 * same labels twice. */
static unsigned sum_slot_of(pol_counters *counters, pol_str name)
{
    for (unsigned i = SUM_OTHER; i < SUM_SLOTS; i++) {
        if (str_equal(str_of(counters->names[i]), name))
            return i;
    }
    for (unsigned i = 0; i < counters->groups; i++) {
        if (str_equal(str_of(counters->names[i]), name))
            return i;
    }
    if (counters->groups == SUM_NAMED)
        return SUM_OTHER;
    text_copy(counters->names[counters->groups], sizeof(counters->names[0]), name);
    return counters->groups++;
}

static void add_value(pol_counters *counters, const struct row *row, unsigned to, uint64_t value)
{
    uint64_t *sum = &counters->values[row->sum + to];

    if (row->kind != KIND_MINIMUM)
        *sum += value;
    else if (counters->workers == 0 || value < *sum)
        *sum = value;
}

static void update_ratios(pol_counters *counters)
{
    uint64_t capacity = counters->values[SUM_FLOW_CAPACITY];

    counters->values[SUM_FLOW_UTILIZATION] =
        capacity ? counters->values[SUM_ACTIVE_FLOWS] * MILLION / capacity : 0;
}

void counters_sum(pol_counters *counters, const struct counters *from,
                  const struct group_slots *slots)
{
    unsigned named = atomic_load_explicit(&slots->count, memory_order_acquire);
    unsigned to[GROUP_SLOTS] = {[GROUP_SLOT_OTHER] = SUM_OTHER, [GROUP_SLOT_DEFAULT] = SUM_DEFAULT};

    for (unsigned i = 0; i < named; i++)
        to[i] = sum_slot_of(counters, str_of(slots->names[i]));

    for (const struct row *row = rows; row < rows + ROWS; row++) {
        if (!row->info.by_group) {
            add_value(counters, row, 0, counter_get(from, row->place));
            continue;
        }
        /* A slot named since `named` was read is counted the next time. */
        for (unsigned i = 0; i < GROUP_SLOTS; i++) {
            if (i < named || i >= GROUP_SLOTS_NAMED)
                add_value(counters, row, to[i], counter_get(from, row->place + i));
        }
    }
    counters->workers++;
    update_ratios(counters);
}

void pol_counters_add_grants(pol_counters *counters, const pol_grants *grants)
{
    pol_grants_stats stats;

    pol_grants_stats_get(grants, &stats);
    counters->values[SUM_GRANTS] += stats.live;
    counters->values[SUM_GRANTS_CAPACITY] += stats.capacity;
    counters->values[SUM_GRANTS_EXPIRED] += stats.expired;
    counters->values[SUM_GRANTS_EVICTED_NAME] += stats.evicted_name;
    counters->values[SUM_GRANTS_EVICTED_ADDRESS] += stats.evicted_address;
    counters->values[SUM_GRANTS_EVICTED_TOTAL] += stats.evicted_total;
    counters->values[SUM_GRANTS_REFUSED] += stats.refused_full;
}

/* ---- Reading ---- */

uint64_t counters_row_group(const pol_counters *counters, size_t row, unsigned slot)
{
    return counters->values[rows[row].sum + slot];
}

uint64_t counters_row(const pol_counters *counters, size_t row)
{
    unsigned slots = rows[row].info.by_group ? SUM_SLOTS : 1;
    uint64_t sum = 0;

    for (unsigned i = 0; i < slots; i++)
        sum += counters_row_group(counters, row, i);
    return sum;
}

pol_str counters_group(const pol_counters *counters, unsigned slot)
{
    return str_of(counters->names[slot]);
}

/* Takes the text up to the next comma; label values of ours hold none. */
static pol_str next_label(pol_str *labels)
{
    const char *comma = labels->len ? memchr(labels->ptr, ',', labels->len) : NULL;
    pol_str label = {labels->ptr, comma ? (size_t)(comma - labels->ptr) : labels->len};
    size_t used = label.len + (comma != NULL);

    labels->ptr += used;
    labels->len -= used;
    return label;
}

static bool has_label(pol_str labels, pol_str wanted)
{
    while (labels.len) {
        if (str_equal(next_label(&labels), wanted))
            return true;
    }
    return false;
}

static bool has_labels(pol_str labels, pol_str wanted)
{
    while (wanted.len) {
        if (!has_label(labels, next_label(&wanted)))
            return false;
    }
    return true;
}

uint64_t pol_counters_value(const pol_counters *counters, const char *name, const char *labels)
{
    uint64_t sum = 0;

    for (size_t row = 0; row < ROWS; row++) {
        const pol_counter_info *info = &rows[row].info;

        if (strcmp(info->name, name) == 0 && has_labels(str_of(info->labels), str_of(labels)))
            sum += counters_row(counters, row);
    }
    return sum;
}
