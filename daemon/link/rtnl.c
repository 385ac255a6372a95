// SPDX-License-Identifier: Apache-2.0
#include "link/rtnl.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>

/* The kernel fills up to 32 KiB per datagram when it sees such a buffer (netlink_dump()). */
#define ANSWER_SIZE      32768
#define QUESTION_SIZE    1024
#define PATIENCE_SECONDS 5 /* rtnetlink answers at once, unless its lock is held long */

struct rtnl {
    struct mnl_socket *socket;
    uint32_t sequence;
    char words[128];
    alignas(NLMSG_ALIGNTO) char question[QUESTION_SIZE];
    alignas(NLMSG_ALIGNTO) char answer[ANSWER_SIZE];
};

static int prepare(struct mnl_socket *netlink)
{
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int on = 1;

    /* Strict: the kernel lists the addresses and routes of one interface only (Linux 4.20). */
    if (mnl_socket_setsockopt(netlink, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0 ||
        mnl_socket_setsockopt(netlink, NETLINK_EXT_ACK, &on, sizeof(on)) < 0 ||
        mnl_socket_setsockopt(netlink, NETLINK_CAP_ACK, &on, sizeof(on)) < 0 ||
        setsockopt(mnl_socket_get_fd(netlink), SOL_SOCKET, SO_RCVTIMEO, &patience,
                   sizeof(patience)) < 0 ||
        mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    return 0;
}

int rtnl_open(struct rtnl **ret_rtnl)
{
    struct rtnl *rtnl = calloc(1, sizeof(*rtnl));
    int rc = -ENOMEM;

    if (!rtnl)
        goto out;

    rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    rc = rtnl->socket ? prepare(rtnl->socket) : -errno;
    if (rc < 0)
        goto out;

    *ret_rtnl = rtnl;
    rtnl = NULL;

out:
    rtnl_close(rtnl);
    return rc;
}

void rtnl_close(struct rtnl *rtnl)
{
    if (rtnl && rtnl->socket)
        mnl_socket_close(rtnl->socket);
    free(rtnl);
}

struct nlmsghdr *rtnl_question(struct rtnl *rtnl, uint16_t type, uint16_t flags, const void *head,
                               size_t head_len)
{
    struct nlmsghdr *message;

    memset(rtnl->question, 0, sizeof(rtnl->question));
    message = mnl_nlmsg_put_header(rtnl->question);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    message->nlmsg_seq = ++rtnl->sequence;
    memcpy(mnl_nlmsg_put_extra_header(message, head_len), head, head_len);
    return message;
}

static ssize_t receive(struct rtnl *rtnl)
{
    ssize_t got;

    do
        got = mnl_socket_recvfrom(rtnl->socket, rtnl->answer, sizeof(rtnl->answer));
    while (got < 0 && errno == EINTR);

    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return got;
}

int rtnl_ask(struct rtnl *rtnl, rtnl_each each, void *data)
{
    const struct nlmsghdr *message = (const struct nlmsghdr *)rtnl->question;
    struct rtnl_answer answer = {.sequence = rtnl->sequence,
                                 .port = mnl_socket_get_portid(rtnl->socket),
                                 .each = each,
                                 .data = data};
    ssize_t got;

    rtnl->words[0] = '\0';
    if (mnl_socket_sendto(rtnl->socket, message, message->nlmsg_len) < 0)
        return -errno;

    while (!answer.ended) {
        got = receive(rtnl);
        if (got < 0)
            return (int)got;
        rtnl_read(rtnl->answer, (size_t)got, &answer);
    }

    memcpy(rtnl->words, answer.words, sizeof(rtnl->words));
    return answer.rc == 0 && answer.interrupted ? -EINTR : answer.rc;
}

const char *rtnl_words(const struct rtnl *rtnl)
{
    return rtnl->words;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The attributes between two places; libmnl's mnl_attr_ok() keeps the walk inside. */
static const struct nlattr *find(const char *at, const char *end, unsigned type)
{
    const struct nlattr *attr = (const struct nlattr *)at;

    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        if (mnl_attr_get_type(attr) == type)
            return attr;
    }
    return NULL;
}

const void *rtnl_head(const struct nlmsghdr *message, size_t head_len)
{
    return mnl_nlmsg_get_payload_len(message) < head_len ? NULL : mnl_nlmsg_get_payload(message);
}

const struct nlattr *rtnl_find(const struct nlmsghdr *message, size_t head_len, unsigned type)
{
    if (mnl_nlmsg_get_payload_len(message) < MNL_ALIGN(head_len))
        return NULL;
    return find(mnl_nlmsg_get_payload_offset(message, head_len),
                (const char *)message + message->nlmsg_len, type);
}

const struct nlattr *rtnl_find_in(const struct nlattr *nest, unsigned type)
{
    const char *begin = nest ? mnl_attr_get_payload(nest) : NULL;

    return nest ? find(begin, begin + mnl_attr_get_payload_len(nest), type) : NULL;
}

const void *rtnl_octets(const struct nlattr *attr, size_t len)
{
    return attr && mnl_attr_get_payload_len(attr) >= len ? mnl_attr_get_payload(attr) : NULL;
}

uint32_t rtnl_u32(const struct nlattr *attr, uint32_t otherwise)
{
    return rtnl_octets(attr, sizeof(uint32_t)) ? mnl_attr_get_u32(attr) : otherwise;
}

const char *rtnl_text(const struct nlattr *attr)
{
    return attr && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(attr) : "";
}

/* A refusal, or with code 0 an acknowledgement. With NETLINK_CAP_ACK the question is not repeated
 * in it, so that the attributes follow the fixed part. */
static void read_end(const struct nlmsghdr *message, struct rtnl_answer *answer)
{
    const struct nlmsgerr *head = rtnl_head(message, sizeof(*head));
    const struct nlattr *words = NULL;

    answer->ended = true;
    answer->rc = head && head->error <= 0 && head->error > -INT_MAX ? head->error : -EPROTO;
    if (message->nlmsg_flags & NLM_F_ACK_TLVS)
        words = rtnl_find(message, sizeof(*head), NLMSGERR_ATTR_MSG);
    snprintf(answer->words, sizeof(answer->words), "%s", rtnl_text(words));
}

/* NLMSG_DONE carries the errno of a listing that failed on its way. */
static void read_done(const struct nlmsghdr *message, struct rtnl_answer *answer)
{
    const int *code = rtnl_head(message, sizeof(*code));

    answer->ended = true;
    answer->rc = code && *code < 0 ? *code : 0;
}

void rtnl_read(const void *datagram, size_t len, struct rtnl_answer *answer)
{
    const struct nlmsghdr *message = datagram;
    int left = (int)len;

    for (; mnl_nlmsg_ok(message, left) && !answer->ended;
         message = mnl_nlmsg_next(message, &left)) {
        if (!mnl_nlmsg_seq_ok(message, answer->sequence) ||
            !mnl_nlmsg_portid_ok(message, answer->port))
            continue;

        if (message->nlmsg_flags & NLM_F_DUMP_INTR)
            answer->interrupted = true;
        if (message->nlmsg_type == NLMSG_ERROR)
            read_end(message, answer);
        else if (message->nlmsg_type == NLMSG_DONE)
            read_done(message, answer);
        else if (message->nlmsg_type >= NLMSG_MIN_TYPE && answer->each)
            answer->each(message, answer->data);
    }
}
