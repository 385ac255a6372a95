/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "flight.h"
#include "rig.h"

static struct rig rig;
static struct flight flight, pem;

#define RULE                                                                                       \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['0.0.0.0/0']},'rules':["     \
    "{'id':'1','action':'allow','match':{'proto':'tcp','tls':{'server_san':['db.example.com']}}}]" \
    "}]}"
#define AUDIT                                                                                      \
    "{'default_policy':'allow','source_groups':[{'id':'g','mode':'audit',"                         \
    "'sources':{'cidrs':['0.0.0.0/0']},'rules':["                                                  \
    "{'id':'1','action':'deny','match':{'proto':'tcp','tls':{'server_san':['db.example.com']}}}]}" \
    "]}"

static void start(const char *policy)
{
    flight_load(&pem, "ca.pem");
    rig_options(&rig)->trust_anchors_pem = (pol_str){(char *)pem.bytes, pem.len};
    rig_options(&rig)->certificate_capacity = 2;
    rig_start(&rig, policy);
    pol_worker_wall(rig.worker, rig.now, UINT64_C(1780272000000));
}

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(tlscert, .fini = teardown);

static pol_packet from_server(const pol_packet *syn, uint8_t flags, uint32_t seq, uint32_t ack)
{
    pol_packet packet = packet_tcp("203.0.113.9", 443, "10.0.0.5", syn->tuple.src_port, flags, seq,
                                   (pol_bytes){NULL, 0});

    packet.side = POL_SIDE_OUTSIDE;
    packet.tcp_ack = ack;
    return packet;
}

/* A connection up to its ClientHello. */
static pol_packet greeted(uint16_t src_port)
{
    pol_packet syn = rig_syn("10.0.0.5", src_port, "203.0.113.9", 443), answer, hello;

    (void)rig_judge(&rig, &syn);
    answer = from_server(&syn, POL_TCP_SYN | POL_TCP_ACK, 5000, syn.tcp_seq + 1);
    (void)rig_judge(&rig, &answer);
    hello = rig_data(&syn, rig_hello("a.example"));
    (void)rig_judge(&rig, &hello);
    return syn;
}

/* Octets of the server at an offset of its stream. */
static enum pol_action says(const pol_packet *syn, uint32_t offset, pol_bytes octets)
{
    uint32_t ack = syn->tcp_seq + 1 + (uint32_t)rig_hello("a.example").len;
    pol_packet packet = from_server(syn, POL_TCP_ACK, 5001 + offset, ack);

    packet.payload = octets;
    return rig_judge(&rig, &packet);
}

static pol_bytes part(const char *name, size_t from, size_t to)
{
    flight_load(&flight, name);
    return (pol_bytes){flight.bytes + from, (to ? to : flight.len) - from};
}

static enum pol_action acknowledges(const pol_packet *syn, uint32_t offset)
{
    pol_packet packet = rig_data(syn, (pol_bytes){NULL, 0});

    packet.tcp_flags = POL_TCP_ACK;
    packet.tcp_seq += (uint32_t)rig_hello("a.example").len;
    packet.tcp_ack = 5001 + offset;
    return rig_judge(&rig, &packet);
}

Test(tlscert, a_collector_is_held_from_the_first_octet_to_the_acknowledgement)
{
    pol_packet syn;

    start(RULE);
    syn = greeted(40000);
    cr_expect_eq(rig.worker->flights.used, 0);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 100)), POL_PENDING);
    cr_expect_eq(rig.worker->flights.used, 1);
    cr_expect_eq(says(&syn, 100, part("direct.flight", 100, 0)), POL_ALLOW);
    cr_expect_eq(rig.worker->flights.used, 1);
    cr_expect_eq(acknowledges(&syn, 200), POL_ALLOW);
    cr_expect_eq(rig.worker->flights.used, 1, "not all of the certificate");
    cr_expect_eq(acknowledges(&syn, 700), POL_ALLOW);
    cr_expect_eq(rig.worker->flights.used, 0);
    cr_expect_eq(rig.worker->hellos.used, 0);
    rig.now += 60 * POL_SECONDS;
    cr_expect_eq(says(&syn, 700, bytes_from("data")), POL_ALLOW);
}

Test(tlscert, a_flow_that_ends_gives_its_collector_back)
{
    start(RULE);
    for (uint16_t port = 40000; port < 40010; port++) {
        pol_packet syn = greeted(port), reset = rig_data(&syn, (pol_bytes){NULL, 0});

        cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 100)), POL_PENDING);
        reset.tcp_flags = POL_TCP_RST;
        (void)rig_judge(&rig, &reset);
        rig.now += 200 * POL_SECONDS;
        pol_worker_tick(rig.worker, rig.now, 100);
        cr_expect_eq(rig.worker->flights.used, 0);
        cr_expect_eq(rig.worker->hellos.used, 0);
    }
}

