/* SPDX-License-Identifier: Apache-2.0 */
#include "linear.h"

#include <stdlib.h>
#include <string.h>

enum { UNKNOWN_MAX = 64, GRANTEES_MAX = 16 };

/* BROKEN: what the condition asks for will never be known. */
enum holds { FAILS, HOLDS, UNKNOWN, BROKEN };

/* --- the list ------------------------------------------------------------------------------- */

static uint32_t priority_of(bool given, uint32_t priority, uint32_t place)
{
    return given ? priority : place;
}

/* The places 0..count-1 by priority, ties in order of place. */
static void in_order(const uint32_t *priorities, uint32_t count, uint32_t *ret_places)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;

        for (; at > 0 && priorities[ret_places[at - 1]] > priorities[i]; at--)
            ret_places[at] = ret_places[at - 1];
        ret_places[at] = i;
    }
}

static void add_group(struct linear_list *list, const struct model_group *group, uint32_t number,
                      uint32_t *rule_number)
{
    const struct model_rule *rules = &list->model->rules[group->first_rule];
    uint32_t priorities[GROUP_RULES_MAX + 1] = {0}, places[GROUP_RULES_MAX + 1];

    for (uint32_t i = 0; i < group->rule_count; i++)
        priorities[i] = priority_of(rules[i].has_priority, rules[i].priority, i);
    in_order(priorities, group->rule_count, places);
    for (uint32_t i = 0; i < group->rule_count; i++)
        list->steps[list->count++] =
            (struct linear_step){group, &rules[places[i]], number, (*rule_number)++};
    list->steps[list->count++] = (struct linear_step){group, NULL, number, POL_NONE};
}

void linear_flatten(const struct model *model, struct linear_list *list)
{
    uint32_t priorities[GROUPS_MAX] = {0}, places[GROUPS_MAX], rule_number = 0;

    list->model = model;
    list->count = 0;
    list->group_count = model->group_count;
    for (uint32_t i = 0; i < model->group_count; i++)
        priorities[i] = priority_of(model->groups[i].has_priority, model->groups[i].priority, i);
    in_order(priorities, model->group_count, places);
    for (uint32_t i = 0; i < model->group_count; i++)
        add_group(list, &model->groups[places[i]], i, &rule_number);
    list->steps[list->count++] = (struct linear_step){NULL, NULL, POL_NONE, POL_NONE};
}

/* --- selectors ------------------------------------------------------------------------------ */

bool prefix_has(const pol_prefix *prefix, const pol_addr *addr)
{
    if (prefix->addr.family != addr->family)
        return false;
    for (unsigned bit = 0; bit < prefix->len; bit++) {
        if ((prefix->addr.bytes[bit / 8] ^ addr->bytes[bit / 8]) & (0x80 >> bit % 8))
            return false;
    }
    return true;
}

static bool any_has(const pol_prefix *prefixes, int count, const pol_addr *addr)
{
    for (int i = 0; i < count; i++) {
        if (prefix_has(&prefixes[i], addr))
            return true;
    }
    return false;
}

static bool ports_have(const struct model_range *ranges, int count, bool has_ports, uint16_t port)
{
    if (count == 0)
        return true;
    for (int i = 0; has_ports && i < count; i++) {
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    }
    return false;
}

static bool octets_have(const uint8_t *octets, int count, uint8_t value)
{
    for (int i = 0; i < count; i++) {
        if (octets[i] == value)
            return true;
    }
    return false;
}

static bool has_ports(uint8_t proto)
{
    return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}

static bool proto_fits(const struct model_rule *rule, uint8_t proto)
{
    if (rule->any_proto)
        return rule->type_count + rule->code_count == 0 || proto == 1;
    return rule->proto == proto;
}

static bool icmp_fits(const struct model_rule *rule, const struct linear_facts *facts)
{
    static const uint8_t types4[] = {0, 3, 11}, codes4[] = {0, 4}, types6[] = {1, 2, 3, 4, 129};

    if (rule->type_count + rule->code_count > 0)
        return (rule->type_count == 0 ||
                octets_have(rule->types, rule->type_count, facts->icmp_type)) &&
               (rule->code_count == 0 ||
                octets_have(rule->codes, rule->code_count, facts->icmp_code));
    if (rule->any_proto)
        return true;
    if (rule->proto == 1)
        return octets_have(types4, 3, facts->icmp_type) && octets_have(codes4, 2, facts->icmp_code);
    return rule->proto != 58 || octets_have(types6, 5, facts->icmp_type);
}

