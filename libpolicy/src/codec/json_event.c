/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/json.h>

#include "base/slice.h"
#include "codec/json_out.h"

/* "10.0.0.5:40000-203.0.113.9:443-6"; IPv6 addresses stand without brackets. */
static void write_flow_id(struct json *json, const pol_tuple *tuple)
{
    char text[2 * POL_ADDR_TEXT + 32];
    char addr[POL_ADDR_TEXT];
    struct buf id = buf_of(text, sizeof(text));

    pol_addr_format(&tuple->src, addr);
    buf_printf(&id, "%s:%u-", addr, tuple->src_port);
    pol_addr_format(&tuple->dst, addr);
    buf_printf(&id, "%s:%u-%u", addr, tuple->dst_port, tuple->proto);
    json_str(json, "flow_id", (pol_str){text, id.len});
}

static void write_contract(struct json *json, const pol_event *event, pol_str node_id,
                           pol_wall wall)
{
    const pol_tuple *tuple = &event->tuple;
    bool dns = event->kind == POL_EV_DNS;

    write_flow_id(json, tuple);
    json_addr(json, "src_ip", &tuple->src);
    json_addr(json, "dst_ip", &tuple->dst);
    json_u64(json, "src_port", tuple->src_port);
    json_u64(json, "dst_port", tuple->dst_port);
    json_u64(json, "proto", tuple->proto);
    json_u64(json, "packets_in", event->packets_in);
    json_u64(json, "packets_out", event->packets_out);
    json_u64(json, "last_seen", wall / 1000);
    json_name(json, "hostname",
              dns ? (pol_str){event->name, event->name_len}
                  : (pol_str){event->fqdn, event->fqdn_len});
    json_str(json, "node_id", node_id);
}

static void write_verdict(struct json *json, const pol_event *event, const pol_policy *policy)
{
    const pol_verdict *verdict = &event->verdict;
    pol_str group = {NULL, 0};
    pol_str rule = {NULL, 0};

    if (policy) {
        group = pol_policy_group_id(policy, verdict->group);
        rule = pol_policy_rule_id(policy, verdict->rule);
    }
    json_text(json, "verdict", pol_action_word(verdict->action));
    json_text(json, "raw_verdict", pol_action_word(verdict->raw_action));
    json_name(json, "group", group);
    json_name(json, "rule", rule);
    json_text(json, "reason", pol_reason_word(verdict->reason));
    json_u64(json, "generation", verdict->generation);
}

static void write_vlan(struct json *json, uint16_t vlan)
{
    if (vlan)
        json_u64(json, "vlan", vlan);
    else
        json_null(json, "vlan");
}

static void write_flow(struct json *json, const pol_event *event)
{
    json_name(json, "sni", (pol_str){event->name, event->name_len});
    json_u64(json, "bytes_in", event->bytes_in);
    json_u64(json, "bytes_out", event->bytes_out);
    if (event->kind == POL_EV_FLOW_END)
        json_text(json, "end", pol_end_word(event->end));
}

static void write_dns(struct json *json, const pol_event *event)
{
    size_t count =
        event->answer_count < POL_EVENT_ADDRESSES ? event->answer_count : POL_EVENT_ADDRESSES;

    json_u64(json, "query_type", event->qtype);
    if (event->rcode == 255)
        json_null(json, "rcode");
    else
        json_u64(json, "rcode", event->rcode);
    json_array(json, "answers");
    for (size_t i = 0; i < count; i++)
        json_addr(json, NULL, &event->answers[i]);
    json_array_end(json);
    json_u64(json, "learned", event->learned);
}

int pol_json_event(const pol_event *event, const pol_policy *policy, pol_str node_id, pol_wall wall,
                   char *buf, size_t capacity, size_t *ret_len)
{
    struct json json = json_of(buf, capacity);

    json_object(&json, NULL);
    write_contract(&json, event, node_id, wall);
    json_text(&json, "kind", pol_event_word(event->kind));
    write_verdict(&json, event, policy);
    write_vlan(&json, event->vlan);
    if (event->kind == POL_EV_DNS)
        write_dns(&json, event);
    else
        write_flow(&json, event);
    json_object_end(&json);
    return buf_finish(&json.out, ret_len);
}
