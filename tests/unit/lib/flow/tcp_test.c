/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/tcp.h"

#include <criterion/criterion.h>

enum {
    FIN = POL_TCP_FIN,
    SYN = POL_TCP_SYN,
    RST = POL_TCP_RST,
    ACK = POL_TCP_ACK,
    REPLY = 0x100, /* from the responder */
    STEPS = 8
};

static bool send(struct flow *flow, int what)
{
    pol_packet packet = {.tcp_flags = (uint8_t)what, .tcp_seq = 500};

    flow->both_ways |= (what & REPLY) != 0;
    return tcp_follow(flow, &packet, what & REPLY);
}

#define HANDSHAKE SYN | ACK | REPLY, ACK

static const struct {
    int segments[STEPS]; /* behind the first SYN; 0 ends */
    bool midstream;
    enum tcp_phase phase;
} lives[] = {
    {{0}, false, TCP_OPENING},
    {{SYN, SYN}, false, TCP_OPENING},
    {{SYN | ACK | REPLY}, false, TCP_OPENING},
    {{HANDSHAKE}, false, TCP_ESTABLISHED},
    {{ACK}, false, TCP_OPENING},                      /* nobody answered */
    {{ACK | REPLY, ACK}, false, TCP_OPENING},         /* that is no handshake */
    {{HANDSHAKE, FIN | ACK}, false, TCP_ESTABLISHED}, /* half-closed */
    {{HANDSHAKE, FIN | ACK, ACK | REPLY, ACK | REPLY}, false, TCP_ESTABLISHED},
    {{HANDSHAKE, FIN | ACK, FIN | ACK}, false, TCP_ESTABLISHED}, /* the same end twice */
    {{HANDSHAKE, FIN | ACK, FIN | ACK | REPLY}, false, TCP_CLOSING},
    {{HANDSHAKE, FIN | ACK, FIN | ACK | REPLY, ACK}, false, TCP_CLOSING},
    {{HANDSHAKE, RST}, false, TCP_CLOSING},
    {{RST | ACK | REPLY}, false, TCP_CLOSING},
    {{ACK, ACK}, true, TCP_OPENING},
    {{ACK | REPLY}, true, TCP_ESTABLISHED},
};

Test(tcp, phases_follow_both_ends)
{
    for (size_t i = 0; i < sizeof(lives) / sizeof(*lives); i++) {
        struct flow flow = {.midstream = lives[i].midstream};
        int phase = TCP_OPENING;

        for (int s = 0; s < STEPS && lives[i].segments[s]; s++) {
            bool moved = send(&flow, lives[i].segments[s]);

            cr_expect_eq(moved, flow.phase != phase, "life %zu, segment %d", i, s);
            phase = flow.phase;
        }
        cr_expect_eq(flow.phase, lives[i].phase, "life %zu", i);
    }
}

static const struct {
    uint8_t flags;
    uint32_t seq;
    uint8_t phase, state;
    bool no_isn, anew;
} beginnings[] = {
    {SYN, 100, TCP_OPENING, FLOW_ALLOWED, false, false}, /* a repetition */
    {SYN, 101, TCP_OPENING, FLOW_ALLOWED, false, true},
    {SYN, 101, TCP_ESTABLISHED, FLOW_ALLOWED, false, false},
    {SYN, 101, TCP_ESTABLISHED, FLOW_DENIED, false, true},
    {SYN, 100, TCP_ESTABLISHED, FLOW_DENIED, false, false},
    {SYN, 101, TCP_CLOSING, FLOW_ALLOWED, false, true},
    {SYN, 100, TCP_CLOSING, FLOW_ALLOWED, false, false},
    {SYN | ACK, 101, TCP_OPENING, FLOW_ALLOWED, false, false},
    {SYN | RST, 101, TCP_CLOSING, FLOW_ALLOWED, false, false},
    {ACK, 101, TCP_CLOSING, FLOW_ALLOWED, false, false},
    {SYN, 100, TCP_OPENING, FLOW_ALLOWED, true, true}, /* opened midstream */
};

Test(tcp, a_syn_ack_answers_another_connection_only_if_one_was_asked_for)
{
    struct flow flow = {.isn = 100, .has_isn = 1, .phase = TCP_ESTABLISHED};
    pol_packet syn = {.tcp_flags = SYN, .tcp_seq = 100};
    pol_packet answer = {.tcp_flags = SYN | ACK, .tcp_ack = 102};

    cr_expect(!tcp_answers_another(&flow, &answer, true));
    tcp_follow(&flow, &syn, false); /* a repetition */
    cr_expect(!tcp_answers_another(&flow, &answer, true));
    syn.tcp_seq = 101;
    tcp_follow(&flow, &syn, true);
    cr_expect(!tcp_answers_another(&flow, &answer, true), "of the responder");
    tcp_follow(&flow, &syn, false);
    cr_expect(tcp_answers_another(&flow, &answer, true));
    cr_expect(!tcp_answers_another(&flow, &answer, false));
}

Test(tcp, only_a_new_initial_sequence_number_begins_anew)
{
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++) {
        struct flow flow = {
            .isn = 100,
            .has_isn = !beginnings[i].no_isn,
            .phase = beginnings[i].phase,
            .state = beginnings[i].state,
        };
        pol_packet packet = {.tcp_flags = beginnings[i].flags, .tcp_seq = beginnings[i].seq};

        cr_expect_eq(tcp_begins_anew(&flow, &packet, false), beginnings[i].anew, "%zu", i);
    }
}
