/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "rig.h"

static struct rig rig;
static const pol_addr trusted = {4, {192, 0, 2, 53}};

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(dnswire, .fini = teardown);

#define POLICY                                                                                     \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["    \
    "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}}]}]}"

static void start(const char *policy)
{
    rig_options(&rig)->trusted_resolvers = &trusted;
    rig_options(&rig)->trusted_resolver_count = 1;
    rig_start(&rig, policy);
}

static pol_packet query(const char *resolver, const char *name)
{
    dnsmsg_query(&rig.asked, name, 1, 7, 0);
    return packet_udp("10.0.0.5", 40000, resolver, 53, (pol_bytes){rig.asked.bytes, rig.asked.len});
}

/* The answer to the newest query(). */
static pol_packet answer(const pol_packet *asked, const char *name)
{
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    dnsmsg_address(&rig.answer, name, 60, "192.0.2.1");
    return packet_reply(asked, 0, 0, (pol_bytes){rig.answer.bytes, rig.answer.len});
}

static uint32_t grants(void)
{
    pol_grants_stats stats;

    pol_grants_stats_get(rig.grants, &stats);
    return stats.live;
}

Test(dnswire, allowed_query_needs_no_packet_rule_and_its_answer_teaches)
{
    pol_packet asked, answered, syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
    cr_assert_eq(grants(), 1);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    rig_drain(&rig);
    cr_assert_eq(rig_event(&rig, POL_EV_DNS)->learned, 1);
    cr_assert_eq(rig_event(&rig, POL_EV_DNS)->answers[0].bytes[3], 1);
}

Test(dnswire, denied_query_is_answered_by_us)
{
    pol_packet asked;

    start(POLICY);
    asked = query("192.0.2.53", "b.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ANSWER);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DNS_NO_RULE);
}

/* A UDP super-frame is cut into datagrams behind us: what follows the message that was judged would
 * be another. */
Test(dnswire, query_with_something_behind_it_is_not_forwarded)
{
    struct dnsmsg second;
    pol_packet asked;

    start(POLICY);
    query("192.0.2.53", "a.example");
    dnsmsg_query(&second, "secret.example", 1, 8, 0);
    dnsmsg_raw(&rig.asked, second.bytes, second.len);
    asked = packet_udp("10.0.0.5", 40000, "192.0.2.53", 53,
                       (pol_bytes){rig.asked.bytes, rig.asked.len});
    cr_assert_eq(rig_judge(&rig, &asked), POL_ANSWER);
    cr_expect_eq(rig.verdict.reason, POL_WHY_MALFORMED);
}

/* The second query may also hide where the first one keeps a record's data. */
Test(dnswire, query_in_several_datagrams_is_not_forwarded)
{
    struct dnsmsg second;
    pol_packet asked;

    start(POLICY);
    query("192.0.2.53", "a.example");
    dnsmsg_query(&second, "secret.example", 1, 8, 0);
    rig.asked.section = 3;
    dnsmsg_record(&rig.asked, "a.example", 10, 0, second.bytes, second.len);
    asked = packet_udp("10.0.0.5", 40000, "192.0.2.53", 53,
                       (pol_bytes){rig.asked.bytes, rig.asked.len});
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW, "one datagram");
    asked.segment_len = (uint16_t)(rig.asked.len - second.len);
    cr_assert_eq(rig_judge(&rig, &asked), POL_ANSWER);
    cr_expect_eq(rig.verdict.reason, POL_WHY_MALFORMED);
    rig.asked.bytes[2] |= 0x80; /* a response in front is no excuse */
    cr_assert_eq(rig_judge(&rig, &asked), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_MALFORMED);
    rig.asked.bytes[2] &= 0x7f;
    asked.segment_len = (uint16_t)rig.asked.len;
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW, "one datagram after all");
}

Test(dnswire, answer_in_several_datagrams_is_not_forwarded)
{
    pol_packet asked, answered;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    answered = answer(&asked, "a.example");
    answered.segment_len = 20;
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_MALFORMED);
    cr_expect_eq(grants(), 0);
    answered.segment_len = 0;
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW, "the query is still open");
}

