// SPDX-License-Identifier: Apache-2.0
#include "link/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>

#include "link/ethtool.h"

#define ATTEMPTS            16 /* at a consistent look; a listing is disturbed when its subject changes */

#define GRO_MAX_SIZE_BEFORE 65536 /* Linux 5.19 */

/* Newer than the oldest headers we build with. */
#define LINK_GRO_MAX_SIZE      58 /* IFLA_GRO_MAX_SIZE, Linux 5.19 */
#define LINK_GRO_IPV4_MAX_SIZE 64 /* IFLA_GRO_IPV4_MAX_SIZE, Linux 6.3 */

/* Notes the first reason. */
static void __attribute__((format(printf, 2, 3)))
take(struct link_state *state, const char *format, ...)
{
    va_list args;

    if (state->facts.taken[0])
        return;

    va_start(args, format);
    vsnprintf(state->facts.taken, sizeof(state->facts.taken), format, args);
    va_end(args);
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

/* --- the interface ---------------------------------------------------------------------------- */

static const char *kind_of(const struct nlmsghdr *message)
{
    const struct nlattr *info = rtnl_find(message, sizeof(struct ifinfomsg), IFLA_LINKINFO);

    return rtnl_text(rtnl_find_in(info, IFLA_INFO_KIND));
}

/* There is IPv6 on the interface unless the kernel says nothing of it or says it is off. Asking
 * here and not in /proc: the answer is about this interface, whatever it is called by now. */
static bool has_ipv6(const struct nlmsghdr *message)
{
    const struct nlattr *families = rtnl_find(message, sizeof(struct ifinfomsg), IFLA_AF_SPEC);
    const struct nlattr *ipv6 = rtnl_find_in(families, AF_INET6);
    const int32_t *settings = rtnl_octets(rtnl_find_in(ipv6, IFLA_INET6_CONF),
                                          (DEVCONF_DISABLE_IPV6 + 1) * sizeof(*settings));

    return ipv6 && !(settings && settings[DEVCONF_DISABLE_IPV6]);
}

static uint32_t longest_frame(const struct nlmsghdr *message)
{
    const size_t head = sizeof(struct ifinfomsg);
    uint32_t ipv6 = rtnl_u32(rtnl_find(message, head, LINK_GRO_MAX_SIZE), GRO_MAX_SIZE_BEFORE);
    uint32_t ipv4 = rtnl_u32(rtnl_find(message, head, LINK_GRO_IPV4_MAX_SIZE), 0);

    return ipv4 > ipv6 ? ipv4 : ipv6;
}

static void take_by_nature(struct link_state *state, const struct ifinfomsg *head, const char *kind,
                           uint32_t master)
{
    static const char *const masters[] = {"bridge", "bond", "team", "vrf", NULL};
    char master_name[IF_NAMESIZE] = "?";

    if (head->ifi_flags & IFF_LOOPBACK)
        take(state, "is the loopback interface; name another one");
    else if (head->ifi_type != ARPHRD_ETHER)
        take(state, "is no Ethernet interface; name another one");
    else if (is_one_of(kind, masters))
        take(state, "is a %s; use its members as ports: \"ip link del %s\" frees them", kind,
             state->name);
    else if (master)
        take(state, "belongs to \"%s\"; \"ip link set %s nomaster\" frees it",
             if_indextoname(master, master_name) ? master_name : "?", state->name);
}

void link_state_link(const struct nlmsghdr *message, void *data)
{
    const struct ifinfomsg *head = rtnl_head(message, sizeof(*head));
    struct link_state *state = data;
    const uint8_t *mac;
    const char *name;

    if (message->nlmsg_type != RTM_NEWLINK || !head || head->ifi_index <= 0)
        return;
    name = rtnl_text(rtnl_find(message, sizeof(*head), IFLA_IFNAME));
    if (!name[0] || strlen(name) >= sizeof(state->name))
        return;

    memcpy(state->name, name, strlen(name) + 1);
    state->facts.index = head->ifi_index;
    state->facts.up = head->ifi_flags & IFF_UP;
    state->facts.carrier = head->ifi_flags & IFF_LOWER_UP;
    state->facts.mtu = rtnl_u32(rtnl_find(message, sizeof(*head), IFLA_MTU), 0);
    state->facts.receive_max = longest_frame(message);
    state->no_arp = head->ifi_flags & IFF_NOARP;
    state->ipv6 = has_ipv6(message);
    state->ethernet = head->ifi_type == ARPHRD_ETHER;
    state->is_veth = strcmp(kind_of(message), "veth") == 0;

    mac = rtnl_octets(rtnl_find(message, sizeof(*head), IFLA_ADDRESS), sizeof(state->facts.mac));
    if (mac)
        memcpy(state->facts.mac, mac, sizeof(state->facts.mac));
    take_by_nature(state, head, kind_of(message),
                   rtnl_u32(rtnl_find(message, sizeof(*head), IFLA_MASTER), 0));
}

/* A veth names its peer where these name the interface they stand on. */
void link_state_upper(const struct nlmsghdr *message, void *data)
{
    static const char *const kinds[] = {"vlan",   "macvlan", "macvtap", "ipvlan",
                                        "ipvtap", "macsec",  NULL};
    const struct ifinfomsg *head = rtnl_head(message, sizeof(*head));
    struct link_state *state = data;
    const char *kind, *name;

    if (message->nlmsg_type != RTM_NEWLINK || !head ||
        rtnl_find(message, sizeof(*head), IFLA_LINK_NETNSID) ||
        rtnl_u32(rtnl_find(message, sizeof(*head), IFLA_LINK), 0) != (uint32_t)state->facts.index)
        return;

    kind = kind_of(message);
    name = rtnl_text(rtnl_find(message, sizeof(*head), IFLA_IFNAME));
    if (is_one_of(kind, kinds))
        take(state, "carries the %s \"%s\"; \"ip link del %s\" frees it", kind, name, name);
}

/* --- addresses and routes --------------------------------------------------------------------- */

/* For what comes back by itself after "ip addr del", with the next router advertisement. */
static void take_autoconfigured(struct link_state *state, const char *what, const char *value)
{
    take(state,
         "has %s%s of a router advertisement; \"sysctl -w net/ipv6/conf/%s/disable_ipv6=1\""
         " frees it",
         what, value, state->name);
}

void link_state_address(const struct nlmsghdr *message, void *data)
{
    const struct ifaddrmsg *head = rtnl_head(message, sizeof(*head));
    struct link_state *state = data;
    const struct nlattr *address;
    const void *octets;
    char text[INET6_ADDRSTRLEN + 4];

    if (message->nlmsg_type != RTM_NEWADDR || !head ||
        head->ifa_index != (uint32_t)state->facts.index ||
        (head->ifa_family != AF_INET && head->ifa_family != AF_INET6))
        return;
    /* Link-local IPv6 ends with disable_ipv6; nobody has set it. */
    if (head->ifa_family == AF_INET6 && head->ifa_scope >= RT_SCOPE_LINK)
        return;

    address = rtnl_find(message, sizeof(*head), IFA_LOCAL);
    if (!address)
        address = rtnl_find(message, sizeof(*head), IFA_ADDRESS);
    octets = rtnl_octets(address, head->ifa_family == AF_INET ? 4 : 16);
    if (!octets || !inet_ntop(head->ifa_family, octets, text, INET6_ADDRSTRLEN))
        snprintf(text, sizeof(text), "?");
    snprintf(text + strlen(text), 5, "/%u", head->ifa_prefixlen);

    if (head->ifa_family == AF_INET6 && !(head->ifa_flags & IFA_F_PERMANENT))
        take_autoconfigured(state, "the address ", text);
    else
        take(state, "has the address %s; \"ip addr del %s dev %s\" frees it", text, text,
             state->name);
}

/* "default" or "192.0.2.0/24" */
static void show_destination(const struct nlmsghdr *message, const struct rtmsg *head,
                             char ret_text[INET6_ADDRSTRLEN + 4])
{
    const void *octets = rtnl_octets(rtnl_find(message, sizeof(*head), RTA_DST),
                                     head->rtm_family == AF_INET ? 4 : 16);

    snprintf(ret_text, INET6_ADDRSTRLEN, "?");
    if (head->rtm_dst_len == 0)
        snprintf(ret_text, INET6_ADDRSTRLEN, "default");
    else if (octets && inet_ntop(head->rtm_family, octets, ret_text, INET6_ADDRSTRLEN))
        snprintf(ret_text + strlen(ret_text), 5, "/%u", head->rtm_dst_len);
}

/* The kernel was asked for the routes of this interface only. Those it made itself go with the
 * addresses; any other one would send the host's own packets to the wire. */
void link_state_route(const struct nlmsghdr *message, void *data)
{
    const struct rtmsg *head = rtnl_head(message, sizeof(*head));
    struct link_state *state = data;
    char text[INET6_ADDRSTRLEN + 4], table[32] = "";
    uint32_t number;

    if (message->nlmsg_type != RTM_NEWROUTE || !head || head->rtm_type != RTN_UNICAST ||
        head->rtm_protocol == RTPROT_KERNEL ||
        (head->rtm_family != AF_INET && head->rtm_family != AF_INET6))
        return;

    show_destination(message, head, text);
    if (head->rtm_protocol == RTPROT_RA) {
        take_autoconfigured(state, "the route ", text);
        return;
    }

    number = rtnl_u32(rtnl_find(message, sizeof(*head), RTA_TABLE), head->rtm_table);
    if (number != RT_TABLE_MAIN)
        snprintf(table, sizeof(table), " table %u", number);
    take(state, "has the route %s; \"ip %sroute del %s dev %s%s\" frees it", text,
         head->rtm_family == AF_INET6 ? "-6 " : "", text, state->name, table);
}

/* --- filters ---------------------------------------------------------------------------------- */

/* One instruction that returns TC_ACT_SHOT, taken as the verdict, and in software: a network card
 * that did it itself would leave nothing for the packet socket. */
static bool drops_all(const struct nlattr *options)
{
    const struct sock_filter *program =
        rtnl_octets(rtnl_find_in(options, TCA_BPF_OPS), sizeof(*program));
    const uint16_t *len = rtnl_octets(rtnl_find_in(options, TCA_BPF_OPS_LEN), sizeof(*len));

    return program && len && *len == 1 && program->code == (BPF_RET | BPF_K) &&
           program->k == TC_ACT_SHOT &&
           rtnl_u32(rtnl_find_in(options, TCA_BPF_FLAGS), 0) & TCA_BPF_FLAG_ACT_DIRECT &&
           rtnl_u32(rtnl_find_in(options, TCA_BPF_FLAGS_GEN), 0) & TCA_CLS_FLAGS_SKIP_HW;
}

/* Filters of our preference share one list when they are "bpf" too, newest first. */
static void take_by_filter(struct link_state *state, uint32_t handle, bool same_list)
{
    state->filter_rival = true;
    if (same_list)
        take(state,
             "has another filter of preference 1; \"tc filter del dev %s ingress protocol all "
             "pref 1 handle 0x%x bpf\" frees it",
             state->name, handle);
    else
        take(state,
             "has another filter of preference 1; \"tc filter del dev %s ingress pref 1\" frees it",
             state->name);
}

void link_state_filter(const struct nlmsghdr *message, void *data)
{
    const struct tcmsg *head = rtnl_head(message, sizeof(*head));
    struct link_state *state = data;
    bool first, same_list;
    const char *kind;

    if (message->nlmsg_type != RTM_NEWTFILTER || !head || head->tcm_ifindex != state->facts.index)
        return;

    kind = rtnl_text(rtnl_find(message, sizeof(*head), TCA_KIND));
    first = head->tcm_parent == INGRESS && head->tcm_info >> 16 == FILTER_PREFERENCE &&
            rtnl_u32(rtnl_find(message, sizeof(*head), TCA_CHAIN), 0) == 0;
    same_list =
        first && strcmp(kind, FILTER_KIND) == 0 && (head->tcm_info & 0xffff) == htons(ETH_P_ALL);

    if (same_list && head->tcm_handle == FILTER_HANDLE) {
        state->filter_place = true;
        state->filter = drops_all(rtnl_find(message, sizeof(*head), TCA_OPTIONS));
    } else if (!same_list || head->tcm_handle) { /* handle 0 stands for the list itself */
        state->other_filters = true;
        if (first)
            take_by_filter(state, head->tcm_handle, same_list);
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

static int ask_link(struct rtnl *rtnl, const char *name, struct link_state *state)
{
    struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
    struct nlmsghdr *message = rtnl_question(rtnl, RTM_GETLINK, 0, &head, sizeof(head));
    int rc;

    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    rc = rtnl_ask(rtnl, link_state_link, state);
    return rc == -ENODEV ? 0 : rc;
}

static int ask_uppers(struct rtnl *rtnl, struct link_state *state)
{
    struct ifinfomsg head = {.ifi_family = AF_UNSPEC};

    rtnl_question(rtnl, RTM_GETLINK, NLM_F_DUMP, &head, sizeof(head));
    return rtnl_ask(rtnl, link_state_upper, state);
}

static int ask_addresses(struct rtnl *rtnl, struct link_state *state)
{
    struct ifaddrmsg head = {.ifa_family = AF_UNSPEC, .ifa_index = (uint32_t)state->facts.index};

    rtnl_question(rtnl, RTM_GETADDR, NLM_F_DUMP, &head, sizeof(head));
    return rtnl_ask(rtnl, link_state_address, state);
}

static int ask_routes(struct rtnl *rtnl, uint8_t family, struct link_state *state)
{
    struct rtmsg head = {.rtm_family = family};
    struct nlmsghdr *message = rtnl_question(rtnl, RTM_GETROUTE, NLM_F_DUMP, &head, sizeof(head));

    mnl_attr_put_u32(message, RTA_OIF, (uint32_t)state->facts.index);
    return rtnl_ask(rtnl, link_state_route, state);
}

static int ask_filters(struct rtnl *rtnl, uint32_t parent, struct link_state *state)
{
    struct tcmsg head = {.tcm_ifindex = state->facts.index, .tcm_parent = parent};

    rtnl_question(rtnl, RTM_GETTFILTER, NLM_F_DUMP, &head, sizeof(head));
    return rtnl_ask(rtnl, link_state_filter, state);
}

static int read_once(struct rtnl *rtnl, const char *name, struct link_state *state)
{
    int rc = ask_link(rtnl, name, state);

    if (rc < 0 || !state->facts.index)
        return rc;

    rc = ask_uppers(rtnl, state);
    if (rc == 0)
        rc = ask_addresses(rtnl, state);
    if (rc == 0)
        rc = ask_routes(rtnl, AF_INET, state);
    if (rc == 0 && state->ipv6) /* without, there is none, and asking may not be possible */
        rc = ask_routes(rtnl, AF_INET6, state);
    if (rc == 0)
        rc = ask_filters(rtnl, INGRESS, state);
    if (rc == 0)
        rc = ask_filters(rtnl, EGRESS, state);
    return rc;
}

int link_state_read(struct rtnl *rtnl, const char *name, struct link_state *ret_state)
{
    struct link_state state;
    int rc = -EINTR;

    for (int i = 0; i < ATTEMPTS && rc == -EINTR; i++) {
        memset(&state, 0, sizeof(state));
        rc = name[0] && strlen(name) < IF_NAMESIZE ? read_once(rtnl, name, &state) : 0;
    }
    if (rc < 0)
        return rc == -EINTR ? -EAGAIN : rc;

    if (state.facts.index)
        ethtool_look(state.name, state.is_veth, &state.facts.lro, &state.facts.udp_segments_lost);
    state.facts.guarded = state.filter && !state.filter_rival && state.no_arp && !state.ipv6;
    *ret_state = state;
    return 0;
}
