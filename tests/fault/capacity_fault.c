/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every table far beyond its capacity, while no memory can be had: what is refused is refused with
 * a reason and counted, what must stay stays, and once the pressure is over there is room again.
 * The scenarios capacity-*.scn show the first entry too many of each; here there are hundreds.
 */
#include <stdio.h>
#include <string.h>

#include "bed.h"

enum { TOO_MANY = 500 };

static const pol_bytes none = {NULL, 0};

static const char allow_all[] = "{'default_policy':'allow'}";
static const char by_name[] =
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["
    "{'id':'n','action':'allow','match':{'dns_hostname':'^n[0-9]+\\\\.ex.mple$'}}]}]}";
static const char by_sni[] =
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["
    "{'id':'t','action':'allow','match':{'proto':'tcp','tls':{'sni':{'exact':['a.example']}}}}]}]}";

/* Nothing may be asked for meanwhile. */
static void no_memory(void)
{
    fault_starve();
}

static void memory_again(void)
{
    EXPECT(fault_counted() == 0);
}

static pol_packet syn_of(unsigned number)
{
    return bed_syn("10.0.0.5", 1000 + number, "192.0.2.1", 443);
}

static void establish(struct bed *bed, unsigned number)
{
    pol_packet syn = syn_of(number);

    EXPECT(bed_judge(bed, syn) == POL_ALLOW);
    EXPECT(bed_judge(bed, bed_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, none)) == POL_ALLOW);
    EXPECT(bed_judge(bed, bed_data(&syn, none)) == POL_ALLOW);
}

static bool goes_on(struct bed *bed, unsigned number)
{
    pol_packet syn = syn_of(number);

    return bed_judge(bed, bed_data(&syn, bytes_from("more"))) == POL_ALLOW &&
           bed->verdict.flags & POL_V_KNOWN;
}

static void open_flows_outlast_a_flood(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.flow_capacity;

    bed_open(&bed, allow_all);
    no_memory();
    for (unsigned i = 0; i < capacity; i++)
        establish(&bed, i);
    for (unsigned i = 0; i < TOO_MANY; i++) {
        EXPECT(bed_judge(&bed, syn_of(capacity + i)) == POL_DENY);
        EXPECT(bed_says(&bed, POL_DENY, POL_WHY_FLOWS_FULL));
    }
    for (unsigned i = 0; i < capacity; i++)
        EXPECT(goes_on(&bed, i));
    memory_again();
    EXPECT(bed_counter(&bed, "dp_flow_cap_rejections_total", "") == TOO_MANY);
    EXPECT(bed_counter(&bed, "policyd_denies_total", "reason=\"flows_full\"") == TOO_MANY);
    EXPECT(pol_worker_flow_count(bed.worker) == capacity);
    bed.now += bed.options.idle.tcp_established + 2 * POL_SECONDS;
    EXPECT(pol_worker_tick(bed.worker, bed.now, SIZE_MAX) >= capacity);
    for (unsigned i = 0; i < capacity; i++)
        establish(&bed, 2000 + i);
    bed_close(&bed);
}

static void half_open_flows_make_room(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.flow_capacity;

    bed_open(&bed, allow_all);
    no_memory();
    establish(&bed, 0);
    for (unsigned i = 1; i < capacity + TOO_MANY; i++)
        EXPECT(bed_judge(&bed, syn_of(i)) == POL_ALLOW);
    EXPECT(goes_on(&bed, 0));
    memory_again();
    EXPECT(pol_worker_flow_count(bed.worker) == capacity);
    EXPECT(bed_counter(&bed, "policyd_flow_evictions_total", "") == TOO_MANY);
    EXPECT(bed_counter(&bed, "dp_flow_closes_total", "reason=\"evicted\"") == TOO_MANY);
    bed_close(&bed);
}

static pol_packet hello_part(unsigned number, size_t from, size_t to)
{
    pol_packet syn = syn_of(number), part;
    pol_bytes hello = bed_hello("a.example");

    if (to > hello.len)
        to = hello.len;
    part = bed_data(&syn, (pol_bytes){hello.ptr + from, to - from});
    part.tcp_seq += (uint32_t)from;
    return part;
}

static void begin_hello(struct bed *bed, unsigned number)
{
    EXPECT(bed_judge(bed, syn_of(number)) == POL_PENDING);
    bed_judge(bed, hello_part(number, 0, 40));
}

/* The server has it: only then its room is free. */
static void end_hello(struct bed *bed, unsigned number)
{
    pol_packet syn = syn_of(number), ack = bed_reply(&syn, POL_TCP_ACK, none);

    EXPECT(bed_judge(bed, hello_part(number, 40, SIZE_MAX)) == POL_ALLOW);
    ack.tcp_ack += (uint32_t)bed_hello("a.example").len;
    EXPECT(bed_judge(bed, ack) == POL_ALLOW);
}

static void hellos_under_way_are_finished(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.pending_capacity;

    bed.options.flow_capacity = 1024;
    bed_open(&bed, by_sni);
    no_memory();
    for (unsigned i = 0; i < capacity; i++)
        begin_hello(&bed, i);
    for (unsigned i = 0; i < TOO_MANY; i++) {
        begin_hello(&bed, capacity + i);
        EXPECT(bed_says(&bed, POL_DENY, POL_WHY_PENDING_FULL));
    }
    for (unsigned i = 0; i < capacity; i++)
        end_hello(&bed, i);
    for (unsigned i = 0; i < capacity; i++) {
        begin_hello(&bed, 2000 + i);
        EXPECT(bed_says(&bed, POL_PENDING, POL_WHY_NEED_TLS));
        end_hello(&bed, 2000 + i);
    }
    memory_again();
    EXPECT(bed_counter(&bed, "dp_pending_tls_cap_rejections_total", "") == TOO_MANY);
    bed_close(&bed);
}

/* Which queries of `count` are still known by their answers. */
static unsigned answered(struct bed *bed, unsigned from, unsigned to)
{
    unsigned known = 0;

    for (unsigned i = from; i < to; i++) {
        pol_packet query = bed_query("10.0.0.5", 2000 + i, "n1.example", i);

        known += bed_judge(bed, bed_answer(&query, "n1.example", "192.0.2.9")) == POL_ALLOW;
    }
    return known;
}

static void the_newest_queries_are_answered(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.query_capacity;

    bed_open(&bed, by_name);
    no_memory();
    for (unsigned i = 0; i < TOO_MANY; i++)
        EXPECT(bed_judge(&bed, bed_query("10.0.0.5", 2000 + i, "n1.example", i)) == POL_ALLOW);
    EXPECT(answered(&bed, 0, TOO_MANY - capacity) == 0);
    EXPECT(bed_says(&bed, POL_DENY, POL_WHY_DNS_UNSOLICITED));
    EXPECT(answered(&bed, TOO_MANY - capacity, TOO_MANY) == capacity);
    memory_again();
    EXPECT(bed_counter(&bed, "policyd_dns_unsolicited_total", "") == TOO_MANY - capacity);
    bed_close(&bed);
}

/* Half a message: its stream has to be kept. */
static enum pol_action half_query(struct bed *bed, unsigned number)
{
    pol_packet syn = bed_syn("10.0.0.5", 3000 + number, "192.0.2.53", 53);

    EXPECT(bed_judge(bed, syn) == POL_ALLOW);
    EXPECT(bed_judge(bed, bed_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, none)) == POL_ALLOW);
    return bed_judge(bed, bed_data(&syn, (pol_bytes){(const uint8_t *)"\0", 1}));
}

