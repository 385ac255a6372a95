/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"
#include "net/proto.h"
#include "pattern/regex.h"
#include "pattern/shape.h"

void check_fault(struct check *check, uint32_t code, uint32_t at, const char *format, ...)
{
    bool in_rule = check->rule;
    pol_str id = in_rule ? check->rule->id.text : check->group->id.text;
    char text[768];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    diag_value(check->diags, code, at, "%s %.*s: %s", in_rule ? "rule" : "group", DIAG_ECHO(id),
               text);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

pol_str check_trim(pol_str text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Counts a pattern that needs the engine against the limit. */
static void count_engine(struct check *check, uint32_t at)
{
    uint32_t limit = check->ctx->limits.regexes;

    if (check->engine_count++ < limit || check->engine_refused)
        return;
    check->engine_refused = true;
    check_fault(check, POL_DIAG_LIMIT, at,
                "more than %u patterns need the regex engine; write names as ^a\\.b$ or "
                "^(?:.+\\.)?b\\.c$, which do not",
                (unsigned)limit);
}

/* A new distinct pattern: does the engine take it? */
static int try_pattern(struct check *check, struct pm_pattern *pattern, bool hostname)
{
    char error[REGEX_ERROR_TEXT];
    struct regex *regex = NULL;
    int rc;

    pattern->engine = !hostname || !shape_of(pattern->text, check->shape);
    if (!pattern->engine || check->engine_refused)
        return POL_OK;
    count_engine(check, pattern->at);
    rc = regex_compile(check->ctx, pattern->text, pattern->caseless, &regex, error);
    regex_free(regex);
    if (rc != POL_E_FORMAT)
        return rc;
    pattern->error = arena_str(check->arena, str_of(error));
    return pattern->error.ptr ? POL_OK : POL_E_NOMEM;
}

static int number_pattern(struct check *check, struct pm_regex *regex, pol_str text, bool hostname,
                          bool caseless)
{
    struct pm_patterns *list = hostname ? &check->policy->hostnames : &check->policy->regexes;
    struct intern *intern = hostname ? &check->hostnames : &check->regexes;
    int rc;

    rc = intern_add(intern, caseless, text, &regex->pattern);
    if (rc <= 0)
        return rc;
    rc = mem_grow(&check->ctx->mem, (void **)&list->items, &list->capacity, list->count + 1,
                  sizeof(*list->items));
    if (rc < 0)
        return rc;
    list->items[list->count] =
        (struct pm_pattern){.text = text, .at = regex->text.at, .caseless = caseless};
    return try_pattern(check, &list->items[list->count++], hostname);
}

static int check_pattern(struct check *check, struct pm_regex *regex, bool hostname, bool caseless,
                         const char *field, const char *what)
{
    uint32_t limit = check->ctx->limits.pattern_bytes;
    pol_str text = check_trim(regex->text.text);
    const struct pm_patterns *list = hostname ? &check->policy->hostnames : &check->policy->regexes;
    const struct pm_pattern *pattern;
    int rc;

    if (!text.len) {
        check_fault(check, POL_DIAG_MISSING, regex->text.at, "%s%s cannot be empty", field, what);
        return POL_OK;
    }
    if (text.len > limit) {
        check_fault(check, POL_DIAG_LIMIT, regex->text.at,
                    "%s has %zu octets; at most %u are allowed", field, text.len, (unsigned)limit);
        return POL_OK;
    }
    rc = number_pattern(check, regex, text, hostname, caseless);
    if (rc < 0)
        return rc;
    pattern = &list->items[regex->pattern];
    if (pattern->error.ptr)
        check_fault(check, POL_DIAG_REGEX, regex->text.at, "invalid %s regex: %s", field,
                    pattern->error.ptr);
    return POL_OK;
}

int check_regex(struct check *check, struct pm_regex *regex, bool caseless, const char *field,
                const char *what)
{
    if (!regex->text.text.ptr)
        return POL_OK;
    return check_pattern(check, regex, false, caseless, field, what);
}

/* "allow" or "deny" in any case; the text of the fault carries no prefix. */
static bool check_action(struct check *check, const struct pm_text *action, bool *ret_deny)
{
    if (str_equal_nocase(action->text, STR("allow")) ||
        str_equal_nocase(action->text, STR("deny"))) {
        *ret_deny = ascii_lower(action->text.ptr[0]) == 'd';
        return true;
    }
    diag_value(check->diags, POL_DIAG_VALUE, action->at,
               "invalid rule action: %.*s (expected allow or deny)", DIAG_ECHO(action->text));
    return false;
}

/* Blanks around both parts are the author's to put; pol_prefix_parse() takes none. */
static bool parse_prefix(struct check *check, const struct pm_text *item, pol_prefix *ret)
{
    const char *slash = memchr(item->text.ptr, '/', item->text.len);
    size_t split = slash ? (size_t)(slash - item->text.ptr) : item->text.len;
    pol_str addr = check_trim((pol_str){item->text.ptr, split});
    pol_str len = {"", 0};
    char text[80];
    int rc = POL_E_FORMAT;

    if (slash)
        len = check_trim((pol_str){slash + 1, item->text.len - split - 1});
    if (addr.len + len.len + 1 <= sizeof(text)) {
        memcpy(text, addr.ptr, addr.len);
        text[addr.len] = '/';
        memcpy(text + addr.len + 1, len.ptr, len.len);
        rc = pol_prefix_parse((pol_str){text, addr.len + (slash ? 1 + len.len : 0)}, ret);
    }
    if (rc == POL_OK)
        return true;
    if (slash && pol_addr_parse(addr, &ret->addr) == POL_OK)
        check_fault(check, POL_DIAG_VALUE, item->at, "invalid prefix length: %.*s", DIAG_ECHO(len));
    else
        check_fault(check, POL_DIAG_VALUE, item->at, "invalid IP address: %.*s", DIAG_ECHO(addr));
    return false;
}

static bool parse_ip(struct check *check, const struct pm_text *item, pol_prefix *ret)
{
    pol_str text = check_trim(item->text);

    if (pol_addr_parse(text, &ret->addr) == POL_OK) {
        ret->len = ret->addr.family == 4 ? 32 : 128;
        return true;
    }
    check_fault(check, POL_DIAG_VALUE, item->at, "invalid IP address: %.*s", DIAG_ECHO(text));
    return false;
}

static int check_addresses(struct check *check, const struct pm_texts *cidrs,
                           const struct pm_texts *ips, pol_prefix **ret, uint32_t *ret_count)
{
    size_t count = (size_t)cidrs->count + ips->count;
    uint32_t used = 0;

    *ret_count = 0;
    if (!count)
        return POL_OK;
    *ret = arena_array(check->arena, count, sizeof(**ret));
    if (!*ret)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < cidrs->count; i++)
        used += parse_prefix(check, &cidrs->items[i], &(*ret)[used]);
    for (uint32_t i = 0; i < ips->count; i++)
        used += parse_ip(check, &ips->items[i], &(*ret)[used]);
    *ret_count = used;
    return POL_OK;
}

static bool parse_number(pol_str text, uint32_t max, uint32_t *ret)
{
    uint32_t value = 0;

    if (!text.len || text.len > 5 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = value;
    return value <= max;
}

static void check_proto(struct check *check, struct pm_match *match)
{
    static const struct {
        const char *name;
        uint8_t number;
    } known[] = {
        {"tcp", PROTO_TCP}, {"udp", PROTO_UDP}, {"icmp", PROTO_ICMP}, {"icmpv6", PROTO_ICMPV6}};
    const struct pm_scalar *proto = &match->proto;
    uint32_t number = proto->number;

    match->any_proto = proto->form == PM_ABSENT ||
                       (proto->form == PM_TEXT && str_equal_nocase(proto->text, STR("any")));
    if (match->any_proto)
        return;
    if (proto->form == PM_TEXT && !parse_number(proto->text, UINT8_MAX, &number)) {
        for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
            if (str_equal_nocase(proto->text, str_of(known[i].name))) {
                match->proto_number = known[i].number;
                return;
            }
        }
        check_fault(check, POL_DIAG_VALUE, proto->at,
                    "invalid proto value: %.*s (expected any, tcp, udp, icmp, icmpv6 or 0 to 255)",
                    DIAG_ECHO(proto->text));
        match->any_proto = true; /* so that no other fault follows from this one */
        return;
    }
    match->proto_number = (uint8_t)number;
}

static bool parse_port(struct check *check, const struct pm_scalar *port, struct portrange *ret)
{
    pol_str text = port->text;
    const char *dash = port->form == PM_TEXT ? memchr(text.ptr, '-', text.len) : NULL;
    uint32_t first = port->number, last;
    pol_str start = text, end;

    if (dash)
        start = (pol_str){text.ptr, (size_t)(dash - text.ptr)};
    start = check_trim(start);
    if (port->form == PM_TEXT && !parse_number(start, UINT16_MAX, &first)) {
        check_fault(check, POL_DIAG_VALUE, port->at,
                    dash ? "invalid port range start: %.*s" : "invalid port: %.*s",
                    DIAG_ECHO(start));
        return false;
    }
    last = first;
    if (dash) {
        end = check_trim((pol_str){dash + 1, text.len - (size_t)(dash - text.ptr) - 1});
        if (!parse_number(end, UINT16_MAX, &last)) {
            check_fault(check, POL_DIAG_VALUE, port->at, "invalid port range end: %.*s",
                        DIAG_ECHO(end));
            return false;
        }
    }
    if (first > last) {
        check_fault(check, POL_DIAG_VALUE, port->at, "invalid port range: %.*s", DIAG_ECHO(text));
        return false;
    }
    *ret = (struct portrange){(uint16_t)first, (uint16_t)last};
    return true;
}

static int check_ports(struct check *check, const struct pm_scalars *ports, struct portrange **ret)
{
    uint32_t used = 0;

    if (!ports->count)
        return POL_OK;
    *ret = arena_array(check->arena, ports->count, sizeof(**ret));
    if (!*ret)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < ports->count; i++)
        used += parse_port(check, &ports->items[i], &(*ret)[used]);
    return POL_OK;
}

