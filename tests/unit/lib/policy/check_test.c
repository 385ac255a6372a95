/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "certificate.h"

static const struct {
    const char *text;
    uint32_t code;
    const char *said;
} group_faults[] = {
    {"{'default_policy':'x'}", POL_DIAG_VALUE, "invalid default policy: x"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{}}]}", POL_DIAG_MISSING,
     "group X: sources cannot be empty"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'cidrs':['10.0.0/8']}}]}",
     POL_DIAG_VALUE, "group X: invalid IP address: 10.0.0"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'cidrs':['010.0.0.0/8']}}]}",
     POL_DIAG_VALUE, "group X: invalid IP address: 010.0.0.0"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'ips':['10.0.0.0/8']}}]}",
     POL_DIAG_VALUE, "group X: invalid IP address: 10.0.0.0/8"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'cidrs':['10.0.0.0/33']}}]}",
     POL_DIAG_VALUE, "group X: invalid prefix length: 33"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'cidrs':['fd00::/129']}}]}",
     POL_DIAG_VALUE, "group X: invalid prefix length: 129"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'cidrs':['10.0.0.0/x']}}]}",
     POL_DIAG_VALUE, "group X: invalid prefix length: x"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'cidrs':['10.0.0.0/']}}]}",
     POL_DIAG_VALUE, "group X: invalid prefix length: "},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'ips':['10.0.0.1']},"
     "'default_action':'drop'}]}",
     POL_DIAG_VALUE, "invalid rule action: drop"},
    {"{'source_groups':[{'id':'','mode':'audit','sources':{'ips':['10.0.0.1']}}]}",
     POL_DIAG_MISSING, "group id cannot be empty"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'ips':['10.0.0.1']}},"
     "{'id':'X','mode':'audit','sources':{'ips':['10.0.0.1']}}]}",
     POL_DIAG_DUPLICATE, "group id \"X\" is used twice"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'ips':['10.0.0.1']},'rules':["
     "{'id':'r','action':'allow','match':{}},{'id':'r','action':'allow','match':{}}]}]}",
     POL_DIAG_DUPLICATE, "rule id \"r\" is used twice in its group"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'ips':['10.0.0.1']},'rules':["
     "{'id':'','action':'allow','match':{}}]}]}",
     POL_DIAG_MISSING, "rule id cannot be empty"},
    {"{'source_groups':[{'id':'X','mode':'audit','sources':{'ips':['10.0.0.1']},'rules':["
     "{'id':'r','action':'Permit','match':{}}]}]}",
     POL_DIAG_VALUE, "invalid rule action: Permit"},
};

#define TLS(fields)     "{'tls':{" fields "}}"
#define HTTP(fields)    TLS("'mode':'intercept','http':{" fields "}")
#define REQUEST(fields) HTTP("'request':{" fields "}")

