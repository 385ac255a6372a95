/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <stdio.h>

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(dnsjudge, .fini = teardown);

#define GROUP(id, mode, more, rules)                                                               \
    "{'id':'" id "','mode':'" mode "'," more "'sources':{'cidrs':['10.0.0.0/8']},'rules':[" rules  \
    "]}"
#define HOST(id, action, pattern)                                                                  \
    "{'id':'" id "','action':'" action "','match':{'dns_hostname':'" pattern "'}}"
#define POLICY(groups) "{'default_policy':'allow','source_groups':[" groups "]}"

static const struct {
    const char *policy, *name;
    enum pol_action action;
    enum pol_reason reason;
    uint32_t group, rule;
    uint8_t kind, grantees;
    bool audit;
} cases[] = {
    /* The first rule that matches decides. */
    {POLICY(
         GROUP("g", "enforce", "", HOST("d", "deny", "^bad") "," HOST("a", "allow", "example$"))),
     "good.example", POL_ALLOW, POL_WHY_RULE, 0, 1, POL_GRANT_ALLOWED, 1, false},
    {POLICY(
         GROUP("g", "enforce", "", HOST("d", "deny", "^bad") "," HOST("a", "allow", "example$"))),
     "bad.example", POL_ANSWER, POL_WHY_RULE, 0, 0, POL_GRANT_ALLOWED, 0, false},
    /* No rule: the mode of the first group with hostname rules. */
    {POLICY(GROUP("g", "enforce", "", HOST("a", "allow", "example$"))), "other.test", POL_ANSWER,
     POL_WHY_DNS_NO_RULE, 0, POL_NONE, POL_GRANT_RECORDED, 0, false},
    {POLICY(
         GROUP("e", "enforce", "", "") "," GROUP("g", "audit", "", HOST("a", "allow", "example$"))),
     "other.test", POL_ALLOW, POL_WHY_DNS_NO_RULE, 1, POL_NONE, POL_GRANT_OBSERVED, 1, true},
    /* No group has hostname rules. */
    {POLICY(GROUP("g", "enforce", "", "")), "other.test", POL_ANSWER, POL_WHY_DNS_NO_RULE, POL_NONE,
     POL_NONE, POL_GRANT_RECORDED, 0, false},
    /* Later groups are asked until one has a default. */
    {POLICY(GROUP("g", "enforce", "", HOST("a", "allow", "^x$")) "," GROUP(
         "h", "enforce", "", HOST("a", "allow", "example$"))),
     "a.example", POL_ALLOW, POL_WHY_RULE, 1, 1, POL_GRANT_ALLOWED, 1, false},
    {POLICY(GROUP("g", "enforce", "'default_action':'allow',", HOST("a", "allow", "^x$")) "," GROUP(
         "h", "enforce", "", HOST("a", "allow", "example$"))),
     "a.example", POL_ANSWER, POL_WHY_DNS_NO_RULE, 0, POL_NONE, POL_GRANT_RECORDED, 0, false},
    /* Groups that are not asked any more get the grant, too. */
    {POLICY(GROUP("g", "enforce", "'default_action':'deny',",
                  HOST("a", "allow", "example$")) "," GROUP("h", "enforce", "",
                                                            HOST("a", "allow", "example$"))),
     "a.example", POL_ALLOW, POL_WHY_RULE, 0, 0, POL_GRANT_ALLOWED, 2, false},
    /* A deny rule with more than a hostname denies a service, not the name. */
    {POLICY(GROUP("g", "enforce", "",
                  "{'id':'s','action':'deny','match':{'dns_hostname':'example$','dst_ports':[25]}}"
                  "," HOST("a", "allow", "example$"))),
     "a.example", POL_ALLOW, POL_WHY_RULE, 0, 1, POL_GRANT_ALLOWED, 1, false},
    /* A denial in audit mode lets the query through, to be observed. */
    {POLICY(GROUP("g", "audit", "", HOST("d", "deny", "example$"))), "a.example", POL_ALLOW,
     POL_WHY_RULE, 0, 0, POL_GRANT_OBSERVED, 1, true},
};

Test(dnsjudge, groups_are_asked_in_order)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        rig_start(&rig, cases[i].policy);
        cr_expect_eq(rig_ask(&rig, "10.0.0.5", cases[i].name), cases[i].action, "%zu", i);
        cr_expect_eq(rig.verdict.reason, cases[i].reason, "%zu", i);
        cr_expect_eq(rig.verdict.group, cases[i].group, "%zu", i);
        cr_expect_eq(rig.verdict.rule, cases[i].rule, "%zu", i);
        cr_expect_eq(!!(rig.verdict.flags & POL_V_AUDIT), cases[i].audit, "%zu", i);
        cr_expect_eq(rig.query.grantee_count, cases[i].grantees, "%zu", i);
        if (cases[i].action == POL_ALLOW)
            cr_expect_eq(rig.query.kind, cases[i].kind, "%zu", i);
        rig_stop(&rig);
    }
}

