/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "../net/prng.h"
#include "rig.h"

static struct rig rig, other;

static void teardown(void)
{
    rig_stop(&rig);
    rig_stop(&other);
}

TestSuite(decide, .fini = teardown);

#define NOTHING   ((pol_bytes){NULL, 0})
#define ALLOW_ALL "{'default_policy':'allow'}"
#define DENY_ALL  "{}"
#define WEB                                                                                        \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["    \
    "{'id':'web','action':'allow','match':{'proto':'tcp','dst_ports':[80,443]}},"                  \
    "{'id':'ping','action':'allow','match':{'proto':'icmp','icmp_types':[8]}}]}]}"

static pol_packet from_outside(pol_packet packet)
{
    packet.side = POL_SIDE_OUTSIDE;
    return packet;
}

Test(decide, nothing_passes_without_a_policy)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);

    rig_start(&rig, ALLOW_ALL);
    cr_assert_eq(pol_worker_use(rig.worker, NULL, 2), POL_OK);
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_NO_POLICY);
    cr_assert_eq(rig.verdict.generation, 2);
}

static const struct {
    uint8_t kind, proto, family, icmp_type, hop_limit;
    uint16_t ether_type;
    uint32_t marks;
    enum pol_action action;
    enum pol_reason reason;
} frames[] = {
    {POL_PKT_NOT_IP, 0, 0, 0, 0, 0x0806, 0, POL_ALLOW, POL_WHY_LINK},
    {POL_PKT_NOT_IP, 0, 0, 0, 0, 0x888e, 0, POL_ALLOW, POL_WHY_LINK},
    {POL_PKT_NOT_IP, 0, 0, 0, 0, 0x88cc, 0, POL_ALLOW, POL_WHY_LINK},
    {POL_PKT_NOT_IP, 0, 0, 0, 0, 0x8847, 0, POL_DENY, POL_WHY_NOT_IP},
    {POL_PKT_BROKEN, 0, 0, 0, 0, 0, 0, POL_DENY, POL_WHY_MALFORMED},
    {POL_PKT_BROKEN + 1, 6, 4, 0, 64, 0x0800, 0, POL_DENY, POL_WHY_MALFORMED},
    {POL_PKT_IP, 6, 4, 0, 64, 0x0800, POL_MARK_MALFORMED, POL_DENY, POL_WHY_MALFORMED},
    {POL_PKT_IP, 58, 6, 135, 255, 0x86dd, 0, POL_ALLOW, POL_WHY_LINK},
    {POL_PKT_IP, 58, 6, 135, 254, 0x86dd, 0, POL_DENY, POL_WHY_LINK},
    {POL_PKT_IP, 58, 6, 128, 255, 0x86dd, 0, POL_DENY, POL_WHY_POLICY_DEFAULT},
    {POL_PKT_IP, 2, 4, 0, 1, 0x0800, POL_MARK_NO_L4, POL_ALLOW, POL_WHY_LINK},
    {POL_PKT_IP, 2, 4, 0, 64, 0x0800, POL_MARK_NO_L4, POL_DENY, POL_WHY_LINK},
};

Test(decide, frames_that_are_no_flow_pass_by_their_kind)
{
    rig_start(&rig, DENY_ALL);
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        pol_packet packet = {
            .tuple = {.src = {.family = frames[i].family, .bytes = {10}},
                      .dst = {.family = frames[i].family, .bytes = {192}},
                      .proto = frames[i].proto},
            .kind = frames[i].kind,
            .side = POL_SIDE_INSIDE,
            .icmp_type = frames[i].icmp_type,
            .hop_limit = frames[i].hop_limit,
            .ether_type = frames[i].ether_type,
            .marks = frames[i].marks,
        };

        cr_expect_eq(rig_judge(&rig, &packet), frames[i].action, "%zu", i);
        cr_expect_eq(rig.verdict.reason, frames[i].reason, "%zu", i);
    }
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
}

