/* SPDX-License-Identifier: Apache-2.0 */
#include "observe/counters.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "../base/counting_mem.h"
#include "base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct counting counting;
static pol_ctx *ctx;

static void setup(void)
{
    ctx = counting_ctx(&counting);
}

static void teardown(void)
{
    pol_ctx_unref(ctx);
    cr_assert_eq(counting.bytes, 0, "%zu octets were not given back", counting.bytes);
}

TestSuite(counters, .init = setup, .fini = teardown);

/* What a worker holds. */
struct block {
    struct counters counters;
    struct group_slots slots;
};

static void name_slot(struct block *block, const char *name, uint64_t key)
{
    unsigned at = block->slots.count;

    block->slots.keys[at] = key;
    snprintf(block->slots.names[at], sizeof(block->slots.names[at]), "%s", name);
    block->slots.count = at + 1;
}

static pol_counters *sum_of(const struct block *blocks, size_t count)
{
    pol_counters *counters = NULL;

    cr_assert_eq(pol_counters_new(ctx, &counters), POL_OK);
    for (size_t i = 0; i < count; i++)
        counters_sum(counters, &blocks[i].counters, &blocks[i].slots);
    return counters;
}

static uint64_t group_value(const pol_counters *counters, size_t row, const char *group)
{
    for (unsigned slot = 0; slot < SUM_SLOTS; slot++) {
        if (str_equal(counters_group(counters, slot), str_of(group)))
            return counters_row_group(counters, row, slot);
    }
    return UINT64_MAX;
}

static size_t row_of(const char *name, const char *labels)
{
    for (size_t i = 0; i < pol_counter_count(); i++) {
        const pol_counter_info *info = pol_counter_describe(i);

        if (!strcmp(info->name, name) && !strcmp(info->labels, labels))
            return i;
    }
    cr_assert_fail("no counter %s{%s}", name, labels);
    return 0;
}

/* ---- The list ---- */

Test(counters, rows_of_one_name_stand_together_and_agree)
{
    for (size_t i = 1; i < pol_counter_count(); i++) {
        const pol_counter_info *info = pol_counter_describe(i);
        const pol_counter_info *before = pol_counter_describe(i - 1);

        if (strcmp(info->name, before->name) != 0) {
            for (size_t k = 0; k < i; k++)
                cr_assert_str_neq(info->name, pol_counter_describe(k)->name);
            continue;
        }
        cr_expect_str_eq(info->help, before->help, "%s", info->name);
        cr_expect_str_eq(info->unit, before->unit, "%s", info->name);
        cr_expect_eq(info->is_gauge, before->is_gauge, "%s", info->name);
        cr_expect_eq(info->by_group, before->by_group, "%s", info->name);
        cr_expect_str_neq(info->labels, before->labels, "%s", info->name);
    }
    cr_expect_null(pol_counter_describe(pol_counter_count()));
}

Test(counters, every_help_is_one_plain_sentence)
{
    for (size_t i = 0; i < pol_counter_count(); i++) {
        const char *help = pol_counter_describe(i)->help;

        cr_expect_null(strpbrk(help, "\\\n"), "%s", help);
        cr_expect_eq(help[strlen(help) - 1], '.', "%s", help);
        cr_expect_null(strstr(help, ". "), "%s", help);
    }
}

Test(counters, names_say_whether_they_count_or_measure)
{
    for (size_t i = 0; i < pol_counter_count(); i++) {
        const pol_counter_info *info = pol_counter_describe(i);
        const char *end = strstr(info->name, "_total");

        cr_expect_eq(info->is_gauge, !end || end[6] != '\0', "%s", info->name);
    }
}

/* Every helper, over its whole range, must meet the row with these labels. */
static void expect_place(size_t place, const char *name, const char *labels, unsigned slot)
{
    static struct block block;
    static pol_counters *counters;
    size_t row = row_of(name, labels);

    memset(&block, 0, sizeof(block));
    name_slot(&block, "web", 1);
    counter_add(&block.counters, place, 5);
    counters = sum_of(&block, 1);
    cr_expect_eq(counters_row(counters, row), 5, "%s{%s}", name, labels);
    cr_expect_eq(pol_counters_value(counters, name, ""), 5);
    if (pol_counter_describe(row)->by_group)
        cr_expect_eq(group_value(counters, row,
                                 slot == GROUP_SLOT_DEFAULT ? "default"
                                 : slot == GROUP_SLOT_OTHER ? "_other"
                                                            : "web"),
                     5, "%s{%s} slot %u", name, labels, slot);
    pol_counters_free(counters);
}

