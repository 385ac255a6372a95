/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

/* --- values --------------------------------------------------------------------------------- */

static const char *const source_bases[] = {
    "10.0.0.0",          "10.0.1.0", "10.0.1.128",   "10.1.0.0",     "192.0.2.0",
    "10.255.255.255",    "fd00::",   "fd00:0:0:1::", "2001:db8:1::", "2001:db8:1::80",
    "fd00:0:0:1:8000::",
};

static const char *const destination_bases[] = {
    "192.0.2.0",
    "192.0.2.128",
    "198.51.100.0",
    "198.51.100.64",
    "203.0.113.0",
    "203.0.113.77",
    "10.0.0.0",
    "10.1.0.0",
    "127.0.0.1",
    "169.254.1.1",
    "100.64.0.0",
    "224.0.0.251",
    "172.16.0.0",
    "192.168.1.0",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8::",
    "2001:db8:2::",
    "2001:db8:2::ff",
    "2001:db8:2:0:8000::",
    "fd00::",
    "fe80::1",
    "ff02::fb",
    "64:ff9b::a00:1",
    "64:ff9b::c633:6401",
    "::1",
    "::",
};

static const uint16_t popular_ports[] = {0,   1,    22,   53,   80,   443,   443,   443,
                                         853, 1023, 1024, 8080, 8443, 32768, 65534, 65535};

static const uint8_t popular_protos[] = {6,  6,  6,  6,   17, 17,  1, 1,  58,
                                         58, 47, 50, 132, 33, 136, 0, 255};

#define COUNT_OF(array)   (sizeof(array) / sizeof(*(array)))
#define PICK(draw, array) (array)[draw_below(draw, (uint32_t)COUNT_OF(array))]

static pol_addr address_of(const char *text)
{
    pol_addr addr;

    if (pol_addr_parse((pol_str){text, strlen(text)}, &addr) != POL_OK)
        abort();
    return addr;
}

