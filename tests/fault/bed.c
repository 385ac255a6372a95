/* SPDX-License-Identifier: Apache-2.0 */
#include "bed.h"

#include <string.h>

static const pol_addr resolver = {4, {192, 0, 2, 53}};
static const pol_prefix inside[] = {{{4, {10}}, 8}, {{6, {0xfd}}, 8}};

struct bed bed_of(void)
{
    struct bed bed = {.mem = fault_mem(), .now = 1000 * POL_SECONDS};

    pol_ctx_options_init(&bed.ctx_options, sizeof(bed.ctx_options));
    pol_grants_options_init(&bed.grants_options, sizeof(bed.grants_options));
    pol_worker_options_init(&bed.options, sizeof(bed.options));
    bed.ctx_options.hash_seed[0] = 1;
    bed.grants_options.capacity = 256;
    bed.options.flow_capacity = 64;
    bed.options.event_capacity = 64;
    bed.options.memo_capacity = 64;
    bed.options.pending_capacity = 4;
    bed.options.query_capacity = 8;
    bed.options.stream_capacity = 2;
    bed.options.fragment_capacity = 4;
    bed.options.member_capacity = 4;
    bed.options.inside = inside;
    bed.options.inside_count = 2;
    bed.options.trusted_resolvers = &resolver;
    bed.options.trusted_resolver_count = 1;
    return bed;
}

size_t bed_quote(const char *text, char *json, size_t capacity)
{
    size_t len = strlen(text);

    REQUIRE(len < capacity);
    for (size_t i = 0; i <= len; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    return len;
}

pol_policy *bed_compile(struct bed *bed, const char *text)
{
    static char json[65536];
    size_t len = bed_quote(text, json, sizeof(json));
    pol_policy *policy = NULL;

    REQUIRE(pol_compile(bed->ctx, (pol_str){json, len}, NULL, &policy, NULL) == POL_OK);
    return policy;
}

void bed_use(struct bed *bed, const char *text)
{
    pol_policy *policy = bed_compile(bed, text);

    REQUIRE(pol_worker_use(bed->worker, policy, ++bed->generation) == POL_OK);
    pol_policy_unref(policy);
}

void bed_open(struct bed *bed, const char *policy)
{
    bed->ctx_options.mem = &bed->mem;
    REQUIRE(pol_ctx_new(&bed->ctx_options, &bed->ctx) == POL_OK);
    REQUIRE(pol_grants_new(bed->ctx, &bed->grants_options, &bed->grants) == POL_OK);
    bed->options.grants = bed->grants;
    REQUIRE(pol_worker_new(bed->ctx, &bed->options, &bed->worker) == POL_OK);
    bed_use(bed, policy);
}

void bed_close(struct bed *bed)
{
    pol_worker_free(bed->worker);
    pol_grants_free(bed->grants);
    pol_ctx_unref(bed->ctx);
}

enum pol_action bed_judge(struct bed *bed, pol_packet packet)
{
    return pol_worker_decide(bed->worker, &packet, bed->now, &bed->verdict);
}

bool bed_says(const struct bed *bed, enum pol_action action, enum pol_reason reason)
{
    return bed->verdict.action == action && bed->verdict.reason == reason;
}

static struct dnsmsg asked, answered;

enum pol_action bed_ask(struct bed *bed, const char *client, const char *name)
{
    pol_addr addr = addr_from(client);

    dnsmsg_query(&asked, name, 1, 7, 0);
    return pol_dns_decide(bed->worker, &addr, (pol_bytes){asked.bytes, asked.len}, bed->now,
                          &bed->query, &bed->verdict);
}

int bed_learn(struct bed *bed, const char *name, const char *address, uint32_t ttl)
{
    dnsmsg_response(&answered, &asked, 0);
    dnsmsg_address(&answered, name, ttl, address);
    return pol_dns_learn(bed->worker, &bed->query, (pol_bytes){answered.bytes, answered.len},
                         bed->now, &bed->learned);
}

void bed_grant(struct bed *bed, const char *client, const char *name, const char *address)
{
    REQUIRE(bed_ask(bed, client, name) == POL_ALLOW);
    REQUIRE(bed_learn(bed, name, address, 60) == POL_OK);
}

pol_packet bed_syn(const char *src, unsigned src_port, const char *dst, unsigned dst_port)
{
    return packet_tcp(src, (uint16_t)src_port, dst, (uint16_t)dst_port, POL_TCP_SYN, 1000,
                      (pol_bytes){NULL, 0});
}

pol_packet bed_data(const pol_packet *syn, pol_bytes payload)
{
    pol_packet packet = *syn;

    packet.tcp_flags = POL_TCP_ACK;
    packet.tcp_seq = syn->tcp_seq + 1;
    packet.tcp_ack = 5001;
    packet.payload = payload;
    return packet;
}

pol_packet bed_reply(const pol_packet *syn, uint8_t flags, pol_bytes payload)
{
    pol_packet packet = packet_reply(syn, flags, flags & POL_TCP_SYN ? 5000 : 5001, payload);

    packet.tcp_ack = syn->tcp_seq + 1;
    return packet;
}

pol_bytes bed_hello(const char *sni)
{
    static struct hello hello;

    hello_build(&hello, &(struct hello_options){.sni = sni, .tls13 = true});
    return (pol_bytes){hello.bytes, hello.len};
}

pol_packet bed_query(const char *client, unsigned port, const char *name, unsigned id)
{
    dnsmsg_query(&asked, name, 1, (uint16_t)id, 0);
    return packet_udp(client, (uint16_t)port, "192.0.2.53", 53,
                      (pol_bytes){asked.bytes, asked.len});
}

pol_packet bed_answer(const pol_packet *query, const char *name, const char *address)
{
    dnsmsg_response(&answered, &asked, 0);
    dnsmsg_address(&answered, name, 60, address);
    return packet_reply(query, 0, 0, (pol_bytes){answered.bytes, answered.len});
}

uint64_t bed_counter(const struct bed *bed, const char *name, const char *labels)
{
    pol_counters *counters;
    uint64_t value;

    REQUIRE(pol_counters_new(bed->ctx, &counters) == POL_OK);
    pol_counters_add(counters, bed->worker);
    pol_counters_add_grants(counters, bed->grants);
    value = pol_counters_value(counters, name, labels);
    pol_counters_free(counters);
    return value;
}

size_t bed_events(struct bed *bed, enum pol_event_kind kind, pol_event *ret_event)
{
    static pol_event event;
    size_t count = 0;

    while (pol_worker_drain(bed->worker, &event, 1)) {
        if (event.kind != kind)
            continue;
        *ret_event = event;
        count++;
    }
    return count;
}
