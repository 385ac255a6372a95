/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(judge, .fini = teardown);

#define GROUP(mode, rules)                                                                         \
    "{'source_groups':[{'id':'g','mode':'" mode                                                    \
    "','sources':{'cidrs':['10.0.0.0/8']},'rules':[" rules "]}]}"
#define NAMED "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}}"

static const uint8_t broken_hello[] = {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0};

Test(judge, broken_hello_under_sni_check_is_only_reported_in_audit_mode)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet data = rig_data(&syn, (pol_bytes){broken_hello, sizeof(broken_hello)});

    rig_options(&rig)->sni_check = POL_SNI_ENFORCE;
    rig_start(&rig, GROUP("audit", NAMED));
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    cr_assert_eq(rig.verdict.raw_action, POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_TLS_INCOMPLETE);
    cr_assert(rig.verdict.flags & POL_V_AUDIT);
}

static uint32_t flows_on_grants(void)
{
    pol_grant grants[8];
    uint32_t position = 0, flows = 0;
    size_t count = pol_grants_list(rig.grants, &position, rig.now, grants, 8);

    for (size_t i = 0; i < count; i++)
        flows += grants[i].flows;
    return flows;
}

Test(judge, denied_entry_holds_no_grant)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet data = rig_data(&syn, rig_hello("a.example"));

    rig_start(
        &rig,
        GROUP("enforce",
              "{'id':'t','action':'deny','match':{'proto':'tcp','tls':{'sni':['b.example']}}},"
              "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$',"
              "'tls':{'mode':'intercept','http':{'request':{}}}}}"));
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    cr_assert_eq(rig_judge(&rig, &syn), POL_PENDING);
    cr_assert_eq(rig_judge(&rig, &data), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_INTERCEPT_TOO_LATE);
    cr_assert_eq(flows_on_grants(), 0);
}

static bool is_in_table(const pol_packet *packet)
{
    pol_packet again = *packet;

    again.tcp_flags = POL_TCP_ACK;
    rig_judge(&rig, &again);
    return rig.verdict.flags & POL_V_KNOWN;
}

Test(judge, full_table_gives_up_its_oldest_half_open_flow)
{
    pol_packet syns[4];

    rig_options(&rig)->flow_capacity = 3;
    rig_start(&rig, "{'default_policy':'allow'}");
    for (uint16_t i = 0; i < 4; i++) {
        syns[i] = rig_syn("10.0.0.5", (uint16_t)(40000 + i), "192.0.2.1", 80);
        cr_assert_eq(rig_judge(&rig, &syns[i]), POL_ALLOW);
    }
    cr_assert_eq(pol_worker_flow_count(rig.worker), 3);
    for (int i = 1; i < 4; i++)
        cr_assert(is_in_table(&syns[i]));
    rig_drain(&rig);
    cr_assert_eq(rig_event(&rig, POL_EV_FLOW_END)->end, POL_END_EVICTED);
    cr_assert_eq(rig_event(&rig, POL_EV_FLOW_END)->tuple.src_port, 40000);
}

static void shake_hands(const pol_packet *syn)
{
    pol_packet answer = packet_reply(syn, POL_TCP_SYN | POL_TCP_ACK, 1, (pol_bytes){NULL, 0});
    pol_packet ack = *syn;

    rig_judge(&rig, &answer);
    ack.tcp_flags = POL_TCP_ACK;
    rig_judge(&rig, &ack);
}

Test(judge, table_full_of_established_flows_admits_no_more)
{
    pol_packet first = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);
    pol_packet second = rig_syn("10.0.0.5", 40001, "192.0.2.1", 80);

    rig_options(&rig)->flow_capacity = 1;
    rig_start(&rig, "{'default_policy':'allow'}");
    rig_judge(&rig, &first);
    shake_hands(&first);
    cr_assert_eq(rig_judge(&rig, &second), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_FLOWS_FULL);
    cr_assert(is_in_table(&first));
    cr_assert_eq(rig_counter(&rig, "dp_flow_cap_rejections_total", ""), 1);
}

