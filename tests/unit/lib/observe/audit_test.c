/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/audit.h>

#include <criterion/criterion.h>

#include "../base/counting_mem.h"
#include "sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct counting counting;
static pol_ctx *ctx;

static void setup(void)
{
    ctx = counting_ctx(&counting);
    cr_assert_not_null(ctx);
}

static void teardown(void)
{
    pol_ctx_unref(ctx);
    cr_assert_eq(counting.bytes, 0, "%zu octets were not given back", counting.bytes);
}

TestSuite(audit, .init = setup, .fini = teardown);

static pol_audit *audit_of(uint32_t capacity)
{
    pol_audit *audit = NULL;

    cr_assert_eq(pol_audit_new(ctx, capacity, &audit), POL_OK);
    return audit;
}

static void add(pol_audit *audit, pol_event event, pol_wall wall)
{
    cr_assert_eq(pol_audit_add(audit, NULL, NULL, &event, wall), POL_OK);
}

static void add_times(pol_audit *audit, pol_event event, pol_wall wall, int times)
{
    for (int i = 0; i < times; i++)
        add(audit, event, wall);
}

/* What a visitor was shown. */
struct seen {
    pol_finding findings[128];
    size_t count;
    size_t stop_after; /* 0: never */
};

static bool remember(void *user, const pol_finding *finding)
{
    struct seen *seen = user;

    if (seen->count < COUNT(seen->findings))
        seen->findings[seen->count] = *finding;
    seen->count++;
    return seen->count != seen->stop_after;
}

static struct seen seen;

static const pol_finding *find_all(const pol_audit *audit)
{
    seen = (struct seen){.count = 0};
    cr_assert_eq(pol_audit_find(audit, NULL, remember, &seen), (int)seen.count);
    return seen.findings;
}

static const pol_finding *find_only(const pol_audit *audit)
{
    find_all(audit);
    cr_assert_eq(seen.count, 1, "%zu findings", seen.count);
    return seen.findings;
}

static const pol_finding *changes(pol_audit *audit)
{
    seen = (struct seen){.count = 0};
    cr_assert_eq(pol_audit_changes(audit, remember, &seen), seen.count);
    return seen.findings;
}

static bool has_port(uint16_t port)
{
    for (size_t i = 0; i < seen.count; i++) {
        if (seen.findings[i].dst_port == port)
            return true;
    }
    return false;
}

static uint32_t size_of(const pol_audit *audit)
{
    pol_audit_stats stats;

    pol_audit_stats_get(audit, &stats);
    return stats.findings;
}

/* ---- Which type ---- */

static const struct {
    uint8_t kind, proto;
    const char *name;
    uint16_t reason;
    uint32_t flags;
    enum pol_finding_type type;
} types[] = {
    {POL_EV_DENY, 6, "", POL_WHY_RULE, 0, POL_FIND_L4_DENY},
    {POL_EV_DENY, 17, "", POL_WHY_RULE, 0, POL_FIND_L4_DENY},
    {POL_EV_DENY, 47, "", POL_WHY_POLICY_DEFAULT, 0, POL_FIND_L4_DENY},
    {POL_EV_DENY, 1, "", POL_WHY_RULE, 0, POL_FIND_ICMP_DENY},
    {POL_EV_DENY, 58, "", POL_WHY_RULE, 0, POL_FIND_ICMP_DENY},
    {POL_EV_DENY, 6, "a.example", POL_WHY_RULE, 0, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 6, "", POL_WHY_RULE, POL_V_SNI_SEEN, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 6, "", POL_WHY_NOT_TLS, 0, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 6, "", POL_WHY_TLS_INCOMPLETE, 0, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 6, "", POL_WHY_PENDING_FULL, 0, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 6, "", POL_WHY_SNI_MISMATCH, 0, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 6, "", POL_WHY_INTERCEPT_TOO_LATE, 0, POL_FIND_TLS_DENY},
    {POL_EV_DENY, 17, "", POL_WHY_SNI_MISMATCH, 0, POL_FIND_L4_DENY},
    {POL_EV_DNS, 17, "a.example", POL_WHY_DNS_NO_RULE, 0, POL_FIND_DNS_DENY},
    {POL_EV_DNS, 6, "a.example", POL_WHY_DNS_NO_RULE, 0, POL_FIND_DNS_DENY},
};

