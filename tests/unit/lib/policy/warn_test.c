/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

static const struct {
    const char *action, *match;
    uint32_t code; /* of the only warning; 0: none */
    const char *said;
} cases[] = {
    {"allow", "{}", 0, ""},
    {"allow", "{'dns_hostname':'^(?:.+\\\\.)?example\\\\.com$'}", 0, ""},
    {"allow", "{'dns_hostname':'.*'}", 0, ""},
    {"allow", "{'dns_hostname':'^a[0-9]$'}", POL_DIAG_SLOW_PATTERN, "needs the regex engine"},
    {"deny", "{'dns_hostname':'evil'}", POL_DIAG_SLOW_PATTERN, "needs the regex engine"},
    {"deny", "{'dns_hostname':'^a$'}", 0, ""},
    {"deny", "{'dns_hostname':'^a$','dst_ports':[443]}", POL_DIAG_DENY_SERVICE,
     "queries for the name are not denied"},
    {"deny", "{'dns_hostname':'^a$','proto':'udp'}", POL_DIAG_NEVER_MATCHES, "only tcp has"},
    {"allow", "{'proto':47,'dst_ports':[1]}", POL_DIAG_NEVER_MATCHES, "protocol 47 has no ports"},
    {"allow", "{'proto':132,'dst_ports':[1]}", 0, ""},
    {"allow", "{'icmp_types':[8],'dst_ports':[1]}", POL_DIAG_NEVER_MATCHES, "has no ports"},
    {"allow", "{'icmp_types':[8],'tls':{}}", POL_DIAG_NEVER_MATCHES, "only tcp carries TLS"},
    {"allow", "{'proto':'icmp','dst_ips':['::1']}", POL_DIAG_NEVER_MATCHES, "icmp is IPv4"},
    {"allow", "{'proto':'icmpv6','dst_cidrs':['10.0.0.0/8']}", POL_DIAG_NEVER_MATCHES,
     "icmpv6 is IPv6"},
    {"allow", "{'proto':'icmpv6','dst_cidrs':['10.0.0.0/8','::/0']}", 0, ""},
    {"allow", "{'tls':{'sni':'^a.b$'}}", POL_DIAG_LOOSE_DOT, "\"^a.b$\" a dot stands for any"},
    {"allow", "{'tls':{'server_san':'^a.b$','tls13_uninspectable':'deny'}}", POL_DIAG_LOOSE_DOT,
     "any character"},
    {"allow", "{'tls':{'server_cn':{'regex':'^a.b$'},'tls13_uninspectable':'deny'}}",
     POL_DIAG_LOOSE_DOT, "any character"},
    {"allow", "{'tls':{'mode':'intercept','http':{'request':{'host':{'regex':'^a.b$'}}}}}",
     POL_DIAG_LOOSE_DOT, "any character"},
    {"allow", "{'tls':{'mode':'intercept','http':{'request':{'path':{'regex':'^/a.b$'}}}}}", 0, ""},
    {"allow", "{'tls':{'sni':'^a-*$'}}", POL_DIAG_WILDCARD, "repeats the \"-\""},
    {"allow", "{'tls':{'sni':['*.a']}}", POL_DIAG_WILDCARD, "\"*.a\" is compared as it is"},
    {"allow", "{'tls':{'mode':'intercept','http':{'request':{'host':{'exact':['*.a']}}}}}",
     POL_DIAG_WILDCARD, "stands for itself"},
    {"allow", "{'tls':{'server_san':['*.a'],'tls13_uninspectable':'allow'}}", 0, ""},
    {"allow", "{'tls':{'server_san':['a']}}", POL_DIAG_CERTIFICATE_HIDDEN, "tls13_uninspectable"},
    {"deny", "{'tls':{'server_cn':['a']}}", POL_DIAG_CERTIFICATE_HIDDEN, "TLS 1.3"},
    {"allow", "{'tls':{'server_dn':'CN=a'}}", POL_DIAG_CERTIFICATE_HIDDEN, "TLS 1.3"},
    {"allow",
     "{'tls':{'fingerprint_sha256':['"
     "0000000000000000000000000000000000000000000000000000000000000000']}}",
     POL_DIAG_CERTIFICATE_HIDDEN, "TLS 1.3"},
    {"allow", "{'tls':{'sni':['a']}}", 0, ""},
    {"allow", "{'dst_cidrs':['0.0.0.0/0']}", POL_DIAG_HALF_OF_ALL, "add \"::/0\""},
    {"deny", "{'dst_cidrs':['::/1','8000::/1']}", POL_DIAG_HALF_OF_ALL, "add \"0.0.0.0/0\""},
    {"allow", "{'dst_cidrs':['0.0.0.0/0','::/0']}", 0, ""},
    {"allow", "{'dst_cidrs':['0.0.0.0/1']}", 0, ""},
    {"allow", "{'dst_cidrs':['128.0.0.0/1']}", 0, ""},
    {"allow", "{'proto':'icmp','dst_cidrs':['0.0.0.0/0']}", 0, ""},
    {"allow", "{'icmp_types':[8,128]}", POL_DIAG_ICMP_FAMILY, "type 128 is one of ICMPv6"},
    {"allow", "{'proto':'icmpv6','icmp_types':[8]}", POL_DIAG_ICMP_FAMILY, "ICMPv6 has no type 8"},
    {"allow", "{'proto':'icmpv6','icmp_types':[1,4,100,128,255]}", 0, ""},
    {"allow", "{'proto':'icmp','icmp_types':[0,8,41,253]}", 0, ""},
    {"allow", "{'dst_ports':[443,0]}", POL_DIAG_PORT_ZERO, "leave dst_ports out"},
    {"allow", "{'src_ports':['0-0']}", POL_DIAG_PORT_ZERO, "leave src_ports out"},
    {"allow", "{'dst_ports':['0-65535'],'src_ports':['1']}", 0, ""},
};

