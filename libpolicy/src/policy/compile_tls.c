/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "policy/check.h"
#include "policy/compile.h"
#include "policy/host.h"
#include "program/http.h"
#include "wire/certname.h"
#include "wire/x509.h"

static const struct regex *regex_of(const struct pol_policy *policy, const struct pm_regex *regex)
{
    return regex->text.text.ptr ? policy->regexes[regex->pattern] : NULL;
}

enum convert { AS_WRITTEN, LOWER, UPPER, HOST, CERTIFICATE };

/* ret.len 0: nothing is left of it. ret.ptr NULL: no memory. */
static pol_str convert(struct arena *arena, pol_str text, enum convert how)
{
    char name[HOST_TEXT];
    pol_str copy;
    char *at;

    if (how == HOST) {
        if (host_is_blank(text) || host_normalise(text, name, &text.len) < 0)
            return STR("");
        text.ptr = name;
    } else if (how == CERTIFICATE) {
        uint8_t len;

        if (!certname_text((pol_bytes){(const uint8_t *)text.ptr, text.len}, false, name, &len))
            return STR("");
        text = (pol_str){name, len};
    } else if (how != AS_WRITTEN) {
        text = check_trim(text);
    }
    copy = arena_str(arena, text);
    at = (char *)copy.ptr;
    for (size_t i = 0; i < copy.len && how != AS_WRITTEN; i++) {
        if (how == UPPER && at[i] >= 'a' && at[i] <= 'z')
            at[i] = (char)(at[i] - 'a' + 'A');
        else if (how == LOWER)
            at[i] = ascii_lower(at[i]);
    }
    return copy;
}

static int compile_texts(struct arena *arena, const struct pm_texts *texts, enum convert how,
                         bool keep_empty, struct pp_texts *ret)
{
    pol_str *items = arena_array(arena, texts->count, sizeof(*items));

    if (!items)
        return POL_E_NOMEM;
    ret->items = items;
    for (uint32_t i = 0; i < texts->count; i++) {
        pol_str item = convert(arena, texts->items[i].text, how);

        if (!item.ptr)
            return POL_E_NOMEM;
        if (item.len || keep_empty)
            items[ret->count++] = item;
    }
    return POL_OK;
}

static int compare_text(const pol_str *a, const pol_str *b)
{
    int order = memcmp(a->ptr, b->ptr, a->len < b->len ? a->len : b->len);

    if (order)
        return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

static void sift_down(pol_str *items, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        pol_str swap = items[at];

        if (child >= count)
            return;
        if (child + 1 < count && compare_text(&items[child], &items[child + 1]) < 0)
            child++;
        if (compare_text(&items[at], &items[child]) >= 0)
            return;
        items[at] = items[child];
        items[child] = swap;
        at = child;
    }
}

/* Heapsort: in place, and its worst case is no worse. */
static void sort_texts(pol_str *items, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(items, i, count);
    for (uint32_t end = count; end > 1; end--) {
        pol_str last = items[end - 1];

        items[end - 1] = items[0];
        items[0] = last;
        sift_down(items, 0, end - 1);
    }
}

static int compile_name(struct pol_policy *policy, const struct pm_name *name, enum convert how,
                        const struct pp_name **ret_name)
{
    struct pp_name *compiled;
    struct pp_texts exact = {0};
    int rc;

    if (name->form == PM_NAME_ABSENT)
        return POL_OK;
    compiled = arena_alloc(&policy->arena, sizeof(*compiled));
    if (!compiled)
        return POL_E_NOMEM;
    rc = compile_texts(&policy->arena, &name->exact, how, false, &exact);
    if (rc < 0)
        return rc;
    sort_texts((pol_str *)exact.items, exact.count);
    compiled->exact = exact.items;
    compiled->exact_count = exact.count;
    compiled->regex = regex_of(policy, &name->regex);
    *ret_name = compiled;
    return POL_OK;
}

static int compile_place(struct pol_policy *policy, const struct pm_place *place, bool host,
                         struct pp_place *ret)
{
    int rc;

    ret->set = place->set;
    ret->regex = regex_of(policy, &place->regex);
    rc = compile_texts(&policy->arena, &place->exact, host ? HOST : AS_WRITTEN, false, &ret->exact);
    if (rc < 0)
        return rc;
    return compile_texts(&policy->arena, &place->prefix, AS_WRITTEN, false, &ret->prefix);
}

static int compile_pairs(struct pol_policy *policy, const struct pm_pairs *pairs, enum convert how,
                         struct pp_field *fields, uint32_t *count)
{
    for (uint32_t i = 0; i < pairs->count; i++) {
        const struct pm_pair *pair = &pairs->items[i];
        struct pp_field *field = &fields[(*count)++];
        int rc;

        field->key = convert(&policy->arena, pair->key.text, how);
        if (!field->key.ptr)
            return POL_E_NOMEM;
        field->regex = regex_of(policy, &pair->regex);
        rc = compile_texts(&policy->arena, &pair->values, AS_WRITTEN, true, &field->values);
        if (rc < 0)
            return rc;
    }
    return POL_OK;
}

static int compile_fields(struct pol_policy *policy, const struct pm_fields *fields, bool headers,
                          struct pp_fields *ret)
{
    size_t count = (size_t)fields->exact.count + fields->regex.count;
    enum convert how = headers ? LOWER : AS_WRITTEN;
    struct pp_field *items;
    int rc;

    rc = compile_texts(&policy->arena, &fields->require, how, false, &ret->require);
    if (rc < 0)
        return rc;
    rc = compile_texts(&policy->arena, &fields->deny, how, false, &ret->deny);
    if (rc < 0)
        return rc;
    items = arena_array(&policy->arena, count, sizeof(*items));
    if (!items)
        return POL_E_NOMEM;
    ret->fields = items;
    rc = compile_pairs(policy, &fields->exact, how, items, &ret->field_count);
    if (rc < 0)
        return rc;
    return compile_pairs(policy, &fields->regex, how, items, &ret->field_count);
}