Test(audit, the_event_decides_the_type)
{
    for (size_t i = 0; i < COUNT(types); i++) {
        pol_audit *audit = audit_of(4);
        pol_event event = sample_deny(types[i].proto, "192.0.2.1", 443);

        event.kind = types[i].kind;
        event.name_len = sample_text(event.name, sizeof(event.name), types[i].name);
        event.verdict.reason = types[i].reason;
        event.verdict.flags = types[i].flags;
        add(audit, event, 1000);
        cr_expect_eq(find_only(audit)->type, types[i].type, "row %zu", i);
        pol_audit_free(audit);
    }
}

Test(audit, what_an_audit_rule_says_of_a_query_is_a_dns_finding)
{
    pol_audit *audit = audit_of(4);
    pol_event event = sample_query("a.example", 28);

    event.kind = POL_EV_DENY;
    event.verdict.action = POL_ALLOW;
    event.verdict.flags = POL_V_AUDIT;
    add(audit, event, 1000);
    cr_expect_eq(find_only(audit)->type, POL_FIND_DNS_DENY);
    cr_expect_eq(seen.findings[0].query_type, 28);
    cr_expect_eq(seen.findings[0].audit, 1);
    pol_audit_free(audit);
}

static const struct {
    uint8_t kind, action;
    uint32_t flags;
    bool counts;
} denials[] = {
    {POL_EV_DENY, POL_DENY, 0, true},
    {POL_EV_DENY, POL_REJECT, 0, true},
    {POL_EV_DENY, POL_ALLOW, POL_V_AUDIT, true},
    {POL_EV_DNS, POL_ANSWER, 0, true},
    {POL_EV_DNS, POL_DENY, 0, true},
    {POL_EV_DNS, POL_ALLOW, POL_V_AUDIT, true},
    {POL_EV_DNS, POL_ALLOW, 0, false},
    {POL_EV_FLOW_OPEN, POL_ALLOW, 0, false},
    {POL_EV_FLOW_OPEN, POL_ALLOW, POL_V_AUDIT, false},
    {POL_EV_FLOW_UPDATE, POL_DENY, 0, false},
    {POL_EV_FLOW_END, POL_ALLOW, 0, false},
};

Test(audit, only_denials_become_findings)
{
    for (size_t i = 0; i < COUNT(denials); i++) {
        pol_audit *audit = audit_of(4);
        pol_event event = sample_deny(6, "192.0.2.1", 443);

        event.kind = denials[i].kind;
        event.verdict.action = denials[i].action;
        event.verdict.flags = denials[i].flags;
        add(audit, event, 1000);
        cr_expect_eq(size_of(audit), denials[i].counts, "row %zu", i);
        pol_audit_free(audit);
    }
}

/* ---- What is merged ---- */

Test(audit, packets_to_one_service_are_one_finding)
{
    pol_audit *audit = audit_of(8);
    pol_event event = sample_deny(6, "192.0.2.1", 443);
    const pol_finding *finding;

    add(audit, event, 5000);
    event.tuple.src = sample_addr("10.0.0.9");
    event.tuple.src_port = 1;
    event.verdict.reason = POL_WHY_DNS_EXPIRED;
    event.verdict.generation = 4;
    add(audit, event, 9000);

    finding = find_only(audit);
    cr_expect_eq(finding->count, 2);
    cr_expect_eq(finding->first_seen, 5000);
    cr_expect_eq(finding->last_seen, 9000);
    cr_expect_eq(finding->reason, POL_WHY_DNS_EXPIRED, "the newest event's");
    cr_expect_eq(finding->generation, 4, "the newest event's");
    cr_expect_eq(finding->src.bytes[3], 5, "the first event's");
    cr_expect_str_eq(finding->group, "default");
    cr_expect_str_eq(finding->rule, "");
    pol_audit_free(audit);
}

Test(audit, each_part_of_the_key_makes_another_finding)
{
    pol_audit *audit = audit_of(32);
    pol_event event;

    add(audit, sample_deny(6, "192.0.2.1", 443), 1);
    add(audit, sample_deny(6, "192.0.2.2", 443), 1);
    add(audit, sample_deny(6, "192.0.2.1", 444), 1);
    add(audit, sample_deny(17, "192.0.2.1", 443), 1);
    add(audit, sample_deny(6, "2001:db8::1", 443), 1);
    event = sample_deny(6, "192.0.2.1", 443);
    event.fqdn_len = sample_text(event.fqdn, sizeof(event.fqdn), "a.example");
    add(audit, event, 1);
    cr_expect_eq(size_of(audit), 6);

    add(audit, sample_hello("192.0.2.1", "a.example"), 1);
    add(audit, sample_hello("192.0.2.1", "b.example"), 1);
    add(audit, sample_hello("192.0.2.2", "b.example"), 1);
    cr_expect_eq(size_of(audit), 9);

    event = sample_deny(1, "192.0.2.1", 0);
    add(audit, event, 1);
    event.icmp_type = 8;
    add(audit, event, 1);
    event.icmp_code = 1;
    add(audit, event, 1);
    cr_expect_eq(size_of(audit), 12);

    add(audit, sample_query("a.example", 1), 1);
    add(audit, sample_query("b.example", 1), 1);
    cr_expect_eq(size_of(audit), 14);
    pol_audit_free(audit);
}

