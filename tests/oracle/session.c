/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

enum { HELLO_SECONDS = 10 };

static void report(struct session *session, uint32_t group, uint32_t rule, bool audit)
{
    session->denials[session->denial_count++] = (struct session_denial){group, rule, audit};
}

static void unpin(struct session *session)
{
    if (session->pinned != POL_NONE)
        session->grants->list[session->pinned].pinned = false;
    session->pinned = POL_NONE;
}

static void pin(struct session *session, const struct linear_outcome *out)
{
    unpin(session);
    session->carrier_count = out->carrier_count;
    if (out->carrier_count != 1)
        return;
    session->pinned = out->carrier;
    session->grants->list[session->pinned].pinned = true;
}

static bool enforces_sni(const struct session *session)
{
    return session->sni_check == POL_SNI_ENFORCE && session->state == SESSION_ALLOWED &&
           session->flags & POL_V_NAMED;
}

/* Does the verdict hang on the ClientHello? */
static bool hangs(const struct session *session)
{
    return session->state == SESSION_PENDING ||
           (enforces_sni(session) && session->facts.tls == HELLO_UNKNOWN);
}

static void take(struct session *session, const struct linear_outcome *out)
{
    static const uint8_t states[] = {
        [POL_DENY] = SESSION_DENIED,
        [POL_ALLOW] = SESSION_ALLOWED,
        [POL_PENDING] = SESSION_PENDING,
        [POL_INTERCEPT] = SESSION_INTERCEPT,
    };

    session->state = states[out->action];
    session->raw_action = out->raw_action;
    session->reason = out->reason;
    session->group = out->group;
    session->rule = out->rule;
    session->resume = out->resume;
    session->audit_mode = out->audit_mode;
    session->flags &= ~(uint32_t)(POL_V_WATCHED | POL_V_AUDIT | POL_V_NAMED);
    session->flags |= (out->watched ? POL_V_WATCHED : 0u) | (out->audit ? POL_V_AUDIT : 0u) |
                      (out->named ? POL_V_NAMED : 0u);
    session->reading = session->facts.proto == 6 && session->facts.tls == HELLO_UNKNOWN &&
                       (session->state == SESSION_ALLOWED || session->state == SESSION_PENDING);
    if (!hangs(session))
        session->deadline = POL_NEVER;
}

static void report_outcome(struct session *session, const struct linear_outcome *out)
{
    if (out->audit || out->action == POL_DENY)
        report(session, out->group, out->rule, out->audit);
    else if (out->shadow_group != POL_NONE)
        report(session, out->shadow_group, out->shadow_rule, true);
}

static void judge(struct session *session, uint32_t from)
{
    struct linear_outcome out;

    linear_walk(session->list, session->grants, &session->facts, from, session->now, &out);
    take(session, &out);
    report_outcome(session, &out);
    pin(session, &out);
    if (session->state == SESSION_DENIED)
        unpin(session);
}

/* A denial for what the client sent, or did not send. */
static void deny(struct session *session, enum pol_reason reason, bool audit)
{
    session->state = audit ? SESSION_ALLOWED : SESSION_DENIED;
    session->raw_action = POL_DENY;
    session->reason = (uint16_t)reason;
    session->flags |= audit ? POL_V_AUDIT : 0u;
    session->reading = false;
    session->resume = POL_NONE;
    session->deadline = POL_NEVER;
    if (!audit)
        unpin(session);
    report(session, session->group, session->rule, audit);
}

/* The rule that a flow waits at, or that sni_check holds, is in audit mode. */
static bool waits_in_audit(const struct session *session)
{
    if (session->state != SESSION_PENDING)
        return session->audit_mode;
    return session->resume != POL_NONE && linear_step_is_audit(session->list, session->resume);
}

static void incomplete(struct session *session, bool audit)
{
    bool hung = hangs(session);

    session->reading = false;
    if (session->facts.tls != HELLO_SEEN)
        session->facts.tls = HELLO_NOT;
    if (hung)
        deny(session, POL_WHY_TLS_INCOMPLETE, audit);
}

static void check_sni(struct session *session)
{
    if (session->sni_check == POL_SNI_OFF || session->state != SESSION_ALLOWED ||
        !(session->flags & POL_V_NAMED) || session->facts.tls != HELLO_SEEN ||
        linear_sni_granted(session->list, session->grants, &session->facts, session->group,
                           session->now))
        return;
    session->flags |= POL_V_SNI_MISMATCH;
    if (session->sni_check == POL_SNI_ENFORCE)
        deny(session, POL_WHY_SNI_MISMATCH, session->audit_mode);
    else
        report(session, session->group, session->rule, true);
}

