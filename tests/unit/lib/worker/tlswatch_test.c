/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(tlswatch, .fini = teardown);

/* The example of decisions.md 3, "Pending". */
#define EXAMPLE                                                                                    \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['0.0.0.0/0']},'rules':["     \
    "{'id':'1','action':'allow','match':{'proto':'tcp','dst_ports':[443],"                         \
    "'tls':{'sni':['a.example']}}},"                                                               \
    "{'id':'2','action':'allow','match':{'dst_cidrs':['10.0.0.0/8']}}]}]}"

static pol_packet pending(uint16_t src_port)
{
    pol_packet syn = rig_syn("10.0.0.5", src_port, "203.0.113.9", 443);

    cr_assert_eq(rig_judge(&rig, &syn), POL_PENDING);
    cr_assert_eq(rig.verdict.reason, POL_WHY_NEED_TLS);
    return syn;
}

static enum pol_action send(const pol_packet *syn, uint32_t offset, pol_bytes payload)
{
    pol_packet packet = rig_data(syn, payload);

    packet.tcp_seq += offset;
    return rig_judge(&rig, &packet);
}

static pol_bytes part(pol_bytes bytes, size_t from, size_t to)
{
    return (pol_bytes){bytes.ptr + from, to - from};
}

static const struct {
    const char *sni; /* NULL: no TLS at all */
    enum pol_action action;
    uint32_t rule;
    enum pol_reason reason;
} facts[] = {
    {"a.example", POL_ALLOW, 0, POL_WHY_RULE},
    {"b.example", POL_DENY, POL_NONE, POL_WHY_POLICY_DEFAULT},
    {NULL, POL_DENY, POL_NONE, POL_WHY_NOT_TLS},
};

Test(tlswatch, pending_flow_is_decided_by_its_hello)
{
    rig_start(&rig, EXAMPLE);
    for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
        pol_packet syn = pending((uint16_t)(40000 + i));
        pol_bytes payload = facts[i].sni ? rig_hello(facts[i].sni) : bytes_from("SSH-2.0-x\r\n");

        cr_expect_eq(send(&syn, 0, payload), facts[i].action, "%zu", i);
        cr_expect_eq(rig.verdict.rule, facts[i].rule, "%zu", i);
        cr_expect_eq(rig.verdict.reason, facts[i].reason, "%zu", i);
    }
}

Test(tlswatch, watched_flow_passes_and_its_rule_is_corrected)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "10.1.1.1", 443);

    rig_start(&rig, EXAMPLE);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert_eq(rig.verdict.rule, 1);
    cr_assert(rig.verdict.flags & POL_V_WATCHED);
    cr_assert_eq(send(&syn, 0, rig_hello("a.example")), POL_ALLOW);
    cr_assert_eq(rig.verdict.rule, 0);
}

Test(tlswatch, other_ports_are_not_watched)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "10.1.1.1", 22);

    rig_start(&rig, EXAMPLE);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert_not(rig.verdict.flags & POL_V_WATCHED);
}

Test(tlswatch, hello_in_pieces_out_of_order_is_put_together)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet syn;

    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    cr_assert_eq(send(&syn, 40, part(hello, 40, hello.len)), POL_PENDING);
    cr_assert_eq(send(&syn, 10, part(hello, 10, 40)), POL_PENDING);
    cr_assert_eq(send(&syn, 0, part(hello, 0, 10)), POL_ALLOW);
    cr_assert_eq(rig.verdict.rule, 0);
}

Test(tlswatch, octets_that_change_on_repetition_end_the_flow)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet syn;

    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    cr_assert_eq(send(&syn, 0, part(hello, 0, 40)), POL_PENDING);
    cr_assert_eq(send(&syn, 10, bytes_from("something else")), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_TLS_INCOMPLETE);
}

Test(tlswatch, server_that_speaks_first_speaks_no_tls)
{
    pol_packet syn, banner;

    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    banner = packet_reply(&syn, POL_TCP_ACK, 1, bytes_from("220 ready\r\n"));
    cr_assert_eq(rig_judge(&rig, &banner), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_NOT_TLS);
}

