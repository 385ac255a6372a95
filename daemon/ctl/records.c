/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/records.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/record_store.h"

#define ETHERTYPE_ARP 0x0806 /* RFC 826 */
#define DATAGRAMS     256    /* in pieces, whose other fragments may still come */

/* A datagram whose first fragment is counted in `record`: the others have no ports of their own. */
struct datagram {
    pol_addr src, dst;
    uint32_t id;
    uint8_t proto;
    struct record *record;
};

struct records {
    struct records_options options;
    struct record_store store;
    struct records_totals totals;
    struct datagram datagrams[DATAGRAMS]; /* a ring */
    size_t datagram_count;                /* ever put into it */
};

static bool is_denial(unsigned action)
{
    return action == POL_DENY || action == POL_REJECT || action == POL_ANSWER;
}

const char *record_verdict_word(unsigned action)
{
    return pol_action_word(is_denial(action) ? (unsigned)POL_DENY : action);
}

struct records *records_new(const struct records_options *options)
{
    struct records *records = calloc(1, sizeof(*records));

    if (!records)
        return NULL;

    records->options = *options;
    if (!record_store_init(&records->store, options->seed)) {
        free(records);
        return NULL;
    }
    return records;
}

void records_free(struct records *records)
{
    if (!records)
        return;

    record_store_fini(&records->store);
    free(records);
}

bool records_failed(const struct records *records)
{
    return records->store.failed;
}

size_t records_count(const struct records *records)
{
    return records->store.count;
}

const struct record *records_at(const struct records *records, size_t index)
{
    return records->store.all[index];
}

const struct records_totals *records_totals(const struct records *records)
{
    return &records->totals;
}

/* Names */

static bool holds_name(const char *names, size_t len, const char *name)
{
    for (size_t at = 0; at < len; at += strlen(names + at) + 1) {
        if (strcmp(names + at, name) == 0)
            return true;
    }
    return false;
}

/* A name may be granted to the group and recorded without a group besides: it is listed once. */
static size_t join_names(const pol_grant *grants, size_t count, char *names)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = (size_t)grants[i].name_len + 1;

        if (holds_name(names, len, grants[i].name))
            continue;
        memcpy(names + len, grants[i].name, size);
        len += size;
    }
    return len;
}

static size_t names_size(const pol_grant *grants, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += (size_t)grants[i].name_len + 1;
    return size;
}

static void set_names(struct records *records, struct record *record, pol_mono now)
{
    const pol_grant *grants = NULL;
    size_t count = 0;

    if (records->options.names)
        count = records->options.names(records->options.user, record->verdict.group_key,
                                       &record->tuple.dst, now, &grants);

    free(record->names);
    record->names = NULL;
    record->names_len = 0;
    if (count == 0)
        return;

    record->names = malloc(names_size(grants, count));
    if (record->names)
        record->names_len = join_names(grants, count, record->names);
    else
        records->store.failed = true;
}

/* Packets */

