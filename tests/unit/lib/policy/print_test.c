/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "representative.h"

static char *print(const pol_policy *policy)
{
    char *text;
    size_t len;

    cr_assert_eq(pol_policy_json(policy, NULL, 0, &len), POL_E_NOSPACE);
    text = malloc(len + 1);
    cr_assert_eq(pol_policy_json(policy, text, len, &len), POL_OK);
    text[len] = '\0';
    return text;
}

static const struct {
    const char *text, *printed;
} cases[] = {
    {"{}", "{'default_policy':'deny','source_groups':[]}"},
    {"{'audit_deny':'continue','default_policy':'ALLOW'}",
     "{'default_policy':'ALLOW','source_groups':[],'audit_deny':'continue'}"},
    {"{'default_policy':'deny','source_groups':[{'id':'web','priority':null,'mode':'enforce',"
     "'sources':{'cidrs':['10.0.1.0/24']},'rules':[{'id':'r1','action':'allow','match':"
     "{'dst_ips':['203.0.113.9'],'proto':'tcp','dst_ports':['443']}}]}]}",
     "{'default_policy':'deny','source_groups':[{'id':'web','priority':null,'mode':'enforce',"
     "'sources':{'cidrs':['10.0.1.0/24'],'ips':[],'kubernetes':[]},"
     "'rules':[{'id':'r1','priority':null,'action':'allow','mode':null,"
     "'match':{'dst_cidrs':[],'dst_ips':['203.0.113.9'],'dns_hostname':null,'proto':'tcp',"
     "'src_ports':[],'dst_ports':['443'],'icmp_types':[],'icmp_codes':[],'tls':null}}],"
     "'default_action':null}]}"},
    {"{'source_groups':[{'id':'b','priority':9,'mode':'audit','sources':{'ips':['::1']},"
     "'default_action':'Deny'},{'id':'a','priority':1,'mode':'audit','sources':{'ips':['::1']}}]}",
     "{'default_policy':'deny','source_groups':[{'id':'b','priority':9,'mode':'audit','sources':"
     "{'cidrs':[],'ips':['::1'],'kubernetes':[]},'rules':[],'default_action':'Deny'},"
     "{'id':'a','priority':1,'mode':'audit','sources':{'cidrs':[],'ips':['::1'],"
     "'kubernetes':[]},'rules':[],'default_action':null}]}"},
};

Test(print, a_reply_has_every_key_and_the_authors_spelling)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *expected = quoted(cases[i].printed);
        struct document doc;
        char *printed;

        document_init(&doc);
        document_compile(&doc, cases[i].text, NULL);
        cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
        printed = print(doc.policy);
        cr_assert_str_eq(printed, expected);
        free(printed);
        free(expected);
        document_fini(&doc);
    }
}

static const struct {
    const char *written, *printed;
} matches[] = {
    {"{'tls':{}}", "'tls':{'mode':null,'sni':null,'server_dn':null,'server_san':null,"
                   "'server_cn':null,'fingerprint_sha256':[],'trust_anchors_pem':[],"
                   "'tls13_uninspectable':null,'http':null}"},
    {"{'tls':{'sni':'a','server_san':['b'],'server_cn':{'regex':'c'}}}",
     "'sni':'a','server_dn':null,'server_san':['b'],'server_cn':{'exact':[],'regex':'c'}"},
    {"{'proto':6,'dst_ports':[1,'2',' 3-4 ']}", "'proto':6,'src_ports':[],'dst_ports':[1,'2',"
                                                "' 3-4 ']"},
    {"{'proto':'TCP'}", "'proto':'TCP'"},
    {"{'dns_hostname':' ^a\\\\.b$ '}", "'dns_hostname':' ^a\\\\.b$ '"},
    {"{'dns_hostname':'^\\u0061$'}", "'dns_hostname':'^a$'"},
    {"{'tls':{'server_dn':'\\u0001\\n\\u0022\\/\\u00e9\\ud83d\\ude00'}}",
     "'server_dn':'\\u0001\\n\\\"/\xc3\xa9\xf0\x9f\x98\x80'"},
    {"{'tls':{'mode':'intercept','http':{'request':{'query':{'keys_present':['a']}}}}}",
     "'http':{'request':{'host':null,'methods':[],'path':null,'query':{'keys_present':['a'],"
     "'key_values_exact':{},'key_values_regex':{}},'headers':null},'response':null}"},
    {"{'tls':{'mode':'intercept','http':{'response':{}}}}",
     "'http':{'request':null,'response':{'headers':null}}"},
};

Test(print, values_keep_the_form_they_were_sent_in)
{
    for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
        char *expected = quoted(matches[i].printed);
        struct document doc;
        char *printed;

        document_init(&doc);
        document_match(&doc, "allow", matches[i].written);
        cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
        printed = print(doc.policy);
        cr_assert(strstr(printed, expected), "%s\n%s", printed, expected);
        free(printed);
        free(expected);
        document_fini(&doc);
    }
}

static void expect_same_again(struct document *doc)
{
    uint8_t before[32], after[32];
    char *first = print(doc->policy), *second;
    pol_policy *again = NULL;

    cr_assert_eq(pol_compile(doc->ctx, str_of(first), NULL, &again, NULL), POL_OK);
    second = print(again);
    cr_assert_str_eq(first, second);
    pol_policy_digest(doc->policy, before);
    pol_policy_digest(again, after);
    cr_assert_eq(memcmp(before, after, sizeof(before)), 0);
    pol_policy_unref(again);
    free(first);
    free(second);
}

Test(print, what_is_printed_compiles_to_the_same_document)
{
    struct document doc;

    document_init(&doc);
    document_compile(&doc, representative, NULL);
    cr_assert_eq(doc.rc, POL_OK, "%s", diag_list(&doc));
    expect_same_again(&doc);
    for (size_t i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
        document_match(&doc, "deny", matches[i].written);
        expect_same_again(&doc);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        document_compile(&doc, cases[i].text, NULL);
        expect_same_again(&doc);
    }
    document_fini(&doc);
}

Test(print, an_absent_default_is_resolved_once_and_for_all)
{
    pol_compile_options opts;
    struct document doc;
    char *printed;

    document_init(&doc);
    pol_compile_options_init(&opts, sizeof(opts));
    opts.default_allow = true;
    document_compile(&doc, "{}", &opts);
    printed = print(doc.policy);
    cr_assert_str_eq(printed, "{\"default_policy\":\"allow\",\"source_groups\":[]}");
    expect_same_again(&doc);
    free(printed);
    document_fini(&doc);
}
