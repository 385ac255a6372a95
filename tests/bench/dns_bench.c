/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a DNS message costs: to read it, to judge the query, to learn the answer, and both of the
 * latter as packets on the wire.
 *
 *   dns_bench
 *
 * 1024 names below api.example.com, one query and one answer each; a policy of one group with ten
 * hostname rules, of which the last allows the names. Answers have 1, 4 or 64 addresses of their
 * own, or lead to four of them through a chain of CNAME records, compressed as servers do.
 *
 *   read     every record with its owner (ours), or what the answer grants (walk)
 *   decide   pol_dns_decide(); "known": the memo has the name; "new": it never has
 *   learn    pol_dns_learn(); "known": the grants are there; "new": none of them is
 *   wire     pol_worker_decide() on the UDP packet: the query; its answer, already known
 *
 * The peer is the reader of libresolv, ns_initparse() and ns_parserr() over all records, on the
 * same messages: for everything but "read" it is the floor, for it neither judges nor learns. CPU
 * time, the best of seven rounds.
 */
#include <arpa/nameser.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpolicy/policy.h>

#include "clock.h"
#include "dnsmsg.h"
#include "wire/dns.h"

enum {
    NAMES = 1024,
    NEW_NAMES = 32768, /* more than the memo keeps, in an order in which it has lost each by then */
    ROUNDS = 7,
    ADDRS_MAX = 64,
    MESSAGE_MAX = 2048
};

static const char policy_text[] =
    "{\"source_groups\":[{\"id\":\"g\",\"mode\":\"enforce\",\"sources\":{\"cidrs\":"
    "[\"10.0.0.0/8\"]},\"rules\":["
    "{\"id\":\"0\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^a\\\\.example\\\\.org$\"}},"
    "{\"id\":\"1\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^b\\\\.example\\\\.org$\"}},"
    "{\"id\":\"2\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^c\\\\.example\\\\.org$\"}},"
    "{\"id\":\"3\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^d\\\\.example\\\\.org$\"}},"
    "{\"id\":\"4\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^e\\\\.example\\\\.org$\"}},"
    "{\"id\":\"5\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^(.+\\\\.)?ex\\\\.net$\"}},"
    "{\"id\":\"6\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^(.+\\\\.)?ey\\\\.net$\"}},"
    "{\"id\":\"7\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^(.+\\\\.)?ez\\\\.net$\"}},"
    "{\"id\":\"8\",\"action\":\"allow\",\"match\":{\"dns_hostname\":\"^cdn[0-9]+\\\\.ex\\\\.net$\"}"
    "},"
    "{\"id\":\"9\",\"action\":\"allow\",\"match\":"
    "{\"dns_hostname\":\"^(.+\\\\.)?api\\\\.example\\\\.com$\"}}]}]}";

struct message {
    size_t len;
    uint8_t bytes[MESSAGE_MAX];
};

/* One kind of answer, for all names. */
struct shape {
    const char *name;
    unsigned steps, addrs; /* CNAME records before the addresses */
};

static const struct shape shapes[] = {
    {"1 address", 0, 1},
    {"4 addresses", 0, 4},
    {"64 addresses", 0, 64},
    {"1 CNAME, 4 addresses", 1, 4},
    {"3 CNAME, 4 addresses", 3, 4},
    {"11 CNAME, 4 addresses", 11, 4},
};

struct bench {
    pol_ctx *ctx;
    pol_policy *policy;
    pol_grants *grants;
    pol_worker *worker;
    pol_mono now;
    struct message *queries, *answers; /* NEW_NAMES and NAMES of them */
    pol_dns_query *judged;             /* NAMES */
    const struct shape *shape;
};

static const pol_addr client = {4, {10, 1, 2, 3}}, server = {4, {192, 0, 2, 53}};

/* --- messages ------------------------------------------------------------------------------- */

static struct dnsmsg query, answer;

static struct message message_of(const struct dnsmsg *msg)
{
    struct message message = {.len = msg->len};

