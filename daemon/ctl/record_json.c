/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/record_json.h"

#include <inttypes.h>
#include <string.h>

#include "ctl/show.h"
#include "ctl/words.h"

/* Each adds ,"key":value; only "kind" goes without the comma. */

static void add_text(struct text *out, const char *key, const char *value)
{
    text_addf(out, ",\"%s\":", key);
    if (value)
        text_add_json(out, value);
    else
        text_add(out, "null");
}

static void add_number(struct text *out, const char *key, uint64_t value)
{
    text_addf(out, ",\"%s\":%" PRIu64, key, value);
}

static void add_addr(struct text *out, const char *key, const pol_addr *addr)
{
    char buf[POL_ADDR_TEXT];

    pol_addr_format(addr, buf);
    add_text(out, key, buf);
}

static void add_time(struct text *out, const char *key, uint64_t ns)
{
    char buf[SHOW_TIME];

    show_time(ns, buf);
    add_text(out, key, buf);
}

static void add_id(struct text *out, const char *key, pol_str id)
{
    text_addf(out, ",\"%s\":", key);
    if (id.len)
        text_add_json_bytes(out, id.ptr, id.len);
    else
        text_add(out, "null");
}

static void add_names(struct text *out, const struct record *record)
{
    text_add(out, ",\"names\":[");
    for (size_t at = 0; at < record->names_len; at += strlen(record->names + at) + 1) {
        text_add(out, at ? "," : "");
        text_add_json(out, record->names + at);
    }
    text_add(out, "]");
}

static void add_reason(struct text *out, const pol_verdict *verdict, const pol_policy *policy)
{
    add_id(out, "group", pol_policy_group_id(policy, verdict->group));
    add_id(out, "rule", pol_policy_rule_id(policy, verdict->rule));
    add_text(out, "reason", pol_reason_word(verdict->reason));
}

static void add_endpoints(struct text *out, const struct record *record)
{
    char proto[WORD_SIZE];

    add_addr(out, "src", &record->tuple.src);
    add_number(out, "sport", record->tuple.src_port);
    add_addr(out, "dst", &record->tuple.dst);
    add_number(out, "dport", record->tuple.dst_port);
    add_text(out, "proto", word_proto(record->tuple.proto, proto));
    add_text(out, "side", word_side(record->side));
}

static void add_flow_extras(struct text *out, const struct record *record)
{
    text_addf(out, ",\"side_inferred\":%s",
              record->verdict.flags & POL_V_SIDE_INFERRED ? "true" : "false");
    add_number(out, "packets_out", record->packets_out);
    add_number(out, "packets_in", record->packets_in);
    add_number(out, "packets_pending", record->packets_pending);
    add_number(out, "bytes_pending", record->bytes_pending);
    add_number(out, "packets_dropped", record->packets_dropped);
    add_number(out, "bytes_dropped", record->bytes_dropped);
    if (record->tuple.proto == 1 || record->tuple.proto == 58) {
        add_number(out, "icmp_type", record->icmp_type);
        add_number(out, "icmp_code", record->icmp_code);
    }
    if (record->vlan)
        add_number(out, "vlan", record->vlan);
    if (record->verdict.flags & POL_V_SNI_MISMATCH)
        text_add(out, ",\"sni_mismatch\":true");
}

static void flow_json(struct text *out, const struct record *record, const pol_policy *policy)
{
    text_add(out, "{\"kind\":\"flow\"");
    add_endpoints(out, record);
    add_text(out, "sni", record->sni);
    add_names(out, record);
    add_number(out, "packets", record->packets_out + record->packets_in);
    add_number(out, "bytes", record->bytes_out + record->bytes_in);
    add_text(out, "verdict", record_verdict_word(record->verdict.action));
    add_text(out, "raw_verdict", record_verdict_word(record->verdict.raw_action));
    add_reason(out, &record->verdict, policy);
    add_time(out, "first", record->first);
    add_time(out, "last", record->last);
    add_flow_extras(out, record);
    text_add(out, "}");
}

static void add_answers(struct text *out, const struct record_dns *dns)
{
    char buf[POL_ADDR_TEXT];

    text_add(out, ",\"answers\":[");
    for (size_t i = 0; i < dns->answer_count && i < POL_EVENT_ADDRESSES; i++) {
        pol_addr_format(&dns->answers[i], buf);
        text_addf(out, "%s\"%s\"", i ? "," : "", buf);
    }
    text_add(out, "]");
}

static void add_dns(struct text *out, const struct record_dns *dns)
{
    char word[WORD_SIZE];

    add_text(out, "name", dns->name);
    add_text(out, "qtype", word_dns_type(dns->qtype, word));
    add_text(out, "rcode",
             dns->rcode == RECORD_NO_ANSWER ? NULL : word_dns_rcode(dns->rcode, word));
    add_answers(out, dns);
    add_number(out, "learned", dns->learned);
}

static void add_dns_extras(struct text *out, const struct record *record)
{
    char proto[WORD_SIZE];

    add_time(out, "time", record->first);
    add_text(out, "raw_verdict", record_verdict_word(record->verdict.raw_action));
    add_text(out, "proto", word_proto(record->tuple.proto, proto));
    add_number(out, "sport", record->tuple.src_port);
    add_number(out, "answer_count", record->dns->answer_count);
    if (record->vlan)
        add_number(out, "vlan", record->vlan);
}

static void dns_json(struct text *out, const struct record *record, const pol_policy *policy)
{
    text_add(out, "{\"kind\":\"dns\"");
    add_addr(out, "client", &record->tuple.src);
    add_addr(out, "resolver", &record->tuple.dst);
    add_dns(out, record->dns);
    add_text(out, "verdict", record_verdict_word(record->verdict.action));
    add_reason(out, &record->verdict, policy);
    add_dns_extras(out, record);
    text_add(out, "}");
}

void record_json(struct text *out, const struct record *record, const pol_policy *policy)
{
    if (record->kind == RECORD_DNS)
        dns_json(out, record, policy);
    else
        flow_json(out, record, policy);
}