Test(audit, the_query_type_is_no_key_and_stays_that_of_the_first_event)
{
    pol_audit *audit = audit_of(4);

    add(audit, sample_query("a.example", 28), 1000);
    add(audit, sample_query("a.example", 1), 2000);
    cr_expect_eq(find_only(audit)->query_type, 28);
    cr_expect_eq(seen.findings[0].count, 2);
    cr_expect_eq(seen.findings[0].dst.family, 0);
    cr_expect_str_eq(seen.findings[0].name, "a.example");
    pol_audit_free(audit);
}

Test(audit, audit_means_let_through_every_time)
{
    pol_audit *audit = audit_of(4);
    pol_event event = sample_deny(6, "192.0.2.1", 443);

    event.verdict.flags = POL_V_AUDIT;
    add(audit, event, 1);
    cr_expect_eq(find_only(audit)->audit, 1);
    event.verdict.flags = 0;
    add(audit, event, 1);
    cr_expect_eq(find_only(audit)->audit, 0);
    event.verdict.flags = POL_V_AUDIT;
    add(audit, event, 1);
    cr_expect_eq(find_only(audit)->audit, 0);
    pol_audit_free(audit);
}

Test(audit, a_clock_that_steps_back_widens_the_span)
{
    pol_audit *audit = audit_of(4);

    add(audit, sample_deny(6, "192.0.2.1", 443), 9000);
    add(audit, sample_deny(6, "192.0.2.1", 443), 4000);
    cr_expect_eq(find_only(audit)->first_seen, 4000);
    cr_expect_eq(seen.findings[0].last_seen, 9000);
    pol_audit_free(audit);
}

/* ---- Ids and names ---- */

static const char document[] =
    "{\"default_policy\":\"deny\",\"source_groups\":["
    "{\"id\":\"web\",\"mode\":\"enforce\",\"sources\":{\"cidrs\":[\"10.0.0.0/24\"]},"
    "\"rules\":[{\"id\":\"no-smtp\",\"action\":\"deny\",\"match\":{\"proto\":\"tcp\","
    "\"dst_ports\":[25]}}]}]}";

static pol_policy *compile(const char *text)
{
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;
    int rc = pol_compile(ctx, str_of(text), NULL, &policy, &diags);

    cr_assert_eq(rc, POL_OK, "%s", diags ? pol_diags_at(diags, 0)->text.ptr : "no diagnostics");
    pol_diags_free(diags);
    return policy;
}

Test(audit, findings_carry_the_ids_of_group_and_rule)
{
    pol_audit *audit = audit_of(4);
    pol_policy *policy = compile(document);
    pol_event event = sample_deny(6, "192.0.2.1", 25);

    event.verdict.group = 0;
    event.verdict.rule = 0;
    event.verdict.generation = 1;
    cr_assert_eq(pol_audit_add(audit, policy, NULL, &event, 1), POL_OK);
    cr_expect_str_eq(find_only(audit)->group, "web");
    cr_expect_str_eq(seen.findings[0].rule, "no-smtp");
    pol_policy_unref(policy);
    pol_audit_free(audit);
}

Test(audit, an_index_that_does_not_fit_the_policy_is_refused)
{
    pol_audit *audit = audit_of(4);
    pol_policy *policy = compile(document);
    pol_event event = sample_deny(6, "192.0.2.1", 25);

    event.verdict.group = 0;
    cr_expect_eq(pol_audit_add(audit, NULL, NULL, &event, 1), POL_E_INVALID);
    event.verdict.group = 1;
    cr_expect_eq(pol_audit_add(audit, policy, NULL, &event, 1), POL_E_INVALID);
    event.verdict.group = 0;
    event.verdict.rule = 1;
    cr_expect_eq(pol_audit_add(audit, policy, NULL, &event, 1), POL_E_INVALID);
    cr_expect_eq(size_of(audit), 0);
    pol_policy_unref(policy);
    pol_audit_free(audit);
}

