/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_RECORDS_H
#define CTL_RECORDS_H

#include <libpolicy/worker.h>

/*
 * What a replay has to tell: one record per flow and one per DNS query.
 *
 * Packets are counted here, each of them once: in the record of the worker's flow it belongs to,
 * or, when it belongs to none, in the record of its addresses, ports, protocol and VLAN, until
 * these have been silent for the idle time of their protocol; or, when it is no IP packet, under
 * its kind of frame. So the totals are those of the capture, whatever the worker counts itself.
 * What became of a flow comes from the worker's events.
 *
 * Nothing here reads a clock, a file or a grant table: the names of a destination are asked of the
 * caller. Running out of memory is remembered (records_failed()) and makes later calls do nothing.
 */
struct records;

enum record_kind { RECORD_FLOW, RECORD_DNS };

#define RECORD_NO_ANSWER 255 /* as pol_event.rcode */

/* The part that only DNS records have. */
struct record_dns {
    uint16_t qtype;
    uint16_t learned;
    uint8_t rcode;        /* or RECORD_NO_ANSWER */
    uint8_t answer_count; /* addresses in the answer; at most POL_EVENT_ADDRESSES are kept */
    pol_addr answers[POL_EVENT_ADDRESSES];
    char name[POL_NAME_MAX + 1];
};

struct record {
    enum record_kind kind;
    pol_tuple tuple;                         /* as the flow was opened; DNS: client to resolver */
    pol_verdict verdict;                     /* the flow's last, or the query's */
    uint8_t side;                            /* enum pol_side the flow was opened from */
    uint8_t icmp_type, icmp_code;            /* of its first packet, for ICMP and ICMPv6 */
    uint16_t vlan;                           /* outermost tag; 0 without one */
    pol_mono first, last;                    /* packets; DNS: query and answer */
    uint64_t packets_out, packets_in;        /* out: from the opener */
    uint64_t bytes_out, bytes_in;            /* of IP datagrams */
    uint64_t packets_pending, bytes_pending; /* forwarded before the flow was decided */
    uint64_t packets_dropped, bytes_dropped; /* not forwarded, had a firewall been there */
    char *sni;                               /* NULL without one */
    char *names;            /* known for the destination, each ended by NUL, newest use first */
    size_t names_len;       /* octets of `names` */
    struct record_dns *dns; /* NULL for flows */
    uint64_t order;         /* ties of `first` */
    bool settled;           /* denied on later facts; what happens to the entry now is no news */
    struct record *next;    /* in its hash chain, newer ones first */
};

/*
 * Asked for all names known for an address in a group at a moment. Returns how many there are in
 * `*ret_names`, borrowed until the next call.
 */
typedef size_t (*records_names_fn)(void *user, uint64_t group_key, const pol_addr *addr,
                                   pol_mono now, const pol_grant **ret_names);

struct records_options {
    pol_idle idle;
    records_names_fn names; /* NULL: no names */
    void *user;
    uint64_t seed; /* of the hash table; random when the capture is a stranger's */
};

/* Every packet is in exactly one of the first five, and in exactly one of the last three. */
struct records_totals {
    uint64_t in_flows;
    uint64_t arp;
    uint64_t link_control; /* EAPOL, LLDP, STP: other frames that the worker lets pass */
    uint64_t not_ip;       /* other EtherTypes and LLC frames */
    uint64_t broken;       /* no frame at all, or cut off before the IP addresses */
    uint64_t forwarded;
    uint64_t dropped;
    uint64_t intercepted;
};

struct records *records_new(const struct records_options *options); /* NULL: out of memory */
void records_free(struct records *records);
bool records_failed(const struct records *records);

/* A packet and the verdict it got, before the events of that verdict. */
void records_packet(struct records *records, const pol_packet *packet, const pol_verdict *verdict,
                    pol_mono now);

void records_event(struct records *records, const pol_event *event);

/* After the last packet and event: puts the records in order of their first packet or query. */
void records_finish(struct records *records);

size_t records_count(const struct records *records);
const struct record *records_at(const struct records *records, size_t index);
const struct records_totals *records_totals(const struct records *records);

/* "allow", "deny", "pending" or "intercept": how a denial is told (REJECT, ANSWER) is no verdict.
 */
const char *record_verdict_word(unsigned action);

#endif
