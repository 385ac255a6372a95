/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/audit.h>

#include <criterion/criterion.h>

static bool is_word(const char *word)
{
    return *word && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(word);
}

Test(words, every_reason_has_a_word_of_its_own_and_a_text)
{
    for (unsigned i = 0; i < POL_WHY_COUNT; i++) {
        cr_expect(is_word(pol_reason_word(i)), "reason %u", i);
        cr_expect_gt(strlen(pol_reason_text(i)), 0);
        for (unsigned k = 0; k < i; k++)
            cr_expect_str_neq(pol_reason_word(i), pol_reason_word(k));
    }
    cr_expect_str_eq(pol_reason_word(POL_WHY_DNS_EXPIRED), "dns_expired");
    cr_expect_str_eq(pol_reason_word(POL_WHY_COUNT), "unknown");
    cr_expect_str_eq(pol_reason_text(POL_WHY_COUNT), "unknown");
}

static const struct {
    const char *(*word)(unsigned value);
    unsigned value;
    const char *expected;
} words[] = {
    {pol_action_word, POL_DENY, "deny"},
    {pol_action_word, POL_ALLOW, "allow"},
    {pol_action_word, POL_REJECT, "reject"},
    {pol_action_word, POL_PENDING, "pending"},
    {pol_action_word, POL_INTERCEPT, "intercept"},
    {pol_action_word, POL_ANSWER, "answer"},
    {pol_action_word, POL_ANSWER + 1, "unknown"},
    {pol_finding_word, POL_FIND_DNS_DENY, "dns_deny"},
    {pol_finding_word, POL_FIND_L4_DENY, "l4_deny"},
    {pol_finding_word, POL_FIND_TLS_DENY, "tls_deny"},
    {pol_finding_word, POL_FIND_ICMP_DENY, "icmp_deny"},
    {pol_finding_word, POL_FIND_AUTH_SSO, "auth_sso"},
    {pol_finding_word, POL_FIND_COUNT, "unknown"},
    {pol_event_word, POL_EV_FLOW_OPEN, "flow_open"},
    {pol_event_word, POL_EV_DNS, "dns"},
    {pol_event_word, 200, "unknown"},
    {pol_end_word, POL_END_NONE, "none"},
    {pol_end_word, POL_END_FIN, "tcp_fin"},
    {pol_end_word, POL_END_FLUSHED, "flushed"},
    {pol_end_word, 200, "unknown"},
};

Test(words, enums_have_the_words_of_the_contract)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        cr_expect_str_eq(words[i].word(words[i].value), words[i].expected);
}
