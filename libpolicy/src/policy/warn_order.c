/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings about the order of rules. Comparing every rule with every earlier one would be
 * quadratic, so the work is bounded and large policies are searched less thoroughly: a rule is
 * compared with the first CANDIDATES unconditional rules of its group, and with up to WIDE rules
 * for any destination of each of the first DECIDERS earlier groups; BUDGET caps the whole, counted
 * in comparisons plus address ranges looked at. A missing warning proves nothing, a warning is
 * always right.
 */
#include <stdio.h>

#include "net/portset.h"
#include "policy/warn.h"

enum { CANDIDATES = 512, DECIDERS = 256, WIDE = 8, WAITING = 256, BUDGET = 32 * 1024 * 1024 };

/* An earlier group that may decide everything, or much, for its sources. */
struct decider {
    uint32_t group;
    uint32_t count;
    const struct pp_step *wide[WIDE];
    const struct pp_step *group_default; /* NULL: none */
};

struct order {
    struct warn *warn;
    const struct pp_step **candidates;
    uint32_t candidate_count;
    struct decider *deciders;
    uint32_t decider_count;
    const struct pp_step **waiting; /* rules that let a flow through until its TLS facts arrive */
    uint32_t waiting_count;
    int64_t budget;
};

static void spend(int64_t *budget, const struct ipset *a, const struct ipset *b)
{
    *budget -=
        1 + (a ? (int64_t)ipset_range_count(a) : 0) + (b ? (int64_t)ipset_range_count(b) : 0);
}

static bool octets_cover(const struct pp_octets *outer, const struct pp_octets *inner)
{
    for (int i = 0; i < 8; i++) {
        if (inner->bits[i] & ~outer->bits[i])
            return false;
    }
    return true;
}

static bool icmp_covers(const struct pp_icmp *outer, const struct pp_icmp *inner)
{
    if (!outer)
        return true;
    if (!inner)
        return false;
    return (outer->any_type || (!inner->any_type && octets_cover(&outer->types, &inner->types))) &&
           (outer->any_code || (!inner->any_code && octets_cover(&outer->codes, &inner->codes)));
}

static bool ports_cover(int64_t *budget, const struct portset *outer, const struct portset *inner)
{
    if (!outer || !inner)
        return !outer;
    *budget -= (int64_t)inner->count;
    return portset_covers(outer, inner);
}

bool warn_covers(int64_t *budget, const struct pp_step *outer, const struct pp_step *inner)
{
    spend(budget, NULL, NULL);
    if (!outer->any_proto && (inner->any_proto || outer->proto != inner->proto))
        return false;
    /* Audit rules are walked a second time by themselves, so others do not hide them. */
    if (inner->mode == POL_MODE_AUDIT && outer->mode != POL_MODE_AUDIT)
        return false;
    if (!ports_cover(budget, outer->src_ports, inner->src_ports) ||
        !ports_cover(budget, outer->dst_ports, inner->dst_ports) ||
        !icmp_covers(outer->icmp, inner->icmp))
        return false;
    if (!outer->dst)
        return true;
    spend(budget, outer->dst, inner->dst);
    return inner->dst && ipset_covers(outer->dst, inner->dst);
}

/* Does the walk always end at a step that matches? */
static bool ends_walk(const struct order *o, const struct pp_step *step)
{
    bool goes_on = o->warn->policy->audit_continues && step->mode == POL_MODE_AUDIT &&
                   step->action == POL_DENY;

    return step->pattern == POL_NONE && !step->tls && step->action != PP_NO_ACTION && !goes_on;
}

static const struct pp_step *find_in_group(struct order *o, const struct pp_step *step)
{
    for (uint32_t i = 0; i < o->candidate_count && o->budget > 0; i++) {
        if (warn_covers(&o->budget, o->candidates[i], step))
            return o->candidates[i];
    }
    return NULL;
}

/* "rule X", or "rule X of group Y" when that is another group. */
struct place {
    char text[2 * 128 + 32];
};