Test(dnswire, answer_counts_once_and_only_to_a_question)
{
    pol_packet asked, answered;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DNS_UNSOLICITED);
    rig_judge(&rig, &asked);
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_assert_eq(rig_counter(&rig, "policyd_dns_unsolicited_total", ""), 2);
}

Test(dnswire, answer_has_five_seconds_and_a_repetition_renews_them)
{
    pol_packet asked, answered;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    answered = answer(&asked, "a.example");
    rig_judge(&rig, &asked);
    rig.now += 4 * POL_SECONDS;
    rig_judge(&rig, &asked);
    rig.now += 4 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
    rig_judge(&rig, &asked);
    rig.now += 5 * POL_SECONDS + 1;
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
}

Test(dnswire, forged_answer_teaches_nothing)
{
    pol_packet asked, answered;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    rig_judge(&rig, &asked);
    answered = answer(&asked, "a.example");
    answered.side = POL_SIDE_INSIDE;
    cr_assert_neq(rig_judge(&rig, &answered), POL_ALLOW);
    rig.answer.bytes[1]++; /* another id */
    answered.side = POL_SIDE_OUTSIDE;
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_assert_eq(grants(), 0);
}

Test(dnswire, resolver_nobody_trusts_is_an_ordinary_server)
{
    pol_packet asked;

    start(POLICY);
    asked = query("198.51.100.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DNS_UNTRUSTED_RESOLVER);
}

Test(dnswire, query_of_packet_rules_grants_nothing_but_its_names_are_known)
{
    pol_addr addr = {4, {192, 0, 2, 1}};
    pol_packet asked, answered;
    pol_grant found[1];

    start("{'default_policy':'allow'}");
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
    cr_assert_eq(pol_grants_names(rig.grants, 0, &addr, rig.now, found, 1), 1);
    cr_assert_eq(found[0].kind, POL_GRANT_RECORDED);
}

Test(dnswire, unanswered_query_is_reported_when_its_time_is_over)
{
    pol_packet asked;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    rig_judge(&rig, &asked);
    cr_assert_eq(pol_worker_deadline(rig.worker), rig.now + 5 * POL_SECONDS);
    cr_assert_eq(pol_worker_tick(rig.worker, rig.now + 6 * POL_SECONDS, 10), 1);
    rig_drain(&rig);
    cr_assert_eq(rig_event(&rig, POL_EV_DNS)->rcode, 255);
}

/* A message in its frame, as DNS over TCP sends it. */
static pol_bytes framed(const struct dnsmsg *message)
{
    static uint8_t frame[1024];

    frame[0] = (uint8_t)(message->len >> 8);
    frame[1] = (uint8_t)message->len;
    memcpy(frame + 2, message->bytes, message->len);
    return (pol_bytes){frame, message->len + 2};
}

static pol_packet connect_tcp(void)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.53", 53);
    pol_packet answered = packet_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, 5000, (pol_bytes){NULL, 0});

    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
    return syn;
}

Test(dnswire, tcp_messages_are_judged_and_learned)
{
    pol_packet syn, data, reply;
    pol_bytes message;

    start(POLICY);
    syn = connect_tcp();
    dnsmsg_query(&rig.asked, "a.example", 1, 7, 0);
    message = framed(&rig.asked);
    data = rig_data(&syn, (pol_bytes){message.ptr, 5}); /* in two segments */
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    data = rig_data(&syn, (pol_bytes){message.ptr + 5, message.len - 5});
    data.tcp_seq += 5;
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    dnsmsg_address(&rig.answer, "a.example", 60, "192.0.2.1");
    reply = packet_reply(&data, POL_TCP_ACK, 5001, framed(&rig.answer));
    cr_assert_eq(rig_judge(&rig, &reply), POL_ALLOW);
    cr_assert_eq(grants(), 1);
    cr_assert_eq(rig.worker->dns_streams.used, 1); /* the answer, until the client has it */
    data = rig_data(&syn, (pol_bytes){NULL, 0});
    data.tcp_ack = 5001 + (uint32_t)reply.payload.len;
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    cr_assert_eq(rig.worker->dns_streams.used, 0);
}