static void dns_streams_that_stand_still_make_room_in_time(void)
{
    struct bed bed = bed_of();
    unsigned capacity = 2 * bed.options.stream_capacity;

    bed.options.flow_capacity = 1024;
    bed_open(&bed, by_name);
    no_memory();
    for (unsigned i = 0; i < capacity; i++)
        EXPECT(half_query(&bed, i) == POL_ALLOW);
    for (unsigned i = 0; i < TOO_MANY; i++) {
        EXPECT(half_query(&bed, capacity + i) == POL_DENY);
        EXPECT(bed_says(&bed, POL_DENY, POL_WHY_PENDING_FULL));
    }
    bed.now += 3600 * POL_SECONDS;
    pol_worker_tick(bed.worker, bed.now, SIZE_MAX);
    for (unsigned i = 0; i < capacity; i++)
        EXPECT(half_query(&bed, 2000 + i) == POL_ALLOW);
    memory_again();
    EXPECT(bed_counter(&bed, "policyd_denies_total", "reason=\"pending_full\"") == TOO_MANY);
    bed_close(&bed);
}

static enum pol_action fragment(struct bed *bed, unsigned id, bool first)
{
    pol_packet whole = packet_udp("10.0.0.5", 4000, "192.0.2.1", 9, none);

    return bed_judge(bed,
                     packet_fragment(&whole, id, first ? 0 : 1480, first, bytes_from("piece")));
}

