/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "net/ipset.h"
#include "net/portset.h"
#include "pattern/patterns.h"
#include "certificate.h"
#include "program/http.h"
#include "program/program.h"
#include "wire/x509.h"

Test(compile, steps_are_rules_by_priority_then_defaults)
{
    struct document doc;
    const pol_policy *p;

    document_init(&doc);
    document_compile(&doc,
                     "{'default_policy':'allow','source_groups':["
                     "{'id':'late','priority':7,'mode':'audit','sources':{'ips':['10.0.0.1']},"
                     "'default_action':'deny','rules':[{'id':'c','action':'allow','match':{}}]},"
                     "{'id':'early','priority':7,'mode':'enforce','sources':{'ips':['10.0.0.2']},"
                     "'rules':[{'id':'x','priority':5,'action':'allow','match':{}},"
                     "{'id':'y','mode':'audit','action':'deny','match':{}},"
                     "{'id':'z','priority':1,'action':'deny','match':{}}]},"
                     "{'id':'first','priority':0,'mode':'enforce','sources':{'ips':['::1']}}]}",
                     NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    p = doc.policy;

    /* first: default; late: c, default; early: y and z share priority 1, x; default; policy */
    cr_assert_eq(p->step_count, 8);
    cr_assert(str_equal(p->groups[0].id, STR("first")));
    cr_assert_eq(p->groups[0].first, 0);
    cr_assert_eq(p->groups[0].end, 0);
    cr_assert_eq(p->steps[0].kind, PP_GROUP_DEFAULT);
    cr_assert_eq(p->steps[0].action, PP_NO_ACTION);
    cr_assert_not(p->steps[0].by_packet);
    cr_assert(str_equal(p->groups[1].id, STR("late")));
    cr_assert_eq(p->steps[1].mode, POL_MODE_AUDIT);
    cr_assert_eq(p->steps[2].kind, PP_GROUP_DEFAULT);
    cr_assert_eq(p->steps[2].action, POL_DENY);
    cr_assert(p->steps[2].by_packet);
    cr_assert_eq(p->steps[2].mode, POL_MODE_AUDIT);
    cr_assert(str_equal(p->rule_ids[p->steps[3].rule], STR("y")));
    cr_assert(str_equal(p->rule_ids[p->steps[4].rule], STR("z")));
    cr_assert(str_equal(p->rule_ids[p->steps[5].rule], STR("x")));
    cr_assert_eq(p->rule_steps[3], 5);
    cr_assert_eq(p->groups[2].first, 3);
    cr_assert_eq(p->groups[2].end, 6);
    cr_assert_eq(p->steps[7].kind, PP_POLICY_DEFAULT);
    cr_assert_eq(p->steps[7].action, POL_ALLOW);
    cr_assert_eq(p->steps[7].group, POL_NONE);
    cr_assert(p->has_audit_deny);
    cr_assert_not_null(p->by_packet_audit);
    document_fini(&doc);
}

static const struct {
    const char *action, *match;
    bool by_packet, on_query;
} reached[] = {
    {"allow", "{}", true, false},
    {"allow", "{'dns_hostname':'^a$'}", false, true},
    {"allow", "{'dns_hostname':'^a$','proto':'tcp','dst_ports':[443]}", false, true},
    {"allow", "{'dns_hostname':'^a$','proto':'udp'}", false, true},
    {"deny", "{'dns_hostname':'^a$'}", true, true},
    {"deny", "{'dns_hostname':'^a$','proto':'any'}", true, true},
    {"deny", "{'dns_hostname':'^a$','proto':'tcp'}", true, false},
    {"deny", "{'dns_hostname':'^a$','dst_ports':[443]}", true, false},
    {"deny", "{'dns_hostname':'^a$','dst_ips':['192.0.2.1']}", true, false},
    {"deny", "{'dns_hostname':'^a$','proto':'udp'}", false, false},
    {"deny", "{'dns_hostname':'^a$','icmp_types':[8]}", false, false},
    {"deny", "{'dns_hostname':'^a$','tls':{}}", true, false},
};

Test(compile, hostnames_decide_how_a_step_is_reached)
{
    for (size_t i = 0; i < sizeof(reached) / sizeof(*reached); i++) {
        struct document doc;
        const struct pp_step *step;
        bool named = strstr(reached[i].match, "hostname");

        document_init(&doc);
        document_match(&doc, reached[i].action, reached[i].match);
        cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
        step = &doc.policy->steps[0];
        cr_assert_eq(step->by_packet, reached[i].by_packet, "%s %s", reached[i].action,
                     reached[i].match);
        cr_assert_eq(step->on_query, reached[i].on_query, "%s %s", reached[i].action,
                     reached[i].match);
        cr_assert_eq(step->pattern, named ? 0 : POL_NONE);
        cr_assert_eq(doc.policy->groups[0].has_query_rules, reached[i].on_query);
        cr_assert_eq(doc.policy->groups[0].has_hostname_allow,
                     named && strcmp(reached[i].action, "allow") == 0);
        document_fini(&doc);
    }
}

Test(compile, a_pattern_lists_its_steps)
{
    struct document doc;
    const pol_policy *p;

    document_init(&doc);
    document_compile(&doc,
                     "{'source_groups':[{'id':'g','mode':'enforce','sources':{'ips':['::1']},"
                     "'rules':[{'id':'a','action':'allow','match':{'dns_hostname':'^x$'}},"
                     "{'id':'b','action':'allow','match':{}},"
                     "{'id':'c','action':'deny','match':{'dns_hostname':'y'}},"
                     "{'id':'d','action':'deny','match':{'dns_hostname':' ^x$ '}}]}]}",
                     NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    p = doc.policy;
    cr_assert_eq(patterns_count(p->patterns), 2);
    cr_assert_eq(p->by_pattern[0].count, 2);
    cr_assert_eq(p->by_pattern[0].steps[0], 0);
    cr_assert_eq(p->by_pattern[0].steps[1], 3);
    cr_assert_eq(p->by_pattern[1].count, 1);
    cr_assert_eq(p->by_pattern[1].steps[0], 2);
    cr_assert(patterns_needs_engine(p->patterns, 1));
    document_fini(&doc);
}

static const struct {
    const char *match;
    int proto; /* -1: any */
    bool any_type, any_code;
    uint8_t type_in, type_out, code_in, code_out;
} icmp[] = {
    {"{'proto':'icmp'}", 1, false, false, 3, 8, 4, 1},
    {"{'proto':1}", 1, false, false, 11, 8, 0, 1},
    {"{'proto':'icmpv6'}", 58, false, true, 129, 128, 0, 0},
    {"{'proto':'58'}", 58, false, true, 1, 0, 0, 0},
    {"{'proto':'icmp','icmp_types':[8]}", 1, false, true, 8, 0, 0, 0},
    {"{'proto':'icmp','icmp_codes':[4]}", 1, true, false, 0, 0, 4, 0},
    {"{'icmp_types':[255],'icmp_codes':[0]}", 1, false, false, 255, 0, 0, 255},
};

Test(compile, icmp_has_defaults_and_any_with_types_is_ipv4)
{
    for (size_t i = 0; i < sizeof(icmp) / sizeof(*icmp); i++) {
        struct document doc;
        const struct pp_step *step;

        document_init(&doc);
        document_match(&doc, "allow", icmp[i].match);
        cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
        step = &doc.policy->steps[0];
        cr_assert_not(step->any_proto);
        cr_assert_eq(step->proto, icmp[i].proto);
        cr_assert_eq(step->icmp->any_type, icmp[i].any_type, "%s", icmp[i].match);
        cr_assert_eq(step->icmp->any_code, icmp[i].any_code, "%s", icmp[i].match);
        if (!icmp[i].any_type) {
            cr_assert(pp_octets_has(&step->icmp->types, icmp[i].type_in));
            cr_assert_not(pp_octets_has(&step->icmp->types, icmp[i].type_out));
        }
        if (!icmp[i].any_code) {
            cr_assert(pp_octets_has(&step->icmp->codes, icmp[i].code_in));
            cr_assert_not(pp_octets_has(&step->icmp->codes, icmp[i].code_out));
        }
        document_fini(&doc);
    }
}

Test(compile, selectors_become_sets)
{
    struct document doc;
    const struct pp_step *step;
    pol_addr addr;

    document_init(&doc);
    document_match(&doc, "allow",
                   "{'dst_cidrs':[' 192.0.2.77 / 24 '],'dst_ips':['2001:db8::1'],'proto':'17',"
                   "'src_ports':[0],'dst_ports':['53',' 100 - 200 ',201]}");
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    step = &doc.policy->steps[0];
    cr_assert_eq(step->proto, 17);
    cr_assert_eq(pol_addr_parse(STR("192.0.2.0"), &addr), POL_OK);
    cr_assert(ipset_has(step->dst, &addr));
    cr_assert_eq(pol_addr_parse(STR("2001:db8::1"), &addr), POL_OK);
    cr_assert(ipset_has(step->dst, &addr));
    cr_assert_eq(pol_addr_parse(STR("2001:db8::2"), &addr), POL_OK);
    cr_assert_not(ipset_has(step->dst, &addr));
    cr_assert_eq(step->src_ports->count, 1);
    cr_assert_eq(step->dst_ports->count, 2);
    cr_assert(portset_has(step->dst_ports, 201));
    cr_assert_null(step->icmp);
    cr_assert_null(step->tls);
    document_fini(&doc);
}

Test(compile, tls_conditions_are_normalised)
{
    struct document doc;
    const struct pp_tls *tls;

    document_init(&doc);
    document_match(&doc, "allow",
                   "{'tls':{'sni':{'exact':['B.Example.','','a.example'],'regex':' ^A '},"
                   "'server_dn':' C=US, O=a + OU=b, CN=c ',"
                   "'fingerprint_sha256':['00:11:22:33:44:55:66:77:88:99:AA:bb:cc:dd:ee:ff"
                   "00112233445566778899aabbccddeeff'],"
                   "'trust_anchors_pem':['" CERTIFICATE_PEM "'],'tls13_uninspectable':'allow'}}");
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    tls = doc.policy->steps[0].tls;
    cr_assert(tls->needs_certificate);
    cr_assert(tls->tls13_allow);
    cr_assert_not(tls->intercept);
    cr_assert_eq(tls->sni->exact_count, 2);
    cr_assert(str_equal(tls->sni->exact[0], STR("a.example")));
    cr_assert(str_equal(tls->sni->exact[1], STR("b.example")));
    cr_assert_eq(tls->sni->regex, doc.policy->regexes[0]);
    cr_assert_null(tls->san);
    cr_assert(str_equal(tls->server_dn, STR("C=US,O=a+OU=b,CN=c")));
    cr_assert_eq(tls->fingerprint_count, 1);
    cr_assert_eq(tls->fingerprints[0][10], 0xaa);
    cr_assert_eq(tls->fingerprints[0][31], 0xff);
    cr_assert_eq(tls->anchors->count, 1);
    document_fini(&doc);
}

Test(compile, http_constraints_are_normalised)
{
    struct document doc;
    const struct pp_http *http;

    document_init(&doc);
    document_match(
        &doc, "allow",
        "{'tls':{'mode':'intercept','http':{'request':{'host':{'exact':['Repo.Example.']},"
        "'methods':[' get '],'path':{'exact':['/A'],'prefix':['/b/',''],'regex':'^/C'},"
        "'query':{'keys_present':['K'],'key_values_exact':{'Q':['V','']},"
        "'key_values_regex':{'R':'^x'}},"
        "'headers':{'require_present':['User-Agent',' '],'deny_present':['X-A'],"
        "'exact':{'Accept':['*/*']},'regex':{'X-B':'^x'}}},'response':{}}}}");
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    http = doc.policy->steps[0].tls->http;
    cr_assert(doc.policy->steps[0].tls->intercept);
    cr_assert(http->has_request && http->has_response);
    cr_assert(str_equal(http->host.exact.items[0], STR("repo.example")));
    cr_assert(str_equal(http->methods.items[0], STR("GET")));
    cr_assert(str_equal(http->path.exact.items[0], STR("/A")));
    cr_assert_eq(http->path.prefix.count, 1);
    cr_assert_not_null(http->path.regex);
    cr_assert(str_equal(http->query.require.items[0], STR("K")));
    cr_assert_eq(http->query.field_count, 2);
    cr_assert_eq(http->query.fields[0].values.count, 2);
    cr_assert_null(http->query.fields[0].regex);
    cr_assert(str_equal(http->query.fields[1].key, STR("R")));
    cr_assert_eq(http->headers.require.count, 1);
    cr_assert(str_equal(http->headers.require.items[0], STR("user-agent")));
    cr_assert(str_equal(http->headers.deny.items[0], STR("x-a")));
    cr_assert(str_equal(http->headers.fields[0].key, STR("accept")));
    /* "^x" was written twice with the same meaning and is compiled once. */
    cr_assert_eq(http->headers.fields[1].regex, http->query.fields[1].regex);
    cr_assert_eq(doc.policy->regex_count, 2);
    document_fini(&doc);
}

Test(compile, audit_deny_is_a_document_option)
{
    struct document doc;

    document_init(&doc);
    document_compile(&doc, "{'audit_deny':'continue'}", NULL);
    cr_assert(doc.policy->audit_continues);
    document_compile(&doc, "{'audit_deny':'terminal'}", NULL);
    cr_assert_not(doc.policy->audit_continues);
    cr_assert_null(doc.policy->by_packet_audit);
    document_fini(&doc);
}
