/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

static const struct {
    const char *text;
    uint32_t code;
    const char *path;
    const char *said;
} faults[] = {
    {"[]", POL_DIAG_TYPE, "", "invalid json: the document must be an object, not an array"},
    {"{'mode':'audit','source_groups':[]}", POL_DIAG_UNKNOWN_KEY, "/mode",
     "invalid json: top-level policy mode is no longer supported"},
    {"{'default_policy':1}", POL_DIAG_TYPE, "/default_policy", "must be a string, not a number"},
    {"{'source_groups':null}", POL_DIAG_TYPE, "/source_groups", "must be an array, not null"},
    {"{'source_groups':[1]}", POL_DIAG_TYPE, "/source_groups/0", "must be an object"},
    {"{'source_group':[]}", POL_DIAG_UNKNOWN_KEY, "/source_group",
     "unknown key \"source_group\"; did you mean \"source_groups\"?"},
    {"{'zzz':[]}", POL_DIAG_UNKNOWN_KEY, "/zzz", "unknown key \"zzz\""},
    {"{'soucre_groups':[]}", POL_DIAG_UNKNOWN_KEY, "/soucre_groups",
     "unknown key \"soucre_groups\"; did you mean \"source_groups\"?"},
    {"{'source_groups_source_groups_source':[]}", POL_DIAG_UNKNOWN_KEY,
     "/source_groups_source_groups_source", "unknown key \"source_groups_source_groups_source\""},
    {"{'source_groups':[{'id':7,'mode':'audit','sources':{'ips':['10.0.0.1']}}]}", POL_DIAG_TYPE,
     "/source_groups/0/id", "invalid json: id must be a string, not a number"},
    {"{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['10.0.0.1']},'rules':['r']}]}",
     POL_DIAG_TYPE, "/source_groups/0/rules/0", "rule must be an object, not a string"},
    {"{'source_groups':[{'id':'g','mode':true,'sources':{'ips':['10.0.0.1']}}]}", POL_DIAG_TYPE,
     "/source_groups/0/mode", "mode must be a string, not a boolean"},
    {"{'audit_deny':'maybe'}", POL_DIAG_VALUE, "/audit_deny", "unknown variant `maybe`"},
    {"{'source_groups':[{'id':'g','sources':{'cidrs':['10.0.0.0/8']}}]}", POL_DIAG_MISSING,
     "/source_groups/0", "invalid json: missing field `mode`"},
    {"{'source_groups':[{'id':'g','mode':'Audit','sources':{'cidrs':['10.0.0.0/8']}}]}",
     POL_DIAG_VALUE, "/source_groups/0/mode",
     "unknown variant `Audit`, expected `audit` or `enforce`"},
    {"{'source_groups':[{'id':'g','mode':'audit'}]}", POL_DIAG_MISSING, "/source_groups/0",
     "missing field `sources`"},
    {"{'source_groups':[{'mode':'audit','sources':{'ips':['10.0.0.1']}}]}", POL_DIAG_MISSING,
     "/source_groups/0", "missing field `id`"},
    {"{'source_groups':[{'id':'g','mode':'audit','sources':{'kubernetes':[{'integration':'x'}]}}]}",
     POL_DIAG_UNAVAILABLE, "/source_groups/0/sources/kubernetes",
     "kubernetes sources are not available on this node"},
    {"{'source_groups':[{'id':'g','mode':'audit','sources':{'cidrs':'10.0.0.0/8'}}]}",
     POL_DIAG_TYPE, "/source_groups/0/sources/cidrs", "must be an array, not a string"},
    {"{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['10.0.0.1']},'rules':null}]}",
     POL_DIAG_TYPE, "/source_groups/0/rules", "must be an array, not null"},
    {"{'source_groups':[{'id':'g','mode':'audit','priority':-1,'sources':{'ips':['10.0.0.1']}}]}",
     POL_DIAG_VALUE, "/source_groups/0/priority", "-1 is not an integer from 0 to 4294967295"},
    {"{'source_groups':[{'id':'g','mode':'audit','priority':4294967296,"
     "'sources':{'ips':['10.0.0.1']}}]}",
     POL_DIAG_VALUE, "/source_groups/0/priority", "4294967296 is not an integer"},
    {"{'source_groups':[{'id':'g','mode':'audit','priority':1.0,'sources':{'ips':['10.0.0.1']}}]}",
     POL_DIAG_VALUE, "/source_groups/0/priority", "1.0 is not an integer"},
    {"{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['10.0.0.1']},"
     "'rules':[{'id':'r','action':'allow'}]}]}",
     POL_DIAG_MISSING, "/source_groups/0/rules/0", "missing field `match`"},
    {"{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['10.0.0.1']},"
     "'rules':[{'id':'r','match':{}}]}]}",
     POL_DIAG_MISSING, "/source_groups/0/rules/0", "missing field `action`"},
};