Test(dnswire, tcp_flow_ends_with_a_denied_query)
{
    pol_packet syn, data;

    start(POLICY);
    syn = connect_tcp();
    dnsmsg_query(&rig.asked, "b.example", 1, 7, 0);
    data = rig_data(&syn, framed(&rig.asked));
    cr_assert_eq(rig_judge(&rig, &data), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_DNS_NO_RULE);
    cr_assert_eq(rig.worker->dns_streams.used, 0);
}

Test(dnswire, tcp_flow_that_is_no_dns_ends)
{
    pol_packet syn, data;

    start(POLICY);
    syn = connect_tcp();
    data = rig_data(&syn, bytes_from("\0\14GET / HTTP/1.0\r\n\r\n"));
    data.payload.len = 20;
    cr_assert_eq(rig_judge(&rig, &data), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_MALFORMED);
}

Test(dnswire, tcp_needs_a_packet_rule_where_no_group_has_hostnames)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.53", 53);

    start("{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},"
          "'rules':[]}]}");
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
}

Test(dnswire, icmp_error_about_a_query_that_ran_out_is_unrelated)
{
    pol_packet asked, error;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    error = packet_icmp_error("198.51.100.9", 3, 1, &asked);
    error.side = POL_SIDE_OUTSIDE;
    cr_assert_eq(rig_judge(&rig, &error), POL_ALLOW);
    rig.now += 6 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &error), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_UNRELATED);
}

/* Where nobody says which side a packet comes from, the query went by before we saw it. */
Test(dnswire, the_answer_to_a_denied_query_does_not_pass)
{
    pol_packet asked, answered;

    start(POLICY);
    asked = query("192.0.2.53", "b.example");
    asked.side = POL_SIDE_UNKNOWN;
    cr_assert_eq(rig_judge(&rig, &asked), POL_ANSWER);
    answered = answer(&asked, "b.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_NO_RULE);
    cr_expect_eq(rig.verdict.side, POL_SIDE_OUTSIDE);
    cr_expect(rig.verdict.flags & POL_V_REPLY);
    cr_expect_eq(grants(), 0);
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_UNSOLICITED, "it counts once");
}

Test(dnswire, a_response_from_a_client_is_an_ordinary_packet)
{
    pol_packet sent;

    start("{'default_policy':'allow','source_groups':[{'id':'g','mode':'enforce','sources':"
          "{'cidrs':['10.0.0.0/8']},'rules':[{'id':'n','action':'allow','match':"
          "{'dns_hostname':'^a$'}}]}]}");
    sent = query("192.0.2.53", "b.example");
    cr_assert_eq(rig_judge(&rig, &sent), POL_ANSWER);
    rig.asked.bytes[2] |= 0x80;
    cr_assert_eq(rig_judge(&rig, &sent), POL_ALLOW);
    cr_expect_eq(rig.verdict.reason, POL_WHY_POLICY_DEFAULT);
}

Test(dnswire, a_reload_judges_an_open_query_again)
{
    pol_packet asked, answered;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    rig_use(&rig, "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},"
                  "'rules':[{'id':'n','action':'allow','match':{'dns_hostname':'^c$'}}]}]}");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ANSWER);
    cr_expect_eq(rig.verdict.generation, 2);
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_UNSOLICITED);
}

/* What follows the first fragment cannot be read; only addresses have to be. */
Test(dnswire, the_first_fragment_of_an_answer_passes_unless_it_may_hide_addresses)
{
    static const struct {
        uint16_t type;
        enum pol_action action;
    } types[] = {
        {1, POL_DENY},   {28, POL_DENY},  {64, POL_DENY},  {65, POL_DENY},
        {255, POL_DENY}, {16, POL_ALLOW}, {15, POL_ALLOW},
    };

    start(POLICY);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        pol_packet asked, answered;

        dnsmsg_query(&rig.asked, "a.example", types[i].type, 7, 0);
        asked = packet_udp("10.0.0.5", 40000, "192.0.2.53", 53,
                           (pol_bytes){rig.asked.bytes, rig.asked.len});
        cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
        answered = answer(&asked, "a.example");
        answered = packet_fragment(&answered, (uint32_t)i + 1, 0, true, answered.payload);
        cr_expect_eq(rig_judge(&rig, &answered), types[i].action, "type %u", types[i].type);
        if (types[i].action == POL_DENY)
            cr_expect_eq(rig.verdict.reason, POL_WHY_FRAGMENT, "type %u", types[i].type);
    }
}