    if (msg->len > sizeof(message.bytes))
        errx(1, "a message is too long");
    memcpy(message.bytes, msg->bytes, msg->len);
    return message;
}

static void make_query(unsigned number)
{
    char name[64];

    snprintf(name, sizeof(name), "host%u.api.example.com", number);
    dnsmsg_query(&query, name, 1, (uint16_t)number, 1232);
}

static void make_answer(const struct shape *shape, unsigned number)
{
    char name[64], next[64], address[32];

    snprintf(name, sizeof(name), "host%u.api.example.com", number);
    dnsmsg_response(&answer, &query, 0);
    for (unsigned i = 0; i < shape->steps; i++) {
        snprintf(next, sizeof(next), "edge%u-%u.cdn.example.net", number, i);
        dnsmsg_name(&answer, name, 5, 300, next);
        memcpy(name, next, sizeof(name));
    }
    for (unsigned i = 0; i < shape->addrs; i++) {
        unsigned host = number * ADDRS_MAX + i;

        snprintf(address, sizeof(address), "203.%u.%u.%u", host >> 16 & 255, host >> 8 & 255,
                 host & 255);
        dnsmsg_address(&answer, name, 60, address);
    }
    dnsmsg_opt(&answer, 1232, 0, false);
}

static void make_queries(struct bench *bench)
{
    for (unsigned i = 0; i < NEW_NAMES; i++) {
        make_query(i);
        bench->queries[i] = message_of(&query);
    }
}

static void make_answers(struct bench *bench, const struct shape *shape)
{
    bench->shape = shape;
    for (unsigned i = 0; i < NAMES; i++) {
        make_query(i);
        make_answer(shape, i);
        bench->answers[i] = message_of(&answer);
    }
}

static pol_bytes bytes_of(const struct message *message)
{
    return (pol_bytes){message->bytes, message->len};
}

static double mean_len(const struct message *messages, unsigned count)
{
    size_t sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += messages[i].len;
    return (double)sum / count;
}

/* --- reading -------------------------------------------------------------------------------- */

typedef unsigned (*read_fn)(pol_bytes message);

static unsigned read_ours(pol_bytes bytes)
{
    struct dns_message message;
    struct dns_records records;
    struct dns_record record;
    struct dnsname owner;
    unsigned count = 0;

    if (dns_message_read(bytes, &message) != POL_OK)
        errx(1, "a message cannot be read");
    records = dns_records_of(&message);
    while (dns_records_next(&records, &record) == POL_OK)
        count += dns_record_owner(&message, &record, &owner) == POL_OK;
    return count;
}

static unsigned read_granted(pol_bytes bytes)
{
    static struct dns_address addresses[ADDRS_MAX];
    struct dns_message message;
    struct dns_answer found;

    if (dns_message_read(bytes, &message) != POL_OK)
        errx(1, "a message cannot be read");
    dns_answer_walk(&message, addresses, ADDRS_MAX, &found);
    return (unsigned)found.count;
}

static unsigned read_peer(pol_bytes bytes)
{
    static const ns_sect sections[] = {ns_s_qd, ns_s_an, ns_s_ns, ns_s_ar};
    unsigned count = 0;
    ns_msg handle;
    ns_rr record;

    if (ns_initparse(bytes.ptr, (int)bytes.len, &handle) < 0)
        errx(1, "libresolv cannot read a message");
    for (unsigned s = 0; s < 4; s++) {
        for (int i = 0; i < ns_msg_count(handle, sections[s]); i++)
            count += ns_parserr(&handle, sections[s], i, &record) == 0;
    }
    return count - 1; /* the question */
}

static double time_reading(read_fn read, const struct message *messages, unsigned expected)
{
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = thread_ns(), spent;
        unsigned sum = 0;

        for (unsigned i = 0; i < NAMES; i++)
            sum += read(bytes_of(&messages[i]));
        spent = thread_ns() - begin;
        best = spent < best ? spent : best;
        if (sum != expected * NAMES)
            errx(1, "a reader has missed records");
    }
    return (double)best / NAMES;
}