static struct place place_of(const struct order *o, const struct pp_step *outer, uint32_t group)
{
    const struct pm_rule *rule = warn_origin(o->warn, outer);
    pol_str id = o->warn->policy->groups[outer->group].id;
    struct place place;
    int len = snprintf(place.text, sizeof(place.text), "rule %.*s", DIAG_ECHO(rule->id.text));

    if (outer->group != group)
        snprintf(place.text + len, sizeof(place.text) - (size_t)len, " of group %.*s",
                 DIAG_ECHO(id));
    return place;
}

static const struct pp_step *find_outer(struct order *o, const struct pp_step *step,
                                        const struct decider *const *before, uint32_t before_count)
{
    const struct pp_step *outer = find_in_group(o, step);

    for (uint32_t i = 0; i < before_count && !outer; i++) {
        for (uint32_t j = 0; j < before[i]->count && !outer && o->budget > 0; j++) {
            if (warn_covers(&o->budget, before[i]->wide[j], step))
                outer = before[i]->wide[j];
        }
    }
    return outer;
}

/* A hostname rule that acts on queries does so even where its packets are decided earlier. That is
 * meant where it allows every name. */
static void report_covered(struct order *o, const struct pp_step *step, const struct pp_step *outer)
{
    struct place place = place_of(o, outer, step->group);

    if (!step->on_query)
        warn_rule(o->warn, step, POL_DIAG_SHADOWED, POL_NONE,
                  "never reached: %s comes first and matches everything that this one does",
                  place.text);
    else if (!warn_allows_every_name(o->warn, step))
        warn_rule(o->warn, step, POL_DIAG_PACKET_DECIDED, POL_NONE,
                  "acts on queries only: %s comes first and %s its connections, whatever their "
                  "name; put this rule first",
                  place.text, warn_verb(outer));
}

static void check_rule(struct order *o, const struct pp_step *step,
                       const struct decider *const *before, uint32_t before_count)
{
    const struct pp_step *outer = find_outer(o, step, before, before_count);

    if (outer)
        report_covered(o, step, outer);
    else if (ends_walk(o, step) && o->candidate_count < CANDIDATES)
        o->candidates[o->candidate_count++] = step;
}

static void report_group(struct order *o, uint32_t index, const struct decider *decider)
{
    const struct pm_group *group = o->warn->origin->groups[index];

    diag_value(o->warn->diags, POL_DIAG_SHADOWED, group->at,
               "group %.*s: never reached: group %.*s comes first, has all of its sources and a "
               "default_action",
               DIAG_ECHO(group->id.text), DIAG_ECHO(o->warn->policy->groups[decider->group].id));
}

/* The earlier groups whose sources hold all of this one's. False when one of them decides
 * everything by its default, which was reported. */
static bool find_deciders(struct order *o, uint32_t index, const struct decider **before,
                          uint32_t *ret_count)
{
    const struct pp_group *group = &o->warn->policy->groups[index];

    *ret_count = 0;
    for (uint32_t i = 0; i < o->decider_count && o->budget > 0; i++) {
        const struct decider *decider = &o->deciders[i];
        const struct ipset *sources = o->warn->policy->groups[decider->group].sources;

        spend(&o->budget, sources, group->sources);
        if (!ipset_covers(sources, group->sources))
            continue;
        if (decider->group_default) {
            report_group(o, index, decider);
            return false;
        }
        before[(*ret_count)++] = decider;
    }
    return true;
}

static void note_decider(struct order *o, uint32_t index)
{
    const struct pp_group *group = &o->warn->policy->groups[index];
    const struct pp_step *group_default = &o->warn->policy->steps[group->end];
    struct decider *decider = &o->deciders[o->decider_count];

    if (o->decider_count == DECIDERS)
        return;
    *decider = (struct decider){.group = index};
    if (ends_walk(o, group_default))
        decider->group_default = group_default;
    for (uint32_t i = 0; i < o->candidate_count && decider->count < WIDE; i++) {
        if (!o->candidates[i]->dst)
            decider->wide[decider->count++] = o->candidates[i];
    }
    if (decider->count || decider->group_default)
        o->decider_count++;
}

