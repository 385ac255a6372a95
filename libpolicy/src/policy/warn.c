/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/warn.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/slice.h"
#include "net/proto.h"
#include "pattern/syntax.h"

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

const char *warn_verb(const struct pp_step *step)
{
    if (step->action == POL_ALLOW)
        return "allows";
    return step->mode == POL_MODE_AUDIT ? "decides" : "denies";
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

static unsigned family_of(const struct iprange *range)
{
    return range->first.family == 4 ? WARN_V4 : WARN_V6;
}

/* Ranges are sorted with IPv4 first, so the ends tell. */
unsigned warn_families(const struct ipset *set)
{
    size_t count = set ? ipset_range_count(set) : 0;
    struct iprange first, last;

    if (!count)
        return WARN_V4 | WARN_V6;
    first = ipset_range(set, 0);
    last = ipset_range(set, count - 1);
    return family_of(&first) | family_of(&last);
}

unsigned warn_half_of_all(const struct ipset *set)
{
    struct iprange range;
    uint8_t none = 0, all = 0xff;

    if (!set || ipset_range_count(set) != 1)
        return 0;
    range = ipset_range(set, 0);
    for (int i = 0; i < (range.first.family == 4 ? 4 : 16); i++) {
        none |= range.first.bytes[i];
        all &= range.last.bytes[i];
    }
    return none == 0 && all == 0xff ? family_of(&range) : 0;
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
        warn_hostname_pattern(warn, pattern);
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

static void warn_families_of(struct warn *warn, const struct pp_step *step)
{
    const struct pm_match *match = &warn_origin(warn, step)->match;
    const struct pp_group *group = &warn->policy->groups[step->group];
    uint32_t at = match->dst_cidrs.count ? match->dst_cidrs.at : match->dst_ips.at;
    unsigned usable = warn_families(step->dst);

    if (!step->any_proto && (step->proto == PROTO_ICMP || step->proto == PROTO_ICMPV6)) {
        usable &= step->proto == PROTO_ICMP ? WARN_V4 : WARN_V6;
        if (!usable) {
            warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at,
                      "icmp is IPv4 and icmpv6 is IPv6, and no destination is of that family");
            return;
        }
    }
    if (!(usable & warn_families(group->sources)))
        warn_rule(warn, step, POL_DIAG_NEVER_MATCHES, at,
                  "the group's sources are all of the other IP family");
}

/* The rule is for all addresses of one family, and its clients have both. */
static void warn_half(struct warn *warn, const struct pp_step *step)
{
    const struct pm_match *match = &warn_origin(warn, step)->match;
    unsigned half = warn_half_of_all(step->dst);
    bool icmp = !step->any_proto && (step->proto == PROTO_ICMP || step->proto == PROTO_ICMPV6);

    if (!half || icmp ||
        warn_families(warn->policy->groups[step->group].sources) != (WARN_V4 | WARN_V6))
        return;
    warn_rule(warn, step, POL_DIAG_HALF_OF_ALL, match->dst_cidrs.at,
              "is for every %s address and no %s one; add \"%s\", or leave dst_cidrs out",
              half == WARN_V4 ? "IPv4" : "IPv6", half == WARN_V4 ? "IPv6" : "IPv4",
              half == WARN_V4 ? "::/0" : "0.0.0.0/0");
}

static bool has_port_zero(const struct portrange *ranges, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].first == 0 && ranges[i].last == 0)
            return true;
    }
    return false;
}

static void warn_port_zero(struct warn *warn, const struct pp_step *step)
{
    const struct pm_match *match = &warn_origin(warn, step)->match;

    if (has_port_zero(match->dsts, match->dst_ports.count))
        warn_rule(warn, step, POL_DIAG_PORT_ZERO, match->dst_ports.at,
                  "port 0 is a port that nobody uses; for any port leave dst_ports out");
    if (has_port_zero(match->src, match->src_ports.count))
        warn_rule(warn, step, POL_DIAG_PORT_ZERO, match->src_ports.at,
                  "port 0 is a port that nobody uses; for any port leave src_ports out");
}

/* ICMP has no types from 42 to 252, and ICMPv6 none from 5 to 99 (IANA). */
static bool is_of_other_family(const struct pm_match *match, uint8_t type)
{
    return match->proto_number == PROTO_ICMPV6 ? type == 0 || (type >= 5 && type <= 99)
                                               : type >= 128 && type <= 161;
}

static void warn_icmp_types(struct warn *warn, const struct pp_step *step)
{
    const struct pm_match *match = &warn_origin(warn, step)->match;
    bool v6 = match->proto_number == PROTO_ICMPV6;

    for (uint32_t i = 0; i < match->icmp_types.count; i++) {
        if (!is_of_other_family(match, match->icmp_types.items[i]))
            continue;
        warn_rule(warn, step, POL_DIAG_ICMP_FAMILY, match->icmp_types.at,
                  v6 ? "ICMPv6 has no type %u; its echo request is 128 and its echo reply 129"
                     : "type %u is one of ICMPv6; write a rule with \"proto\": \"icmpv6\"",
                  match->icmp_types.items[i]);
        return;
    }
}

/* Says what becomes of TLS 1.3, where the author has not. */
static void warn_certificate(struct warn *warn, const struct pp_step *step)
{
    const struct pm_tls *tls = warn_origin(warn, step)->match.tls;

    if (!tls || tls->tls13.text.ptr)
        return;
    if (tls->server_san.form == PM_NAME_ABSENT && tls->server_cn.form == PM_NAME_ABSENT &&
        !tls->server_dn.text.ptr && !tls->fingerprints.count && !tls->anchors.count)
        return;
    warn_rule(warn, step, POL_DIAG_CERTIFICATE_HIDDEN, tls->at,
              "TLS 1.3 encrypts the certificate, so a connection with it is denied here; write "
              "\"tls13_uninspectable\": \"deny\" if that is meant, or \"allow\"");
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
    unsigned present = warn_families(group->sources);

    if (present == (WARN_V4 | WARN_V6) || (!group->has_query_rules && !group->has_hostname_allow))
        return;
    diag_value(warn->diags, POL_DIAG_ONE_FAMILY, model->sources_at,
               "group %.*s: has hostname rules but only %s sources; the same clients over %s are "
               "in no group or in another one, and clients prefer IPv6",
               DIAG_ECHO(group->id), present == WARN_V4 ? "IPv4" : "IPv6",
               present == WARN_V4 ? "IPv6" : "IPv4");
}

static void warn_one_rule(struct warn *warn, const struct pp_step *step)
{
    if (step->pattern != POL_NONE)
        warn_hostname(warn, step, &warn->model->hostnames.items[step->pattern]);
    warn_families_of(warn, step);
    warn_half(warn, step);
    warn_ports(warn, step);
    warn_port_zero(warn, step);
    warn_icmp_types(warn, step);
    warn_certificate(warn, step);
    warn_tls_names(warn, step);
}

int warn_policy(const struct pol_policy *policy, const struct pm_policy *model,
                const struct compile_origin *origin, struct arena *scratch, struct pol_diags *diags)
{
    struct warn warn = {policy, model, origin, scratch, diags};
    int rc;

    warn_patterns(&warn, model);
    warn_groups(&warn, model);
    for (uint32_t i = 0; i < policy->group_count; i++)
        warn_one_family(&warn, i);
    for (uint32_t i = 0; i < policy->rule_count; i++)
        warn_one_rule(&warn, &policy->steps[policy->rule_steps[i]]);
    rc = warn_query(&warn);
    return rc < 0 ? rc : warn_order(&warn);
}
