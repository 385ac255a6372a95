/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "base/slice.h"
#include "codec/json_out.h"

/* The contract knows one policy, and this is its id. */
#define POLICY_ID "00000000-0000-0000-0000-000000000000"

/* Findings may come from a caller: their texts are not trusted to end. */
static pol_str field(const char *text, size_t size)
{
    const char *end = memchr(text, '\0', size);

    return (pol_str){text, end ? (size_t)(end - text) : size};
}

#define FIELD(array) field(array, sizeof(array))

static void number_or_null(struct json *json, const char *key, bool given, uint64_t value)
{
    if (given)
        json_u64(json, key, value);
    else
        json_null(json, key);
}

/* Which keys a type fills; the others are null. */
static void write_selectors(struct json *json, const pol_finding *finding)
{
    bool dns = finding->type == POL_FIND_DNS_DENY;
    bool tls = finding->type == POL_FIND_TLS_DENY;
    bool icmp = finding->type == POL_FIND_ICMP_DENY;
    bool sso = finding->type == POL_FIND_AUTH_SSO;
    bool packet = tls || icmp || finding->type == POL_FIND_L4_DENY;
    bool port = packet && !icmp;
    static const pol_addr none;
    pol_str empty = {NULL, 0};

    json_name(json, "hostname", dns || sso ? FIELD(finding->name) : empty);
    json_addr(json, "dst_ip", packet ? &finding->dst : &none);
    number_or_null(json, "dst_port", port, finding->dst_port);
    number_or_null(json, "proto", packet, finding->proto);
    json_name(json, "fqdn", FIELD(finding->fqdn));
    json_name(json, "sni", tls ? FIELD(finding->name) : empty);
    number_or_null(json, "icmp_type", icmp, finding->icmp_type);
    number_or_null(json, "icmp_code", icmp, finding->icmp_code);
    number_or_null(json, "query_type", dns, finding->query_type);
}

static void write_names(struct json *json, const pol_finding *finding)
{
    size_t count =
        finding->name_count < POL_FINDING_NAMES ? finding->name_count : POL_FINDING_NAMES;

    json_array(json, "names");
    for (size_t i = 0; i < count; i++)
        json_str(json, NULL, FIELD(finding->names[i]));
    json_array_end(json);
}

int pol_json_finding(const pol_finding *finding, pol_str node_id, char *buf, size_t capacity,
                     size_t *ret_len)
{
    struct json json = json_of(buf, capacity);

    json_object(&json, NULL);
    json_text(&json, "finding_type", pol_finding_word(finding->type));
    json_text(&json, "policy_id", POLICY_ID);
    json_str(&json, "source_group", FIELD(finding->group));
    write_selectors(&json, finding);
    json_u64(&json, "first_seen", finding->first_seen / 1000);
    json_u64(&json, "last_seen", finding->last_seen / 1000);
    json_u64(&json, "count", finding->count);
    json_array(&json, "node_ids");
    json_str(&json, NULL, node_id);
    json_array_end(&json);

    json_bool(&json, "audit", finding->audit);
    json_text(&json, "reason", pol_reason_word(finding->reason));
    json_name(&json, "rule", FIELD(finding->rule));
    json_u64(&json, "generation", finding->generation);
    write_names(&json, finding);
    json_addr(&json, "src_ip", &finding->src);
    json_object_end(&json);
    return buf_finish(&json.out, ret_len);
}
