/* SPDX-License-Identifier: Apache-2.0 */
#include <libpolicy/audit.h>

#define WORD(words, index)                                                                         \
    ((index) < sizeof(words) / sizeof((words)[0]) ? (words)[index] : "unknown")

const char *pol_reason_word(unsigned reason)
{
    static const char *const words[] = {
#define XX(name, word, text) [POL_WHY_##name] = (word),
        POL_REASON_MAP(XX)
#undef XX
    };

    return WORD(words, reason);
}

const char *pol_reason_text(unsigned reason)
{
    static const char *const texts[] = {
#define XX(name, word, text) [POL_WHY_##name] = (text),
        POL_REASON_MAP(XX)
#undef XX
    };

    return WORD(texts, reason);
}

const char *pol_action_word(unsigned action)
{
    static const char *const words[] = {
        [POL_DENY] = "deny",       [POL_ALLOW] = "allow",         [POL_REJECT] = "reject",
        [POL_PENDING] = "pending", [POL_INTERCEPT] = "intercept", [POL_ANSWER] = "answer",
    };

    return WORD(words, action);
}

const char *pol_finding_word(unsigned type)
{
    static const char *const words[POL_FIND_COUNT] = {
        [POL_FIND_DNS_DENY] = "dns_deny", [POL_FIND_L4_DENY] = "l4_deny",
        [POL_FIND_TLS_DENY] = "tls_deny", [POL_FIND_ICMP_DENY] = "icmp_deny",
        [POL_FIND_AUTH_SSO] = "auth_sso",
    };

    return WORD(words, type);
}

const char *pol_event_word(unsigned kind)
{
    static const char *const words[] = {
        [POL_EV_FLOW_OPEN] = "flow_open",
        [POL_EV_FLOW_UPDATE] = "flow_update",
        [POL_EV_FLOW_ACTIVE] = "flow_active",
        [POL_EV_FLOW_END] = "flow_end",
        [POL_EV_DENY] = "deny",
        [POL_EV_DNS] = "dns",
    };

    return WORD(words, kind);
}

const char *pol_end_word(unsigned end)
{
    static const char *const words[] = {
        [POL_END_NONE] = "none",          [POL_END_FIN] = "tcp_fin",
        [POL_END_RST] = "tcp_rst",        [POL_END_IDLE] = "idle_timeout",
        [POL_END_POLICY] = "policy_deny", [POL_END_EVICTED] = "evicted",
        [POL_END_REUSED] = "reused",      [POL_END_FLUSHED] = "flushed",
    };

    return WORD(words, end);
}
