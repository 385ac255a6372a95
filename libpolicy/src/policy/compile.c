/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model to program. Everything the program points to is copied into the policy's arena; the model
 * goes away afterwards.
 */
#include "policy/compile.h"

#include <string.h>

#include "base/crypto.h"
#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "match/classify.h"
#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"
#include "pattern/patterns.h"
#include "policy/print.h"
#include "policy/sort.h"

struct compile {
    struct pol_policy *policy;
    const struct pm_policy *model;
    struct arena *scratch; /* the model's */
    struct compile_origin *origin;
    uint32_t *order;     /* sort buffer, twice as long as the longest list */
    uint32_t step, rule; /* next ones */
};

static int by_group_priority(const void *user, uint32_t a, uint32_t b)
{
    const struct pm_group *groups = user;

    return groups[a].priority < groups[b].priority ? -1 : groups[a].priority > groups[b].priority;
}

static int by_rule_priority(const void *user, uint32_t a, uint32_t b)
{
    const struct pm_rule *rules = user;

    return rules[a].priority < rules[b].priority ? -1 : rules[a].priority > rules[b].priority;
}

static const uint32_t *sorted(uint32_t *order, uint32_t count, sort_compare compare,
                              const void *user)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    sort_indexes(order, order + count, count, compare, user);
    return order;
}

static int group_key(pol_str id, uint64_t *ret_key)
{
    uint8_t digest[32];
    int rc = crypto_sha256((pol_bytes){(const uint8_t *)id.ptr, id.len}, digest);

    if (rc < 0)
        return rc;
    *ret_key = 0;
    for (int i = 0; i < 8; i++)
        *ret_key = *ret_key << 8 | digest[i];
    return POL_OK;
}

static void set_octets(struct pp_octets *set, const uint8_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        set->bits[values[i] >> 5] |= UINT32_C(1) << (values[i] & 31);
}

/* Types and codes as written; for a bare `icmp` or `icmpv6` those of decisions about what a host
 * needs in order to work: errors, and for IPv6 the answer to a ping. */
static int compile_icmp(struct arena *arena, const struct pm_match *match,
                        const struct pp_icmp **ret_icmp)
{
    static const uint8_t types4[] = {0, 3, 11}, codes4[] = {0, 4}, types6[] = {1, 2, 3, 4, 129};
    const struct pm_octets *types = &match->icmp_types, *codes = &match->icmp_codes;
    bool given = types->count || codes->count;
    bool v6 = !match->any_proto && match->proto_number == PROTO_ICMPV6;
    struct pp_icmp *icmp;

    if (!given && (match->any_proto || (match->proto_number != PROTO_ICMP && !v6)))
        return POL_OK;
    icmp = arena_alloc(arena, sizeof(*icmp));
    if (!icmp)
        return POL_E_NOMEM;
    *ret_icmp = icmp;
    if (given) {
        set_octets(&icmp->types, types->items, types->count);
        set_octets(&icmp->codes, codes->items, codes->count);
    } else if (v6) {
        set_octets(&icmp->types, types6, sizeof(types6));
    } else {
        set_octets(&icmp->types, types4, sizeof(types4));
        set_octets(&icmp->codes, codes4, sizeof(codes4));
    }
    icmp->any_type = given && !types->count;
    icmp->any_code = given ? !codes->count : v6;
    return POL_OK;
}

static int compile_ports(struct arena *arena, const struct pm_scalars *ports,
                         const struct portrange *ranges, const struct portset **ret_set)
{
    struct portset *set;
    int rc;

    if (!ports->count)
        return POL_OK;
    rc = portset_build(arena, ranges, ports->count, &set);
    if (rc == POL_OK)
        *ret_set = set;
    return rc;
}