/* A deny rule with a name is alone in these documents, which is a warning about its group. */
static size_t count_of_rule(const struct document *doc)
{
    return pol_diags_count(doc->diags) - (find_diag(doc, POL_DIAG_NO_NAME_ALLOWED) != NULL);
}

static const pol_diag *first_of_rule(const struct document *doc)
{
    const pol_diag *diag = pol_diags_at(doc->diags, 0);

    return diag->code == POL_DIAG_NO_NAME_ALLOWED ? pol_diags_at(doc->diags, 1) : diag;
}

Test(warn, one_rule_by_itself)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct document doc;

        document_init(&doc);
        document_match(&doc, cases[i].action, cases[i].match);
        cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
        cr_assert_eq(count_of_rule(&doc), cases[i].code != 0, "%s %s%s", cases[i].action,
                     cases[i].match, diag_list(&doc));
        cr_assert_eq(pol_diags_errors(doc.diags), 0);
        if (cases[i].code) {
            const pol_diag *diag = first_of_rule(&doc);

            cr_assert_eq(diag->severity, POL_DIAG_WARNING);
            cr_assert_eq(diag->code, cases[i].code, "%s%s", cases[i].match, diag_list(&doc));
            cr_assert(diag_has(diag, cases[i].said), "%s%s", cases[i].match, diag_list(&doc));
            cr_assert(diag->line && diag->column && diag->path.len);
        }
        document_fini(&doc);
    }
}

Test(warn, an_unanchored_allow_pattern_lets_more_names_in_than_it_says)
{
    struct document doc;

    document_init(&doc);
    document_match(&doc, "allow", "{'dns_hostname':'example\\\\.com'}");
    cr_assert_not_null(find_diag(&doc, POL_DIAG_UNANCHORED));
    document_match(&doc, "deny", "{'dns_hostname':'example\\\\.com'}");
    cr_assert_null(find_diag(&doc, POL_DIAG_UNANCHORED));
    document_match(&doc, "allow",
                   "{'dns_hostname':'^b\xc3\xbc"
                   "cher$'}");
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_NEVER_MATCHES), "xn--"));
    document_fini(&doc);
}

Test(warn, sources_of_one_family_are_half_a_rule)
{
    struct document doc;

    document_init(&doc);
    document_compile(&doc,
                     "{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['10.0.0.1']},"
                     "'rules':[{'id':'r','action':'allow','match':{'dns_hostname':'^a$'}}]}]}",
                     NULL);
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_ONE_FAMILY), "only IPv4 sources"));
    cr_assert_str_eq(find_diag(&doc, POL_DIAG_ONE_FAMILY)->path.ptr, "/source_groups/0/sources");
    document_compile(&doc,
                     "{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['::1']},"
                     "'rules':[{'id':'r','action':'allow','match':{'dst_ips':['10.0.0.1']}}]}]}",
                     NULL);
    cr_assert_null(find_diag(&doc, POL_DIAG_ONE_FAMILY));
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_NEVER_MATCHES), "other IP family"));
    document_fini(&doc);
}