static bool is_icmp(const struct pm_match *match)
{
    return !match->any_proto &&
           (match->proto_number == PROTO_ICMP || match->proto_number == PROTO_ICMPV6);
}

static void check_combinations(struct check *check, const struct pm_match *match)
{
    const struct pm_octets *octets =
        match->icmp_types.count ? &match->icmp_types : &match->icmp_codes;
    const struct pm_scalars *ports = match->src_ports.count ? &match->src_ports : &match->dst_ports;

    if (match->tls && !match->any_proto && match->proto_number != PROTO_TCP)
        check_fault(check, POL_DIAG_CONFLICT, match->tls->at,
                    "tls matches require proto tcp or any");
    if (octets->count && !match->any_proto && !is_icmp(match))
        check_fault(check, POL_DIAG_CONFLICT, octets->at,
                    "icmp type/code matches require proto icmp, icmpv6 or any");
    if (ports->count && is_icmp(match))
        check_fault(check, POL_DIAG_CONFLICT, ports->at,
                    "port matches are not valid for icmp rules");
}

static int check_match(struct check *check, struct pm_match *match)
{
    int rc = POL_OK;

    if (match->hostname.text.text.ptr)
        rc = check_pattern(check, &match->hostname, true, true, "dns_hostname", "");
    if (rc < 0)
        return rc;
    rc = check_addresses(check, &match->dst_cidrs, &match->dst_ips, &match->dst, &match->dst_count);
    if (rc < 0)
        return rc;
    check_proto(check, match);
    rc = check_ports(check, &match->src_ports, &match->src);
    if (rc < 0)
        return rc;
    rc = check_ports(check, &match->dst_ports, &match->dsts);
    if (rc < 0)
        return rc;
    if (match->tls)
        rc = check_tls(check, match->tls);
    check_combinations(check, match);
    return rc;
}