Test(tlscert, a_flow_that_is_only_recorded_takes_none_of_the_last_half)
{
    pol_packet first, second;

    start(AUDIT);
    first = greeted(40000);
    second = greeted(40001);
    cr_expect_eq(says(&first, 0, part("direct.flight", 0, 100)), POL_ALLOW);
    cr_expect_eq(says(&second, 0, part("direct.flight", 0, 100)), POL_ALLOW);
    cr_expect_eq(rig.worker->flights.used, 1);
    cr_expect_eq(says(&first, 100, part("direct.flight", 100, 0)), POL_ALLOW);
    cr_expect(rig.verdict.flags & POL_V_AUDIT);
    cr_expect_eq(rig.worker->flights.used, 0, "nothing depends on it, so nothing is kept");
}

Test(tlscert, a_certificate_that_fills_the_collector_is_none)
{
    static uint8_t octets[TLS_FLIGHT_MAX + 1400];
    pol_packet syn;
    uint32_t at;

    start(RULE);
    syn = greeted(40000);
    memcpy(octets, part("direct.flight", 0, 70).ptr, 70);
    /* A Certificate of 32 000 octets in records of one: their headers alone are too much. */
    for (at = 70; at + 6 <= sizeof(octets); at += 6)
        memcpy(octets + at, "\26\3\3\0\1\0", 6);
    memcpy(octets + 70, "\26\3\3\0\1\13\26\3\3\0\1\0\26\3\3\0\1\175\26\3\3\0\1\3", 24);
    memcpy(octets + 94, "\26\3\3\0\1\0\26\3\3\0\1\175\26\3\3\0\1\0", 18);
    for (at = 0; at + 1400 < TLS_FLIGHT_MAX; at += 1400)
        cr_assert_eq(says(&syn, at, (pol_bytes){octets + at, 1400}), POL_PENDING, "%u", at);
    cr_expect_eq(says(&syn, at, (pol_bytes){octets + at, 1400}), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_CERTIFICATE_MISSING);
    cr_expect_eq(rig.worker->flights.used, 0);
}

Test(tlscert, midstream_the_server_s_first_octets_behind_the_hello_count)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "203.0.113.9", 443), hello;

    start(RULE);
    hello = rig_data(&syn, rig_hello("a.example"));
    cr_expect_eq(rig_judge(&rig, &hello), POL_PENDING);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_ALLOW);
    cr_expect_eq(rig.verdict.rule, 0);
}

Test(tlscert, the_wall_clock_goes_on_between_two_tellings)
{
    pol_packet syn;

    start(RULE);
    /* A second before the certificates end, and two seconds later. */
    pol_worker_wall(rig.worker, rig.now, UINT64_C(2335219199999));
    syn = greeted(40000);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_ALLOW);
    rig.now += 2 * POL_SECONDS;
    syn = greeted(40001);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_CERTIFICATE_UNTRUSTED);
}

Test(tlscert, new_chains_are_verified_at_a_bounded_rate)
{
    pol_packet syn;

    start(RULE);
    syn = greeted(40000);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_ALLOW);
    cr_expect_eq(acknowledges(&syn, 700), POL_ALLOW);
    cr_expect_eq(rig.worker->signatures, SIGNATURES_AT_ONCE - 1);
    rig.worker->signatures = 1;
    syn = greeted(40001);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_ALLOW, "known by now");
    cr_expect_eq(acknowledges(&syn, 700), POL_ALLOW);
    syn = greeted(40002);
    cr_expect_eq(says(&syn, 0, part("ecdsa.flight", 0, 0)), POL_DENY, "two certificates");
    cr_expect_eq(rig.verdict.reason, POL_WHY_PENDING_FULL);
    rig.now += POL_SECONDS / 100;
    syn = greeted(40003);
    cr_expect_eq(says(&syn, 0, part("ecdsa.flight", 0, 0)), POL_ALLOW);
    cr_expect_eq(rig.worker->signatures, 0);
}

Test(tlscert, what_slow_keys_have_cost_is_waited_for)
{
    pol_packet syn;

    start(RULE);
    rig.worker->signatures = -SIGNATURES_AT_ONCE;
    rig.worker->signatures_at = rig.now;
    syn = greeted(40000);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_PENDING_FULL);
    rig.now += 2 * POL_SECONDS;
    syn = greeted(40001);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_DENY, "nothing is owed, or left");
    rig.now += POL_SECONDS / 100;
    syn = greeted(40002);
    cr_expect_eq(says(&syn, 0, part("direct.flight", 0, 0)), POL_ALLOW);
}

Test(tlscert, a_worker_takes_what_it_can_read_of_its_anchors)
{
    pol_worker_options options;
    pol_worker *worker = NULL;

    start(RULE);
    cr_expect_eq(rig.worker->walker.anchors.count, 1);
    pol_worker_options_init(&options, sizeof(options));
    options.certificate_capacity = 1u << 25;
    cr_expect_eq(pol_worker_new(rig.ctx, &options, &worker), POL_E_INVALID);
    options.certificate_capacity = 1;
    options.trust_anchors_pem = STR("no PEM");
    cr_expect_eq(pol_worker_new(rig.ctx, &options, &worker), POL_OK);
    cr_expect_eq(worker->walker.anchors.count, 0);
    pol_worker_free(worker);
}
