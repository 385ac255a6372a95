/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <stdio.h>

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(control, .fini = teardown);

#define NOTHING   ((pol_bytes){NULL, 0})
#define DENY_ALL  "{'default_policy':'deny'}"
#define ALLOW_ALL "{'default_policy':'allow'}"
#define CLIENTS                                                                                    \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/24']},'rules':["   \
    "{'id':'tv','action':'allow','match':{'dst_cidrs':['239.1.0.0/16'],'proto':'udp',"             \
    "'dst_ports':[5000]}}]}]}"

static pol_packet from(pol_packet packet, enum pol_side side)
{
    packet.side = (uint8_t)side;
    return packet;
}

static void expect_counted(unsigned kind, const char *action, uint64_t value)
{
    char labels[64];

    snprintf(labels, sizeof(labels), "kind=\"%s\",action=\"%s\"", pol_control_word(kind), action);
    cr_expect_eq(rig_counter(&rig, "policyd_control_frames_total", labels), value, "%s", labels);
}

Test(control, words_are_known_and_bounded)
{
    cr_expect_str_eq(pol_control_word(POL_CONTROL_ARP), "arp");
    cr_expect_str_eq(pol_control_word(POL_CONTROL_OTHER), "other");
    cr_expect_str_eq(pol_control_word(POL_CONTROL_COUNT), "unknown");
}

static int new_with(unsigned kind, uint8_t policy)
{
    pol_worker_options options;
    int rc;

    pol_worker_options_init(&options, sizeof(options));
    options.control[kind] = policy;
    rc = pol_worker_new(rig.ctx, &options, &rig.worker);
    pol_worker_free(rig.worker);
    rig.worker = NULL;
    return rc;
}

Test(control, what_cannot_be_done_with_a_kind_is_refused)
{
    static const bool judged[] = {
        [POL_CONTROL_NDP] = true,    [POL_CONTROL_GROUPS] = true,    [POL_CONTROL_DHCP] = true,
        [POL_CONTROL_DHCPV6] = true, [POL_CONTROL_MULTICAST] = true, [POL_CONTROL_OTHER] = false};

    cr_assert_eq(pol_ctx_new(NULL, &rig.ctx), POL_OK);
    for (unsigned kind = 0; kind < POL_CONTROL_COUNT; kind++) {
        cr_expect_eq(new_with(kind, POL_CONTROL_PASS), POL_OK, "%u", kind);
        cr_expect_eq(new_with(kind, POL_CONTROL_DROP), POL_OK, "%u", kind);
        cr_expect_eq(new_with(kind, POL_CONTROL_JUDGE), judged[kind] ? POL_OK : POL_E_INVALID, "%u",
                     kind);
        cr_expect_eq(new_with(kind, POL_CONTROL_DROP + 1), POL_E_INVALID, "%u", kind);
    }
    for (unsigned kind = POL_CONTROL_COUNT; kind < 16; kind++)
        cr_expect_eq(new_with(kind, POL_CONTROL_JUDGE), POL_E_INVALID, "%u", kind);
}

static const struct {
    uint16_t ether_type;
    const char *payload;
    enum pol_control kind;
} frames[] = {
    {0x0806, "", POL_CONTROL_ARP},
    {0x888e, "", POL_CONTROL_EAPOL},
    {0x88cc, "", POL_CONTROL_LLDP},
    {0, "\x42\x42\x03", POL_CONTROL_STP},
    {0, "\x42\x42", POL_CONTROL_OTHER},
    {0, "\x42\x42\x13", POL_CONTROL_OTHER},
    {0, "\xaa\xaa\x03", POL_CONTROL_OTHER},
    {0x88c7, "", POL_CONTROL_OTHER},
    {0x8847, "\x42\x42\x03", POL_CONTROL_OTHER},
};

Test(control, every_frame_without_ip_is_of_one_kind)
{
    rig_start(&rig, DENY_ALL);
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        bool other = frames[i].kind == POL_CONTROL_OTHER;
        pol_packet packet = {.kind = POL_PKT_NOT_IP,
                             .ether_type = frames[i].ether_type,
                             .payload = bytes_from(frames[i].payload)};
        char labels[64];
        uint64_t before;

        snprintf(labels, sizeof(labels), "kind=\"%s\"", pol_control_word(frames[i].kind));
        before = rig_counter(&rig, "policyd_control_frames_total", labels);
        cr_expect_eq(rig_judge(&rig, &packet), other ? POL_DENY : POL_ALLOW, "%zu", i);
        cr_expect_eq(rig.verdict.reason, other ? POL_WHY_NOT_IP : POL_WHY_LINK, "%zu", i);
        cr_expect_eq(rig_counter(&rig, "policyd_control_frames_total", labels), before + 1, "%zu",
                     i);
    }
}

