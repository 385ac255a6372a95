/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINK_RTNL_H
#define LINK_RTNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>

/*
 * Questions to rtnetlink(7), one at a time, and their answers. Answers are not trusted to be well
 * formed: a message or an attribute that is shorter than what is read from it is as if it was
 * absent.
 */
struct rtnl;

int rtnl_open(struct rtnl **ret_rtnl); /* 0 or a negative errno */
void rtnl_close(struct rtnl *rtnl);

/* Begins a question; attributes are added with libmnl's mnl_attr_put_*(). Lives until the next. */
struct nlmsghdr *rtnl_question(struct rtnl *rtnl, uint16_t type, uint16_t flags, const void *head,
                               size_t head_len);

typedef void (*rtnl_each)(const struct nlmsghdr *message, void *data);

/*
 * Asks and waits for the end of the answer. `each`, unless NULL, is called with every message.
 *
 * @return 0; -EINTR: what was listed changed meanwhile (NLM_F_DUMP_INTR), ask again from the start;
 *         or the negative errno the kernel or the socket gave
 */
int rtnl_ask(struct rtnl *rtnl, rtnl_each each, void *data);

/* What the kernel said about the last refusal, in its words; "" when it said nothing. */
const char *rtnl_words(const struct rtnl *rtnl);

/* --- reading a message ------------------------------------------------------------------------ */

/* The fixed part after the message's header; NULL when the message is too short for it. */
const void *rtnl_head(const struct nlmsghdr *message, size_t head_len);

const struct nlattr *rtnl_find(const struct nlmsghdr *message, size_t head_len, unsigned type);
const struct nlattr *rtnl_find_in(const struct nlattr *nest, unsigned type); /* NULL in NULL */

/* The attribute's octets, when there are at least `len` of them; else NULL. */
const void *rtnl_octets(const struct nlattr *attr, size_t len);
uint32_t rtnl_u32(const struct nlattr *attr, uint32_t otherwise);
const char *rtnl_text(const struct nlattr *attr); /* "" when it is none or has no end */

/* --- one datagram of an answer, for rtnl_ask() and the tests -----------------------------------
 */

struct rtnl_answer {
    uint32_t sequence; /* whose answer; other messages are passed over */
    uint32_t port;
    rtnl_each each;
    void *data;
    bool ended;
    bool interrupted;
    int rc;
    char words[128];
};

void rtnl_read(const void *datagram, size_t len, struct rtnl_answer *answer);

#endif