Test(dnsjudge, client_of_no_group_is_refused)
{
    rig_start(&rig, POLICY(GROUP("g", "enforce", "", HOST("a", "allow", ".*"))));
    cr_assert_eq(rig_ask(&rig, "172.16.0.1", "a.example"), POL_ANSWER);
    cr_assert_eq(rig.verdict.group, POL_NONE);
}

Test(dnsjudge, inside_resolver_asks_for_every_group)
{
    static const pol_addr resolver = {4, {172, 16, 0, 53}};

    rig_options(&rig)->inside_resolvers = &resolver;
    rig_options(&rig)->inside_resolver_count = 1;
    rig_start(&rig, POLICY(GROUP("g", "enforce", "", HOST("a", "allow", "^x$")) "," GROUP(
                        "h", "enforce", "", HOST("a", "allow", "example$"))));
    cr_assert_eq(rig_ask(&rig, "172.16.0.53", "a.example"), POL_ALLOW);
    cr_assert_eq(rig.query.grantee_count, 1);
    cr_assert_eq(rig.query.grantees[0],
                 pol_policy_group_key(pol_worker_policy(rig.worker, &rig.generation), 1));
}

Test(dnsjudge, at_most_sixteen_groups_get_the_grant)
{
    char text[8192] = "{'source_groups':[";

    for (int i = 0; i < 20; i++) {
        size_t len = strlen(text);

        snprintf(text + len, sizeof(text) - len,
                 "%s{'id':'g%d','mode':'enforce',"
                 "'sources':{'cidrs':['10.0.0.0/8']},'rules':[" HOST("a", "allow", ".*") "]}",
                 i ? "," : "", i);
    }
    strcat(text, "]}");
    rig_start(&rig, text);
    cr_assert_eq(rig_ask(&rig, "10.0.0.5", "a.example"), POL_ALLOW);
    cr_assert_eq(rig.query.grantee_count, POL_DNS_GRANTEES);
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    cr_assert_eq(rig.learned.added, POL_DNS_GRANTEES);
}

static const struct {
    const char *octets;
    size_t len;
    enum pol_action action;
} garbage[] = {
    {"", 0, POL_DENY},
    {"\0\1\1\0\0\1\0\0\0\0\0", 11, POL_DENY},
    {"\0\1\1\0\0\2\0\0\0\0\0\0", 12, POL_ANSWER}, /* two questions that are not there */
    {"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1!", 20, POL_ANSWER}, /* something behind the end */
    {"\0\1\1\0\0\1\0\0\0\0\0\1\1a\0\0\1\0\1", 19, POL_ANSWER},  /* a record is missing */
    {"\0\1\x81\0\0\1\0\0\0\0\0\0", 12, POL_DENY},               /* a response */
};

Test(dnsjudge, message_that_cannot_be_read_is_refused_or_dropped)
{
    pol_addr client = {4, {10, 0, 0, 5}};

    rig_start(&rig, POLICY(GROUP("g", "audit", "", HOST("a", "allow", ".*"))));
    for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
        pol_bytes message = {(const uint8_t *)garbage[i].octets, garbage[i].len};

        cr_expect_eq(
            pol_dns_decide(rig.worker, &client, message, rig.now, &rig.query, &rig.verdict),
            garbage[i].action, "%zu", i);
        cr_expect_eq(rig.verdict.reason, POL_WHY_MALFORMED, "%zu", i);
    }
}

Test(dnsjudge, only_the_answer_to_the_query_teaches)
{
    pol_bytes answer;

    rig_start(&rig, POLICY(GROUP("g", "enforce", "", HOST("a", "allow", ".*"))));
    rig_ask(&rig, "10.0.0.5", "a.example");
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    dnsmsg_address(&rig.answer, "a.example", 60, "192.0.2.1");
    answer = (pol_bytes){rig.answer.bytes, rig.answer.len};
    rig.query.id++;
    cr_assert_eq(pol_dns_learn(rig.worker, &rig.query, answer, rig.now, &rig.learned),
                 POL_E_FORMAT);
    rig.query.id--;
    cr_assert_eq(pol_dns_learn(rig.worker, &rig.query, answer, rig.now, &rig.learned), POL_OK);
    cr_assert_eq(rig.learned.added, 1);
    cr_assert_eq(pol_dns_learn(rig.worker, &rig.query, answer, rig.now, &rig.learned), POL_OK);
    cr_assert_eq(rig.learned.refreshed, 1);
}

Test(dnsjudge, answer_without_room_is_said_to_be_so)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 80);

    pol_grants_options_init(&rig.grants_options, sizeof(rig.grants_options));
    rig.grants_options.capacity = 1;
    rig_start(&rig, POLICY(GROUP("g", "enforce", "", HOST("a", "allow", ".*"))));
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    rig_judge(&rig, &syn);
    rig_ask(&rig, "10.0.0.5", "b.example");
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    dnsmsg_address(&rig.answer, "b.example", 60, "192.0.2.2");
    cr_assert_eq(pol_dns_learn(rig.worker, &rig.query,
                               (pol_bytes){rig.answer.bytes, rig.answer.len}, rig.now,
                               &rig.learned),
                 POL_E_FULL);
}