/* --- judging and learning ------------------------------------------------------------------- */

static double time_queries(struct bench *bench, unsigned count)
{
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = thread_ns(), spent;
        unsigned allowed = 0;

        for (unsigned i = 0; i < count; i++) {
            pol_verdict verdict;

            allowed += pol_dns_decide(bench->worker, &client, bytes_of(&bench->queries[i]),
                                      bench->now, &bench->judged[i % NAMES], &verdict) == POL_ALLOW;
        }
        spent = thread_ns() - begin;
        best = spent < best ? spent : best;
        if (allowed != count)
            errx(1, "a query is not allowed");
    }
    return (double)best / count;
}

static void forget_grants(struct bench *bench)
{
    pol_grants_stats stats;

    bench->now += 1000000 * POL_SECONDS;
    do {
        pol_grants_expire(bench->grants, bench->now, 1 << 20);
        pol_grants_stats_get(bench->grants, &stats);
    } while (stats.live);
}

static double time_lessons(struct bench *bench, bool known)
{
    uint64_t best = UINT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin, spent;
        unsigned taught = 0;

        if (!known || !round)
            forget_grants(bench);
        begin = thread_ns();
        for (unsigned i = 0; i < NAMES; i++) {
            pol_dns_learned learned = {0};

            if (pol_dns_learn(bench->worker, &bench->judged[i], bytes_of(&bench->answers[i]),
                              bench->now, &learned) != POL_OK)
                errx(1, "an answer is not learned");
            taught += known && round ? learned.refreshed : learned.added;
        }
        spent = thread_ns() - begin;
        if (taught != NAMES * bench->shape->addrs)
            errx(1, "not all addresses are learned");
        if (round)
            best = spent < best ? spent : best;
    }
    return (double)best / NAMES;
}

/* --- on the wire ---------------------------------------------------------------------------- */

static pol_packet make_packet(const struct message *message, unsigned number, bool is_answer)
{
    pol_packet packet = {
        .kind = POL_PKT_IP,
        .side = is_answer ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE,
        .hop_limit = 64,
        .wire_len = (uint32_t)message->len + 42,
        .ip_len = (uint32_t)message->len + 28,
        .payload = bytes_of(message),
        .tuple = {.proto = 17, .src = is_answer ? server : client},
    };

    packet.tuple.dst = is_answer ? client : server;
    packet.tuple.src_port = is_answer ? 53 : (uint16_t)(20000 + number);
    packet.tuple.dst_port = is_answer ? (uint16_t)(20000 + number) : 53;
    return packet;
}

static uint64_t time_packets(struct bench *bench, const pol_packet *packets)
{
    static pol_event events[64];
    uint64_t begin = thread_ns(), spent;
    unsigned allowed = 0;
    pol_verdict verdict;

    for (unsigned i = 0; i < NAMES; i++)
        allowed += pol_worker_decide(bench->worker, &packets[i], bench->now, &verdict) == POL_ALLOW;
    spent = thread_ns() - begin;
    if (allowed != NAMES)
        errx(1, "a packet is not allowed");
    while (pol_worker_drain(bench->worker, events, 64))
        ;
    return spent;
}

static void time_wire(struct bench *bench, double *ret_query, double *ret_answer)
{
    static pol_packet queries[NAMES], answers[NAMES];
    uint64_t query_best = UINT64_MAX, answer_best = UINT64_MAX;

    for (unsigned i = 0; i < NAMES; i++) {
        queries[i] = make_packet(&bench->queries[i], i, false);
        answers[i] = make_packet(&bench->answers[i], i, true);
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t spent = time_packets(bench, queries);

        query_best = spent < query_best ? spent : query_best;
        spent = time_packets(bench, answers);
        answer_best = spent < answer_best ? spent : answer_best;
    }
    *ret_query = (double)query_best / NAMES;
    *ret_answer = (double)answer_best / NAMES;
}