Test(tlswatch, hello_must_be_complete_in_ten_seconds)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet late, silent, ack;

    rig_start(&rig, EXAMPLE);
    late = pending(40000);
    silent = pending(40001);
    send(&late, 0, part(hello, 0, 40));
    pol_worker_tick(rig.worker, rig.now + 9 * POL_SECONDS, 100);
    cr_assert_eq(send(&late, 40, part(hello, 40, 41)), POL_PENDING);
    rig.now += 12 * POL_SECONDS;
    pol_worker_tick(rig.worker, rig.now, 100);
    cr_assert_eq(send(&late, 41, part(hello, 41, hello.len)), POL_DENY);
    rig_drain(&rig);
    cr_assert_eq(rig_event(&rig, POL_EV_DENY)->verdict.reason, POL_WHY_TLS_INCOMPLETE);
    ack = silent;
    ack.tcp_flags = POL_TCP_ACK;
    cr_assert_eq(rig_judge(&rig, &ack), POL_PENDING); /* nothing was begun, nothing is late */
}

Test(tlswatch, hello_longer_than_the_buffer_is_refused)
{
    static struct hello hello;
    pol_packet syn;
    enum pol_action action = POL_PENDING;
    uint32_t at = 0;

    hello_build(&hello, &(struct hello_options){.sni = "a.example", .message_len = 17000});
    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    while (action == POL_PENDING && at < hello.len) {
        uint32_t len = hello.len - at < 1400 ? (uint32_t)hello.len - at : 1400;

        action = send(&syn, at, (pol_bytes){hello.bytes + at, len});
        at += len;
    }
    cr_assert_eq(action, POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_TLS_INCOMPLETE);
    cr_assert_leq(at, 16384 + 1400);
}

Test(tlswatch, flow_without_a_collector_is_refused)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet syn;

    rig_options(&rig)->pending_capacity = 1;
    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    cr_assert_eq(send(&syn, 0, part(hello, 0, 40)), POL_PENDING);
    syn = pending(40001);
    cr_assert_eq(send(&syn, 0, part(hello, 0, 40)), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_PENDING_FULL);
    syn = pending(40002);
    cr_assert_eq(send(&syn, 0, hello),
                 POL_DENY); /* whole, but it has to be kept until acknowledged */
}

/* The server has the client's first `len` octets. */
static void acknowledge(const pol_packet *syn, size_t len)
{
    pol_packet reply = packet_reply(syn, POL_TCP_ACK, 1, (pol_bytes){NULL, 0});

    reply.tcp_ack = syn->tcp_seq + 1 + (uint32_t)len;
    cr_assert_eq(rig_judge(&rig, &reply), POL_ALLOW);
}

Test(tlswatch, another_copy_of_judged_octets_is_denied_until_they_are_acknowledged)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet syn;

    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    cr_assert_eq(send(&syn, 0, hello), POL_ALLOW);
    cr_assert_eq(send(&syn, 0, hello), POL_ALLOW);
    cr_assert_eq(send(&syn, 0, rig_hello("b.example")), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_TLS_INCOMPLETE);
    syn = pending(40001);
    hello = rig_hello("a.example");
    cr_assert_eq(send(&syn, 0, hello), POL_ALLOW);
    acknowledge(&syn, hello.len);
    /* The server takes this for a repetition. */
    cr_assert_eq(send(&syn, 0, rig_hello("b.example")), POL_ALLOW);
}

Test(tlswatch, collectors_are_given_back)
{
    pol_bytes hello = rig_hello("a.example");

    rig_options(&rig)->pending_capacity = 1;
    rig_start(&rig, EXAMPLE);
    for (uint16_t i = 0; i < 10; i++) {
        pol_packet syn = pending((uint16_t)(40000 + i));

        cr_assert_eq(send(&syn, 0, part(hello, 0, 40)), POL_PENDING);
        cr_assert_eq(send(&syn, 40, part(hello, 40, hello.len)), POL_ALLOW);
        cr_assert_eq(rig.worker->hellos.used, 1);
        acknowledge(&syn, hello.len);
        cr_assert_eq(rig.worker->hellos.used, 0);
    }
}

Test(tlswatch, keep_alive_is_no_payload)
{
    pol_packet syn, probe;

    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    probe = rig_data(&syn, bytes_from("x"));
    probe.tcp_seq = syn.tcp_seq;
    cr_assert_eq(rig_judge(&rig, &probe), POL_PENDING);
    cr_assert_eq(send(&syn, 0, rig_hello("a.example")), POL_ALLOW);
}