static void learn(pol_grants *grants, const char *name, const char *addr, pol_mono when)
{
    pol_grant grant = {
        .group_key = 7,
        .addr = sample_addr(addr),
        .ttl = 60,
        .learned = when,
        .answered = when,
        .used = when,
        .expires = when + 60 * POL_SECONDS,
    };

    grant.name_len = sample_text(grant.name, sizeof(grant.name), name);
    cr_assert_eq(pol_grants_restore(grants, &grant, when), POL_OK);
}

Test(audit, all_names_known_for_the_destination_are_kept_newest_first)
{
    pol_audit *audit = audit_of(4);
    pol_grants *grants = NULL;
    pol_event event = sample_deny(6, "192.0.2.1", 443);

    cr_assert_eq(pol_grants_new(ctx, NULL, &grants), POL_OK);
    learn(grants, "old.example", "192.0.2.1", POL_SECONDS);
    learn(grants, "new.example", "192.0.2.1", 2 * POL_SECONDS);
    learn(grants, "other.example", "192.0.2.2", 3 * POL_SECONDS);
    event.verdict.group_key = event.names_key = 7;
    event.at = 4 * POL_SECONDS;
    cr_assert_eq(pol_audit_add(audit, NULL, grants, &event, 1), POL_OK);

    cr_expect_eq(find_only(audit)->name_count, 2);
    cr_expect_str_eq(seen.findings[0].names[0], "new.example");
    cr_expect_str_eq(seen.findings[0].names[1], "old.example");
    cr_expect_str_eq(seen.findings[0].fqdn, "new.example");
    pol_grants_free(grants);
    pol_audit_free(audit);
}

Test(audit, without_grants_the_events_own_name_is_kept)
{
    pol_audit *audit = audit_of(4);
    pol_event event = sample_hello("192.0.2.1", "sni.example");

    add(audit, event, 1000);
    cr_expect_eq(find_only(audit)->name_count, 0);
    event.fqdn_len = sample_text(event.fqdn, sizeof(event.fqdn), "a.example");
    add(audit, event, 2000);
    cr_expect_eq(find_only(audit)->name_count, 1);
    cr_expect_str_eq(seen.findings[0].names[0], "a.example");
    cr_expect_str_eq(seen.findings[0].fqdn, "a.example");
    cr_expect_str_eq(seen.findings[0].name, "sni.example");
    pol_audit_free(audit);
}

/* ---- Eviction ---- */

Test(audit, the_table_never_grows)
{
    pol_audit *audit = audit_of(100);
    size_t before = counting.requests;
    pol_audit_stats stats;

    for (int i = 0; i < 5000; i++)
        add(audit, sample_deny(6, "192.0.2.1", (uint16_t)(i % 3000)), (pol_wall)i);
    pol_audit_stats_get(audit, &stats);
    cr_expect_eq(stats.findings, 100);
    cr_expect_eq(stats.capacity, 100);
    cr_expect_eq(stats.events, 5000);
    cr_expect_eq(stats.evicted, 4900);
    cr_expect_eq(counting.requests, before, "adding allocates nothing");
    pol_audit_free(audit);
}

Test(audit, a_scan_pushes_out_its_own_findings_not_frequent_ones)
{
    pol_audit *audit = audit_of(200);

    for (uint16_t port = 1; port <= 20; port++)
        add_times(audit, sample_deny(6, "192.0.2.1", port), 1000, 200);
    for (int i = 0; i < 1000; i++)
        add(audit, sample_deny(6, "198.51.100.1", (uint16_t)(1000 + i)), 2000 + (pol_wall)i);
    find_all(audit);
    cr_expect_eq(seen.count, 200);

    seen = (struct seen){.count = 0};
    for (uint16_t port = 1; port <= 20; port++) {
        pol_event event = sample_deny(6, "192.0.2.1", port);

        add(audit, event, 5000);
    }
    find_all(audit);
    for (size_t i = 0; i < 20; i++)
        cr_expect_eq(seen.findings[i].count, 201, "port %u", seen.findings[i].dst_port);
    pol_audit_free(audit);
}

