/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the input as a DNS message, as a name and as a TCP stream, and checks what must hold for
 * any input: an address that is granted stands in the message, a name's text is its only spelling,
 * a refusal is read back as the response to its query.
 */
#include "wire/dns.h"

#include <stdlib.h>

#define CAPACITY 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *text, uint8_t len)
{
    char again[DNSNAME_TEXT];
    uint8_t again_len;

    require(len > 0 && text[len] == '\0');
    require(dnsname_normalise((pol_str){text, len}, again, &again_len) == POL_OK);
    require(again_len == len && memcmp(again, text, len) == 0);
}

static void check_name(const struct dnsname *name)
{
    char text[DNSNAME_TEXT];
    struct dnsname again;
    uint8_t len;

    require(name->len >= 1 && name->len <= DNSNAME_WIRE && name->octets[name->len - 1] == 0);
    if (dnsname_text(name, text, &len) == POL_E_LIMIT)
        return;
    check_text(text, len);
    require(dnsname_parse((pol_str){text, len}, &again) == POL_OK && dnsname_equal(&again, name));
}

static bool contains(pol_bytes bytes, const uint8_t *octets, size_t len)
{
    for (size_t at = 0; at + len <= bytes.len; at++) {
        if (memcmp(bytes.ptr + at, octets, len) == 0)
            return true;
    }
    return false;
}

static void check_address(const struct dns_message *message, const struct dns_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const pol_addr *addr = &address->addr;

    require(addr->family == 4 || addr->family == 6);
    require(contains(message->bytes, addr->bytes, addr->family == 4 ? 4 : 16));
    require(addr->family == 4 || memcmp(addr->bytes, mapped, sizeof(mapped)) != 0);
    require(address->ttl <= INT32_MAX);
}

static void check_answer(const struct dns_message *message)
{
    struct dns_address addresses[CAPACITY];
    struct dns_answer answer, counted;

    dns_answer_walk(message, addresses, CAPACITY, &answer);
    dns_answer_walk(message, NULL, 0, &counted);
    require(counted.count == answer.count && counted.names == answer.names);
    require(message->rcode == 0 || answer.count == 0);
    require(answer.names <= DNS_CHAIN_NAMES);
    require(answer.names == 0 || dnsname_equal(&answer.chain[0], &message->qname));
    for (size_t i = 0; i < answer.names; i++)
        check_name(&answer.chain[i]);
    for (size_t i = 0; i < answer.count && i < CAPACITY; i++)
        check_address(message, &addresses[i]);
}

static void check_records(const struct dns_message *message)
{
    struct dns_records records = dns_records_of(message);
    struct dns_record record;
    struct dnsname owner;
    const uint8_t *at = message->records.at;

    while (dns_records_next(&records, &record) == POL_OK) {
        require(record.owner.at == at);
        at = record.rdata.ptr + record.rdata.len;
        require(at <= message->bytes.ptr + message->bytes.len);
        if (dns_record_owner(message, &record, &owner) == POL_OK)
            check_name(&owner);
    }
}

static void check_refusal(pol_bytes query, const struct dns_message *message, int status)
{
    uint8_t out[DNS_REFUSAL_MAX];
    struct dns_message refusal;
    struct dns_edns edns;
    struct dns_key key = dns_key_of(message);
    size_t len;
    bool opt = status != POL_E_FORMAT && dns_edns_read(message, &edns) == POL_OK;
    int rc = dns_refuse(query, DNS_NXDOMAIN, DNS_EDE_BLOCKED, STR("blocked by policy"), out,
                        sizeof(out), &len);

    require((rc == POL_E_FORMAT) == ((message->flags & DNS_QR) != 0));
    if (rc < 0)
        return;
    require(dns_message_read((pol_bytes){out, len}, &refusal) == status);
    require(refusal.rcode == DNS_NXDOMAIN && refusal.id == message->id);
    require((refusal.flags & (DNS_AA | DNS_TC)) == 0);
    require(status != POL_OK || dns_response_matches(&key, &refusal));
    require(status == POL_E_FORMAT ||
            dns_edns_read(&refusal, &edns) == (opt ? POL_OK : POL_E_NOTFOUND));
}

static void check_frame(pol_bytes stream)
{
    pol_bytes message;
    size_t used;

    if (dns_frame_read(stream, &message, &used) == POL_OK)
        require(used == message.len + 2 && used <= stream.len && message.len >= DNS_HEADER_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pol_bytes bytes = {data, size};
    char text[DNSNAME_TEXT];
    struct dns_message message;
    uint8_t len;
    int rc;

    if (dnsname_normalise((pol_str){(const char *)data, size}, text, &len) == POL_OK)
        check_text(text, len);
    check_frame(bytes);

    rc = dns_message_read(bytes, &message);
    if (rc == POL_E_TRUNCATED)
        return 0;
    if (rc == POL_OK)
        check_text(message.name, message.name_len);
    check_records(&message);
    check_answer(&message);
    check_refusal(bytes, &message, rc);
    return 0;
}
