/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(report, .fini = teardown);

#define POLICY                                                                                     \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["    \
    "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}},"                      \
    "{'id':'w','action':'deny','mode':'audit','match':{'proto':'udp','dst_ports':[99]}}]}]}"

static const pol_event *event(enum pol_event_kind kind)
{
    const pol_event *found;

    rig_drain(&rig);
    found = rig_event(&rig, kind);
    cr_assert_not_null(found, "kind %d", kind);
    return found;
}

Test(report, flow_end_has_the_totals_of_both_directions)
{
    pol_packet out = packet_udp("10.0.0.5", 40000, "192.0.2.1", 123, bytes_from("12345678"));
    pol_packet in = packet_reply(&out, 0, 0, bytes_from("12"));
    const pol_event *end;

    rig_start(&rig, POLICY);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    rig_judge(&rig, &out);
    rig.now += POL_SECONDS;
    rig_judge(&rig, &in);
    rig_judge(&rig, &in);
    pol_worker_flush(rig.worker, rig.now);
    end = event(POL_EV_FLOW_END);
    cr_assert_eq(end->end, POL_END_FLUSHED);
    cr_assert_eq(end->packets_out, 1);
    cr_assert_eq(end->packets_in, 2);
    cr_assert_eq(end->bytes_out, out.ip_len);
    cr_assert_eq(end->bytes_in, 2 * in.ip_len);
    cr_assert_eq(end->last - end->first, POL_SECONDS);
    cr_assert_eq(end->tuple.src_port, 40000);
    cr_assert_str_eq(end->fqdn, "a.example");
}

Test(report, hello_names_the_flow)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet data = rig_data(&syn, rig_hello("A.Example"));

    rig_start(&rig, "{'default_policy':'allow'}");
    rig_judge(&rig, &syn);
    rig_judge(&rig, &data);
    cr_assert_str_eq(event(POL_EV_FLOW_UPDATE)->name, "a.example");
}

Test(report, active_flows_are_reported_once_per_interval)
{
    pol_packet packet = packet_udp("10.0.0.5", 40000, "192.0.2.1", 123, bytes_from("12345678"));

    rig_options(&rig)->report_interval = 10 * POL_SECONDS;
    rig_start(&rig, "{'default_policy':'allow'}");
    rig_judge(&rig, &packet);
    rig_drain(&rig);
    for (int i = 0; i < 25; i++) {
        rig.now += POL_SECONDS;
        rig_judge(&rig, &packet);
    }
    rig_drain(&rig);
    cr_assert_eq(rig.event_count, 2);
    cr_assert_eq(rig.events[1].kind, POL_EV_FLOW_ACTIVE);
    cr_assert_eq(rig.events[1].packets_out, 21);
}

/* A packet of each sort: a flow opened, kept busy and ended, a denial, a query. */
static void make_every_kind(void)
{
    pol_packet udp = packet_udp("10.0.0.5", 40000, "192.0.2.1", 99, bytes_from("12345678"));
    pol_packet denied = packet_icmp("10.0.0.5", "192.0.2.1", 8, 0, 7);

    rig_judge(&rig, &udp);
    rig.now += 20 * POL_SECONDS;
    rig_judge(&rig, &udp);
    rig_judge(&rig, &denied);
    pol_worker_flush(rig.worker, rig.now);
    rig_drain(&rig);
}

static uint32_t kinds_made(void)
{
    uint32_t kinds = 0;

    for (size_t i = 0; i < rig.event_count; i++)
        kinds |= 1u << rig.events[i].kind;
    return kinds;
}

Test(report, only_the_kinds_asked_for_are_made)
{
    static const uint32_t asked[] = {1u << POL_EV_FLOW_OPEN, 1u << POL_EV_FLOW_ACTIVE,
                                     1u << POL_EV_FLOW_END, 1u << POL_EV_DENY};

    rig_options(&rig)->report_interval = POL_SECONDS;
    rig_start(&rig, POLICY);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        pol_worker_report(rig.worker, asked[i]);
        make_every_kind();
        cr_assert_eq(kinds_made(), asked[i], "asked for %x, came %x", asked[i], kinds_made());
    }
    pol_worker_report(rig.worker, 0);
    make_every_kind();
    cr_assert_eq(rig.event_count, 0);
}

