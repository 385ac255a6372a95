/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/walk.h"

#include "rig.h"

static struct rig rig;

static void teardown(void)
{
    rig_stop(&rig);
}

TestSuite(walk, .fini = teardown);

#define GROUP(rules)                                                                               \
    "'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/"                   \
    "8']},'rules':[" rules "]}]"

Test(walk, audit_denial_that_goes_on_leaves_nothing_to_wait_for)
{
    pol_packet syn = rig_syn("10.0.0.5", 40000, "192.0.2.1", 443);

    rig_start(&rig, "{'audit_deny':'continue'," GROUP(
                        "{'id':'r','action':'deny','mode':'audit',"
                        "'match':{'proto':'tcp','tls':{'sni':['a.example']}}}") "}");
    cr_assert_eq(rig_judge(&rig, &syn), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_POLICY_DEFAULT);
}

Test(walk, only_tcp_is_denied_for_not_speaking_tls)
{
    pol_packet first = packet_udp("10.0.0.5", 40000, "192.0.2.1", 443, (pol_bytes){NULL, 0});
    static const char tls_rule[] =
        "{" GROUP("{'id':'r','action':'allow','match':{'tls':{'sni':['a.example']}}}") "}";

    rig_start(&rig, "{'default_policy':'allow'}");
    cr_assert_eq(rig_judge(&rig, &first), POL_ALLOW);
    rig_use(&rig, tls_rule);
    cr_assert_eq(rig_judge(&rig, &first), POL_DENY);
    cr_assert_eq(rig.verdict.reason, POL_WHY_POLICY_DEFAULT);
}