/* Two rules of one group, both for all sources. */
static const struct {
    const char *first, *second; /* 'action':..., 'match':... */
    bool shadowed;
} pairs[] = {
    {"'action':'allow','match':{}", "'action':'deny','match':{'proto':'tcp'}", true},
    {"'action':'allow','match':{'proto':'tcp'}", "'action':'deny','match':{}", false},
    {"'action':'deny','match':{'proto':'tcp','dst_ports':['1-100']}",
     "'action':'allow','match':{'proto':'tcp','dst_ports':[22],'dst_ips':['::1']}", true},
    {"'action':'deny','match':{'proto':'tcp','dst_ports':['1-100']}",
     "'action':'allow','match':{'proto':'tcp','dst_ports':[22,443]}", false},
    {"'action':'deny','match':{'proto':'tcp','dst_ports':['1-100']}",
     "'action':'allow','match':{'proto':'tcp'}", false},
    {"'action':'deny','match':{'dst_cidrs':['10.0.0.0/8']}",
     "'action':'allow','match':{'dst_ips':['10.1.1.1'],'proto':'udp','dst_ports':[53]}", true},
    {"'action':'deny','match':{'dst_cidrs':['10.0.0.0/8']}",
     "'action':'allow','match':{'dst_ips':['10.1.1.1','11.1.1.1']}", false},
    {"'action':'deny','match':{'proto':'icmp','icmp_types':[0,8]}",
     "'action':'allow','match':{'proto':'icmp','icmp_types':[8],'icmp_codes':[0]}", true},
    {"'action':'deny','match':{'proto':'icmp'}",
     "'action':'allow','match':{'proto':'icmp','icmp_types':[8]}", false},
    {"'action':'allow','match':{'tls':{}}", "'action':'deny','match':{'proto':'tcp'}", false},
    {"'action':'allow','match':{'dns_hostname':'^a$'}", "'action':'deny','match':{}", false},
    {"'action':'allow','match':{}", "'action':'allow','match':{'dns_hostname':'^a$'}", false},
    {"'action':'allow','match':{}", "'action':'deny','mode':'audit','match':{}", false},
    {"'action':'deny','mode':'audit','match':{}", "'action':'deny','mode':'audit','match':{}",
     true},
    {"'action':'deny','mode':'audit','match':{}", "'action':'deny','match':{}", true},
};

static void two_rules(struct document *doc, const char *top, const char *first, const char *second)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{%s'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['0.0.0.0/0',"
             "'::/0']},'rules':[{'id':'one',%s},{'id':'two',%s}]}]}",
             top, first, second);
    document_compile(doc, text, NULL);
    cr_assert_eq(doc->rc, POL_OK, "%s", diag_list(doc));
}

Test(warn, a_rule_behind_one_that_covers_it_is_never_reached)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        struct document doc;

        document_init(&doc);
        two_rules(&doc, "", pairs[i].first, pairs[i].second);
        cr_assert_eq(find_diag(&doc, POL_DIAG_SHADOWED) != NULL, pairs[i].shadowed, "%s / %s%s",
                     pairs[i].first, pairs[i].second, diag_list(&doc));
        if (pairs[i].shadowed)
            cr_assert(diag_has(find_diag(&doc, POL_DIAG_SHADOWED),
                               "rule two: never reached: rule one comes first"));
        document_fini(&doc);
    }
}

Test(warn, an_audit_deny_that_goes_on_hides_nothing)
{
    struct document doc;

    document_init(&doc);
    two_rules(&doc, "'audit_deny':'continue',", "'action':'deny','mode':'audit','match':{}",
              "'action':'deny','match':{}");
    cr_assert_null(find_diag(&doc, POL_DIAG_SHADOWED));
    document_fini(&doc);
}

static void two_groups(struct document *doc, const char *first, const char *second)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{'source_groups':[{'id':'one','mode':'enforce',%s},"
             "{'id':'two','mode':'enforce',%s}]}",
             first, second);
    document_compile(doc, text, NULL);
    cr_assert_eq(doc->rc, POL_OK, "%s", diag_list(doc));
}