Test(control, frames_without_ip_follow_their_setting)
{
    pol_packet arp = {.kind = POL_PKT_NOT_IP, .ether_type = 0x0806};
    pol_packet mpls = {.kind = POL_PKT_NOT_IP, .ether_type = 0x8847};

    rig_options(&rig)->control[POL_CONTROL_ARP] = POL_CONTROL_DROP;
    rig_options(&rig)->control[POL_CONTROL_OTHER] = POL_CONTROL_PASS;
    rig_start(&rig, ALLOW_ALL);
    cr_expect_eq(rig_judge(&rig, &arp), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_LINK);
    cr_expect_eq(rig_judge(&rig, &mpls), POL_ALLOW);
    expect_counted(POL_CONTROL_ARP, "drop", 1);
    expect_counted(POL_CONTROL_OTHER, "pass", 1);
}

/* Neighbour discovery and MLD, as the parser leaves them. */
static pol_packet icmp6(const char *src, uint8_t type, uint8_t hop_limit, uint32_t marks)
{
    pol_packet packet = packet_icmp(src, "ff02::1", type, 0, 0);

    packet.hop_limit = hop_limit;
    packet.marks |= marks;
    return packet;
}

#define LOCAL  "fe80::1"
#define GLOBAL "2001:db8::1"

static const struct {
    const char *src;
    uint8_t type, code, hop_limit;
    uint32_t marks;
    uint8_t side;
    enum pol_reason reason; /* LINK with `passes`, or why it is dropped */
    bool passes;
} discovery[] = {
    {GLOBAL, 133, 0, 255, 0, POL_SIDE_INSIDE, POL_WHY_LINK, true},
    {GLOBAL, 135, 0, 255, 0, POL_SIDE_OUTSIDE, POL_WHY_LINK, true},
    {GLOBAL, 136, 0, 255, 0, POL_SIDE_INSIDE, POL_WHY_LINK, true},
    {GLOBAL, 136, 0, 64, 0, POL_SIDE_INSIDE, POL_WHY_LINK, false},
    {GLOBAL, 136, 1, 255, 0, POL_SIDE_INSIDE, POL_WHY_LINK, false},
    {GLOBAL, 136, 0, 255, POL_MARK_FRAGMENT, POL_SIDE_INSIDE, POL_WHY_LINK, false},
    {LOCAL, 134, 0, 255, 0, POL_SIDE_OUTSIDE, POL_WHY_LINK, true},
    {LOCAL, 134, 0, 255, 0, POL_SIDE_UNKNOWN, POL_WHY_LINK, true},
    {LOCAL, 134, 0, 255, 0, POL_SIDE_INSIDE, POL_WHY_WRONG_SIDE, false},
    {LOCAL, 134, 0, 254, 0, POL_SIDE_OUTSIDE, POL_WHY_LINK, false},
    {GLOBAL, 134, 0, 255, 0, POL_SIDE_OUTSIDE, POL_WHY_LINK, false},
    {LOCAL, 137, 0, 255, 0, POL_SIDE_OUTSIDE, POL_WHY_LINK, true},
    {LOCAL, 137, 0, 255, 0, POL_SIDE_INSIDE, POL_WHY_WRONG_SIDE, false},
    {GLOBAL, 137, 0, 255, 0, POL_SIDE_OUTSIDE, POL_WHY_LINK, false},
    {LOCAL, 130, 0, 1, POL_MARK_OPTIONS, POL_SIDE_OUTSIDE, POL_WHY_LINK, true},
    {LOCAL, 131, 0, 1, POL_MARK_OPTIONS, POL_SIDE_INSIDE, POL_WHY_LINK, true},
    {"::", 143, 0, 1, POL_MARK_OPTIONS, POL_SIDE_INSIDE, POL_WHY_LINK, true},
    {LOCAL, 143, 0, 1, 0, POL_SIDE_INSIDE, POL_WHY_LINK, false},
    {LOCAL, 132, 0, 2, POL_MARK_OPTIONS, POL_SIDE_INSIDE, POL_WHY_LINK, false},
    {GLOBAL, 143, 0, 1, POL_MARK_OPTIONS, POL_SIDE_INSIDE, POL_WHY_LINK, false},
    {LOCAL, 143, 0, 1, POL_MARK_OPTIONS | POL_MARK_FRAGMENT, POL_SIDE_INSIDE, POL_WHY_LINK, false},
};