static void the_newest_datagrams_are_put_together(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.fragment_capacity;

    bed_open(&bed, allow_all);
    no_memory();
    for (unsigned i = 0; i < TOO_MANY; i++)
        EXPECT(fragment(&bed, i, true) == POL_ALLOW);
    for (unsigned i = 0; i < TOO_MANY - capacity; i++) {
        EXPECT(fragment(&bed, i, false) == POL_DENY);
        EXPECT(bed_says(&bed, POL_DENY, POL_WHY_FRAGMENT));
    }
    for (unsigned i = TOO_MANY - capacity; i < TOO_MANY; i++)
        EXPECT(fragment(&bed, i, false) == POL_ALLOW);
    memory_again();
    EXPECT(bed_counter(&bed, "dp_ipv4_fragments_dropped_total", "") == TOO_MANY - capacity);
    bed_close(&bed);
}

static void events_that_are_lost_are_counted(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.event_capacity;
    pol_event event;

    bed_open(&bed, "{'default_policy':'deny'}");
    no_memory();
    for (unsigned i = 0; i < TOO_MANY; i++)
        EXPECT(bed_judge(&bed, syn_of(i)) == POL_DENY);
    EXPECT(bed_events(&bed, POL_EV_DENY, &event) == capacity);
    EXPECT(event.tuple.src_port == 1000 + capacity - 1); /* the oldest were kept */
    bed_judge(&bed, syn_of(9999));
    EXPECT(bed_events(&bed, POL_EV_DENY, &event) == 1);
    EXPECT(event.tuple.src_port == 1000 + 9999);
    memory_again();
    EXPECT(bed_counter(&bed, "policyd_events_dropped_total", "") == TOO_MANY - capacity);
    EXPECT(bed_counter(&bed, "policyd_denies_total", "reason=\"policy_default\"") == TOO_MANY + 1);
    bed_close(&bed);
}

static uint64_t ask_many(struct bed *bed)
{
    uint64_t digest = 0;
    char name[32];

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < TOO_MANY; i++) {
            snprintf(name, sizeof(name), "%s%u.example", i % 3 ? "n" : "m", i);
            digest = digest * 31 + (uint64_t)bed_ask(bed, "10.0.0.5", name);
        }
    }
    return digest;
}

static void a_small_memo_decides_like_a_large_one(void)
{
    struct bed small = bed_of(), large = bed_of();

    small.options.memo_capacity = 8;
    large.options.memo_capacity = 8192;
    bed_open(&small, by_name);
    bed_open(&large, by_name);
    no_memory();
    EXPECT(ask_many(&small) == ask_many(&large));
    memory_again();
    EXPECT(bed_counter(&large, "policyd_memo_misses_total", "") < 2 * TOO_MANY);
    EXPECT(bed_counter(&small, "policyd_memo_misses_total", "") > 2 * TOO_MANY);
    bed_close(&small);
    bed_close(&large);
}

/* An IGMPv2 report (RFC 2236 2), and what the group sends. */
static enum pol_action join(struct bed *bed, unsigned number)
{
    uint8_t report[8] = {0x16, 0, 0, 0, 239, 1, (uint8_t)(number >> 8), (uint8_t)number};
    char group[32];
    pol_packet packet;

    snprintf(group, sizeof(group), "239.1.%u.%u", number >> 8, number & 255);
    packet = packet_proto("10.0.0.5", group, 2, (pol_bytes){report, sizeof(report)});
    packet.hop_limit = 1;
    return bed_judge(bed, packet);
}

static enum pol_action from_group(struct bed *bed, unsigned number)
{
    char group[32];
    pol_packet packet;

    snprintf(group, sizeof(group), "239.1.%u.%u", number >> 8, number & 255);
    packet = packet_udp("192.0.2.9", 4000, group, 5000, none);
    packet.side = POL_SIDE_OUTSIDE;
    return bed_judge(bed, packet);
}

