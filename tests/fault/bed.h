/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULT_BED_H
#define FAULT_BED_H

/*
 * A worker and all it needs, made through the public functions and over fault_mem(). Policies are
 * written with ' for ".
 *
 *     struct bed bed = bed_of();
 *     bed.options.flow_capacity = 4;            before it is opened, if at all
 *     bed_open(&bed, "{'default_policy':'allow'}");
 *     EXPECT(bed_judge(&bed, packet) == POL_ALLOW);    bed.verdict has the rest
 *     bed_close(&bed);
 */

#include <libpolicy/policy.h>

#include "dnsmsg.h"
#include "fault.h"
#include "frames.h"
#include "hello.h"

struct bed {
    pol_ctx_options ctx_options;
    pol_mem mem;
    pol_worker_options options;
    pol_grants_options grants_options;
    pol_ctx *ctx;
    pol_grants *grants;
    pol_worker *worker;
    uint64_t generation;
    pol_mono now;
    pol_verdict verdict;
    pol_dns_query query;
    pol_dns_learned learned;
};

/* A trusted resolver at 192.0.2.53, inside is 10.0.0.0/8 and fd00::/8, small tables. */
struct bed bed_of(void);
void bed_open(struct bed *bed, const char *policy);
void bed_close(struct bed *bed);

pol_policy *bed_compile(struct bed *bed, const char *policy);
void bed_use(struct bed *bed, const char *policy); /* the next generation */

enum pol_action bed_judge(struct bed *bed, pol_packet packet);
bool bed_says(const struct bed *bed, enum pol_action action, enum pol_reason reason);

/* What a client asks of a proxy; and what the proxy then learns, for one name or for another one
 * behind it. */
enum pol_action bed_ask(struct bed *bed, const char *client, const char *name);
int bed_learn(struct bed *bed, const char *name, const char *address, uint32_t ttl);
/* Both, and the name must be allowed. */
void bed_grant(struct bed *bed, const char *client, const char *name, const char *address);

pol_packet bed_syn(const char *src, unsigned src_port, const char *dst, unsigned dst_port);
/* The client's first octets behind that SYN, and the server's. */
pol_packet bed_data(const pol_packet *syn, pol_bytes payload);
pol_packet bed_reply(const pol_packet *syn, uint8_t flags, pol_bytes payload);
pol_bytes bed_hello(const char *sni); /* valid until the next one */

/* On the wire, to the trusted resolver. The messages are valid until the next ones. */
pol_packet bed_query(const char *client, unsigned port, const char *name, unsigned id);
pol_packet bed_answer(const pol_packet *query, const char *name, const char *address);

uint64_t bed_counter(const struct bed *bed, const char *name, const char *labels);
/* Drains; how many events of the kind there were. The newest is written. */
size_t bed_events(struct bed *bed, enum pol_event_kind kind, pol_event *ret_event);

/* Writes `text` with " for '; returns its length. */
size_t bed_quote(const char *text, char *json, size_t capacity);

#endif