static void keep_bits(pol_addr *addr, unsigned len)
{
    for (unsigned bit = len; bit < (addr->family == 4 ? 32u : 128u); bit++)
        addr->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static uint8_t draw_length(struct draw *draw, uint8_t family)
{
    static const uint8_t v4[] = {0, 8, 12, 16, 20, 24, 24, 25, 26, 28, 30, 31, 32, 32, 32, 32};
    static const uint8_t v6[] = {0, 16, 32, 48, 63, 64, 64, 65, 96, 112, 120, 127, 128, 128, 128};

    return family == 4 ? PICK(draw, v4) : PICK(draw, v6);
}

pol_prefix draw_prefix(struct draw *draw, bool source)
{
    pol_prefix prefix;

    prefix.addr = address_of(source ? PICK(draw, source_bases) : PICK(draw, destination_bases));
    if (draw_percent(draw, 40))
        prefix.addr.bytes[prefix.addr.family == 4 ? 3 : 15] ^= (uint8_t)draw_below(draw, 4);
    prefix.len = draw_length(draw, prefix.addr.family);
    keep_bits(&prefix.addr, prefix.len);
    return prefix;
}

static void add_one(pol_addr *addr, int step)
{
    for (int i = addr->family == 4 ? 3 : 15; i >= 0; i--) {
        addr->bytes[i] = (uint8_t)(addr->bytes[i] + step);
        if (addr->bytes[i] != (step > 0 ? 0 : 0xff))
            return;
    }
}

pol_addr draw_address(struct draw *draw, const pol_prefix *prefix)
{
    unsigned bits = prefix->addr.family == 4 ? 32 : 128;
    unsigned how = draw_below(draw, 8);
    pol_addr addr = prefix->addr;

    if (how == 0)
        add_one(&addr, -1);
    for (unsigned bit = prefix->len; how > 2 && bit < bits; bit++) {
        if (how == 3 || how == 4 || draw_percent(draw, 30))
            addr.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    if (how == 3)
        add_one(&addr, 1);
    return addr;
}

uint16_t draw_port(struct draw *draw)
{
    return draw_percent(draw, 80) ? PICK(draw, popular_ports) : (uint16_t)draw_below(draw, 65536);
}

uint8_t draw_proto(struct draw *draw)
{
    return PICK(draw, popular_protos);
}

/* --- a random policy ------------------------------------------------------------------------ */

static struct model_range draw_range(struct draw *draw)
{
    uint16_t a = draw_port(draw), b = draw_percent(draw, 50) ? a : draw_port(draw);

    return (struct model_range){a < b ? a : b, a < b ? b : a};
}

static void draw_icmp(struct model_rule *rule, struct draw *draw)
{
    static const uint8_t types[] = {0, 3, 8, 11, 1, 128, 129, 5, 255};

    rule->type_count = (uint8_t)draw_below(draw, LIST_MAX + 1);
    rule->code_count = draw_percent(draw, 30) ? (uint8_t)draw_between(draw, 1, LIST_MAX) : 0;
    for (int i = 0; i < LIST_MAX; i++) {
        rule->types[i] = PICK(draw, types);
        rule->codes[i] = (uint8_t)draw_below(draw, 6);
    }
}

static void draw_services(struct model_rule *rule, struct draw *draw)
{
    bool icmp;

    rule->any_proto = draw_percent(draw, 30);
    rule->proto = draw_proto(draw);
    icmp = !rule->any_proto && (rule->proto == 1 || rule->proto == 58);
    if (icmp || (rule->any_proto && draw_percent(draw, 10)))
        draw_icmp(rule, draw);
    if (icmp)
        return;
    if (draw_percent(draw, 45))
        rule->dst_port_count = (uint8_t)draw_between(draw, 1, LIST_MAX);
    if (draw_percent(draw, 12))
        rule->src_port_count = (uint8_t)draw_between(draw, 1, LIST_MAX);
    for (int i = 0; i < LIST_MAX; i++) {
        rule->dst_ports[i] = draw_range(draw);
        rule->src_ports[i] = draw_range(draw);
    }
}

static void draw_tls(struct model_rule *rule, struct draw *draw)
{
    if ((!rule->any_proto && rule->proto != 6) || !draw_percent(draw, 35))
        return;
    rule->tls = draw_percent(draw, 20) ? TLS_INTERCEPT : TLS_METADATA;
    if (rule->tls == TLS_INTERCEPT)
        return;
    rule->certificate = draw_percent(draw, 15);
    if (draw_percent(draw, 50))
        rule->sni_count = (uint8_t)draw_between(draw, 1, LIST_MAX);
    if (draw_percent(draw, 45))
        rule->sni_pattern = (int)draw_below(draw, PATTERN_COUNT);
    for (int i = 0; i < LIST_MAX; i++)
        rule->sni[i] = (int)draw_below(draw, NAME_COUNT);
}

static void draw_match(struct model_rule *rule, struct draw *draw)
{
    bool bare;

    rule->any_proto = true;
    rule->pattern = draw_percent(draw, 40) ? (int)draw_below(draw, PATTERN_COUNT) : NO_PATTERN;
    bare = rule->pattern != NO_PATTERN && draw_percent(draw, 50);
    if (bare)
        return;
    if (draw_percent(draw, 55))
        rule->dst_count = (uint8_t)draw_between(draw, 1, LIST_MAX);
    for (int i = 0; i < LIST_MAX; i++)
        rule->dst[i] = draw_prefix(draw, false);
    draw_services(rule, draw);
    draw_tls(rule, draw);
}

static void draw_rule(struct model_rule *rule, uint32_t id, struct draw *draw)
{
    *rule = (struct model_rule){.id = id, .sni_pattern = NO_PATTERN, .pattern = NO_PATTERN};
    rule->has_priority = draw_percent(draw, 30);
    rule->priority = draw_below(draw, 4);
    rule->deny = draw_percent(draw, 40);
    rule->mode = draw_percent(draw, 60)   ? MODE_INHERIT
                 : draw_percent(draw, 50) ? MODE_ENFORCE
                                          : MODE_AUDIT;
    draw_match(rule, draw);
}

static uint8_t draw_default(struct draw *draw, uint32_t percent)
{
    if (!draw_percent(draw, percent))
        return DEFAULT_NONE;
    return draw_percent(draw, 50) ? DEFAULT_ALLOW : DEFAULT_DENY;
}

static void draw_group(struct model_group *group, uint32_t id, struct draw *draw)
{
    *group = (struct model_group){.id = id};
    group->has_priority = draw_percent(draw, 30);
    group->priority = draw_below(draw, 4);
    group->mode = draw_percent(draw, 70) ? MODE_ENFORCE : MODE_AUDIT;
    group->default_action = draw_default(draw, 30);
    group->source_count = (uint8_t)draw_between(draw, 1, LIST_MAX);
    for (int i = 0; i < group->source_count; i++)
        group->sources[i] = draw_prefix(draw, true);
}

/* TLS rules that any connection waits at, more of them than the library looks past. */
static void draw_waiting(struct model *model, struct draw *draw)
{
    model->group_count = 2;
    for (uint32_t g = 0; g < 2; g++) {
        struct model_group *group = &model->groups[g];

        draw_group(group, g, draw);
        group->sources[0] = (pol_prefix){.addr = {.family = 4}};
        group->default_action = DEFAULT_NONE;
        group->first_rule = model->rule_count;
        group->rule_count = draw_between(draw, 20, GROUP_RULES_MAX);
        for (uint32_t r = 0; r < group->rule_count; r++) {
            struct model_rule *rule = &model->rules[model->rule_count++];

            draw_rule(rule, r, draw);
            rule->deny = draw_percent(draw, 1);
            rule->pattern = NO_PATTERN;
            rule->any_proto = true;
            rule->dst_count = rule->src_port_count = rule->dst_port_count = 0;
            rule->type_count = rule->code_count = 0;
            rule->tls = TLS_METADATA;
            rule->certificate = false;
        }
    }
}

/* Most policies are small: a difference is found there first, and read with less pain. */
static void draw_size(struct draw *draw, uint32_t *ret_groups, uint32_t *ret_rules)
{
    uint32_t size = draw_below(draw, 100);

    *ret_groups = draw_between(draw, 1, size < 50 ? 3 : size < 90 ? 8 : GROUPS_MAX);
    *ret_rules = size < 50 ? 4 : size < 90 ? 10 : GROUP_RULES_MAX;
}

void model_draw(struct model *model, struct draw *draw)
{
    uint32_t rules;

    memset(model, 0, offsetof(struct model, groups));
    model->default_policy = draw_default(draw, 70);
    model->audit_deny = (uint8_t)draw_below(draw, 4) % 3;
    if (draw_percent(draw, 2)) {
        draw_waiting(model, draw);
        return;
    }
    draw_size(draw, &model->group_count, &rules);
    for (uint32_t g = 0; g < model->group_count; g++) {
        struct model_group *group = &model->groups[g];

        draw_group(group, g, draw);
        group->first_rule = model->rule_count;
        group->rule_count = draw_below(draw, rules + 1);
        if (group->rule_count > RULES_MAX - model->rule_count)
            group->rule_count = RULES_MAX - model->rule_count;
        for (uint32_t r = 0; r < group->rule_count; r++)
            draw_rule(&model->rules[model->rule_count + r], r, draw);
        model->rule_count += group->rule_count;
    }
}

void model_change(struct model *model, struct draw *draw)
{
    if (draw_percent(draw, 30))
        model->default_policy = draw_default(draw, 70);
    for (uint32_t g = 0; g < model->group_count; g++) {
        struct model_group *group = &model->groups[g];

        if (draw_percent(draw, 20))
            group->default_action = draw_default(draw, 50);
        if (draw_percent(draw, 20))
            group->mode = group->mode == MODE_AUDIT ? MODE_ENFORCE : MODE_AUDIT;
        if (draw_percent(draw, 20))
            group->sources[0] = draw_prefix(draw, true);
    }
    for (uint32_t r = 0; r < model->rule_count; r++) {
        if (draw_percent(draw, 30))
            draw_rule(&model->rules[r], model->rules[r].id, draw);
        else if (draw_percent(draw, 20))
            model->rules[r].deny = !model->rules[r].deny;
    }
}

/* --- as JSON -------------------------------------------------------------------------------- */

struct text {
    char *ptr;
    size_t len, capacity;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *out, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(out->ptr + out->len, out->capacity - out->len, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= out->capacity - out->len)
        abort();
    out->len += (size_t)len;
}

static void put_string(struct text *out, const char *string)
{
    put(out, "\"");
    for (; *string; string++)
        put(out, *string == '\\' || *string == '"' ? "\\%c" : "%c", *string);
    put(out, "\"");
}

static void put_prefixes(struct text *out, const char *key, const pol_prefix *prefixes, int count)
{
    put(out, "\"%s\":[", key);
    for (int i = 0; i < count; i++) {
        char text[POL_ADDR_TEXT];

        pol_addr_format(&prefixes[i].addr, text);
        put(out, "%s\"%s/%u\"", i ? "," : "", text, prefixes[i].len);
    }
    put(out, "]");
}

static void put_ports(struct text *out, const char *key, const struct model_range *ranges,
                      int count)
{
    if (!count)
        return;
    put(out, ",\"%s\":[", key);
    for (int i = 0; i < count; i++) {
        put(out, "%s", i ? "," : "");
        if (ranges[i].first == ranges[i].last)
            put(out, "%u", ranges[i].first);
        else
            put(out, "\"%u-%u\"", ranges[i].first, ranges[i].last);
    }
    put(out, "]");
}

static void put_octets(struct text *out, const char *key, const uint8_t *values, int count)
{
    if (!count)
        return;
    put(out, ",\"%s\":[", key);
    for (int i = 0; i < count; i++)
        put(out, "%s%u", i ? "," : "", values[i]);
    put(out, "]");
}

static void put_proto(struct text *out, const struct model_rule *rule)
{
    static const struct {
        uint8_t number;
        const char *name;
    } known[] = {{6, "tcp"}, {17, "UDP"}, {1, "icmp"}, {58, "icmpv6"}};

    if (rule->any_proto) {
        /* Both spellings of "any". */
        if (rule->id % 2)
            put(out, ",\"proto\":\"any\"");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (known[i].number == rule->proto && rule->id % 3) {
            put(out, ",\"proto\":\"%s\"", known[i].name);
            return;
        }
    }
    put(out, ",\"proto\":%u", rule->proto);
}

static void put_sni(struct text *out, const struct model_rule *rule)
{
    if (rule->sni_count == 0 && rule->sni_pattern == NO_PATTERN)
        return;
    put(out, ",\"sni\":{\"exact\":[");
    for (int i = 0; i < rule->sni_count; i++) {
        put(out, "%s", i ? "," : "");
        put_string(out, name_texts[rule->sni[i]]);
    }
    put(out, "]");
    if (rule->sni_pattern != NO_PATTERN) {
        put(out, ",\"regex\":");
        put_string(out, pattern_text(rule->sni_pattern));
    }
    put(out, "}");
}

static void put_tls(struct text *out, const struct model_rule *rule)
{
    if (rule->tls == TLS_INTERCEPT)
        put(out, ",\"tls\":{\"mode\":\"intercept\",\"http\":{\"request\":{}}}");
    if (rule->tls != TLS_METADATA)
        return;
    put(out, ",\"tls\":{\"mode\":\"metadata\"");
    put_sni(out, rule);
    if (rule->certificate)
        put(out, ",\"server_cn\":[\"db.example.org\"]");
    put(out, "}");
}

static void put_match(struct text *out, const struct model_rule *rule)
{
    put(out, "\"match\":{");
    put_prefixes(out, "dst_cidrs", rule->dst, rule->dst_count);
    if (rule->pattern != NO_PATTERN) {
        put(out, ",\"dns_hostname\":");
        put_string(out, pattern_text(rule->pattern));
    }
    put_proto(out, rule);
    put_ports(out, "src_ports", rule->src_ports, rule->src_port_count);
    put_ports(out, "dst_ports", rule->dst_ports, rule->dst_port_count);
    put_octets(out, "icmp_types", rule->types, rule->type_count);
    put_octets(out, "icmp_codes", rule->codes, rule->code_count);
    put_tls(out, rule);
    put(out, "}");
}

static void put_mode(struct text *out, uint8_t mode)
{
    if (mode != MODE_INHERIT)
        put(out, "\"mode\":\"%s\",", mode == MODE_AUDIT ? "audit" : "enforce");
}

static void put_default(struct text *out, const char *key, uint8_t action)
{
    if (action != DEFAULT_NONE)
        put(out, "\"%s\":\"%s\",", key, action == DEFAULT_ALLOW ? "allow" : "deny");
}

static void put_rule(struct text *out, const struct model_rule *rule)
{
    put(out, "   {\"id\":\"r%u\",\"action\":\"%s\",", rule->id, rule->deny ? "deny" : "allow");
    if (rule->has_priority)
        put(out, "\"priority\":%u,", rule->priority);
    put_mode(out, rule->mode);
    put_match(out, rule);
    put(out, "}");
}

static void put_group(struct text *out, const struct model *model, const struct model_group *group)
{
    put(out, "  {\"id\":\"g%u\",", group->id);
    if (group->has_priority)
        put(out, "\"priority\":%u,", group->priority);
    put_mode(out, group->mode);
    put_default(out, "default_action", group->default_action);
    put(out, "\"sources\":{");
    put_prefixes(out, "cidrs", group->sources, group->source_count);
    put(out, "},\"rules\":[");
    for (uint32_t r = 0; r < group->rule_count; r++) {
        put(out, r ? ",\n" : "\n");
        put_rule(out, &model->rules[group->first_rule + r]);
    }
    put(out, "]}");
}

size_t model_json(const struct model *model, char *buf, size_t capacity)
{
    static const char *const audit_deny[] = {"", "\"audit_deny\":\"terminal\",",
                                             "\"audit_deny\":\"continue\","};
    struct text out = {buf, 0, capacity};

    put(&out, "{%s", audit_deny[model->audit_deny]);
    put_default(&out, "default_policy", model->default_policy);
    put(&out, "\"source_groups\":[");
    for (uint32_t g = 0; g < model->group_count; g++) {
        put(&out, g ? ",\n" : "\n");
        put_group(&out, model, &model->groups[g]);
    }
    put(&out, "]}\n");
    return out.len;
}
