// SPDX-License-Identifier: Apache-2.0
#include "link/rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#define SEQUENCE 7
#define PORT     4711

static int seen;

static void note(const struct nlmsghdr *message, void *data)
{
    (void)message;
    (void)data;
    seen++;
}

static struct rtnl_answer fresh(void)
{
    seen = 0;
    return (struct rtnl_answer){.sequence = SEQUENCE, .port = PORT, .each = note};
}

/* Begins a message after those in `buf`. */
static struct nlmsghdr *begin(char *buf, size_t at, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf + at);

    message->nlmsg_type = type;
    message->nlmsg_flags = flags;
    message->nlmsg_seq = SEQUENCE;
    message->nlmsg_pid = PORT;
    return message;
}

static size_t put_link(char *buf, size_t at, uint16_t flags)
{
    struct nlmsghdr *message = begin(buf, at, RTM_NEWLINK, flags);

    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    return at + message->nlmsg_len;
}

static size_t put_end(char *buf, size_t at, uint16_t type, int code, const char *words)
{
    struct nlmsghdr *message = begin(buf, at, type, words ? NLM_F_ACK_TLVS : 0);
    struct nlmsgerr *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));

    head->error = code;
    if (words)
        mnl_attr_put_strz(message, NLMSGERR_ATTR_MSG, words);
    return at + message->nlmsg_len;
}

Test(rtnl, a_listing_ends_with_done)
{
    struct rtnl_answer answer = fresh();
    char buf[1024];
    size_t len = put_link(buf, put_link(buf, 0, NLM_F_MULTI), NLM_F_MULTI);

    rtnl_read(buf, len, &answer);
    cr_assert_eq(seen, 2);
    cr_assert_not(answer.ended);

    len = put_end(buf, 0, NLMSG_DONE, 0, NULL);
    rtnl_read(buf, len, &answer);
    cr_assert(answer.ended);
    cr_assert_eq(answer.rc, 0);
    cr_assert_not(answer.interrupted);
}

Test(rtnl, a_listing_that_failed_on_its_way_is_a_failure)
{
    struct rtnl_answer answer = fresh();
    char buf[256];

    rtnl_read(buf, put_end(buf, 0, NLMSG_DONE, -ENOMEM, NULL), &answer);
    cr_assert_eq(answer.rc, -ENOMEM);
}

Test(rtnl, a_disturbed_listing_is_noted_wherever_the_flag_stands)
{
    struct rtnl_answer first = fresh(), last = fresh();
    char buf[1024];
    size_t len = put_end(buf, put_link(buf, 0, NLM_F_MULTI | NLM_F_DUMP_INTR), NLMSG_DONE, 0, NULL);

    rtnl_read(buf, len, &first);
    cr_assert(first.ended && first.interrupted);

    len = put_end(buf, 0, NLMSG_DONE, 0, NULL);
    ((struct nlmsghdr *)buf)->nlmsg_flags |= NLM_F_DUMP_INTR;
    rtnl_read(buf, len, &last);
    cr_assert(last.ended && last.interrupted);
}

Test(rtnl, a_refusal_comes_with_the_words_of_the_kernel)
{
    struct rtnl_answer answer = fresh();
    char buf[256];

    rtnl_read(buf, put_end(buf, 0, NLMSG_ERROR, -EEXIST, "Exclusivity flag on"), &answer);
    cr_assert(answer.ended);
    cr_assert_eq(answer.rc, -EEXIST);
    cr_assert_str_eq(answer.words, "Exclusivity flag on");
}

Test(rtnl, an_acknowledgement_is_success)
{
    struct rtnl_answer answer = fresh();
    char buf[256];

    rtnl_read(buf, put_end(buf, 0, NLMSG_ERROR, 0, NULL), &answer);
    cr_assert(answer.ended);
    cr_assert_eq(answer.rc, 0);
}

Test(rtnl, an_error_that_is_none_is_a_protocol_error)
{
    struct rtnl_answer positive = fresh(), cut = fresh();
    char buf[256];

    rtnl_read(buf, put_end(buf, 0, NLMSG_ERROR, 5, NULL), &positive);
    cr_assert_eq(positive.rc, -EPROTO);

    rtnl_read(buf, begin(buf, 0, NLMSG_ERROR, 0)->nlmsg_len, &cut);
    cr_assert_eq(cut.rc, -EPROTO);
}

Test(rtnl, messages_for_others_are_passed_over)
{
    struct rtnl_answer answer = fresh();
    char buf[512];
    size_t len = put_end(buf, put_link(buf, 0, 0), NLMSG_ERROR, -EPERM, NULL);

    ((struct nlmsghdr *)buf)->nlmsg_seq = SEQUENCE - 1;
    ((struct nlmsghdr *)(buf + put_link(buf + 256, 0, 0)))->nlmsg_pid = PORT + 1;
    rtnl_read(buf, len, &answer);
    cr_assert_eq(seen, 0);
    cr_assert_not(answer.ended);
}

/* Every shorter datagram, in a block of its size so that reading beyond is caught. */
Test(rtnl, a_datagram_cut_anywhere_is_read_within_its_bounds)
{
    char buf[512];
    size_t len = put_end(buf, put_link(buf, 0, 0), NLMSG_ERROR, -EPERM, "words");

    for (size_t cut = 0; cut < len; cut++) {
        struct rtnl_answer answer = fresh();
        char *block = malloc(cut ? cut : 1);

        memcpy(block, buf, cut);
        rtnl_read(block, cut, &answer);
        cr_assert_not(answer.ended, "cut at %zu", cut);
        free(block);
    }
}

Test(rtnl, short_attributes_are_as_if_absent)
{
    char buf[256];
    struct nlmsghdr *message = begin(buf, 0, RTM_NEWLINK, 0);

    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    mnl_attr_put_u16(message, IFLA_MTU, 1500);
    mnl_attr_put(message, IFLA_IFNAME, 4, "lan0");

    cr_assert_eq(rtnl_u32(rtnl_find(message, sizeof(struct ifinfomsg), IFLA_MTU), 9), 9);
    cr_assert_str_eq(rtnl_text(rtnl_find(message, sizeof(struct ifinfomsg), IFLA_IFNAME)), "");
    cr_assert_null(rtnl_find(message, sizeof(struct ifinfomsg), IFLA_LINK));
    cr_assert_null(rtnl_find(message, 200, IFLA_MTU));
    cr_assert_null(rtnl_head(message, 200));
    cr_assert_null(rtnl_find_in(NULL, 1));
    cr_assert_eq(rtnl_u32(NULL, 3), 3);
}
