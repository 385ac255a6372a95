/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "../observe/sample.h"
#include "parsed.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char text[65536];

static cJSON *written(const pol_event *event, const pol_policy *policy)
{
    size_t len = 0;

    cr_assert_eq(
        pol_json_event(event, policy, STR("7c7b-node"), 1770000000500, text, sizeof(text), &len),
        POL_OK);
    return parsed(text, len);
}

static pol_event flow_event(uint8_t kind)
{
    pol_event event = sample_hello("203.0.113.9", "api.example");

    event.kind = kind;
    event.fqdn_len = sample_text(event.fqdn, sizeof(event.fqdn), "db.example");
    event.verdict.action = POL_ALLOW;
    event.verdict.raw_action = POL_DENY;
    event.verdict.reason = POL_WHY_RULE;
    event.verdict.generation = 3;
    event.packets_in = 3;
    event.packets_out = 4;
    event.bytes_in = 300;
    event.bytes_out = 400;
    return event;
}

static const char *const contract[] = {
    "flow_id",    "src_ip",      "dst_ip",    "src_port", "dst_port", "proto",
    "packets_in", "packets_out", "last_seen", "hostname", "node_id",
};

Test(json_event, a_flow_has_the_keys_of_the_contract_first)
{
    pol_event event = flow_event(POL_EV_FLOW_ACTIVE);
    cJSON *root = written(&event, NULL);
    const cJSON *item = root->child;

    for (size_t i = 0; i < COUNT(contract); i++, item = item->next)
        cr_assert_str_eq(item->string, contract[i]);
    expect_text(root, "flow_id", "10.0.0.5:40000-203.0.113.9:443-6");
    expect_text(root, "src_ip", "10.0.0.5");
    expect_text(root, "dst_ip", "203.0.113.9");
    expect_number(root, "src_port", 40000);
    expect_number(root, "dst_port", 443);
    expect_number(root, "proto", 6);
    expect_number(root, "packets_in", 3);
    expect_number(root, "packets_out", 4);
    expect_number(root, "last_seen", 1770000000);
    expect_text(root, "hostname", "db.example");
    expect_text(root, "node_id", "7c7b-node");
    cJSON_Delete(root);
}

Test(json_event, a_flow_says_how_it_was_judged)
{
    pol_event event = flow_event(POL_EV_FLOW_OPEN);
    cJSON *root = written(&event, NULL);

    expect_text(root, "kind", "flow_open");
    expect_text(root, "verdict", "allow");
    expect_text(root, "raw_verdict", "deny");
    expect_text(root, "reason", "rule");
    expect_number(root, "generation", 3);
    expect_text(root, "group", NULL);
    expect_text(root, "rule", NULL);
    expect_text(root, "vlan", NULL);
    expect_text(root, "sni", "api.example");
    expect_number(root, "bytes_in", 300);
    expect_number(root, "bytes_out", 400);
    cr_expect_null(cJSON_GetObjectItem(root, "end"));
    cJSON_Delete(root);
}

Test(json_event, ids_come_from_the_policy)
{
    static const char document[] =
        "{\"default_policy\":\"deny\",\"source_groups\":[{\"id\":\"web\",\"mode\":\"enforce\","
        "\"sources\":{\"cidrs\":[\"10.0.0.0/24\"]},\"rules\":[{\"id\":\"r\\\"1\",\"action\":"
        "\"allow\",\"match\":{\"proto\":\"tcp\"}}]}]}";
    pol_event event = flow_event(POL_EV_FLOW_OPEN);
    pol_policy *policy = NULL;
    pol_ctx *ctx = NULL;
    cJSON *root;

    cr_assert_eq(pol_ctx_new(NULL, &ctx), POL_OK);
    cr_assert_eq(pol_compile(ctx, str_of(document), NULL, &policy, NULL), POL_OK);
    root = written(&event, policy);
    expect_text(root, "group", "default");
    expect_text(root, "rule", NULL);
    cJSON_Delete(root);

    event.verdict.group = 0;
    event.verdict.rule = 0;
    root = written(&event, policy);
    expect_text(root, "group", "web");
    expect_text(root, "rule", "r\"1");
    cJSON_Delete(root);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
}

Test(json_event, a_tagged_flow_shows_its_vlan)
{
    pol_event event = flow_event(POL_EV_FLOW_OPEN);
    cJSON *root;

    event.vlan = 42;
    root = written(&event, NULL);
    expect_number(root, "vlan", 42);
    cJSON_Delete(root);
}

Test(json_event, the_end_of_a_flow_says_why)
{
    pol_event event = flow_event(POL_EV_FLOW_END);
    cJSON *root;

    event.end = POL_END_IDLE;
    event.fqdn_len = 0;
    event.name_len = 0;
    root = written(&event, NULL);
    expect_text(root, "kind", "flow_end");
    expect_text(root, "end", "idle_timeout");
    expect_text(root, "hostname", NULL);
    expect_text(root, "sni", NULL);
    cJSON_Delete(root);
}

Test(json_event, a_query_shows_its_name_and_answer)
{
    pol_event event = sample_query("api.example", 28);
    const cJSON *answers;
    cJSON *root;

    event.rcode = 0;
    event.answer_count = 2;
    event.learned = 4;
    event.answers[0] = sample_addr("2001:db8::1");
    event.answers[1] = sample_addr("192.0.2.1");
    root = written(&event, NULL);
    expect_text(root, "kind", "dns");
    expect_text(root, "hostname", "api.example");
    expect_number(root, "query_type", 28);
    expect_number(root, "rcode", 0);
    expect_number(root, "learned", 4);
    answers = member(root, "answers");
    cr_assert_eq(cJSON_GetArraySize(answers), 2);
    cr_expect_str_eq(cJSON_GetArrayItem(answers, 0)->valuestring, "2001:db8::1");
    cJSON_Delete(root);

    event.rcode = 255;
    event.answer_count = 255; /* more than the event holds */
    root = written(&event, NULL);
    expect_text(root, "rcode", NULL);
    cr_expect_eq(cJSON_GetArraySize(member(root, "answers")), POL_EVENT_ADDRESSES);
    cJSON_Delete(root);
}

Test(json_event, ipv6_flows_have_an_id_too)
{
    pol_event event = sample_deny(58, "2001:db8::9", 0);
    cJSON *root;

    event.tuple.src = sample_addr("2001:db8::5");
    event.tuple.src_port = 77;
    root = written(&event, NULL);
    expect_text(root, "flow_id", "2001:db8::5:77-2001:db8::9:0-58");
    cJSON_Delete(root);
}

Test(json_event, the_longest_event_fits_its_own_parts)
{
    pol_event event = flow_event(POL_EV_FLOW_END);

    memset(event.name, 1, sizeof(event.name));
    memset(event.fqdn, 0xff, sizeof(event.fqdn));
    event.name_len = event.fqdn_len = POL_NAME_MAX;
    event.tuple.src = event.tuple.dst = sample_addr("1111:2222:3333:4444:5555:6666:7777:8888");
    event.tuple.src_port = event.tuple.dst_port = 65535;
    event.tuple.proto = 255;
    cJSON_Delete(written(&event, NULL));
}