/* The same for what stands in a rule's match. */
static const struct {
    const char *match;
    uint32_t code;
    const char *path;
    const char *said;
} match_faults[] = {
    {"null", POL_DIAG_TYPE, "", "must be an object, not null"},
    {"{'dst_port':[1]}", POL_DIAG_UNKNOWN_KEY, "/dst_port",
     "unknown key \"dst_port\"; did you mean \"dst_ports\"?"},
    {"{'dst_ports':[70000]}", POL_DIAG_VALUE, "/dst_ports/0",
     "invalid json: data did not match any variant of untagged enum PortSpec: 70000"},
    {"{'dst_ports':[-1]}", POL_DIAG_VALUE, "/dst_ports/0", "PortSpec"},
    {"{'src_ports':[true]}", POL_DIAG_TYPE, "/src_ports/0", "PortSpec"},
    {"{'dst_ports':null}", POL_DIAG_TYPE, "/dst_ports", "must be an array, not null"},
    {"{'proto':256}", POL_DIAG_VALUE, "/proto", "ProtoValue"},
    {"{'proto':[]}", POL_DIAG_TYPE, "/proto", "ProtoValue"},
    {"{'icmp_types':[256]}", POL_DIAG_VALUE, "/icmp_types/0", "256 is not an integer"},
    {"{'icmp_codes':['0']}", POL_DIAG_TYPE, "/icmp_codes/0", "must be an integer"},
    {"{'dst_ips':[1]}", POL_DIAG_TYPE, "/dst_ips/0", "must be an array of strings"},
    {"{'dns_hostname':['a']}", POL_DIAG_TYPE, "/dns_hostname", "must be a string"},
    {"{'tls':[]}", POL_DIAG_TYPE, "/tls", "must be an object"},
    {"{'tls':{'mode':'Intercept'}}", POL_DIAG_VALUE, "/tls/mode",
     "unknown variant `Intercept`, expected `metadata` or `intercept`"},
    {"{'tls':{'tls13_uninspectable':'no'}}", POL_DIAG_VALUE, "/tls/tls13_uninspectable",
     "unknown variant `no`, expected `allow` or `deny`"},
    {"{'tls':{'sni':1}}", POL_DIAG_TYPE, "/tls/sni", "a pattern, an array of names or an object"},
    {"{'tls':{'sni':{'regexp':'a'}}}", POL_DIAG_UNKNOWN_KEY, "/tls/sni/regexp",
     "did you mean \"regex\"?"},
    {"{'tls':{'sni':{'regex':1}}}", POL_DIAG_TYPE, "/tls/sni/regex",
     "must be a string, not a number"},
    {"{'tls':{'sni':{'exact':[{}]}}}", POL_DIAG_TYPE, "/tls/sni/exact/0",
     "must be an array of strings, not an object"},
    {"{'tls':{'sni':{'exact':{}}}}", POL_DIAG_TYPE, "/tls/sni/exact", "must be an array"},
    {"{'tls':{'mode':'intercept','http':{'requst':{}}}}", POL_DIAG_UNKNOWN_KEY, "/tls/http/requst",
     "did you mean \"request\"?"},
    {"{'tls':{'mode':'intercept','http':{'request':{'hots':{'exact':['a']}}}}}",
     POL_DIAG_UNKNOWN_KEY, "/tls/http/request/hots", "did you mean \"host\"?"},
    {"{'tls':{'mode':'intercept','http':{'response':{'header':{'exact':{'a':['b']}}}}}}",
     POL_DIAG_UNKNOWN_KEY, "/tls/http/response/header", "did you mean \"headers\"?"},
    {"{'tls':{'mode':'intercept','http':{'request':{'query':{'key_values_exact':['a']}}}}}",
     POL_DIAG_TYPE, "/tls/http/request/query/key_values_exact", "must be an object, not an array"},
    {"{'tls':{'mode':'intercept','http':{'request':{'path':{'prefx':['/']}}}}}",
     POL_DIAG_UNKNOWN_KEY, "/tls/http/request/path/prefx", "did you mean \"prefix\"?"},
    {"{'tls':{'mode':'intercept','http':{'request':{'host':{'prefix':['a']}}}}}",
     POL_DIAG_UNKNOWN_KEY, "/tls/http/request/host/prefix", "unknown key \"prefix\""},
    {"{'tls':{'mode':'intercept','http':{'request':{'query':{'deny_present':['a']}}}}}",
     POL_DIAG_UNKNOWN_KEY, "/tls/http/request/query/deny_present", "unknown key"},
    {"{'tls':{'mode':'intercept','http':{'response':{'headers':{'exact':{'a':'b'}}}}}}",
     POL_DIAG_TYPE, "/tls/http/response/headers/exact/a", "must be an array"},
    {"{'tls':{'mode':'intercept','http':{'response':{'headers':{'regex':{'a':['b']}}}}}}",
     POL_DIAG_TYPE, "/tls/http/response/headers/regex/a", "an object of patterns"},
};