Test(decide, known_flow_keeps_its_verdict)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet reply = packet_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, 7, NOTHING);
    uint64_t flow;

    rig_start(&rig, WEB);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert(rig.verdict.flags & POL_V_OPENED);
    flow = rig.verdict.flow;
    cr_assert_eq(rig_judge(&rig, &reply), POL_ALLOW);
    cr_assert_eq(rig.verdict.flags & (POL_V_KNOWN | POL_V_REPLY | POL_V_OPENED),
                 POL_V_KNOWN | POL_V_REPLY);
    cr_assert_eq(rig.verdict.flow, flow);
    cr_assert_eq(rig.verdict.rule, 0);
}

Test(decide, flow_packet_from_the_wrong_end_is_dropped)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet forged = from_outside(syn);

    rig_start(&rig, WEB);
    rig_judge(&rig, &syn);
    forged.tcp_flags = POL_TCP_ACK;
    cr_assert_eq(rig_judge(&rig, &forged), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_WRONG_SIDE);
}

Test(decide, outside_opens_nothing_unless_admitted)
{
    pol_packet syn = from_outside(rig_syn("192.0.2.1", 40000, "10.0.0.5", 443));

    rig_start(&rig, ALLOW_ALL);
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_OUTSIDE);
    rig_options(&other)->admit_outside = true;
    rig_start(&other, ALLOW_ALL);
    cr_assert_eq(rig_judge(&other, &syn), POL_ALLOW);
}

Test(decide, replies_after_a_restart_are_judged_with_the_ends_swapped)
{
    pol_packet reply =
        from_outside(packet_tcp("192.0.2.1", 443, "10.0.0.5", 40000, POL_TCP_ACK, 9, NOTHING));
    pol_packet late =
        from_outside(packet_tcp("192.0.2.1", 443, "10.0.0.5", 40001, POL_TCP_ACK, 9, NOTHING));

    rig_start(&rig, WEB);
    cr_assert_eq(rig_judge(&rig, &reply), POL_ALLOW);
    cr_assert_eq(rig.verdict.rule, 0);
    rig.now += 121 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &late), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_OUTSIDE);
}

Test(decide, empty_batch_is_no_first_packet)
{
    pol_packet reply =
        from_outside(packet_tcp("192.0.2.1", 443, "10.0.0.5", 40000, POL_TCP_ACK, 9, NOTHING));

    rig_start(&rig, WEB);
    pol_worker_decide_batch(rig.worker, NULL, 0, rig.now, NULL);
    rig.now += 121 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &reply), POL_ALLOW);
}

Test(decide, midstream_may_be_denied)
{
    pol_packet ack = packet_tcp("10.0.0.5", 40000, "192.0.2.1", 443, POL_TCP_ACK, 9, NOTHING);

    rig_options(&rig)->midstream = POL_MIDSTREAM_DENY;
    rig_start(&rig, ALLOW_ALL);
    cr_assert_eq(rig_judge(&rig, &ack), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_MIDSTREAM);
}

Test(decide, side_is_inferred_where_the_port_does_not_tell)
{
    pol_packet syn = rig_syn("192.0.2.1", 40000, "10.0.0.5", 443);

    rig_start(&rig, WEB);
    syn.side = POL_SIDE_UNKNOWN;
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_OUTSIDE);
    cr_assert(rig.verdict.flags & POL_V_SIDE_INFERRED);
}

Test(decide, syn_with_another_number_begins_anew)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443), again = syn;
    uint64_t flow;

    rig_start(&rig, WEB);
    rig_judge(&rig, &syn);
    flow = rig.verdict.flow;
    rig_judge(&rig, &again);
    cr_assert_eq(rig.verdict.flow, flow);
    again.tcp_seq++;
    rig_judge(&rig, &again);
    cr_assert_neq(rig.verdict.flow, flow);
    cr_assert(rig.verdict.flags & POL_V_OPENED);
    rig_drain(&rig);
    cr_assert_eq(rig_event(&rig, POL_EV_FLOW_END)->end, POL_END_REUSED);
}

