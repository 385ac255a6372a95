/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(judge, .fini = teardown);

#define GROUP(mode, rules)                                                                         \
    "{'source_groups':[{'id':'g','mode':'" mode                                                    \
    "','sources':{'cidrs':['10.0.0.0/8']},'rules':[" rules "]}]}"
#define NAMED "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$'}}"

static const uint8_t broken_hello[] = {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0};

Test(judge, broken_hello_under_sni_check_is_only_reported_in_audit_mode)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet data = rig_data(&syn, (pol_bytes){broken_hello, sizeof(broken_hello)});

    rig_options(&rig)->sni_check = POL_SNI_ENFORCE;
    rig_start(&rig, GROUP("audit", NAMED));
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    cr_assert_eq(rig_judge(&rig, &syn), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &data), POL_ALLOW);
    cr_assert_eq(rig.verdict.raw_action, POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_TLS_INCOMPLETE);
    cr_assert(rig.verdict.flags & POL_V_AUDIT);
}

static uint32_t flows_on_grants(void)
{
    pol_grant grants[8];
    uint32_t position = 0, flows = 0;
    size_t count = pol_grants_list(rig.grants, &position, rig.now, grants, 8);

    for (size_t i = 0; i < count; i++)
        flows += grants[i].flows;
    return flows;
}

Test(judge, denied_entry_holds_no_grant)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);
    pol_packet data = rig_data(&syn, rig_hello("a.example"));

    rig_start(
        &rig,
        GROUP("enforce",
              "{'id':'t','action':'deny','match':{'proto':'tcp','tls':{'sni':['b.example']}}},"
              "{'id':'n','action':'allow','match':{'dns_hostname':'^a\\\\.example$',"
              "'tls':{'mode':'intercept','http':{'request':{}}}}}"));
    rig_learn(&rig, "10.0.0.5", "a.example", "192.0.2.1", 60);
    cr_assert_eq(rig_judge(&rig, &syn), POL_PENDING);
    cr_assert_eq(rig_judge(&rig, &data), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_INTERCEPT_TOO_LATE);
    cr_assert_eq(flows_on_grants(), 0);
}
