/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <string.h>

#include "base/buf.h"
#include "base/ctx.h"
#include "base/hash.h"
#include "net/ipset.h"

/* The groups that are asked about a query: those that contain the client; for a resolver that asks
 * on behalf of others, all. */
struct asked {
    const pol_policy *policy;
    struct classify_path path;
    bool all;
};

static void ask(const pol_worker *worker, const pol_addr *client, struct asked *asked)
{
    asked->policy = worker->policy;
    asked->all = worker->inside_resolvers && ipset_has(worker->inside_resolvers, client);
    classify_source(worker->policy->by_packet, client, &asked->path);
}

static uint32_t asked_group(const struct asked *asked, uint32_t from)
{
    if (asked->all)
        return from < asked->policy->group_count ? from : POL_NONE;
    return classify_group(asked->policy->by_packet, &asked->path, from);
}

/* The first hostname rule of a group in [from, end) that acts on this name. */
static uint32_t query_step(const pol_policy *policy, const struct memo_patterns *found,
                           uint32_t from, uint32_t end, bool *limit)
{
    uint32_t best = end;

    for (uint32_t i = 0; i < found->count; i++) {
        const struct pp_pattern *pattern = &policy->by_pattern[found->ids[i] & ~PATTERN_EXCEPTION];
        bool exception = found->ids[i] & PATTERN_EXCEPTION;
        uint32_t step = pattern_step(pattern, from);

        *limit |= exception;
        /* An exception fails closed: deny rules match, allow rules do not. */
        while (step < best && (!policy->steps[step].on_query ||
                               (exception && policy->steps[step].action == POL_ALLOW)))
            step = pattern_step(pattern, step + 1);
        if (step < best)
            best = step;
    }
    return best < end ? best : POL_NONE;
}

static bool softened(const struct pp_step *step)
{
    return step->action == POL_DENY && step->mode == POL_MODE_AUDIT;
}

struct finding {
    uint32_t step;   /* that decides, or POL_NONE */
    uint32_t passed; /* an audit denial that was noted and passed over, or POL_NONE */
    uint32_t strict; /* the first group asked that has hostname rules, or POL_NONE */
    bool limit;
};

/* Asks the groups in order until a rule decides or a group's default ends the walk. */
static void find_rule(const struct asked *asked, const struct memo_patterns *names,
                      struct finding *found)
{
    const pol_policy *policy = asked->policy;
    uint32_t group = asked_group(asked, 0);

    *found = (struct finding){POL_NONE, POL_NONE, POL_NONE, false};
    for (; group != POL_NONE; group = asked_group(asked, group + 1)) {
        const struct pp_group *g = &policy->groups[group];
        uint32_t step = query_step(policy, names, g->first, g->end, &found->limit);

        if (g->has_query_rules && found->strict == POL_NONE)
            found->strict = group;
        while (step != POL_NONE && policy->audit_continues && softened(&policy->steps[step])) {
            if (found->passed == POL_NONE)
                found->passed = step;
            step = query_step(policy, names, step + 1, g->end, &found->limit);
        }
        if (step != POL_NONE && (!asked->all || policy->steps[step].action == POL_ALLOW)) {
            found->step = step;
            return;
        }
        if (step != POL_NONE && found->step == POL_NONE)
            found->step = step;
        if (!asked->all && policy->steps[g->end].action != PP_NO_ACTION)
            return;
    }
}

static void add_grantee(pol_dns_query *query, uint64_t key)
{
    for (uint8_t i = 0; i < query->grantee_count; i++) {
        if (query->grantees[i] == key)
            return;
    }
    if (query->grantee_count < POL_DNS_GRANTEES)
        query->grantees[query->grantee_count++] = key;
}

/* Every group that was or would have been asked and allows the name. */
static void find_grantees(const struct asked *asked, const struct memo_patterns *names,
                          pol_dns_query *query)
{
    const pol_policy *policy = asked->policy;
    uint32_t group = asked_group(asked, 0);
    bool limit = false;

    for (; group != POL_NONE && query->grantee_count < POL_DNS_GRANTEES;
         group = asked_group(asked, group + 1)) {
        const struct pp_group *g = &policy->groups[group];
        uint32_t step = query_step(policy, names, g->first, g->end, &limit);

        while (step != POL_NONE && policy->audit_continues && softened(&policy->steps[step]))
            step = query_step(policy, names, step + 1, g->end, &limit);
        if (step != POL_NONE && policy->steps[step].action == POL_ALLOW)
            add_grantee(query, g->key);
    }
}

static void allow_audited(pol_dns_query *query, pol_verdict *verdict, uint64_t key)
{
    verdict->action = POL_ALLOW;
    verdict->raw_action = POL_DENY;
    verdict->flags |= POL_V_AUDIT;
    query->kind = POL_GRANT_OBSERVED;
    add_grantee(query, key);
}

