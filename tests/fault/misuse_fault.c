/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller that hands in what it should not: structs of any octets where they are not pointers,
 * calls without a policy, clocks that jump. Nothing is asked of the answers but that there is one,
 * and that it is one of those that the header names; the sanitizers see the rest.
 */
#include <string.h>

#include "bed.h"
#include "draw.h"

enum { ROUNDS = 20000, PAYLOAD = 600 };

static const char policy[] =
    "{'source_groups':[{'id':'a','mode':'enforce','sources':{'cidrs':['10.0.0.0/8','fd00::/8']},"
    "'rules':[{'id':'n','action':'allow','match':{'dns_hostname':'^(.+\\\\.)?a\\\\.example$'}},"
    "{'id':'x','action':'deny','match':{'dns_hostname':'^x'}},"
    "{'id':'t','action':'allow','match':{'proto':'tcp','dst_ports':[443],'tls':{'sni':{'exact':"
    "['a.example']}}}},"
    "{'id':'c','action':'allow','match':{'proto':'tcp','dst_ports':[8443],'tls':{'server_san':"
    "['a.example']}}},"
    "{'id':'u','action':'allow','match':{'proto':'udp'}}]},"
    "{'id':'b','mode':'audit','sources':{'cidrs':['0.0.0.0/0','::/0']},'default_action':'deny'}]}";

/* --- any octets ------------------------------------------------------------------------------ */

static struct draw drawn = {1};

static uint64_t draw(void)
{
    return draw_u64(&drawn);
}

static uint8_t draw_octet(void)
{
    static const uint8_t telling[] = {0, 1, 2, 3, 4, 6, 10, 17, 53, 58, 64, 127, 128, 255};
    uint64_t number = draw();

    return number & 1 ? telling[(number >> 8) % sizeof(telling)] : (uint8_t)(number >> 16);
}

static void scribble(void *at, size_t len)
{
    uint8_t *octets = at;

    for (size_t i = 0; i < len; i++)
        octets[i] = draw_octet();
}

/* A few octets of something that means something, or all of them. */
static void spoil(void *at, size_t len)
{
    uint8_t *octets = at;

    if (draw() % 4 == 0) {
        scribble(at, len);
        return;
    }
    for (uint64_t i = draw() % 6; i > 0; i--)
        octets[draw() % len] = draw_octet();
}

static pol_mono some_clock(pol_mono now)
{
    switch (draw() % 16) {
    case 0:
        return 0;
    case 1:
        return now > 100 * POL_SECONDS ? now - 100 * POL_SECONDS : 0;
    case 2:
        return now + 10000 * POL_SECONDS;
    default:
        return now + draw() % POL_SECONDS;
    }
}

/* --- packets --------------------------------------------------------------------------------- */

static uint8_t payload[PAYLOAD];

static pol_bytes some_payload(void)
{
    size_t len = draw() % (PAYLOAD + 1);
    pol_bytes hello = bed_hello("a.example");

    scribble(payload, len);
    if (draw() % 4 == 0)
        memcpy(payload, hello.ptr, hello.len < len ? hello.len : len);
    return (pol_bytes){payload, len};
}

static pol_packet some_packet(void)
{
    static const uint16_t ports[] = {443, 8443, 53, 67, 68, 546, 80, 0};
    static const char *const ends[][2] = {
        {"10.0.0.5", "192.0.2.53"}, {"10.0.0.5", "192.0.2.1"}, {"fd00::5", "2001:db8::1"}};
    const char *const *between = ends[draw() % 3];
    pol_packet packet = bed_syn(between[0], (unsigned)(draw() % 8), between[1], ports[draw() % 8]);

    packet.tcp_flags = (uint8_t)draw();
    packet.tuple.proto = draw() & 1 ? packet.tuple.proto : draw_octet();
    spoil(&packet, sizeof(packet));
    packet.payload = some_payload();
    return packet;
}