Test(audit, what_was_frequent_long_ago_leaves_at_last)
{
    pol_audit *audit = audit_of(50);

    add_times(audit, sample_deny(6, "192.0.2.1", 1), 1000, 100000);
    for (int i = 0; i < 5000; i++)
        add(audit, sample_deny(6, "198.51.100.1", (uint16_t)(1000 + i)), 2000 + (pol_wall)i);
    find_all(audit);
    cr_expect_not(has_port(1));
    pol_audit_free(audit);
}

Test(audit, among_many_frequent_ones_the_least_frequent_goes)
{
    pol_audit *audit = audit_of(100);

    for (uint16_t port = 1; port <= 100; port++)
        add_times(audit, sample_deny(6, "192.0.2.1", port), port, port == 10 ? 150 : 200);
    add(audit, sample_deny(6, "192.0.2.1", 999), 1000);
    cr_expect_eq(size_of(audit), 100);
    cr_assert_eq(pol_audit_changes(audit, remember, &seen), 100);
    cr_expect_not(has_port(10));
    pol_audit_free(audit);
}

Test(audit, a_table_of_one_holds_the_newest)
{
    pol_audit *audit = audit_of(1);

    add_times(audit, sample_deny(6, "192.0.2.1", 1), 1000, 50);
    add(audit, sample_deny(6, "192.0.2.1", 2), 2000);
    cr_expect_eq(find_only(audit)->dst_port, 2);
    pol_audit_free(audit);
}

/* ---- Changes ---- */

Test(audit, a_change_is_shown_once)
{
    pol_audit *audit = audit_of(8);

    add(audit, sample_deny(6, "192.0.2.1", 1), 1000);
    add(audit, sample_deny(6, "192.0.2.1", 2), 1000);
    changes(audit);
    cr_expect_eq(seen.count, 2);
    changes(audit);
    cr_expect_eq(seen.count, 0);

    add(audit, sample_deny(6, "192.0.2.1", 1), 2000);
    add(audit, sample_deny(6, "192.0.2.1", 1), 3000);
    cr_expect_eq(changes(audit)->count, 3);
    cr_expect_eq(seen.count, 1);
    pol_audit_free(audit);
}

Test(audit, a_stored_finding_that_was_evicted_is_shown_with_count_zero)
{
    pol_audit *audit = audit_of(1);
    pol_event first = sample_hello("192.0.2.1", "a.example");

    first.fqdn_len = sample_text(first.fqdn, sizeof(first.fqdn), "b.example");
    add(audit, first, 1000);
    changes(audit);
    add(audit, sample_deny(17, "2001:db8::1", 53), 2000);
    changes(audit);

    cr_assert_eq(seen.count, 2);
    cr_expect_eq(seen.findings[0].count, 0);
    cr_expect_eq(seen.findings[0].type, POL_FIND_TLS_DENY);
    cr_expect_str_eq(seen.findings[0].group, "default");
    cr_expect_str_eq(seen.findings[0].name, "a.example");
    cr_expect_eq(seen.findings[0].dst.bytes[3], 1);
    cr_expect_eq(seen.findings[0].dst_port, 443);
    cr_expect_eq(seen.findings[1].count, 1);
    cr_expect_eq(seen.findings[1].dst_port, 53);
    pol_audit_free(audit);
}

Test(audit, what_came_and_went_between_two_calls_is_not_shown)
{
    pol_audit *audit = audit_of(1);

    for (uint16_t port = 1; port <= 10; port++)
        add(audit, sample_deny(6, "192.0.2.1", port), port);
    cr_expect_eq(changes(audit)->dst_port, 10);
    cr_expect_eq(seen.count, 1);
    pol_audit_free(audit);
}

Test(audit, a_finding_that_returns_is_deleted_before_it_is_written)
{
    pol_audit *audit = audit_of(1);

    add(audit, sample_deny(6, "192.0.2.1", 1), 1000);
    changes(audit);
    add(audit, sample_deny(6, "192.0.2.1", 2), 2000);
    add(audit, sample_deny(6, "192.0.2.1", 1), 3000);
    changes(audit);
    cr_assert_eq(seen.count, 2);
    cr_expect_eq(seen.findings[0].dst_port, 1);
    cr_expect_eq(seen.findings[0].count, 0);
    cr_expect_eq(seen.findings[1].dst_port, 1);
    cr_expect_eq(seen.findings[1].count, 1);
    pol_audit_free(audit);
}