static bool selects(const struct model_rule *rule, const struct linear_facts *facts)
{
    bool ports = has_ports(facts->proto);

    return (rule->dst_count == 0 || any_has(rule->dst, rule->dst_count, &facts->dst)) &&
           proto_fits(rule, facts->proto) && icmp_fits(rule, facts) &&
           ports_have(rule->src_ports, rule->src_port_count, ports, facts->src_port) &&
           ports_have(rule->dst_ports, rule->dst_port_count, ports, facts->dst_port);
}

static bool group_has(const struct model_group *group, const pol_addr *src)
{
    return any_has(group->sources, group->source_count, src);
}

static bool rule_audits(const struct linear_step *step)
{
    if (step->rule && step->rule->mode != MODE_INHERIT)
        return step->rule->mode == MODE_AUDIT;
    return step->group && step->group->mode == MODE_AUDIT;
}

/* --- names ---------------------------------------------------------------------------------- */

static pol_prefix special[13];

void linear_init(void)
{
    static const char *const texts[] = {
        "0.0.0.0/8",     "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3",   "::/128",      "::1/128",
        "fe80::/10",     "fc00::/7",       "ff00::/8",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (pol_prefix_parse((pol_str){texts[i], strlen(texts[i])}, &special[i]) != POL_OK)
            abort();
    }
}

static bool is_special(const pol_addr *addr)
{
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
    pol_addr inner = {.family = 4};

    if (any_has(special, sizeof(special) / sizeof(*special), addr))
        return true;
    if (addr->family != 6 || memcmp(addr->bytes, translated, sizeof(translated)) != 0)
        return false;
    memcpy(inner.bytes, addr->bytes + 12, 4);
    return is_special(&inner);
}

static bool is_live(const struct linear_grant *grant, const struct linear_facts *facts,
                    pol_mono now)
{
    return now < grant->until || (grant->pinned && facts->open);
}

static bool grant_opens(const struct linear_grant *grant, const struct linear_step *step,
                        const pol_addr *dst)
{
    if (grant->group_id != step->group->id || memcmp(&grant->addr, dst, sizeof(*dst)) != 0)
        return false;
    if (grant->kind == POL_GRANT_RECORDED ||
        (grant->kind == POL_GRANT_OBSERVED && !rule_audits(step)))
        return false;
    return pattern_matches(step->rule->pattern, grant->name);
}

struct carried {
    uint32_t count, first;
    bool expired; /* one that is over would have done it */
};

static struct carried carriers(const struct linear_step *step, const struct linear_grants *grants,
                               const struct linear_facts *facts, pol_mono now)
{
    struct carried carried = {0, POL_NONE, false};

    for (uint32_t i = 0; i < grants->count; i++) {
        const struct linear_grant *grant = &grants->list[i];

        if (!grant_opens(grant, step, &facts->dst))
            continue;
        if (step->rule->dst_count == 0 && is_special(&facts->dst))
            continue;
        if (!is_live(grant, facts, now)) {
            carried.expired = true;
        } else if (carried.count++ == 0) {
            carried.first = i;
        }
    }
    return carried;
}

bool linear_sni_granted(const struct linear_list *list, const struct linear_grants *grants,
                        const struct linear_facts *facts, uint32_t group_number, pol_mono now)
{
    uint32_t id = POL_NONE;

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->steps[i].group && list->steps[i].group_number == group_number)
            id = list->steps[i].group->id;
    }
    for (uint32_t i = 0; i < grants->count; i++) {
        const struct linear_grant *grant = &grants->list[i];

        if (grant->group_id == id && grant->name == facts->sni &&
            memcmp(&grant->addr, &facts->dst, sizeof(facts->dst)) == 0 &&
            grant->kind != POL_GRANT_RECORDED && (now < grant->until || grant->pinned))
            return true;
    }
    return false;
}

/* --- conditions ----------------------------------------------------------------------------- */

