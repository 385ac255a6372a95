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
    return session->state == SESSION_PENDING || (session->reading && enforces_sni(session));
}

static void let_go(struct session *session)
{
    session->holds = session->guarded = false;
}

/* Nobody looks at what nobody waits for. */
static void settle_certificate(struct session *session)
{
    if (session->facts.tls == HELLO_SEEN && !session->awaiting)
        session->facts.no_certificate = true;
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
    session->awaiting =
        session->facts.tls == HELLO_SEEN && !session->facts.no_certificate &&
        (session->state == SESSION_PENDING || (session->state == SESSION_ALLOWED && out->watched));
    settle_certificate(session);
    session->opened_with = false;
    if (session->state == SESSION_DENIED)
        let_go(session);
    if (!hangs(session) && !session->reading && !session->guarded && !session->awaiting)
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

    session->facts.forwarded = session->state != SESSION_INTERCEPT;
    linear_walk(session->list, session->grants, &session->facts, from, session->now, &out);
    take(session, &out);
    report_outcome(session, &out);
    pin(session, &out);
    if (session->state == SESSION_DENIED)
        unpin(session);
}

/* Judged where it stopped; by another policy, from the beginning. */
static void judge_on(struct session *session, bool reloaded)
{
    if (reloaded)
        session->flags &= ~(uint32_t)POL_V_SNI_MISMATCH;
    judge(session, reloaded || session->resume == POL_NONE ? 0 : session->resume);
}

/* A denial for what the client sent, or did not send. */
static void deny(struct session *session, enum pol_reason reason, bool audit)
{
    session->state = audit ? SESSION_ALLOWED : SESSION_DENIED;
    session->raw_action = POL_DENY;
    session->reason = (uint16_t)reason;
    session->flags &= ~(uint32_t)POL_V_AUDIT;
    session->flags |= audit ? POL_V_AUDIT : 0u;
    session->reading = session->awaiting = false;
    settle_certificate(session);
    session->resume = POL_NONE;
    session->deadline = POL_NEVER;
    let_go(session);
    if (!audit)
        unpin(session);
    report(session, session->group, session->rule, audit);
}

static void check_sni(struct session *session)
{
    if (session->sni_check == POL_SNI_OFF || session->state != SESSION_ALLOWED ||
        !(session->flags & POL_V_NAMED) ||
        (session->facts.tls != HELLO_SEEN &&
         (session->facts.tls != HELLO_INCOMPLETE || session->sni_check != POL_SNI_ENFORCE)) ||
        linear_sni_granted(session->list, session->grants, &session->facts, session->group,
                           session->now))
        return;
    session->flags |= POL_V_SNI_MISMATCH;
    if (session->sni_check == POL_SNI_ENFORCE)
        deny(session, POL_WHY_SNI_MISMATCH, session->audit_mode);
    else
        report(session, session->group, session->rule, true);
}

/* The client's octets are broken, too late, or not what they were: what waits for them is judged
 * without, what was judged by them is denied. `reloaded`: the policy has just changed. Returns
 * whether the flow has been judged. */
static bool incomplete(struct session *session, bool reloaded)
{
    bool waits = session->state == SESSION_PENDING, hung = hangs(session) || session->guarded;

    session->reading = session->awaiting = false;
    session->deadline = POL_NEVER;
    session->facts.tls = HELLO_INCOMPLETE;
    let_go(session);
    if (waits) {
        judge_on(session, reloaded);
        check_sni(session);
    } else if (hung) {
        deny(session, POL_WHY_TLS_INCOMPLETE, session->audit_mode);
    }
    return waits;
}

/* The server shows no certificate, or what it says is none. */
static void missing(struct session *session, bool reloaded)
{
    bool waits = session->state == SESSION_PENDING;

    session->awaiting = false;
    session->facts.no_certificate = true;
    if (!session->guarded)
        session->deadline = POL_NEVER;
    judge_on(session, reloaded);
    if (waits || reloaded)
        check_sni(session);
}

/* What an answer was based on, or will be, must be what the server gets. */
static void guard(struct session *session)
{
    bool passes = session->state == SESSION_ALLOWED || session->state == SESSION_PENDING;

    if (passes && session->holds) {
        session->guarded = true;
        session->deadline = session->now + HELLO_SECONDS * POL_SECONDS;
    } else {
        let_go(session);
    }
}

static void end_guard(struct session *session)
{
    let_go(session);
    if (session->state != SESSION_PENDING)
        session->deadline = POL_NEVER;
}

static void facts_arrive(struct session *session)
{
    bool waits = session->state == SESSION_PENDING || session->flags & POL_V_WATCHED;
    bool guards = hangs(session) || session->opened_with;

    session->reading = false;
    if (!guards)
        let_go(session);
    if (session->state != SESSION_PENDING)
        session->deadline = POL_NEVER;
    if (waits && session->resume != POL_NONE)
        judge(session, session->resume);
    check_sni(session);
    if (guards)
        guard(session);
}

