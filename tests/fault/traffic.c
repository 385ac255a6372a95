/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <stdio.h>
#include <string.h>

const char traffic_policy[] =
    "{'default_policy':'deny','source_groups':["
    "{'id':'first','mode':'enforce','priority':1,"
    "'sources':{'cidrs':['10.0.0.0/24','fd00::/64']},'rules':["
    "{'id':'exact','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}},"
    "{'id':'suffix','action':'allow','match':{'dns_hostname':'(^|\\\\.)b\\\\.example$'}},"
    "{'id':'regex','action':'allow','match':{'dns_hostname':'^c[0-9]+\\\\.ex.mple$'}},"
    "{'id':'never','action':'deny','match':{'dns_hostname':'^evil'}},"
    "{'id':'sni','action':'allow','match':{'proto':'tcp','dst_ports':[443],"
    "'tls':{'sni':{'exact':['tls.example'],'regex':'^w+\\\\.'}}}},"
    "{'id':'net','action':'allow','match':{'dst_cidrs':['198.51.100.0/24','2001:db8::/32']}},"
    "{'id':'ping','action':'allow','match':{'proto':'icmp','icmp_types':[8]}}]},"
    "{'id':'second','mode':'audit','priority':2,'sources':{'cidrs':['10.0.0.0/16']},"
    "'default_action':'deny','rules':["
    "{'id':'seen','action':'allow','match':{'dns_hostname':'seen'}},"
    "{'id':'mail','action':'deny','match':{'proto':'tcp','dst_ports':[25]}}]}]}";

static void stir(struct traffic *traffic, const void *octets, size_t len)
{
    const uint8_t *at = octets;

    for (size_t i = 0; i < len; i++)
        traffic->digest = (traffic->digest ^ at[i]) * UINT64_C(0x100000001b3);
}

static void stir_verdict(struct traffic *traffic, const pol_verdict *verdict)
{
    uint32_t what[] = {verdict->action, verdict->raw_action, verdict->reason,
                       verdict->flags,  verdict->group,      verdict->rule};

    stir(traffic, what, sizeof(what));
}

static void judge(struct traffic *traffic, pol_packet packet)
{
    bed_judge(traffic->bed, packet);
    stir_verdict(traffic, &traffic->bed->verdict);
}

static void proxy(struct traffic *traffic, const char *client, const char *name,
                  const char *address)
{
    struct bed *bed = traffic->bed;
    int rc;

    bed_ask(bed, client, name);
    stir_verdict(traffic, &bed->verdict);
    if (bed->verdict.action != POL_ALLOW)
        return;
    rc = bed_learn(bed, name, address, 30);
    stir(traffic, &rc, sizeof(rc));
}

static void names(struct traffic *traffic)
{
    pol_packet query;

    proxy(traffic, "10.0.0.5", "a.example", "192.0.2.1");
    proxy(traffic, "10.0.0.5", "www.b.example", "2001:db8:1::2");
    proxy(traffic, "10.0.0.6", "c12.example", "192.0.2.3");
    proxy(traffic, "10.0.1.6", "seen.example", "192.0.2.4");
    proxy(traffic, "10.0.0.5", "evil.example", "192.0.2.5");
    proxy(traffic, "10.0.0.5", "other.example", "192.0.2.6");
    query = bed_query("10.0.0.7", 40000, "c7.example", 7);
    judge(traffic, query);
    judge(traffic, bed_answer(&query, "c7.example", "192.0.2.7"));
    judge(traffic, bed_answer(&query, "c7.example", "192.0.2.8")); /* nobody asked again */
    judge(traffic, bed_query("10.0.0.7", 40001, "evil.example", 8));
    judge(traffic, bed_query("10.0.0.7", 40002, "a.example", 9)); /* never answered */
}

/* A query over TCP, its length in a segment of its own. */
static void stream(struct traffic *traffic)
{
    pol_packet syn = bed_syn("10.0.0.8", 41000, "192.0.2.53", 53), query, piece;
    uint8_t octets[2];

    query = bed_query("10.0.0.8", 0, "a.example", 10);
    octets[0] = (uint8_t)(query.payload.len >> 8);
    octets[1] = (uint8_t)query.payload.len;
    judge(traffic, syn);
    judge(traffic, bed_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, (pol_bytes){NULL, 0}));
    judge(traffic, bed_data(&syn, (pol_bytes){octets, 2}));
    piece = bed_data(&syn, query.payload);
    piece.tcp_seq += 2;
    judge(traffic, piece);
    piece.tcp_seq += (uint32_t)query.payload.len;
    piece.payload.len = 0;
    piece.tcp_flags = POL_TCP_RST;
    judge(traffic, piece);
}

