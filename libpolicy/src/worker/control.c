/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not an IP flow: the kinds of enum pol_control. A link needs some of them to work at all,
 * so they pass without a rule, but only as what they claim to be: in link scope, and servers and
 * routers from outside only. Where the side of a packet is not given, a capture, it is not held
 * against it.
 *
 * What is remembered is per VLAN: DHCP requests under way, the servers and relays that answered
 * one, and which inside host has joined which multicast group.
 */
#include "worker/worker.h"

#include "net/addr.h"
#include "net/ipset.h"
#include "net/proto.h"
#include "wire/dhcp.h"
#include "wire/dhcpv6.h"
#include "wire/groups.h"

enum {
    ETHER_ARP = 0x0806,
    ETHER_EAPOL = 0x888e,
    ETHER_LLDP = 0x88cc,
    ND_ROUTER_SOLICITATION = 133, /* RFC 4861 4 */
    ND_ROUTER_ADVERTISEMENT,
    ND_NEIGHBOUR_SOLICITATION,
    ND_NEIGHBOUR_ADVERTISEMENT,
    ND_REDIRECT,
    MLD_QUERY = 130, /* RFC 2710 3 */
    MLD_DONE = 132,
    MLD_V2_REPORT = 143, /* RFC 3810 5.2 */
    DHCP_SERVER_PORT = 67,
    DHCP_CLIENT_PORT = 68,
    DHCPV6_CLIENT_PORT = 546,
    DHCPV6_SERVER_PORT = 547
};

#define MEMBERSHIP_TIME (260 * POL_SECONDS) /* RFC 3376 8.4, RFC 3810 9.4 */
#define REQUEST_TIME    (60 * POL_SECONDS)  /* RFC 2131 4.1: the longest wait for an answer, 64 s */

const char *pol_control_word(unsigned control)
{
    static const char *const words[POL_CONTROL_COUNT] = {
        [POL_CONTROL_ARP] = "arp",
        [POL_CONTROL_NDP] = "ndp",
        [POL_CONTROL_GROUPS] = "groups",
        [POL_CONTROL_DHCP] = "dhcp",
        [POL_CONTROL_DHCPV6] = "dhcpv6",
        [POL_CONTROL_EAPOL] = "eapol",
        [POL_CONTROL_LLDP] = "lldp",
        [POL_CONTROL_STP] = "stp",
        [POL_CONTROL_MULTICAST] = "multicast",
        [POL_CONTROL_OTHER] = "other",
    };

    return control < POL_CONTROL_COUNT ? words[control] : "unknown";
}

static bool has_ip_header(unsigned kind)
{
    return (kind >= POL_CONTROL_NDP && kind <= POL_CONTROL_DHCPV6) || kind == POL_CONTROL_MULTICAST;
}

bool control_fits(const pol_worker_options *opts)
{
    for (unsigned kind = 0; kind < sizeof(opts->control); kind++) {
        unsigned policy = opts->control[kind];

        if (policy > (kind < POL_CONTROL_COUNT ? POL_CONTROL_DROP : 0) ||
            (policy == POL_CONTROL_JUDGE && !has_ip_header(kind)))
            return false;
    }
    return true;
}

/* --- frames without IP ---------------------------------------------------------------------- */

static bool is_bridge_protocol(const pol_packet *packet)
{
    static const uint8_t llc[] = {0x42, 0x42, 0x03}; /* IEEE 802.1D 9.3 */

    return packet->ether_type == 0 && packet->payload.len >= sizeof(llc) &&
           memcmp(packet->payload.ptr, llc, sizeof(llc)) == 0;
}

static enum pol_control kind_of_frame(const pol_packet *packet)
{
    switch (packet->ether_type) {
    case ETHER_ARP:
        return POL_CONTROL_ARP;
    case ETHER_EAPOL:
        return POL_CONTROL_EAPOL;
    case ETHER_LLDP:
        return POL_CONTROL_LLDP;
    default:
        return is_bridge_protocol(packet) ? POL_CONTROL_STP : POL_CONTROL_OTHER;
    }
}