static void judge_by_rule(const pol_policy *policy, uint32_t index, pol_dns_query *query,
                          pol_verdict *verdict)
{
    const struct pp_step *step = &policy->steps[index];

    verdict->reason = POL_WHY_RULE;
    verdict->rule = step->rule;
    verdict->group = step->group;
    verdict->raw_action = step->action == POL_ALLOW ? POL_ALLOW : POL_DENY;
    verdict->action = step->action == POL_ALLOW ? POL_ALLOW : POL_ANSWER;
    query->kind = POL_GRANT_ALLOWED;
    if (softened(step))
        allow_audited(query, verdict, policy->groups[step->group].key);
}

static void judge_by_absence(const pol_policy *policy, const struct finding *found,
                             pol_dns_query *query, pol_verdict *verdict)
{
    const struct pp_group *group = &policy->groups[found->strict];

    verdict->reason = found->limit ? POL_WHY_LIMIT : POL_WHY_DNS_NO_RULE;
    verdict->group = found->strict;
    verdict->action = POL_ANSWER;
    verdict->raw_action = POL_DENY;
    if (group->mode == POL_MODE_AUDIT)
        allow_audited(query, verdict, group->key);
}

static void patterns_of(pol_worker *worker, const pol_dns_query *query,
                        struct memo_patterns *ret_patterns)
{
    pol_str name = {query->name, query->name_len};
    struct memo *memo = &worker->walker.memo;
    uint64_t misses = memo->misses, exceptions = memo->exceptions;

    walk_patterns(&worker->walker, hash_bytes(worker->policy->ctx->hash_seed, name.ptr, name.len),
                  name, ret_patterns);
    counter_add(&worker->counters, COUNT_MEMO_MISSES, memo->misses - misses);
    counter_add(&worker->counters, COUNT_REGEX_EXCEPTIONS, memo->exceptions - exceptions);
}

enum dns_judgement dns_judge(pol_worker *worker, const pol_addr *client, pol_dns_query *query,
                             pol_verdict *verdict)
{
    const pol_policy *policy = worker->policy;
    struct memo_patterns names;
    struct finding found;
    struct asked asked;

    query->grantee_count = 0;
    query->kind = POL_GRANT_RECORDED;
    if (!policy) {
        verdict->action = POL_ANSWER;
        verdict->reason = POL_WHY_NO_POLICY;
        return DNS_JUDGED;
    }
    verdict->generation = worker->generation;
    ask(worker, client, &asked);
    patterns_of(worker, query, &names);
    find_rule(&asked, &names, &found);
    if (found.step != POL_NONE)
        judge_by_rule(policy, found.step, query, verdict);
    else if (found.strict != POL_NONE)
        judge_by_absence(policy, &found, query, verdict);
    else
        return DNS_NOT_JUDGED;
    if (verdict->action == POL_ALLOW)
        find_grantees(&asked, &names, query);
    verdict->group_key = pol_policy_group_key(policy, verdict->group);
    return DNS_JUDGED;
}

/* The first rule in audit mode that acts on the name, whatever decided before. */
static uint32_t audit_step(const struct asked *asked, const struct memo_patterns *names)
{
    const pol_policy *policy = asked->policy;
    uint32_t group = asked_group(asked, 0);
    bool limit = false;

    for (; group != POL_NONE; group = asked_group(asked, group + 1)) {
        const struct pp_group *g = &policy->groups[group];
        uint32_t step = query_step(policy, names, g->first, g->end, &limit);

        while (step != POL_NONE && policy->steps[step].mode != POL_MODE_AUDIT)
            step = query_step(policy, names, step + 1, g->end, &limit);
        if (step != POL_NONE)
            return step;
    }
    return POL_NONE;
}

void dns_report_shadow(pol_worker *worker, const struct query *query, const pol_verdict *decided)
{
    const pol_policy *policy = worker->policy;
    pol_verdict verdict = *decided;
    struct memo_patterns names;
    struct asked asked;
    uint32_t step;

    if (!policy || !policy->has_audit_deny || decided->raw_action != POL_ALLOW ||
        !events_wanted(&worker->events, POL_EV_DENY))
        return;
    ask(worker, &query->dns.client, &asked);
    patterns_of(worker, &query->dns, &names);
    step = audit_step(&asked, &names);
    if (step == POL_NONE || policy->steps[step].action != POL_DENY)
        return;
    verdict.raw_action = POL_DENY;
    verdict.flags |= POL_V_AUDIT;
    verdict.reason = POL_WHY_RULE;
    verdict.rule = policy->steps[step].rule;
    verdict.group = policy->steps[step].group;
    verdict.group_key = pol_policy_group_key(policy, verdict.group);
    report_query_deny(worker, query, &verdict);
}