/* The tick has no packet to say it with. */
Test(tlswatch, first_packet_after_a_tick_resets_both_ends)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet syn;

    rig_start(&rig, EXAMPLE);
    syn = pending(40000);
    send(&syn, 0, part(hello, 0, 40));
    rig.now += 12 * POL_SECONDS;
    pol_worker_tick(rig.worker, rig.now, 100);
    cr_assert_eq(send(&syn, 40, part(hello, 40, hello.len)), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_TLS_INCOMPLETE);
    cr_assert(rig.verdict.flags & POL_V_CUT);
    cr_assert_eq(send(&syn, 40, part(hello, 40, hello.len)), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DENIED_FLOW);
    cr_assert_not(rig.verdict.flags & POL_V_CUT);
}

/* What ran out long ago was denied then, and is as long forgotten as if a tick had noticed. */
Test(tlswatch, late_notice_denies_no_longer_than_a_timely_one)
{
    static const unsigned waits[] = {69, 71};

    for (int i = 0; i < 2; i++) {
        pol_bytes hello = rig_hello("a.example");
        pol_packet syn;

        rig_start(&rig, EXAMPLE);
        syn = pending(40000);
        send(&syn, 0, part(hello, 0, 40));
        rig.now += waits[i] * POL_SECONDS; /* ten for the hello, sixty of silence */
        send(&syn, 40, part(hello, 40, 41));
        cr_expect_eq(!(rig.verdict.flags & POL_V_KNOWN), i == 1, "%u s", waits[i]);
        rig_stop(&rig);
    }
}

#define AUDITED(rules)                                                                             \
    "{'source_groups':[{'id':'g','mode':'audit','sources':{'cidrs':['0.0.0.0/0']},"                \
    "'default_action':'deny','rules':[" rules "]}]}"
#define NEVER_B "{'id':'t','action':'deny','mode':'enforce','match':{'tls':{'sni':['b.example']}}}"

/* Judged octets that nobody acknowledged, and a reload before anybody notices. */
Test(tlswatch, audit_mode_denies_nothing_when_a_reload_comes_between)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "203.0.113.9", 443);
    const pol_event *event;

    rig_start(&rig, AUDITED(NEVER_B));
    cr_assert_eq(rig_judge(&rig, &syn), POL_PENDING);
    cr_assert_eq(send(&syn, 0, bytes_from("SSH-2.0-x\r\n")), POL_ALLOW);
    rig_use(&rig, AUDITED(""));
    rig_drain(&rig);
    rig.now += 20 * POL_SECONDS;
    pol_worker_tick(rig.worker, rig.now, 100);
    rig_drain(&rig);
    event = rig_event(&rig, POL_EV_DENY);
    cr_assert(event);
    cr_assert_eq(event->verdict.reason, POL_WHY_TLS_INCOMPLETE);
    cr_assert(event->verdict.flags & POL_V_AUDIT);
    cr_assert_eq(event->verdict.action, POL_ALLOW);
}

#define CERTIFICATE                                                                                \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['0.0.0.0/0']},'rules':["     \
    "{'id':'c','action':'allow','match':{'proto':'tcp','tls':{'server_cn':['a.example']}}}]}]}"

Test(tlswatch, reload_gives_no_more_time)
{
    pol_bytes hello = rig_hello("a.example");
    pol_packet syn;

    rig_start(&rig, CERTIFICATE);
    syn = pending(40000);
    cr_assert_eq(send(&syn, 0, hello), POL_PENDING);
    rig.now += 8 * POL_SECONDS;
    rig_use(&rig, CERTIFICATE);
    cr_assert_eq(send(&syn, 0, hello), POL_PENDING);
    rig.now += 4 * POL_SECONDS;
    cr_assert_eq(send(&syn, 0, hello), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_CERTIFICATE_MISSING);
}

/* Its collector is given back in time, whatever happens to the policy. */
Test(tlswatch, reload_keeps_the_deadline_of_a_watched_flow)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "10.1.1.1", 443);
    pol_bytes hello = rig_hello("a.example");

    rig_start(&rig, EXAMPLE);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert_eq(send(&syn, 0, part(hello, 0, 40)), POL_ALLOW);
    cr_assert_eq(rig.worker->hellos.used, 1);
    rig_use(&rig, EXAMPLE);
    cr_assert_eq(send(&syn, 40, part(hello, 40, 40)), POL_ALLOW);
    rig.now += 12 * POL_SECONDS;
    pol_worker_tick(rig.worker, rig.now, 100);
    cr_assert_eq(rig.worker->hellos.used, 0);
}