Test(report, what_nobody_reads_is_counted_as_before_and_not_as_lost)
{
    rig_options(&rig)->event_capacity = 1;
    rig_start(&rig, POLICY);
    pol_worker_report(rig.worker, 0);
    make_every_kind();
    cr_assert_eq(rig_counter(&rig, "policyd_events_dropped_total", ""), 0);
    cr_assert_eq(rig_counter(&rig, "dp_flow_opens_total", "proto=\"udp\""), 1);
}

Test(report, a_flow_that_was_open_before_somebody_listened_is_reported_at_once)
{
    pol_packet udp = packet_udp("10.0.0.5", 40000, "192.0.2.1", 99, bytes_from("12345678"));

    rig_options(&rig)->report_interval = 10 * POL_SECONDS;
    rig_start(&rig, POLICY);
    pol_worker_report(rig.worker, 0);
    rig_judge(&rig, &udp);
    rig.now += 11 * POL_SECONDS;
    rig_judge(&rig, &udp);
    pol_worker_report(rig.worker, 1u << POL_EV_FLOW_ACTIVE);
    rig_judge(&rig, &udp);
    rig_judge(&rig, &udp);
    rig_drain(&rig);
    cr_assert_eq(rig.event_count, 1);
    cr_assert_eq(rig.events[0].packets_out, 3);
}

Test(report, denial_names_packet_and_reason)
{
    pol_packet packet = packet_icmp("10.0.0.5", "192.0.2.1", 8, 0, 7);
    const pol_event *deny;

    rig_start(&rig, POLICY);
    packet.vlan_count = 1;
    packet.vlan[0] = 42;
    rig_judge(&rig, &packet);
    deny = event(POL_EV_DENY);
    cr_assert_eq(deny->icmp_type, 8);
    cr_assert_eq(deny->vlan, 42);
    cr_assert_eq(deny->verdict.reason, POL_WHY_POLICY_DEFAULT);
    cr_assert_eq(deny->packets_out, 1);
    cr_assert_eq(deny->verdict.generation, 1);
}

Test(report, audit_denial_is_a_finding_of_a_packet_that_passed)
{
    pol_packet packet = packet_udp("10.0.0.5", 40000, "192.0.2.1", 99, bytes_from("12345678"));

    rig_start(&rig, POLICY);
    cr_assert_eq(rig_judge(&rig, &packet), POL_ALLOW);
    cr_assert(event(POL_EV_DENY)->verdict.flags & POL_V_AUDIT);
    cr_assert_eq(rig_event(&rig, POL_EV_DENY)->verdict.rule, 1);
}

Test(report, denied_query_has_no_answer)
{
    const pol_event *dns;

    rig_start(&rig, POLICY);
    cr_assert_eq(rig_ask(&rig, "10.0.0.5", "b.example"), POL_ANSWER);
    dns = event(POL_EV_DNS);
    cr_assert_str_eq(dns->name, "b.example");
    cr_assert_eq(dns->rcode, 255);
    cr_assert_eq(dns->qtype, 1);
    cr_assert_eq(dns->verdict.action, POL_ANSWER);
}

static const struct {
    uint16_t port;
    const char *labels;
} counted[] = {
    {123, "decision=\"deny\""},
    {99, "decision=\"allow\""},
};

Test(report, packets_are_counted_by_decision)
{
    rig_start(&rig, POLICY);
    for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++) {
        pol_packet packet =
            packet_udp("10.0.0.5", 40000, "192.0.2.1", counted[i].port, bytes_from("12345678"));

        rig_judge(&rig, &packet);
        cr_expect_eq(rig_counter(&rig, "dp_packets_total", counted[i].labels), 1, "%zu", i);
        cr_expect_eq(rig_counter(&rig, "dp_bytes_total", counted[i].labels), packet.ip_len, "%zu",
                     i);
    }
}
