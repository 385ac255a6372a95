/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OBSERVE_COUNTERS_H
#define OBSERVE_COUNTERS_H

/*
 * The counters of one worker. One thread writes, any thread may read: values are atomic, but since
 * nobody else writes them, adding is a plain load and store.
 *
 * Values by group have one place for each of the first 16 groups the worker meets, one for all
 * other groups and one for what no group decided. A flow remembers the slot it was opened with.
 */

#include <libpolicy/packet.h>
#include <libpolicy/stats.h>

#include <stdatomic.h>

enum {
    GROUP_SLOTS_NAMED = 16,
    GROUP_SLOT_OTHER = GROUP_SLOTS_NAMED, /* "_other": a group beyond the first 16 */
    GROUP_SLOT_DEFAULT,                   /* "default": no group decided */
    GROUP_SLOTS,
    GROUP_NAME_MAX = 256 /* octets; longer ids are cut */
};

/* Places of values. COUNT_X is the first of COUNTER X, COUNT_X_END its last. */
enum counter_place {
#define COUNTER(id, name, labels, unit, kind, slots, help)                                         \
    COUNT_##id, COUNT_##id##_END = COUNT_##id + (slots)-1,
#include "observe/counters.def"
    COUNT_PLACES
};

struct counters {
    _Atomic uint64_t values[COUNT_PLACES];
};

static inline uint64_t counter_get(const struct counters *counters, size_t place)
{
    return atomic_load_explicit(&counters->values[place], memory_order_relaxed);
}

static inline void counter_set(struct counters *counters, size_t place, uint64_t value)
{
    atomic_store_explicit(&counters->values[place], value, memory_order_relaxed);
}

static inline void counter_add(struct counters *counters, size_t place, uint64_t n)
{
    counter_set(counters, place, counter_get(counters, place) + n);
}

/* For gauges. */
static inline void counter_sub(struct counters *counters, size_t place, uint64_t n)
{
    counter_set(counters, place, counter_get(counters, place) - n);
}

/* Label values, in the order of counters.def. */

enum counter_direction { COUNTER_OUTBOUND, COUNTER_INBOUND };

enum counter_proto {
    COUNTER_TCP,
    COUNTER_UDP,
    COUNTER_ICMP, /* and ICMPv6 */
    COUNTER_OTHER
};

enum counter_decision { COUNTER_ALLOW, COUNTER_DENY, COUNTER_PENDING };

static inline enum counter_direction counter_direction(enum pol_side side)
{
    return side == POL_SIDE_OUTSIDE ? COUNTER_INBOUND : COUNTER_OUTBOUND;
}

static inline enum counter_proto counter_proto(uint8_t proto)
{
    switch (proto) {
    case 6:
        return COUNTER_TCP;
    case 17:
        return COUNTER_UDP;
    case 1:
    case 58:
        return COUNTER_ICMP;
    default:
        return COUNTER_OTHER;
    }
}

static inline enum counter_decision counter_decision(enum pol_action action)
{
    static const uint8_t decisions[] = {
        [POL_DENY] = COUNTER_DENY,       [POL_ALLOW] = COUNTER_ALLOW,
        [POL_REJECT] = COUNTER_DENY,     [POL_PENDING] = COUNTER_PENDING,
        [POL_INTERCEPT] = COUNTER_ALLOW, [POL_ANSWER] = COUNTER_DENY,
    };

    return (enum counter_decision)decisions[action];
}

/* Places inside families, without branches. `slot` is that of the deciding group. */

static inline size_t counter_traffic(enum counter_direction direction, enum counter_proto proto,
                                     enum counter_decision decision, unsigned slot)
{
    return (((size_t)direction * 4 + proto) * 3 + decision) * GROUP_SLOTS + slot;
}

static inline size_t counter_packets(enum counter_direction direction, enum counter_proto proto,
                                     enum counter_decision decision, unsigned slot)
{
    return COUNT_PACKETS_OUTBOUND_TCP_ALLOW + counter_traffic(direction, proto, decision, slot);
}

