// SPDX-License-Identifier: Apache-2.0
#include "link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>

#include "link/state.h"

#define IPV6_SWITCH "/proc/sys/net/ipv6/conf/%s/disable_ipv6"

/* Says what could not be done and what helps; returns the code. */
static int refuse(struct text *error, const char *name, const char *what, const char *words, int rc)
{
    text_addf(error, "port \"%s\": %s: %s", name, what, words[0] ? words : strerror(-rc));
    if (rc == -EPERM || rc == -EACCES)
        text_add(error, "; this needs CAP_NET_ADMIN: run it as root, or let the service manager "
                        "grant the capability");
    else if (rc == -EROFS)
        text_add(error, "; it is mounted read-only here, by a container or ProtectKernelTunables=");
    else if (rc == -ENOENT)
        text_add(error, "; the kernel needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF");
    return rc;
}

/* --- requests --------------------------------------------------------------------------------- */

static int add_qdisc(struct rtnl *rtnl, int index)
{
    struct tcmsg head = {
        .tcm_ifindex = index, .tcm_parent = TC_H_CLSACT, .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0)};
    struct nlmsghdr *message =
        rtnl_question(rtnl, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
    int rc;

    mnl_attr_put_strz(message, TCA_KIND, "clsact");
    rc = rtnl_ask(rtnl, NULL, NULL);

    /* Somebody's clsact, or an ingress qdisc, which takes the same filters. */
    return rc == -EEXIST ? 0 : rc;
}

static struct nlmsghdr *filter_question(struct rtnl *rtnl, uint16_t type, uint16_t flags, int index)
{
    struct tcmsg head = {.tcm_ifindex = index,
                         .tcm_parent = INGRESS,
                         .tcm_handle = FILTER_HANDLE,
                         .tcm_info = TC_H_MAKE(FILTER_PREFERENCE << 16, htons(ETH_P_ALL))};
    struct nlmsghdr *message = rtnl_question(rtnl, type, flags, &head, sizeof(head));

    mnl_attr_put_strz(message, TCA_KIND, FILTER_KIND);
    return message;
}

static int add_filter(struct rtnl *rtnl, int index)
{
    static const struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT);
    struct nlmsghdr *message = filter_question(rtnl, RTM_NEWTFILTER, NLM_F_CREATE, index);
    struct nlattr *options = mnl_attr_nest_start(message, TCA_OPTIONS);

    mnl_attr_put_u16(message, TCA_BPF_OPS_LEN, 1);
    mnl_attr_put(message, TCA_BPF_OPS, sizeof(drop), &drop);
    mnl_attr_put_u32(message, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    mnl_attr_put_u32(message, TCA_BPF_FLAGS_GEN, TCA_CLS_FLAGS_SKIP_HW);
    mnl_attr_nest_end(message, options);
    return rtnl_ask(rtnl, NULL, NULL);
}

static int delete_filter(struct rtnl *rtnl, int index)
{
    filter_question(rtnl, RTM_DELTFILTER, 0, index);
    return rtnl_ask(rtnl, NULL, NULL);
}

/* What is at our handle is replaced, unless it was made with other flags (EINVAL). */
static int set_filter(struct rtnl *rtnl, const struct link_state *state)
{
    int rc = add_filter(rtnl, state->facts.index);

    if (rc == -EINVAL && state->filter_place) {
        rc = delete_filter(rtnl, state->facts.index);
        if (rc == 0)
            rc = add_filter(rtnl, state->facts.index);
    }
    return rc;
}

/* The kernel refuses when the qdisc is an "ingress" one, which link_guard() has not made. */
static int delete_qdisc(struct rtnl *rtnl, int index)
{
    struct tcmsg head = {
        .tcm_ifindex = index, .tcm_parent = TC_H_CLSACT, .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0)};
    struct nlmsghdr *message = rtnl_question(rtnl, RTM_DELQDISC, 0, &head, sizeof(head));
    int rc;

    mnl_attr_put_strz(message, TCA_KIND, "clsact");
    rc = rtnl_ask(rtnl, NULL, NULL);
    return rc == -EINVAL || rc == -ENOENT ? 0 : rc;
}

/* Sets those of the interface's flags that are in `mask`; the kernel does NOARP before UP. */
static int set_flags(struct rtnl *rtnl, int index, unsigned mask, unsigned flags)
{
    struct ifinfomsg head = {
        .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_change = mask, .ifi_flags = flags};

    rtnl_question(rtnl, RTM_NEWLINK, 0, &head, sizeof(head));
    return rtnl_ask(rtnl, NULL, NULL);
}

/* `value` is '0' or '1'. */
static int write_switch(const char *name, char value)
{
    char path[sizeof(IPV6_SWITCH) + IF_NAMESIZE];
    int fd, rc = 0;

    snprintf(path, sizeof(path), IPV6_SWITCH, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, &value, 1) != 1)
        rc = -errno;
    close(fd);
    return rc;
}

/* What an interface made now would have; '0' where there is no IPv6. */
static char default_switch(void)
{
    char path[sizeof(IPV6_SWITCH) + IF_NAMESIZE], value = '0';
    int fd;

    snprintf(path, sizeof(path), IPV6_SWITCH, "default");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &value, 1) != 1)
            value = '0';
        close(fd);
    }
    return value;
}

/* --- guard ------------------------------------------------------------------------------------ */

static int check(const struct link_state *state, const char *name, bool in_use, struct text *error)
{
    if (!state->facts.index) {
        text_addf(error, "port \"%s\": there is no such interface; \"ip link\" lists them", name);
        return -ENODEV;
    }
    if (state->facts.taken[0] && !in_use) {
        text_addf(error, "port \"%s\" %s", name, state->facts.taken);
        return -EBUSY;
    }
    return 0;
}

