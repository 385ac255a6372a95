/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "policy/check.h"
#include "policy/host.h"
#include "wire/x509.h"

enum { FIELD_BYTES = 320 };

static bool has_text(const struct pm_texts *texts)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        if (texts->items[i].text.len)
            return true;
    }
    return false;
}

/* Exact host names: those that are nothing but dots are dropped, others must be names. Returns
 * whether any is left. */
static bool check_hosts(struct check *check, const struct pm_texts *texts, const char *field)
{
    bool any = false;

    for (uint32_t i = 0; i < texts->count; i++) {
        char name[HOST_TEXT];
        pol_str text = texts->items[i].text;
        size_t len;

        if (host_is_blank(text))
            continue;
        any = true;
        if (host_normalise(text, name, &len) < 0)
            check_fault(check, POL_DIAG_VALUE, texts->items[i].at, "%s: \"%.*s\" is not a name",
                        field, DIAG_ECHO(text));
    }
    return any;
}

static int check_name(struct check *check, struct pm_name *name, const char *field)
{
    bool any;
    int rc;

    if (name->form == PM_NAME_ABSENT)
        return POL_OK;
    any = check_hosts(check, &name->exact, field);
    rc = check_regex(check, &name->regex, true, field, " regex");
    if (rc < 0)
        return rc;
    if (!any && !name->regex.text.text.ptr && !name->broken && (name->form != PM_NAME_PATTERN))
        check_fault(check, POL_DIAG_MISSING, name->at, "%s matcher cannot be empty", field);
    return POL_OK;
}

static void check_fingerprint(struct check *check, const struct pm_text *item)
{
    size_t digits = 0;

    for (size_t i = 0; i < item->text.len; i++) {
        char c = item->text.ptr[i];

        if (c == ':' || c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))) {
            check_fault(check, POL_DIAG_CERTIFICATE, item->at, "invalid sha256 fingerprint: %.*s",
                        DIAG_ECHO(item->text));
            return;
        }
        digits++;
    }
    if (digits != 64)
        check_fault(check, POL_DIAG_CERTIFICATE, item->at,
                    "invalid sha256 fingerprint length: %.*s (%zu hexadecimal digits instead of "
                    "64)",
                    DIAG_ECHO(item->text), digits);
}

static const char pem_begin[] = "-----BEGIN ";
static const char pem_certificate[] = "-----BEGIN CERTIFICATE-----";

/* Every PEM block must be a certificate: what else is in the text was meant to be one. */
static int check_anchor(struct check *check, const struct pm_text *item)
{
    const char *text = item->text.ptr;
    uint32_t blocks = 0, readable = 0;
    int rc;

    if (!check_trim(item->text).len) {
        check_fault(check, POL_DIAG_MISSING, item->at, "trust_anchors_pem cannot be empty");
        return POL_OK;
    }
    for (const char *at = strstr(text, pem_begin); at; at = strstr(at + 1, pem_begin)) {
        if (strncmp(at, pem_certificate, sizeof(pem_certificate) - 1) != 0) {
            check_fault(check, POL_DIAG_CERTIFICATE, item->at,
                        "unsupported PEM label for trust anchor (only CERTIFICATE blocks are "
                        "taken)");
            return POL_OK;
        }
        blocks++;
    }
    rc = blocks ? x509_count_pem(item->text, &readable) : POL_E_FORMAT;
    if (rc == POL_E_NOMEM)
        return rc;
    if (rc < 0 || readable != blocks)
        check_fault(check, POL_DIAG_CERTIFICATE, item->at, "invalid PEM certificate");
    return POL_OK;
}

static int check_place(struct check *check, struct pm_place *place, bool host, const char *field)
{
    bool any;
    int rc;

    if (!place->set)
        return POL_OK;
    any = host ? check_hosts(check, &place->exact, field) : has_text(&place->exact);
    any |= has_text(&place->prefix) || place->regex.text.text.ptr;
    if (!any && !place->broken)
        check_fault(check, POL_DIAG_MISSING, place->at, "%s matcher cannot be empty", field);
    rc = check_regex(check, &place->regex, host, field, " regex");
    return rc;
}

/* What a fault calls a pair; false when its key is empty, which is a fault of its own. `part` is
 * the list's name, `what` what its keys are. */
static bool name_pair(struct check *check, const struct pm_pair *pair, const char *field,
                      const char *part, const char *what, char name[FIELD_BYTES])
{
    if (!check_trim(pair->key.text).len) {
        check_fault(check, POL_DIAG_MISSING, pair->key.at, "%s.%s has empty %s", field, part, what);
        return false;
    }
    snprintf(name, FIELD_BYTES, "%s.%s[%.*s]", field, part, DIAG_ECHO(pair->key.text));
    return true;
}