Test(judge, worker_without_a_table_judges_every_packet)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);

    rig_options(&rig)->flow_capacity = 0;
    rig_start(&rig, "{'default_policy':'allow'}");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
        cr_assert_eq(rig.verdict.flow, 0);
    }
}

Test(judge, pins_are_given_back_however_a_flow_ends)
{
    static const char policy[] = GROUP("enforce", NAMED);
    uint16_t port = 40000;

    rig_start(&rig, policy);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    for (int i = 0; i < 10; i++) {
        pol_packet syn = rig_syn("10.0.0.5", port++, "192.0.2.1", 80);

        cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    }
    cr_assert_eq(flows_on_grants(), 10);
    rig_use(&rig, policy); /* judged again: one pin each, still */
    for (uint16_t p = 40000; p < port; p++) {
        pol_packet ack = rig_syn("10.0.0.5", p, "192.0.2.1", 80);

        ack.tcp_flags = POL_TCP_ACK;
        cr_assert_eq(rig_judge(&rig, &ack), POL_ALLOW);
    }
    cr_assert_eq(flows_on_grants(), 10);
    cr_assert_eq(pol_worker_flush(rig.worker, rig.now), 0);
    cr_assert_eq(flows_on_grants(), 0);
}

Test(judge, worker_that_is_freed_gives_its_pins_back)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);

    rig_start(&rig, GROUP("enforce", NAMED));
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    rig_judge(&rig, &syn);
    cr_assert_eq(flows_on_grants(), 1);
    pol_worker_free(rig.worker);
    rig.worker = NULL;
    cr_assert_eq(flows_on_grants(), 0);
}

Test(judge, held_grant_carries_its_flow_and_no_other)
{
    static const char policy[] = GROUP("enforce", NAMED);
    pol_packet open = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);
    pol_packet late = rig_syn("10.0.0.5", 40001, "192.0.2.1", 80);

    rig_options(&rig)->idle.tcp_opening = 7440 * POL_SECONDS;
    rig_start(&rig, policy);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    rig_judge(&rig, &open);
    rig.now += 1000 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &late), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DNS_EXPIRED);
    rig_use(&rig, policy);
    open.tcp_flags = POL_TCP_ACK;
    cr_assert_eq(rig_judge(&rig, &open), POL_ALLOW);
    cr_assert(rig.verdict.flags & POL_V_REJUDGED);
}

static const struct {
    uint8_t check;
    const char *sni; /* NULL: none */
    enum pol_action action;
    bool mismatch;
} checks[] = {
    {POL_SNI_OFF, "b.example", POL_ALLOW, false},
    {POL_SNI_LOG, "b.example", POL_ALLOW, true},
    {POL_SNI_LOG, "a.example", POL_ALLOW, false},
    {POL_SNI_ENFORCE, "a.example", POL_ALLOW, false},
    {POL_SNI_ENFORCE, "b.example", POL_DENY, true},
    {POL_SNI_ENFORCE, NULL, POL_DENY, true},
};

Test(judge, sni_check_compares_with_the_names_granted)
{
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
        pol_packet data = rig_data(&syn, rig_hello(checks[i].sni));

        rig_options(&rig)->sni_check = checks[i].check;
        rig_start(&rig, GROUP("enforce", NAMED));
        rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
        rig_judge(&rig, &syn);
        cr_expect_eq(rig_judge(&rig, &data), checks[i].action, "%zu", i);
        cr_expect_eq(!!(rig.verdict.flags & POL_V_SNI_MISMATCH), checks[i].mismatch, "%zu", i);
        rig_stop(&rig);
    }
}

Test(judge, denied_entry_is_forgotten_after_a_minute_of_silence)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80), ack = syn;

    rig_start(&rig, "{'default_policy':'allow'}");
    rig_judge(&rig, &syn);
    rig_use(&rig, "{}");
    ack.tcp_flags = POL_TCP_ACK;
    cr_assert_eq(rig_judge(&rig, &ack), POL_DENY);
    rig.now += 59 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &ack), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DENIED_FLOW);
    pol_worker_tick(rig.worker, rig.now + 59 * POL_SECONDS, 100);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 1);
    pol_worker_tick(rig.worker, rig.now + 62 * POL_SECONDS, 100);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
}