/* `what` is "group" or "rule"; a missing id was reported when the document was loaded. */
static int check_id(struct check *check, struct intern *ids, uint32_t scope,
                    const struct pm_text *id, const char *what)
{
    uint32_t unused;
    int rc;

    if (!id->text.ptr)
        return POL_OK;
    if (!id->text.len) {
        diag_value(check->diags, POL_DIAG_MISSING, id->at, "%s id cannot be empty", what);
        return POL_OK;
    }
    rc = intern_add(ids, scope, id->text, &unused);
    if (rc == 0)
        diag_value(check->diags, POL_DIAG_DUPLICATE, id->at, "%s id \"%.*s\" is used twice%s", what,
                   DIAG_ECHO(id->text), scope == POL_NONE ? "" : " in its group");
    return rc < 0 ? rc : POL_OK;
}

static int check_rule(struct check *check, uint32_t group_index, struct pm_rule *rule)
{
    int rc;

    check->rule = rule;
    rule->audit =
        rule->mode.text.ptr ? str_equal(rule->mode.text, STR("audit")) : check->group->audit;
    rc = check_id(check, &check->rule_ids, group_index, &rule->id, "rule");
    if (rc < 0)
        return rc;
    if (rule->action.text.ptr)
        check_action(check, &rule->action, &rule->deny);
    rc = check_match(check, &rule->match);
    check->rule = NULL;
    return rc;
}

