/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include <stdio.h>

#include "base/slice.h"
#include "observe/counters.h"
#include "parsed.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static pol_ctx *ctx;
static pol_counters *counters;
static struct counters block;
static struct group_slots slots;

static void setup(void)
{
    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(pol_counters_new(ctx, &counters), POL_OK);
}

static void teardown(void)
{
    pol_counters_free(counters);
    pol_ctx_unref(ctx);
}

TestSuite(json_stats, .init = setup, .fini = teardown);

static cJSON *written(void)
{
    char members[4096], text[4200];
    size_t len = 0;

    cr_assert_eq(pol_json_stats(counters, members, sizeof(members), &len), POL_OK);
    return parsed(text, (size_t)snprintf(text, sizeof(text), "{%.*s}", (int)len, members));
}

static const char *const objects[] = {"dataplane", "dns", "tls"};
static const char *const dataplane[] = {
    "active_flows", "active_nat_entries", "nat_port_utilization",   "packets",           "bytes",
    "flows_opened", "flows_closed",       "ipv4_fragments_dropped", "ipv4_ttl_exceeded",
};
static const char *const decisions[] = {"allow", "deny", "pending_tls"};
static const char *const dns[] = {"queries_allow", "queries_deny", "nxdomain_policy",
                                  "nxdomain_upstream"};
static const char *const tls[] = {"allow", "deny"};

Test(json_stats, every_number_of_the_contract_is_there_from_the_start)
{
    cJSON *root = written();

    expect_keys(root, objects, COUNT(objects));
    expect_keys(member(root, "dataplane"), dataplane, COUNT(dataplane));
    expect_keys(member(member(root, "dataplane"), "packets"), decisions, COUNT(decisions));
    expect_keys(member(member(root, "dataplane"), "bytes"), decisions, COUNT(decisions));
    expect_keys(member(root, "dns"), dns, COUNT(dns));
    expect_keys(member(root, "tls"), tls, COUNT(tls));
    expect_number(member(root, "dataplane"), "nat_port_utilization", 0);
    cJSON_Delete(root);
}

static const struct {
    const char *object, *inner, *key;
    size_t place;
    bool shown;
} moves[] = {
    {"dataplane", NULL, "active_flows", COUNT_ACTIVE_FLOWS, true},
    {"dataplane", "packets", "allow", COUNT_PACKETS_INBOUND_UDP_ALLOW + GROUP_SLOT_OTHER, true},
    {"dataplane", "packets", "deny", COUNT_PACKETS_OUTBOUND_ICMP_DENY + GROUP_SLOT_DEFAULT, true},
    {"dataplane", "packets", "pending_tls", COUNT_PACKETS_OUTBOUND_TCP_PENDING + GROUP_SLOT_OTHER,
     true},
    {"dataplane", "bytes", "allow", COUNT_BYTES_INBOUND_OTHER_ALLOW + GROUP_SLOT_OTHER, true},
    {"dataplane", NULL, "flows_opened", COUNT_FLOW_OPENS_UDP + GROUP_SLOT_OTHER, true},
    {"dataplane", NULL, "flows_closed", COUNT_FLOW_CLOSES_EVICTED, true},
    {"dataplane", NULL, "ipv4_fragments_dropped", COUNT_FRAGMENTS_DROPPED, true},
    {"dataplane", NULL, "ipv4_ttl_exceeded", COUNT_TTL_EXCEEDED, true},
    {"dns", NULL, "queries_allow", COUNT_DNS_POLICY_ALLOW + GROUP_SLOT_OTHER, true},
    {"dns", NULL, "queries_deny", COUNT_DNS_POLICY_DENY + GROUP_SLOT_OTHER, true},
    {"dns", NULL, "queries_deny", COUNT_DNS_PARSE_ERROR + GROUP_SLOT_OTHER, true},
    {"dns", NULL, "nxdomain_policy", COUNT_NXDOMAIN_POLICY, true},
    {"dns", NULL, "nxdomain_upstream", COUNT_NXDOMAIN_UPSTREAM, true},
    {"dns", NULL, "nxdomain_upstream", COUNT_NXDOMAIN_MISMATCH, false},
    {"tls", NULL, "allow", COUNT_TLS_ALLOW, true},
    {"tls", NULL, "deny", COUNT_TLS_DENY, true},
    {"tls", NULL, "deny", COUNT_TLS_DENY_AFTER_DATA, false},
};

Test(json_stats, each_number_has_its_counter)
{
    for (size_t i = 0; i < COUNT(moves); i++) {
        const cJSON *object;
        cJSON *root;

        memset(&block, 0, sizeof(block));
        counter_add(&block, moves[i].place, 7);
        pol_counters_clear(counters);
        counters_sum(counters, &block, &slots);
        root = written();
        object = member(root, moves[i].object);
        if (moves[i].inner)
            object = member(object, moves[i].inner);
        expect_number(object, moves[i].key, moves[i].shown ? 7 : 0);
        cJSON_Delete(root);
    }
}
