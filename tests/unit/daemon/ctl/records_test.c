/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/records.h"

#include <criterion/criterion.h>
#include <string.h>

#define CLIENT 0x0a0a0015u
#define SERVER 0xc633640au
#define GROUP  UINT64_C(77)

static struct records *records;
static pol_grant known[4];
static size_t known_count;
static pol_mono asked_at;
static uint64_t asked_group;
static pol_addr asked_addr;

static size_t names_of(void *user, uint64_t group_key, const pol_addr *addr, pol_mono now,
                       const pol_grant **ret_names)
{
    (void)user;
    asked_at = now;
    asked_group = group_key;
    asked_addr = *addr;
    *ret_names = known;
    return known_count;
}

static void know(const char *name)
{
    pol_grant *grant = &known[known_count++];

    grant->name_len = (uint8_t)strlen(name);
    strcpy(grant->name, name);
}

static void begin(void)
{
    pol_worker_options defaults;
    struct records_options options = {.names = names_of};

    pol_worker_options_init(&defaults, sizeof(defaults));
    options.idle = defaults.idle;
    records = records_new(&options);
    cr_assert_not_null(records);
}

static void end(void)
{
    records_free(records);
}

TestSuite(records, .init = begin, .fini = end);

static pol_addr addr(uint32_t number)
{
    return (pol_addr){4,
                      {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                       (uint8_t)number}};
}

static pol_packet packet(uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport)
{
    return (pol_packet){
        .kind = POL_PKT_IP,
        .tuple = {addr(src), addr(dst), sport, dport, 6},
        .ip_len = 100,
    };
}

static pol_verdict verdict(enum pol_action action, enum pol_reason reason, uint64_t flow,
                           uint32_t flags)
{
    return (pol_verdict){
        .action = (uint8_t)action,
        .raw_action = (uint8_t)action,
        .side = flags & POL_V_REPLY ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE,
        .reason = (uint16_t)reason,
        .flags = flags,
        .group = 0,
        .rule = POL_NONE,
        .group_key = GROUP,
        .flow = flow,
    };
}

static void out(pol_verdict given, uint64_t seconds)
{
    pol_packet sent = packet(CLIENT, 40000, SERVER, 443);

    records_packet(records, &sent, &given, seconds * POL_SECONDS);
}

static void in(pol_verdict given, uint64_t seconds)
{
    pol_packet sent = packet(SERVER, 443, CLIENT, 40000);

    records_packet(records, &sent, &given, seconds * POL_SECONDS);
}

static pol_verdict denied(void)
{
    return verdict(POL_DENY, POL_WHY_GROUP_DEFAULT, 0, 0);
}

static void happens(enum pol_event_kind kind, pol_verdict given, enum pol_end why, uint64_t seconds,
                    const char *sni)
{
    pol_event event = {
        .kind = (uint8_t)kind,
        .end = (uint8_t)why,
        .name_len = (uint8_t)strlen(sni),
        .tuple = packet(CLIENT, 40000, SERVER, 443).tuple,
        .verdict = given,
        .at = seconds * POL_SECONDS,
    };

    strcpy(event.name, sni);
    records_event(records, &event);
}

static const struct record *only(void)
{
    records_finish(records);
    cr_assert_eq(records_count(records), 1);
    return records_at(records, 0);
}

Test(records, both_directions_of_a_flow_are_one_record)
{
    const struct record *record;

    out(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_OPENED), 1);
    in(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_KNOWN | POL_V_REPLY), 2);
    out(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_KNOWN), 8000);
    record = only();
    cr_assert_eq(record->packets_out, 2);
    cr_assert_eq(record->packets_in, 1);
    cr_assert_eq(record->bytes_out, 200);
    cr_assert_eq(record->packets_dropped, 0);
    cr_assert_eq(record->tuple.dst_port, 443);
    cr_assert_eq(record->side, POL_SIDE_INSIDE);
    cr_assert_eq(record->first, POL_SECONDS);
    cr_assert_eq(record->last, 8000 * POL_SECONDS);
}

Test(records, flow_first_seen_by_its_reply_is_shown_as_it_was_opened)
{
    const struct record *record;

    in(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_OPENED | POL_V_REPLY), 1);
    record = only();
    cr_assert_eq(record->tuple.dst_port, 443);
    cr_assert_eq(record->side, POL_SIDE_INSIDE);
    cr_assert_eq(record->packets_in, 1);
}

Test(records, denied_packets_of_a_tuple_are_one_record_until_it_was_idle)
{
    out(denied(), 0);
    out(denied(), 29);
    out(denied(), 58);
    out(denied(), 88);
    records_finish(records);
    cr_assert_eq(records_count(records), 2);
    cr_assert_eq(records_at(records, 0)->packets_out, 3);
    cr_assert_eq(records_at(records, 0)->packets_dropped, 3);
    cr_assert_eq(records_at(records, 0)->bytes_dropped, 300);
    cr_assert_eq(records_at(records, 1)->packets_out, 1);
    cr_assert_eq(records_at(records, 1)->first, 88 * POL_SECONDS);
}