Test(audit, what_the_store_did_not_take_stays_changed)
{
    pol_audit *audit = audit_of(8);

    for (uint16_t port = 1; port <= 3; port++)
        add(audit, sample_deny(6, "192.0.2.1", port), port);
    seen = (struct seen){.stop_after = 2};
    cr_expect_eq(pol_audit_changes(audit, remember, &seen), 1);
    cr_expect_eq(changes(audit)->dst_port, 2);
    cr_expect_eq(seen.count, 2);
    pol_audit_free(audit);
}

Test(audit, a_mirror_that_follows_the_changes_holds_the_same_findings)
{
    enum { PORTS = 500 };

    static uint64_t mirror[PORTS];
    pol_audit *audit = audit_of(60);
    uint32_t random = 1;

    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 40; i++) {
            random = random * 1664525 + 1013904223;
            add(audit, sample_deny(6, "192.0.2.1", (uint16_t)((random >> 16) % PORTS)),
                (pol_wall)round);
        }
        changes(audit);
        cr_assert_leq(seen.count, COUNT(seen.findings));
        for (size_t i = 0; i < seen.count; i++)
            mirror[seen.findings[i].dst_port] = seen.findings[i].count;
    }
    find_all(audit);
    for (size_t i = 0; i < seen.count; i++) {
        cr_expect_eq(mirror[seen.findings[i].dst_port], seen.findings[i].count);
        mirror[seen.findings[i].dst_port] = 0;
    }
    for (size_t i = 0; i < PORTS; i++)
        cr_expect_eq(mirror[i], 0, "port %zu should be gone", i);
    pol_audit_free(audit);
}

/* ---- Listing ---- */

Test(audit, findings_come_newest_first_then_most_frequent)
{
    static const uint16_t order[] = {4, 2, 1, 3};
    pol_audit *audit = audit_of(8);

    add(audit, sample_deny(6, "192.0.2.1", 1), 2000);
    add_times(audit, sample_deny(6, "192.0.2.1", 2), 2000, 5);
    add(audit, sample_deny(6, "192.0.2.1", 3), 1000);
    add(audit, sample_deny(6, "192.0.2.1", 4), 3000);
    find_all(audit);
    cr_assert_eq(seen.count, 4);
    for (size_t i = 0; i < COUNT(order); i++)
        cr_expect_eq(seen.findings[i].dst_port, order[i], "place %zu", i);
    pol_audit_free(audit);
}

Test(audit, the_limit_keeps_the_newest)
{
    pol_audit *audit = audit_of(600);
    pol_audit_query query;

    for (uint16_t port = 1; port <= 600; port++)
        add(audit, sample_deny(6, "192.0.2.1", port), (pol_wall)port * 1000);
    find_all(audit);
    cr_expect_eq(seen.count, 500, "the default");

    pol_audit_query_init(&query, sizeof(query));
    query.limit = 2;
    seen = (struct seen){.count = 0};
    cr_expect_eq(pol_audit_find(audit, &query, remember, &seen), 2);
    cr_expect_eq(seen.findings[0].dst_port, 600);
    cr_expect_eq(seen.findings[1].dst_port, 599);

    seen = (struct seen){.stop_after = 1};
    cr_expect_eq(pol_audit_find(audit, &query, remember, &seen), 1);
    pol_audit_free(audit);
}

static pol_finding stored_finding(uint8_t type, const char *group, pol_wall first, pol_wall last)
{
    pol_finding finding = {.type = type, .count = 3, .first_seen = first, .last_seen = last};

    finding.dst = sample_addr("192.0.2.1");
    sample_text(finding.group, sizeof(finding.group), group);
    return finding;
}

static const struct {
    uint8_t type;
    const char *group;
    pol_wall first, last;
} stored[] = {
    {POL_FIND_L4_DENY, "web", 1000, 2000},
    {POL_FIND_DNS_DENY, "Web", 1500, 4000},
    {POL_FIND_DNS_DENY, "db", 3000, 5000},
    {POL_FIND_AUTH_SSO, "sso:oidc", 6000, 6000},
};

static const pol_str web[] = {{"WEB", 3}};
static const pol_str web_or_db[] = {{"nobody", 6}, {"db", 2}, {"web", 3}};

