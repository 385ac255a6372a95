/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ORACLE_SESSION_H
#define ORACLE_SESSION_H

/*
 * What should become of one flow: judged when it opens, again when the client's first octets say
 * what it speaks, and again under a new policy (decisions.md 3, "Flows", "Pending", "SNI and DNS").
 */

#include "linear.h"

enum session_state {
    SESSION_NONE,
    SESSION_ALLOWED,
    SESSION_PENDING,
    SESSION_INTERCEPT,
    SESSION_DENIED
};

/* What a segment carries. */
enum session_payload {
    PAYLOAD_NONE,
    PAYLOAD_HELLO,  /* the end of a ClientHello, all of it seen now */
    PAYLOAD_PART,   /* the beginning of one */
    PAYLOAD_OTHER,  /* client octets that are no TLS */
    PAYLOAD_BROKEN, /* a malformed ClientHello */
    PAYLOAD_EARLY,  /* client octets before the first, or urgent ones */
    PAYLOAD_SERVER  /* any octets of the server */
};

struct session_segment {
    enum session_payload payload;
    int sni;
    bool differs; /* octets of it came before, with other values */
    bool acks;    /* from the server: all that is held of the client's octets */
};

struct session_denial {
    uint32_t group, rule;
    bool audit;
};

struct session {
    const struct linear_list *list;
    struct linear_grants *grants;
    uint8_t sni_check; /* enum pol_sni_check */
    pol_mono now;

    struct linear_facts facts;
    uint8_t state;
    bool reading;      /* the client's first octets are wanted */
    bool awaiting;     /* the server's certificate is */
    bool opened_with;  /* the opening packet was judged by them */
    bool holds;        /* some of them are kept */
    bool guarded;      /* what is kept has been judged, and the server may not have it yet */
    bool audit_mode;   /* of the rule that decided */
    pol_mono deadline; /* for the ClientHello, for the certificate, or for the server's word that it
                          has it; POL_NEVER */
    uint32_t carrier_count, pinned;
    uint32_t resume;
    uint8_t raw_action;
    uint16_t reason;
    uint32_t group, rule, flags;

    unsigned denial_count; /* findings of the packet being judged */
    struct session_denial denials[8];
};

/* Judges the opening packet with what it carries; `may_stay` is false for one that begins no flow.
 */
void session_open(struct session *session, const struct linear_facts *facts,
                  const struct session_segment *segment, bool may_stay);
/* One more packet of the flow, after session->list may have changed. */
void session_packet(struct session *session, bool reloaded, const struct session_segment *segment);
/* The server's answer to a SYN of another connection: it has forgotten this one. */
void session_forgotten(struct session *session);
/* It is over. */
void session_end(struct session *session);

#endif