static enum holds denied_name(const struct model_rule *rule, const struct linear_facts *facts)
{
    if (rule->pattern == NO_PATTERN || !rule->deny)
        return HOLDS;
    if (facts->proto != 6)
        return FAILS;
    if (facts->tls == HELLO_UNKNOWN || facts->tls == HELLO_INCOMPLETE)
        return facts->tls == HELLO_UNKNOWN ? UNKNOWN : BROKEN;
    return facts->tls == HELLO_SEEN && facts->sni != NO_NAME &&
                   pattern_matches(rule->pattern, facts->sni)
               ? HOLDS
               : FAILS;
}

static bool sni_fits(const struct model_rule *rule, int sni)
{
    bool listed = rule->sni_count == 0;

    if (rule->sni_count == 0 && rule->sni_pattern == NO_PATTERN)
        return true;
    if (sni == NO_NAME)
        return false;
    for (int i = 0; i < rule->sni_count; i++)
        listed |= rule->sni[i] == sni;
    return listed && (rule->sni_pattern == NO_PATTERN || pattern_matches(rule->sni_pattern, sni));
}

static enum holds tls_condition(const struct model_rule *rule, const struct linear_facts *facts)
{
    if (rule->tls == TLS_NONE)
        return HOLDS;
    if (facts->proto != 6)
        return FAILS;
    if (rule->tls == TLS_INTERCEPT)
        return HOLDS;
    if (facts->tls == HELLO_UNKNOWN || facts->tls == HELLO_INCOMPLETE)
        return facts->tls == HELLO_UNKNOWN ? UNKNOWN : BROKEN;
    if (facts->tls == HELLO_NOT || !sni_fits(rule, facts->sni))
        return FAILS;
    if (!rule->certificate)
        return HOLDS;
    return facts->no_certificate ? BROKEN : UNKNOWN;
}

static enum holds conditions(const struct model_rule *rule, const struct linear_facts *facts)
{
    enum holds name = denied_name(rule, facts), tls = tls_condition(rule, facts);

    if (name == FAILS || tls == FAILS)
        return FAILS;
    if (name == BROKEN || tls == BROKEN)
        return BROKEN;
    return name == UNKNOWN || tls == UNKNOWN ? UNKNOWN : HOLDS;
}

/* --- the walk ------------------------------------------------------------------------------- */

struct walk {
    const struct linear_list *list;
    const struct linear_grants *grants;
    const struct linear_facts *facts;
    pol_mono now;
    bool expired;    /* a name that is over would have opened the address */
    bool tls_failed; /* a TLS condition did not hold */
    uint32_t unknown_count, first_unknown;
    bool can_allow, can_deny, can_intercept; /* what unknown steps can still do */
    bool only_denied_names;
};

/* Does the step match, and do its conditions hold? */
static enum holds step_holds(struct walk *walk, const struct linear_step *step,
                             struct carried *ret_carried)
{
    enum holds holds;

    *ret_carried = (struct carried){0, POL_NONE, false};
    if (!step->group)
        return HOLDS;
    if (!group_has(step->group, &walk->facts->src))
        return FAILS;
    if (!step->rule)
        return step->group->default_action == DEFAULT_NONE ? FAILS : HOLDS;
    if (!selects(step->rule, walk->facts))
        return FAILS;
    if (step->rule->pattern != NO_PATTERN && !step->rule->deny) {
        *ret_carried = carriers(step, walk->grants, walk->facts, walk->now);
        if (ret_carried->count == 0)
            return FAILS;
    }
    holds = conditions(step->rule, walk->facts);
    if (holds == FAILS && step->rule->tls != TLS_NONE && walk->facts->proto == 6)
        walk->tls_failed = true;
    return holds;
}

static uint8_t raw_action(const struct linear_list *list, const struct linear_step *step)
{
    if (!step->group)
        return list->model->default_policy == DEFAULT_ALLOW ? POL_ALLOW : POL_DENY;
    if (!step->rule)
        return step->group->default_action == DEFAULT_ALLOW ? POL_ALLOW : POL_DENY;
    if (step->rule->deny)
        return POL_DENY;
    return step->rule->tls == TLS_INTERCEPT ? POL_INTERCEPT : POL_ALLOW;
}

static bool is_softened(const struct linear_list *list, const struct linear_step *step)
{
    return raw_action(list, step) == POL_DENY && rule_audits(step);
}

static bool goes_on(const struct linear_list *list, const struct linear_step *step)
{
    return list->model->audit_deny == 2 && step->rule && is_softened(list, step);
}