static const struct {
    const char *match;
    uint32_t code;
    const char *said; /* behind "rule r: " */
} match_faults[] = {
    {"{'dst_cidrs':['1.2.3/8']}", POL_DIAG_VALUE, "invalid IP address: 1.2.3"},
    {"{'dst_cidrs':['1.2.3.4/40']}", POL_DIAG_VALUE, "invalid prefix length: 40"},
    {"{'dst_ips':['1.2.3.4.5']}", POL_DIAG_VALUE, "invalid IP address: 1.2.3.4.5"},
    {"{'dns_hostname':'  '}", POL_DIAG_MISSING, "dns_hostname cannot be empty"},
    {"{'dns_hostname':'(?=x)'}", POL_DIAG_REGEX,
     "invalid dns_hostname regex: look-ahead is not supported at offset 0"},
    {"{'dns_hostname':'a('}", POL_DIAG_REGEX, "invalid dns_hostname regex: "},
    {"{'proto':'sctp'}", POL_DIAG_VALUE,
     "invalid proto value: sctp (expected any, tcp, udp, icmp, icmpv6 or 0 to 255)"},
    {"{'proto':' tcp'}", POL_DIAG_VALUE,
     "invalid proto value:  tcp (expected any, tcp, udp, icmp, icmpv6 or 0 to 255)"},
    {"{'proto':'256'}", POL_DIAG_VALUE,
     "invalid proto value: 256 (expected any, tcp, udp, icmp, icmpv6 or 0 to 255)"},
    {"{'proto':''}", POL_DIAG_VALUE,
     "invalid proto value:  (expected any, tcp, udp, icmp, icmpv6 or 0 to 255)"},
    {"{'dst_ports':['x']}", POL_DIAG_VALUE, "invalid port: x"},
    {"{'dst_ports':['65536']}", POL_DIAG_VALUE, "invalid port: 65536"},
    {"{'dst_ports':['']}", POL_DIAG_VALUE, "invalid port: "},
    {"{'dst_ports':['x-2']}", POL_DIAG_VALUE, "invalid port range start: x"},
    {"{'dst_ports':['1-y']}", POL_DIAG_VALUE, "invalid port range end: y"},
    {"{'dst_ports':['1-2-3']}", POL_DIAG_VALUE, "invalid port range end: 2-3"},
    {"{'src_ports':['90-80']}", POL_DIAG_VALUE, "invalid port range: 90-80"},
    {"{'proto':'udp','tls':{'sni':'x'}}", POL_DIAG_CONFLICT,
     "tls matches require proto tcp or any"},
    {"{'proto':'tcp','icmp_types':[8]}", POL_DIAG_CONFLICT,
     "icmp type/code matches require proto icmp, icmpv6 or any"},
    {"{'proto':17,'icmp_codes':[8]}", POL_DIAG_CONFLICT,
     "icmp type/code matches require proto icmp, icmpv6 or any"},
    {"{'proto':'icmp','dst_ports':[1]}", POL_DIAG_CONFLICT,
     "port matches are not valid for icmp rules"},
    {"{'proto':'icmpv6','src_ports':[1]}", POL_DIAG_CONFLICT,
     "port matches are not valid for icmp rules"},
    {TLS("'sni':[]"), POL_DIAG_MISSING, "tls.sni matcher cannot be empty"},
    {TLS("'sni':['.','']"), POL_DIAG_MISSING, "tls.sni matcher cannot be empty"},
    {TLS("'server_san':{}"), POL_DIAG_MISSING, "tls.server_san matcher cannot be empty"},
    {TLS("'server_cn':{'exact':[]}"), POL_DIAG_MISSING, "tls.server_cn matcher cannot be empty"},
    {TLS("'sni':' '"), POL_DIAG_MISSING, "tls.sni regex cannot be empty"},
    {TLS("'sni':{'exact':['a'],'regex':''}"), POL_DIAG_MISSING, "tls.sni regex cannot be empty"},
    {TLS("'sni':'('"), POL_DIAG_REGEX, "invalid tls.sni regex: "},
    {TLS("'sni':['a..b']"), POL_DIAG_VALUE, "tls.sni: \"a..b\" is not a name"},
    {TLS("'server_dn':' '"), POL_DIAG_MISSING, "tls.server_dn cannot be empty"},
    {TLS("'fingerprint_sha256':['aabb']"), POL_DIAG_CERTIFICATE,
     "invalid sha256 fingerprint length: aabb"},
    {TLS("'fingerprint_sha256':['xy']"), POL_DIAG_CERTIFICATE, "invalid sha256 fingerprint: xy"},
    {TLS("'trust_anchors_pem':['hello']"), POL_DIAG_CERTIFICATE, "invalid PEM certificate"},
    {TLS("'trust_anchors_pem':['-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----']"),
     POL_DIAG_CERTIFICATE, "invalid PEM certificate"},
    {TLS("'trust_anchors_pem':['" CERTIFICATE_PEM "-----BEGIN PRIVATE KEY-----\\nAA==']"),
     POL_DIAG_CERTIFICATE, "unsupported PEM label for trust anchor"},
    {TLS("'trust_anchors_pem':[' ']"), POL_DIAG_MISSING, "trust_anchors_pem cannot be empty"},
    {TLS("'http':{'request':{}}"), POL_DIAG_CONFLICT,
     "tls.http is only valid when tls.mode is intercept"},
    {TLS("'mode':'intercept','sni':'x','http':{'request':{}}"), POL_DIAG_CONFLICT,
     "tls.mode intercept cannot be combined with metadata matchers"},
    {TLS("'mode':'intercept'"), POL_DIAG_MISSING,
     "tls.mode intercept requires tls.http constraints"},
    {HTTP(""), POL_DIAG_MISSING, "tls.http requires request and/or response constraints"},
    {REQUEST("'host':{}"), POL_DIAG_MISSING, "tls.http.request.host matcher cannot be empty"},
    {REQUEST("'host':{'regex':' '}"), POL_DIAG_MISSING,
     "tls.http.request.host regex cannot be empty"},
    {REQUEST("'methods':['GET',' ']"), POL_DIAG_MISSING,
     "tls.http.request.methods entries cannot be empty"},
    {REQUEST("'path':{'exact':['']}"), POL_DIAG_MISSING,
     "tls.http.request.path matcher cannot be empty"},
    {REQUEST("'path':{'regex':'['}"), POL_DIAG_REGEX, "invalid tls.http.request.path regex: "},
    {REQUEST("'query':{}"), POL_DIAG_MISSING, "tls.http.request.query matcher cannot be empty"},
    {REQUEST("'query':{'key_values_exact':{'':['a']}}"), POL_DIAG_MISSING,
     "tls.http.request.query.key_values_exact has empty key"},
    {REQUEST("'query':{'key_values_exact':{'k':[]}}"), POL_DIAG_MISSING,
     "tls.http.request.query.key_values_exact[k] cannot be empty"},
    {REQUEST("'query':{'key_values_regex':{' ':'a'}}"), POL_DIAG_MISSING,
     "tls.http.request.query.key_values_regex has empty key"},
    {REQUEST("'query':{'key_values_regex':{'k':''}}"), POL_DIAG_MISSING,
     "tls.http.request.query.key_values_regex[k] cannot be empty"},
    {REQUEST("'headers':{}"), POL_DIAG_MISSING, "tls.http.request.headers matcher cannot be empty"},
    {REQUEST("'headers':{'exact':{'':['a']}}"), POL_DIAG_MISSING,
     "tls.http.request.headers.exact has empty header name"},
    {REQUEST("'headers':{'exact':{'h':[]}}"), POL_DIAG_MISSING,
     "tls.http.request.headers.exact[h] cannot be empty"},
    {REQUEST("'headers':{'regex':{'h':'a++'}}"), POL_DIAG_REGEX,
     "invalid tls.http.request.headers.regex[h] regex: a possessive quantifier"},
    {HTTP("'response':{'headers':{}}"), POL_DIAG_MISSING,
     "tls.http.response.headers matcher cannot be empty"},
};

