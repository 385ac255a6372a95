/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "codec/json_out.h"

/* A member whose value is a sum of counters. */
struct member {
    const char *key, *name, *labels;
};

static void write_members(struct json *json, const pol_counters *counters,
                          const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_u64(json, members[i].key,
                 pol_counters_value(counters, members[i].name, members[i].labels));
}

#define MEMBERS(json, counters, list)                                                              \
    write_members(json, counters, list, sizeof(list) / sizeof((list)[0]))

static void write_decisions(struct json *json, const pol_counters *counters, const char *key,
                            const char *name)
{
    const struct member members[] = {
        {"allow", name, "decision=\"allow\""},
        {"deny", name, "decision=\"deny\""},
        {"pending_tls", name, "decision=\"pending_tls\""},
    };

    json_object(json, key);
    MEMBERS(json, counters, members);
    json_object_end(json);
}

static void write_dataplane(struct json *json, const pol_counters *counters)
{
    static const struct member now[] = {
        {"active_flows", "dp_active_flows", ""},
        {"active_nat_entries", "dp_active_nat_entries", ""},
    };
    static const struct member totals[] = {
        {"flows_opened", "dp_flow_opens_total", ""},
        {"flows_closed", "dp_flow_closes_total", ""},
        {"ipv4_fragments_dropped", "dp_ipv4_fragments_dropped_total", ""},
        {"ipv4_ttl_exceeded", "dp_ipv4_ttl_exceeded_total", ""},
    };

    json_object(json, "dataplane");
    MEMBERS(json, counters, now);
    json_ratio(json, "nat_port_utilization",
               pol_counters_value(counters, "dp_nat_port_utilization_ratio", ""));
    write_decisions(json, counters, "packets", "dp_packets_total");
    write_decisions(json, counters, "bytes", "dp_bytes_total");
    MEMBERS(json, counters, totals);
    json_object_end(json);
}

int pol_json_stats(const pol_counters *counters, char *buf, size_t capacity, size_t *ret_len)
{
    static const struct member dns[] = {
        {"queries_allow", "dns_queries_total", "result=\"allow\""},
        {"queries_deny", "dns_queries_total", "result=\"deny\""},
        {"nxdomain_policy", "dns_nxdomain_total", "source=\"policy\""},
        {"nxdomain_upstream", "dns_nxdomain_total", "source=\"upstream\""},
    };
    static const struct member tls[] = {
        {"allow", "dp_tls_decisions_total", "outcome=\"allow\""},
        {"deny", "dp_tls_decisions_total", "outcome=\"deny\""},
    };
    struct json json = json_of(buf, capacity);

    write_dataplane(&json, counters);
    json_object(&json, "dns");
    MEMBERS(&json, counters, dns);
    json_object_end(&json);
    json_object(&json, "tls");
    MEMBERS(&json, counters, tls);
    json_object_end(&json);
    return buf_finish(&json.out, ret_len);
}
