/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#define OPCODE_SHIFT 11
#define OPCODE_MASK  0x7800
#define RCODE_MASK   0x000f
#define FRAME_PREFIX 2

static void read_header(struct cursor *in, struct dns_message *message)
{
    uint16_t flags;

    message->id = cursor_u16(in);
    flags = cursor_u16(in);
    message->flags = flags & (uint16_t) ~(OPCODE_MASK | RCODE_MASK);
    message->opcode = (uint8_t)((flags & OPCODE_MASK) >> OPCODE_SHIFT);
    message->rcode = flags & RCODE_MASK;
    for (int i = 0; i < DNS_SECTIONS; i++)
        message->counts[i] = cursor_u16(in);
}

static bool read_question(struct cursor *in, struct dns_message *message)
{
    struct dnsname name;

    if (message->counts[DNS_QUESTION] != 1 || dnsname_wire_read(message->bytes, in, &name) < 0)
        return false;

    message->qtype = cursor_u16(in);
    message->qclass = cursor_u16(in);
    if (in->failed)
        return false;

    message->qname = name;
    message->records = *in;
    return true;
}

int dns_message_read(pol_bytes bytes, struct dns_message *ret_message)
{
    struct cursor in = cursor_of(bytes);

    if (bytes.len < DNS_HEADER_LEN)
        return POL_E_TRUNCATED;

    read_header(&in, ret_message);
    ret_message->bytes = bytes;
    ret_message->qtype = ret_message->qclass = 0;
    ret_message->qname.len = 0;
    ret_message->name_len = 0;
    ret_message->name[0] = '\0';
    ret_message->records = (struct cursor){in.end, in.end, false};

    if (!read_question(&in, ret_message))
        return POL_E_FORMAT;
    return dnsname_text(&ret_message->qname, ret_message->name, &ret_message->name_len);
}

struct dns_records dns_records_of(const struct dns_message *message)
{
    return (struct dns_records){
        .at = message->records,
        .section = DNS_ANSWER,
        .left = message->counts[DNS_ANSWER],
        .message = message,
    };
}

static bool enter_section(struct dns_records *records)
{
    while (records->left == 0 && records->section < DNS_ADDITIONAL)
        records->left = records->message->counts[++records->section];
    return records->left > 0;
}

static int end_walk(struct dns_records *records, int rc)
{
    records->section = DNS_ADDITIONAL;
    records->left = 0;
    return rc;
}

int dns_records_next(struct dns_records *records, struct dns_record *ret_record)
{
    struct cursor *at = &records->at;
    struct dns_record record;
    int rc;

    if (!enter_section(records))
        return POL_E_NOTFOUND;

    record.section = records->section;
    record.owner = *at;
    rc = dnsname_skip(at);
    if (rc < 0)
        return end_walk(records, rc);

    record.type = cursor_u16(at);
    record.class = cursor_u16(at);
    record.ttl = cursor_u32(at);
    record.rdata = cursor_take(at, cursor_u16(at));
    if (at->failed)
        return end_walk(records, POL_E_TRUNCATED);

    if (record.ttl > INT32_MAX)
        record.ttl = 0;
    records->left--;
    *ret_record = record;
    return POL_OK;
}

bool dns_message_is_whole(const struct dns_message *message)
{
    struct dns_records records = dns_records_of(message);
    struct dns_record record;
    int rc;

    do
        rc = dns_records_next(&records, &record);
    while (rc == POL_OK);
    return rc == POL_E_NOTFOUND && cursor_left(&records.at) == 0;
}

int dns_record_owner(const struct dns_message *message, const struct dns_record *record,
                     struct dnsname *ret_owner)
{
    struct cursor in = record->owner;

    return dnsname_wire_read(message->bytes, &in, ret_owner);
}

/* RFC 6891 6.1.2: the class field is the payload size, the TTL field holds the rest. The TTL's top
 * bit belongs to the extended RCODE, so it is read again from the message. */
static struct dns_edns edns_of(const struct dns_record *opt)
{
    struct cursor in = {opt->owner.at + 5, opt->rdata.ptr, false};
    uint32_t ttl = cursor_u32(&in);

