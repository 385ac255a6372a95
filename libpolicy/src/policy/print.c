/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/print.h"

#include "base/slice.h"

static void put_string(struct buf *out, pol_str text)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    size_t start = 0;

    buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        const char *found;

        if ((uint8_t)text.ptr[i] >= 0x20 && text.ptr[i] != '"' && text.ptr[i] != '\\')
            continue;
        buf_add(out, text.ptr + start, i - start);
        start = i + 1;
        found = memchr(escaped, text.ptr[i], sizeof(escaped) - 1);
        if (found) {
            buf_char(out, '\\');
            buf_char(out, letters[found - escaped]);
        } else {
            buf_printf(out, "\\u%04x", (unsigned)(uint8_t)text.ptr[i]);
        }
    }
    buf_add(out, text.ptr + start, text.len - start);
    buf_char(out, '"');
}

static void put_text(struct buf *out, const struct pm_text *text)
{
    if (text->text.ptr)
        put_string(out, text->text);
    else
        buf_text(out, "null");
}

/* Behind the first entry of a list, a comma. */
static void put_comma(struct buf *out, uint32_t index)
{
    if (index)
        buf_char(out, ',');
}

static void put_texts(struct buf *out, const char *key, const struct pm_texts *texts)
{
    buf_text(out, key);
    buf_char(out, '[');
    for (uint32_t i = 0; i < texts->count; i++) {
        put_comma(out, i);
        put_string(out, texts->items[i].text);
    }
    buf_char(out, ']');
}

static void put_scalar(struct buf *out, const struct pm_scalar *scalar)
{
    if (scalar->form == PM_TEXT)
        put_string(out, scalar->text);
    else if (scalar->form == PM_NUMBER)
        buf_u64(out, scalar->number);
    else
        buf_text(out, "null");
}

static void put_ports(struct buf *out, const char *key, const struct pm_scalars *ports)
{
    buf_text(out, key);
    buf_char(out, '[');
    for (uint32_t i = 0; i < ports->count; i++) {
        put_comma(out, i);
        put_scalar(out, &ports->items[i]);
    }
    buf_char(out, ']');
}

static void put_octets(struct buf *out, const char *key, const struct pm_octets *octets)
{
    buf_text(out, key);
    buf_char(out, '[');
    for (uint32_t i = 0; i < octets->count; i++) {
        put_comma(out, i);
        buf_u64(out, octets->items[i]);
    }
    buf_char(out, ']');
}

static void put_priority(struct buf *out, uint32_t priority, uint32_t at)
{
    buf_text(out, ",\"priority\":");
    if (at == POL_NONE)
        buf_text(out, "null");
    else
        buf_u64(out, priority);
}

static void put_name(struct buf *out, const char *key, const struct pm_name *name)
{
    buf_text(out, key);
    switch (name->form) {
    case PM_NAME_PATTERN:
        put_text(out, &name->regex.text);
        break;
    case PM_NAME_LIST:
        put_texts(out, "", &name->exact);
        break;
    case PM_NAME_OBJECT:
        put_texts(out, "{\"exact\":", &name->exact);
        buf_text(out, ",\"regex\":");
        put_text(out, &name->regex.text);
        buf_char(out, '}');
        break;
    default:
        buf_text(out, "null");
    }
}

static void put_pairs(struct buf *out, const char *key, const struct pm_pairs *pairs, bool patterns)
{
    buf_text(out, key);
    buf_char(out, '{');
    for (uint32_t i = 0; i < pairs->count; i++) {
        put_comma(out, i);
        put_string(out, pairs->items[i].key.text);
        if (patterns) {
            buf_char(out, ':');
            put_text(out, &pairs->items[i].regex.text);
        } else {
            put_texts(out, ":", &pairs->items[i].values);
        }
    }
    buf_char(out, '}');
}

static void put_host(struct buf *out, const struct pm_place *host)
{
    if (!host->set) {
        buf_text(out, "null");
        return;
    }
    put_texts(out, "{\"exact\":", &host->exact);
    buf_text(out, ",\"regex\":");
    put_text(out, &host->regex.text);
    buf_char(out, '}');
}

static void put_path(struct buf *out, const struct pm_place *path)
{
    if (!path->set) {
        buf_text(out, "null");
        return;
    }
    put_texts(out, "{\"exact\":", &path->exact);
    put_texts(out, ",\"prefix\":", &path->prefix);
    buf_text(out, ",\"regex\":");
    put_text(out, &path->regex.text);
    buf_char(out, '}');
}

static void put_query(struct buf *out, const struct pm_fields *query)
{
    if (!query->set) {
        buf_text(out, "null");
        return;
    }
    put_texts(out, "{\"keys_present\":", &query->require);
    put_pairs(out, ",\"key_values_exact\":", &query->exact, false);
    put_pairs(out, ",\"key_values_regex\":", &query->regex, true);
    buf_char(out, '}');
}