/* It may come back from a caller's own store. */
Test(dnsjudge, a_query_that_nobody_judged_teaches_nothing)
{
    pol_bytes answer;
    pol_dns_query asked;

    rig_start(&rig, POLICY(GROUP("g", "enforce", "", HOST("a", "allow", ".*"))));
    cr_assert_eq(rig_ask(&rig, "10.0.0.5", "a.example"), POL_ALLOW);
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    dnsmsg_address(&rig.answer, "a.example", 60, "192.0.2.1");
    answer = (pol_bytes){rig.answer.bytes, rig.answer.len};

    asked = rig.query;
    asked.grantee_count = POL_DNS_GRANTEES + 1;
    cr_expect_eq(pol_dns_learn(rig.worker, &asked, answer, rig.now, &rig.learned), POL_E_INVALID);
    asked = rig.query;
    asked.kind = POL_GRANT_RECORDED + 1;
    cr_expect_eq(pol_dns_learn(rig.worker, &asked, answer, rig.now, &rig.learned), POL_E_INVALID);
    cr_expect_eq(pol_dns_learn(rig.worker, &rig.query, answer, rig.now, &rig.learned), POL_OK);
    cr_expect_eq(rig.learned.added, 1);
}

Test(dnsjudge, an_answer_that_is_none_teaches_nothing_and_is_counted)
{
    static const char count[] = "dns_upstream_mismatch_total";
    pol_bytes answer;

    rig_start(&rig, POLICY(GROUP("g", "enforce", "", HOST("a", "allow", ".*"))));
    rig_ask(&rig, "10.0.0.5", "a.example");
    dnsmsg_response(&rig.answer, &rig.asked, 0);
    answer = (pol_bytes){rig.answer.bytes, rig.answer.len};
    rig.learned.added = 77;
    cr_expect_eq(
        pol_dns_learn(rig.worker, &rig.query, (pol_bytes){answer.ptr, 11}, rig.now, &rig.learned),
        POL_E_FORMAT);
    cr_expect_eq(rig_counter(&rig, count, "reason=\"parse\""), 1);
    rig.query.id++;
    cr_expect_eq(pol_dns_learn(rig.worker, &rig.query, answer, rig.now, &rig.learned),
                 POL_E_FORMAT);
    cr_expect_eq(rig_counter(&rig, count, "reason=\"txid\""), 1);
    rig.query.id--;
    rig.query.qtype++;
    cr_expect_eq(pol_dns_learn(rig.worker, &rig.query, answer, rig.now, &rig.learned),
                 POL_E_FORMAT);
    cr_expect_eq(rig_counter(&rig, count, "reason=\"question\""), 1);
    cr_expect_eq(rig.learned.added, 77, "nothing is written");
}

static const struct {
    enum pol_dns_refusal refusal;
    uint8_t rcode; /* RFC 1035 4.1.1 */
} refusals[] = {
    {POL_DNS_NXDOMAIN, 3},
    {POL_DNS_REFUSED, 5},
    {POL_DNS_SERVFAIL, 2},
    {POL_DNS_FORMERR, 1},
};

Test(dnsjudge, a_refusal_answers_the_query_in_its_own_words)
{
    struct dnsmsg query;
    uint8_t answer[1232];
    size_t len;

    dnsmsg_query(&query, "a.example", 1, 7, 0);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        cr_assert_eq(pol_dns_refuse((pol_bytes){query.bytes, query.len}, refusals[i].refusal,
                                    answer, sizeof(answer), &len),
                     POL_OK);
        cr_expect_eq(len, query.len, "the header and the question");
        cr_expect_eq(memcmp(answer, query.bytes, 2), 0, "the query's id");
        cr_expect(answer[2] & 0x80, "a response");
        cr_expect_eq(answer[3] & 0xf, refusals[i].rcode);
        cr_expect_eq(memcmp(answer + 12, query.bytes + 12, len - 12), 0);
    }
}

Test(dnsjudge, what_cannot_be_refused_is_said_to_be_so)
{
    struct dnsmsg query;
    pol_bytes bytes = {query.bytes, 0};
    uint8_t answer[1232];
    size_t len = 0;

    dnsmsg_query(&query, "a.example", 1, 7, 0);
    bytes.len = query.len;
    cr_expect_eq(pol_dns_refuse(bytes, (enum pol_dns_refusal)9, answer, sizeof(answer), &len),
                 POL_E_INVALID);
    cr_expect_eq(pol_dns_refuse(bytes, POL_DNS_REFUSED, answer, 20, &len), POL_E_NOSPACE);
    cr_expect_eq(len, query.len);
    bytes.len = 11;
    cr_expect_eq(pol_dns_refuse(bytes, POL_DNS_REFUSED, answer, sizeof(answer), &len),
                 POL_E_FORMAT);
    query.bytes[2] |= 0x80;
    bytes.len = query.len;
    cr_expect_eq(pol_dns_refuse(bytes, POL_DNS_REFUSED, answer, sizeof(answer), &len), POL_E_FORMAT,
                 "a response");
}
