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
};

Test(warn, one_rule_by_itself)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct document doc;

        document_init(&doc);
        document_match(&doc, cases[i].action, cases[i].match);
        cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
        cr_assert_eq(pol_diags_count(doc.diags), cases[i].code != 0, "%s %s%s", cases[i].action,
                     cases[i].match, diag_list(&doc));
        cr_assert_eq(pol_diags_errors(doc.diags), 0);
        if (cases[i].code) {
            const pol_diag *diag = pol_diags_at(doc.diags, 0);

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