Test(records, reply_to_a_denied_packet_joins_it_and_changes_no_reason)
{
    const struct record *record;

    out(denied(), 0);
    in(verdict(POL_DENY, POL_WHY_DNS_UNSOLICITED, 0, POL_V_REPLY), 1);
    record = only();
    cr_assert_eq(record->packets_in, 1);
    cr_assert_eq(record->verdict.reason, POL_WHY_GROUP_DEFAULT);
}

Test(records, packets_from_outside_that_are_no_reply_stand_alone)
{
    out(denied(), 0);
    in(verdict(POL_DENY, POL_WHY_OUTSIDE, 0, 0), 1);
    records_finish(records);
    cr_assert_eq(records_count(records), 2);
    cr_assert_eq(records_at(records, 1)->tuple.src_port, 443);
}

Test(records, newest_verdict_of_a_denied_tuple_counts)
{
    out(denied(), 0);
    out(verdict(POL_DENY, POL_WHY_DNS_EXPIRED, 0, 0), 1);
    cr_assert_eq(only()->verdict.reason, POL_WHY_DNS_EXPIRED);
}

Test(records, vlans_are_apart)
{
    pol_packet tagged = packet(CLIENT, 40000, SERVER, 443);
    pol_verdict given = denied();

    tagged.vlan_count = 1;
    tagged.vlan[0] = 30;
    out(given, 0);
    records_packet(records, &tagged, &given, 0);
    records_finish(records);
    cr_assert_eq(records_count(records), 2);
    cr_assert_eq(records_at(records, 1)->vlan, 30);
}

Test(records, icmp_types_without_an_entry_are_apart)
{
    pol_packet echo = packet(CLIENT, 1, SERVER, 0);
    pol_verdict given = denied();

    echo.tuple.proto = 1;
    echo.icmp_type = 8;
    records_packet(records, &echo, &given, 0);
    echo.icmp_type = 13;
    records_packet(records, &echo, &given, 0);
    records_finish(records);
    cr_assert_eq(records_count(records), 2);
    cr_assert_eq(records_at(records, 0)->icmp_type, 8);
}

static void piece(uint32_t id, uint16_t offset, pol_verdict given)
{
    pol_packet sent = packet(CLIENT, offset ? 0 : 40000, SERVER, offset ? 0 : 443);

    sent.marks = POL_MARK_FRAGMENT | (offset ? POL_MARK_NO_L4 : 0);
    sent.frag_id = id;
    sent.frag_offset = offset;
    records_packet(records, &sent, &given, 0);
}

Test(records, fragments_join_the_record_of_their_first)
{
    piece(1, 0, denied());
    piece(1, 1480, verdict(POL_DENY, POL_WHY_FRAGMENT, 0, 0));
    cr_assert_eq(only()->packets_out, 2);
    cr_assert_eq(only()->verdict.reason, POL_WHY_GROUP_DEFAULT);
}

Test(records, fragment_without_its_first_stands_alone)
{
    piece(1, 0, denied());
    piece(2, 1480, verdict(POL_DENY, POL_WHY_FRAGMENT, 0, 0));
    records_finish(records);
    cr_assert_eq(records_count(records), 2);
    cr_assert_eq(records_at(records, 1)->tuple.dst_port, 0);
}

Test(records, icmp_error_counts_where_it_goes)
{
    pol_packet error = packet(SERVER + 1, 0, CLIENT, 0);
    pol_verdict given = verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_KNOWN | POL_V_RELATED);

    out(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_OPENED), 0);
    error.tuple.proto = 1;
    error.icmp_type = 3;
    records_packet(records, &error, &given, 1);
    cr_assert_eq(only()->packets_out, 1);
    cr_assert_eq(only()->packets_in, 1);
}

Test(records, pending_packets_are_counted_apart)
{
    out(verdict(POL_PENDING, POL_WHY_NEED_TLS, 9, POL_V_OPENED), 0);
    out(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_KNOWN), 0);
    cr_assert_eq(only()->packets_pending, 1);
    cr_assert_eq(only()->bytes_pending, 100);
    cr_assert_eq(records_totals(records)->forwarded, 2);
}

Test(records, event_corrects_the_rule_and_brings_the_server_name)
{
    pol_verdict corrected = verdict(POL_ALLOW, POL_WHY_RULE, 9, 0);

    out(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_OPENED), 0);
    corrected.rule = 3;
    happens(POL_EV_FLOW_UPDATE, corrected, POL_END_NONE, 1, "a.example");
    cr_assert_eq(only()->verdict.rule, 3);
    cr_assert_str_eq(only()->sni, "a.example");
}

