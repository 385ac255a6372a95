/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation fails in turn, once and from then on: whoever asks is told POL_E_NOMEM, nothing
 * is written, nothing is left behind, and what was in force before decides as before.
 */
#include <stdio.h>
#include <string.h>

#include "../unit/lib/policy/representative.h"
#include "anchor.h"
#include "bed.h"
#include "traffic.h"

/* What an output must still hold after a failure. */
#define UNTOUCHED ((void *)text)

static char text[1 << 20];
static size_t text_len;

static void quote(const char *quoted)
{
    text_len = bed_quote(quoted, text, sizeof(text));
}

/* ---- Documents ---- */

struct document {
    pol_ctx *ctx;
    bool silent; /* no diagnostics asked for */
    /* With memory: */
    int rc;
    size_t diags;
    uint8_t digest[32];
};

/* The very result there is with memory. */
static void check_result(const struct document *document, int rc, const pol_policy *policy,
                         const pol_diags *diags)
{
    uint8_t digest[32] = {0};

    EXPECT(rc == document->rc);
    if (rc == POL_OK)
        pol_policy_digest(policy, digest);
    EXPECT(memcmp(digest, document->digest, 32) == 0);
    EXPECT(document->silent || pol_diags_count(diags) == document->diags);
}

static void compile_once(void *user)
{
    struct document *document = user;
    pol_policy *policy = UNTOUCHED;
    pol_diags *diags = UNTOUCHED;
    int rc = pol_compile(document->ctx, (pol_str){text, text_len}, NULL, &policy,
                         document->silent ? NULL : &diags);

    /* qsort() and a bad certificate can do without the memory that they were refused. */
    if (fault_struck() && rc != document->rc) {
        EXPECT(rc == POL_E_NOMEM);
        EXPECT(policy == UNTOUCHED);
        EXPECT(diags == (document->silent ? UNTOUCHED : NULL));
    } else {
        check_result(document, rc, policy, diags);
    }
    if (rc == POL_OK)
        pol_policy_unref(policy);
    if (!document->silent)
        pol_diags_free(diags);
}

static void compile_with_memory(struct document *document)
{
    pol_policy *policy = NULL;
    pol_diags *diags = NULL;

    pol_compile(document->ctx, (pol_str){text, text_len}, NULL, &policy, &diags);
    if (policy)
        pol_policy_digest(policy, document->digest);
    document->diags = pol_diags_count(diags);
    pol_policy_unref(policy);
    pol_diags_free(diags);
}

static uint64_t play(struct bed *bed)
{
    struct traffic traffic;
    uint64_t digest;

    traffic_init(&traffic, bed);
    traffic_play(&traffic);
    digest = traffic.digest;
    traffic_fini(&traffic);
    return digest;
}

static uint64_t undisturbed(void)
{
    struct bed bed = bed_of();
    uint64_t digest;

    bed_open(&bed, traffic_policy);
    digest = play(&bed);
    bed_close(&bed);
    return digest;
}

/* A policy is in force meanwhile; afterwards it decides as one does that never saw any of this. */
static void sweep_documents(int rc, bool silent)
{
    struct bed bed = bed_of();
    struct document document = {.rc = rc, .silent = silent};

    bed_open(&bed, traffic_policy);
    document.ctx = bed.ctx;
    compile_with_memory(&document);
    fault_sweep(compile_once, &document);
    EXPECT(play(&bed) == undisturbed());
    bed_close(&bed);
}

static void every_kind_of_matcher(void)
{
    quote(representative);
    sweep_documents(POL_OK, false);
    sweep_documents(POL_OK, true);
}

static void names_of_every_shape(void)
{
    quote(traffic_policy);
    sweep_documents(POL_OK, false);
}

static void anchors(void)
{
    quote("{'source_groups':[{'id':'g','mode':'enforce','sources':{'ips':['10.0.0.1']},'rules':["
          "{'id':'r','action':'allow','match':{'proto':'tcp','tls':{'trust_anchors_pem':["
          "'" ANCHOR_PEM CERTIFICATE_PEM "']}}}]}]}");
    sweep_documents(POL_OK, false);
}

