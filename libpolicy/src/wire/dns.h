/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

/*
 * DNS messages, read in place and never modified: header, question, records, what an answer
 * grants, whether a response belongs to a query, and the refusals we write ourselves. Pure
 * functions over octets: no policy, no allocation, no clock.
 *
 * The order of use is dns_message_read() first, everything else on its result. The message's octets
 * must stay where they are for as long as the struct is used.
 */

#include "wire/dnsname.h"

#define DNS_HEADER_LEN  12
#define DNS_MESSAGE_MAX 65535

enum dns_section { DNS_QUESTION, DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

/* RFC 1035 4.1.1, RFC 2535 6.1: the flag word without opcode and rcode */
enum dns_flag {
    DNS_QR = 0x8000,
    DNS_AA = 0x0400,
    DNS_TC = 0x0200,
    DNS_RD = 0x0100,
    DNS_RA = 0x0080,
    DNS_AD = 0x0020,
    DNS_CD = 0x0010
};

enum dns_opcode { DNS_OPCODE_QUERY = 0 };

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5
};

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_DNAME = 39,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
    DNS_TYPE_ANY = 255
};

enum dns_class { DNS_CLASS_IN = 1 };

struct dns_message {
    pol_bytes bytes; /* the whole message; compression pointers lead into it */
    uint16_t id;
    uint16_t flags; /* enum dns_flag, or-ed; opcode and rcode removed */
    uint8_t opcode;
    uint8_t rcode;                 /* the four bits of the header; see dns_edns for the others */
    uint16_t counts[DNS_SECTIONS]; /* as claimed by the header */
    uint16_t qtype, qclass;
    struct dnsname qname; /* len 0 when there is no readable question */
    uint8_t name_len;
    char name[DNSNAME_TEXT]; /* the question's name as text, NUL-terminated */
    struct cursor records;   /* behind the question */
};

/*
 * Reads header and question. More and fewer questions than one are refused: no server answers
 * them, and RFC 9619 says that QDCOUNT above 1 is a format error.
 *
 * POL_OK
 * POL_E_TRUNCATED  no complete header; nothing is written and the message cannot be answered
 * POL_E_FORMAT     QDCOUNT is not 1, or the question is broken; the header's fields are written,
 *                  so the caller can answer FORMERR
 * POL_E_LIMIT      the name's text is above 255 octets; as POL_OK, but name is empty
 */
int dns_message_read(pol_bytes bytes, struct dns_message *ret_message);

struct dns_record {
    struct cursor owner; /* where the owner's name begins; read it with dns_record_owner() */
    uint16_t type, class;
    uint32_t ttl; /* seconds; 0 when the top bit is set (RFC 2181 8) */
    pol_bytes rdata;
    uint8_t section; /* enum dns_section */
};

/* A walk over the records behind the question, section after section. */
struct dns_records {
    struct cursor at;
    uint8_t section;
    uint16_t left; /* in this section */
    const struct dns_message *message;
};

struct dns_records dns_records_of(const struct dns_message *message);

/* Whether every record that the header counts is there, and nothing behind the last. */
bool dns_message_is_whole(const struct dns_message *message);

/* POL_OK; POL_E_NOTFOUND behind the last record; POL_E_TRUNCATED or POL_E_FORMAT when the message
 * ends inside a record or an owner is no name. After an error the walk is over. */
int dns_records_next(struct dns_records *records, struct dns_record *ret_record);

/* POL_OK, POL_E_TRUNCATED, POL_E_FORMAT as dnsname_wire_read(). */
int dns_record_owner(const struct dns_message *message, const struct dns_record *record,
                     struct dnsname *ret_owner);

/* The OPT pseudo-record (RFC 6891 6.1.2). */
struct dns_edns {
    uint16_t payload; /* the sender's UDP payload size; values below 512 mean 512 */
    uint8_t extended_rcode;
    uint8_t version;
    bool dnssec_ok;
};

/* POL_OK; POL_E_NOTFOUND: none; POL_E_FORMAT or POL_E_TRUNCATED: two of them, an owner that is not
 * the root, or a message that cannot be read up to its end. */
int dns_edns_read(const struct dns_message *message, struct dns_edns *ret_edns);

/* An HTTPS or SVCB record (RFC 9460 2.2). Slices point into the record. */
struct dns_svcb {
    uint16_t priority; /* 0: AliasMode */
    struct dnsname target;
    pol_bytes ipv4; /* ipv4hint: whole addresses of 4 octets */
    pol_bytes ipv6; /* ipv6hint: whole addresses of 16 octets */
    bool ech;       /* carries a configuration for Encrypted Client Hello */
};

