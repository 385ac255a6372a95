/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/tcp.h"

static bool is_syn(const pol_packet *packet)
{
    return (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK | POL_TCP_RST)) == POL_TCP_SYN;
}

static bool is_syn_ack(const pol_packet *packet)
{
    return (packet->tcp_flags & (POL_TCP_SYN | POL_TCP_ACK)) == (POL_TCP_SYN | POL_TCP_ACK);
}

/* A SYN+ACK that acknowledges the flow's own SYN, perhaps with data (RFC 7413). */
static bool answers_syn(const struct flow *flow, const pol_packet *packet)
{
    return is_syn_ack(packet) &&
           (!flow->has_isn || packet->tcp_ack - (flow->isn + 1) <= UINT16_MAX);
}

bool tcp_answers_another(const struct flow *flow, const pol_packet *packet, bool reply)
{
    return reply && flow->phase == TCP_ESTABLISHED && is_syn_ack(packet) && flow->syn_again;
}

static uint8_t phase_after(struct flow *flow, const pol_packet *packet, bool reply)
{
    uint8_t flags = packet->tcp_flags;

    if (flags & POL_TCP_RST)
        return TCP_CLOSING;
    if (flags & POL_TCP_FIN)
        flow->fins |= (uint8_t)(1 << reply);
    if (flow->fins == 3)
        return TCP_CLOSING;
    if (flow->phase != TCP_OPENING)
        return flow->phase;
    /* Only the first one counts: nobody moves the beginning of a stream later. */
    if (reply && !flow->syn_ack && answers_syn(flow, packet)) {
        flow->syn_ack = 1;
        flow->peer_isn = packet->tcp_seq;
    }
    if (!reply && flow->syn_ack && (flags & POL_TCP_ACK))
        flow->established = 1;
    /* Nobody saw the handshake of a midstream flow: an answer stands for it. */
    if (flow->midstream && flow->both_ways)
        flow->established = 1;
    return flow->established ? TCP_ESTABLISHED : TCP_OPENING;
}

/* A SYN of the opener that is no repetition of the flow's own. */
static bool is_another_syn(const struct flow *flow, const pol_packet *packet, bool reply)
{
    return !reply && is_syn(packet) && (!flow->has_isn || packet->tcp_seq != flow->isn);
}

bool tcp_follow(struct flow *flow, const pol_packet *packet, bool reply)
{
    uint8_t before = flow->phase;

    flow->syn_again |= is_another_syn(flow, packet, reply);
    flow->phase = phase_after(flow, packet, reply);
    return flow->phase != before;
}

bool tcp_opens_backwards(const struct flow *flow, const pol_packet *packet, bool reply)
{
    return reply && flow->phase == TCP_CLOSING && is_syn(packet);
}

bool tcp_begins_anew(const struct flow *flow, const pol_packet *packet, bool reply)
{
    return (flow->phase != TCP_ESTABLISHED || flow->state == FLOW_DENIED) &&
           is_another_syn(flow, packet, reply);
}