static void the_newest_members_receive(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.options.member_capacity;

    bed.options.control[POL_CONTROL_MULTICAST] = POL_CONTROL_JUDGE;
    bed_open(&bed, allow_all);
    no_memory();
    for (unsigned i = 0; i < TOO_MANY; i++)
        EXPECT(join(&bed, i) == POL_ALLOW);
    for (unsigned i = 0; i < TOO_MANY - capacity; i++)
        EXPECT(from_group(&bed, i) == POL_DENY);
    for (unsigned i = TOO_MANY - capacity; i < TOO_MANY; i++)
        EXPECT(from_group(&bed, i) == POL_ALLOW);
    memory_again();
    EXPECT(bed_counter(&bed, "policyd_control_evictions_total", "") == TOO_MANY - capacity);
    bed_close(&bed);
}

/* ---- Grants ---- */

static int grant(struct bed *bed, unsigned name, unsigned addr)
{
    char name_text[32], addr_text[32];

    snprintf(name_text, sizeof(name_text), "n%u.example", name);
    snprintf(addr_text, sizeof(addr_text), "198.18.%u.%u", addr >> 8, addr & 255);
    EXPECT(bed_ask(bed, "10.0.0.5", name_text) == POL_ALLOW);
    return bed_learn(bed, name_text, addr_text, 3600);
}

static pol_packet to_grant(unsigned addr)
{
    char text[32];

    snprintf(text, sizeof(text), "198.18.%u.%u", addr >> 8, addr & 255);
    return packet_udp("10.0.0.5", 5000, text, 9, none);
}

static pol_grants_stats stats_of(const struct bed *bed)
{
    pol_grants_stats stats;

    pol_grants_stats_get(bed->grants, &stats);
    return stats;
}

static void grants_with_flows_outlast_a_flood(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.grants_options.capacity = 32;

    bed_open(&bed, by_name);
    no_memory();
    for (unsigned i = 0; i < capacity / 2; i++) {
        EXPECT(grant(&bed, i, i) == POL_OK);
        EXPECT(bed_judge(&bed, to_grant(i)) == POL_ALLOW);
    }
    for (unsigned i = 0; i < TOO_MANY; i++)
        EXPECT(grant(&bed, 1000 + i, 1000 + i) == POL_OK);
    memory_again();
    EXPECT(stats_of(&bed).live == capacity);
    EXPECT(stats_of(&bed).evicted_total == TOO_MANY - capacity / 2);
    EXPECT(stats_of(&bed).refused_full == 0);
    bed_use(&bed, by_name);
    for (unsigned i = 0; i < capacity / 2; i++)
        EXPECT(bed_judge(&bed, to_grant(i)) == POL_ALLOW);
    EXPECT(bed_judge(&bed, to_grant(1000 + TOO_MANY - 1)) == POL_ALLOW);
    EXPECT(bed_judge(&bed, to_grant(1000)) == POL_DENY);
    bed_close(&bed);
}

static void without_any_room_an_answer_is_withheld(void)
{
    struct bed bed = bed_of();
    unsigned capacity = bed.grants_options.capacity = 32;

    bed_open(&bed, by_name);
    no_memory();
    for (unsigned i = 0; i < capacity; i++) {
        EXPECT(grant(&bed, i, i) == POL_OK);
        EXPECT(bed_judge(&bed, to_grant(i)) == POL_ALLOW);
    }
    for (unsigned i = 0; i < TOO_MANY; i++)
        EXPECT(grant(&bed, 1000 + i, 1000 + i) == POL_E_FULL);
    memory_again();
    EXPECT(stats_of(&bed).refused_full == TOO_MANY);
    EXPECT(bed_counter(&bed, "policyd_dns_no_room_total", "") == TOO_MANY);
    EXPECT(bed_counter(&bed, "policyd_grants_refused_total", "") == TOO_MANY);
    bed.now += 60 * POL_SECONDS; /* the flows end */
    pol_worker_tick(bed.worker, bed.now, SIZE_MAX);
    for (unsigned i = 0; i < capacity; i++)
        EXPECT(grant(&bed, 2000 + i, 2000 + i) == POL_OK);
    EXPECT(bed_judge(&bed, to_grant(2000)) == POL_ALLOW);
    bed_close(&bed);
}

