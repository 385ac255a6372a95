/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/dns.h"

#include "base/buf.h"

#define OPTION_EDE  15   /* RFC 8914 2 */
#define OUR_PAYLOAD 1232 /* fits the smallest IPv6 MTU in one piece */
#define DO_FLAG     0x8000

static void put_u16(struct buf *out, unsigned value)
{
    buf_char(out, (char)(value >> 8));
    buf_char(out, (char)value);
}

static void put_header(struct buf *out, const struct dns_message *query, enum dns_rcode rcode,
                       bool question, bool opt)
{
    /* RFC 1035 4.1.1 copies RD; RFC 4035 3.2.2 copies CD. */
    unsigned flags = DNS_QR | DNS_RA | (query->flags & (DNS_RD | DNS_CD));

    put_u16(out, query->id);
    put_u16(out, flags | (unsigned)query->opcode << 11 | (unsigned)rcode);
    put_u16(out, question);
    put_u16(out, 0);
    put_u16(out, 0);
    put_u16(out, opt);
}

/* At most DNS_EDE_TEXT octets, and no half of a UTF-8 sequence at the end. */
static pol_str cut_text(pol_str text)
{
    if (text.len > DNS_EDE_TEXT) {
        text.len = DNS_EDE_TEXT;
        while (text.len > 0 && ((uint8_t)text.ptr[text.len] & 0xc0) == 0x80)
            text.len--;
    }
    return text;
}

static void put_opt(struct buf *out, const struct dns_edns *edns, enum dns_ede ede, pol_str text)
{
    unsigned len = 2 + (unsigned)text.len;

    buf_char(out, 0);
    put_u16(out, DNS_TYPE_OPT);
    put_u16(out, OUR_PAYLOAD);
    put_u16(out, 0);
    put_u16(out, edns->dnssec_ok ? DO_FLAG : 0); /* RFC 3225 3: copied */
    put_u16(out, 4 + len);
    put_u16(out, OPTION_EDE);
    put_u16(out, len);
    put_u16(out, ede);
    buf_str(out, text);
}

int dns_refuse(pol_bytes query, enum dns_rcode rcode, enum dns_ede ede, pol_str text, uint8_t *out,
               size_t capacity, size_t *ret_len)
{
    struct buf buf = buf_of((char *)out, capacity);
    struct dns_message message;
    struct dns_edns edns;
    bool question, opt;
    int rc;

    rc = dns_message_read(query, &message);
    if (rc == POL_E_TRUNCATED)
        return rc;
    if (message.flags & DNS_QR)
        return POL_E_FORMAT;

    question = rc != POL_E_FORMAT;
    opt = question && dns_edns_read(&message, &edns) == POL_OK;
    put_header(&buf, &message, rcode, question, opt);
    if (question)
        buf_add(&buf, query.ptr + DNS_HEADER_LEN,
                (size_t)(message.records.at - query.ptr) - DNS_HEADER_LEN);
    if (opt)
        put_opt(&buf, &edns, ede, cut_text(text));
    return buf_finish(&buf, ret_len);
}