static const char *const directions[] = {"outbound", "inbound"};
static const char *const protos[] = {"tcp", "udp", "icmp", "other"};
static const char *const decisions[] = {"allow", "deny", "pending_tls"};
static const unsigned slots[] = {0, GROUP_SLOT_OTHER, GROUP_SLOT_DEFAULT};

static void check_traffic(unsigned direction, unsigned proto, unsigned decision, unsigned slot)
{
    char labels[96];

    snprintf(labels, sizeof(labels), "direction=\"%s\",proto=\"%s\",decision=\"%s\"",
             directions[direction], protos[proto], decisions[decision]);
    expect_place(counter_packets(direction, proto, decision, slot), "dp_packets_total", labels,
                 slot);
    expect_place(counter_bytes(direction, proto, decision, slot), "dp_bytes_total", labels, slot);
}

Test(counters, places_of_traffic_meet_their_labels)
{
    for (unsigned i = 0; i < 2 * 4 * 3 * COUNT(slots); i++)
        check_traffic(i % 2, i / 2 % 4, i / 8 % 3, slots[i / 24]);
}

Test(counters, places_of_other_families_meet_their_labels)
{
    char labels[96];

    for (unsigned i = 0; i < 2 * 2 * COUNT(slots); i++) {
        snprintf(labels, sizeof(labels), "direction=\"%s\",decision=\"%s\"", directions[i % 2],
                 decisions[i / 2 % 2]);
        expect_place(counter_icmp(i % 2, i / 2 % 2, slots[i / 4]), "dp_icmp_decisions_total",
                     labels, slots[i / 4]);
    }
    for (unsigned i = 0; i < 4 * COUNT(slots); i++) {
        snprintf(labels, sizeof(labels), "proto=\"%s\"", protos[i % 4]);
        expect_place(counter_flow_opens(i % 4, slots[i / 4]), "dp_flow_opens_total", labels,
                     slots[i / 4]);
    }
    for (unsigned reason = 0; reason < POL_WHY_COUNT; reason++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", pol_reason_word(reason));
        expect_place(counter_denies(reason), "policyd_denies_total", labels, 0);
    }
}

Test(counters, places_of_control_frames_meet_their_labels)
{
    static const char *const actions[] = {"pass", "judge", "drop"};
    static const enum pol_control judged[] = {POL_CONTROL_NDP, POL_CONTROL_GROUPS, POL_CONTROL_DHCP,
                                              POL_CONTROL_DHCPV6, POL_CONTROL_MULTICAST};
    char labels[96];

    for (unsigned i = 0; i < 2 * POL_CONTROL_COUNT; i++) {
        enum pol_control_policy done = i % 2 ? POL_CONTROL_DROP : POL_CONTROL_PASS;

        snprintf(labels, sizeof(labels), "kind=\"%s\",action=\"%s\"", pol_control_word(i / 2),
                 actions[done]);
        expect_place(counter_control(i / 2, done), "policyd_control_frames_total", labels, 0);
    }
    for (size_t i = 0; i < COUNT(judged); i++) {
        snprintf(labels, sizeof(labels), "kind=\"%s\",action=\"judge\"",
                 pol_control_word(judged[i]));
        expect_place(counter_control(judged[i], POL_CONTROL_JUDGE), "policyd_control_frames_total",
                     labels, 0);
    }
}

static const struct {
    enum pol_end end;
    const char *reason;
} closes[] = {
    {POL_END_FIN, "tcp_fin"},        {POL_END_RST, "tcp_rst"},     {POL_END_IDLE, "idle_timeout"},
    {POL_END_POLICY, "policy_deny"}, {POL_END_EVICTED, "evicted"}, {POL_END_REUSED, "reused"},
    {POL_END_FLUSHED, "flushed"},
};