Test(warn, an_earlier_group_with_all_the_sources_may_hide_a_later_one)
{
    struct document doc;

    document_init(&doc);
    two_groups(&doc, "'sources':{'cidrs':['10.0.0.0/8']},'default_action':'deny'",
               "'sources':{'cidrs':['10.1.0.0/16']}");
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_SHADOWED), "group two: never reached: group one"));
    cr_assert_str_eq(find_diag(&doc, POL_DIAG_SHADOWED)->path.ptr, "/source_groups/1");
    two_groups(&doc, "'sources':{'cidrs':['10.0.0.0/8']},'default_action':'deny'",
               "'sources':{'cidrs':['10.1.0.0/16','11.0.0.0/8']}");
    cr_assert_null(find_diag(&doc, POL_DIAG_SHADOWED));
    two_groups(&doc,
               "'sources':{'cidrs':['10.0.0.0/8']},'rules':[{'id':'all','action':'allow',"
               "'match':{'proto':'tcp'}}]",
               "'sources':{'cidrs':['10.1.0.0/16']},'rules':[{'id':'a','action':'deny',"
               "'match':{'proto':'tcp','dst_ports':[25]}}]");
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_SHADOWED),
                       "rule a: never reached: rule all of group one comes first"));
    document_fini(&doc);
}

#define INTERCEPT                                                                                  \
    "'action':'allow','match':{'proto':'tcp','dst_ports':[443],'tls':{'mode':'intercept',"         \
    "'http':{'request':{}}}}"

static const struct {
    const char *first;
    bool late;
} before_intercept[] = {
    {"'action':'allow','match':{'proto':'tcp','tls':{'sni':['a']}}", true},
    {"'action':'allow','match':{'dst_ports':['400-500'],'tls':{'sni':['a']}}", true},
    {"'action':'allow','match':{'dst_ports':[8443],'tls':{'sni':['a']}}", false},
    {"'action':'deny','match':{'dns_hostname':'^a$'}", false},
    {"'action':'deny','match':{'dns_hostname':'^a$','dst_ports':[443]}", true},
    {"'action':'allow','match':{'dns_hostname':'^a$'}", false},
    {"'action':'allow','match':{'proto':'udp'}", false},
};

Test(warn, interception_behind_a_rule_that_waits_comes_too_late)
{
    for (size_t i = 0; i < sizeof(before_intercept) / sizeof(*before_intercept); i++) {
        struct document doc;

        document_init(&doc);
        two_rules(&doc, "", before_intercept[i].first, INTERCEPT);
        cr_assert_eq(find_diag(&doc, POL_DIAG_INTERCEPT_LATE) != NULL, before_intercept[i].late,
                     "%s%s", before_intercept[i].first, diag_list(&doc));
        two_rules(&doc, "", INTERCEPT, before_intercept[i].first);
        cr_assert_null(find_diag(&doc, POL_DIAG_INTERCEPT_LATE));
        document_fini(&doc);
    }
}

/* Every second port, from `first` on, as the list of a document; freed by the caller. */
static char *every_second_port(int first)
{
    size_t size = 7 * 32768, len = 0;
    char *text = malloc(size);

    cr_assert_not_null(text);
    for (int port = first; port < 65535; port += 2)
        len += (size_t)snprintf(text + len, size - len, "%s%d", len ? "," : "", port);
    return text;
}