static void note_possible(struct walk *walk, uint8_t action)
{
    walk->can_allow |= action == POL_ALLOW;
    walk->can_deny |= action == POL_DENY;
    walk->can_intercept |= action == POL_INTERCEPT;
}

static void note_unknown(struct walk *walk, const struct linear_step *step, uint32_t index)
{
    const struct linear_list *list = walk->list;

    if (walk->unknown_count++ == 0) {
        walk->first_unknown = index;
        walk->only_denied_names = true;
    }
    if (goes_on(list, step))
        return; /* audit never drops: it makes no connection too late to intercept */
    if (step->rule->tls != TLS_NONE || !step->rule->deny)
        walk->only_denied_names = false;
    /* The chain of a certificate rule may prove broken, which denies in its own right. */
    if (step->rule->certificate && !rule_audits(step))
        walk->can_deny = true;
    note_possible(walk, is_softened(list, step) ? POL_ALLOW : raw_action(list, step));
}

static void decide(struct walk *walk, const struct linear_step *step, const struct carried *carried,
                   struct linear_outcome *out)
{
    out->raw_action = raw_action(walk->list, step);
    out->audit = is_softened(walk->list, step);
    out->action = out->audit ? POL_ALLOW : out->raw_action;
    out->reason = step->rule    ? POL_WHY_RULE
                  : step->group ? POL_WHY_GROUP_DEFAULT
                                : POL_WHY_POLICY_DEFAULT;
    if (out->action == POL_INTERCEPT && walk->facts->forwarded) {
        out->action = out->raw_action = POL_DENY;
        out->reason = POL_WHY_INTERCEPT_TOO_LATE;
    }
    out->group = step->group_number;
    out->rule = step->rule_number;
    out->named = step->rule && step->rule->pattern != NO_PATTERN && !step->rule->deny;
    out->audit_mode = rule_audits(step);
    out->carrier_count = carried->count;
    out->carrier = carried->first;
}

/* Nothing to wait for where the facts will never come: no rule decides, and the answer is no. */
static void wait_for_tls(const struct walk *walk, struct linear_outcome *out)
{
    bool no_certificate = walk->facts->tls == HELLO_SEEN && walk->facts->no_certificate;
    bool broken = walk->facts->tls == HELLO_INCOMPLETE || no_certificate;

    out->action = out->raw_action = broken ? POL_DENY : POL_PENDING;
    out->reason = broken ? POL_WHY_TLS_INCOMPLETE : POL_WHY_NEED_TLS;
    if (no_certificate)
        out->reason = POL_WHY_CERTIFICATE_MISSING;
    out->group = broken ? POL_NONE : walk->list->steps[out->resume].group_number;
    out->rule = POL_NONE;
    out->resume = broken ? POL_NONE : out->resume;
    out->audit = out->named = out->audit_mode = false;
}

/* decisions.md 3, "Pending". */
static void settle(struct walk *walk, struct linear_outcome *out)
{
    if (walk->unknown_count == 0)
        return;
    out->resume = walk->first_unknown;
    if (walk->unknown_count > UNKNOWN_MAX) {
        wait_for_tls(walk, out);
        return;
    }
    if (out->action == POL_INTERCEPT && walk->only_denied_names)
        return;
    note_possible(walk, out->action);
    if (walk->can_allow && !walk->can_deny && !walk->can_intercept)
        out->watched = true;
    else if (walk->can_allow || walk->can_intercept)
        wait_for_tls(walk, out);
}

/* A denial that a name or TLS would have averted says so. */
static void explain(const struct walk *walk, struct linear_outcome *out)
{
    if (out->raw_action != POL_DENY || out->reason == POL_WHY_INTERCEPT_TOO_LATE ||
        out->reason == POL_WHY_TLS_INCOMPLETE || out->reason == POL_WHY_CERTIFICATE_MISSING)
        return;
    if (walk->expired)
        out->reason = POL_WHY_DNS_EXPIRED;
    else if (walk->tls_failed && walk->facts->spoken && walk->facts->tls == HELLO_NOT)
        out->reason = POL_WHY_NOT_TLS;
}