static int compile_http(struct pol_policy *policy, const struct pm_http *http,
                        const struct pp_http **ret_http)
{
    struct pp_http *compiled = arena_alloc(&policy->arena, sizeof(*compiled));
    int rc;

    if (!compiled)
        return POL_E_NOMEM;
    *ret_http = compiled;
    compiled->has_request = http->has_request;
    compiled->has_response = http->has_response;
    rc = compile_place(policy, &http->host, true, &compiled->host);
    if (rc < 0)
        return rc;
    rc = compile_place(policy, &http->path, false, &compiled->path);
    if (rc < 0)
        return rc;
    rc = compile_texts(&policy->arena, &http->methods, UPPER, false, &compiled->methods);
    if (rc < 0)
        return rc;
    rc = compile_fields(policy, &http->query, false, &compiled->query);
    if (rc < 0)
        return rc;
    rc = compile_fields(policy, &http->headers, true, &compiled->headers);
    if (rc < 0)
        return rc;
    return compile_fields(policy, &http->response_headers, true, &compiled->response_headers);
}

static unsigned nibble(char c)
{
    if (c <= '9')
        return (unsigned)(c - '0');
    return (unsigned)((c | 0x20) - 'a' + 10);
}

/* The text was found to hold 64 digits; colons and blanks are all that stands between them. */
static void read_fingerprint(pol_str text, uint8_t ret[32])
{
    unsigned digits = 0;

    for (size_t i = 0; i < text.len && digits < 64; i++) {
        char c = text.ptr[i];

        if (c == ':' || c == ' ' || (c >= '\t' && c <= '\r'))
            continue;
        ret[digits / 2] = (uint8_t)(ret[digits / 2] << 4 | nibble(c));
        digits++;
    }
}

static int compile_fingerprints(struct arena *arena, const struct pm_texts *texts,
                                struct pp_tls *tls)
{
    uint8_t(*prints)[32];

    if (!texts->count)
        return POL_OK;
    prints = arena_array(arena, texts->count, sizeof(*prints));
    if (!prints)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < texts->count; i++)
        read_fingerprint(texts->items[i].text, prints[i]);
    tls->fingerprints = (const uint8_t(*)[32])prints;
    tls->fingerprint_count = texts->count;
    return POL_OK;
}

/* A newline between bundles: PEM's lines need not end in one. */
static int compile_anchors(struct arena *arena, const struct pm_texts *texts, struct pp_tls *tls)
{
    struct x509_anchors *anchors;
    size_t len = 0;
    char *pem, *out;
    int rc;

    if (!texts->count)
        return POL_OK;
    for (uint32_t i = 0; i < texts->count; i++)
        len += texts->items[i].text.len + 1;
    anchors = arena_alloc(arena, sizeof(*anchors));
    pem = out = arena_alloc(arena, len + 1);
    if (!anchors || !pem)
        return POL_E_NOMEM;
    for (uint32_t i = 0; i < texts->count; i++) {
        memcpy(out, texts->items[i].text.ptr, texts->items[i].text.len);
        out += texts->items[i].text.len;
        *out++ = '\n';
    }
    rc = x509_anchors_build(arena, (pol_str){pem, len}, anchors);
    tls->anchors = anchors;
    /* All of them have been read before, so what is missing is memory. */
    return rc == POL_OK && anchors->partial ? POL_E_NOMEM : rc;
}

static int compile_dn(struct arena *arena, pol_str text, pol_str *ret_dn)
{
    pol_str dn = arena_str(arena, check_trim(text));

    if (!dn.ptr)
        return POL_E_NOMEM;
    *ret_dn = (pol_str){dn.ptr, certname_tighten(dn, (char *)dn.ptr)};
    return POL_OK;
}

static int compile_certificate(struct pol_policy *policy, const struct pm_tls *tls,
                               struct pp_tls *ret)
{
    int rc;

    rc = compile_name(policy, &tls->server_san, CERTIFICATE, &ret->san);
    if (rc < 0)
        return rc;
    rc = compile_name(policy, &tls->server_cn, CERTIFICATE, &ret->cn);
    if (rc < 0)
        return rc;
    if (tls->server_dn.text.ptr) {
        rc = compile_dn(&policy->arena, tls->server_dn.text, &ret->server_dn);
        if (rc < 0)
            return rc;
    }
    rc = compile_fingerprints(&policy->arena, &tls->fingerprints, ret);
    if (rc < 0)
        return rc;
    rc = compile_anchors(&policy->arena, &tls->anchors, ret);
    ret->needs_certificate =
        ret->san || ret->cn || ret->server_dn.ptr || ret->fingerprint_count || ret->anchors;
    return rc;
}

int compile_tls(struct pol_policy *policy, const struct pm_tls *tls, const struct pp_tls **ret_tls)
{
    struct pp_tls *compiled = arena_alloc(&policy->arena, sizeof(*compiled));
    int rc;

    if (!compiled)
        return POL_E_NOMEM;
    *ret_tls = compiled;
    compiled->intercept = tls->mode.text.ptr && str_equal(tls->mode.text, STR("intercept"));
    compiled->tls13_allow = tls->tls13.text.ptr && str_equal(tls->tls13.text, STR("allow"));
    rc = compile_name(policy, &tls->sni, HOST, &compiled->sni);
    if (rc < 0)
        return rc;
    rc = compile_certificate(policy, tls, compiled);
    if (rc < 0)
        return rc;
    return tls->http ? compile_http(policy, tls->http, &compiled->http) : POL_OK;
}