static int compile_match(struct compile *c, const struct pm_match *match, struct pp_step *step)
{
    struct arena *arena = &c->policy->arena;
    struct ipset *dst;
    int rc;

    step->any_proto = match->any_proto;
    step->proto = match->proto_number;
    if (match->any_proto && (match->icmp_types.count || match->icmp_codes.count)) {
        step->any_proto = false;
        step->proto = PROTO_ICMP;
    }
    step->pattern = match->hostname.pattern;
    if (match->dst_count) {
        rc = ipset_build(arena, match->dst, match->dst_count, &dst);
        if (rc < 0)
            return rc;
        step->dst = dst;
    }
    rc = compile_ports(arena, &match->src_ports, match->src, &step->src_ports);
    if (rc < 0)
        return rc;
    rc = compile_ports(arena, &match->dst_ports, match->dsts, &step->dst_ports);
    if (rc < 0)
        return rc;
    rc = compile_icmp(arena, match, &step->icmp);
    if (rc < 0)
        return rc;
    return match->tls ? compile_tls(c->policy, match->tls, &step->tls) : POL_OK;
}

static bool has_hostname(const struct pp_step *step)
{
    return step->pattern != POL_NONE;
}

/* A deny rule with more than a hostname denies a service, not the name. */
static bool acts_on_queries(const struct pp_step *step)
{
    bool bare = step->any_proto && !step->dst && !step->src_ports && !step->dst_ports &&
                !step->icmp && !step->tls;

    return has_hostname(step) && (step->action == POL_ALLOW || bare);
}

/* The hostname of a deny rule is a condition on the SNI, which only TCP has; that of an allow rule
 * is reached through grants. */
static bool acts_on_packets(const struct pp_step *step)
{
    if (!has_hostname(step))
        return true;
    return step->action == POL_DENY && (step->any_proto || step->proto == PROTO_TCP);
}

static void note_needs(struct pol_policy *policy, const struct pp_step *step)
{
    if (has_hostname(step))
        policy->needs |= POL_NEEDS_DNS;
    if (step->tls)
        policy->needs |= POL_NEEDS_TLS;
    if (step->tls && step->tls->intercept)
        policy->needs |= POL_NEEDS_INTERCEPT;
    if (step->mode == POL_MODE_AUDIT &&
        (step->action == POL_DENY || (step->tls && step->tls->needs_certificate)))
        policy->has_audit_deny = true;
}

static int compile_rule(struct compile *c, const struct pm_rule *rule, uint32_t group_index)
{
    struct pol_policy *policy = c->policy;
    struct pp_group *group = &policy->groups[group_index];
    struct pp_step *step = &policy->steps[c->step];
    int rc;

    step->kind = PP_RULE;
    step->action = rule->deny ? POL_DENY : POL_ALLOW;
    step->mode = rule->audit ? POL_MODE_AUDIT : POL_MODE_ENFORCE;
    step->group = group_index;
    step->rule = c->rule;
    rc = compile_match(c, &rule->match, step);
    if (rc < 0)
        return rc;
    step->by_packet = acts_on_packets(step);
    step->on_query = acts_on_queries(step);
    group->has_query_rules |= step->on_query;
    group->has_hostname_allow |= has_hostname(step) && step->action == POL_ALLOW;
    note_needs(policy, step);

    policy->rule_ids[c->rule] = arena_str(&policy->arena, rule->id.text);
    if (!policy->rule_ids[c->rule].ptr)
        return POL_E_NOMEM;
    policy->rule_steps[c->rule] = c->step;
    c->origin->rules[c->rule] = rule;
    c->rule++;
    c->step++;
    return POL_OK;
}

static void compile_group_default(struct compile *c, const struct pm_group *model, uint32_t index)
{
    struct pp_step *step = &c->policy->steps[c->step++];
    bool set = model->default_action.text.ptr;

    *step = (struct pp_step){
        .kind = PP_GROUP_DEFAULT,
        .action = PP_NO_ACTION,
        .mode = model->audit ? POL_MODE_AUDIT : POL_MODE_ENFORCE,
        .any_proto = true,
        .by_packet = set,
        .group = index,
        .rule = POL_NONE,
        .pattern = POL_NONE,
    };
    if (set)
        step->action = model->default_deny ? POL_DENY : POL_ALLOW;
}