static const struct {
    uint8_t type;
    bool known, outside;
    enum pol_action action;
    enum pol_reason reason;
} errors[] = {
    {3, true, true, POL_ALLOW, POL_WHY_RULE},
    {11, true, true, POL_ALLOW, POL_WHY_RULE},
    {5, true, true, POL_DENY, POL_WHY_UNRELATED}, /* a redirect never belongs to a flow */
    {3, false, true, POL_DENY, POL_WHY_UNRELATED},
    {5, false, false, POL_DENY, POL_WHY_UNRELATED},
    {3, false, false, POL_DENY, POL_WHY_POLICY_DEFAULT},
};

Test(decide, icmp_error_belongs_to_the_flow_it_quotes)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet stranger = rig_syn("10.0.0.5", 40001, "192.0.2.1", 443);

    rig_start(&rig, WEB);
    rig_judge(&rig, &syn);
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        const char *src = errors[i].outside ? "198.51.100.9" : "10.0.0.5";
        pol_packet error =
            packet_icmp_error(src, errors[i].type, 1, errors[i].known ? &syn : &stranger);

        error.side = errors[i].outside ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
        cr_expect_eq(rig_judge(&rig, &error), errors[i].action, "%zu", i);
        cr_expect_eq(rig.verdict.reason, errors[i].reason, "%zu", i);
        cr_expect_eq(!(rig.verdict.flags & POL_V_RELATED), errors[i].action == POL_DENY, "%zu", i);
    }
    cr_assert_eq(pol_worker_flow_count(rig.worker), 1);
}

/* Nobody has ticked: the entries are still there. */
Test(decide, icmp_error_about_a_flow_that_is_over_is_unrelated)
{
    pol_packet udp = packet_udp("10.0.0.5", 40000, "192.0.2.1", 443, (pol_bytes){NULL, 0});
    pol_packet echo = packet_icmp("10.0.0.5", "192.0.2.1", 8, 0, 7);
    const pol_packet *causes[] = {&udp, &echo};

    rig_start(&rig, "{'default_policy':'allow'}");
    for (size_t i = 0; i < 2; i++) {
        pol_packet error = packet_icmp_error("198.51.100.9", 3, 1, causes[i]);

        error.side = POL_SIDE_OUTSIDE;
        cr_expect_eq(rig_judge(&rig, causes[i]), POL_ALLOW, "%zu", i);
        cr_expect_eq(rig_judge(&rig, &error), POL_ALLOW, "%zu", i);
        rig.now += 61 * POL_SECONDS;
        cr_expect_eq(rig_judge(&rig, &error), POL_DENY, "%zu", i);
        cr_expect_eq(rig.verdict.reason, POL_WHY_UNRELATED, "%zu", i);
    }
}

/* Judged again because of the error, the entry is as old as it was. */
Test(decide, icmp_error_keeps_no_denied_entry)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet error = packet_icmp_error("198.51.100.9", 3, 1, &syn);

    error.side = POL_SIDE_OUTSIDE;
    rig_start(&rig, "{'default_policy':'allow'}");
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    rig_use(&rig, "{'default_policy':'deny'}");
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 1);
    rig.now += 40 * POL_SECONDS;
    rig_use(&rig, "{'default_policy':'deny'}");
    cr_assert_eq(rig_judge(&rig, &error), POL_DENY);
    rig.now += 30 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
}

Test(decide, time_going_backwards_stands_still)
{
    pol_packet first = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet second = rig_syn("10.0.0.5", 40001, "192.0.2.1", 443);

    rig_start(&rig, WEB);
    rig_judge(&rig, &first);
    rig.now -= 500 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &second), POL_ALLOW);
    rig_drain(&rig);
    cr_assert_eq(rig_event(&rig, POL_EV_FLOW_OPEN)->at, 1000 * POL_SECONDS);
    cr_assert_eq(pol_worker_tick(rig.worker, 1, 100), 0);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 2);
}

