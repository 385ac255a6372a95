/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_WORKER_RIG_H
#define UNIT_WORKER_RIG_H

/*
 * A worker with all it needs, for tests of this room. Policies are written with ' for ".
 *
 *     rig_options(&rig)->sni_check = POL_SNI_ENFORCE;      before the start, if at all
 *     rig_start(&rig, "{'default_policy':'allow'}");
 *     rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
 *     cr_assert_eq(rig_judge(&rig, &packet), POL_ALLOW);    rig.verdict has the rest
 */

#include <criterion/criterion.h>
#include <libpolicy/policy.h>

#include <string.h>

#include "dnsmsg.h"
#include "frames.h"
#include "hello.h"

enum { RIG_EVENTS = 256 };

struct rig {
    pol_ctx *ctx;
    pol_grants *grants;
    pol_worker *worker;
    pol_worker_options options;
    pol_grants_options grants_options;
    uint64_t generation;
    pol_mono now;
    pol_verdict verdict;
    pol_dns_query query;
    pol_dns_learned learned;
    size_t event_count;
    pol_event events[RIG_EVENTS];
    struct dnsmsg asked, answer;
};

static inline pol_worker_options *rig_options(struct rig *rig)
{
    if (!rig->options.size) {
        pol_worker_options_init(&rig->options, sizeof(rig->options));
        rig->options.flow_capacity = 64;
        rig->options.pending_capacity = 4;
        rig->options.stream_capacity = 4;
    }
    return &rig->options;
}

static inline pol_policy *rig_compile(struct rig *rig, const char *text)
{
    char json[8192];
    size_t len = strlen(text);
    pol_policy *policy = NULL;

    cr_assert_lt(len, sizeof(json));
    for (size_t i = 0; i < len; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    cr_assert_eq(pol_compile(rig->ctx, (pol_str){json, len}, NULL, &policy, NULL), POL_OK, "%s",
                 text);
    return policy;
}

/* The next generation. */
static inline void rig_use(struct rig *rig, const char *text)
{
    pol_policy *policy = rig_compile(rig, text);

    cr_assert_eq(pol_worker_use(rig->worker, policy, ++rig->generation), POL_OK);
    pol_policy_unref(policy);
}

static inline void rig_start(struct rig *rig, const char *text)
{
    if (!rig->ctx)
        cr_assert_eq(pol_ctx_new(NULL, &rig->ctx), POL_OK);
    if (!rig->grants_options.size)
        pol_grants_options_init(&rig->grants_options, sizeof(rig->grants_options));
    cr_assert_eq(pol_grants_new(rig->ctx, &rig->grants_options, &rig->grants), POL_OK);
    rig_options(rig)->grants = rig->grants;
    cr_assert_eq(pol_worker_new(rig->ctx, &rig->options, &rig->worker), POL_OK);
    rig->now = 1000 * POL_SECONDS;
    rig_use(rig, text);
}

static inline void rig_stop(struct rig *rig)
{
    pol_worker_free(rig->worker);
    pol_grants_free(rig->grants);
    pol_ctx_unref(rig->ctx);
    memset(rig, 0, offsetof(struct rig, events));
}

static inline enum pol_action rig_judge(struct rig *rig, const pol_packet *packet)
{
    return pol_worker_decide(rig->worker, packet, rig->now, &rig->verdict);
}

/* The query of a client to a proxy. */
static inline enum pol_action rig_ask(struct rig *rig, const char *client, const char *name)
{
    pol_addr addr = addr_from(client);

    dnsmsg_query(&rig->asked, name, 1, 7, 0);
    return pol_dns_decide(rig->worker, &addr, (pol_bytes){rig->asked.bytes, rig->asked.len},
                          rig->now, &rig->query, &rig->verdict);
}

/* Asks and learns one address. */
static inline void rig_learn(struct rig *rig, const char *client, const char *name,
                             const char *address, uint32_t ttl)
{
    cr_assert_eq(rig_ask(rig, client, name), POL_ALLOW, "%s", name);
    dnsmsg_response(&rig->answer, &rig->asked, 0);
    dnsmsg_address(&rig->answer, name, ttl, address);
    cr_assert_eq(pol_dns_learn(rig->worker, &rig->query,
                               (pol_bytes){rig->answer.bytes, rig->answer.len}, rig->now,
                               &rig->learned),
                 POL_OK);
}

static inline pol_packet rig_syn(const char *src, uint16_t src_port, const char *dst,
                                 uint16_t dst_port)
{
    return packet_tcp(src, src_port, dst, dst_port, POL_TCP_SYN, 1000, (pol_bytes){NULL, 0});
}

/* The client's first octets behind a SYN of rig_syn(). */
static inline pol_packet rig_data(const pol_packet *syn, pol_bytes payload)
{
    pol_packet packet = *syn;

    packet.tcp_flags = POL_TCP_ACK;
    packet.tcp_seq = syn->tcp_seq + 1;
    packet.payload = payload;
    return packet;
}

/* A ClientHello; valid until the next one. NULL: without a server name. */
static inline pol_bytes rig_hello(const char *sni)
{
    static struct hello hello;

    hello_build(&hello, &(struct hello_options){.sni = sni, .tls13 = true});
    return (pol_bytes){hello.bytes, hello.len};
}

static inline void rig_drain(struct rig *rig)
{
    rig->event_count = pol_worker_drain(rig->worker, rig->events, RIG_EVENTS);
}

/* The newest drained event of a kind, or NULL. */
static inline const pol_event *rig_event(const struct rig *rig, enum pol_event_kind kind)
{
    for (size_t i = rig->event_count; i-- > 0;) {
        if (rig->events[i].kind == kind)
            return &rig->events[i];
    }
    return NULL;
}

static inline uint64_t rig_counter(struct rig *rig, const char *name, const char *labels)
{
    pol_counters *counters;
    uint64_t value;

    cr_assert_eq(pol_counters_new(rig->ctx, &counters), POL_OK);
    pol_counters_add(counters, rig->worker);
    value = pol_counters_value(counters, name, labels);
    pol_counters_free(counters);
    return value;
}

#endif