Test(dnswire, an_icmp_error_belongs_to_an_open_query_however_many_came_later)
{
    pol_packet asked, other, error;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    error = packet_icmp_error("198.51.100.9", 3, 1, &asked);
    error.side = POL_SIDE_OUTSIDE;
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    other = asked;
    for (uint16_t port = 40001; port < 40004; port++) {
        other.tuple.src_port = port;
        cr_assert_eq(rig_judge(&rig, &other), POL_ALLOW);
    }
    cr_assert_eq(rig_judge(&rig, &error), POL_ALLOW);
    error.inner.src_port = 40009;
    cr_assert_eq(rig_judge(&rig, &error), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_UNRELATED);
}

/* It is in no group itself; it asks for every one. */
Test(dnswire, an_inside_resolver_may_connect_over_tcp_where_any_group_has_hostnames)
{
    static const pol_addr resolver = {4, {10, 0, 0, 5}};
    pol_packet syn = rig_syn("10.0.0.5", 40001, "192.0.2.53", 53);

    rig_options(&rig)->inside_resolvers = &resolver;
    rig_options(&rig)->inside_resolver_count = 1;
    start("{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.7.0.0/16']},"
          "'rules':[{'id':'n','action':'allow','match':{'dns_hostname':'^a$'}}]}]}");
    connect_tcp();
    rig_use(&rig, "{}");
    cr_assert_neq(rig_judge(&rig, &syn), POL_ALLOW, "no group has");
}

Test(dnswire, tcp_answer_without_a_question_ends_the_flow)
{
    pol_packet syn, reply;

    start(POLICY);
    syn = connect_tcp();
    dnsmsg_query(&rig.asked, "a.example", 1, 7, 0);
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    dnsmsg_address(&rig.answer, "a.example", 60, "192.0.2.1");
    syn = rig_data(&syn, (pol_bytes){NULL, 0});
    reply = packet_reply(&syn, POL_TCP_ACK, 5001, framed(&rig.answer));
    cr_assert_eq(rig_judge(&rig, &reply), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_UNSOLICITED);
    cr_expect_eq(rig_counter(&rig, "policyd_dns_unsolicited_total", ""), 1);
    cr_expect_eq(grants(), 0);
    cr_expect_eq(rig.worker->dns_streams.used, 0);
}

/* A grant that an open flow holds makes no room for another. */
static void fill_grants(void)
{
    pol_packet syn = rig_syn("10.0.0.5", 50000, "192.0.2.9", 80);

    pol_grants_options_init(&rig.grants_options, sizeof(rig.grants_options));
    rig.grants_options.capacity = 1;
    start(POLICY);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.9", 60);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
}

Test(dnswire, an_answer_without_room_does_not_pass)
{
    pol_packet asked, answered, syn, data;

    fill_grants();
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_NO_ROOM);

    syn = connect_tcp();
    data = rig_data(&syn, framed(&rig.asked));
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    answered = packet_reply(&data, POL_TCP_ACK, 5001, framed(&rig.answer));
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_NO_ROOM);
}

/* Octets are kept until the other end has them all: an old or partial acknowledgement frees none
 * that could still be sent again in another form. */
Test(dnswire, tcp_octets_stay_until_all_of_them_are_acknowledged)
{
    pol_packet syn, data, ack;
    uint32_t end;

    start(POLICY);
    syn = connect_tcp();
    dnsmsg_query(&rig.asked, "a.example", 1, 7, 0);
    data = rig_data(&syn, framed(&rig.asked));
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    end = data.tcp_seq + (uint32_t)data.payload.len;
    ack = packet_reply(&data, POL_TCP_ACK, 5001, (pol_bytes){NULL, 0});
    for (int32_t behind = (int32_t)data.payload.len; behind > 0; behind -= 10) {
        ack.tcp_ack = end - (uint32_t)behind;
        cr_assert_eq(rig_judge(&rig, &ack), POL_ALLOW);
        cr_assert_eq(rig.worker->dns_streams.used, 1, "%d octets behind", behind);
    }
    ack.tcp_ack = end;
    cr_assert_eq(rig_judge(&rig, &ack), POL_ALLOW);
    cr_assert_eq(rig.worker->dns_streams.used, 0);
}