Test(control, ipv6_link_control_passes_as_what_it_claims_to_be)
{
    rig_options(&rig)->reject_inside = true;
    rig_start(&rig, ALLOW_ALL);
    for (size_t i = 0; i < sizeof(discovery) / sizeof(*discovery); i++) {
        pol_packet packet =
            icmp6(discovery[i].src, discovery[i].type, discovery[i].hop_limit, discovery[i].marks);

        packet.side = discovery[i].side;
        packet.icmp_code = discovery[i].code;
        cr_expect_eq(rig_judge(&rig, &packet), discovery[i].passes ? POL_ALLOW : POL_DENY, "%zu",
                     i);
        cr_expect_eq(rig.verdict.reason, discovery[i].reason, "%zu", i);
        cr_expect_eq(rig.verdict.flow, 0, "%zu", i);
    }
}

Test(control, link_control_passes_before_there_is_a_policy)
{
    pol_packet ask = icmp6(GLOBAL, 135, 255, 0);
    pol_packet talk =
        from(packet_udp("192.0.2.9", 5353, "224.0.0.251", 5353, NOTHING), POL_SIDE_OUTSIDE);

    rig_start(&rig, ALLOW_ALL);
    cr_assert_eq(pol_worker_use(rig.worker, NULL, 2), POL_OK);
    cr_expect_eq(rig_judge(&rig, &ask), POL_ALLOW);
    cr_expect_eq(rig_judge(&rig, &talk), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_NO_POLICY);
}

Test(control, judged_kinds_are_ordinary_packets)
{
    pol_packet ask = icmp6(GLOBAL, 135, 64, 0);
    pol_packet answer = from(icmp6(GLOBAL, 136, 255, 0), POL_SIDE_OUTSIDE);

    rig_options(&rig)->control[POL_CONTROL_NDP] = POL_CONTROL_JUDGE;
    rig_start(&rig, ALLOW_ALL);
    cr_expect_eq(rig_judge(&rig, &ask), POL_ALLOW);
    cr_expect_eq(rig.verdict.reason, POL_WHY_POLICY_DEFAULT);
    cr_expect(rig.verdict.flags & POL_V_OPENED);
    cr_expect_eq(rig_judge(&rig, &answer), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_OUTSIDE);
    expect_counted(POL_CONTROL_NDP, "judge", 2);
    expect_counted(POL_CONTROL_NDP, "drop", 0);
}

/* --- multicast ------------------------------------------------------------------------------- */

static pol_packet report(const char *member, const char *octets, size_t len)
{
    pol_packet packet =
        packet_proto(member, "239.1.1.1", 2, (pol_bytes){(const uint8_t *)octets, len});

    packet.hop_limit = 1;
    return packet;
}

#define JOIN  "\x16\0\0\0\xef\1\1\1"
#define LEAVE "\x17\0\0\0\xef\1\1\1"

static void say(const char *member, const char *octets, enum pol_side side)
{
    pol_packet packet = from(report(member, octets, 8), side);

    cr_assert_eq(rig_judge(&rig, &packet), POL_ALLOW);
}

static enum pol_action stream(uint16_t port, uint16_t vlan)
{
    pol_packet packet =
        from(packet_udp("192.0.2.9", 4000, "239.1.1.1", port, NOTHING), POL_SIDE_OUTSIDE);

    packet.vlan_count = vlan != 0;
    packet.vlan[0] = vlan;
    return rig_judge(&rig, &packet);
}

Test(control, a_stream_reaches_only_a_member_whom_a_rule_allows_it)
{
    rig_options(&rig)->control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
    rig_start(&rig, CLIENTS);
    cr_expect_eq(stream(5000, 0), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_OUTSIDE, "nobody has joined");
    say("10.0.0.5", JOIN, POL_SIDE_OUTSIDE);
    cr_expect_eq(stream(5000, 0), POL_DENY, "a report from outside is none of ours");
    say("10.9.9.9", JOIN, POL_SIDE_INSIDE);
    cr_expect_eq(stream(5000, 0), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_POLICY_DEFAULT, "no rule for that member");
    say("10.0.0.5", JOIN, POL_SIDE_INSIDE);
    cr_expect_eq(stream(5000, 0), POL_ALLOW);
    cr_expect_eq(rig.verdict.rule, 0);
    cr_expect_eq(rig.verdict.flow, 0);
    cr_expect_eq(stream(5001, 0), POL_DENY, "another port");
    cr_expect_eq(stream(5000, 7), POL_DENY, "another VLAN");
    say("10.0.0.5", LEAVE, POL_SIDE_INSIDE);
    cr_expect_eq(stream(5000, 0), POL_DENY);
    say("10.0.0.5", JOIN, POL_SIDE_INSIDE);
    rig.now += 259 * POL_SECONDS;
    cr_expect_eq(stream(5000, 0), POL_ALLOW);
    rig.now += POL_SECONDS;
    cr_expect_eq(stream(5000, 0), POL_DENY, "a membership that nobody renewed");
    cr_expect_eq(pol_worker_flow_count(rig.worker), 0);
}