static bool is_icmp(uint8_t proto)
{
    return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* Nothing without an entry gets beyond the first idle time of its protocol. */
static pol_mono idle_of(const pol_idle *idle, uint8_t proto)
{
    if (proto == IPPROTO_TCP)
        return idle->tcp_opening;
    if (proto == IPPROTO_UDP)
        return idle->udp_one_way;
    return is_icmp(proto) ? idle->icmp : idle->other;
}

static pol_tuple opened_as(const pol_tuple *tuple, bool reply)
{
    pol_tuple turned = *tuple;

    if (reply) {
        turned.src = tuple->dst;
        turned.dst = tuple->src;
        turned.src_port = tuple->dst_port;
        turned.dst_port = tuple->src_port;
    }
    return turned;
}

static uint8_t opened_from(uint8_t side, bool reply)
{
    if (!reply || side == POL_SIDE_UNKNOWN)
        return side;
    return side == POL_SIDE_INSIDE ? POL_SIDE_OUTSIDE : POL_SIDE_INSIDE;
}

static struct record key_of(const pol_packet *packet, const pol_verdict *verdict, pol_mono now)
{
    bool reply = verdict->flags & POL_V_REPLY;
    struct record key = {
        .kind = RECORD_FLOW,
        .tuple = opened_as(&packet->tuple, reply),
        .verdict = *verdict,
        .side = opened_from(verdict->side, reply),
        .vlan = packet->vlan_count ? packet->vlan[0] : 0,
        .first = now,
        .last = now,
    };

    if (is_icmp(packet->tuple.proto)) {
        key.icmp_type = packet->icmp_type;
        key.icmp_code = packet->icmp_code;
    }
    return key;
}

/* An ICMP error about a flow may come from anywhere on the path; where it goes tells the direction.
 */
static bool goes_in(const struct record *record, const pol_packet *packet,
                    const pol_verdict *verdict)
{
    if (verdict->flags & POL_V_RELATED)
        return record_same_addr(&packet->tuple.dst, &record->tuple.src);
    return verdict->flags & POL_V_REPLY;
}

static void count_direction(struct record *record, const pol_packet *packet, bool in)
{
    if (in) {
        record->packets_in++;
        record->bytes_in += packet->ip_len;
    } else {
        record->packets_out++;
        record->bytes_out += packet->ip_len;
    }
}

static void count_in_record(struct record *record, const pol_packet *packet,
                            const pol_verdict *verdict, pol_mono now)
{
    if (now > record->last)
        record->last = now;

    count_direction(record, packet, goes_in(record, packet, verdict));
    if (is_denial(verdict->action)) {
        record->packets_dropped++;
        record->bytes_dropped += packet->ip_len;
    } else if (verdict->action == POL_PENDING) {
        record->packets_pending++;
        record->bytes_pending += packet->ip_len;
    }
}

static bool begins_datagram(const pol_packet *packet)
{
    return packet->marks & POL_MARK_FRAGMENT && packet->frag_offset == 0;
}

static bool continues_datagram(const pol_packet *packet)
{
    return packet->marks & POL_MARK_FRAGMENT && packet->frag_offset != 0;
}

static void remember_datagram(struct records *records, const pol_packet *packet,
                              struct record *record)
{
    records->datagrams[records->datagram_count++ % DATAGRAMS] = (struct datagram){
        .src = packet->tuple.src,
        .dst = packet->tuple.dst,
        .id = packet->frag_id,
        .proto = packet->tuple.proto,
        .record = record,
    };
}

/* The newest one that fits: identifiers come again. */
static struct record *find_datagram(const struct records *records, const pol_packet *packet)
{
    for (size_t age = 1; age <= DATAGRAMS && age <= records->datagram_count; age++) {
        const struct datagram *datagram =
            &records->datagrams[(records->datagram_count - age) % DATAGRAMS];

        if (datagram->id == packet->frag_id && datagram->proto == packet->tuple.proto &&
            record_same_addr(&datagram->src, &packet->tuple.src) &&
            record_same_addr(&datagram->dst, &packet->tuple.dst))
            return datagram->record;
    }
    return NULL;
}

static struct record *record_of(const struct records *records, const pol_packet *packet,
                                const struct record *key, pol_mono now)
{
    struct record *record = NULL;

    if (key->verdict.flow == 0 && continues_datagram(packet))
        record = find_datagram(records, packet);
    if (!record)
        record = record_store_find(&records->store, key);

    if (record && key->verdict.flow == 0 &&
        now >= record->last + idle_of(&records->options.idle, key->tuple.proto))
        return NULL;
    return record;
}

static void add_packet(struct records *records, const pol_packet *packet,
                       const pol_verdict *verdict, pol_mono now)
{
    struct record key = key_of(packet, verdict, now);
    struct record *record = record_of(records, packet, &key, now);

    if (!record)
        record = record_store_add_flow(&records->store, &key);
    if (!record)
        return;

    count_in_record(record, packet, verdict, now);
    if (verdict->flow)
        return;

    /* No event will end this record, so its newest packet is its end so far. */
    if (!(verdict->flags & POL_V_REPLY) && !continues_datagram(packet))
        record->verdict = *verdict;
    set_names(records, record, now);
    if (begins_datagram(packet))
        remember_datagram(records, packet, record);
}

static void count_action(struct records_totals *totals, unsigned action)
{
    switch (action) {
    case POL_ALLOW:
    case POL_PENDING:
        totals->forwarded++;
        break;
    case POL_INTERCEPT:
        totals->intercepted++;
        break;
    default:
        totals->dropped++;
    }
}

static void count_frame(struct records_totals *totals, const pol_packet *packet,
                        const pol_verdict *verdict)
{
    if (packet->kind != POL_PKT_NOT_IP)
        totals->broken++;
    else if (packet->ether_type == ETHERTYPE_ARP)
        totals->arp++;
    else if (verdict->action == POL_ALLOW)
        totals->link_control++;
    else
        totals->not_ip++;
}

void records_packet(struct records *records, const pol_packet *packet, const pol_verdict *verdict,
                    pol_mono now)
{
    if (records->store.failed)
        return;

    count_action(&records->totals, verdict->action);
    if (packet->kind != POL_PKT_IP || packet->tuple.src.family == 0) {
        count_frame(&records->totals, packet, verdict);
        return;
    }

    records->totals.in_flows++;
    add_packet(records, packet, verdict, now);
}

/* Events */

static void set_sni(struct records *records, struct record *record, const pol_event *event)
{
    if (event->name_len == 0 || (record->sni && strcmp(record->sni, event->name) == 0))
        return;

    free(record->sni);
    record->sni = strdup(event->name);
    if (!record->sni)
        records->store.failed = true;
}

static bool tells_verdict(unsigned kind)
{
    return kind == POL_EV_FLOW_OPEN || kind == POL_EV_FLOW_UPDATE || kind == POL_EV_FLOW_END;
}

static void flow_event(struct records *records, const pol_event *event)
{
    struct record key = {.kind = RECORD_FLOW, .verdict = event->verdict};
    struct record *record = event->verdict.flow ? record_store_find(&records->store, &key) : NULL;

    if (!record)
        return;

    set_sni(records, record, event);
    if (tells_verdict(event->kind) && !record->settled) {
        record->tuple = event->tuple;
        record->verdict = event->verdict;
        record->settled = event->end == POL_END_POLICY;
    }
    if (event->kind == POL_EV_FLOW_END)
        set_names(records, record, event->at);
}

static struct record_dns *dns_of(const pol_event *event)
{
    struct record_dns *dns = malloc(sizeof(*dns));

    if (!dns)
        return NULL;

    *dns = (struct record_dns){
        .qtype = event->qtype,
        .learned = event->learned,
        .rcode = event->rcode,
        .answer_count = event->answer_count,
    };
    memcpy(dns->answers, event->answers, sizeof(dns->answers));
    memcpy(dns->name, event->name, sizeof(dns->name));
    return dns;
}

static void dns_event(struct records *records, const pol_event *event)
{
    struct record *record = calloc(1, sizeof(*record));

    if (record) {
        record->kind = RECORD_DNS;
        record->tuple = event->tuple;
        record->verdict = event->verdict;
        record->side = event->verdict.side;
        record->vlan = event->vlan;
        record->first = event->first;
        record->last = event->at;
        record->dns = dns_of(event);
    }
    if (record && !record->dns) {
        free(record);
        record = NULL;
    }
    record_store_append(&records->store, record);
}

void records_event(struct records *records, const pol_event *event)
{
    if (records->store.failed)
        return;

    if (event->kind == POL_EV_DNS)
        dns_event(records, event);
    else
        flow_event(records, event);
}

void records_finish(struct records *records)
{
    record_store_sort(&records->store);
}