static int compile_group(struct compile *c, const struct pm_group *model, uint32_t index)
{
    struct pol_policy *policy = c->policy;
    struct pp_group *group = &policy->groups[index];
    const uint32_t *order;
    struct ipset *sources;
    int rc;

    c->origin->groups[index] = model;
    group->id = arena_str(&policy->arena, model->id.text);
    if (!group->id.ptr)
        return POL_E_NOMEM;
    rc = group_key(group->id, &group->key);
    if (rc < 0)
        return rc;
    rc = ipset_build(&policy->arena, model->sources, model->source_count, &sources);
    if (rc < 0)
        return rc;
    group->sources = sources;
    group->mode = model->audit ? POL_MODE_AUDIT : POL_MODE_ENFORCE;
    group->first = c->step;
    order = sorted(c->order, model->rule_count, by_rule_priority, model->rules);
    for (uint32_t i = 0; i < model->rule_count; i++) {
        rc = compile_rule(c, &model->rules[order[i]], index);
        if (rc < 0)
            return rc;
    }
    group->end = c->step;
    compile_group_default(c, model, index);
    return POL_OK;
}

static int allocate(struct compile *c)
{
    struct pol_policy *policy = c->policy;
    const struct pm_policy *model = c->model;
    struct arena *arena = &policy->arena;
    uint32_t longest = model->group_count;

    for (uint32_t i = 0; i < model->group_count; i++) {
        if (model->groups[i].rule_count > longest)
            longest = model->groups[i].rule_count;
    }
    policy->group_count = model->group_count;
    policy->rule_count = model->rule_count;
    policy->step_count = model->rule_count + model->group_count + 1;
    policy->steps = arena_array(arena, policy->step_count, sizeof(*policy->steps));
    policy->groups = arena_array(arena, policy->group_count, sizeof(*policy->groups));
    policy->rule_steps = arena_array(arena, policy->rule_count, sizeof(*policy->rule_steps));
    policy->rule_ids = arena_array(arena, policy->rule_count, sizeof(*policy->rule_ids));
    c->origin->groups = arena_array(c->scratch, model->group_count, sizeof(*c->origin->groups));
    c->origin->rules = arena_array(c->scratch, model->rule_count, sizeof(*c->origin->rules));
    c->order = arena_array(c->scratch, 2 * (size_t)longest, sizeof(*c->order));
    return policy->steps && policy->groups && policy->rule_steps && policy->rule_ids &&
                   c->origin->groups && c->origin->rules && c->order
               ? POL_OK
               : POL_E_NOMEM;
}

static int compile_groups(struct compile *c)
{
    const struct pm_policy *model = c->model;
    uint32_t *order = arena_array(c->scratch, 2 * (size_t)model->group_count, sizeof(*order));
    int rc = order ? POL_OK : POL_E_NOMEM;

    if (order)
        sorted(order, model->group_count, by_group_priority, model->groups);
    for (uint32_t i = 0; i < model->group_count && rc == POL_OK; i++)
        rc = compile_group(c, &model->groups[order[i]], i);
    if (rc == POL_OK)
        c->policy->steps[c->step++] = (struct pp_step){
            .kind = PP_POLICY_DEFAULT,
            .action = model->default_allow ? POL_ALLOW : POL_DENY,
            .mode = POL_MODE_ENFORCE,
            .any_proto = true,
            .by_packet = true,
            .group = POL_NONE,
            .rule = POL_NONE,
            .pattern = POL_NONE,
        };
    return rc;
}

static int compile_regexes(struct compile *c)
{
    const struct pm_patterns *list = &c->model->regexes;
    struct pol_policy *policy = c->policy;
    char error[REGEX_ERROR_TEXT];

    policy->regexes = arena_array(&policy->arena, list->count, sizeof(*policy->regexes));
    if (!policy->regexes)
        return POL_E_NOMEM;
    for (size_t i = 0; i < list->count; i++) {
        int rc = regex_compile(policy->ctx, list->items[i].text, list->items[i].caseless,
                               &policy->regexes[i], error);

        if (rc < 0)
            return rc;
        policy->regex_count++;
    }
    return POL_OK;
}