Test(load_json, wrong_types_unknown_and_missing_keys_are_errors)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        struct document doc;
        const pol_diag *diag;

        document_init(&doc);
        document_compile(&doc, faults[i].text, NULL);
        cr_assert_eq(doc.rc, POL_E_POLICY, "%s", faults[i].text);
        cr_assert_eq(pol_diags_errors(doc.diags), 1, "%s%s", faults[i].text, diag_list(&doc));
        diag = pol_diags_at(doc.diags, 0);
        cr_assert_eq(diag->code, faults[i].code, "%s%s", faults[i].text, diag_list(&doc));
        cr_assert_str_eq(diag->path.ptr, faults[i].path);
        cr_assert(diag_has(diag, faults[i].said), "%s%s", faults[i].text, diag_list(&doc));
        cr_assert_eq(diag_has(diag, "did you mean"), strstr(faults[i].said, "did you mean") != NULL,
                     "%s%s", faults[i].text, diag_list(&doc));
        cr_assert_gt(diag->column, 0);
        document_fini(&doc);
    }
}

Test(load_json, the_same_inside_a_match)
{
    for (size_t i = 0; i < sizeof(match_faults) / sizeof(*match_faults); i++) {
        char path[128];
        struct document doc;
        const pol_diag *diag;

        document_init(&doc);
        document_match(&doc, "allow", match_faults[i].match);
        cr_assert_eq(doc.rc, POL_E_POLICY, "%s", match_faults[i].match);
        cr_assert_eq(pol_diags_errors(doc.diags), 1, "%s%s", match_faults[i].match,
                     diag_list(&doc));
        diag = pol_diags_at(doc.diags, 0);
        snprintf(path, sizeof(path), "/source_groups/0/rules/0/match%s", match_faults[i].path);
        cr_assert_eq(diag->code, match_faults[i].code, "%s%s", match_faults[i].match,
                     diag_list(&doc));
        cr_assert_str_eq(diag->path.ptr, path);
        cr_assert(diag_has(diag, match_faults[i].said), "%s%s", match_faults[i].match,
                  diag_list(&doc));
        document_fini(&doc);
    }
}