static void check_mode(struct check *check, struct pm_group *group)
{
    if (group->mode.text.ptr) {
        group->audit = str_equal(group->mode.text, STR("audit"));
    } else if (group->mode.at != POL_NONE) {
        group->audit = false; /* reported when it was loaded */
    } else if (check->opts->absent_mode == POL_MODE_REQUIRED) {
        diag_value(check->diags, POL_DIAG_MISSING, group->at,
                   "invalid json: missing field `mode` (audit or enforce)");
    } else {
        group->audit = check->opts->absent_mode == POL_MODE_AUDIT;
        group->mode.text = group->audit ? STR("audit") : STR("enforce");
    }
}

static int check_group(struct check *check, uint32_t index, struct pm_group *group)
{
    int rc;

    check->group = group;
    rc = check_id(check, &check->group_ids, POL_NONE, &group->id, "group");
    if (rc < 0)
        return rc;
    check_mode(check, group);
    if (!group->sources_broken && !group->cidrs.count && !group->ips.count)
        check_fault(check, POL_DIAG_MISSING, group->sources_at, "sources cannot be empty");
    rc = check_addresses(check, &group->cidrs, &group->ips, &group->sources, &group->source_count);
    for (uint32_t i = 0; i < group->rule_count && rc == POL_OK; i++)
        rc = check_rule(check, index, &group->rules[i]);
    if (rc == POL_OK && group->default_action.text.ptr)
        check_action(check, &group->default_action, &group->default_deny);
    return rc;
}

static void check_default(struct check *check, struct pm_policy *policy)
{
    pol_str word = policy->default_policy.text;

    if (!word.ptr) {
        policy->default_allow = check->opts->default_allow;
        policy->default_policy.text = policy->default_allow ? STR("allow") : STR("deny");
        return;
    }
    policy->default_allow = str_equal_nocase(word, STR("allow"));
    if (!policy->default_allow && !str_equal_nocase(word, STR("deny")))
        diag_value(check->diags, POL_DIAG_VALUE, policy->default_policy.at,
                   "invalid default policy: %.*s (expected allow or deny)", DIAG_ECHO(word));
}

int check_policy(pol_ctx *ctx, struct arena *arena, const pol_compile_options *opts,
                 struct pm_policy *policy, struct pol_diags *diags)
{
    struct check check = {
        .ctx = ctx, .arena = arena, .opts = opts, .policy = policy, .diags = diags};
    int rc = POL_OK;

    intern_init(&check.group_ids, ctx);
    intern_init(&check.rule_ids, ctx);
    intern_init(&check.hostnames, ctx);
    intern_init(&check.regexes, ctx);
    check.shape = arena_alloc(arena, sizeof(*check.shape));
    if (!check.shape)
        return POL_E_NOMEM;

    check_default(&check, policy);
    for (uint32_t i = 0; i < policy->group_count && rc == POL_OK; i++) {
        rc = check_group(&check, i, &policy->groups[i]);
        policy->rule_count += policy->groups[i].rule_count;
    }
    intern_fini(&check.group_ids);
    intern_fini(&check.rule_ids);
    intern_fini(&check.hostnames);
    intern_fini(&check.regexes);
    return rc;
}