static inline size_t counter_bytes(enum counter_direction direction, enum counter_proto proto,
                                   enum counter_decision decision, unsigned slot)
{
    return COUNT_BYTES_OUTBOUND_TCP_ALLOW + counter_traffic(direction, proto, decision, slot);
}

/* A pending decision counts as allow: ICMP never waits for TLS. */
static inline size_t counter_icmp(enum counter_direction direction, enum counter_decision decision,
                                  unsigned slot)
{
    return COUNT_ICMP_OUTBOUND_ALLOW +
           ((size_t)direction * 2 + (decision == COUNTER_DENY)) * GROUP_SLOTS + slot;
}

static inline size_t counter_flow_opens(enum counter_proto proto, unsigned slot)
{
    return COUNT_FLOW_OPENS_TCP + (size_t)proto * GROUP_SLOTS + slot;
}

/* Not for POL_END_NONE. A pending flow denied on TLS facts counts as COUNT_FLOW_CLOSES_TLS. */
static inline size_t counter_flow_closes(enum pol_end end)
{
    return COUNT_FLOW_CLOSES_FIN + (size_t)end - POL_END_FIN;
}

static inline size_t counter_denies(enum pol_reason reason)
{
    return COUNT_DENIES_NO_POLICY + (size_t)reason;
}

/* POL_CONTROL_JUDGE only for kinds with an IP header. */
static inline size_t counter_control(enum pol_control kind, enum pol_control_policy done)
{
    size_t judged = kind == POL_CONTROL_MULTICAST ? 4 : (size_t)kind - POL_CONTROL_NDP;

    return done == POL_CONTROL_JUDGE
               ? COUNT_CONTROL_NDP_JUDGE + judged
               : COUNT_CONTROL_ARP_PASS + 2 * (size_t)kind + (done == POL_CONTROL_DROP);
}

static inline size_t counter_midstream(enum pol_side side, bool allowed)
{
    return COUNT_MIDSTREAM_INSIDE_ALLOW + (side == POL_SIDE_OUTSIDE) * 2u + !allowed;
}

/*
 * The groups that have a slot of their own. Filled by the worker's thread and read by others: an
 * entry never changes once `count` covers it.
 */
struct group_slots {
    atomic_uint count;
    uint64_t keys[GROUP_SLOTS_NAMED]; /* pol_policy_group_key() */
    char names[GROUP_SLOTS_NAMED][GROUP_NAME_MAX + 1];
};

/* Gives free slots to the groups of a policy that have none, in group order. policy may be NULL. */
void slots_assign(struct group_slots *slots, const pol_policy *policy);

/* The slot of a group key: GROUP_SLOT_DEFAULT for 0, GROUP_SLOT_OTHER for one without a slot. For
 * the thread that assigns. */
static inline unsigned slot_of(const struct group_slots *slots, uint64_t group_key)
{
    unsigned count = atomic_load_explicit(&slots->count, memory_order_relaxed);

    if (group_key == 0)
        return GROUP_SLOT_DEFAULT;
    for (unsigned i = 0; i < count; i++) {
        if (slots->keys[i] == group_key)
            return i;
    }
    return GROUP_SLOT_OTHER;
}

/*
 * The sum over workers, for codec/. Values by group are kept by group name, since workers may have
 * met the groups in another order.
 */
enum { SUM_NAMED = 64, SUM_OTHER = SUM_NAMED, SUM_DEFAULT, SUM_SLOTS };

/* Adds one worker's block. */
void counters_sum(pol_counters *counters, const struct counters *from,
                  const struct group_slots *slots);

enum counter_kind { KIND_COUNTER, KIND_GAUGE, KIND_MINIMUM, KIND_RATIO };

/* Values of the counter of that row, over groups; ratios in millionths. */
uint64_t counters_row(const pol_counters *counters, size_t row);
/* One group's part; slot is 0 to SUM_SLOTS - 1. */
uint64_t counters_row_group(const pol_counters *counters, size_t row, unsigned slot);
/* The name of a group slot; empty for one that is not in use. */
pol_str counters_group(const pol_counters *counters, unsigned slot);
enum counter_kind counter_kind(size_t row);

#endif
