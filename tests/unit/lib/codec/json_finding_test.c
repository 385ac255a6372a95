/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "../observe/sample.h"
#include "parsed.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char text[65536];

static cJSON *written(const pol_finding *finding)
{
    size_t len = 0;

    cr_assert_eq(pol_json_finding(finding, STR("7c7b-node"), text, sizeof(text), &len), POL_OK);
    return parsed(text, len);
}

static pol_finding finding_of(enum pol_finding_type type)
{
    pol_finding finding = {
        .type = (uint8_t)type,
        .proto = 6,
        .icmp_type = 8,
        .icmp_code = 1,
        .audit = 1,
        .name_count = 2,
        .dst_port = 443,
        .query_type = 28,
        .reason = POL_WHY_DNS_EXPIRED,
        .generation = 12,
        .count = 17,
        .first_seen = 1770000000999,
        .last_seen = 1770000100000,
    };

    finding.dst = sample_addr("203.0.113.9");
    finding.src = sample_addr("10.0.0.5");
    sample_text(finding.group, sizeof(finding.group), "web");
    sample_text(finding.rule, sizeof(finding.rule), "no-db");
    sample_text(finding.name, sizeof(finding.name), "name.example");
    sample_text(finding.fqdn, sizeof(finding.fqdn), "db.example");
    sample_text(finding.names[0], sizeof(finding.names[0]), "db.example");
    sample_text(finding.names[1], sizeof(finding.names[1]), "old.example");
    return finding;
}

static const char *const keys[] = {
    "finding_type", "policy_id",  "source_group", "hostname",  "dst_ip",    "dst_port",
    "proto",        "fqdn",       "sni",          "icmp_type", "icmp_code", "query_type",
    "first_seen",   "last_seen",  "count",        "node_ids",  "audit",     "reason",
    "rule",         "generation", "names",        "src_ip",
};

Test(json_finding, every_key_is_there_for_every_type)
{
    for (unsigned type = 0; type < POL_FIND_COUNT; type++) {
        pol_finding finding = finding_of(type);
        cJSON *root = written(&finding);

        expect_keys(root, keys, COUNT(keys));
        expect_text(root, "finding_type", pol_finding_word(type));
        cJSON_Delete(root);
    }
}

static const struct {
    enum pol_finding_type type;
    const char *hostname, *dst_ip;
    double dst_port, proto;
    const char *sni;
    double icmp_type, icmp_code, query_type;
} selectors[] = {
    {POL_FIND_DNS_DENY, "name.example", NULL, -1, -1, NULL, -1, -1, 28},
    {POL_FIND_L4_DENY, NULL, "203.0.113.9", 443, 6, NULL, -1, -1, -1},
    {POL_FIND_TLS_DENY, NULL, "203.0.113.9", 443, 6, "name.example", -1, -1, -1},
    {POL_FIND_ICMP_DENY, NULL, "203.0.113.9", -1, 6, NULL, 8, 1, -1},
    {POL_FIND_AUTH_SSO, "name.example", NULL, -1, -1, NULL, -1, -1, -1},
};

Test(json_finding, each_type_fills_the_keys_of_the_contract)
{
    for (size_t i = 0; i < COUNT(selectors); i++) {
        pol_finding finding = finding_of(selectors[i].type);
        cJSON *root = written(&finding);

        expect_text(root, "hostname", selectors[i].hostname);
        expect_text(root, "dst_ip", selectors[i].dst_ip);
        expect_number(root, "dst_port", selectors[i].dst_port);
        expect_number(root, "proto", selectors[i].proto);
        expect_text(root, "sni", selectors[i].sni);
        expect_number(root, "icmp_type", selectors[i].icmp_type);
        expect_number(root, "icmp_code", selectors[i].icmp_code);
        expect_number(root, "query_type", selectors[i].query_type);
        cJSON_Delete(root);
    }
}

Test(json_finding, what_all_types_have_is_written)
{
    pol_finding finding = finding_of(POL_FIND_L4_DENY);
    cJSON *root = written(&finding);

    expect_text(root, "policy_id", "00000000-0000-0000-0000-000000000000");
    expect_text(root, "source_group", "web");
    expect_text(root, "fqdn", "db.example");
    expect_number(root, "first_seen", 1770000000);
    expect_number(root, "last_seen", 1770000100);
    expect_number(root, "count", 17);
    cr_expect_eq(cJSON_GetArraySize(member(root, "node_ids")), 1);
    cr_expect_str_eq(cJSON_GetArrayItem(member(root, "node_ids"), 0)->valuestring, "7c7b-node");
    expect_bool(root, "audit", true);
    expect_text(root, "reason", "dns_expired");
    expect_text(root, "rule", "no-db");
    expect_number(root, "generation", 12);
    cr_expect_eq(cJSON_GetArraySize(member(root, "names")), 2);
    cr_expect_str_eq(cJSON_GetArrayItem(member(root, "names"), 1)->valuestring, "old.example");
    expect_text(root, "src_ip", "10.0.0.5");
    cJSON_Delete(root);
}

Test(json_finding, what_is_not_known_is_null)
{
    pol_finding finding = {.type = POL_FIND_TLS_DENY, .count = 1};
    cJSON *root = written(&finding);

    expect_text(root, "source_group", "");
    expect_text(root, "dst_ip", NULL);
    expect_text(root, "fqdn", NULL);
    expect_text(root, "sni", NULL);
    expect_text(root, "rule", NULL);
    expect_text(root, "src_ip", NULL);
    cr_expect_eq(cJSON_GetArraySize(member(root, "names")), 0);
    cJSON_Delete(root);
}

Test(json_finding, a_finding_full_of_anything_is_still_json)
{
    pol_finding finding;

    for (int octet = 0; octet < 256; octet++) {
        memset(&finding, octet, sizeof(finding));
        finding.dst = finding.src = sample_addr("2001:db8::1");
        cJSON_Delete(written(&finding));
    }
}

Test(json_finding, counts_keep_64_bits)
{
    pol_finding finding = finding_of(POL_FIND_L4_DENY);
    size_t len = 0;

    finding.count = UINT64_MAX;
    cr_assert_eq(pol_json_finding(&finding, STR("n"), text, sizeof(text) - 1, &len), POL_OK);
    text[len] = '\0';
    cr_expect_not_null(strstr(text, "\"count\":18446744073709551615,"));
}

Test(json_finding, the_length_needed_is_told)
{
    pol_finding finding = finding_of(POL_FIND_L4_DENY);
    size_t needed = 0, len = 0;

    cr_expect_eq(pol_json_finding(&finding, STR("n"), NULL, 0, &needed), POL_E_NOSPACE);
    cr_expect_eq(pol_json_finding(&finding, STR("n"), text, needed - 1, &len), POL_E_NOSPACE);
    cr_expect_eq(pol_json_finding(&finding, STR("n"), text, needed, &len), POL_OK);
    cr_expect_eq(len, needed);
}