/* Only the newest of one name, or of one address, stay. */
static void cap_of(bool names)
{
    struct bed bed = bed_of();
    unsigned kept = 4;

    if (names)
        bed.grants_options.names_per_address = kept;
    else
        bed.grants_options.addresses_per_name = kept;
    bed_open(&bed, by_name);
    no_memory();
    for (unsigned i = 0; i < TOO_MANY; i++) {
        bed.now += POL_SECONDS / 100;
        EXPECT(grant(&bed, names ? i : 1, names ? 1 : i) == POL_OK);
    }
    memory_again();
    EXPECT(stats_of(&bed).live == kept);
    EXPECT(stats_of(&bed).evicted_address == (names ? TOO_MANY - kept : 0));
    EXPECT(stats_of(&bed).evicted_name == (names ? 0 : TOO_MANY - kept));
    EXPECT(bed_judge(&bed, to_grant(names ? 1 : TOO_MANY - kept)) == POL_ALLOW);
    EXPECT(bed_judge(&bed, to_grant(names ? 2 : TOO_MANY - kept - 1)) == POL_DENY);
    bed_close(&bed);
}

static void addresses_of_one_name(void)
{
    cap_of(false);
}

static void names_of_one_address(void)
{
    cap_of(true);
}

/* ---- Findings, diagnostics, documents ---- */

static bool add_up(void *user, const pol_finding *finding)
{
    uint64_t *counts = user;

    counts[finding->dst_port == 1]++;
    return true;
}

static pol_event denial(unsigned port)
{
    return (pol_event){
        .kind = POL_EV_DENY,
        .tuple = {{4, {10, 0, 0, 5}}, {4, {192, 0, 2, 1}}, 1000, (uint16_t)port, 6},
        .verdict = {.reason = POL_WHY_POLICY_DEFAULT, .group = POL_NONE, .rule = POL_NONE},
    };
}

static void a_frequent_finding_outlasts_a_flood(void)
{
    enum { CAPACITY = 16 };
    struct bed bed = bed_of();
    uint64_t counts[2] = {0, 0};
    pol_audit_stats stats;
    pol_audit *audit;
    pol_event event;

    bed_open(&bed, allow_all);
    REQUIRE(pol_audit_new(bed.ctx, CAPACITY, &audit) == POL_OK);
    no_memory();
    for (unsigned i = 0; i < TOO_MANY; i++) {
        event = denial(1);
        EXPECT(pol_audit_add(audit, NULL, NULL, &event, i) == POL_OK);
        event = denial(2 + i);
        EXPECT(pol_audit_add(audit, NULL, NULL, &event, i) == POL_OK);
    }
    memory_again();
    pol_audit_stats_get(audit, &stats);
    EXPECT(stats.findings == CAPACITY && stats.capacity == CAPACITY);
    EXPECT(stats.events == 2 * TOO_MANY && stats.evicted == TOO_MANY - (CAPACITY - 1));
    EXPECT(pol_audit_find(audit, NULL, add_up, counts) == CAPACITY);
    EXPECT(counts[0] == CAPACITY - 1 && counts[1] == 1);
    pol_audit_free(audit);
    bed_close(&bed);
}

static char text[1 << 16];

static size_t put(size_t len, const char *piece)
{
    return len + bed_quote(piece, text + len, sizeof(text) - len);
}

/* One group with so many rules, each with what `match` says. */
static size_t document_of(unsigned rules, const char *match)
{
    char head[64];
    size_t len =
        put(0, "{'source_groups':[{'id':'g','mode':'enforce','sources':{'ips':['10.0.0.1']},"
               "'rules':[");

    for (unsigned i = 0; i < rules; i++) {
        snprintf(head, sizeof(head), "%s{'id':'r%u','action':'allow','match':{", i ? "," : "", i);
        len = put(put(put(len, head), match), "}}");
    }
    return put(len, "]}]}");
}

static void errors_beyond_what_is_kept_are_counted(void)
{
    struct bed bed = bed_of();
    pol_policy *policy;
    pol_diags *diags;
    size_t len;

    bed.ctx_options.limits.diagnostics = 5;
    bed_open(&bed, allow_all);
    len = document_of(50, "'proto':'nonsense'");
    EXPECT(pol_compile(bed.ctx, (pol_str){text, len}, NULL, &policy, &diags) == POL_E_POLICY);
    EXPECT(pol_diags_count(diags) == 5);
    EXPECT(pol_diags_errors(diags) == 50);
    EXPECT(pol_diags_at(diags, 4) && !pol_diags_at(diags, 5));
    pol_diags_free(diags);
    bed_close(&bed);
}