static const struct {
    uint32_t types;
    const pol_str *groups;
    size_t group_count;
    pol_wall since, until;
    size_t expected;
} queries[] = {
    {0, NULL, 0, 0, POL_NEVER, 4},
    {1 << POL_FIND_DNS_DENY, NULL, 0, 0, POL_NEVER, 2},
    {1 << POL_FIND_DNS_DENY | 1 << POL_FIND_AUTH_SSO, NULL, 0, 0, POL_NEVER, 3},
    {0, web, 1, 0, POL_NEVER, 2},
    {0, web_or_db, 3, 0, POL_NEVER, 3},
    {1 << POL_FIND_L4_DENY, web_or_db, 3, 0, POL_NEVER, 1},
    {0, NULL, 0, 4000, POL_NEVER, 3},
    {0, NULL, 0, 4001, POL_NEVER, 2},
    {0, NULL, 0, 0, 1500, 2},
    {0, NULL, 0, 0, 1499, 1},
    {0, NULL, 0, 3000, 2000, 1},
};

Test(audit, filters_are_ored_inside_and_anded_with_each_other)
{
    pol_audit *audit = audit_of(8);

    for (size_t i = 0; i < COUNT(stored); i++) {
        pol_finding finding =
            stored_finding(stored[i].type, stored[i].group, stored[i].first, stored[i].last);

        cr_assert_eq(pol_audit_restore(audit, &finding), POL_OK);
    }
    for (size_t i = 0; i < COUNT(queries); i++) {
        pol_audit_query query;

        pol_audit_query_init(&query, sizeof(query));
        query.types = queries[i].types;
        query.groups = queries[i].groups;
        query.group_count = queries[i].group_count;
        query.since = queries[i].since;
        query.until = queries[i].until;
        seen = (struct seen){.count = 0};
        cr_expect_eq(pol_audit_find(audit, &query, remember, &seen), (int)queries[i].expected,
                     "row %zu: %zu", i, seen.count);
    }
    pol_audit_free(audit);
}

/* ---- Restoring and merging ---- */

Test(audit, restoring_sums_counts_and_widens_the_span)
{
    pol_audit *audit = audit_of(8);
    pol_finding finding;

    add(audit, sample_deny(6, "192.0.2.1", 443), 5000);
    finding = *find_only(audit);
    finding.count = 10;
    finding.first_seen = 1000;
    finding.last_seen = 2000;
    finding.reason = POL_WHY_RULE;
    finding.src = sample_addr("10.0.0.77");
    cr_expect_eq(pol_audit_restore(audit, &finding), POL_OK);

    cr_expect_eq(find_only(audit)->count, 11);
    cr_expect_eq(seen.findings[0].first_seen, 1000);
    cr_expect_eq(seen.findings[0].last_seen, 5000);
    cr_expect_eq(seen.findings[0].reason, POL_WHY_POLICY_DEFAULT, "the newest event's");
    cr_expect_eq(seen.findings[0].src.bytes[3], 77, "the first source is that of the older row");
    pol_audit_free(audit);
}

Test(audit, a_count_stays_at_its_largest_value)
{
    pol_audit *audit = audit_of(1);
    pol_finding finding = stored_finding(POL_FIND_L4_DENY, "web", 1, 2);

    finding.count = UINT64_MAX - 1;
    cr_assert_eq(pol_audit_restore(audit, &finding), POL_OK);
    finding.count = 2;
    cr_assert_eq(pol_audit_restore(audit, &finding), POL_OK);
    cr_expect_eq(find_only(audit)->count, UINT64_MAX);
    pol_audit_free(audit);
}

Test(audit, a_restored_finding_is_no_change)
{
    pol_audit *audit = audit_of(1);
    pol_finding finding = stored_finding(POL_FIND_L4_DENY, "web", 1, 2);

    cr_assert_eq(pol_audit_restore(audit, &finding), POL_OK);
    changes(audit);
    cr_expect_eq(seen.count, 0);

    add(audit, sample_deny(6, "192.0.2.9", 9), 1000);
    cr_expect_eq(changes(audit)->count, 0, "the store knows it, so its end is shown");
    cr_expect_str_eq(seen.findings[0].group, "web");
    pol_audit_free(audit);
}

static uint16_t oldest_after_restoring(const uint16_t *order, size_t count)
{
    pol_audit *audit = audit_of((uint32_t)count);

    for (size_t i = 0; i < count; i++) {
        pol_finding finding = stored_finding(POL_FIND_L4_DENY, "web", 1, order[i]);

        finding.dst_port = order[i];
        finding.count = 1;
        cr_assert_eq(pol_audit_restore(audit, &finding), POL_OK);
    }
    add(audit, sample_deny(6, "192.0.2.9", 9), 1000);
    changes(audit);
    pol_audit_free(audit);
    return seen.findings[0].dst_port;
}

