// SPDX-License-Identifier: Apache-2.0
#include "dataplane/steer.h"

#include <string.h>

#include <linux/if_ether.h>

#include <libpolicy/dns.h>

/*
 * Refusals of one worker. A crowd of clients that fall back from IPv6 to IPv4 is served; a flood of
 * denied packets does not make us a flood of our own (RFC 4443 2.4 f). No client gets more than a
 * share, so that one which never stops does not leave the others without an answer.
 */
static const struct {
    uint64_t ns, most; /* between two, in the long run; waiting that can be saved up */
} all_refusals = {POL_SECONDS / 1000, 500 * (POL_SECONDS / 1000)},
  client_refusals = {POL_SECONDS / 100, 100 * (POL_SECONDS / 100)};

enum { ETHERNET_LEN = 14, TAG_LEN = 4, DNS_MESSAGE_MAX = 1232, PROTO_TCP = 6, PROTO_UDP = 17 };

void steer_init(struct steer *steer, struct port *port, bool refuse)
{
    *steer = (struct steer){.port = port, .refuse = refuse, .refusals = {all_refusals.most, 0}};
    for (size_t i = 0; i < STEER_CLIENTS; i++)
        steer->clients[i].tokens = client_refusals.most;
}

static enum pol_side other_side(uint8_t side)
{
    return side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
}

/* --- replies -------------------------------------------------------------------------------- */

static void refill(struct refusals *refusals, uint64_t most, pol_mono now)
{
    uint64_t waited = now - refusals->filled;

    refusals->filled = now;
    refusals->tokens = waited < most - refusals->tokens ? refusals->tokens + waited : most;
}

/* Clients that fall together share. */
static struct refusals *refusals_of(struct steer *steer, const pol_addr *client)
{
    uint32_t hash = 0, word;