static void errors_of_every_kind(void)
{
    quote("{'surprise':1,'source_groups':["
          "{'id':'g','mode':'loud','sources':{'cidrs':['10.0.0.0/33']},'rules':["
          "{'id':'r','action':'allow','match':{'dns_hostname':'(','dst_ports':['9-1']}},"
          "{'id':'r','action':'allow','match':{'proto':'tcp','tls':{'sni':{'regex':'(?=a)'},"
          "'trust_anchors_pem':['-----BEGIN CERTIFICATE-----\\nno\\n-----END CERTIFICATE-----'],"
          "'fingerprint_sha256':['zz'],'server_cn':7}}}]},"
          "{'id':'g','sources':{'kubernetes':[{}]}},{}]}");
    sweep_documents(POL_E_POLICY, false);
}

static void text_that_is_no_document(void)
{
    quote("{'a':1,'a':[1,2,{'b':'\\u00e9'}]}");
    sweep_documents(POL_E_POLICY, false);
    quote("{'a':");
    sweep_documents(POL_E_POLICY, false);
}

static void append(const char *piece)
{
    text_len += bed_quote(piece, text + text_len, sizeof(text) - text_len);
}

static void append_group(unsigned number)
{
    char piece[512];

    snprintf(piece, sizeof(piece),
             "%s{'id':'g%u','mode':'enforce','sources':{'cidrs':['10.%u.0.0/%u']},'rules':[",
             number ? "," : "", number, number % 4, 8 + number % 9);
    append(piece);
    for (unsigned i = 0; i < 12; i++) {
        snprintf(piece, sizeof(piece),
                 "%s{'id':'r%u','action':'%s','match':{'proto':'%s','dst_cidrs':['198.%u.0.0/%u'],"
                 "'dst_ports':['%u-%u',%u]}}",
                 i ? "," : "", i, i % 3 ? "allow" : "deny", i % 2 ? "tcp" : "udp", 7 * i,
                 9 + (i + number) % 12, 100 * i + 1, 100 * i + 50 + number, 9000 + i);
        append(piece);
    }
    append("]}");
}

/* Overlaps enough for a classifier with trees below trees, and a thousand blocks of libc's. */
static void many_overlapping_rules(void)
{
    text_len = 0;
    append("{'source_groups':[");
    for (unsigned i = 0; i < 12; i++)
        append_group(i);
    append("]}");
    sweep_documents(POL_OK, false);
}

/* ---- Objects ---- */

static void make_context(void *user)
{
    struct bed *bed = user;
    pol_ctx *ctx = UNTOUCHED;
    int rc = pol_ctx_new(&bed->ctx_options, &ctx);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_ctx_unref(ctx);
    else
        EXPECT(ctx == UNTOUCHED);
}

static void make_grants(void *user)
{
    struct bed *bed = user;
    pol_grants *grants = UNTOUCHED;
    int rc = pol_grants_new(bed->ctx, &bed->grants_options, &grants);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_grants_free(grants);
    else
        EXPECT(grants == UNTOUCHED);
}

static void make_worker(void *user)
{
    struct bed *bed = user;
    pol_worker *worker = UNTOUCHED;
    int rc = pol_worker_new(bed->ctx, &bed->options, &worker);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_worker_free(worker);
    else
        EXPECT(worker == UNTOUCHED);
}

static void make_audit(void *user)
{
    struct bed *bed = user;
    pol_audit *audit = UNTOUCHED;
    int rc = pol_audit_new(bed->ctx, 10, &audit);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_audit_free(audit);
    else
        EXPECT(audit == UNTOUCHED);
}

static void make_tap(void *user)
{
    static const pol_str patterns[] = {{"a+b", 3}, {"^www\\.", 6}, {"(^|\\.)c\\.example$", 17}};
    static const uint8_t protos[] = {6, 17};
    static const pol_port_range ports[] = {{1, 2}, {443, 443}};
    struct bed *bed = user;
    pol_tap_filter filter;
    pol_tap *tap = UNTOUCHED;
    size_t index = 77;
    int rc;

    pol_tap_filter_init(&filter, sizeof(filter));
    filter.src = filter.dst = bed->options.inside;
    filter.src_count = filter.dst_count = bed->options.inside_count;
    filter.hostnames = patterns;
    filter.hostname_count = 3;
    filter.protos = protos;
    filter.proto_count = 2;
    filter.src_ports = filter.dst_ports = ports;
    filter.src_port_count = filter.dst_port_count = 2;
    rc = pol_tap_new(bed->ctx, &filter, &tap, &index);
    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_tap_free(tap);
    else
        EXPECT(tap == UNTOUCHED);
}

