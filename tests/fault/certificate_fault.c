/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crypto library takes memory from libc while it reads and verifies certificates, and some of
 * what it says then is not that memory was missing. Each request fails in turn all the same: who
 * asks is told so, a flow that waits is denied, and what comes later is not judged by it.
 */
#include <string.h>
#include <time.h>

#include "bed.h"
#include "flight.h"

/* What an output must still hold after a failure. */
#define UNTOUCHED ((void *)pem)
#define Y2026     UINT64_C(1780272000000)

enum { TOO_MANY = 100 };

static const char by_certificate[] =
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},'rules':["
    "{'id':'c','action':'allow','match':{'proto':'tcp','tls':{'server_san':'example'}}}]}]}";

static struct flight flight;
static char pem[16384];
static size_t pem_len;

static void add_anchor(const char *name)
{
    flight_load(&flight, name);
    REQUIRE(pem_len + flight.len < sizeof(pem));
    memcpy(pem + pem_len, flight.bytes, flight.len);
    pem_len += flight.len;
}

/* A worker that trusts two authorities, whose keys are an elliptic one and RSA. */
static struct bed bed_with_anchors(void)
{
    struct bed bed = bed_of();

    pem_len = 0;
    add_anchor("ca.pem");
    add_anchor("rsa-ca.pem");
    bed.options.trust_anchors_pem = (pol_str){pem, pem_len};
    bed.options.certificate_capacity = 2;
    bed.options.pending_capacity = 2 * TOO_MANY;
    bed.options.flow_capacity = 4 * TOO_MANY;
    return bed;
}

/* A connection up to its ClientHello. */
static pol_packet greet(struct bed *bed, unsigned port)
{
    pol_packet syn = bed_syn("10.0.0.5", port, "192.0.2.10", 443);

    EXPECT(bed_judge(bed, syn) == POL_PENDING);
    EXPECT(bed_judge(bed, bed_reply(&syn, POL_TCP_SYN | POL_TCP_ACK, (pol_bytes){NULL, 0})) ==
           POL_PENDING);
    EXPECT(bed_judge(bed, bed_data(&syn, bed_hello("a.example"))) == POL_PENDING);
    return syn;
}

static enum pol_action answer(struct bed *bed, const pol_packet *syn, pol_bytes octets)
{
    pol_packet reply = bed_reply(syn, POL_TCP_ACK, octets);

    reply.tcp_ack += (uint32_t)bed_hello("a.example").len;
    return bed_judge(bed, reply);
}

static pol_bytes octets_of(const char *name)
{
    flight_load(&flight, name);
    return (pol_bytes){flight.bytes, flight.len};
}

/* ---- Reading one ---- */

static void read_once(void *user)
{
    static pol_certificate certificate;
    const pol_bytes *stream = user;
    int rc = pol_tls_certificate(*stream, &certificate);

    if (fault_struck() && rc != POL_OK)
        EXPECT(rc == POL_E_NOMEM);
    else
        EXPECT(rc == POL_OK && certificate.san_count > 0);
}

static void read_without_memory(void)
{
    static const char *const names[] = {"direct.flight", "rsa.flight", "odd.flight"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        pol_bytes stream = octets_of(names[i]);

        fault_sweep(read_once, &stream);
    }
}

/* ---- A worker with anchors ---- */

static void trust(pol_worker *worker)
{
    struct bed bed = {.worker = worker, .now = 1000 * POL_SECONDS};
    pol_packet syn = greet(&bed, 1000);

    EXPECT(answer(&bed, &syn, octets_of("rsa.flight")) == POL_ALLOW);
}

static void make_worker(void *user)
{
    struct bed *bed = user;
    pol_policy *policy = pol_worker_policy(bed->worker, NULL);
    pol_worker *worker = UNTOUCHED;
    int rc = pol_worker_new(bed->ctx, &bed->options, &worker);

    if (fault_struck() && rc != POL_OK) {
        EXPECT(rc == POL_E_NOMEM);
        EXPECT(worker == UNTOUCHED);
        return;
    }
    REQUIRE(rc == POL_OK && pol_worker_use(worker, policy, 1) == POL_OK);
    pol_worker_wall(worker, 1000 * POL_SECONDS, Y2026);
    trust(worker);
    pol_worker_free(worker);
}

static void a_worker_has_all_anchors_or_is_none(void)
{
    struct bed bed = bed_with_anchors();

    bed_open(&bed, by_certificate);
    fault_sweep(make_worker, &bed);
    bed_close(&bed);
}

/* ---- A packet that completes one ---- */

/* Whether the request was there to fail. */
static bool judge_without(const char *name, size_t nth, bool onwards)
{
    struct bed bed = bed_with_anchors();
    pol_packet syn;
    pol_bytes octets;
    bool struck;

    bed_open(&bed, by_certificate);
    pol_worker_wall(bed.worker, bed.now, Y2026);
    octets = octets_of(name);
    syn = greet(&bed, 1000);
    fault_note("%s, request %zu%s", name, nth, onwards ? " and all later ones" : "");
    if (onwards)
        fault_refuse_from(nth);
    else
        fault_refuse(nth);
    answer(&bed, &syn, octets);
    struck = fault_struck();
    EXPECT(bed_says(&bed, POL_ALLOW, POL_WHY_RULE) ||
           (struck && bed_says(&bed, POL_DENY, POL_WHY_CERTIFICATE_UNTRUSTED)));
    syn = greet(&bed, 1001);
    EXPECT(answer(&bed, &syn, octets) == POL_ALLOW);
    bed_close(&bed);
    return struck;
}

/* Requests so far apart: a signature of an elliptic curve makes thousands of them. */
static void judge_flight(const char *name, size_t stride)
{
    for (int onwards = 0; onwards < 2; onwards++) {
        size_t nth = 1;

        while (judge_without(name, nth, onwards))
            nth += stride;
        EXPECT(nth > 10);
    }
}

static void judged_without_memory(void)
{
    judge_flight("rsa.flight", 1);
    judge_flight("direct.flight", 41);
}

/* ---- More of them than there is room for ---- */

static void collecting_goes_on_for_those_who_began(void)
{
    struct bed bed = bed_with_anchors();
    pol_bytes octets = octets_of("rsa.flight"), begin = {octets.ptr, 100};
    pol_bytes end = {octets.ptr + 100, octets.len - 100};
    pol_packet syns[TOO_MANY];

    bed_open(&bed, by_certificate);
    pol_worker_wall(bed.worker, bed.now, Y2026);
    for (unsigned i = 0; i < TOO_MANY; i++) {
        syns[i] = greet(&bed, 1000 + i);
        answer(&bed, &syns[i], begin);
        EXPECT(bed.verdict.action == POL_PENDING ||
               (i >= bed.options.certificate_capacity &&
                bed_says(&bed, POL_DENY, POL_WHY_PENDING_FULL)));
    }
    EXPECT(bed_counter(&bed, "dp_pending_tls_cap_rejections_total", "") ==
           TOO_MANY - bed.options.certificate_capacity);
    for (unsigned i = 0; i < bed.options.certificate_capacity; i++) {
        pol_packet reply = bed_reply(&syns[i], POL_TCP_ACK, end);

        reply.tcp_seq += 100;
        reply.tcp_ack += (uint32_t)bed_hello("a.example").len;
        EXPECT(bed_judge(&bed, reply) == POL_ALLOW);
    }
    bed_close(&bed);
}

static const struct fault_case cases[] = {
    {"a certificate that is read", read_without_memory},
    {"a worker has all of its anchors, or is none", a_worker_has_all_anchors_or_is_none},
    {"a packet that completes a certificate", judged_without_memory},
    {"certificates under way are finished", collecting_goes_on_for_those_who_began},
};

int main(void)
{
    tzset(); /* the crypto library asks what day it is, and libc keeps what it has read for that */
    return FAULT_RUN(cases);
}