/* The first group asked that has hostname rules, or POL_NONE. */
static uint32_t strict_group(const struct asked *asked)
{
    const pol_policy *policy = asked->policy;
    uint32_t group = asked_group(asked, 0);

    while (group != POL_NONE && !policy->groups[group].has_query_rules) {
        if (!asked->all && policy->steps[policy->groups[group].end].action != PP_NO_ACTION)
            return POL_NONE;
        group = asked_group(asked, group + 1);
    }
    return group;
}

enum dns_judgement dns_judge_unreadable(pol_worker *worker, const pol_addr *client,
                                        pol_verdict *verdict)
{
    const pol_policy *policy = worker->policy;
    struct asked asked;
    uint32_t group;

    ask(worker, client, &asked);
    group = strict_group(&asked);
    if (group == POL_NONE)
        return DNS_NOT_JUDGED;
    verdict->reason = POL_WHY_MALFORMED;
    verdict->group = group;
    verdict->group_key = policy->groups[group].key;
    verdict->generation = worker->generation;
    verdict->raw_action = POL_DENY;
    verdict->action = POL_ANSWER;
    if (policy->groups[group].mode == POL_MODE_AUDIT) {
        verdict->action = POL_ALLOW;
        verdict->flags |= POL_V_AUDIT;
    }
    return DNS_JUDGED;
}

bool dns_read_query(pol_worker *worker, const pol_addr *client, pol_bytes message,
                    pol_dns_query *ret_query)
{
    struct dns_message *m = &worker->message;

    /* What a server may read behind the question has to be that query's and nothing else's. */
    if (dns_message_read(message, m) != POL_OK || m->flags & DNS_QR ||
        m->opcode != DNS_OPCODE_QUERY || !dns_message_is_whole(m))
        return false;
    *ret_query = (pol_dns_query){
        .client = *client,
        .id = m->id,
        .qtype = m->qtype,
        .qclass = m->qclass,
        .name_len = m->name_len,
    };
    memcpy(ret_query->name, m->name, (size_t)m->name_len + 1);
    return true;
}

void dns_teach(pol_worker *worker, const pol_dns_query *query, struct dns_answer *ret_answer,
               struct grants_learned *ret_learned)
{
    static const uint64_t nobody[1] = {0};
    struct grants_lesson lesson = {
        .keys = query->kind == POL_GRANT_RECORDED ? nobody : query->grantees,
        .key_count = query->kind == POL_GRANT_RECORDED ? 1 : query->grantee_count,
        .kind = query->kind,
        .name = {query->name, query->name_len},
        .addrs = worker->lesson_addrs,
        .ttls = worker->lesson_ttls,
    };

    dns_answer_walk(&worker->message, worker->addresses, ANSWER_ADDRESSES, ret_answer);
    while (lesson.addr_count < ret_answer->count && lesson.addr_count < ANSWER_ADDRESSES) {
        worker->lesson_addrs[lesson.addr_count] = worker->addresses[lesson.addr_count].addr;
        worker->lesson_ttls[lesson.addr_count] = worker->addresses[lesson.addr_count].ttl;
        lesson.addr_count++;
    }
    *ret_learned = (struct grants_learned){0};
    if (lesson.addr_count && query->name_len)
        grants_learn(worker->opts.grants, &lesson, worker->now, ret_learned);
    ret_learned->full |= ret_answer->count > ANSWER_ADDRESSES;
    counter_add(&worker->counters, COUNT_DNS_LEARNED, ret_learned->added);
    counter_add(&worker->counters, COUNT_DNS_REFRESHED, ret_learned->refreshed);
    if (ret_learned->full)
        counter_add(&worker->counters, COUNT_DNS_NO_ROOM, 1);
    if (worker->message.rcode == DNS_NXDOMAIN)
        counter_add(&worker->counters, COUNT_NXDOMAIN_UPSTREAM, 1);
}

void dns_count(pol_worker *worker, const pol_verdict *verdict)
{
    unsigned slot = slot_of(&worker->slots, verdict->group_key);
    size_t place = COUNT_DNS_POLICY_DENY;

    if (verdict->action == POL_ALLOW)
        place = COUNT_DNS_POLICY_ALLOW;
    else if (verdict->reason == POL_WHY_NO_POLICY)
        place = COUNT_DNS_POLICY_UNAVAILABLE;
    else if (verdict->reason == POL_WHY_MALFORMED)
        place = COUNT_DNS_PARSE_ERROR;
    counter_add(&worker->counters, place + slot, 1);
    if (verdict->action == POL_ANSWER && verdict->reason != POL_WHY_MALFORMED)
        counter_add(&worker->counters, COUNT_NXDOMAIN_POLICY, 1);
}

