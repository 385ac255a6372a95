// SPDX-License-Identifier: Apache-2.0
#include "link/state.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>

/* What the integration test cannot have in a kernel of its own: other kinds of interfaces, answers
 * of older and newer kernels, and answers that are cut. */

#define INDEX 5

static char buf[2048];

static struct nlmsghdr *begin(uint16_t type, const void *head, size_t head_len)
{
    struct nlmsghdr *message;

    memset(buf, 0, sizeof(buf));
    message = mnl_nlmsg_put_header(buf);
    message->nlmsg_type = type;
    memcpy(mnl_nlmsg_put_extra_header(message, head_len), head, head_len);
    return message;
}

static struct link_state known(void)
{
    return (struct link_state){.facts.index = INDEX, .name = "lan0"};
}

static struct nlmsghdr *link_message(const char *name, unsigned short type, const char *kind)
{
    struct ifinfomsg head = {.ifi_index = INDEX, .ifi_type = type};
    struct nlmsghdr *message = begin(RTM_NEWLINK, &head, sizeof(head));
    struct nlattr *info;

    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    if (kind) {
        info = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, kind);
        mnl_attr_nest_end(message, info);
    }
    return message;
}

static void put_ipv6(struct nlmsghdr *message, size_t settings_len, int32_t disabled)
{
    int32_t settings[DEVCONF_DISABLE_IPV6 + 8] = {0};
    struct nlattr *families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
    struct nlattr *ipv6 = mnl_attr_nest_start(message, AF_INET6);

    settings[DEVCONF_DISABLE_IPV6] = disabled;
    mnl_attr_put(message, IFLA_INET6_CONF, settings_len, settings);
    mnl_attr_nest_end(message, ipv6);
    mnl_attr_nest_end(message, families);
}

static void expect_taken(const char *kind, const char *reason)
{
    struct link_state state = {0};

    link_state_link(link_message("lan0", ARPHRD_ETHER, kind), &state);
    cr_assert_eq(state.facts.index, INDEX);
    if (reason)
        cr_assert_not_null(strstr(state.facts.taken, reason), "%s: %s", kind, state.facts.taken);
    else
        cr_assert_str_empty(state.facts.taken);
}

Test(link_state, interfaces_made_of_others_are_no_ports)
{
    expect_taken("bond", "is a bond");
    expect_taken("team", "is a team");
    expect_taken("vrf", "is a vrf");
    expect_taken("bridge", "\"ip link del lan0\"");
    expect_taken("vlan", NULL);
    expect_taken("veth", NULL);
    expect_taken(NULL, NULL);
}

Test(link_state, longest_frame_is_that_of_either_protocol)
{
    struct link_state state = {0};
    struct nlmsghdr *message = link_message("lan0", ARPHRD_ETHER, NULL);

    link_state_link(message, &state);
    cr_assert_eq(state.facts.receive_max, 65536, "before Linux 5.19 it is not said");

    mnl_attr_put_u32(message, 58, 70000);
    link_state_link(message, &state);
    cr_assert_eq(state.facts.receive_max, 70000);

    mnl_attr_put_u32(message, 64, 185000);
    link_state_link(message, &state);
    cr_assert_eq(state.facts.receive_max, 185000);
}

Test(link_state, ipv6_is_off_only_when_the_kernel_says_so)
{
    struct link_state state = {0};
    struct nlmsghdr *message = link_message("lan0", ARPHRD_ETHER, NULL);

    link_state_link(message, &state);
    cr_assert_not(state.ipv6, "a kernel without IPv6");

    put_ipv6(message, (DEVCONF_DISABLE_IPV6 + 1) * sizeof(int32_t), 1);
    link_state_link(message, &state);
    cr_assert_not(state.ipv6);

    message = link_message("lan0", ARPHRD_ETHER, NULL);
    put_ipv6(message, (DEVCONF_DISABLE_IPV6 + 1) * sizeof(int32_t), 0);
    link_state_link(message, &state);
    cr_assert(state.ipv6);

    message = link_message("lan0", ARPHRD_ETHER, NULL);
    put_ipv6(message, DEVCONF_DISABLE_IPV6 * sizeof(int32_t), 1);
    link_state_link(message, &state);
    cr_assert(state.ipv6, "an answer that is too short does not say that it is off");
}

Test(link_state, other_interfaces_on_it_take_it_but_no_veth)
{
    static const char *const kinds[] = {"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"};
    struct link_state state = known();
    struct nlmsghdr *message = link_message("other", ARPHRD_ETHER, "veth");

    mnl_attr_put_u32(message, IFLA_LINK, INDEX);
    link_state_upper(message, &state);
    cr_assert_str_empty(state.facts.taken);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        state = known();
        message = link_message("other", ARPHRD_ETHER, kinds[i]);
        mnl_attr_put_u32(message, IFLA_LINK, INDEX + 1);
        link_state_upper(message, &state);
        cr_assert_str_empty(state.facts.taken);

        message = link_message("other", ARPHRD_ETHER, kinds[i]);
        mnl_attr_put_u32(message, IFLA_LINK, INDEX);
        link_state_upper(message, &state);
        cr_assert_not_null(strstr(state.facts.taken, "\"ip link del other\""));

        /* The same number in another namespace is another interface. */
        state = known();
        mnl_attr_put_u32(message, IFLA_LINK_NETNSID, 0);
        link_state_upper(message, &state);
        cr_assert_str_empty(state.facts.taken);
    }
}

