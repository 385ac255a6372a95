/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings about hostname rules of one group that stand behind another one for the same names.
 * Names are compared where both patterns are lists of names and suffixes; a rule is compared with
 * the first EARLIER such rules of its group, and BUDGET caps the whole, as in warn_order.c.
 */
#include "base/slice.h"
#include "pattern/shape.h"
#include "policy/warn.h"

/* A shape costs as much as some hundred comparisons. EVERY_NAME is longer than ^(?:.*)$ */
enum { EARLIER = 64, BUDGET = 4 * 1024 * 1024, SHAPE_COST = 256, EVERY_NAME = 16 };

struct named {
    const struct pp_step *step;
    struct shape shape;
};

struct query {
    struct warn *warn;
    struct named *earlier; /* the one behind the last is for the rule that is looked at */
    uint32_t count;
    int64_t budget;
};

static bool ends_below(pol_str name, pol_str suffix)
{
    size_t rest = name.len - suffix.len;

    return name.len > suffix.len && name.ptr[rest - 1] == '.' &&
           memcmp(name.ptr + rest, suffix.ptr, suffix.len) == 0;
}

/* No name begins with a dot, so SHAPE_BELOW and SHAPE_BEHIND_DOT are for the same names. */
static bool item_covers(const struct shape_item *outer, const struct shape_item *inner)
{
    if (outer->place == SHAPE_EVERY)
        return true;
    if (inner->place == SHAPE_EVERY || inner->place == SHAPE_NOT_EMPTY)
        return outer->place == inner->place;
    if (outer->place == SHAPE_NOT_EMPTY)
        return true;
    if (outer->place == SHAPE_WHOLE)
        return inner->place == SHAPE_WHOLE && str_equal(outer->literal, inner->literal);
    return ends_below(inner->literal, outer->literal) ||
           (inner->place != SHAPE_WHOLE && str_equal(outer->literal, inner->literal));
}

static bool shape_covers(struct query *q, const struct shape *outer, const struct shape *inner)
{
    for (size_t i = 0; i < inner->count; i++) {
        bool covered = false;

        for (size_t j = 0; j < outer->count && !covered; j++)
            covered = item_covers(&outer->items[j], &inner->items[i]);
        q->budget -= (int64_t)outer->count;
        if (!covered)
            return false;
    }
    return true;
}

/* False when the rule has no names that can be compared. */
static bool take_rule(struct query *q, const struct pp_step *step)
{
    struct named *named = &q->earlier[q->count];

    named->step = step;
    if (step->pattern == POL_NONE)
        return false;
    q->budget -= SHAPE_COST;
    return shape_of(q->warn->model->hostnames.items[step->pattern].text, &named->shape);
}

bool warn_allows_every_name(const struct warn *warn, const struct pp_step *step)
{
    struct shape shape;
    pol_str pattern;

    if (step->action != POL_ALLOW || step->pattern == POL_NONE)
        return false;
    pattern = warn->model->hostnames.items[step->pattern].text;
    return pattern.len <= EVERY_NAME && shape_of(pattern, &shape) && shape.count == 1 &&
           shape.items[0].place >= SHAPE_EVERY;
}

/* Audit rules are asked a second time by themselves, so others do not hide them. */
static bool decides_query(const struct query *q, const struct pp_step *outer,
                          const struct pp_step *inner)
{
    bool goes_on = q->warn->policy->audit_continues && outer->mode == POL_MODE_AUDIT &&
                   outer->action == POL_DENY;

    return outer->on_query && inner->on_query && !goes_on &&
           (inner->mode != POL_MODE_AUDIT || outer->mode == POL_MODE_AUDIT);
}

static void report_query(struct query *q, const struct pp_step *outer, const struct pp_step *inner)
{
    warn_rule(q->warn, inner, POL_DIAG_QUERY_DECIDED, POL_NONE,
              "%s no query: rule %.*s comes first and %s all of its names; put this rule first",
              inner->action == POL_ALLOW ? "allows" : "denies",
              DIAG_ECHO(warn_origin(q->warn, outer)->id.text), warn_verb(outer));
}

/* Special addresses fulfil a hostname only in a rule that lists them, so a rule with destinations
 * is reached behind one without. */
static bool decides_all(struct query *q, const struct pp_step *outer, const struct pp_step *inner)
{
    return outer->action == POL_ALLOW && inner->action == POL_ALLOW && !outer->tls &&
           !outer->dst == !inner->dst && warn_covers(&q->budget, outer, inner);
}

/* True when it was reported. */
static bool compare(struct query *q, const struct named *outer)
{
    const struct named *present = &q->earlier[q->count];
    const struct pp_step *inner = present->step;

    if (!decides_query(q, outer->step, inner) || !shape_covers(q, &outer->shape, &present->shape))
        return false;
    if (outer->step->action != inner->action) {
        report_query(q, outer->step, inner);
        return true;
    }
    if (!decides_all(q, outer->step, inner))
        return false;
    warn_rule(q->warn, inner, POL_DIAG_SHADOWED, POL_NONE,
              "never reached: rule %.*s comes first and allows all of its names and connections",
              DIAG_ECHO(warn_origin(q->warn, outer->step)->id.text));
    return true;
}

static void check_group(struct query *q, const struct pp_group *group)
{
    q->count = 0;
    for (uint32_t i = group->first; i < group->end && q->budget > 0; i++) {
        bool said = false;

        if (!take_rule(q, &q->warn->policy->steps[i]))
            continue;
        for (uint32_t j = 0; j < q->count && !said && q->budget > 0; j++)
            said = compare(q, &q->earlier[j]);
        q->count += !said && q->count < EARLIER;
    }
}

int warn_query(struct warn *warn)
{
    struct query q = {.warn = warn, .budget = BUDGET};

    q.earlier = arena_array(warn->scratch, EARLIER + 1, sizeof(*q.earlier));
    if (!q.earlier)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < warn->policy->group_count; i++)
        check_group(&q, &warn->policy->groups[i]);
    return POL_OK;
}