static void clear_verdict(pol_verdict *verdict)
{
    *verdict = (pol_verdict){.group = POL_NONE, .rule = POL_NONE};
}

enum pol_action pol_dns_decide(pol_worker *worker, const pol_addr *client, pol_bytes message,
                               pol_mono now, pol_dns_query *ret_query, pol_verdict *ret_verdict)
{
    WORKER_ENTER(worker);
    struct query query = {.tuple = {.src = *client, .dst = {.family = client->family}}};

    if (now > worker->now)
        worker->now = now;
    query.first = worker->now;
    query.tuple.dst_port = 53;
    query.tuple.proto = 17;
    clear_verdict(ret_verdict);
    ret_verdict->side = POL_SIDE_INSIDE;
    if (!dns_read_query(worker, client, message, &query.dns)) {
        bool answerable = message.len >= DNS_HEADER_LEN && !(worker->message.flags & DNS_QR);

        ret_verdict->action = answerable ? POL_ANSWER : POL_DENY;
        ret_verdict->reason = POL_WHY_MALFORMED;
        dns_count(worker, ret_verdict);
        return (enum pol_action)ret_verdict->action;
    }
    if (dns_judge(worker, client, &query.dns, ret_verdict) == DNS_NOT_JUDGED) {
        ret_verdict->action = POL_ANSWER;
        ret_verdict->reason = POL_WHY_DNS_NO_RULE;
    }
    dns_count(worker, ret_verdict);
    dns_report_shadow(worker, &query, ret_verdict);
    if (ret_verdict->action != POL_ALLOW || ret_verdict->flags & POL_V_AUDIT)
        report_dns(worker, &query, ret_verdict, NULL, UINT8_MAX, 0);
    *ret_query = query.dns;
    return (enum pol_action)ret_verdict->action;
}

int pol_dns_learn(pol_worker *worker, const pol_dns_query *query, pol_bytes answer, pol_mono now,
                  pol_dns_learned *ret_learned)
{
    WORKER_ENTER(worker);
    struct dns_key key = {
        .id = query->id,
        .opcode = DNS_OPCODE_QUERY,
        .qtype = query->qtype,
        .qclass = query->qclass,
        .name = {query->name, query->name_len},
    };
    struct grants_learned learned;
    struct dns_answer walked;

    if (!worker->opts.grants || query->grantee_count > POL_DNS_GRANTEES ||
        query->kind > POL_GRANT_RECORDED)
        return POL_E_INVALID;
    if (now > worker->now)
        worker->now = now;
    if (dns_message_read(answer, &worker->message) != POL_OK) {
        counter_add(&worker->counters, COUNT_MISMATCH_PARSE, 1);
        return POL_E_FORMAT;
    }
    if (!dns_response_matches(&key, &worker->message)) {
        counter_add(&worker->counters,
                    worker->message.id == key.id ? COUNT_MISMATCH_QUESTION : COUNT_MISMATCH_TXID,
                    1);
        return POL_E_FORMAT;
    }
    dns_teach(worker, query, &walked, &learned);
    *ret_learned = (pol_dns_learned){
        .addresses = (uint32_t)walked.count,
        .added = learned.added,
        .refreshed = learned.refreshed,
        .rcode = worker->message.rcode,
    };
    return learned.full ? POL_E_FULL : POL_OK;
}

int pol_dns_refuse(pol_bytes query, enum pol_dns_refusal refusal, uint8_t *buf, size_t capacity,
                   size_t *ret_len)
{
    static const struct {
        enum dns_rcode rcode;
        enum dns_ede ede;
        const char *text;
    } refusals[] = {
        [POL_DNS_NXDOMAIN] = {DNS_NXDOMAIN, DNS_EDE_BLOCKED, "blocked by policy"},
        [POL_DNS_REFUSED] = {DNS_REFUSED, DNS_EDE_PROHIBITED, "prohibited"},
        [POL_DNS_SERVFAIL] = {DNS_SERVFAIL, DNS_EDE_OTHER, "no usable answer"},
        [POL_DNS_FORMERR] = {DNS_FORMERR, DNS_EDE_OTHER, "not a query"},
    };
    int rc;

    if ((size_t)refusal >= sizeof(refusals) / sizeof(*refusals))
        return POL_E_INVALID;
    rc = dns_refuse(query, refusals[refusal].rcode, refusals[refusal].ede,
                    str_of(refusals[refusal].text), buf, capacity, ret_len);
    return rc == POL_E_TRUNCATED ? POL_E_FORMAT : rc;
}