/* policy-semantics.md 2.2: rules in audit mode alone; a denial among them is a finding. */
static void find_shadow(struct walk *walk, struct linear_outcome *out)
{
    struct carried carried;

    if (out->action == POL_PENDING || out->raw_action == POL_DENY)
        return;
    for (uint32_t i = 0; out->shadow_group == POL_NONE && i < walk->list->count; i++) {
        const struct linear_step *step = &walk->list->steps[i];

        if (!step->rule || !rule_audits(step) || step_holds(walk, step, &carried) != HOLDS)
            continue;
        if (!step->rule->deny)
            return;
        out->shadow_group = step->group_number;
        out->shadow_rule = step->rule_number;
    }
}

/* An audit rule that is passed over. */
static void note_shadow(const struct linear_step *step, struct linear_outcome *out)
{
    if (out->shadow_group != POL_NONE)
        return;
    out->shadow_group = step->group_number;
    out->shadow_rule = step->rule_number;
}

static bool walk_step(struct walk *walk, uint32_t index, struct linear_outcome *out)
{
    const struct linear_step *step = &walk->list->steps[index];
    struct carried carried;
    enum holds holds = step_holds(walk, step, &carried);

    walk->expired |= carried.expired;
    if ((holds == HOLDS && goes_on(walk->list, step)) || (holds == BROKEN && rule_audits(step))) {
        note_shadow(step, out);
    } else if (holds == HOLDS || (holds != FAILS && walk->unknown_count > UNKNOWN_MAX)) {
        decide(walk, step, &carried, out);
        return true;
    } else if (holds != FAILS) {
        note_unknown(walk, step, index);
    }
    return false;
}

void linear_walk(const struct linear_list *list, const struct linear_grants *grants,
                 const struct linear_facts *facts, uint32_t from, pol_mono now,
                 struct linear_outcome *out)
{
    struct walk walk = {.list = list, .grants = grants, .facts = facts, .now = now};

    *out = (struct linear_outcome){
        .resume = POL_NONE, .shadow_group = POL_NONE, .shadow_rule = POL_NONE, .carrier = POL_NONE};
    for (uint32_t i = from; !walk_step(&walk, i, out); i++)
        continue;
    settle(&walk, out);
    explain(&walk, out);
    find_shadow(&walk, out);
}

/* --- queries -------------------------------------------------------------------------------- */

static bool acts_on_query(const struct model_rule *rule)
{
    bool bare = rule->any_proto && rule->dst_count == 0 && rule->src_port_count == 0 &&
                rule->dst_port_count == 0 && rule->type_count == 0 && rule->code_count == 0 &&
                rule->tls == TLS_NONE;

    return rule->pattern != NO_PATTERN && (!rule->deny || bare);
}

static bool is_asked(const struct linear_step *step, const pol_addr *client)
{
    return !client || group_has(step->group, client);
}

static bool query_rule(const struct linear_list *list, uint32_t step, int name)
{
    const struct model_rule *rule = list->steps[step].rule;

    return rule && acts_on_query(rule) && pattern_matches(rule->pattern, name) &&
           !goes_on(list, &list->steps[step]);
}

/* The first rule that decides a query; *ret_strict is the first group asked with hostname rules. */
static uint32_t deciding_rule(const struct linear_list *list, const pol_addr *client, int name,
                              uint32_t *ret_strict)
{
    *ret_strict = POL_NONE;
    for (uint32_t i = 0; i + 1 < list->count; i++) {
        const struct linear_step *step = &list->steps[i];

        if (!is_asked(step, client))
            continue;
        if (step->rule && acts_on_query(step->rule) && *ret_strict == POL_NONE)
            *ret_strict = i;
        if (query_rule(list, i, name))
            return i;
        if (!step->rule && step->group->default_action != DEFAULT_NONE)
            return POL_NONE;
    }
    return POL_NONE;
}

/* For all: no group stands in another's way. The first that allows the name decides, and if none
 * does, the first that has a rule for it. */
static uint32_t rule_for_all(const struct linear_list *list, int name, uint32_t *ret_strict)
{
    uint32_t denies = POL_NONE, done = POL_NONE;

    *ret_strict = POL_NONE;
    for (uint32_t i = 0; i + 1 < list->count; i++) {
        const struct linear_step *step = &list->steps[i];

        if (step->rule && acts_on_query(step->rule) && *ret_strict == POL_NONE)
            *ret_strict = i;
        if (step->group_number == done || !query_rule(list, i, name))
            continue;
        done = step->group_number;
        if (!step->rule->deny)
            return i;
        if (denies == POL_NONE)
            denies = i;
    }
    return denies;
}