/* The client's first octets; complete ones are kept only where it matters what becomes of them. */
static void read_client(struct session *session, const struct session_segment *segment)
{
    if (segment->payload == PAYLOAD_EARLY) {
        incomplete(session, false);
        return;
    }
    if (session->deadline == POL_NEVER)
        session->deadline = session->now + HELLO_SECONDS * POL_SECONDS;
    session->holds |= segment->payload == PAYLOAD_PART || hangs(session) || session->opened_with;
    if (segment->differs || segment->payload == PAYLOAD_BROKEN) {
        incomplete(session, false);
    } else if (segment->payload == PAYLOAD_HELLO) {
        session->facts.tls = HELLO_SEEN;
        session->facts.sni = segment->sni;
        session->flags |= segment->sni == NO_NAME ? 0u : POL_V_SNI_SEEN;
        facts_arrive(session);
        settle_certificate(session);
        if (session->awaiting)
            session->deadline = session->now + HELLO_SECONDS * POL_SECONDS;
    } else if (segment->payload == PAYLOAD_OTHER) {
        session->facts.tls = HELLO_NOT;
        facts_arrive(session);
    }
}

static void read_payload(struct session *session, const struct session_segment *segment)
{
    if (session->guarded && segment->differs) {
        incomplete(session, false);
    } else if (session->awaiting && segment->payload == PAYLOAD_SERVER) {
        missing(session, false);
    } else if (session->reading && segment->payload == PAYLOAD_SERVER) {
        session->facts.tls = HELLO_NOT;
        facts_arrive(session);
    } else if (session->reading && segment->payload != PAYLOAD_NONE) {
        read_client(session, segment);
    }
    if (session->guarded && segment->acks)
        end_guard(session);
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

static uint8_t tls_of(enum session_payload payload, uint8_t unknown)
{
    switch (payload) {
    case PAYLOAD_HELLO:
        return HELLO_SEEN;
    case PAYLOAD_OTHER:
        return HELLO_NOT;
    case PAYLOAD_BROKEN:
        return HELLO_INCOMPLETE;
    default:
        return unknown;
    }
}

/* Would the verdict wait for this data if the opening packet did not bring it? */
static bool depends_on_data(const struct session *session, enum session_payload payload,
                            uint8_t unknown)
{
    struct linear_facts blind = session->facts;
    struct linear_outcome out;

    if (payload != PAYLOAD_HELLO && payload != PAYLOAD_OTHER)
        return false;
    blind.tls = unknown;
    linear_walk(session->list, session->grants, &blind, 0, session->now, &out);
    return out.action == POL_PENDING;
}

void session_open(struct session *session, const struct linear_facts *facts,
                  const struct session_segment *segment, bool may_stay)
{
    struct linear_outcome out;
    bool depends;

    session->facts = *facts;
    session->flags = 0;
    session->pinned = POL_NONE;
    session->deadline = POL_NEVER;
    session->denial_count = 0;
    session->awaiting = false;
    let_go(session);
    session->facts.tls = tls_of(segment->payload, facts->tls);
    session->facts.spoken = session->facts.tls != facts->tls;
    session->facts.sni = segment->sni;
    depends = depends_on_data(session, segment->payload, facts->tls);
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
    session->opened_with = depends;
    read_payload(session, segment);
}

static void reload(struct session *session)
{
    judge_on(session, true);
    if (session->state == SESSION_PENDING && session->facts.tls == HELLO_SEEN &&
        session->deadline == POL_NEVER)
        session->deadline = session->now + HELLO_SECONDS * POL_SECONDS;
    check_sni(session);
}

/* What has run out has done so before the packet came, and before the new policy sees it, unless
 * that is the one to say what becomes of it: then it need not be asked again. */
static bool run_out(struct session *session, bool reloaded)
{
    bool judged = session->awaiting;

    if (session->deadline > session->now)
        return false;
    if (session->awaiting)
        missing(session, reloaded);
    if (!judged || session->deadline <= session->now)
        judged |= incomplete(session, reloaded && !judged);
    return judged && reloaded;
}

void session_packet(struct session *session, bool reloaded, const struct session_segment *segment)
{
    bool was_denied = session->state == SESSION_DENIED;

    session->denial_count = 0;
    session->flags &= ~(uint32_t)(POL_V_OPENED | POL_V_REJUDGED);
    session->flags |= POL_V_KNOWN;
    if (run_out(session, reloaded))
        reloaded = false;
    if (reloaded) {
        reload(session);
        session->flags |= POL_V_REJUDGED;
    }
    if (session->state != SESSION_DENIED)
        read_payload(session, segment);
    if (was_denied && !reloaded)
        session->reason = POL_WHY_DENIED_FLOW;
}

void session_forgotten(struct session *session)
{
    session->denial_count = 0;
    run_out(session, false);
    session->state = SESSION_DENIED;
    session->raw_action = POL_DENY;
    session->reason = POL_WHY_MIDSTREAM;
    session->group = session->rule = POL_NONE;
    session->flags = 0;
    report(session, POL_NONE, POL_NONE, false);
    session_end(session);
}

void session_end(struct session *session)
{
    unpin(session);
}