/* --- report --------------------------------------------------------------------------------- */

static void report(const char *what, const char *message, double octets, double ns, double peer_ns)
{
    printf("{\"bench\":\"dns\",\"what\":\"%s\",\"message\":\"%s\",\"octets\":%.0f,\"ns\":%.0f,"
           "\"ns_per_octet\":%.2f,\"peer\":\"libresolv, read only\",\"peer_ns\":%.0f,"
           "\"ratio\":%.2f}\n",
           what, message, octets, ns, ns / octets, peer_ns, ns / peer_ns);
    fflush(stdout);
}

static void run_queries(struct bench *bench)
{
    double octets = mean_len(bench->queries, NAMES), wire_query, wire_answer;
    double peer = time_reading(read_peer, bench->queries, 1);

    report("read", "query", octets, time_reading(read_ours, bench->queries, 1), peer);
    report("decide, new", "query", octets, time_queries(bench, NEW_NAMES), peer);
    report("decide, known", "query", octets, time_queries(bench, NAMES), peer);
    time_wire(bench, &wire_query, &wire_answer);
    report("wire", "query", octets, wire_query, peer);
}

static void run_answers(struct bench *bench)
{
    const struct shape *shape = bench->shape;
    unsigned records = shape->steps + shape->addrs + 1;
    double octets = mean_len(bench->answers, NAMES), wire_query, wire_answer;
    double peer = time_reading(read_peer, bench->answers, records);

    report("read", shape->name, octets, time_reading(read_ours, bench->answers, records), peer);
    report("walk", shape->name, octets, time_reading(read_granted, bench->answers, shape->addrs),
           peer);
    report("learn, new", shape->name, octets, time_lessons(bench, false), peer);
    report("learn, known", shape->name, octets, time_lessons(bench, true), peer);
    time_wire(bench, &wire_query, &wire_answer);
    report("wire", shape->name, octets, wire_answer, peer);
}

static void set_up(struct bench *bench)
{
    pol_worker_options options;
    pol_grants_options table;

    pol_worker_options_init(&options, sizeof(options));
    pol_grants_options_init(&table, sizeof(table));
    table.capacity = 2 * NAMES * ADDRS_MAX;
    options.trust_all_resolvers = true;
    *bench = (struct bench){
        .now = POL_SECONDS,
        .queries = calloc(NEW_NAMES, sizeof(*bench->queries)),
        .answers = calloc(NAMES, sizeof(*bench->answers)),
        .judged = calloc(NAMES, sizeof(*bench->judged)),
    };
    if (!bench->queries || !bench->answers || !bench->judged)
        errx(1, "out of memory");
    if (pol_ctx_new(NULL, &bench->ctx) != POL_OK ||
        pol_compile(bench->ctx, (pol_str){policy_text, sizeof(policy_text) - 1}, NULL,
                    &bench->policy, NULL) != POL_OK ||
        pol_grants_new(bench->ctx, &table, &bench->grants) != POL_OK)
        errx(1, "no policy or no grants");
    options.grants = bench->grants;
    if (pol_worker_new(bench->ctx, &options, &bench->worker) != POL_OK ||
        pol_worker_use(bench->worker, bench->policy, 1) != POL_OK)
        errx(1, "no worker");
}

static void tear_down(struct bench *bench)
{
    pol_worker_free(bench->worker);
    pol_grants_free(bench->grants);
    pol_policy_unref(bench->policy);
    pol_ctx_unref(bench->ctx);
    free(bench->queries);
    free(bench->answers);
    free(bench->judged);
}

int main(void)
{
    struct bench bench;

    set_up(&bench);
    make_queries(&bench);
    make_answers(&bench, &shapes[0]);
    run_queries(&bench);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        make_answers(&bench, &shapes[i]);
        run_answers(&bench);
    }
    tear_down(&bench);
    return 0;
}