static void put_headers(struct buf *out, const struct pm_fields *headers)
{
    if (!headers->set) {
        buf_text(out, "null");
        return;
    }
    put_texts(out, "{\"require_present\":", &headers->require);
    put_texts(out, ",\"deny_present\":", &headers->deny);
    put_pairs(out, ",\"exact\":", &headers->exact, false);
    put_pairs(out, ",\"regex\":", &headers->regex, true);
    buf_char(out, '}');
}

static void put_http(struct buf *out, const struct pm_http *http)
{
    if (!http) {
        buf_text(out, "null");
        return;
    }
    buf_text(out, "{\"request\":");
    if (http->has_request) {
        buf_text(out, "{\"host\":");
        put_host(out, &http->host);
        put_texts(out, ",\"methods\":", &http->methods);
        buf_text(out, ",\"path\":");
        put_path(out, &http->path);
        buf_text(out, ",\"query\":");
        put_query(out, &http->query);
        buf_text(out, ",\"headers\":");
        put_headers(out, &http->headers);
        buf_char(out, '}');
    } else {
        buf_text(out, "null");
    }
    buf_text(out, ",\"response\":");
    if (http->has_response) {
        buf_text(out, "{\"headers\":");
        put_headers(out, &http->response_headers);
        buf_char(out, '}');
    } else {
        buf_text(out, "null");
    }
    buf_char(out, '}');
}

static void put_tls(struct buf *out, const struct pm_tls *tls)
{
    if (!tls) {
        buf_text(out, "null");
        return;
    }
    buf_text(out, "{\"mode\":");
    put_text(out, &tls->mode);
    put_name(out, ",\"sni\":", &tls->sni);
    buf_text(out, ",\"server_dn\":");
    put_text(out, &tls->server_dn);
    put_name(out, ",\"server_san\":", &tls->server_san);
    put_name(out, ",\"server_cn\":", &tls->server_cn);
    put_texts(out, ",\"fingerprint_sha256\":", &tls->fingerprints);
    put_texts(out, ",\"trust_anchors_pem\":", &tls->anchors);
    buf_text(out, ",\"tls13_uninspectable\":");
    put_text(out, &tls->tls13);
    buf_text(out, ",\"http\":");
    put_http(out, tls->http);
    buf_char(out, '}');
}

static void put_match(struct buf *out, const struct pm_match *match)
{
    put_texts(out, "{\"dst_cidrs\":", &match->dst_cidrs);
    put_texts(out, ",\"dst_ips\":", &match->dst_ips);
    buf_text(out, ",\"dns_hostname\":");
    put_text(out, &match->hostname.text);
    buf_text(out, ",\"proto\":");
    put_scalar(out, &match->proto);
    put_ports(out, ",\"src_ports\":", &match->src_ports);
    put_ports(out, ",\"dst_ports\":", &match->dst_ports);
    put_octets(out, ",\"icmp_types\":", &match->icmp_types);
    put_octets(out, ",\"icmp_codes\":", &match->icmp_codes);
    buf_text(out, ",\"tls\":");
    put_tls(out, match->tls);
    buf_char(out, '}');
}

static void put_rule(struct buf *out, const struct pm_rule *rule)
{
    buf_text(out, "{\"id\":");
    put_text(out, &rule->id);
    put_priority(out, rule->priority, rule->priority_at);
    buf_text(out, ",\"action\":");
    put_text(out, &rule->action);
    buf_text(out, ",\"mode\":");
    put_text(out, &rule->mode);
    buf_text(out, ",\"match\":");
    put_match(out, &rule->match);
    buf_char(out, '}');
}

static void put_group(struct buf *out, const struct pm_group *group)
{
    buf_text(out, "{\"id\":");
    put_text(out, &group->id);
    put_priority(out, group->priority, group->priority_at);
    buf_text(out, ",\"mode\":");
    put_text(out, &group->mode);
    put_texts(out, ",\"sources\":{\"cidrs\":", &group->cidrs);
    put_texts(out, ",\"ips\":", &group->ips);
    buf_text(out, ",\"kubernetes\":[]},\"rules\":[");
    for (uint32_t i = 0; i < group->rule_count; i++) {
        put_comma(out, i);
        put_rule(out, &group->rules[i]);
    }
    buf_text(out, "],\"default_action\":");
    put_text(out, &group->default_action);
    buf_char(out, '}');
}

void print_policy(struct buf *out, const struct pm_policy *policy)
{
    buf_text(out, "{\"default_policy\":");
    put_text(out, &policy->default_policy);
    buf_text(out, ",\"source_groups\":[");
    for (uint32_t i = 0; i < policy->group_count; i++) {
        put_comma(out, i);
        put_group(out, &policy->groups[i]);
    }
    buf_char(out, ']');
    if (policy->audit_deny.text.ptr) {
        buf_text(out, ",\"audit_deny\":");
        put_text(out, &policy->audit_deny);
    }
    buf_char(out, '}');
}
