/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer grants. The first walk over the answer section remembers the records that can be
 * steps of a chain, with their owners since each is compared with every name reached, then the
 * names reached are worked out from those alone, and the second walk takes the addresses owned by
 * any of these names. So the order of records does not matter, a loop ends because a name is
 * reached once, and a hostile message costs no more than an honest one of its size.
 */
#include "wire/dns.h"

/* An honest answer holds at most one CNAME and one DNAME for each of the 11 steps. Steps beyond
 * this many are not followed, which grants less, never more. */
#define MAX_LINKS 32

struct link {
    struct dns_record record;
    struct dnsname owner;
};

struct chain {
    const struct dns_message *message;
    struct dns_answer *answer;
    uint32_t ttls[DNS_CHAIN_NAMES]; /* smallest on the way to each name of answer->chain */
    size_t link_count;
    struct link links[MAX_LINKS];
};

static bool is_service(const struct dns_record *record)
{
    return record->type == DNS_TYPE_HTTPS || record->type == DNS_TYPE_SVCB;
}

static bool is_link(const struct dns_record *record)
{
    return record->type == DNS_TYPE_CNAME || record->type == DNS_TYPE_DNAME;
}

/* The next record of class IN in the answer section. */
static int next_answer(struct dns_records *records, struct dns_record *ret_record)
{
    int rc;

    do {
        rc = dns_records_next(records, ret_record);
        if (rc < 0)
            return rc;
        if (ret_record->section != DNS_ANSWER)
            return POL_E_NOTFOUND;
    } while (ret_record->class != DNS_CLASS_IN);
    return POL_OK;
}

static void add_link(struct chain *chain, const struct dns_record *record)
{
    struct link *link = &chain->links[chain->link_count];

    if (dns_record_owner(chain->message, record, &link->owner) < 0)
        return;
    link->record = *record;
    chain->link_count++;
}

static void collect_links(struct chain *chain)
{
    struct dns_records records = dns_records_of(chain->message);
    struct dns_record record;
    int rc;

    while ((rc = next_answer(&records, &record)) == POL_OK) {
        if (is_link(&record) && chain->link_count < MAX_LINKS)
            add_link(chain, &record);
    }
    if (rc != POL_E_NOTFOUND)
        chain->answer->truncated = true;
}

/* Position in the chain, or -1. */
static int find_name(const struct dns_answer *answer, const struct dnsname *name)
{
    for (int i = 0; i < answer->names; i++) {
        if (dnsname_equal(&answer->chain[i], name))
            return i;
    }
    return -1;
}

static void reach(struct chain *chain, const struct dnsname *name, uint32_t ttl)
{
    struct dns_answer *answer = chain->answer;

    if (answer->names == DNS_CHAIN_NAMES || find_name(answer, name) >= 0)
        return;
    answer->chain[answer->names] = *name;
    chain->ttls[answer->names] = ttl;
    answer->names++;
}

static bool read_target(const struct chain *chain, const struct dns_record *link,
                        struct dnsname *ret_target)
{
    struct cursor in = cursor_of(link->rdata);

    return dnsname_wire_read(chain->message->bytes, &in, ret_target) == POL_OK &&
           cursor_left(&in) == 0;
}

/* Where the link leads from `name`, if it is a step from there at all. */
static bool follow(const struct chain *chain, const struct link *link, const struct dnsname *name,
                   struct dnsname *ret_next)
{
    struct dnsname target;

    if (link->record.type == DNS_TYPE_CNAME)
        return dnsname_equal(name, &link->owner) && read_target(chain, &link->record, ret_next);
    return read_target(chain, &link->record, &target) &&
           dnsname_substitute(name, &link->owner, &target, ret_next) == POL_OK;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Names are appended while the list is gone through: the list is its own queue. */
static void follow_links(struct chain *chain)
{
    struct dnsname next;

    reach(chain, &chain->message->qname, UINT32_MAX);
    for (int i = 0; i < chain->answer->names; i++) {
        for (size_t j = 0; j < chain->link_count; j++) {
            const struct link *link = &chain->links[j];

            if (follow(chain, link, &chain->answer->chain[i], &next))
                reach(chain, &next, smaller(chain->ttls[i], link->record.ttl));
        }
    }
}

struct sink {
    struct dns_address *addresses;
    size_t capacity, count;
    uint32_t ttl; /* of the record being taken */
};

/* ::ffff:0:0/96 means an IPv4 address to some systems and nothing to others. */
static bool is_mapped(const uint8_t *octets)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(octets, prefix, sizeof(prefix)) == 0;
}

static void grant_all(struct sink *sink, pol_bytes octets, size_t size)
{
    for (size_t at = 0; at + size <= octets.len; at += size) {
        if (size == 16 && is_mapped(octets.ptr + at))
            continue;
        if (sink->count < sink->capacity) {
            struct dns_address *slot = &sink->addresses[sink->count];

            *slot = (struct dns_address){{.family = size == 4 ? 4 : 6}, sink->ttl};
            memcpy(slot->addr.bytes, octets.ptr + at, size);
        }
        sink->count++;
    }
}

static void grant_record(struct sink *sink, const struct dns_record *record)
{
    struct dns_svcb svcb;

    if (record->type == DNS_TYPE_A && record->rdata.len == 4) {
        grant_all(sink, record->rdata, 4);
    } else if (record->type == DNS_TYPE_AAAA && record->rdata.len == 16) {
        grant_all(sink, record->rdata, 16);
    } else if (is_service(record) && dns_svcb_read(record->rdata, &svcb) == POL_OK &&
               svcb.priority != 0) {
        grant_all(sink, svcb.ipv4, 4);
        grant_all(sink, svcb.ipv6, 16);
    }
}

static void take_addresses(struct chain *chain, struct sink *sink)
{
    struct dns_records records = dns_records_of(chain->message);
    struct dns_record record;
    struct dnsname owner;
    int at;

    while (next_answer(&records, &record) == POL_OK) {
        if (record.type != DNS_TYPE_A && record.type != DNS_TYPE_AAAA && !is_service(&record))
            continue;
        if (dns_record_owner(chain->message, &record, &owner) < 0)
            continue;
        at = find_name(chain->answer, &owner);
        if (at < 0)
            continue;
        sink->ttl = smaller(chain->ttls[at], record.ttl);
        grant_record(sink, &record);
    }
}

/* RFC 6891 6.1.3: BADVERS and others are 0 in the header's four bits. */
static bool is_success(const struct dns_message *response)
{
    struct dns_edns edns;

    return response->rcode == DNS_NOERROR &&
           (dns_edns_read(response, &edns) < 0 || edns.extended_rcode == 0);
}

void dns_answer_walk(const struct dns_message *response, struct dns_address *addresses,
                     size_t capacity, struct dns_answer *ret_answer)
{
    struct chain chain; /* set in part: clearing all links would cost more than most answers */
    struct sink sink = {.addresses = addresses, .capacity = capacity};

    ret_answer->count = 0;
    ret_answer->names = 0;
    ret_answer->truncated = (response->flags & DNS_TC) != 0;
    if (!is_success(response) || response->qname.len == 0)
        return;

    chain.message = response;
    chain.answer = ret_answer;
    chain.link_count = 0;
    collect_links(&chain);
    follow_links(&chain);
    take_addresses(&chain, &sink);
    ret_answer->count = sink.count;
}