/* A ClientHello in three pieces. */
static void hello(struct traffic *traffic, unsigned port, const char *dst, const char *sni)
{
    pol_packet syn = bed_syn("10.0.0.5", port, dst, 443);
    pol_bytes whole = bed_hello(sni);
    size_t third = whole.len / 3;

    judge(traffic, syn);
    judge(traffic, bed_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, (pol_bytes){NULL, 0}));
    for (size_t at = 0; at < whole.len; at += third) {
        size_t len = whole.len - at < third ? whole.len - at : third;
        pol_packet piece = bed_data(&syn, (pol_bytes){whole.ptr + at, len});

        piece.tcp_seq += (uint32_t)at;
        judge(traffic, piece);
    }
    judge(traffic, bed_reply(&syn, POL_TCP_ACK, bytes_from("server")));
    judge(traffic, bed_reply(&syn, POL_TCP_ACK | POL_TCP_RST, (pol_bytes){NULL, 0}));
}

static void fragments(struct traffic *traffic)
{
    pol_packet whole = packet_udp("10.0.0.5", 42000, "198.51.100.9", 9000, bytes_from("whole"));

    judge(traffic, packet_fragment(&whole, 1, 1480, false, bytes_from("early")));
    judge(traffic, packet_fragment(&whole, 2, 0, true, bytes_from("first")));
    judge(traffic, packet_fragment(&whole, 2, 1480, false, bytes_from("later")));
}

/* RFC 2131 2: op, htype, hlen; behind 236 octets the cookie and option 53. */
static pol_packet dhcp_request(void)
{
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 3, 255};
    static uint8_t message[300] = {1, 1, 6};
    pol_packet packet =
        packet_udp("0.0.0.0", 68, "255.255.255.255", 67, (pol_bytes){message, sizeof(message)});

    memcpy(message + 236, options, sizeof(options));
    return packet;
}

static void errors(struct traffic *traffic)
{
    pol_packet ping = packet_icmp("10.0.0.5", "192.0.2.99", 8, 0, 77), frame;

    judge(traffic, ping);
    frame = packet_icmp_error("192.0.2.99", 3, 1, &ping);
    frame.side = POL_SIDE_OUTSIDE;
    judge(traffic, frame);
    judge(traffic, packet_proto("10.0.0.5", "203.0.113.4", 47, (pol_bytes){NULL, 0}));
    judge(traffic, packet_proto("10.0.0.5", "224.0.0.22", 2,
                                bytes_from("\x16"
                                           "1234567")));
    judge(traffic, dhcp_request());
    frame = packet_udp("10.0.0.5", 68, "255.255.255.255", 67, (pol_bytes){NULL, 0});
    judge(traffic, frame);
    frame.kind = POL_PKT_NOT_IP;
    frame.ether_type = 0x0806;
    judge(traffic, frame);
    frame.kind = POL_PKT_BROKEN;
    judge(traffic, frame);
}

static void parsed(struct traffic *traffic)
{
    struct frame_spec spec = {.src = "fd00::5",
                              .dst = "2001:db8:1::2",
                              .proto = 6,
                              .src_port = 43000,
                              .dst_port = 80,
                              .tcp_flags = POL_TCP_SYN,
                              .vlan_count = 1,
                              .vlan = {7}};
    struct frame frame = frame_build(&spec);
    pol_packet packets[4];
    pol_verdict verdicts[4];

    for (size_t i = 0; i < 4; i++) {
        int rc = pol_packet_parse((pol_bytes){frame.bytes, frame.len - 25 * (i == 3)},
                                  POL_LINK_ETHERNET, (uint32_t)frame.len, &packets[i]);

        stir(traffic, &rc, sizeof(rc));
        packets[i].side = POL_SIDE_INSIDE;
        packets[i].tuple.src_port = (uint16_t)(43000 + i);
    }
    pol_worker_decide_batch(traffic->bed->worker, packets, 4, traffic->bed->now, verdicts);
    for (size_t i = 0; i < 4; i++)
        stir_verdict(traffic, &verdicts[i]);
}

/* Known names, the audit rules, the default. */
static void flows(struct traffic *traffic)
{
    static const char *const targets[] = {"192.0.2.1", "192.0.2.3", "192.0.2.7", "198.51.100.1",
                                          "203.0.113.1"};

    for (unsigned i = 0; i < 5; i++) {
        pol_packet syn = bed_syn("10.0.0.5", 44000 + i, targets[i], 80);

        judge(traffic, syn);
        judge(traffic, bed_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, (pol_bytes){NULL, 0}));
    }
    judge(traffic, bed_syn("10.0.1.5", 44000, "203.0.113.1", 25));
    judge(traffic, bed_syn("10.9.9.9", 44000, "203.0.113.1", 25));
}

static char text[65536];

static void write_out(struct traffic *traffic, int rc, size_t len)
{
    EXPECT(rc == POL_OK);
    if (rc == POL_OK)
        stir(traffic, text, len);
}