Test(audit, rows_restored_in_either_order_of_time_age_alike)
{
    static const uint16_t rising[] = {1, 2, 3, 4, 5};
    static const uint16_t falling[] = {5, 4, 3, 2, 1};

    cr_expect_eq(oldest_after_restoring(rising, 5), 1);
    cr_expect_eq(oldest_after_restoring(falling, 5), 1);
}

Test(audit, rows_that_cannot_be_findings_are_refused)
{
    pol_audit *audit = audit_of(8);
    pol_finding good = stored_finding(POL_FIND_L4_DENY, "web", 1, 2);
    pol_finding bad = good;

    bad.type = POL_FIND_COUNT;
    cr_expect_eq(pol_audit_restore(audit, &bad), POL_E_INVALID);
    bad = good;
    bad.count = 0;
    cr_expect_eq(pol_audit_restore(audit, &bad), POL_E_INVALID);
    bad = good;
    bad.name_count = POL_FINDING_NAMES + 1;
    cr_expect_eq(pol_audit_restore(audit, &bad), POL_E_INVALID);
    bad = good;
    memset(bad.group, 'a', sizeof(bad.group));
    cr_expect_eq(pol_audit_restore(audit, &bad), POL_E_INVALID);
    bad = good;
    memset(bad.fqdn, 'a', sizeof(bad.fqdn));
    cr_expect_eq(pol_audit_restore(audit, &bad), POL_E_INVALID);
    bad = good;
    bad.name_count = 1;
    memset(bad.names[0], 'a', sizeof(bad.names[0]));
    cr_expect_eq(pol_audit_restore(audit, &bad), POL_E_INVALID);
    cr_expect_eq(size_of(audit), 0);
    pol_audit_free(audit);
}

Test(audit, two_tables_merge_into_one)
{
    pol_audit *one = audit_of(8), *two = audit_of(8);

    add_times(one, sample_deny(6, "192.0.2.1", 1), 1000, 2);
    add_times(two, sample_deny(6, "192.0.2.1", 1), 3000, 3);
    add(two, sample_deny(6, "192.0.2.1", 2), 2000);
    pol_audit_merge(one, two);
    find_all(one);
    cr_assert_eq(seen.count, 2);
    cr_expect_eq(seen.findings[0].count, 5);
    cr_expect_eq(seen.findings[0].first_seen, 1000);
    cr_expect_eq(seen.findings[0].last_seen, 3000);
    changes(one);
    cr_expect_eq(seen.count, 2);
    cr_expect_eq(size_of(two), 2);
    pol_audit_free(one);
    pol_audit_free(two);
}

/* ---- Memory ---- */

Test(audit, a_table_is_no_news_to_itself)
{
    pol_audit *audit = audit_of(4);

    add_times(audit, sample_deny(6, "192.0.2.1", 443), 1000, 3);
    add(audit, sample_deny(6, "192.0.2.2", 443), 2000);
    pol_audit_merge(audit, audit);
    cr_assert_eq(pol_audit_find(audit, NULL, remember, &seen), 2);
    cr_expect_eq(seen.findings[0].count, 1);
    cr_expect_eq(seen.findings[1].count, 3);
    pol_audit_free(audit);
}

Test(audit, memory_is_what_was_taken)
{
    static const uint32_t sizes[] = {1, 2, 3, 100};

    for (size_t i = 0; i < COUNT(sizes); i++) {
        size_t before = counting.bytes;
        pol_audit *audit = audit_of(sizes[i]);

        cr_expect_eq(pol_audit_memory(audit), counting.bytes - before);
        pol_audit_free(audit);
    }
}

Test(audit, a_query_of_unknown_size_visits_nobody)
{
    pol_audit *audit = audit_of(4);
    pol_audit_query query;

    add(audit, sample_deny(6, "192.0.2.1", 443), 1000);
    pol_audit_query_init(&query, sizeof(query));
    query.size = 0;
    cr_expect_eq(pol_audit_find(audit, &query, remember, &seen), POL_E_ABI);
    cr_expect_eq(seen.count, 0);
    pol_audit_free(audit);
}

Test(audit, a_size_out_of_range_is_refused)
{
    pol_audit *audit = NULL;

    cr_expect_eq(pol_audit_new(ctx, 0, &audit), POL_E_INVALID);
    cr_expect_eq(pol_audit_new(ctx, 1000001, &audit), POL_E_INVALID);
    cr_expect_null(audit);
    pol_audit_free(NULL);
}
