/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings about groups by themselves, and about priorities in a list of groups or rules. */
#include "base/slice.h"
#include "policy/warn.h"

static void warn_no_effect(struct warn *warn, const struct pm_group *group)
{
    if (!group->rule_count && !group->default_action.text.ptr)
        diag_value(warn->diags, POL_DIAG_NO_EFFECT, group->at,
                   "group %.*s: decides nothing: it has no rules and no default_action",
                   DIAG_ECHO(group->id.text));
}

static void warn_reserved_id(struct warn *warn, const struct pm_group *group)
{
    bool other = str_equal(group->id.text, STR("_other"));

    if (other || str_equal(group->id.text, STR("default")))
        diag_value(warn->diags, POL_DIAG_RESERVED_ID, group->id.at,
                   "reports and metrics say \"%s\" for %s; give the group another id",
                   other ? "_other" : "default",
                   other ? "the groups that have no label of their own"
                         : "what no group has decided");
}

static void warn_half_of_sources(struct warn *warn, uint32_t index)
{
    const struct pp_group *group = &warn->policy->groups[index];
    unsigned half = warn_half_of_all(group->sources);

    if (half && !group->has_query_rules && !group->has_hostname_allow)
        diag_value(warn->diags, POL_DIAG_HALF_OF_ALL, warn->origin->groups[index]->sources_at,
                   "group %.*s: holds every %s address and no %s one; add \"%s\" to its sources",
                   DIAG_ECHO(group->id), half == WARN_V4 ? "IPv4" : "IPv6",
                   half == WARN_V4 ? "IPv6" : "IPv4", half == WARN_V4 ? "::/0" : "0.0.0.0/0");
}

/* Audit lets the queries through. */
static void warn_no_name_allowed(struct warn *warn, uint32_t index)
{
    const struct pp_group *group = &warn->policy->groups[index];

    if (group->has_query_rules && !group->has_hostname_allow && group->mode == POL_MODE_ENFORCE)
        diag_value(warn->diags, POL_DIAG_NO_NAME_ALLOWED, warn->origin->groups[index]->at,
                   "group %.*s: denies names and allows none, so every query that no other group "
                   "allows is denied; add an allow rule with \"dns_hostname\": \".*\"",
                   DIAG_ECHO(group->id));
}

/* An element of a list that is sorted by priority. */
struct ranked {
    uint32_t at, priority;
    bool is_explicit;
    pol_str id;
};

struct list {
    const char *what;
    uint32_t count;
    const struct pm_group *groups; /* one of the two */
    const struct pm_rule *rules;
};

static struct ranked ranked_at(const struct list *list, uint32_t i)
{
    const struct pm_group *group = list->groups ? &list->groups[i] : NULL;
    const struct pm_rule *rule = list->rules ? &list->rules[i] : NULL;

    if (group)
        return (struct ranked){group->at, group->priority, group->priority_at != POL_NONE,
                               group->id.text};
    return (struct ranked){rule->at, rule->priority, rule->priority_at != POL_NONE, rule->id.text};
}

static void report_mixed(struct warn *warn, const struct list *list, const struct ranked *implied,
                         const struct ranked *other, bool comes_first)
{
    diag_value(warn->diags, POL_DIAG_MIXED_PRIORITY, implied->at,
               "%s %.*s: has no priority and counts as %u, so it comes %s %.*s with priority %u; "
               "give all of them a priority or none",
               list->what, DIAG_ECHO(implied->id), implied->priority,
               comes_first ? "before" : "behind", DIAG_ECHO(other->id), other->priority);
}

/* Against the highest priority that was written before it. */
static bool check_forward(struct warn *warn, const struct list *list)
{
    struct ranked highest = {0};

    for (uint32_t i = 0; i < list->count; i++) {
        struct ranked present = ranked_at(list, i);

        if (!present.is_explicit && highest.is_explicit && present.priority < highest.priority) {
            report_mixed(warn, list, &present, &highest, true);
            return true;
        }
        if (present.is_explicit && (!highest.is_explicit || present.priority > highest.priority))
            highest = present;
    }
    return false;
}

/* Against the lowest that is written behind it. */
static void check_backward(struct warn *warn, const struct list *list)
{
    struct ranked lowest = {0};

    for (uint32_t i = list->count; i-- > 0;) {
        struct ranked present = ranked_at(list, i);

        if (!present.is_explicit && lowest.is_explicit && present.priority > lowest.priority) {
            report_mixed(warn, list, &present, &lowest, false);
            return;
        }
        if (present.is_explicit && (!lowest.is_explicit || present.priority < lowest.priority))
            lowest = present;
    }
}

/* One warning is enough for a list. */
static void warn_mixed(struct warn *warn, const struct list *list)
{
    if (!check_forward(warn, list))
        check_backward(warn, list);
}

void warn_groups(struct warn *warn, const struct pm_policy *model)
{
    warn_mixed(warn, &(struct list){"group", model->group_count, model->groups, NULL});
    for (uint32_t i = 0; i < model->group_count; i++) {
        const struct pm_group *group = &model->groups[i];

        warn_no_effect(warn, group);
        warn_reserved_id(warn, group);
        warn_mixed(warn, &(struct list){"rule", group->rule_count, NULL, group->rules});
    }
    for (uint32_t i = 0; i < warn->policy->group_count; i++) {
        warn_half_of_sources(warn, i);
        warn_no_name_allowed(warn, i);
    }
}