    for (size_t i = 0; i < sizeof(client->bytes); i += sizeof(word)) {
        memcpy(&word, client->bytes + i, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b1;
        hash ^= hash >> 16;
    }
    return &steer->clients[hash % STEER_CLIENTS];
}

static bool may_refuse(struct steer *steer, const pol_packet *packet, pol_mono now)
{
    struct refusals *all = &steer->refusals, *client = refusals_of(steer, &packet->tuple.src);

    refill(all, all_refusals.most, now);
    refill(client, client_refusals.most, now);
    if (all->tokens < all_refusals.ns || client->tokens < client_refusals.ns) {
        port_count(&steer->port->counters.unreplied, 1);
        return false;
    }
    all->tokens -= all_refusals.ns;
    client->tokens -= client_refusals.ns;
    return true;
}

static void send_reply(struct steer *steer, int status, enum pol_side towards, size_t len)
{
    if (status == POL_OK)
        steer->port->kind->send(steer->port, towards, (pol_bytes){steer->reply, len});
}

static void refuse(struct steer *steer, const struct port_frame *frame, const pol_packet *packet)
{
    size_t len = 0;
    int status = pol_reply_reject(packet, frame->octets, (enum pol_link)frame->link, steer->reply,
                                  sizeof(steer->reply), &len);

    send_reply(steer, status, (enum pol_side)frame->side, len);
}

static void reset_far_end(struct steer *steer, const struct port_frame *frame,
                          const pol_packet *packet)
{
    size_t len = 0;
    int status = pol_reply_reset(packet, frame->octets, (enum pol_link)frame->link, steer->reply,
                                 sizeof(steer->reply), &len);

    send_reply(steer, status, other_side(frame->side), len);
}

/* A denial that nobody is told of looks like a network that is down. */
static void drop(struct steer *steer, const struct port_frame *frame, const pol_packet *packet,
                 const pol_verdict *verdict)
{
    bool cut = verdict->flags & POL_V_CUT && packet->tuple.proto == PROTO_TCP;

    if (!steer->refuse || (verdict->action == POL_DENY && !cut))
        return;
    /* A flow is cut once: were its far end not told now, it would wait for hours. */
    if (!cut && !may_refuse(steer, packet, frame->at))
        return;

    refuse(steer, frame, packet);
    if (cut)
        reset_far_end(steer, frame, packet);
}

/* A name that may not be known does not exist; what is wrong with us is no word about a name. */
static enum pol_dns_refusal refusal_for(const pol_verdict *verdict)
{
    switch (verdict->reason) {
    case POL_WHY_MALFORMED:
        return POL_DNS_FORMERR;
    case POL_WHY_NO_POLICY:
    case POL_WHY_LIMIT:
        return POL_DNS_SERVFAIL;
    default:
        return POL_DNS_NXDOMAIN;
    }
}

static void answer(struct steer *steer, const struct port_frame *frame, const pol_packet *packet,
                   const pol_verdict *verdict)
{
    uint8_t message[DNS_MESSAGE_MAX];
    size_t message_len = 0, len = 0;
    int status;

    if (packet->tuple.proto != PROTO_UDP ||
        pol_dns_refuse(packet->payload, refusal_for(verdict), message, sizeof(message),
                       &message_len) != POL_OK)
        return;

    status =
        pol_reply_dns(packet, frame->octets, (enum pol_link)frame->link,
                      (pol_bytes){message, message_len}, steer->reply, sizeof(steer->reply), &len);
    send_reply(steer, status, (enum pol_side)frame->side, len);
}

/* --- forwarding ----------------------------------------------------------------------------- */

static uint16_t ether_type_at(pol_bytes frame, size_t at)
{
    if (at + 2 > frame.len)
        return 0;
    return (uint16_t)(frame.ptr[at] << 8 | frame.ptr[at + 1]);
}

static bool is_tag(uint16_t type)
{
    return type == ETH_P_8021Q || type == ETH_P_8021AD || type == ETH_P_QINQ1;
}

/* Octets in front of what the outermost EtherType that is no tag's announces. */
static uint32_t link_len(pol_bytes frame)
{
    uint32_t len = ETHERNET_LEN;

    while (is_tag(ether_type_at(frame, len - 2)))
        len += TAG_LEN;
    return len;
}

/* Octets of the longest IP datagram the frame is, or will be cut into on its way. */
static uint32_t datagram_len(const struct port_frame *frame, const pol_packet *packet)
{
    if (packet->kind != POL_PKT_IP)
        return frame->wire_len - link_len(frame->octets);
    if (frame->segment == 0 || !packet->payload.ptr)
        return packet->ip_len;
    return (uint32_t)(packet->payload.ptr - frame->octets.ptr) - link_len(frame->octets) +
           frame->segment;
}

/* One 802.1Q tag goes on top of the MTU; a packet socket lets no other tag do so (packet_snd()). */
static uint32_t tags_in_mtu(pol_bytes frame)
{
    uint32_t tags = link_len(frame) - ETHERNET_LEN;

    return ether_type_at(frame, ETHERNET_LEN - 2) == ETH_P_8021Q ? tags - TAG_LEN : tags;
}

static void too_big(struct steer *steer, const struct port_frame *frame, const pol_packet *packet,
                    uint32_t mtu)
{
    size_t len = 0;
    int status;

    port_count(&steer->port->counters.oversized, 1);
    if (!may_refuse(steer, packet, frame->at))
        return;

    status = pol_reply_too_big(packet, frame->octets, (enum pol_link)frame->link, mtu, steer->reply,
                               sizeof(steer->reply), &len);
    send_reply(steer, status, (enum pol_side)frame->side, len);
}

static void forward(struct steer *steer, size_t index, const struct port_frame *frame,
                    const pol_packet *packet)
{
    uint32_t mtu = steer->port->kind->mtu(steer->port, other_side(frame->side));
    uint32_t tags = tags_in_mtu(frame->octets);

    if (frame->octets.len < frame->wire_len) /* cut short: what is missing cannot be sent */
        port_count(&steer->port->counters.oversized, 1);
    else if (mtu && datagram_len(frame, packet) + tags > mtu) /* 0: no other side at present */
        too_big(steer, frame, packet, mtu - tags);
    else
        steer->port->kind->forward(steer->port, index);
}

void steer_frame(struct steer *steer, size_t index, const struct port_frame *frame,
                 const pol_packet *packet, const pol_verdict *verdict)
{
    switch ((enum pol_action)verdict->action) {
    case POL_ALLOW:
    case POL_PENDING:
        forward(steer, index, frame, packet);
        break;
    case POL_ANSWER:
        answer(steer, frame, packet, verdict);
        break;
    case POL_INTERCEPT: /* nothing here takes such flows: they end, as service_plane says */
    case POL_DENY:
    case POL_REJECT:
        drop(steer, frame, packet, verdict);
        break;
    }
}