static void answer(const pol_packet *packet)
{
    uint8_t buf[POL_REPLY_MAX + PAYLOAD];
    pol_bytes frame = {payload, draw() % (PAYLOAD + 1)};
    enum pol_link link = (enum pol_link)(draw() % 5);
    size_t capacity = draw() % sizeof(buf), len = 0;
    int (*const writers[])(const pol_packet *, pol_bytes, enum pol_link, uint8_t *, size_t,
                           size_t *) = {pol_reply_reject, pol_reply_reset};

    for (size_t i = 0; i < 2; i++) {
        int rc = writers[i](packet, frame, link, buf, capacity, &len);

        EXPECT(rc == POL_OK || rc == POL_E_INVALID || rc == POL_E_NOSPACE);
        EXPECT(rc != POL_OK || len <= capacity);
    }
    pol_reply_too_big(packet, frame, link, (uint32_t)draw(), buf, capacity, &len);
    pol_reply_dns(packet, frame, link, (pol_bytes){payload, draw() % PAYLOAD}, buf, capacity, &len);
}

static void report(struct bed *bed, pol_audit *audit)
{
    char json[8192];
    pol_event events[16];
    pol_policy *used = pol_worker_policy(bed->worker, NULL);
    size_t count = pol_worker_drain(bed->worker, events, 16), len;

    for (size_t i = 0; i < count; i++) {
        pol_audit_add(audit, used, bed->grants, &events[i], draw());
        EXPECT(pol_json_event(&events[i], used, (pol_str){NULL, 0}, 0, json, sizeof(json), &len) ==
               POL_OK);
    }
}

static void judge_anything(struct bed *bed)
{
    pol_packet packet = some_packet();
    pol_verdict verdict;

    if (draw() & 1)
        pol_worker_decide(bed->worker, &packet, bed->now, &verdict);
    else
        pol_worker_decide_batch(bed->worker, &packet, 1, bed->now, &verdict);
    EXPECT(verdict.action <= POL_ANSWER && verdict.raw_action <= POL_ANSWER);
    EXPECT(verdict.reason < POL_WHY_COUNT);
    answer(&packet);
}

static void any_packet_gets_a_verdict(void)
{
    struct bed bed = bed_of();
    pol_audit *audit;

    bed.options.trust_all_resolvers = true;
    bed.options.admit_outside = true;
    bed.options.reject_inside = true;
    bed_open(&bed, policy);
    REQUIRE(pol_audit_new(bed.ctx, 20, &audit) == POL_OK);
    for (int i = 0; i < ROUNDS; i++) {
        bed.now = some_clock(bed.now);
        judge_anything(&bed);
        if (draw() % 8 == 0)
            pol_worker_tick(bed.worker, bed.now, draw() % 4);
        report(&bed, audit);
    }
    pol_audit_free(audit);
    bed_close(&bed);
}

/* A policy comes and goes while flows wait for TLS, fragments for their rest, queries for answers.
 */
static void without_a_policy_there_is_a_verdict(void)
{
    struct bed bed = bed_of();
    pol_audit *audit;

    bed_open(&bed, policy);
    REQUIRE(pol_audit_new(bed.ctx, 20, &audit) == POL_OK);
    for (int i = 0; i < ROUNDS / 4; i++) {
        pol_verdict verdict;
        pol_packet packet = some_packet();

        bed.now = some_clock(bed.now);
        judge_anything(&bed);
        bed_ask(&bed, "10.0.0.5", "a.example");
        if (draw() % 4 == 0) {
            EXPECT(pol_worker_use(bed.worker, NULL, ++bed.generation) == POL_OK);
            pol_worker_decide(bed.worker, &packet, bed.now, &verdict);
            EXPECT(bed_ask(&bed, "10.0.0.5", "a.example") == POL_ANSWER);
            pol_worker_tick(bed.worker, bed.now += 8 * POL_SECONDS, 100);
            report(&bed, audit);
            if (draw() & 1)
                pol_worker_flush(bed.worker, bed.now);
            bed_use(&bed, policy);
        }
        report(&bed, audit);
    }
    pol_audit_free(audit);
    bed_close(&bed);
}

/* --- rows ------------------------------------------------------------------------------------ */

static bool stop_at_last(void *user, const pol_finding *finding)
{
    char json[16384];
    size_t len;

    (void)user;
    EXPECT(pol_json_finding(finding, (pol_str){"n", 1}, json, sizeof(json), &len) == POL_OK);
    return draw() % 64 != 0;
}