static void expect_one(struct document *doc, const char *text, uint32_t code, const char *said)
{
    const pol_diag *diag;

    cr_assert_eq(doc->rc, POL_E_POLICY, "%s", text);
    cr_assert_null(doc->policy);
    cr_assert_eq(pol_diags_errors(doc->diags), 1, "%s%s", text, diag_list(doc));
    diag = pol_diags_at(doc->diags, 0);
    cr_assert_eq(diag->code, code, "%s%s", text, diag_list(doc));
    cr_assert_eq(strncmp(diag->text.ptr, said, strlen(said)), 0, "%s%s", text, diag_list(doc));
    cr_assert(diag->line && diag->column && diag->path.len);
}

Test(check, groups_are_judged_in_the_words_of_the_contract)
{
    for (size_t i = 0; i < sizeof(group_faults) / sizeof(*group_faults); i++) {
        struct document doc;

        document_init(&doc);
        document_compile(&doc, group_faults[i].text, NULL);
        expect_one(&doc, group_faults[i].text, group_faults[i].code, group_faults[i].said);
        document_fini(&doc);
    }
}

Test(check, rules_are_judged_in_the_words_of_the_contract)
{
    for (size_t i = 0; i < sizeof(match_faults) / sizeof(*match_faults); i++) {
        char said[256];
        struct document doc;

        document_init(&doc);
        document_match(&doc, "allow", match_faults[i].match);
        snprintf(said, sizeof(said), "rule r: %s", match_faults[i].said);
        expect_one(&doc, match_faults[i].match, match_faults[i].code, said);
        document_fini(&doc);
    }
}