/* Compared one by one, the ranges of these rules were ten thousand million pairs. */
Test(warn, long_lists_of_ports_are_compared_in_one_pass, .timeout = 10)
{
    char *odd = every_second_port(1), *even = every_second_port(2), *json;
    size_t size = 3 * (strlen(odd) + strlen(even)) + 2048, len;
    struct document doc;

    json = malloc(size);
    cr_assert_not_null(json);
    len = (size_t)snprintf(json, size,
                           "{'source_groups':[{'id':'g','mode':'enforce',"
                           "'sources':{'cidrs':['10.0.0.0/8']},'rules':[");
    for (int i = 0; i < 6; i++)
        len += (size_t)snprintf(
            json + len, size - len,
            "%s{'id':'%d','action':'allow','match':{'proto':'tcp',"
            "'dst_ports':[%s],'tls':{%s}}}",
            i ? "," : "", i, i < 3 ? odd : even,
            i < 3 ? "'sni':['a']" : "'mode':'intercept','http':{'request':{'methods':['GET']}}");
    snprintf(json + len, size - len, "]}]}");
    document_init(&doc);
    document_compile(&doc, json, NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    cr_assert_null(find_diag(&doc, POL_DIAG_INTERCEPT_LATE));
    document_fini(&doc);
    free(json);
    free(odd);
    free(even);
}

static size_t put_group(char *json, size_t size, int group, const char *tls, int rules)
{
    size_t len = (size_t)snprintf(json, size, "%s{'id':'%d','mode':'enforce','sources':{'cidrs':[",
                                  group ? "]}," : "", group);

    for (int i = 0; i < 10000; i++)
        len += (size_t)snprintf(json + len, size - len, "%s'10.%d.%d.%d'", i ? "," : "", i >> 14,
                                i >> 6 & 255, 4 * (i & 63) + 2 * group);
    len += (size_t)snprintf(json + len, size - len, "]},'rules':[");
    for (int i = 0; i < rules; i++)
        len += (size_t)snprintf(json + len, size - len,
                                "%s{'id':'%d','action':'allow','match':{'proto':'tcp',"
                                "'dst_ports':['%d-65535'],'tls':{%s}}}",
                                i ? "," : "", i, i + 1, tls);
    return len;
}

/* Every pair of rules asks whether their groups have sources in common: here, 64000 times. */
Test(warn, long_lists_of_sources_are_in_the_budget, .timeout = 120)
{
    size_t size = 2 * 10000 * 20 + 512 * 256, len;
    char *json = malloc(size);
    struct document doc;

    cr_assert_not_null(json);
    len = (size_t)snprintf(json, size, "{'source_groups':[");
    len += put_group(json + len, size - len, 0, "'sni':['a']", 256);
    len += put_group(json + len, size - len, 1,
                     "'mode':'intercept','http':{'request':{'methods':['GET']}}", 250);
    snprintf(json + len, size - len, "]}]}");
    document_init(&doc);
    document_compile(&doc, json, NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    cr_assert_null(find_diag(&doc, POL_DIAG_INTERCEPT_LATE));
    document_fini(&doc);
    free(json);
}

static const struct {
    const char *pattern;
    uint32_t code;
    const char *said;
} name_patterns[] = {
    {"^api.example\\\\.com$", POL_DIAG_LOOSE_DOT, "write \\. for a dot"},
    {"^api-*\\\\.example$", POL_DIAG_WILDCARD, "^.+\\.example\\.com$"},
    {"^a\\\\.example:443$", POL_DIAG_NEVER_MATCHES, "dst_ports is for ports"},
    {"^\\\\*\\\\.example$", POL_DIAG_NEVER_MATCHES, "^.+\\.example\\.com$"},
    {"^a\\\\.example\\\\.$", POL_DIAG_NEVER_MATCHES, "without a dot at either end"},
    {"^a example$", POL_DIAG_NEVER_MATCHES, "written \\DDD"},
};

Test(warn, a_pattern_that_is_not_what_it_looks_like)
{
    for (size_t i = 0; i < sizeof(name_patterns) / sizeof(*name_patterns); i++) {
        struct document doc;
        char match[128];

        document_init(&doc);
        snprintf(match, sizeof(match), "{'dns_hostname':'%s'}", name_patterns[i].pattern);
        document_match(&doc, "allow", match);
        cr_assert(diag_has(find_diag(&doc, name_patterns[i].code), name_patterns[i].said), "%s%s",
                  match, diag_list(&doc));
        document_fini(&doc);
    }
}

#define NAME(action, pattern, more)                                                                \
    "'action':'" action "','match':{'dns_hostname':'" pattern "'" more "}"
#define BELOW "^(?:.+\\\\.)?a\\\\.b$"

/* Two rules for names, and what is said about the second; 0: nothing. */
static const struct {
    const char *first, *second;
    uint32_t code;
    const char *said;
} names[] = {
    {NAME("allow", BELOW, ""), NAME("deny", "^x\\\\.a\\\\.b$", ""), POL_DIAG_QUERY_DECIDED,
     "rule two: denies no query: rule one comes first and allows all of its names"},
    {NAME("deny", ".*", ""), NAME("allow", "^a$", ""), POL_DIAG_QUERY_DECIDED,
     "rule two: allows no query: rule one comes first and denies all of its names"},
    {NAME("deny", "^.+$", ""), NAME("allow", ".+", ""), POL_DIAG_QUERY_DECIDED, "allows no query"},
    {NAME("deny", "^.+$", ""), NAME("allow", ".*", ""), 0, ""},
    {NAME("deny", "^a\\\\.b$", ""), NAME("allow", BELOW, ""), 0, ""},
    {NAME("deny", "^x\\\\.a\\\\.b$", ""), NAME("allow", "^y\\\\.a\\\\.b$", ""), 0, ""},
    {NAME("allow", BELOW, ""), NAME("deny", "^xa\\\\.b$", ""), 0, ""},
    {NAME("allow", "^.+\\\\.a\\\\.b$", ""), NAME("deny", "^a\\\\.b$", ""), 0, ""},
    {NAME("allow", "^.+\\\\.a\\\\.b$", ""), NAME("deny", "(^|\\\\.)x\\\\.a\\\\.b$", ""),
     POL_DIAG_QUERY_DECIDED, "denies no query"},
    {NAME("allow", "^(?:x|y)\\\\.a$", ""), NAME("deny", "^y\\\\.a$", ""), POL_DIAG_QUERY_DECIDED,
     ""},
    {NAME("allow", "^(?:x|y)\\\\.a$", ""), NAME("deny", "^(?:y|z)\\\\.a$", ""), 0, ""},
    /* this one denies a service, not the query */
    {NAME("allow", BELOW, ""), NAME("deny", BELOW, ",'dst_ports':[22]"), 0, ""},
    {NAME("deny", BELOW, ",'dst_ports':[22]"), NAME("allow", BELOW, ""), 0, ""},
    {NAME("deny','mode':'audit", BELOW, ""), NAME("allow", BELOW, ""), POL_DIAG_QUERY_DECIDED,
     "decides all of its names"},
    {NAME("allow", BELOW, ""), NAME("deny','mode':'audit", BELOW, ""), 0, ""},
    /* both allow */
    {NAME("allow", BELOW, ""), NAME("allow", "^a\\\\.b$", ",'proto':'tcp','dst_ports':[443]"),
     POL_DIAG_SHADOWED, "allows all of its names and connections"},
    {NAME("allow", BELOW, ",'proto':'tcp'"), NAME("allow", "^a\\\\.b$", ""), 0, ""},
    {NAME("allow", BELOW, ",'dst_ports':[80]"), NAME("allow", "^a\\\\.b$", ",'dst_ports':[443]"), 0,
     ""},
    /* special addresses are only for the second */
    {NAME("allow", BELOW, ""), NAME("allow", "^a\\\\.b$", ",'dst_cidrs':['10.0.0.0/8']"), 0, ""},
    {NAME("allow", BELOW, ",'tls':{'sni':['a']}"), NAME("allow", "^a\\\\.b$", ""), 0, ""},
    /* an earlier rule for every name */
    {"'action':'allow','match':{'proto':'tcp'}", NAME("allow", "^a$", ",'proto':'tcp'"),
     POL_DIAG_PACKET_DECIDED, "acts on queries only: rule one comes first and allows its"},
    {"'action':'deny','match':{}", NAME("allow", "^a$", ""), POL_DIAG_PACKET_DECIDED,
     "comes first and denies its connections"},
    {"'action':'allow','match':{}", NAME("deny", "^a$", ""), POL_DIAG_PACKET_DECIDED,
     "put this rule first"},
    {"'action':'allow','match':{'proto':'tcp'}", NAME("allow", "^a$", ""), 0, ""},
    {"'action':'allow','match':{}", NAME("allow", ".*", ""), 0, ""},
    {"'action':'allow','match':{}", NAME("allow", "^.+$", ""), 0, ""},
};

static bool is_about_order(const pol_diag *diag)
{
    return diag->code == POL_DIAG_QUERY_DECIDED || diag->code == POL_DIAG_PACKET_DECIDED ||
           diag->code == POL_DIAG_SHADOWED;
}

Test(warn, a_name_behind_a_rule_that_decides_it)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct document doc;
        const pol_diag *found = NULL;

        document_init(&doc);
        two_rules(&doc, "", names[i].first, names[i].second);
        for (size_t j = 0; j < pol_diags_count(doc.diags) && !found; j++)
            found = is_about_order(pol_diags_at(doc.diags, j)) ? pol_diags_at(doc.diags, j) : NULL;
        cr_assert_eq(found ? found->code : 0, names[i].code, "%s / %s%s", names[i].first,
                     names[i].second, diag_list(&doc));
        cr_assert(!found || diag_has(found, names[i].said), "%s", diag_list(&doc));
        document_fini(&doc);
    }
}