Test(load_json, null_is_absent_for_everything_optional_but_arrays)
{
    struct document doc;

    document_init(&doc);
    document_compile(
        &doc,
        "{'default_policy':null,'mode':null,'audit_deny':null,'source_groups':[{'id':'g',"
        "'mode':'audit','priority':null,'default_action':null,'sources':{'ips':['::1']},"
        "'rules':[{'id':'r','priority':null,'mode':null,'action':'allow','match':{"
        "'dns_hostname':null,'proto':null,'tls':null}},{'id':'s','action':'deny','match':{'tls':{"
        "'mode':null,'sni':null,'server_dn':null,'server_san':null,'server_cn':null,"
        "'tls13_uninspectable':null,'http':null}}}]}]}",
        NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    document_fini(&doc);
}

Test(load_json, all_faults_come_back_at_once_in_order_with_their_places)
{
    static const struct {
        uint32_t code, line, column;
    } expected[] = {
        {POL_DIAG_VALUE, 2, 20},   {POL_DIAG_VALUE, 6, 26},       {POL_DIAG_VALUE, 6, 41},
        {POL_DIAG_VALUE, 8, 27},   {POL_DIAG_UNKNOWN_KEY, 9, 13}, {POL_DIAG_REGEX, 10, 29},
        {POL_DIAG_MISSING, 12, 5}, {POL_DIAG_DUPLICATE, 12, 12},
    };
    struct document doc;

    document_init(&doc);
    document_compile(&doc,
                     "{\n"
                     " 'default_policy': 'perhaps',\n"
                     " 'source_groups': [\n"
                     "  {'id': 'g',\n"
                     "   'mode': 'enforce',\n"
                     "   'sources': {'cidrs': ['10.0.0.0/33', '10.0.0.0.0']},\n"
                     "   'rules': [\n"
                     "    {'id': 'r', 'action': 'drop', 'match': {\n"
                     "            'dst_port': [1],\n"
                     "            'dns_hostname': '(?=x)'\n"
                     "    }}]},\n"
                     "    {'id': 'g', 'sources': {'ips': ['10.0.0.1']}}]}",
                     NULL);
    cr_assert_eq(doc.rc, POL_E_POLICY);
    cr_assert_eq(pol_diags_errors(doc.diags), 8, "%s", diag_list(&doc));
    for (size_t i = 0; i < pol_diags_count(doc.diags); i++) {
        const pol_diag *diag = pol_diags_at(doc.diags, i);

        cr_assert_eq(diag->severity, POL_DIAG_ERROR);
        cr_assert_eq(diag->code, expected[i].code, "%zu%s", i, diag_list(&doc));
        cr_assert_eq(diag->line, expected[i].line, "%zu%s", i, diag_list(&doc));
        cr_assert_eq(diag->column, expected[i].column, "%zu%s", i, diag_list(&doc));
    }
    document_fini(&doc);
}

static void expect_limit(const pol_limits *limits, const char *text, const char *said)
{
    struct document doc;

    document_init(&doc);
    pol_ctx_unref(doc.ctx);
    doc.opts.limits = *limits;
    doc.opts.mem = NULL;
    cr_assert_eq(pol_ctx_new(&doc.opts, &doc.ctx), POL_OK);
    document_compile(&doc, text, NULL);
    cr_assert_eq(doc.rc, POL_E_POLICY, "%s", text);
    cr_assert_eq(pol_diags_errors(doc.diags), 1, "%s%s", text, diag_list(&doc));
    cr_assert_eq(pol_diags_at(doc.diags, 0)->code, POL_DIAG_LIMIT);
    cr_assert(diag_has(pol_diags_at(doc.diags, 0), said), "%s", diag_list(&doc));
    document_fini(&doc);
}

#define GROUP(id, rules)                                                                           \
    "{'id':'" id "','mode':'audit','sources':{'ips':['10.0.0.1']},'rules':[" rules "]}"
#define RULE(id, host) "{'id':'" id "','action':'allow','match':{'dns_hostname':'" host "'}}"

Test(load_json, limits_are_named_when_they_are_reached)
{
    pol_ctx_options opts;
    pol_limits limits;

    pol_ctx_options_init(&opts, sizeof(opts));
    limits = opts.limits;
    limits.document_bytes = 10;
    expect_limit(&limits, "{'source_groups':[]}", "20 octets; at most 10");
    limits = opts.limits;
    limits.groups = 1;
    expect_limit(&limits, "{'source_groups':[" GROUP("a", "") "," GROUP("b", "") "]}",
                 "2 source groups; at most 1");
    limits = opts.limits;
    limits.rules = 1;
    expect_limit(&limits,
                 "{'source_groups':[" GROUP("a", RULE("r", "^a$")) "," GROUP(
                     "b", RULE("r", "^a$")) "," GROUP("c", RULE("r", "^a$")) "]}",
                 "more than 1 rules");
    limits = opts.limits;
    limits.id_bytes = 3;
    expect_limit(&limits, "{'source_groups':[" GROUP("abcd", "") "]}", "4 octets; at most 3");
    limits = opts.limits;
    limits.pattern_bytes = 4;
    expect_limit(&limits, "{'source_groups':[" GROUP("a", RULE("r", "^abc$")) "]}",
                 "dns_hostname has 5 octets; at most 4");
    limits = opts.limits;
    limits.regexes = 1;
    expect_limit(
        &limits,
        "{'source_groups':[" GROUP("a", RULE("r", "^a$") "," RULE("s", "b") "," RULE(
                                            "t", "b") "," RULE("u", "c") "," RULE("v", "d")) "]}",
        "more than 1 patterns need the regex engine");
}

Test(load_json, further_diagnostics_are_counted_not_kept)
{
    struct document doc;

    document_init(&doc);
    pol_ctx_unref(doc.ctx);
    doc.opts.limits.diagnostics = 2;
    doc.opts.mem = NULL;
    cr_assert_eq(pol_ctx_new(&doc.opts, &doc.ctx), POL_OK);
    document_compile(&doc, "{'a':1,'b':2,'c':3,'d':4}", NULL);
    cr_assert_eq(pol_diags_errors(doc.diags), 4);
    cr_assert_eq(pol_diags_count(doc.diags), 2);
    cr_assert_null(pol_diags_at(doc.diags, 2));
    document_fini(&doc);
}