/* The filter first: from then on nothing reaches the host, also when a later step fails. */
static int close_wire(struct rtnl *rtnl, const struct link_state *state, struct text *error)
{
    const char *name = state->name;
    int rc = state->filter ? 0 : add_qdisc(rtnl, state->facts.index);

    if (rc < 0)
        return refuse(error, name, "clsact qdisc", rtnl_words(rtnl), rc);

    rc = state->filter ? 0 : set_filter(rtnl, state);
    if (rc < 0)
        return refuse(error, name, "ingress filter", rtnl_words(rtnl), rc);

    rc = state->ipv6 ? write_switch(name, '1') : 0;
    if (rc < 0)
        return refuse(error, name, "disable_ipv6 in /proc/sys", "", rc);

    rc = set_flags(rtnl, state->facts.index, IFF_NOARP | IFF_UP, IFF_NOARP | IFF_UP);
    return rc < 0 ? refuse(error, name, "ARP off and up", rtnl_words(rtnl), rc) : 0;
}

/* An address may have been set meanwhile, or the interface renamed or replaced. */
static int check_guarded(struct rtnl *rtnl, const char *name, bool in_use, struct text *error)
{
    struct link_state state;
    int rc = link_state_read(rtnl, name, &state);

    if (rc == 0)
        rc = check(&state, name, in_use, error);
    else
        refuse(error, name, "rtnetlink", "", rc);
    if (rc == 0 && !state.facts.guarded)
        rc = refuse(error, name, "something undid the guard at once",
                    "look who else configures this interface", -EAGAIN);
    return rc;
}

static int start(const char *name, struct rtnl **ret_rtnl, struct link_state *ret_state,
                 struct text *error)
{
    struct rtnl *rtnl = NULL;
    int rc = rtnl_open(&rtnl);

    if (rc == 0)
        rc = link_state_read(rtnl, name, ret_state);
    if (rc < 0) {
        rtnl_close(rtnl);
        return refuse(error, name, "rtnetlink", "", rc);
    }

    *ret_rtnl = rtnl;
    return 0;
}

static int guard(const char *name, bool in_use, struct text *error)
{
    struct rtnl *rtnl = NULL;
    struct link_state state;
    int rc = start(name, &rtnl, &state, error);

    if (rc == 0)
        rc = check(&state, name, in_use, error);
    if (rc == 0)
        rc = close_wire(rtnl, &state, error);
    if (rc == 0)
        rc = check_guarded(rtnl, name, in_use, error);
    rtnl_close(rtnl);
    return rc;
}

int link_guard(const char *name, struct text *ret_error)
{
    return guard(name, false, ret_error);
}

int link_guard_again(const char *name, struct text *ret_error)
{
    return guard(name, true, ret_error);
}

/* --- release ---------------------------------------------------------------------------------- */

/* The filter last: as long as it is there, a release that was cut short can be repeated. */
static int open_wire(struct rtnl *rtnl, const struct link_state *state, struct text *error)
{
    const char *name = state->name;
    int rc = set_flags(rtnl, state->facts.index, IFF_NOARP, 0);

    if (rc < 0)
        return refuse(error, name, "ARP on", rtnl_words(rtnl), rc);

    rc = state->ipv6 ? 0 : write_switch(name, default_switch());
    if (rc < 0 && rc != -ENOENT) /* no IPv6 in this kernel */
        return refuse(error, name, "disable_ipv6 in /proc/sys", "", rc);

    rc = state->filter_place ? delete_filter(rtnl, state->facts.index) : 0;
    if (rc < 0)
        return refuse(error, name, "ingress filter", rtnl_words(rtnl), rc);

    rc = state->filter_place && !state->other_filters ? delete_qdisc(rtnl, state->facts.index) : 0;
    return rc < 0 ? refuse(error, name, "clsact qdisc", rtnl_words(rtnl), rc) : 0;
}

/* Without the filter, ARP and IPv6 both off are our trace: somebody has removed the qdisc. */
static bool bears_our_marks(const struct link_state *state)
{
    return state->ethernet && (state->filter_place || (state->no_arp && !state->ipv6));
}

int link_release(const char *name, struct text *ret_error)
{
    struct rtnl *rtnl = NULL;
    struct link_state state;
    int rc = start(name, &rtnl, &state, ret_error);

    if (rc == 0 && !state.facts.index)
        rc = check(&state, name, true, ret_error);
    if (rc == 0 && bears_our_marks(&state))
        rc = open_wire(rtnl, &state, ret_error);
    rtnl_close(rtnl);
    return rc;
}

/* --- looking, up and down --------------------------------------------------------------------- */

int link_look(const char *name, struct link_facts *ret_facts)
{
    struct rtnl *rtnl = NULL;
    struct link_state state;
    int rc = rtnl_open(&rtnl);

    if (rc == 0)
        rc = link_state_read(rtnl, name, &state);
    if (rc == 0)
        *ret_facts = state.facts;
    rtnl_close(rtnl);
    return rc;
}

int link_set_up(const char *name, bool up)
{
    unsigned index = if_nametoindex(name);
    struct rtnl *rtnl = NULL;
    int rc = index ? rtnl_open(&rtnl) : -ENODEV;

    if (rc == 0)
        rc = set_flags(rtnl, (int)index, IFF_UP, up ? IFF_UP : 0);
    rtnl_close(rtnl);
    return rc;
}