static void check_values(struct check *check, const struct pm_pairs *pairs, const char *field,
                         const char *part, const char *what)
{
    char name[FIELD_BYTES];

    for (uint32_t i = 0; i < pairs->count; i++) {
        const struct pm_pair *pair = &pairs->items[i];

        if (name_pair(check, pair, field, part, what, name) && !pair->values.count &&
            pair->values.at != POL_NONE)
            check_fault(check, POL_DIAG_MISSING, pair->key.at, "%s cannot be empty", name);
    }
}

static int check_patterns(struct check *check, struct pm_pairs *pairs, const char *field,
                          const char *part, const char *what)
{
    char name[FIELD_BYTES];
    int rc = POL_OK;

    for (uint32_t i = 0; i < pairs->count && rc == POL_OK; i++) {
        if (name_pair(check, &pairs->items[i], field, part, what, name))
            rc = check_regex(check, &pairs->items[i].regex, false, name, "");
    }
    return rc;
}

static int check_fields(struct check *check, struct pm_fields *fields, bool query,
                        const char *field)
{
    const char *what = query ? "key" : "header name";

    if (!fields->set)
        return POL_OK;
    if (!fields->broken && !has_text(&fields->require) && !has_text(&fields->deny) &&
        !fields->exact.count && !fields->regex.count)
        check_fault(check, POL_DIAG_MISSING, fields->at, "%s matcher cannot be empty", field);
    check_values(check, &fields->exact, field, query ? "key_values_exact" : "exact", what);
    return check_patterns(check, &fields->regex, field, query ? "key_values_regex" : "regex", what);
}

static int check_http(struct check *check, struct pm_http *http)
{
    int rc;

    if (!http->has_request && !http->has_response && !http->broken)
        check_fault(check, POL_DIAG_MISSING, http->at,
                    "tls.http requires request and/or response constraints");
    rc = check_place(check, &http->host, true, "tls.http.request.host");
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < http->methods.count; i++) {
        if (!check_trim(http->methods.items[i].text).len)
            check_fault(check, POL_DIAG_MISSING, http->methods.items[i].at,
                        "tls.http.request.methods entries cannot be empty");
    }
    rc = check_place(check, &http->path, false, "tls.http.request.path");
    if (rc < 0)
        return rc;
    rc = check_fields(check, &http->query, true, "tls.http.request.query");
    if (rc < 0)
        return rc;
    rc = check_fields(check, &http->headers, false, "tls.http.request.headers");
    if (rc < 0)
        return rc;
    return check_fields(check, &http->response_headers, false, "tls.http.response.headers");
}

static bool has_metadata(const struct pm_tls *tls)
{
    return tls->sni.form || tls->server_san.form || tls->server_cn.form ||
           tls->server_dn.text.ptr || tls->fingerprints.count || tls->anchors.count;
}

static void check_mode(struct check *check, const struct pm_tls *tls)
{
    bool intercept = tls->mode.text.ptr && str_equal(tls->mode.text, STR("intercept"));

    if (tls->broken)
        return;
    if (!intercept && tls->http)
        check_fault(check, POL_DIAG_CONFLICT, tls->http->at,
                    "tls.http is only valid when tls.mode is intercept");
    if (intercept && has_metadata(tls))
        check_fault(check, POL_DIAG_CONFLICT, tls->at,
                    "tls.mode intercept cannot be combined with metadata matchers");
    if (intercept && !tls->http)
        check_fault(check, POL_DIAG_MISSING, tls->at,
                    "tls.mode intercept requires tls.http constraints");
}

int check_tls(struct check *check, struct pm_tls *tls)
{
    int rc;

    rc = check_name(check, &tls->sni, "tls.sni");
    if (rc < 0)
        return rc;
    if (tls->server_dn.text.ptr && !check_trim(tls->server_dn.text).len)
        check_fault(check, POL_DIAG_MISSING, tls->server_dn.at, "tls.server_dn cannot be empty");
    rc = check_name(check, &tls->server_san, "tls.server_san");
    if (rc < 0)
        return rc;
    rc = check_name(check, &tls->server_cn, "tls.server_cn");
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < tls->fingerprints.count; i++)
        check_fingerprint(check, &tls->fingerprints.items[i]);
    for (uint32_t i = 0; i < tls->anchors.count; i++) {
        rc = check_anchor(check, &tls->anchors.items[i]);
        if (rc < 0)
            return rc;
    }
    check_mode(check, tls);
    return tls->http ? check_http(check, tls->http) : POL_OK;
}
