/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions that run into their limits: at matching they allow nothing and deny what they
 * are there to deny, are counted and found; at compiling the document is refused.
 */
#include <stdio.h>
#include <string.h>

#include "bed.h"

#define SLOW "^(a|aa|aaa)+(b|a)+\\\\.x$" /* too much for the match limit */
/* Thirty groups inside each other take thirty frames for every octet: too much for the memory. */
#define OPEN10  "(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:"
#define CLOSE10 "|B)|B)|B)|B)|B)|B)|B)|B)|B)|B)"
#define DEEP    "^(?:" OPEN10 OPEN10 OPEN10 "[^0-9]" CLOSE10 CLOSE10 CLOSE10 ")*a$"

#define GROUP(rules)                                                                               \
    "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/"                  \
    "8']},'rules':[" rules "]}]}"
#define NAME_RULE(id, action, pattern)                                                             \
    "{'id':'" id "','action':'" action "','match':{'dns_hostname':'" pattern "'}}"
#define SNI_RULE(action, pattern)                                                                  \
    "{'id':'sni','action':'" action "','match':{'proto':'tcp','tls':{'sni':{'regex':'" pattern     \
    "'}}}}"
#define ANY_RULE "{'id':'any','action':'allow','match':{'proto':'any'}}"

/* Names of 32 and of 251 octets. */
static const char killer[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaac.x";
#define LABEL "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const char longest[] = LABEL "." LABEL "." LABEL "." LABEL;

static uint64_t exceptions(const struct bed *bed)
{
    return bed_counter(bed, "policyd_regex_exceptions_total", "");
}

/* An allow rule of the pattern lets nothing through, a deny rule before another one denies. */
static void check_queries(const char *allow, const char *deny, const char *name, const char *good,
                          uint32_t match_limit)
{
    struct bed bed = bed_of();

    bed.ctx_options.limits.regex_match = match_limit;
    bed_open(&bed, allow);
    EXPECT(bed_ask(&bed, "10.0.0.5", name) == POL_ANSWER);
    EXPECT(bed_says(&bed, POL_ANSWER, POL_WHY_LIMIT));
    EXPECT(exceptions(&bed) == 1);
    EXPECT(bed_ask(&bed, "10.0.0.5", name) == POL_ANSWER);
    EXPECT(bed_says(&bed, POL_ANSWER, POL_WHY_LIMIT));
    EXPECT(exceptions(&bed) == 1); /* no pattern runs twice for a name */
    EXPECT(bed_ask(&bed, "10.0.0.5", good) == POL_ALLOW);
    bed_use(&bed, deny);
    EXPECT(bed_ask(&bed, "10.0.0.5", name) == POL_ANSWER);
    EXPECT(exceptions(&bed) == 2);
    EXPECT(bed_ask(&bed, "10.0.0.5", "c.x") == POL_ALLOW);
    bed_close(&bed);
}

static void match_limit_in_a_hostname(void)
{
    check_queries(GROUP(NAME_RULE("slow", "allow", SLOW)),
                  GROUP(NAME_RULE("slow", "deny", SLOW) "," NAME_RULE("rest", "allow", "x$")),
                  killer, "aab.x", 10000);
}

static void match_memory_in_a_hostname(void)
{
    check_queries(GROUP(NAME_RULE("deep", "allow", DEEP)),
                  GROUP(NAME_RULE("deep", "deny", DEEP) "," NAME_RULE("rest", "allow", "[ax]$")),
                  longest, "a.a", 100000000);
}

/* Allowed by another rule, learned, and then met by the slow pattern on a packet. */
static void match_limit_on_a_packet(void)
{
    struct bed bed = bed_of();

    bed_open(&bed, GROUP(NAME_RULE("rest", "allow", "x$")));
    bed_grant(&bed, "10.0.0.5", killer, "192.0.2.1");
    EXPECT(bed_judge(&bed, bed_syn("10.0.0.5", 1000, "192.0.2.1", 80)) == POL_ALLOW);
    bed_use(&bed, GROUP(NAME_RULE("slow", "allow", SLOW)));
    EXPECT(bed_judge(&bed, bed_syn("10.0.0.5", 1001, "192.0.2.1", 80)) == POL_DENY);
    EXPECT(bed_says(&bed, POL_DENY, POL_WHY_LIMIT));
    EXPECT(bed_judge(&bed, bed_syn("10.0.0.5", 1000, "192.0.2.1", 80)) == POL_DENY);
    EXPECT(exceptions(&bed) == 1);
    bed_close(&bed);
}

static enum pol_action send_hello(struct bed *bed, unsigned port, const char *sni)
{
    pol_packet syn = bed_syn("10.0.0.5", port, "192.0.2.2", 443);

    EXPECT(bed_judge(bed, syn) == POL_PENDING);
    return bed_judge(bed, bed_data(&syn, bed_hello(sni)));
}

static void match_limit_in_a_server_name(void)
{
    struct bed bed = bed_of();

    bed_open(&bed, GROUP(SNI_RULE("allow", SLOW)));
    EXPECT(send_hello(&bed, 1000, "aab.x") == POL_ALLOW);
    EXPECT(send_hello(&bed, 1001, killer) == POL_DENY);
    EXPECT(bed_says(&bed, POL_DENY, POL_WHY_LIMIT));
    bed_use(&bed, GROUP(SNI_RULE("deny", SLOW) "," ANY_RULE));
    EXPECT(send_hello(&bed, 1002, "c.x") == POL_ALLOW);
    EXPECT(send_hello(&bed, 1003, killer) == POL_DENY);
    EXPECT(exceptions(&bed) == 2);
    bed_close(&bed);
}

static bool is_limit(void *user, const pol_finding *finding)
{
    *(unsigned *)user += finding->reason == POL_WHY_LIMIT && strcmp(finding->name, killer) == 0;
    return true;
}

static void a_limit_is_found(void)
{
    struct bed bed = bed_of();
    pol_audit *audit;
    pol_event event;
    uint64_t generation;
    unsigned found = 0;

    bed_open(&bed, GROUP(NAME_RULE("slow", "allow", SLOW)));
    REQUIRE(pol_audit_new(bed.ctx, 8, &audit) == POL_OK);
    EXPECT(bed_judge(&bed, bed_query("10.0.0.5", 1000, killer, 1)) == POL_ANSWER);
    EXPECT(bed_says(&bed, POL_ANSWER, POL_WHY_LIMIT));
    EXPECT(bed_events(&bed, POL_EV_DNS, &event) == 1);
    EXPECT(pol_audit_add(audit, pol_worker_policy(bed.worker, &generation), bed.grants, &event,
                         1000) == POL_OK);
    EXPECT(pol_audit_find(audit, NULL, is_limit, &found) == 1 && found == 1);
    EXPECT(bed_counter(&bed, "policyd_denies_total", "reason=\"limit\"") == 1);
    pol_audit_free(audit);
    bed_close(&bed);
}

/* The document is refused, with the place of the pattern; the policy in force stays. */
static void check_refused(const char *document)
{
    static char json[8192];
    struct bed bed = bed_of();
    size_t len = bed_quote(document, json, sizeof(json));
    const pol_diag *diag;
    pol_policy *policy;
    pol_diags *diags = NULL;

    bed_open(&bed, "{'default_policy':'allow'}");
    EXPECT(pol_compile(bed.ctx, (pol_str){json, len}, NULL, &policy, &diags) == POL_E_POLICY);
    diag = pol_diags_at(diags, 0);
    REQUIRE(diag);
    EXPECT(diag->severity == POL_DIAG_ERROR && diag->code == POL_DIAG_REGEX);
    EXPECT(diag->line == 1 && diag->column > 1);
    EXPECT(bed_judge(&bed, bed_syn("10.0.0.5", 1000, "192.0.2.1", 80)) == POL_ALLOW);
    pol_diags_free(diags);
    bed_close(&bed);
}

static void patterns_too_large_to_compile(void)
{
    check_refused(GROUP(NAME_RULE("r", "allow", "((ab?c){100}){100}")));
    check_refused(GROUP(NAME_RULE("r", "deny", "((ab?c){100}){100}")));
    check_refused(GROUP(SNI_RULE("allow", "((ab?c){100}){100}")));
}

static void patterns_nested_too_deeply(void)
{
    check_refused(
        GROUP(NAME_RULE("r", "allow",
                        OPEN10 OPEN10 OPEN10 OPEN10 OPEN10 OPEN10 OPEN10 OPEN10 OPEN10 OPEN10 OPEN10
                        "a" CLOSE10 CLOSE10 CLOSE10 CLOSE10 CLOSE10 CLOSE10 CLOSE10 CLOSE10 CLOSE10
                            CLOSE10 CLOSE10)));
}

static const struct fault_case cases[] = {
    {"match limit in a hostname", match_limit_in_a_hostname},
    {"match memory in a hostname", match_memory_in_a_hostname},
    {"match limit on a packet", match_limit_on_a_packet},
    {"match limit in a server name", match_limit_in_a_server_name},
    {"a limit is found", a_limit_is_found},
    {"patterns too large to compile", patterns_too_large_to_compile},
    {"patterns nested too deeply", patterns_nested_too_deeply},
};

int main(void)
{
    return FAULT_RUN(cases);
}