#define MIXED                                                                                      \
    "{'default_policy':'allow','source_groups':[{'id':'g','mode':'enforce',"                       \
    "'sources':{'cidrs':['10.0.0.0/8','fd00::/8']},'default_action':'deny','rules':["              \
    "{'id':'t','action':'allow','match':{'proto':'tcp','tls':{'sni':['a.example']}}},"             \
    "{'id':'d','action':'deny','mode':'audit','match':{'dst_ports':[25]}},"                        \
    "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}},"                      \
    "{'id':'u','action':'allow','match':{'proto':'udp'}},"                                         \
    "{'id':'p','action':'allow','match':{'proto':'icmp','icmp_types':[8]}}]}]}"

/* Any packet of a small world: known and unknown flows, replies, hellos, fragments, DNS. */
static pol_packet some_packet(uint64_t *random)
{
    static const char *const sources[] = {"10.0.0.5", "10.0.0.6", "172.16.0.1"};
    static const char *const servers[] = {"192.0.2.1", "192.0.2.2", "192.0.2.53"};
    static const uint16_t ports[] = {25, 53, 80, 443};
    static const uint8_t flags[] = {POL_TCP_SYN, POL_TCP_ACK, POL_TCP_RST,
                                    POL_TCP_FIN | POL_TCP_ACK};
    const char *src = sources[prng_below(random, 3)], *dst = servers[prng_below(random, 3)];
    uint16_t src_port = (uint16_t)(40000 + prng_below(random, 3));
    uint16_t dst_port = ports[prng_below(random, 4)];
    pol_bytes payload = prng_below(random, 3) ? NOTHING : bytes_from("GET / HTTP/1.0\r\n");
    uint32_t seq = 1000 + prng_below(random, 2);
    pol_packet packet;

    switch (prng_below(random, 6)) {
    case 0:
        packet = packet_udp(src, src_port, dst, dst_port, payload);
        break;
    case 1:
        packet = packet_icmp(src, dst, prng_below(random, 2) ? 8 : 0, 0, 7);
        break;
    default:
        packet =
            packet_tcp(src, src_port, dst, dst_port, flags[prng_below(random, 4)], seq, payload);
        break;
    }
    if (prng_below(random, 10) == 0)
        packet = packet_fragment(&packet, prng_below(random, 4),
                                 8 * (uint16_t)prng_below(random, 3), true, bytes_from("12345678"));
    return prng_below(random, 3) || packet.marks & POL_MARK_FRAGMENT
               ? packet
               : packet_reply(&packet, POL_TCP_SYN | POL_TCP_ACK, seq, NOTHING);
}

enum { TRACE = 2000 };

Test(decide, batch_equals_one_by_one)
{
    static pol_packet trace[TRACE];
    static pol_verdict verdicts[TRACE];
    uint64_t random = 1;
    size_t done = 0;

    rig_options(&rig)->trust_all_resolvers = rig_options(&other)->trust_all_resolvers = true;
    rig_start(&rig, MIXED);
    rig_start(&other, MIXED);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 600);
    rig_learn(&other, "10.0.0.5", "a.example", "192.0.2.1", 600);
    for (size_t i = 0; i < TRACE; i++)
        trace[i] = some_packet(&random);
    while (done < TRACE) {
        size_t batch = 1 + prng_below(&random, 100);

        batch = batch < TRACE - done ? batch : TRACE - done;
        pol_worker_decide_batch(other.worker, trace + done, batch, other.now, verdicts + done);
        for (size_t i = done; i < done + batch; i++) {
            cr_assert_eq(rig_judge(&rig, &trace[i]), verdicts[i].action, "%zu", i);
            cr_assert_eq(memcmp(&rig.verdict, &verdicts[i], sizeof(rig.verdict)), 0, "%zu", i);
        }
        done += batch;
        rig.now = other.now += 700000000;
    }
    cr_assert_eq(pol_worker_flow_count(rig.worker), pol_worker_flow_count(other.worker));
}