Test(warn, what_is_said_about_a_group)
{
    struct document doc;

    document_init(&doc);
    two_groups(&doc, "'sources':{'cidrs':['10.0.0.0/8','::/0']}",
               "'sources':{'cidrs':['0.0.0.0/0']},'default_action':'allow'");
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_NO_EFFECT), "group one: decides nothing"));
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_HALF_OF_ALL), "add \"::/0\" to its sources"));
    two_groups(&doc, "'sources':{'cidrs':['::/0']},'default_action':'allow'",
               "'sources':{'cidrs':['0.0.0.0/0','::/0']},'rules':[{'id':'a','action':'deny',"
               "'match':{'dns_hostname':'^a$'}}]");
    cr_assert_null(find_diag(&doc, POL_DIAG_NO_EFFECT));
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_HALF_OF_ALL), "add \"0.0.0.0/0\""));
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_NO_NAME_ALLOWED), "group two: denies names"));
    two_groups(&doc, "'sources':{'cidrs':['::/0','10.0.0.0/8']},'default_action':'allow'",
               "'sources':{'cidrs':['0.0.0.0/0','::/0']},'rules':[{'id':'a','action':'deny',"
               "'match':{'dns_hostname':'^a$'}},{'id':'b','action':'allow','match':{"
               "'dns_hostname':'.*'}}]");
    cr_assert_eq(pol_diags_count(doc.diags), 0, "%s", diag_list(&doc));
    document_fini(&doc);
}