static void make_counters(void *user)
{
    struct bed *bed = user;
    pol_counters *counters = UNTOUCHED;
    int rc = pol_counters_new(bed->ctx, &counters);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_counters_free(counters);
    else
        EXPECT(counters == UNTOUCHED);
}

static void make_ready(void *user)
{
    static const char *const checks[] = POL_READY_CHECKS;
    struct bed *bed = user;
    pol_ready *ready = UNTOUCHED;
    int rc = pol_ready_new(bed->ctx, checks, sizeof(checks) / sizeof(*checks), &ready);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    if (rc == POL_OK)
        pol_ready_free(ready);
    else
        EXPECT(ready == UNTOUCHED);
}

static void sweep_objects(struct bed *bed)
{
    static void (*const makers[])(void *) = {make_context, make_grants,   make_worker, make_audit,
                                             make_tap,     make_counters, make_ready};
    size_t requests = 0;

    for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++)
        requests += fault_sweep(makers[i], bed);
    EXPECT(requests > 40);
}

static void every_object(void)
{
    static const pol_addr own[] = {{4, {192, 0, 2, 1}}, {6, {0x20, 1, 0xd, 0xb8}}};
    struct bed bed = bed_of();

    bed.options.inside_resolvers = bed.options.own = own;
    bed.options.inside_resolver_count = bed.options.own_count = 2;
    bed_open(&bed, traffic_policy);
    sweep_objects(&bed);
    bed_close(&bed);
}

/* Without a pol_mem, large tables come from calloc(). */
static void every_object_from_libc(void)
{
    struct bed bed = bed_of();

    bed_open(&bed, traffic_policy);
    pol_ctx_unref(bed.ctx);
    bed.ctx_options.mem = NULL;
    REQUIRE(pol_ctx_new(&bed.ctx_options, &bed.ctx) == POL_OK);
    sweep_objects(&bed);
    bed_close(&bed);
}

/* ---- A policy in force ---- */

struct reload {
    struct bed *bed;
    pol_policy *next;
};

static void use_next(void *user)
{
    struct reload *reload = user;
    struct bed *bed = reload->bed;
    uint64_t before, after;
    pol_policy *old = pol_worker_policy(bed->worker, &before);
    int rc = pol_worker_use(bed->worker, reload->next, before + 1);
    bool struck = fault_struck();

    EXPECT(rc == (struck ? POL_E_NOMEM : POL_OK));
    EXPECT(pol_worker_policy(bed->worker, &after) == (struck ? old : reload->next));
    EXPECT(after == before + !struck);
}

/* 70 patterns, where the policy in force has five: a name's memory must grow. */
static pol_policy *with_many_patterns(struct bed *bed)
{
    char piece[160];
    pol_policy *policy;

    text_len = 0;
    append("{'source_groups':[{'id':'g','mode':'enforce','sources':{'ips':['10.0.0.1']},'rules':[");
    for (unsigned i = 0; i < 70; i++) {
        snprintf(
            piece, sizeof(piece),
            "%s{'id':'r%u','action':'allow','match':{'dns_hostname':'^a%u(b|c|d|e)\\\\.ex.mple$'}}",
            i ? "," : "", i, i);
        append(piece);
    }
    append("]}]}");
    REQUIRE(pol_compile(bed->ctx, (pol_str){text, text_len}, NULL, &policy, NULL) == POL_OK);
    return policy;
}