Test(counters, places_of_closes_and_midstream_meet_their_labels)
{
    char labels[96];

    for (size_t i = 0; i < COUNT(closes); i++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", closes[i].reason);
        expect_place(counter_flow_closes(closes[i].end), "dp_flow_closes_total", labels, 0);
    }
    expect_place(COUNT_FLOW_CLOSES_TLS, "dp_flow_closes_total", "reason=\"policy_drop\"", 0);
    expect_place(counter_midstream(POL_SIDE_INSIDE, true), "policyd_midstream_total",
                 "side=\"inside\",decision=\"allow\"", 0);
    expect_place(counter_midstream(POL_SIDE_INSIDE, false), "policyd_midstream_total",
                 "side=\"inside\",decision=\"deny\"", 0);
    expect_place(counter_midstream(POL_SIDE_OUTSIDE, true), "policyd_midstream_total",
                 "side=\"outside\",decision=\"allow\"", 0);
    expect_place(counter_midstream(POL_SIDE_OUTSIDE, false), "policyd_midstream_total",
                 "side=\"outside\",decision=\"deny\"", 0);
}

static const struct {
    uint8_t action, decision;
} actions[] = {
    {POL_DENY, COUNTER_DENY},       {POL_ALLOW, COUNTER_ALLOW},     {POL_REJECT, COUNTER_DENY},
    {POL_PENDING, COUNTER_PENDING}, {POL_INTERCEPT, COUNTER_ALLOW}, {POL_ANSWER, COUNTER_DENY},
};

Test(counters, values_fall_into_their_classes)
{
    for (size_t i = 0; i < COUNT(actions); i++)
        cr_expect_eq(counter_decision(actions[i].action), actions[i].decision);
    cr_expect_eq(counter_proto(6), COUNTER_TCP);
    cr_expect_eq(counter_proto(17), COUNTER_UDP);
    cr_expect_eq(counter_proto(1), COUNTER_ICMP);
    cr_expect_eq(counter_proto(58), COUNTER_ICMP);
    cr_expect_eq(counter_proto(132), COUNTER_OTHER);
    cr_expect_eq(counter_direction(POL_SIDE_INSIDE), COUNTER_OUTBOUND);
    cr_expect_eq(counter_direction(POL_SIDE_UNKNOWN), COUNTER_OUTBOUND);
    cr_expect_eq(counter_direction(POL_SIDE_OUTSIDE), COUNTER_INBOUND);
}

/* ---- Groups ---- */

static pol_policy *policy_of_groups(unsigned first, unsigned count)
{
    char text[16384];
    size_t len;
    pol_policy *policy = NULL;

    len = (size_t)snprintf(text, sizeof(text), "{\"default_policy\":\"deny\",\"source_groups\":[");
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "%s{\"id\":\"g%u\",\"mode\":\"enforce\",\"sources\":{\"cidrs\":"
                                "[\"10.0.%u.0/24\"]},\"rules\":[]}",
                                i ? "," : "", first + i, i);
    snprintf(text + len, sizeof(text) - len, "]}");
    cr_assert_eq(pol_compile(ctx, str_of(text), NULL, &policy, NULL), POL_OK);
    return policy;
}

Test(counters, groups_get_slots_in_order_and_keep_them)
{
    static struct group_slots own;
    pol_policy *first = policy_of_groups(0, 3), *second = policy_of_groups(2, 20);
    uint64_t key = pol_policy_group_key(first, 2);

    cr_expect_eq(slot_of(&own, key), GROUP_SLOT_OTHER);
    slots_assign(&own, first);
    cr_expect_eq(own.count, 3);
    cr_expect_str_eq(own.names[2], "g2");
    cr_expect_eq(slot_of(&own, key), 2);

    slots_assign(&own, second);
    cr_expect_eq(own.count, 16);
    cr_expect_eq(slot_of(&own, key), 2, "known keys stay");
    cr_expect_str_eq(own.names[3], "g3");
    cr_expect_str_eq(own.names[15], "g15");
    cr_expect_eq(slot_of(&own, pol_policy_group_key(second, 19)), GROUP_SLOT_OTHER);
    cr_expect_eq(slot_of(&own, 0), GROUP_SLOT_DEFAULT);

    slots_assign(&own, NULL);
    cr_expect_eq(own.count, 16);
    pol_policy_unref(first);
    pol_policy_unref(second);
}