/* At the limit a document is accepted; beyond it a diagnostic names the limit, and the policy in
 * force stays. */
static void check_document(struct bed *bed, size_t len, bool accepted)
{
    pol_policy *policy = NULL;
    pol_diags *diags;
    uint64_t generation;
    int rc = pol_compile(bed->ctx, (pol_str){text, len}, NULL, &policy, &diags);

    EXPECT(rc == (accepted ? POL_OK : POL_E_POLICY));
    EXPECT(accepted || pol_diags_at(diags, 0)->code == POL_DIAG_LIMIT);
    EXPECT(pol_worker_policy(bed->worker, &generation) && generation == 1);
    EXPECT(bed_judge(bed, syn_of(1)) == POL_ALLOW);
    pol_policy_unref(policy);
    pol_diags_free(diags);
}

static void documents_up_to_their_limits(void)
{
    struct bed bed = bed_of();

    bed.ctx_options.limits.rules = 20;
    bed.ctx_options.limits.regexes = 3;
    bed.ctx_options.limits.pattern_bytes = 12;
    bed_open(&bed, allow_all);
    check_document(&bed, document_of(20, "'proto':'tcp'"), true);
    check_document(&bed, document_of(21, "'proto':'tcp'"), false);
    check_document(&bed, document_of(1, "'dns_hostname':'^aaaaa[bc]d$'"), true);
    check_document(&bed, document_of(1, "'dns_hostname':'^aaaaaa[bc]d$'"), false);
    check_document(&bed,
                   put(put(put(0, "{'source_groups':[{'id':'g','mode':'enforce','sources':"
                                  "{'ips':['10.0.0.1']},'rules':["),
                           "{'id':'a','action':'allow','match':{'dns_hostname':'^a[12]'}},"
                           "{'id':'b','action':'allow','match':{'dns_hostname':'^b[12]'}},"),
                       "{'id':'c','action':'allow','match':{'dns_hostname':'^c[12]'}}]}]}"),
                   true);
    check_document(&bed,
                   put(put(put(0, "{'source_groups':[{'id':'g','mode':'enforce','sources':"
                                  "{'ips':['10.0.0.1']},'rules':["),
                           "{'id':'a','action':'allow','match':{'dns_hostname':'^a[12]'}},"
                           "{'id':'b','action':'allow','match':{'dns_hostname':'^b[12]'}},"
                           "{'id':'d','action':'allow','match':{'dns_hostname':'^d[12]'}},"),
                       "{'id':'c','action':'allow','match':{'dns_hostname':'^c[12]'}}]}]}"),
                   false);
    bed_close(&bed);
}

static void a_document_up_to_its_octets(void)
{
    struct bed bed = bed_of();
    size_t len = document_of(20, "'proto':'tcp'");

    bed.ctx_options.limits.document_bytes = len;
    bed_open(&bed, allow_all);
    check_document(&bed, len, true);
    text[len] = ' ';
    check_document(&bed, len + 1, false);
    bed_close(&bed);
}

static const struct fault_case cases[] = {
    {"open flows outlast a flood", open_flows_outlast_a_flood},
    {"half-open flows make room", half_open_flows_make_room},
    {"hellos under way are finished", hellos_under_way_are_finished},
    {"the newest queries are answered", the_newest_queries_are_answered},
    {"DNS streams that stand still make room in time",
     dns_streams_that_stand_still_make_room_in_time},
    {"the newest datagrams are put together", the_newest_datagrams_are_put_together},
    {"events that are lost are counted", events_that_are_lost_are_counted},
    {"a small memo decides like a large one", a_small_memo_decides_like_a_large_one},
    {"the newest members receive", the_newest_members_receive},
    {"grants with flows outlast a flood", grants_with_flows_outlast_a_flood},
    {"without any room an answer is withheld", without_any_room_an_answer_is_withheld},
    {"addresses of one name", addresses_of_one_name},
    {"names of one address", names_of_one_address},
    {"a frequent finding outlasts a flood", a_frequent_finding_outlasts_a_flood},
    {"errors beyond what is kept are counted", errors_beyond_what_is_kept_are_counted},
    {"documents up to their limits", documents_up_to_their_limits},
    {"a document up to its octets", a_document_up_to_its_octets},
};

int main(void)
{
    return FAULT_RUN(cases);
}