    return (struct dns_edns){
        .payload = opt->class,
        .extended_rcode = (uint8_t)(ttl >> 24),
        .version = (uint8_t)(ttl >> 16),
        .dnssec_ok = (ttl & 0x8000) != 0,
    };
}

int dns_edns_read(const struct dns_message *message, struct dns_edns *ret_edns)
{
    struct dns_records records = dns_records_of(message);
    struct dns_record record;
    struct dns_edns edns;
    bool found = false;
    int rc;

    while ((rc = dns_records_next(&records, &record)) == POL_OK) {
        if (record.type != DNS_TYPE_OPT)
            continue;
        if (found || record.section != DNS_ADDITIONAL || *record.owner.at != 0)
            return POL_E_FORMAT;
        edns = edns_of(&record);
        found = true;
    }
    if (rc != POL_E_NOTFOUND)
        return rc;
    if (!found)
        return POL_E_NOTFOUND;

    *ret_edns = edns;
    return POL_OK;
}

/* RFC 9460 14.3.2 */
enum svcb_key { SVCB_IPV4HINT = 4, SVCB_ECH = 5, SVCB_IPV6HINT = 6 };

static bool whole_addresses(pol_bytes value, size_t size)
{
    return value.len > 0 && value.len % size == 0;
}

static bool take_param(struct dns_svcb *svcb, uint16_t key, pol_bytes value)
{
    switch (key) {
    case SVCB_IPV4HINT:
        svcb->ipv4 = value;
        return whole_addresses(value, 4);
    case SVCB_IPV6HINT:
        svcb->ipv6 = value;
        return whole_addresses(value, 16);
    case SVCB_ECH:
        svcb->ech = true;
        return true;
    default:
        return true;
    }
}

int dns_svcb_read(pol_bytes rdata, struct dns_svcb *ret_svcb)
{
    struct cursor in = cursor_of(rdata);
    struct dns_svcb svcb = {.priority = cursor_u16(&in)};
    int last_key = -1;

    /* RFC 9460 2.2: TargetName is uncompressed, and keys are in strictly increasing order. */
    if (dnsname_wire_read((pol_bytes){NULL, 0}, &in, &svcb.target) < 0)
        return POL_E_FORMAT;
    while (cursor_left(&in) > 0) {
        uint16_t key = cursor_u16(&in);
        pol_bytes value = cursor_take(&in, cursor_u16(&in));

        if (in.failed || key <= last_key || !take_param(&svcb, key, value))
            return POL_E_FORMAT;
        last_key = key;
    }
    *ret_svcb = svcb;
    return POL_OK;
}

struct dns_key dns_key_of(const struct dns_message *message)
{
    return (struct dns_key){
        .id = message->id,
        .opcode = message->opcode,
        .qtype = message->qtype,
        .qclass = message->qclass,
        .name = {message->name, message->name_len},
    };
}

bool dns_response_matches(const struct dns_key *query, const struct dns_message *response)
{
    return (response->flags & DNS_QR) && response->id == query->id &&
           response->opcode == query->opcode && response->name_len > 0 &&
           response->qtype == query->qtype && response->qclass == query->qclass &&
           str_equal((pol_str){response->name, response->name_len}, query->name);
}

int dns_frame_read(pol_bytes stream, pol_bytes *ret_message, size_t *ret_used)
{
    struct cursor in = cursor_of(stream);
    uint16_t len = cursor_u16(&in);
    pol_bytes message;

    if (in.failed)
        return POL_E_TRUNCATED;
    if (len < DNS_HEADER_LEN)
        return POL_E_FORMAT;

    message = cursor_take(&in, len);
    if (in.failed)
        return POL_E_TRUNCATED;

    *ret_message = message;
    *ret_used = FRAME_PREFIX + (size_t)len;
    return POL_OK;
}

int dns_frame_prefix(size_t len, uint8_t ret_prefix[2])
{
    if (len > DNS_MESSAGE_MAX)
        return POL_E_LIMIT;

    ret_prefix[0] = (uint8_t)(len >> 8);
    ret_prefix[1] = (uint8_t)len;
    return POL_OK;
}