Test(counters, workers_that_met_groups_in_another_order_are_summed_by_name)
{
    static struct block blocks[2];
    pol_counters *counters;
    size_t row = row_of("dp_flow_opens_total", "proto=\"tcp\"");

    name_slot(&blocks[0], "web", 1);
    name_slot(&blocks[0], "db", 2);
    name_slot(&blocks[1], "db", 2);
    name_slot(&blocks[1], "web", 1);
    counter_add(&blocks[0].counters, counter_flow_opens(COUNTER_TCP, 0), 10);
    counter_add(&blocks[0].counters, counter_flow_opens(COUNTER_TCP, 1), 1);
    counter_add(&blocks[1].counters, counter_flow_opens(COUNTER_TCP, 0), 2);
    counter_add(&blocks[1].counters, counter_flow_opens(COUNTER_TCP, 1), 20);
    counter_add(&blocks[1].counters, counter_flow_opens(COUNTER_TCP, GROUP_SLOT_OTHER), 100);
    counters = sum_of(blocks, 2);
    cr_expect_eq(group_value(counters, row, "web"), 30);
    cr_expect_eq(group_value(counters, row, "db"), 3);
    cr_expect_eq(group_value(counters, row, "_other"), 100);
    cr_expect_eq(group_value(counters, row, "default"), 0);
    cr_expect_eq(pol_counters_value(counters, "dp_flow_opens_total", ""), 133);
    pol_counters_free(counters);
}

Test(counters, a_group_named_like_a_fixed_slot_is_counted_there)
{
    static struct block block;
    pol_counters *counters;
    size_t row = row_of("dp_flow_opens_total", "proto=\"tcp\"");

    name_slot(&block, "default", 1);
    name_slot(&block, "_other", 2);
    counter_add(&block.counters, counter_flow_opens(COUNTER_TCP, 0), 1);
    counter_add(&block.counters, counter_flow_opens(COUNTER_TCP, 1), 2);
    counter_add(&block.counters, counter_flow_opens(COUNTER_TCP, GROUP_SLOT_DEFAULT), 10);
    counters = sum_of(&block, 1);
    cr_expect_eq(counters_row_group(counters, row, SUM_DEFAULT), 11);
    cr_expect_eq(counters_row_group(counters, row, SUM_OTHER), 2);
    pol_counters_free(counters);
}

Test(counters, beyond_64_names_the_rest_is_other)
{
    static struct block blocks[5];
    pol_counters *counters;
    size_t row = row_of("dp_flow_opens_total", "proto=\"tcp\"");
    char name[8];

    for (unsigned i = 0; i < 5 * 16; i++) {
        snprintf(name, sizeof(name), "g%u", i);
        name_slot(&blocks[i / 16], name, i + 1);
        counter_add(&blocks[i / 16].counters, counter_flow_opens(COUNTER_TCP, i % 16), 1);
    }
    counters = sum_of(blocks, 5);
    cr_expect_eq(group_value(counters, row, "g63"), 1);
    cr_expect_eq(group_value(counters, row, "g64"), UINT64_MAX);
    cr_expect_eq(group_value(counters, row, "_other"), 16);
    cr_expect_eq(counters_row(counters, row), 80);
    pol_counters_free(counters);
}

Test(counters, a_slot_without_a_name_yet_waits_for_the_next_time)
{
    static struct block block;
    pol_counters *counters;

    counter_add(&block.counters, counter_flow_opens(COUNTER_TCP, 0), 1);
    counters = sum_of(&block, 1);
    cr_expect_eq(pol_counters_value(counters, "dp_flow_opens_total", ""), 0);
    pol_counters_free(counters);
}

/* ---- Sums ---- */