/* POL_OK, or POL_E_FORMAT. */
int dns_svcb_read(pol_bytes rdata, struct dns_svcb *ret_svcb);

#define DNS_CHAIN_STEPS 11                    /* CNAME and DNAME records followed */
#define DNS_CHAIN_NAMES (DNS_CHAIN_STEPS + 1) /* the queried name and what the steps lead to */

struct dns_address {
    pol_addr addr;
    uint32_t ttl; /* seconds: the smallest along the chain */
};

struct dns_answer {
    size_t count;   /* addresses granted; those above the capacity were not written */
    bool truncated; /* TC was set, or the answer section ends early */
    uint8_t names;  /* used entries of chain; 0 if the response grants nothing by its rcode */
    struct dnsname chain[DNS_CHAIN_NAMES]; /* the queried name first */
};

/*
 * Which addresses a response grants to the name it was asked for: class IN A and AAAA records of
 * the answer section whose owner is the queried name or is reached from it, and the ipv4hint and
 * ipv6hint of HTTPS and SVCB records so owned. A name is reached through a CNAME or a DNAME (RFC
 * 6672) of the same section, in any record order, in at most 11 steps; not through the AliasMode
 * of a service, since clients ask for its target themselves. Nothing comes from the authority or
 * additional section, from a response with an error code, or from ::ffff:0:0/96. A truncated
 * response grants its complete records; a malformed record grants nothing and the others stay. The
 * same address may be listed more than once.
 *
 * The caller has checked that the message is a response to its query (dns_response_matches()).
 * Cost: three walks over the records, whatever they hold.
 */
void dns_answer_walk(const struct dns_message *response, struct dns_address *addresses,
                     size_t capacity, struct dns_answer *ret_answer);

/* What must be remembered of a query to know its response. */
struct dns_key {
    uint16_t id;
    uint8_t opcode;
    uint16_t qtype, qclass;
    pol_str name; /* normalised text */
};

/* The key of a message that was read without error. Its name points into the message struct. */
struct dns_key dns_key_of(const struct dns_message *message);

/* Whether a message is a response with this ID, opcode and question (RFC 5452 9.1). Names compare
 * caselessly, so a resolver may scramble or flatten their case. */
bool dns_response_matches(const struct dns_key *query, const struct dns_message *response);

#define DNS_REFUSAL_MAX 512 /* no refusal is longer, so it fits any UDP client (RFC 1035 4.2.1) */
#define DNS_EDE_TEXT    128 /* longer explanations are cut */

/* RFC 8914 4: why a query was refused */
enum dns_ede {
    DNS_EDE_OTHER = 0,
    DNS_EDE_NOT_READY = 14,
    DNS_EDE_BLOCKED = 15,
    DNS_EDE_FILTERED = 17,
    DNS_EDE_PROHIBITED = 18,
    DNS_EDE_NO_REACHABLE_AUTHORITY = 22,
    DNS_EDE_NETWORK_ERROR = 23
};

/*
 * Writes a refusal of a query: its ID, opcode, RD and CD, RA set, AA off, no records. The question
 * is echoed, octet for octet, when there is exactly one readable one. If the query has an OPT
 * record, so has the refusal, with an Extended DNS Error (RFC 6891 6.1.1, RFC 8914 2).
 *
 * text        explanation for people, UTF-8; may be empty
 * capacity    DNS_REFUSAL_MAX always suffices
 *
 * POL_OK
 * POL_E_TRUNCATED  no complete header: there is nothing to answer
 * POL_E_FORMAT     the message is itself a response; answering could loop
 * POL_E_NOSPACE    more than `capacity`; *ret_len is the length needed
 */
int dns_refuse(pol_bytes query, enum dns_rcode rcode, enum dns_ede ede, pol_str text, uint8_t *out,
               size_t capacity, size_t *ret_len);

/*
 * Takes the first message from a TCP stream: two octets of length, then the message (RFC 1035
 * 4.2.2). On success ret_used octets of the stream are done with.
 *
 * POL_OK, POL_E_TRUNCATED (more is needed), POL_E_FORMAT (shorter than a header: no DNS)
 */
int dns_frame_read(pol_bytes stream, pol_bytes *ret_message, size_t *ret_used);

/* The two octets that go before a message of `len` octets. POL_OK, POL_E_LIMIT. */
int dns_frame_prefix(size_t len, uint8_t ret_prefix[2]);

#endif
