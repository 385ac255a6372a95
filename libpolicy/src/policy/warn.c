/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/warn.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/slice.h"
#include "net/proto.h"
#include "pattern/syntax.h"

enum { V4 = 1, V6 = 2 };

void warn_rule(struct warn *warn, const struct pp_step *step, uint32_t code, uint32_t at,
               const char *format, ...)
{
    const struct pm_rule *rule = warn_origin(warn, step);
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    diag_value(warn->diags, code, at == POL_NONE ? rule->at : at, "rule %.*s: %s",
               DIAG_ECHO(rule->id.text), text);
}

const struct pm_rule *warn_origin(const struct warn *warn, const struct pp_step *step)
{
    return warn->origin->rules[step->rule];
}

bool warn_sets_meet(const struct ipset *a, const struct ipset *b)
{
    size_t i = 0, j = 0;

    while (i < ipset_range_count(a) && j < ipset_range_count(b)) {
        struct iprange x = ipset_range(a, i), y = ipset_range(b, j);

        if (addr_compare(&x.last, &y.first) < 0)
            i++;
        else if (addr_compare(&y.last, &x.first) < 0)
            j++;
        else
            return true;
    }
    return false;
}

/* Ranges are sorted with IPv4 first, so the ends tell. NULL is any address. */
static unsigned families(const struct ipset *set)
{
    size_t count = set ? ipset_range_count(set) : 0;

    if (!count)
        return V4 | V6;
    return (ipset_range(set, 0).first.family == 4 ? V4 : V6) |
           (ipset_range(set, count - 1).first.family == 4 ? V4 : V6);
}

static bool is_ascii(pol_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

static void warn_patterns(struct warn *warn, const struct pm_policy *model)
{
    for (size_t i = 0; i < model->hostnames.count; i++) {
        const struct pm_pattern *pattern = &model->hostnames.items[i];

        if (pattern->engine)
            diag_value(warn->diags, POL_DIAG_SLOW_PATTERN, pattern->at,
                       "dns_hostname \"%.*s\" needs the regex engine for every name; "
                       "^a\\.example$ and ^(?:.+\\.)?example$ are looked up instead",
                       DIAG_ECHO(pattern->text));
    }
}

static void warn_hostname(struct warn *warn, const struct pp_step *step,
                          const struct pm_pattern *pattern)
{
    const struct pm_rule *rule = warn_origin(warn, step);
    uint32_t at = rule->match.hostname.text.at;

    if (!is_ascii(pattern->text))
        warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at,
                  "dns_hostname has characters beyond ASCII, which no name has; write the xn-- "
                  "form");
    if (step->action == POL_ALLOW && pattern->engine && !syntax_is_anchored(pattern->text))
        warn_rule(warn, step, POL_DIAG_UNANCHORED, at,
                  "dns_hostname is searched anywhere in the name, so it also allows names that "
                  "merely contain it; begin it with ^ and end it with $");
    if (step->action == POL_DENY && !step->by_packet && !step->on_query)
        warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at,
                  "a deny rule for a hostname and a service acts on the TLS server name, which "
                  "only tcp has");
    else if (step->action == POL_DENY && !step->on_query)
        warn_rule(warn, step, POL_DIAG_DENY_SERVICE, at,
                  "denies a service of this hostname, so queries for the name are not denied; "
                  "leave only dns_hostname in match to deny them");
}

static void warn_families(struct warn *warn, const struct pp_step *step)
{
    const struct pm_match *match = &warn_origin(warn, step)->match;
    const struct pp_group *group = &warn->policy->groups[step->group];
    uint32_t at = match->dst_cidrs.count ? match->dst_cidrs.at : match->dst_ips.at;
    unsigned usable = families(step->dst);

    if (!step->any_proto && (step->proto == PROTO_ICMP || step->proto == PROTO_ICMPV6)) {
        usable &= step->proto == PROTO_ICMP ? V4 : V6;
        if (!usable) {
            warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at,
                      "icmp is IPv4 and icmpv6 is IPv6, and no destination is of that family");
            return;
        }
    }
    if (!(usable & families(group->sources)))
        warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at,
                  "the group's sources are all of the other IP family");
}

static void warn_ports(struct warn *warn, const struct pp_step *step)
{
    const struct pm_match *match = &warn_origin(warn, step)->match;
    uint32_t at = match->src_ports.count ? match->src_ports.at : match->dst_ports.at;
    bool ports = step->src_ports || step->dst_ports;

    if (step->any_proto)
        return;
    if (ports && !proto_has_ports(step->proto))
        warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at, "protocol %s has no ports",
                  proto_name(step->proto));
    else if (step->tls && step->proto != PROTO_TCP)
        warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, match->tls->at,
                  "only tcp carries TLS, and icmp types or codes make this an icmp rule");
}

static void warn_one_family(struct warn *warn, uint32_t index)
{
    const struct pp_group *group = &warn->policy->groups[index];
    const struct pm_group *model = warn->origin->groups[index];
    unsigned present = families(group->sources);

    if (present == (V4 | V6) || (!group->has_query_rules && !group->has_hostname_allow))
        return;
    diag_value(warn->diags, POL_DIAG_ONE_FAMILY, model->sources_at,
               "group %.*s: has hostname rules but only %s sources; the same clients over %s are "
               "in no group or in another one, and clients prefer IPv6",
               DIAG_ECHO(group->id), present == V4 ? "IPv4" : "IPv6",
               present == V4 ? "IPv6" : "IPv4");
}

int warn_policy(const struct pol_policy *policy, const struct pm_policy *model,
                const struct compile_origin *origin, struct arena *scratch, struct pol_diags *diags)
{
    struct warn warn = {policy, origin, scratch, diags};

    warn_patterns(&warn, model);
    for (uint32_t i = 0; i < policy->group_count; i++)
        warn_one_family(&warn, i);
    for (uint32_t i = 0; i < policy->rule_count; i++) {
        const struct pp_step *step = &policy->steps[policy->rule_steps[i]];

        if (step->pattern != POL_NONE)
            warn_hostname(&warn, step, &model->hostnames.items[step->pattern]);
        warn_families(&warn, step);
        warn_ports(&warn, step);
    }
    return warn_order(&warn);
}