Test(control, pieces_of_a_stream_follow_their_first)
{
    pol_packet whole = packet_udp("192.0.2.9", 4000, "239.1.1.1", 5000, NOTHING);
    pol_packet first =
        from(packet_fragment(&whole, 7, 0, true, bytes_from("12345678")), POL_SIDE_OUTSIDE);
    pol_packet last = from(packet_fragment(&whole, 7, first.frag_len, false, bytes_from("1234")),
                           POL_SIDE_OUTSIDE);

    rig_options(&rig)->control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
    rig_start(&rig, CLIENTS);
    cr_expect_eq(rig_judge(&rig, &last), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_FRAGMENT);
    say("10.0.0.5", JOIN, POL_SIDE_INSIDE);
    cr_expect_eq(rig_judge(&rig, &first), POL_ALLOW);
    cr_expect_eq(rig_judge(&rig, &last), POL_ALLOW);
}

Test(control, a_membership_that_the_list_denies_is_none)
{
    pol_packet join = report("10.0.0.5", JOIN, 8);

    rig_options(&rig)->control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
    rig_options(&rig)->control[POL_CONTROL_GROUPS] = POL_CONTROL_JUDGE;
    rig_start(&rig, CLIENTS);
    cr_expect_eq(rig_judge(&rig, &join), POL_DENY);
    cr_expect_eq(stream(5000, 0), POL_DENY);
    rig_use(&rig, ALLOW_ALL);
    cr_expect_eq(rig_judge(&rig, &join), POL_ALLOW);
    cr_expect_eq(stream(5000, 0), POL_ALLOW);
    expect_counted(POL_CONTROL_GROUPS, "judge", 2);
    expect_counted(POL_CONTROL_MULTICAST, "judge", 2);
}

Test(control, memberships_make_room_for_each_other)
{
    rig_options(&rig)->control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
    rig_options(&rig)->member_capacity = 1;
    rig_start(&rig, CLIENTS);
    say("10.0.0.5", JOIN, POL_SIDE_INSIDE);
    say("10.0.0.6", "\x16\0\0\0\xef\1\1\2", POL_SIDE_INSIDE);
    cr_expect_eq(stream(5000, 0), POL_DENY);
    cr_expect_eq(rig_counter(&rig, "policyd_control_evictions_total", ""), 1);
}

Test(control, an_audit_denial_lets_a_stream_pass_and_is_found)
{
    rig_options(&rig)->control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
    rig_start(&rig,
              "{'source_groups':[{'id':'g','mode':'audit','sources':{'cidrs':['10.0.0.0/24']},"
              "'default_action':'deny'}]}");
    say("10.0.0.5", JOIN, POL_SIDE_INSIDE);
    cr_expect_eq(stream(5000, 0), POL_ALLOW);
    cr_expect(rig.verdict.flags & POL_V_AUDIT);
    rig_drain(&rig);
    cr_assert_not_null(rig_event(&rig, POL_EV_DENY));
}

/* --- what the host itself owns ---------------------------------------------------------------- */

static const pol_addr own[] = {{4, {192, 0, 2, 1}}, {6, {0x20, 1, 0xd, 0xb8, [15] = 1}}};

#define NAMED                                                                                      \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8','fd00::/8']},"  \
    "'rules':[{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}},"             \
    "{'id':'l','action':'allow','match':{'dns_hostname':'^b\\\\.example$',"                        \
    "'dst_cidrs':['192.0.2.0/24']}}]}]}"

Test(control, a_name_opens_an_address_of_our_own_only_where_a_rule_lists_it)
{
    pol_packet to_own = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet to_other = rig_syn("10.0.0.5", 40000, "192.0.2.2", 443);
    pol_packet to_own6 = rig_syn("fd00::5", 40000, "2001:db8::1", 443);
    pol_packet translated = rig_syn("fd00::5", 40000, "64:ff9b::192.0.2.1", 443);

    rig_options(&rig)->own = own;
    rig_options(&rig)->own_count = 2;
    rig_start(&rig, NAMED);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.2", 60);
    rig_learn(&rig, "fd00::5", "a.example", "2001:db8::1", 60);
    rig_learn(&rig, "fd00::5", "a.example", "64:ff9b::192.0.2.1", 60);
    cr_expect_eq(rig_judge(&rig, &to_own), POL_DENY);
    cr_expect_eq(rig_judge(&rig, &to_other), POL_ALLOW);
    cr_expect_eq(rig_judge(&rig, &to_own6), POL_DENY);
    cr_expect_eq(rig_judge(&rig, &translated), POL_DENY);
    rig_learn(&rig, "10.0.0.5", "b.example", "192.0.2.1", 60);
    cr_expect_eq(rig_judge(&rig, &to_own), POL_ALLOW);
}