static void count(pol_worker *worker, enum pol_control kind, enum pol_control_policy done)
{
    counter_add(&worker->counters, counter_control(kind, done), 1);
}

void control_frame(pol_worker *worker, const pol_packet *packet, pol_verdict *verdict)
{
    enum pol_control kind = kind_of_frame(packet);
    enum pol_control_policy policy = (enum pol_control_policy)worker->opts.control[kind];

    count(worker, kind, policy);
    verdict->action = verdict->raw_action = policy == POL_CONTROL_PASS ? POL_ALLOW : POL_DENY;
    verdict->reason = kind == POL_CONTROL_OTHER ? POL_WHY_NOT_IP : POL_WHY_LINK;
}

/* --- datagrams: which kind, and whether it stands where it may ------------------------------- */

enum standing {
    NO_KIND,
    IN_PLACE,
    OUT_OF_SCOPE, /* it has crossed a router, or was made to look so */
    WRONG_SIDE    /* a server or router from inside, a client from outside */
};

static bool is_link_local(const pol_addr *addr)
{
    return addr->family == 6 && addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

static bool is_unspecified(const pol_addr *addr)
{
    static const uint8_t zero[16];

    return memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

static bool is_whole(const pol_packet *packet)
{
    return !(packet->marks & POL_MARK_FRAGMENT);
}

/* RFC 4861 6.1, 7.1, 8.1; RFC 6980 5: never in fragments. */
static enum standing stands_ndp(const pol_packet *packet)
{
    bool router = packet->icmp_type == ND_ROUTER_ADVERTISEMENT || packet->icmp_type == ND_REDIRECT;

    if (packet->hop_limit != 255 || packet->icmp_code != 0 || !is_whole(packet) ||
        (router && !is_link_local(&packet->tuple.src)))
        return OUT_OF_SCOPE;
    return router && packet->side == POL_SIDE_INSIDE ? WRONG_SIDE : IN_PLACE;
}

/* RFC 3810 6.2, 7.4: from the link, with a Router Alert in a hop-by-hop header. Which options there
 * were is not known any more, only that there were some. */
static enum standing stands_mld(const pol_packet *packet)
{
    const pol_addr *src = &packet->tuple.src;

    return packet->hop_limit == 1 && is_whole(packet) && packet->marks & POL_MARK_OPTIONS &&
                   (is_link_local(src) || is_unspecified(src))
               ? IN_PLACE
               : OUT_OF_SCOPE;
}

static enum standing stands_igmp(const pol_packet *packet)
{
    return packet->hop_limit == 1 && is_whole(packet) ? IN_PLACE : OUT_OF_SCOPE;
}

static enum standing stands_icmpv6(const pol_packet *packet, enum pol_control *ret_kind)
{
    uint8_t type = packet->icmp_type;

    if (type >= ND_ROUTER_SOLICITATION && type <= ND_REDIRECT) {
        *ret_kind = POL_CONTROL_NDP;
        return stands_ndp(packet);
    }
    if ((type >= MLD_QUERY && type <= MLD_DONE) || type == MLD_V2_REPORT) {
        *ret_kind = POL_CONTROL_GROUPS;
        return stands_mld(packet);
    }
    return NO_KIND;
}

static struct member_key key_of(const pol_packet *packet, const pol_addr *what)
{
    return (struct member_key){
        .what = *what,
        .vlan = {packet->vlan_count > 0 ? packet->vlan[0] : 0,
                 packet->vlan_count > 1 ? packet->vlan[1] : 0},
    };
}

static struct member_key request_key(const pol_packet *packet, const struct dhcp_message *message)
{
    struct member_key key = key_of(packet, &(pol_addr){0});

    memcpy(key.what.bytes, message->client, sizeof(message->client));
    memcpy(key.who.bytes, &message->transaction, sizeof(message->transaction));
    return key;
}

static bool was_asked(pol_worker *worker, const pol_packet *packet,
                      const struct dhcp_message *message)
{
    struct member_key key = request_key(packet, message);

    return members_has(&worker->dhcp_requests, &key, worker->now);
}

static bool knows_server(pol_worker *worker, const pol_packet *packet)
{
    struct member_key key = key_of(packet, &packet->tuple.dst);

    return members_has(&worker->dhcp_servers, &key, worker->now);
}

/* To everyone, or to a server or relay that is known. What a relay sends has its port as source. */
static enum standing stands_dhcp_request(pol_worker *worker, const pol_packet *packet,
                                         const struct dhcp_message *message)
{
    uint16_t from = packet->tuple.src_port;
    bool asks = message->type == DHCP_DISCOVER || message->type == DHCP_REQUESTED ||
                message->type == DHCP_DECLINE || message->type == DHCP_RELEASE ||
                message->type == DHCP_INFORM;

    if (!asks || packet->tuple.dst_port != DHCP_SERVER_PORT)
        return NO_KIND;
    if (addr_is_broadcast(&packet->tuple.dst)) {
        if (from != DHCP_CLIENT_PORT)
            return NO_KIND;
        return packet->side == POL_SIDE_OUTSIDE ? WRONG_SIDE : IN_PLACE;
    }
    if (packet->side == POL_SIDE_OUTSIDE ||
        (from != DHCP_CLIENT_PORT && from != DHCP_SERVER_PORT) || !knows_server(worker, packet))
        return NO_KIND;
    return IN_PLACE;
}

static enum standing stands_dhcp_reply(pol_worker *worker, const pol_packet *packet,
                                       const struct dhcp_message *message)
{
    bool answers =
        message->type == DHCP_OFFER || message->type == DHCP_ACK || message->type == DHCP_NAK;

    if (packet->tuple.src_port != DHCP_SERVER_PORT)
        return NO_KIND;
    if (packet->side == POL_SIDE_INSIDE)
        return WRONG_SIDE;
    if (!answers)
        return NO_KIND;
    if (addr_is_broadcast(&packet->tuple.dst) && packet->tuple.dst_port == DHCP_CLIENT_PORT)
        return IN_PLACE;
    return was_asked(worker, packet, message) ? IN_PLACE : NO_KIND;
}

/* RFC 2131 4.1. From inside, no octet goes from the server's port to the client's: a host that
 * takes BOOTP or broken messages too must not get them from a neighbour. */
static enum standing stands_dhcp(pol_worker *worker, const pol_packet *packet,
                                 struct dhcp_message *message)
{
    if (packet->side == POL_SIDE_INSIDE && packet->tuple.src_port == DHCP_SERVER_PORT &&
        packet->tuple.dst_port == DHCP_CLIENT_PORT)
        return WRONG_SIDE;
    if (!is_whole(packet) || dhcp_read(packet->payload, message) < 0)
        return NO_KIND;
    return message->op == DHCP_REQUEST ? stands_dhcp_request(worker, packet, message)
                                       : stands_dhcp_reply(worker, packet, message);
}

/* RFC 8415 7.1, 7.2 */
static enum standing stands_dhcpv6(const pol_packet *packet)
{
    static const pol_addr servers = {6, {0xff, 2, [13] = 1, [15] = 2}};
    bool to_client = packet->tuple.src_port == DHCPV6_SERVER_PORT &&
                     packet->tuple.dst_port == DHCPV6_CLIENT_PORT;
    struct dhcpv6_message message;

    if (packet->side == POL_SIDE_INSIDE && to_client)
        return WRONG_SIDE;
    if (!is_whole(packet) || !is_link_local(&packet->tuple.src) ||
        dhcpv6_read(packet->payload, &message) < 0)
        return NO_KIND;
    if (message.from_server)
        return to_client && is_link_local(&packet->tuple.dst) ? IN_PLACE : NO_KIND;
    if (packet->tuple.dst_port != DHCPV6_SERVER_PORT || !addr_equal(&packet->tuple.dst, &servers))
        return NO_KIND;
    return packet->side == POL_SIDE_OUTSIDE ? WRONG_SIDE : IN_PLACE;
}

static enum standing stands_udp(pol_worker *worker, const pol_packet *packet,
                                struct dhcp_message *message, enum pol_control *ret_kind)
{
    uint16_t port = packet->tuple.dst_port;

    if (packet->tuple.src.family == 4 && (port == DHCP_SERVER_PORT || port == DHCP_CLIENT_PORT)) {
        *ret_kind = POL_CONTROL_DHCP;
        return stands_dhcp(worker, packet, message);
    }
    if (packet->tuple.src.family == 6 &&
        (port == DHCPV6_SERVER_PORT || port == DHCPV6_CLIENT_PORT)) {
        *ret_kind = POL_CONTROL_DHCPV6;
        return stands_dhcpv6(packet);
    }
    return NO_KIND;
}

static enum standing stands(pol_worker *worker, const pol_packet *packet,
                            struct dhcp_message *message, enum pol_control *ret_kind)
{
    switch (packet->tuple.proto) {
    case PROTO_ICMPV6:
        return packet->tuple.src.family == 6 ? stands_icmpv6(packet, ret_kind) : NO_KIND;
    case PROTO_IGMP:
        *ret_kind = POL_CONTROL_GROUPS;
        return packet->tuple.src.family == 4 ? stands_igmp(packet) : NO_KIND;
    case PROTO_UDP:
        return stands_udp(worker, packet, message, ret_kind);
    default:
        return NO_KIND;
    }
}

/* --- what is remembered --------------------------------------------------------------------- */

static void put(pol_worker *worker, struct members *members, const struct member_key *key,
                pol_mono until)
{
    if (members_put(members, key, until))
        counter_add(&worker->counters, COUNT_CONTROL_EVICTIONS, 1);
}

static void learn_server(pol_worker *worker, const pol_packet *packet, const pol_addr *addr,
                         pol_mono until)
{
    struct member_key key = key_of(packet, addr);

    if (addr->family)
        put(worker, &worker->dhcp_servers, &key, until);
}

/* A server is believed where it answers a question that was seen: otherwise anyone outside could
 * open a way to any address. An INFORM is answered without a lease, and opens nothing. */
static void learn_dhcp(pol_worker *worker, const pol_packet *packet,
                       const struct dhcp_message *message)
{
    struct member_key key = request_key(packet, message);
    pol_mono until = mono_after(worker->now, message->lease * POL_SECONDS);

    if (message->op == DHCP_REQUEST) {
        put(worker, &worker->dhcp_requests, &key, mono_after(worker->now, REQUEST_TIME));
    } else if (message->lease > 0 && message->type != DHCP_NAK &&
               was_asked(worker, packet, message)) {
        learn_server(worker, packet, &packet->tuple.src, until);
        learn_server(worker, packet, &message->server, until);
        learn_server(worker, packet, &message->relay, until);
    }
}

static void learn_groups(pol_worker *worker, const pol_packet *packet)
{
    struct group_change change;
    struct group_reader reader;
    int rc = packet->tuple.proto == PROTO_IGMP
                 ? igmp_read(packet->payload, &reader)
                 : mld_read(packet->icmp_type, packet->payload, &reader);

    /* Only MULTICAST: judge asks for them. */
    if (rc < 0 || packet->side == POL_SIDE_OUTSIDE ||
        worker->opts.control[POL_CONTROL_MULTICAST] != POL_CONTROL_JUDGE)
        return;
    while (group_next(&reader, &change)) {
        struct member_key key = key_of(packet, &change.group);

        key.who = packet->tuple.src;
        if (change.joins)
            put(worker, &worker->members, &key, mono_after(worker->now, MEMBERSHIP_TIME));
        else
            members_remove(&worker->members, &key);
    }
}

void control_judged(pol_worker *worker, const struct passage *passage, const pol_verdict *verdict)
{
    if (verdict->action == POL_ALLOW)
        learn_groups(worker, passage->packet);
}

/* --- multicast from outside ------------------------------------------------------------------ */

/* Nobody is told of a denial here: an answer to a group would be an amplifier (RFC 1122 3.2.2). */
static void drop(pol_worker *worker, const struct passage *passage, enum pol_reason reason,
                 pol_verdict *verdict)
{
    verdict->action = verdict->raw_action = POL_DENY;
    verdict->reason = (uint16_t)reason;
    report_deny(worker, passage, POL_NONE, verdict);
}

static void pass(pol_verdict *verdict)
{
    verdict->action = verdict->raw_action = POL_ALLOW;
    verdict->reason = POL_WHY_LINK;
}

/* The first member whom a rule allows to have it. Without one, the denial tells of the newest. */
static void judge_members(pol_worker *worker, const struct passage *passage, pol_verdict *verdict)
{
    struct member_key key = key_of(passage->packet, &passage->packet->tuple.dst);
    pol_verdict denied = *verdict;
    uint32_t index = POL_NONE;
    bool found = false;

    while ((index = members_next(&worker->members, &key, index, worker->now)) != POL_NONE) {
        pol_verdict judged = *verdict;

        if (judge_member(worker, passage, &worker->members.entries[index].key.who, &judged)) {
            members_use(&worker->members, index);
            *verdict = judged;
            return;
        }
        if (!found)
            denied = judged;
        found = true;
    }
    *verdict = denied;
    drop(worker, passage, found ? (enum pol_reason)denied.reason : POL_WHY_OUTSIDE, verdict);
}

void control_multicast(pol_worker *worker, const struct passage *passage, pol_verdict *verdict)
{
    if (worker->opts.control[POL_CONTROL_MULTICAST] == POL_CONTROL_PASS)
        pass(verdict);
    else
        judge_members(worker, passage, verdict);
}

/* What may pass is judged as a datagram, since it may come in fragments. */
static bool meet_multicast(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    unsigned policy = worker->opts.control[POL_CONTROL_MULTICAST];

    if (!worker->policy || !addr_is_group(&passage->packet->tuple.dst))
        return false;
    passage_side(worker, passage, verdict);
    if (passage->side != POL_SIDE_OUTSIDE)
        return false;
    count(worker, POL_CONTROL_MULTICAST, (enum pol_control_policy)policy);
    passage->multicast = policy != POL_CONTROL_DROP;
    if (policy == POL_CONTROL_DROP)
        drop(worker, passage, POL_WHY_OUTSIDE, verdict);
    return policy == POL_CONTROL_DROP;
}

/* --- the way of a datagram ------------------------------------------------------------------- */

static void meet_kind(pol_worker *worker, const struct passage *passage, enum standing standing,
                      enum pol_control kind, pol_verdict *verdict)
{
    bool passes = standing == IN_PLACE && worker->opts.control[kind] == POL_CONTROL_PASS;

    count(worker, kind, passes ? POL_CONTROL_PASS : POL_CONTROL_DROP);
    if (passes)
        pass(verdict);
    else
        drop(worker, passage, standing == WRONG_SIDE ? POL_WHY_WRONG_SIDE : POL_WHY_LINK, verdict);
}

bool control_datagram(pol_worker *worker, struct passage *passage, pol_verdict *verdict)
{
    const pol_packet *packet = passage->packet;
    enum pol_control kind = POL_CONTROL_OTHER;
    struct dhcp_message message = {0};
    enum standing standing = stands(worker, packet, &message, &kind);

    if (standing == NO_KIND)
        return meet_multicast(worker, passage, verdict);
    if (worker->opts.control[kind] == POL_CONTROL_JUDGE) {
        count(worker, kind, POL_CONTROL_JUDGE);
        passage->groups = kind == POL_CONTROL_GROUPS;
        return false;
    }
    meet_kind(worker, passage, standing, kind, verdict);
    if (verdict->action != POL_ALLOW)
        return true;
    if (kind == POL_CONTROL_DHCP)
        learn_dhcp(worker, packet, &message);
    else if (kind == POL_CONTROL_GROUPS)
        learn_groups(worker, packet);
    return true;
}