static void take_events(struct traffic *traffic)
{
    static pol_event events[16];
    size_t count, len;
    int rc;

    while ((count = pol_worker_drain(traffic->bed->worker, events, 16)) > 0) {
        for (size_t i = 0; i < count; i++) {
            bool shown = pol_tap_match(traffic->tap, &events[i]);

            stir(traffic, &shown, 1);
            rc = pol_audit_add(traffic->audit, traffic->policy, traffic->bed->grants, &events[i],
                               1000);
            EXPECT(rc == POL_OK);
            rc = pol_json_event(&events[i], traffic->policy, (pol_str){"node", 4}, 1000, text,
                                sizeof(text), &len);
            write_out(traffic, rc, len);
        }
    }
}

static bool take_finding(void *user, const pol_finding *finding)
{
    struct traffic *traffic = user;
    size_t len;
    int rc = pol_json_finding(finding, (pol_str){"node", 4}, text, sizeof(text), &len);

    write_out(traffic, rc, len);
    EXPECT(pol_audit_restore(traffic->other, finding) == POL_OK);
    return true;
}

static void take_findings(struct traffic *traffic)
{
    pol_audit_stats stats;
    size_t changed = pol_audit_changes(traffic->audit, take_finding, traffic);

    pol_audit_merge(traffic->other, traffic->audit);
    pol_audit_stats_get(traffic->other, &stats);
    stir(traffic, &changed, sizeof(changed));
    stir(traffic, &stats.findings, sizeof(stats.findings));
}

static void take_grants(struct traffic *traffic)
{
    static pol_grant grants[8], named[4];
    struct bed *bed = traffic->bed;
    uint32_t position = 0;
    size_t count, freed;

    do {
        count = pol_grants_list(bed->grants, &position, bed->now, grants, 8);
        for (size_t i = 0; i < count; i++) {
            int rc = pol_grants_restore(bed->grants, &grants[i], bed->now);

            EXPECT(rc == POL_OK || rc == POL_E_NOTFOUND);
            pol_grants_names(bed->grants, grants[i].group_key, &grants[i].addr, bed->now, named, 4);
        }
    } while (count == 8);
    freed = pol_grants_expire(bed->grants, bed->now, 256);
    stir(traffic, &freed, sizeof(freed));
}

static void take_numbers(struct traffic *traffic)
{
    size_t len;
    int rc;

    pol_counters_clear(traffic->counters);
    pol_counters_add(traffic->counters, traffic->bed->worker);
    pol_counters_add_grants(traffic->counters, traffic->bed->grants);
    pol_counters_value(traffic->counters, "dp_packets_total", "proto=\"tcp\"");
    rc = pol_json_stats(traffic->counters, text, sizeof(text), &len);
    write_out(traffic, rc, len);
    rc = pol_metrics_text(traffic->counters, text, sizeof(text), &len);
    EXPECT(rc == POL_OK || rc == POL_E_NOSPACE);
    EXPECT(pol_ready_set(traffic->ready, "cluster", false, "no quorum") == POL_OK);
    rc = pol_json_ready(traffic->ready, text, sizeof(text), &len);
    write_out(traffic, rc, len);
}

void traffic_play(struct traffic *traffic)
{
    struct bed *bed = traffic->bed;

    names(traffic);
    stream(traffic);
    hello(traffic, 45000, "203.0.113.7", "tls.example");
    hello(traffic, 45001, "203.0.113.8", "www.example");
    hello(traffic, 45002, "203.0.113.9", "other.example");
    take_events(traffic);
    fragments(traffic);
    errors(traffic);
    parsed(traffic);
    flows(traffic);
    take_events(traffic);
    take_findings(traffic);
    take_grants(traffic);
    take_numbers(traffic);
    bed->now += 28800 * POL_SECONDS;
    pol_worker_tick(bed->worker, bed->now, SIZE_MAX);
    take_grants(traffic);
    take_events(traffic);
}

void traffic_init(struct traffic *traffic, struct bed *bed)
{
    static const char *const checks[] = POL_READY_CHECKS;
    static const pol_str hostnames[] = {{"ex(a|e)mple", 11}};
    pol_tap_filter filter;
    uint64_t generation;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.hostnames = hostnames;
    filter.hostname_count = 1;
    *traffic = (struct traffic){.bed = bed, .digest = UINT64_C(0xcbf29ce484222325)};
    traffic->policy = pol_worker_policy(bed->worker, &generation);
    REQUIRE(pol_audit_new(bed->ctx, 16, &traffic->audit) == POL_OK);
    REQUIRE(pol_audit_new(bed->ctx, 16, &traffic->other) == POL_OK);
    REQUIRE(pol_tap_new(bed->ctx, &filter, &traffic->tap, NULL) == POL_OK);
    REQUIRE(pol_counters_new(bed->ctx, &traffic->counters) == POL_OK);
    REQUIRE(pol_ready_new(bed->ctx, checks, sizeof(checks) / sizeof(*checks), &traffic->ready) ==
            POL_OK);
}

void traffic_fini(struct traffic *traffic)
{
    pol_audit_free(traffic->audit);
    pol_audit_free(traffic->other);
    pol_tap_free(traffic->tap);
    pol_counters_free(traffic->counters);
    pol_ready_free(traffic->ready);
}