Test(records, flow_denied_on_later_facts_stays_denied_for_that_reason)
{
    const struct record *record;

    out(verdict(POL_PENDING, POL_WHY_NEED_TLS, 9, POL_V_OPENED), 0);
    happens(POL_EV_FLOW_END, verdict(POL_DENY, POL_WHY_SNI_MISMATCH, 9, 0), POL_END_POLICY, 1,
            "b.example");
    out(verdict(POL_DENY, POL_WHY_DENIED_FLOW, 9, POL_V_KNOWN), 2);
    happens(POL_EV_FLOW_END, verdict(POL_DENY, POL_WHY_DENIED_FLOW, 9, 0), POL_END_IDLE, 62, "");
    record = only();
    cr_assert_eq(record->verdict.reason, POL_WHY_SNI_MISMATCH);
    cr_assert_eq(record->packets_out, 2);
    cr_assert_eq(record->packets_dropped, 1);
    cr_assert_str_eq(record->sni, "b.example");
}

Test(records, names_are_those_known_when_the_flow_ends)
{
    pol_addr server = addr(SERVER);

    out(verdict(POL_ALLOW, POL_WHY_RULE, 9, POL_V_OPENED), 0);
    know("www.example.com");
    know("a.example.org");
    know("www.example.com");
    happens(POL_EV_FLOW_END, verdict(POL_ALLOW, POL_WHY_RULE, 9, 0), POL_END_FIN, 5, "");
    cr_assert_eq(asked_at, 5 * POL_SECONDS);
    cr_assert_eq(asked_group, GROUP);
    cr_assert_eq(memcmp(&asked_addr, &server, sizeof(server)), 0);
    cr_assert_eq(only()->names_len, sizeof("www.example.com") + sizeof("a.example.org"));
    cr_assert_eq(memcmp(only()->names, "www.example.com\0a.example.org", only()->names_len), 0);
}

Test(records, names_of_a_denied_tuple_are_those_at_its_newest_packet)
{
    out(denied(), 0);
    cr_assert_eq(only()->names_len, 0);
    know("www.example.com");
    out(denied(), 1);
    cr_assert_str_eq(only()->names, "www.example.com");
}

Test(records, frames_without_ip_are_counted_by_their_kind)
{
    pol_packet arp = {.kind = POL_PKT_NOT_IP, .ether_type = 0x0806};
    pol_packet lldp = {.kind = POL_PKT_NOT_IP, .ether_type = 0x88cc};
    pol_packet ipx = {.kind = POL_PKT_NOT_IP, .ether_type = 0x8137};
    pol_packet broken = {.kind = POL_PKT_BROKEN};
    pol_packet stump = {.kind = POL_PKT_IP, .marks = POL_MARK_MALFORMED};
    pol_verdict pass = verdict(POL_ALLOW, POL_WHY_LINK, 0, 0);
    pol_verdict drop = verdict(POL_DENY, POL_WHY_NOT_IP, 0, 0);
    const struct records_totals *totals = records_totals(records);

    records_packet(records, &arp, &pass, 0);
    records_packet(records, &lldp, &pass, 0);
    records_packet(records, &ipx, &drop, 0);
    records_packet(records, &broken, &drop, 0);
    records_packet(records, &stump, &drop, 0);
    out(denied(), 0);
    cr_assert_eq(totals->arp, 1);
    cr_assert_eq(totals->link_control, 1);
    cr_assert_eq(totals->not_ip, 1);
    cr_assert_eq(totals->broken, 2);
    cr_assert_eq(totals->in_flows, 1);
    cr_assert_eq(totals->forwarded, 2);
    cr_assert_eq(totals->dropped, 4);
    cr_assert_eq(records_count(records), 1);
}

Test(records, queries_stand_where_they_were_asked)
{
    pol_event query = {
        .kind = POL_EV_DNS, .first = POL_SECONDS, .at = 4 * POL_SECONDS, .name = "a"};

    out(denied(), 0);
    in(denied(), 2);
    query.answers[0] = addr(SERVER);
    query.answer_count = 1;
    records_event(records, &query);
    records_finish(records);
    cr_assert_eq(records_count(records), 3);
    cr_assert_eq(records_at(records, 1)->kind, RECORD_DNS);
    cr_assert_str_eq(records_at(records, 1)->dns->name, "a");
    cr_assert_eq(records_at(records, 1)->dns->answers[0].family, 4);
    cr_assert_eq(records_at(records, 1)->last, 4 * POL_SECONDS);
}

Test(records, many_flows_are_all_found_again)
{
    pol_verdict given = denied();

    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            pol_packet sent = packet(CLIENT + i, (uint16_t)i, SERVER, 443);

            given.flow = i % 2 ? i : 0;
            records_packet(records, &sent, &given, round);
        }
    }
    records_finish(records);
    cr_assert_eq(records_count(records), 5000);
    for (size_t i = 0; i < 5000; i++) {
        cr_assert_eq(records_at(records, i)->packets_out, 2);
        cr_assert_eq(records_at(records, i)->tuple.src_port, i);
    }
}

Test(records, how_a_denial_is_told_is_no_verdict)
{
    cr_assert_str_eq(record_verdict_word(POL_REJECT), "deny");
    cr_assert_str_eq(record_verdict_word(POL_ANSWER), "deny");
    cr_assert_str_eq(record_verdict_word(POL_INTERCEPT), "intercept");
}