static const char *const good[] = {
    "{}",
    "{'dst_cidrs':[' 10.1.2.3 / 8 ','fd00::1/8','192.0.2.1'],'dst_ips':[' 192.0.2.1 ','::1']}",
    "{'dst_ports':[0,'443',' 443 ','1000 - 2000'],'src_ports':['0-65535']}",
    "{'proto':'ANY','dst_ports':[1]}",
    "{'proto':'IcmpV6','icmp_types':[128]}",
    "{'proto':58,'icmp_types':[128]}",
    "{'proto':'6','tls':{}}",
    "{'proto':0}",
    "{'icmp_types':[8],'icmp_codes':[0]}",
    "{'dns_hostname':' ^a$ '}",
    TLS("'sni':['A.Example.','']"),
    TLS("'trust_anchors_pem':['" CERTIFICATE_PEM CERTIFICATE_PEM "']"),
    TLS("'fingerprint_sha256':['"
        "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:FF "
        "00112233445566778899AABBCCDDEEFF']"),
    HTTP("'request':{}"),
    HTTP("'response':{},'request':null"),
    REQUEST("'headers':{'exact':{'h':['']}}"),
};

Test(check, what_the_contract_allows_is_accepted)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct document doc;

        document_init(&doc);
        document_match(&doc, "ALLOW", good[i]);
        cr_assert_eq(doc.rc, POL_OK, "%s%s", good[i], diag_list(&doc));
        document_fini(&doc);
    }
}

Test(check, a_group_without_mode_follows_the_option)
{
    static const char text[] = "{'source_groups':[{'id':'g','sources':{'ips':['10.0.0.1']}}]}";
    pol_compile_options opts;
    struct document doc;
    char json[512];
    size_t len;

    document_init(&doc);
    pol_compile_options_init(&opts, sizeof(opts));
    opts.absent_mode = POL_MODE_AUDIT;
    document_compile(&doc, text, &opts);
    cr_assert_eq(doc.rc, POL_OK);
    cr_assert_eq(pol_policy_json(doc.policy, json, sizeof(json) - 1, &len), POL_OK);
    json[len] = '\0';
    cr_assert(strstr(json, "\"mode\":\"audit\""), "the resolved mode is part of the document");
    opts.size = 3;
    document_compile(&doc, text, &opts);
    cr_assert_eq(doc.rc, POL_E_ABI);
    document_fini(&doc);
}

Test(check, a_bad_pattern_is_reported_at_every_rule_that_has_it)
{
    struct document doc;

    document_init(&doc);
    document_compile(&doc,
                     "{'source_groups':[{'id':'g','mode':'audit','sources':{'ips':['10.0.0.1']},"
                     "'rules':[{'id':'a','action':'allow','match':{'dns_hostname':'('}},"
                     "{'id':'b','action':'allow','match':{'dns_hostname':'('}}]}]}",
                     NULL);
    cr_assert_eq(pol_diags_errors(doc.diags), 2);
    cr_assert(diag_has(pol_diags_at(doc.diags, 1), "rule b: invalid dns_hostname regex"));
    document_fini(&doc);
}