static int compile_patterns(struct compile *c)
{
    const struct pm_patterns *list = &c->model->hostnames;
    char error[REGEX_ERROR_TEXT];
    struct patterns_input *inputs;
    uint32_t bad;

    inputs = arena_array(c->scratch, list->count, sizeof(*inputs));
    if (!inputs)
        return POL_E_NOMEM;
    for (size_t i = 0; i < list->count; i++)
        inputs[i].text = list->items[i].text;
    return patterns_build(c->policy->ctx, inputs, (uint32_t)list->count, &c->policy->patterns, &bad,
                          error);
}

/* The steps of every pattern: counted, given their room in one array, filled in order. */
static int compile_by_pattern(struct compile *c)
{
    struct pol_policy *policy = c->policy;
    size_t count = c->model->hostnames.count;
    struct pp_pattern *lists = arena_array(&policy->arena, count, sizeof(*lists));
    uint32_t *steps = arena_array(&policy->arena, policy->rule_count, sizeof(*steps));
    uint32_t **next = arena_array(c->scratch, count, sizeof(*next));

    if (!lists || !steps || !next)
        return POL_E_NOMEM;
    policy->by_pattern = lists;
    for (uint32_t i = 0; i < policy->step_count; i++) {
        if (has_hostname(&policy->steps[i]))
            lists[policy->steps[i].pattern].count++;
    }
    for (size_t i = 0; i < count; i++) {
        lists[i].steps = next[i] = steps;
        steps += lists[i].count;
    }
    for (uint32_t i = 0; i < policy->step_count; i++) {
        if (has_hostname(&policy->steps[i]))
            *next[policy->steps[i].pattern]++ = i;
    }
    return POL_OK;
}

static bool take_packet(const struct pp_step *step)
{
    return step->by_packet;
}

static bool take_audit(const struct pp_step *step)
{
    return step->by_packet && step->kind == PP_RULE && step->mode == POL_MODE_AUDIT;
}

static int compile_classifiers(struct pol_policy *policy)
{
    int rc;

    rc = classify_build(&policy->arena, policy->steps, policy->step_count, policy->groups,
                        policy->group_count, take_packet, &policy->by_packet);
    if (rc < 0 || !policy->has_audit_deny)
        return rc;
    return classify_build(&policy->arena, policy->steps, policy->step_count, policy->groups,
                          policy->group_count, take_audit, &policy->by_packet_audit);
}

/* Written twice: once for the length. */
static int compile_json(struct compile *c)
{
    struct pol_policy *policy = c->policy;
    struct buf out = buf_of(NULL, 0);
    char *text;

    print_policy(&out, c->model);
    text = arena_alloc(&policy->arena, out.len);
    if (!text)
        return POL_E_NOMEM;
    policy->json = (pol_str){text, out.len};
    out = buf_of(text, out.len);
    print_policy(&out, c->model);
    return crypto_sha256((pol_bytes){(const uint8_t *)text, policy->json.len}, policy->digest);
}

int compile_program(struct pol_policy *policy, const struct pm_policy *model,
                    struct arena *model_arena, struct compile_origin *ret_origin)
{
    static int (*const parts[])(struct compile *) = {
        allocate,         compile_regexes,    compile_groups,
        compile_patterns, compile_by_pattern, compile_json,
    };
    struct compile c = {
        .policy = policy, .model = model, .scratch = model_arena, .origin = ret_origin};
    int rc = POL_OK;

    policy->audit_continues =
        model->audit_deny.text.ptr && str_equal(model->audit_deny.text, STR("continue"));
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && rc == POL_OK; i++)
        rc = parts[i](&c);
    return rc < 0 ? rc : compile_classifiers(policy);
}