static void any_row_is_taken_or_refused(void)
{
    struct bed bed = bed_of();
    pol_audit *audit;

    bed_open(&bed, policy);
    REQUIRE(pol_audit_new(bed.ctx, 10, &audit) == POL_OK);
    for (int i = 0; i < ROUNDS / 10; i++) {
        static pol_finding finding;
        pol_grant grant = {
            .group_key = 1, .addr = addr_from("192.0.2.1"), .name_len = 3, .name = "a.b"};
        int rc;

        memset(&finding, 0, sizeof(finding));
        finding.count = 1;
        spoil(&finding, sizeof(finding));
        stop_at_last(NULL, &finding);
        rc = pol_audit_restore(audit, &finding);
        EXPECT(rc == POL_OK || rc == POL_E_INVALID);

        bed.now = some_clock(bed.now);
        spoil(&grant, sizeof(grant));
        rc = pol_grants_restore(bed.grants, &grant, bed.now);
        EXPECT(rc == POL_OK || rc == POL_E_INVALID || rc == POL_E_NOTFOUND || rc == POL_E_FULL);
        pol_grants_names(bed.grants, grant.group_key, &grant.addr, bed.now, &grant, 1);
        pol_grants_expire(bed.grants, bed.now, draw() % 16);
        if (draw() % 16 == 0)
            pol_audit_changes(audit, stop_at_last, NULL);
    }
    EXPECT(pol_audit_find(audit, NULL, stop_at_last, NULL) >= 0);
    pol_audit_free(audit);
    bed_close(&bed);
}

static void any_event_is_told(void)
{
    static const pol_str hostname = {"a", 1};
    struct bed bed = bed_of();
    pol_policy *used;
    pol_tap_filter filter;
    pol_audit *audit;
    pol_tap *tap;

    bed_open(&bed, policy);
    used = pol_worker_policy(bed.worker, NULL);
    pol_tap_filter_init(&filter, sizeof(filter));
    filter.hostnames = &hostname;
    filter.hostname_count = 1;
    REQUIRE(pol_tap_new(bed.ctx, &filter, &tap, NULL) == POL_OK);
    REQUIRE(pol_audit_new(bed.ctx, 10, &audit) == POL_OK);
    for (int i = 0; i < ROUNDS / 10; i++) {
        char json[8192];
        pol_event event = {.kind = POL_EV_DENY, .verdict = {.group = POL_NONE, .rule = POL_NONE}};
        size_t len;
        int rc;

        spoil(&event, sizeof(event));
        rc = pol_audit_add(audit, draw() & 1 ? used : NULL, bed.grants, &event, draw());
        EXPECT(rc == POL_OK || rc == POL_E_INVALID);
        rc = pol_json_event(&event, used, (pol_str){NULL, 0}, draw(), json, sizeof(json), &len);
        EXPECT(rc == POL_OK);
        pol_tap_match(tap, &event);
    }
    pol_tap_free(tap);
    pol_audit_free(audit);
    bed_close(&bed);
}

static void any_query_teaches_or_is_refused(void)
{
    struct bed bed = bed_of();

    bed_open(&bed, policy);
    for (int i = 0; i < ROUNDS / 10; i++) {
        pol_dns_query kept;
        int rc;

        EXPECT(bed_ask(&bed, "10.0.0.5", "a.example") == POL_ALLOW);
        kept = bed.query;
        spoil(&bed.query.kind, sizeof(bed.query) - offsetof(pol_dns_query, kind));
        if (draw() & 1)
            bed.query.name_len = kept.name_len, memcpy(bed.query.name, kept.name, POL_NAME_MAX + 1);
        rc = bed_learn(&bed, "a.example", "192.0.2.1", (uint32_t)draw());
        EXPECT(rc == POL_OK || rc == POL_E_INVALID || rc == POL_E_FORMAT || rc == POL_E_FULL);
    }
    bed_close(&bed);
}

/* --- options --------------------------------------------------------------------------------- */