Test(counters, gauges_are_summed_except_the_generation_which_is_the_oldest)
{
    static struct block blocks[3];
    static const uint64_t generations[] = {5, 3, 9};
    pol_counters *counters;

    for (size_t i = 0; i < 3; i++) {
        counter_set(&blocks[i].counters, COUNT_POLICY_GENERATION, generations[i]);
        counter_set(&blocks[i].counters, COUNT_ACTIVE_FLOWS, 30);
        counter_sub(&blocks[i].counters, COUNT_ACTIVE_FLOWS, 10);
        counter_set(&blocks[i].counters, COUNT_FLOW_CAPACITY, 100);
    }
    counters = sum_of(blocks, 3);
    cr_expect_eq(pol_counters_value(counters, "policyd_policy_generation", ""), 3);
    cr_expect_eq(pol_counters_value(counters, "dp_active_flows", ""), 60);
    cr_expect_eq(pol_counters_value(counters, "dp_flow_table_capacity", ""), 300);
    cr_expect_eq(pol_counters_value(counters, "dp_flow_table_utilization_ratio", ""), 200000);
    pol_counters_free(counters);
}

Test(counters, a_worker_without_a_policy_is_the_oldest)
{
    static struct block blocks[2];
    pol_counters *counters;

    counter_set(&blocks[0].counters, COUNT_POLICY_GENERATION, 7);
    counters = sum_of(blocks, 2);
    cr_expect_eq(pol_counters_value(counters, "policyd_policy_generation", ""), 0);
    pol_counters_free(counters);
}

Test(counters, cleared_ones_start_again)
{
    static struct block block;
    pol_counters *counters;

    name_slot(&block, "web", 1);
    counter_add(&block.counters, COUNT_REJUDGED, 3);
    counter_set(&block.counters, COUNT_POLICY_GENERATION, 4);
    counters = sum_of(&block, 1);
    pol_counters_clear(counters);
    cr_expect_eq(pol_counters_value(counters, "policyd_rejudged_total", ""), 0);
    cr_expect_eq(counters_group(counters, 0).len, 0);
    cr_expect(str_equal(counters_group(counters, SUM_DEFAULT), STR("default")));
    counters_sum(counters, &block.counters, &block.slots);
    cr_expect_eq(pol_counters_value(counters, "policyd_rejudged_total", ""), 3);
    cr_expect_eq(pol_counters_value(counters, "policyd_policy_generation", ""), 4);
    pol_counters_free(counters);
}

static const struct {
    const char *labels;
    uint64_t value;
} selections[] = {
    {"", 111},
    {NULL, 111},
    {"decision=\"deny\"", 110},
    {"direction=\"outbound\"", 11},
    {"direction=\"inbound\"", 100},
    {"decision=\"deny\",direction=\"outbound\"", 10},
    {"direction=\"outbound\",proto=\"udp\",decision=\"deny\"", 0},
    {"decision=\"den\"", 0},
    {"colour=\"red\"", 0},
};

Test(counters, a_part_of_the_labels_sums_every_counter_that_has_it)
{
    static struct block block;
    pol_counters *counters;

    counter_add(&block.counters, counter_packets(COUNTER_OUTBOUND, COUNTER_TCP, COUNTER_ALLOW, 17),
                1);
    counter_add(&block.counters, counter_packets(COUNTER_OUTBOUND, COUNTER_TCP, COUNTER_DENY, 16),
                10);
    counter_add(&block.counters, counter_packets(COUNTER_INBOUND, COUNTER_UDP, COUNTER_DENY, 17),
                100);
    counters = sum_of(&block, 1);
    for (size_t i = 0; i < COUNT(selections); i++)
        cr_expect_eq(pol_counters_value(counters, "dp_packets_total", selections[i].labels),
                     selections[i].value, "row %zu", i);
    cr_expect_eq(pol_counters_value(counters, "dp_packets", ""), 0);
    pol_counters_free(counters);
}

Test(counters, the_numbers_of_a_grant_table_are_added)
{
    pol_grants_options opts;
    pol_grants *grants = NULL;
    pol_counters *counters = sum_of(NULL, 0);

    pol_grants_options_init(&opts, sizeof(opts));
    opts.capacity = 50;
    cr_assert_eq(pol_grants_new(ctx, &opts, &grants), POL_OK);
    pol_counters_add_grants(counters, grants);
    cr_expect_eq(pol_counters_value(counters, "policyd_grants_capacity", ""), 50);
    cr_expect_eq(pol_counters_value(counters, "policyd_grants", ""), 0);
    pol_grants_free(grants);
    pol_counters_free(counters);
}