Test(warn, reports_use_two_ids_for_something_else)
{
    static const char *const ids[] = {"default", "_other", "other"};
    struct document doc;
    char text[256];

    document_init(&doc);
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof(text),
                 "{'source_groups':[{'id':'%s','mode':'enforce','sources':{'ips':['::1']},"
                 "'default_action':'deny'}]}",
                 ids[i]);
        document_compile(&doc, text, NULL);
        cr_assert_eq(find_diag(&doc, POL_DIAG_RESERVED_ID) != NULL, i < 2, "%s", diag_list(&doc));
    }
    document_fini(&doc);
}

#define RULE(id, priority, port)                                                                   \
    "{'id':'" id "'," priority "'action':'allow','match':{'dst_ports':[" port "]}}"

static const struct {
    const char *rules;
    const char *said; /* NULL: nothing */
} priorities[] = {
    {RULE("a", "", "1") "," RULE("b", "", "2"), NULL},
    {RULE("a", "'priority':9,", "1") "," RULE("b", "'priority':1,", "2"), NULL},
    {RULE("a", "'priority':0,", "1") "," RULE("b", "", "2"), NULL},
    {RULE("a", "'priority':1,", "1") "," RULE("b", "", "2"), NULL},
    {RULE("a", "'priority':2,", "1") "," RULE("b", "", "2"),
     "rule b: has no priority and counts as 1, so it comes before a with priority 2"},
    {RULE("a", "", "1") "," RULE("b", "'priority':0,", "2"), NULL},
    {RULE("a", "", "1") "," RULE("b", "", "2") "," RULE("c", "'priority':0,", "3"),
     "rule b: has no priority and counts as 1, so it comes behind c with priority 0"},
};

Test(warn, places_that_count_as_priorities_are_named_where_they_change_the_order)
{
    for (size_t i = 0; i < sizeof(priorities) / sizeof(*priorities); i++) {
        struct document doc;
        char text[1024];

        document_init(&doc);
        snprintf(text, sizeof(text),
                 "{'source_groups':[{'id':'g','mode':'enforce','sources':{'ips':['::1']},"
                 "'rules':[%s]}]}",
                 priorities[i].rules);
        document_compile(&doc, text, NULL);
        cr_assert_eq(find_diag(&doc, POL_DIAG_MIXED_PRIORITY) != NULL, priorities[i].said != NULL,
                     "%s%s", priorities[i].rules, diag_list(&doc));
        if (priorities[i].said)
            cr_assert(diag_has(find_diag(&doc, POL_DIAG_MIXED_PRIORITY), priorities[i].said));
        document_fini(&doc);
    }
}

Test(warn, priorities_of_groups_are_looked_at_too)
{
    struct document doc;

    document_init(&doc);
    two_groups(&doc, "'priority':5,'sources':{'ips':['::1']},'default_action':'deny'",
               "'sources':{'ips':['::2']},'default_action':'deny'");
    cr_assert(diag_has(find_diag(&doc, POL_DIAG_MIXED_PRIORITY), "group two: has no priority"));
    document_fini(&doc);
}