static uint32_t some_capacity(void)
{
    static const uint32_t capacities[] = {0, 1, 2, 3, 17, 64, UINT32_MAX, UINT32_MAX / 2 + 1};

    return capacities[draw() % (draw() % 16 ? 6 : 8)];
}

static void spoil_options(pol_worker_options *options)
{
    uint32_t *const capacities[] = {
        &options->flow_capacity,     &options->event_capacity,  &options->memo_capacity,
        &options->pending_capacity,  &options->query_capacity,  &options->stream_capacity,
        &options->fragment_capacity, &options->member_capacity, &options->certificate_capacity,
    };
    pol_mono *const durations[] = {&options->report_interval, &options->midstream_window,
                                   &options->query_timeout, &options->tls_timeout};

    for (size_t i = 0; i < sizeof(capacities) / sizeof(*capacities); i++)
        *capacities[i] = some_capacity();
    for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++)
        *durations[i] = draw() & 1 ? 0 : draw() | draw();
    for (size_t i = 0; i < sizeof(options->idle) / sizeof(pol_mono); i++)
        ((pol_mono *)&options->idle)[i] = draw() & 1 ? draw() % 3 : POL_NEVER - draw() % 3;
    options->midstream = (uint8_t)(draw() % 3 & draw());
    options->sni_check = (uint8_t)(draw() % 4 & draw());
    spoil(options->control, sizeof(options->control));
}

static void with_options(const pol_worker_options *options)
{
    struct bed bed = bed_of();
    int rc;

    bed_open(&bed, policy);
    pol_worker_free(bed.worker);
    bed.options = *options;
    bed.options.grants = bed.grants;
    bed.worker = NULL;
    rc = pol_worker_new(bed.ctx, &bed.options, &bed.worker);
    EXPECT(rc == POL_OK || rc == POL_E_INVALID);
    if (rc == POL_OK) {
        pol_policy *compiled = bed_compile(&bed, policy);

        EXPECT(pol_worker_use(bed.worker, compiled, 1) == POL_OK);
        pol_policy_unref(compiled);
        for (int i = 0; i < 50; i++) {
            bed.now = some_clock(bed.now);
            judge_anything(&bed);
            pol_worker_tick(bed.worker, bed.now, 2);
            pol_worker_deadline(bed.worker);
        }
    }
    bed_close(&bed);
}

static void any_options_make_a_worker_or_are_refused(void)
{
    pol_worker_options options;

    for (int i = 0; i < ROUNDS / 100; i++) {
        pol_worker_options_init(&options, sizeof(options));
        if (i % 4 == 0)
            memset((char *)&options + sizeof(options.size), 0,
                   sizeof(options) - sizeof(options.size)); /* written without its _init function */
        else
            spoil_options(&options);
        with_options(&options);
    }
}

static void no_clock_stops_a_worker(void)
{
    static const pol_mono clocks[] = {
        0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, POL_NEVER - 1, POL_NEVER};

    for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
        struct bed bed = bed_of();

        bed_open(&bed, policy);
        bed.now = clocks[i];
        for (int round = 0; round < 200; round++) {
            judge_anything(&bed);
            pol_worker_tick(bed.worker, bed.now, SIZE_MAX);
            bed_events(&bed, POL_EV_DENY, &(pol_event){0});
        }
        for (int round = 0; pol_worker_flush(bed.worker, bed.now) && EXPECT(round < 100); round++)
            bed_events(&bed, POL_EV_DENY, &(pol_event){0});
        EXPECT(pol_worker_flow_count(bed.worker) == 0);
        bed_close(&bed);
    }
}

static const struct fault_case cases[] = {
    {"any packet gets a verdict", any_packet_gets_a_verdict},
    {"without a policy there is a verdict", without_a_policy_there_is_a_verdict},
    {"any row is taken or refused", any_row_is_taken_or_refused},
    {"any event is told", any_event_is_told},
    {"any query teaches or is refused", any_query_teaches_or_is_refused},
    {"any options make a worker or are refused", any_options_make_a_worker_or_are_refused},
    {"no clock stops a worker", no_clock_stops_a_worker},
};

int main(void)
{
    return FAULT_RUN(cases);
}
