/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/record_json.h"

#include <criterion/criterion.h>
#include <string.h>

static const char document[] =
    "{\"default_policy\":\"deny\",\"source_groups\":[{\"id\":\"office\",\"priority\":1,"
    "\"mode\":\"enforce\",\"sources\":{\"cidrs\":[\"10.0.0.0/8\"]},\"default_action\":\"deny\","
    "\"rules\":[{\"id\":\"web\",\"action\":\"allow\",\"match\":{\"proto\":\"tcp\"}}]}]}";

static pol_ctx *ctx;
static pol_policy *policy;
static struct text line;

static void begin(void)
{
    pol_ctx_new(NULL, &ctx);
    cr_assert_eq(pol_compile(ctx, (pol_str){document, sizeof(document) - 1}, NULL, &policy, NULL),
                 POL_OK);
}

static void end(void)
{
    text_fini(&line);
    pol_policy_unref(policy);
    pol_ctx_unref(ctx);
}

TestSuite(record_json, .init = begin, .fini = end);

static pol_tuple tuple(uint16_t dport, uint8_t proto)
{
    return (pol_tuple){{4, {10, 0, 0, 1}}, {6, {0x20, 1, 0xd, 0xb8}}, 40000, dport, proto};
}

Test(record_json, flow_has_its_keys_in_the_documented_order)
{
    char names[] = "a.example\0b.example", sni[] = "a.example";
    struct record record = {
        .kind = RECORD_FLOW,
        .tuple = tuple(443, 6),
        .verdict = {.action = POL_ALLOW,
                    .raw_action = POL_DENY,
                    .reason = POL_WHY_RULE,
                    .flags = POL_V_SIDE_INFERRED | POL_V_SNI_MISMATCH},
        .side = POL_SIDE_INSIDE,
        .vlan = 30,
        .first = 1,
        .last = 2 * POL_SECONDS + 123456789,
        .packets_out = 3,
        .packets_in = 2,
        .bytes_out = 300,
        .bytes_in = 50,
        .packets_pending = 1,
        .bytes_pending = 60,
        .packets_dropped = 2,
        .bytes_dropped = 120,
        .sni = sni,
        .names = names,
        .names_len = sizeof(names),
    };

    record_json(&line, &record, policy);
    cr_assert_str_eq(
        line.ptr,
        "{\"kind\":\"flow\",\"src\":\"10.0.0.1\",\"sport\":40000,\"dst\":\"2001:db8::\","
        "\"dport\":443,\"proto\":\"tcp\",\"side\":\"inside\",\"sni\":\"a.example\","
        "\"names\":[\"a.example\",\"b.example\"],\"packets\":5,\"bytes\":350,\"verdict\":\"allow\","
        "\"raw_verdict\":\"deny\",\"group\":\"office\",\"rule\":\"web\",\"reason\":\"rule\","
        "\"first\":\"1970-01-01T00:00:00.000000Z\",\"last\":\"1970-01-01T00:00:02.123456Z\","
        "\"side_inferred\":true,\"packets_out\":3,\"packets_in\":2,\"packets_pending\":1,"
        "\"bytes_pending\":60,\"packets_dropped\":2,\"bytes_dropped\":120,\"vlan\":30,\"sni_"
        "mismatch\":true}");
}

Test(record_json, flow_without_rule_name_or_tag_says_null_or_nothing)
{
    struct record record = {
        .kind = RECORD_FLOW,
        .tuple = tuple(0, 1),
        .verdict = {.action = POL_REJECT,
                    .raw_action = POL_REJECT,
                    .group = POL_NONE,
                    .rule = POL_NONE,
                    .reason = POL_WHY_POLICY_DEFAULT},
        .icmp_type = 8,
    };

    record_json(&line, &record, policy);
    cr_assert_not_null(strstr(line.ptr, "\"proto\":\"icmp\",\"side\":\"unknown\",\"sni\":null,"
                                        "\"names\":[],"));
    cr_assert_not_null(strstr(line.ptr, "\"verdict\":\"deny\",\"raw_verdict\":\"deny\","
                                        "\"group\":\"default\",\"rule\":null,"
                                        "\"reason\":\"policy_default\","));
    cr_assert_not_null(strstr(line.ptr, ",\"icmp_type\":8,\"icmp_code\":0}"));
}

Test(record_json, query_has_its_keys_in_the_documented_order)
{
    struct record_dns dns = {
        .qtype = 28,
        .learned = 1,
        .rcode = 0,
        .answer_count = 1,
        .answers = {{4, {192, 0, 2, 1}}},
        .name = "a\\.b.example",
    };
    struct record record = {
        .kind = RECORD_DNS,
        .tuple = tuple(53, 17),
        .verdict = {.action = POL_ALLOW, .raw_action = POL_ALLOW, .reason = POL_WHY_RULE},
        .dns = &dns,
    };

    record_json(&line, &record, policy);
    cr_assert_str_eq(
        line.ptr,
        "{\"kind\":\"dns\",\"client\":\"10.0.0.1\",\"resolver\":\"2001:db8::\","
        "\"name\":\"a\\\\.b.example\",\"qtype\":\"AAAA\",\"rcode\":\"NOERROR\","
        "\"answers\":[\"192.0.2.1\"],\"learned\":1,\"verdict\":\"allow\",\"group\":\"office\","
        "\"rule\":\"web\",\"reason\":\"rule\",\"time\":\"1970-01-01T00:00:00.000000Z\","
        "\"raw_verdict\":\"allow\",\"proto\":\"udp\",\"sport\":40000,\"answer_count\":1}");
}

Test(record_json, query_without_an_answer_has_no_rcode)
{
    struct record_dns dns = {.qtype = 65000, .rcode = RECORD_NO_ANSWER};
    struct record record = {.kind = RECORD_DNS, .tuple = tuple(53, 17), .dns = &dns};

    record_json(&line, &record, policy);
    cr_assert_not_null(strstr(line.ptr, "\"qtype\":\"TYPE65000\",\"rcode\":null,\"answers\":[],"));
}

Test(record_json, answers_beyond_those_kept_are_only_counted)
{
    struct record_dns dns = {.qtype = 1, .answer_count = 40};
    struct record record = {.kind = RECORD_DNS, .tuple = tuple(53, 17), .dns = &dns};
    size_t commas = 0;

    record_json(&line, &record, policy);
    for (const char *at = strstr(line.ptr, "\"answers\":["); *at != ']'; at++)
        commas += *at == ',';
    cr_assert_eq(commas, POL_EVENT_ADDRESSES - 1);
    cr_assert_not_null(strstr(line.ptr, "\"answer_count\":40"));
}