Test(link_state, a_route_of_a_router_advertisement_ends_with_ipv6)
{
    struct rtmsg head = {.rtm_family = AF_INET6,
                         .rtm_type = RTN_UNICAST,
                         .rtm_protocol = RTPROT_RA,
                         .rtm_table = RT_TABLE_MAIN};
    struct link_state state = known();

    link_state_route(begin(RTM_NEWROUTE, &head, sizeof(head)), &state);
    cr_assert_not_null(
        strstr(state.facts.taken, "\"sysctl -w net/ipv6/conf/lan0/disable_ipv6=1\""));

    state = known();
    head.rtm_protocol = RTPROT_KERNEL;
    link_state_route(begin(RTM_NEWROUTE, &head, sizeof(head)), &state);
    cr_assert_str_empty(state.facts.taken);
}

static struct nlmsghdr *filter_message(int index, uint16_t len, uint32_t action, uint32_t flags,
                                       uint32_t gen)
{
    struct tcmsg head = {.tcm_ifindex = index,
                         .tcm_parent = INGRESS,
                         .tcm_handle = FILTER_HANDLE,
                         .tcm_info = TC_H_MAKE(FILTER_PREFERENCE << 16, htons(ETH_P_ALL))};
    struct sock_filter program[2] = {BPF_STMT(BPF_RET | BPF_K, action), BPF_STMT(BPF_RET, 0)};
    struct nlmsghdr *message = begin(RTM_NEWTFILTER, &head, sizeof(head));
    struct nlattr *options;

    mnl_attr_put_strz(message, TCA_KIND, "bpf");
    options = mnl_attr_nest_start(message, TCA_OPTIONS);
    mnl_attr_put_u16(message, TCA_BPF_OPS_LEN, len);
    mnl_attr_put(message, TCA_BPF_OPS, len * sizeof(program[0]), program);
    mnl_attr_put_u32(message, TCA_BPF_FLAGS, flags);
    mnl_attr_put_u32(message, TCA_BPF_FLAGS_GEN, gen);
    mnl_attr_nest_end(message, options);
    return message;
}

static bool is_ours(struct nlmsghdr *message)
{
    struct link_state state = known();

    link_state_filter(message, &state);
    return state.filter;
}

Test(link_state, only_the_filter_that_drops_everything_is_ours)
{
    const uint32_t direct = TCA_BPF_FLAG_ACT_DIRECT, software = TCA_CLS_FLAGS_SKIP_HW;

    cr_assert(is_ours(filter_message(INDEX, 1, TC_ACT_SHOT, direct, software)));
    cr_assert(
        is_ours(filter_message(INDEX, 1, TC_ACT_SHOT, direct, software | TCA_CLS_FLAGS_NOT_IN_HW)));
    cr_assert_not(is_ours(filter_message(INDEX + 1, 1, TC_ACT_SHOT, direct, software)));
    cr_assert_not(is_ours(filter_message(INDEX, 1, TC_ACT_OK, direct, software)));
    cr_assert_not(is_ours(filter_message(INDEX, 2, TC_ACT_SHOT, direct, software)));
    cr_assert_not(is_ours(filter_message(INDEX, 1, TC_ACT_SHOT, 0, software)));
    cr_assert_not(is_ours(filter_message(INDEX, 1, TC_ACT_SHOT, direct, 0)));
}

/* A message cut at any place, its length corrected, in a block of its size. */
static void cut(struct nlmsghdr *message, rtnl_each read)
{
    for (uint32_t len = MNL_NLMSG_HDRLEN; len < message->nlmsg_len; len++) {
        struct link_state state = known();
        struct nlmsghdr *block = malloc(len);

        memcpy(block, message, len);
        block->nlmsg_len = len;
        read(block, &state);
        cr_assert_not(state.filter);
        free(block);
    }
}

Test(link_state, cut_messages_are_read_within_their_bounds)
{
    struct ifaddrmsg address = {.ifa_family = AF_INET, .ifa_index = INDEX};
    struct rtmsg route = {.rtm_family = AF_INET6, .rtm_type = RTN_UNICAST, .rtm_dst_len = 64};
    struct nlmsghdr *message = link_message("lan0", ARPHRD_ETHER, "veth");

    put_ipv6(message, (DEVCONF_DISABLE_IPV6 + 1) * sizeof(int32_t), 1);
    mnl_attr_put(message, IFLA_ADDRESS, 6, "\2\0\0\0\0\1");
    cut(message, link_state_link);
    cut(message, link_state_upper);

    message = begin(RTM_NEWADDR, &address, sizeof(address));
    mnl_attr_put_u32(message, IFA_LOCAL, 1);
    cut(message, link_state_address);

    message = begin(RTM_NEWROUTE, &route, sizeof(route));
    mnl_attr_put(message, RTA_DST, 16, "0123456789abcdef");
    cut(message, link_state_route);

    cut(filter_message(INDEX, 1, TC_ACT_SHOT, TCA_BPF_FLAG_ACT_DIRECT, TCA_CLS_FLAGS_SKIP_HW),
        link_state_filter);
}

Test(link_state, names_that_do_not_end_or_are_too_long_are_no_interface)
{
    struct link_state state = {0};
    struct ifinfomsg head = {.ifi_index = INDEX, .ifi_type = ARPHRD_ETHER};
    struct nlmsghdr *message = begin(RTM_NEWLINK, &head, sizeof(head));

    mnl_attr_put(message, IFLA_IFNAME, 4, "lan0");
    link_state_link(message, &state);
    cr_assert_eq(state.facts.index, 0);

    link_state_link(link_message("a-name-of-sixteen", ARPHRD_ETHER, NULL), &state);
    cr_assert_eq(state.facts.index, 0);
}