/* Such a rule cannot hold before the ClientHello is there, and the flow goes on meanwhile. The
 * exceptions are a deny rule with nothing but a hostname, which the interceptor applies itself, and
 * one that is only recorded. */
static bool waits(const struct pol_policy *policy, const struct pp_step *step)
{
    if (policy->audit_continues && step->action == POL_DENY && step->mode == POL_MODE_AUDIT)
        return false;
    if (step->tls)
        return !step->tls->intercept;
    return step->pattern != POL_NONE && step->action == POL_DENY && step->by_packet &&
           !step->on_query;
}

/* Both are in order, and as long as 32768 ranges. */
static bool port_sets_meet(int64_t *budget, const struct portset *a, const struct portset *b)
{
    uint32_t i = 0, j = 0;

    if (!a || !b)
        return true;
    *budget -= (int64_t)a->count + (int64_t)b->count;
    while (i < a->count && j < b->count) {
        if (a->ranges[i].last < b->ranges[j].first)
            i++;
        else if (b->ranges[j].last < a->ranges[i].first)
            j++;
        else
            return true;
    }
    return false;
}

static bool meet(struct order *o, const struct pp_step *a, const struct pp_step *b)
{
    const struct pp_group *groups = o->warn->policy->groups;

    spend(&o->budget, a->dst, b->dst);
    if (!port_sets_meet(&o->budget, a->src_ports, b->src_ports) ||
        !port_sets_meet(&o->budget, a->dst_ports, b->dst_ports))
        return false;
    if (a->dst && b->dst && !warn_sets_meet(a->dst, b->dst))
        return false;
    if (a->group == b->group)
        return true;
    spend(&o->budget, groups[a->group].sources, groups[b->group].sources);
    return warn_sets_meet(groups[a->group].sources, groups[b->group].sources);
}

static void check_intercept(struct order *o, const struct pp_step *step)
{
    if (waits(o->warn->policy, step) && o->waiting_count < WAITING)
        o->waiting[o->waiting_count++] = step;
    if (!step->tls || !step->tls->intercept)
        return;
    for (uint32_t i = 0; i < o->waiting_count && o->budget > 0; i++) {
        if (!meet(o, o->waiting[i], step))
            continue;
        warn_rule(o->warn, step, POL_DIAG_INTERCEPT_LATE, POL_NONE,
                  "rule %.*s comes first and lets the connection begin until its TLS facts are "
                  "known; then it is too late to intercept it, and it is denied; put the intercept "
                  "rule first",
                  DIAG_ECHO(warn_origin(o->warn, o->waiting[i])->id.text));
        return;
    }
}

static void check_group(struct order *o, uint32_t index, const struct decider **before)
{
    const struct pol_policy *policy = o->warn->policy;
    const struct pp_group *group = &policy->groups[index];
    uint32_t before_count;
    bool reached;

    o->candidate_count = 0;
    reached = find_deciders(o, index, before, &before_count);
    for (uint32_t i = group->first; i < group->end; i++) {
        if (reached)
            check_rule(o, &policy->steps[i], before, before_count);
        check_intercept(o, &policy->steps[i]);
    }
    note_decider(o, index);
}

int warn_order(struct warn *warn)
{
    struct order o = {.warn = warn, .budget = BUDGET};
    const struct decider **before = arena_array(warn->scratch, DECIDERS, sizeof(*before));

    o.candidates = arena_array(warn->scratch, CANDIDATES, sizeof(*o.candidates));
    o.deciders = arena_array(warn->scratch, DECIDERS, sizeof(*o.deciders));
    o.waiting = arena_array(warn->scratch, WAITING, sizeof(*o.waiting));
    if (!before || !o.candidates || !o.deciders || !o.waiting)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < warn->policy->group_count; i++)
        check_group(&o, i, before);
    return POL_OK;
}