static const struct {
    const char *why;
    uint8_t flags;
    int32_t from; /* relative to the first octet */
} strays[] = {
    {"urgent octets, which a receiver may take out of the stream", POL_TCP_ACK | POL_TCP_URG, 0},
    {"octets before the stream", POL_TCP_ACK, -5},
    {"octets far beyond the buffer", POL_TCP_ACK, 1 << 20},
};

Test(dnswire, tcp_octets_that_cannot_be_judged_end_the_flow)
{
    for (size_t i = 0; i < sizeof(strays) / sizeof(*strays); i++) {
        pol_packet syn, data;

        start(POLICY);
        syn = connect_tcp();
        dnsmsg_query(&rig.asked, "a.example", 1, 7, 0);
        data = rig_data(&syn, framed(&rig.asked));
        data.tcp_flags = strays[i].flags;
        data.tcp_seq += (uint32_t)strays[i].from;
        cr_expect_eq(rig_judge(&rig, &data), POL_DENY, "%s", strays[i].why);
        cr_expect_eq(rig.verdict.reason, POL_WHY_MALFORMED, "%s", strays[i].why);
        rig_stop(&rig);
    }
}

Test(dnswire, tcp_octets_that_are_no_dns_pass_where_names_do_not_matter_any_more)
{
    pol_packet syn, data;

    start(POLICY);
    syn = connect_tcp();
    rig_use(&rig, "{'default_policy':'allow'}");
    data = rig_data(&syn, bytes_from("\0\14GET / HTTP/1.0\r\n\r\n"));
    data.payload.len = 20;
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    rig_stop(&rig);

    start(POLICY);
    syn = connect_tcp();
    rig_use(&rig, "{'default_policy':'deny'}");
    data = rig_data(&syn, data.payload);
    cr_assert_neq(rig_judge(&rig, &data), POL_ALLOW);
}

/* The client is gone before the answer comes: its error goes to a resolver it may speak to. */
Test(dnswire, a_clients_icmp_error_about_an_answer_passes_to_a_trusted_resolver_only)
{
    pol_packet asked, answered, error;

    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
    error = packet_icmp_error("10.0.0.5", 3, 3, &answered);
    error.side = POL_SIDE_INSIDE;
    cr_assert_eq(rig_judge(&rig, &error), POL_ALLOW);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_QUERY);
    cr_expect(rig.verdict.flags & POL_V_RELATED);
    answered.tuple.src = addr_from("198.51.100.53");
    error = packet_icmp_error("10.0.0.5", 3, 3, &answered);
    error.side = POL_SIDE_INSIDE;
    cr_assert_eq(rig_judge(&rig, &error), POL_DENY);
}

Test(dnswire, the_oldest_query_makes_room_and_is_reported)
{
    pol_packet first, second, answered;

    rig_options(&rig)->query_capacity = 1;
    start(POLICY);
    first = query("192.0.2.53", "a.example");
    answered = answer(&first, "a.example");
    second = first;
    second.tuple.src_port = 40001;
    cr_assert_eq(rig_judge(&rig, &first), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &second), POL_ALLOW);
    rig_drain(&rig);
    cr_assert_not_null(rig_event(&rig, POL_EV_DNS));
    cr_expect_eq(rig_event(&rig, POL_EV_DNS)->rcode, 255, "no answer came");
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_UNSOLICITED);
    answered = packet_reply(&second, 0, 0, answered.payload);
    cr_assert_eq(rig_judge(&rig, &answered), POL_ALLOW);
}

Test(dnswire, without_room_for_a_query_no_answer_passes)
{
    pol_packet asked, answered;

    rig_options(&rig)->query_capacity = 0;
    start(POLICY);
    asked = query("192.0.2.53", "a.example");
    cr_assert_eq(rig_judge(&rig, &asked), POL_ALLOW);
    answered = answer(&asked, "a.example");
    cr_assert_eq(rig_judge(&rig, &answered), POL_DENY);
    cr_expect_eq(rig.verdict.reason, POL_WHY_DNS_UNSOLICITED);
    cr_expect_eq(grants(), 0);
}