/* One bed sees reloads that fail, another none: both decide the same, flows and grants included. */
static void reload_that_fails_changes_nothing(void)
{
    struct bed troubled = bed_of(), calm = bed_of();
    struct reload reload = {.bed = &troubled};
    struct fault_held before;
    uint64_t generation;
    pol_policy *old;

    bed_open(&troubled, traffic_policy);
    bed_open(&calm, traffic_policy);
    EXPECT(play(&troubled) == play(&calm));
    old = pol_worker_policy(troubled.worker, &generation);
    reload.next = with_many_patterns(&troubled);
    before = fault_held();
    for (int i = 0; i < 3; i++) {
        fault_refuse(1);
        use_next(&reload);
    }
    EXPECT(fault_same(fault_held(), before));
    EXPECT(pol_worker_policy(troubled.worker, &generation) == old && generation == 1);
    EXPECT(play(&troubled) == play(&calm));
    use_next(&reload);
    EXPECT(pol_worker_policy(troubled.worker, &generation) == reload.next && generation == 2);
    pol_policy_unref(reload.next);
    bed_close(&troubled);
    bed_close(&calm);
}

/* ---- A search among findings ---- */

struct search {
    pol_audit *audit;
    size_t visited;
};

static bool visit(void *user, const pol_finding *finding)
{
    struct search *search = user;

    search->visited += finding->count > 0;
    return true;
}

static void find_all(void *user)
{
    struct search *search = user;
    int rc;

    search->visited = 0;
    rc = pol_audit_find(search->audit, NULL, visit, search);
    if (fault_struck())
        EXPECT(rc == POL_E_NOMEM && search->visited == 0);
    else
        EXPECT(rc > 0 && search->visited == (size_t)rc);
}

static void search_without_memory_visits_nothing(void)
{
    struct bed bed = bed_of();
    struct traffic traffic;
    struct search search;

    bed_open(&bed, traffic_policy);
    traffic_init(&traffic, &bed);
    traffic_play(&traffic);
    search.audit = traffic.audit;
    fault_sweep(find_all, &search);
    traffic_fini(&traffic);
    bed_close(&bed);
}

/* ---- A whole life ---- */

/* From the context to the last finding, giving up where memory runs out. */
static int live(pol_ctx **ctx, struct bed *bed)
{
    pol_policy *policy = NULL;
    pol_audit *audit = NULL;
    int rc = pol_ctx_new(&bed->ctx_options, ctx);

    bed->grants = NULL;
    bed->worker = NULL;
    if (rc == POL_OK)
        rc = pol_compile(*ctx, (pol_str){text, text_len}, NULL, &policy, NULL);
    if (rc == POL_OK)
        rc = pol_grants_new(*ctx, &bed->grants_options, &bed->grants);
    bed->options.grants = bed->grants;
    if (rc == POL_OK)
        rc = pol_worker_new(*ctx, &bed->options, &bed->worker);
    if (rc == POL_OK)
        rc = pol_worker_use(bed->worker, policy, 1);
    if (rc == POL_OK) {
        bed_judge(bed, packet_udp("10.0.0.5", 40000, "198.51.100.1", 9, bytes_from("x")));
        EXPECT(bed->verdict.action == POL_ALLOW);
        rc = pol_audit_new(*ctx, 10, &audit);
    }
    pol_audit_free(audit);
    pol_worker_free(bed->worker);
    pol_grants_free(bed->grants);
    pol_policy_unref(policy);
    return rc;
}

static void live_once(void *user)
{
    pol_ctx *ctx = NULL;
    int rc = live(&ctx, user);

    EXPECT(rc == (fault_struck() ? POL_E_NOMEM : POL_OK));
    pol_ctx_unref(ctx);
}

static void a_whole_life(void)
{
    struct bed bed = bed_of();

    bed.ctx_options.mem = &bed.mem;
    quote(traffic_policy);
    EXPECT(fault_sweep(live_once, &bed) > 100);
}

static const struct fault_case cases[] = {
    {"a document with every kind of matcher", every_kind_of_matcher},
    {"a document with names of every shape", names_of_every_shape},
    {"a document with trust anchors", anchors},
    {"a document with errors of every kind", errors_of_every_kind},
    {"text that is no document", text_that_is_no_document},
    {"a document with many overlapping rules", many_overlapping_rules},
    {"every object", every_object},
    {"every object, with libc's memory", every_object_from_libc},
    {"a reload that fails changes nothing", reload_that_fails_changes_nothing},
    {"a search without memory visits nothing", search_without_memory_visits_nothing},
    {"a whole life", a_whole_life},
};

int main(void)
{
    return FAULT_RUN(cases);
}
