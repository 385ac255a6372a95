/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"
#include "observe/counters.h"

static pol_ctx *ctx;
static pol_counters *counters;
static struct counters block;
static struct group_slots slots;
static char page[1 << 20];

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(pol_counters_new(ctx, &counters), POL_OK);
}

static void teardown(void)
{
    pol_counters_free(counters);
    pol_ctx_unref(ctx);
}

TestSuite(metrics_text, .init = setup, .fini = teardown);

static void name_slot(const char *name)
{
    snprintf(slots.names[slots.count], sizeof(slots.names[0]), "%s", name);
    slots.keys[slots.count] = slots.count + 1;
    slots.count++;
}

static void write_page(void)
{
    size_t len = 0;

    counters_sum(counters, &block, &slots);
    cr_assert_eq(pol_metrics_text(counters, page, sizeof(page) - 1, &len), POL_OK);
    page[len] = '\0';
}

static size_t times(const char *wanted)
{
    size_t count = 0;

    for (const char *at = page; (at = strstr(at, wanted)) != NULL; at++)
        count++;
    return count;
}

Test(metrics_text, help_and_type_come_once_for_each_name)
{
    char line[128];

    write_page();
    for (size_t i = 0; i < pol_counter_count(); i++) {
        const pol_counter_info *info = pol_counter_describe(i);

        snprintf(line, sizeof(line), "# HELP %s ", info->name);
        cr_expect_eq(times(line), 1, "%s", line);
        snprintf(line, sizeof(line), "# TYPE %s %s\n", info->name,
                 info->is_gauge ? "gauge" : "counter");
        cr_expect_eq(times(line), 1, "%s", line);
    }
}

Test(metrics_text, every_name_has_a_sample_before_anything_happens)
{
    char start[128];

    write_page();
    for (size_t i = 0; i < pol_counter_count(); i++) {
        snprintf(start, sizeof(start), "\n%s", pol_counter_describe(i)->name);
        cr_expect_gt(times(start), 0, "%s", pol_counter_describe(i)->name);
    }
    cr_expect_eq(times("\ndp_packets_total{"), 1);
    cr_expect_eq(times("source_group=\"default\"} 0\n"), 6, "one for each name by group");
}

Test(metrics_text, groups_with_a_value_are_shown)
{
    name_slot("web");
    name_slot("db");
    counter_add(&block, counter_packets(COUNTER_OUTBOUND, COUNTER_TCP, COUNTER_ALLOW, 0), 12);
    counter_add(&block, counter_packets(COUNTER_INBOUND, COUNTER_OTHER, COUNTER_DENY, 16), 3);
    counter_set(&block, COUNT_ACTIVE_FLOWS_BY_GROUP, 5);
    write_page();
    cr_expect_eq(times("\ndp_packets_total{direction=\"outbound\",proto=\"tcp\",decision=\"allow\","
                       "source_group=\"web\"} 12\n"),
                 1);
    cr_expect_eq(times("\ndp_packets_total{direction=\"inbound\",proto=\"other\",decision=\"deny\","
                       "source_group=\"_other\"} 3\n"),
                 1);
    cr_expect_eq(times("\ndp_active_flows_by_source_group{source_group=\"web\"} 5\n"), 1);
    cr_expect_eq(times("\"db\""), 0, "all its values are zero");
    cr_expect_eq(times("\ndp_packets_total{"), 2);
}

Test(metrics_text, values_without_groups_are_shown_even_when_zero)
{
    counter_set(&block, COUNT_FLOW_CAPACITY, 300);
    counter_set(&block, COUNT_ACTIVE_FLOWS, 100);
    write_page();
    cr_expect_eq(times("\npolicyd_events_dropped_total 0\n"), 1);
    cr_expect_eq(times("\npolicyd_denies_total{reason=\"dns_expired\"} 0\n"), 1);
    cr_expect_eq(times("\ndp_flow_table_utilization_ratio 0.333333\n"), 1);
    cr_expect_eq(times("\ndp_nat_port_utilization_ratio 0\n"), 1);
}

Test(metrics_text, label_values_are_escaped)
{
    name_slot("a\"b\\c\nd\xc3\xa4");
    counter_add(&block, counter_flow_opens(COUNTER_UDP, 0), 1);
    write_page();
    cr_expect_eq(times("source_group=\"a\\\"b\\\\c\\nd\xc3\xa4\"} 1\n"), 1);
}

Test(metrics_text, the_length_needed_is_told)
{
    size_t needed = 0, len = 0;

    cr_expect_eq(pol_metrics_text(counters, NULL, 0, &needed), POL_E_NOSPACE);
    cr_expect_eq(pol_metrics_text(counters, page, needed - 1, &len), POL_E_NOSPACE);
    cr_expect_eq(pol_metrics_text(counters, page, needed, &len), POL_OK);
    cr_expect_eq(len, needed);
}

/* Every value in use, and a group with every awkward character. */
static void fill_everything(void)
{
    name_slot("web");
    name_slot("a \"quoted\" \\ group\n");
    name_slot("default");
    for (size_t place = 0; place < COUNT_PLACES; place++)
        counter_set(&block, place, place + 1);
}

Test(metrics_text, promtool_accepts_the_page)
{
    FILE *promtool;

    if (system("command -v promtool >/dev/null 2>&1") != 0)
        cr_skip_test("promtool is not installed");
    fill_everything();
    write_page();
    promtool = popen("promtool check metrics 1>&2", "w");
    cr_assert_not_null(promtool);
    fputs(page, promtool);
    cr_expect_eq(pclose(promtool), 0);
}