bool linear_has_names(const struct linear_list *list, const pol_addr *client)
{
    for (uint32_t i = 0; i + 1 < list->count; i++) {
        const struct linear_step *step = &list->steps[i];

        if (step->rule && acts_on_query(step->rule) && is_asked(step, client))
            return true;
    }
    return false;
}

static void add_grantee(struct linear_query *out, uint32_t group)
{
    for (uint32_t i = 0; i < out->grantee_count; i++) {
        if (out->grantees[i] == group)
            return;
    }
    if (out->grantee_count < GRANTEES_MAX)
        out->grantees[out->grantee_count++] = group;
}

/* Every group with the client whose first rule for the name allows it. */
static void add_grantees(const struct linear_list *list, const pol_addr *client, int name,
                         struct linear_query *out)
{
    uint32_t done = POL_NONE;

    for (uint32_t i = 0; i + 1 < list->count; i++) {
        const struct linear_step *step = &list->steps[i];

        if (step->group_number == done || !is_asked(step, client) || !query_rule(list, i, name))
            continue;
        done = step->group_number;
        if (!step->rule->deny)
            add_grantee(out, step->group_number);
    }
}

static void deny_query(struct linear_query *out, const struct linear_step *step, bool audit)
{
    out->raw_action = POL_DENY;
    out->action = audit ? POL_ALLOW : POL_ANSWER;
    out->audit = audit;
    out->kind = POL_GRANT_OBSERVED;
    if (audit)
        add_grantee(out, step->group_number);
}

void linear_ask(const struct linear_list *list, const pol_addr *client, int name,
                struct linear_query *out)
{
    uint32_t strict, index = client ? deciding_rule(list, client, name, &strict)
                                    : rule_for_all(list, name, &strict);
    const struct linear_step *step;

    *out = (struct linear_query){
        .action = POL_ANSWER, .reason = POL_WHY_DNS_NO_RULE, .group = POL_NONE, .rule = POL_NONE};
    if (index == POL_NONE && strict == POL_NONE)
        return;
    step = &list->steps[index != POL_NONE ? index : strict];
    out->group = step->group_number;
    if (index == POL_NONE) {
        deny_query(out, step, step->group->mode == MODE_AUDIT);
    } else {
        out->rule = step->rule_number;
        out->reason = POL_WHY_RULE;
        out->raw_action = out->action = POL_ALLOW;
        out->kind = POL_GRANT_ALLOWED;
        if (step->rule->deny)
            deny_query(out, step, rule_audits(step));
    }
    if (out->action == POL_ALLOW)
        add_grantees(list, client, name, out);
}

static uint32_t group_id(const struct linear_list *list, uint32_t number)
{
    for (uint32_t i = 0; i + 1 < list->count; i++) {
        if (list->steps[i].group_number == number)
            return list->steps[i].group->id;
    }
    abort();
}

static struct linear_grant *find_grant(struct linear_grants *grants, uint32_t id, int name,
                                       const pol_addr *addr)
{
    for (uint32_t i = 0; i < grants->count; i++) {
        struct linear_grant *grant = &grants->list[i];

        if (grant->group_id == id && grant->name == name &&
            memcmp(&grant->addr, addr, sizeof(*addr)) == 0)
            return grant;
    }
    return NULL;
}

void linear_learn(const struct linear_list *list, struct linear_grants *grants,
                  const struct linear_query *query, int name, const pol_addr *addr, pol_mono ttl,
                  pol_mono now)
{
    for (uint32_t i = 0; i < query->grantee_count; i++) {
        uint32_t id = group_id(list, query->grantees[i]);
        struct linear_grant *grant = find_grant(grants, id, name, addr);

        if (!grant) {
            grant = &grants->list[grants->count++];
            *grant = (struct linear_grant){id, *addr, name, query->kind, now + ttl, false};
        }
        /* What a rule allowed lives by answers that a rule allowed. */
        if (query->kind > grant->kind && (now < grant->until || grant->pinned))
            continue;
        grant->kind = query->kind;
        if (now + ttl > grant->until)
            grant->until = now + ttl;
    }
}