static void facts_arrive(struct session *session)
{
    bool waits = session->state == SESSION_PENDING || session->flags & POL_V_WATCHED;

    session->reading = false;
    if (session->state != SESSION_PENDING)
        session->deadline = POL_NEVER;
    if (waits && session->resume != POL_NONE) {
        session->facts.forwarded = session->state != SESSION_INTERCEPT;
        judge(session, session->resume);
    }
    check_sni(session);
}

static void read_payload(struct session *session, enum session_payload payload, int sni)
{
    if (payload == PAYLOAD_NONE || !session->reading)
        return;
    if (payload != PAYLOAD_SERVER && session->deadline == POL_NEVER && hangs(session))
        session->deadline = session->now + HELLO_SECONDS * POL_SECONDS;
    switch (payload) {
    case PAYLOAD_HELLO:
        session->facts.tls = HELLO_SEEN;
        session->facts.sni = sni;
        session->flags |= sni == NO_NAME ? 0u : POL_V_SNI_SEEN;
        facts_arrive(session);
        break;
    case PAYLOAD_OTHER:
    case PAYLOAD_SERVER:
        session->facts.tls = HELLO_NOT;
        facts_arrive(session);
        break;
    case PAYLOAD_BROKEN:
        incomplete(session, waits_in_audit(session));
        break;
    default:
        break;
    }
}

/* Nothing is known of a conversation with a resolver that nobody trusts. */
static void explain_dns(const struct session *session, struct linear_outcome *out)
{
    bool by_default = out->reason == POL_WHY_GROUP_DEFAULT || out->reason == POL_WHY_POLICY_DEFAULT;

    if (out->raw_action == POL_DENY && by_default && session->facts.dst_port == 53 &&
        (session->facts.proto == 6 || session->facts.proto == 17))
        out->reason = POL_WHY_DNS_UNTRUSTED_RESOLVER;
}

/* sni_check: enforce denies the opening packet that brings the hello. */
static void check_opening(struct session *session, struct linear_outcome *out)
{
    if (session->sni_check != POL_SNI_ENFORCE || session->facts.tls != HELLO_SEEN ||
        out->action != POL_ALLOW || !out->named || out->audit_mode ||
        linear_sni_granted(session->list, session->grants, &session->facts, out->group,
                           session->now))
        return;
    out->action = out->raw_action = POL_DENY;
    out->reason = POL_WHY_SNI_MISMATCH;
    out->resume = POL_NONE;
    out->watched = false;
    session->flags |= POL_V_SNI_MISMATCH;
}

void session_open(struct session *session, const struct linear_facts *facts,
                  enum session_payload payload, int sni, bool may_stay)
{
    struct linear_outcome out;

    session->facts = *facts;
    session->flags = 0;
    session->pinned = POL_NONE;
    session->deadline = POL_NEVER;
    session->denial_count = 0;
    if (payload == PAYLOAD_HELLO || payload == PAYLOAD_OTHER) {
        session->facts.tls = payload == PAYLOAD_HELLO ? HELLO_SEEN : HELLO_NOT;
        session->facts.spoken = true;
        session->facts.sni = sni;
    }
    linear_walk(session->list, session->grants, &session->facts, 0, session->now, &out);
    explain_dns(session, &out);
    check_opening(session, &out);
    session->facts.tls = facts->tls; /* the flow, once it is there, reads for itself */
    take(session, &out);
    report_outcome(session, &out);
    session->facts.open = session->facts.spoken = true;
    if (session->state == SESSION_DENIED || !may_stay)
        return;
    pin(session, &out);
    session->flags |= POL_V_OPENED;
    read_payload(session, payload, sni);
}

static void reload(struct session *session)
{
    session->facts.forwarded = session->state != SESSION_INTERCEPT;
    judge(session, 0);
    if (session->state == SESSION_PENDING && session->facts.tls == HELLO_SEEN)
        session->deadline = session->now + HELLO_SECONDS * POL_SECONDS;
}

void session_packet(struct session *session, bool reloaded, enum session_payload payload, int sni)
{
    bool was_denied = session->state == SESSION_DENIED;

    session->denial_count = 0;
    session->flags &= ~(uint32_t)(POL_V_OPENED | POL_V_REJUDGED);
    session->flags |= POL_V_KNOWN;
    /* What has run out has done so before the packet came, and before the new policy sees it. */
    if (session->deadline <= session->now)
        incomplete(session, !reloaded && waits_in_audit(session));
    if (reloaded) {
        reload(session);
        session->flags |= POL_V_REJUDGED;
    }
    if (session->state != SESSION_DENIED)
        read_payload(session, payload, sni);
    if (was_denied && !reloaded)
        session->reason = POL_WHY_DENIED_FLOW;
}

void session_end(struct session *session)
{
    unpin(session);
}
