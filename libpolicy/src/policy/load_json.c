/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to model: the only file that knows cJSON. The document was scanned before (scan.c), so that
 * what arrives here is well-formed and cJSON can only fail for want of memory. cJSON's tree is
 * numbered in pre-order once, which ties each item to its place in the document; `valueint` holds
 * the number, since integers are read from the document's own text, never through a double.
 */
#include "policy/load.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/ctx.h"
#include "base/mem.h"
#include "base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct load {
    const pol_ctx *ctx;
    const struct scan *scan;
    struct arena *arena;
    struct pol_diags *diags;
    uint32_t rules_left;
    bool rules_refused;
};

/* Recurses as deeply as the document nests, which scan.c has bounded. */
static void number_tree(cJSON *item, int *next)
{
    item->valueint = (*next)++;
    for (cJSON *child = item->child; child; child = child->next)
        number_tree(child, next);
}

static uint32_t node_of(const cJSON *item)
{
    return (uint32_t)item->valueint;
}

static const char *type_name(const cJSON *item)
{
    if (cJSON_IsNull(item))
        return "null";
    if (cJSON_IsBool(item))
        return "a boolean";
    if (cJSON_IsNumber(item))
        return "a number";
    if (cJSON_IsString(item))
        return "a string";
    return cJSON_IsArray(item) ? "an array" : "an object";
}

static void wrong_type(struct load *load, const cJSON *item, const char *name, const char *expected)
{
    diag_value(load->diags, POL_DIAG_TYPE, node_of(item), "invalid json: %s must be %s, not %s",
               name, expected, type_name(item));
}

/* How many single-character edits (insert, delete, replace, swap neighbours) lie between two short
 * words; large for long ones, which nobody mistypes a key of ours into. */
static unsigned edit_distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    unsigned rows[3][MAX + 1];
    size_t la = strlen(a), lb = strlen(b);
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];

    if (la > MAX || lb > MAX)
        return MAX;
    for (size_t j = 0; j <= lb; j++)
        last[j] = before[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *recycled = before;

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        before = last;
        last = now;
        now = recycled;
    }
    return last[lb];
}

static void unknown_key(struct load *load, const cJSON *item, const char *const *names,
                        size_t count)
{
    unsigned best = 3; /* beyond two edits a suggestion is a guess */
    const char *nearest = NULL;
    pol_str key = str_of(item->string);

    for (size_t i = 0; i < count; i++) {
        unsigned distance = edit_distance(item->string, names[i]);

        if (distance < best && distance < strlen(names[i])) {
            best = distance;
            nearest = names[i];
        }
    }
    if (nearest)
        diag_key(load->diags, POL_DIAG_UNKNOWN_KEY, node_of(item),
                 "unknown key \"%.*s\"; did you mean \"%s\"?", DIAG_ECHO(key), nearest);
    else
        diag_key(load->diags, POL_DIAG_UNKNOWN_KEY, node_of(item), "unknown key \"%.*s\"",
                 DIAG_ECHO(key));
}

/* Sorts an object's members by `names` into `ret`; absent ones are NULL. False when there was a
 * key that the object does not know. */
static bool get_members(struct load *load, const cJSON *object, const char *const *names,
                        size_t count, const cJSON **ret)
{
    bool known_all = true;
    const cJSON *item;

    memset(ret, 0, count * sizeof(*ret));
    cJSON_ArrayForEach(item, object)
    {
        size_t i = 0;

        while (i < count && strcmp(item->string, names[i]) != 0)
            i++;
        if (i < count) {
            ret[i] = item;
        } else {
            unknown_key(load, item, names, count);
            known_all = false;
        }
    }
    return known_all;
}

/* Like get_members(), for a value that should be an object. */
static bool open_object(struct load *load, const cJSON *item, const char *name,
                        const char *const *names, size_t count, const cJSON **ret)
{
    memset(ret, 0, count * sizeof(*ret));
    if (!cJSON_IsObject(item)) {
        wrong_type(load, item, name, "an object");
        return false;
    }
    return get_members(load, item, names, count, ret);
}

static bool is_absent(const cJSON *item)
{
    return !item || cJSON_IsNull(item);
}

static void missing(struct load *load, const cJSON *object, const char *name)
{
    diag_value(load->diags, POL_DIAG_MISSING, node_of(object), "invalid json: missing field `%s`",
               name);
}

static int copy_text(struct load *load, const cJSON *item, struct pm_text *ret)
{
    pol_str text = arena_str(load->arena, str_of(item->valuestring));

    if (!text.ptr)
        return POL_E_NOMEM;
    *ret = (struct pm_text){text, node_of(item)};
    return POL_OK;
}

/* The load_* functions below take an optional member: absent is fine, a wrong type is reported,
 * sets *broken when given, and leaves the field absent. */

static int load_text(struct load *load, const cJSON *item, const char *name, bool *broken,
                     struct pm_text *ret)
{
    ret->at = POL_NONE;
    if (is_absent(item))
        return POL_OK;
    if (cJSON_IsString(item))
        return copy_text(load, item, ret);
    wrong_type(load, item, name, "a string");
    ret->at = node_of(item); /* so that nobody calls it missing */
    if (broken)
        *broken = true;
    return POL_OK;
}

static int load_regex(struct load *load, const cJSON *item, const char *name, bool *broken,
                      struct pm_regex *ret)
{
    ret->pattern = POL_NONE;
    return load_text(load, item, name, broken, &ret->text);
}

/* One of a few words, spelt exactly. */
static int load_word(struct load *load, const cJSON *item, const char *name, const char *first,
                     const char *second, struct pm_text *ret)
{
    pol_str word;
    int rc;

    rc = load_text(load, item, name, NULL, ret);
    if (rc < 0 || !ret->text.ptr)
        return rc;
    word = ret->text;
    if (str_equal(word, str_of(first)) || str_equal(word, str_of(second)))
        return POL_OK;
    diag_value(load->diags, POL_DIAG_VALUE, ret->at,
               "invalid json: unknown variant `%.*s`, expected `%s` or `%s`", DIAG_ECHO(word),
               first, second);
    ret->text = (pol_str){NULL, 0};
    return POL_OK;
}

static bool open_array(struct load *load, const cJSON *item, const char *name, bool *broken,
                       uint32_t *ret_at, size_t *ret_count)
{
    *ret_at = POL_NONE;
    *ret_count = 0;
    if (!item)
        return false;
    if (!cJSON_IsArray(item)) {
        wrong_type(load, item, name, "an array");
        if (broken)
            *broken = true;
        return false;
    }
    *ret_at = node_of(item);
    for (const cJSON *child = item->child; child; child = child->next)
        ++*ret_count;
    return *ret_count > 0;
}

static int load_texts(struct load *load, const cJSON *item, const char *name, bool *broken,
                      struct pm_texts *ret)
{
    const cJSON *child;
    size_t count;
    int rc;

    if (!open_array(load, item, name, broken, &ret->at, &count))
        return POL_OK;
    ret->items = arena_array(load->arena, count, sizeof(*ret->items));
    if (!ret->items)
        return POL_E_NOMEM;
    cJSON_ArrayForEach(child, item)
    {
        if (!cJSON_IsString(child)) {
            wrong_type(load, child, name, "an array of strings");
            if (broken)
                *broken = true;
            continue;
        }
        rc = copy_text(load, child, &ret->items[ret->count++]);
        if (rc < 0)
            return rc;
    }
    return POL_OK;
}

/* A string or a number up to `max`. `variant` is the name the contract's error text carries. */
static int load_scalar(struct load *load, const cJSON *item, uint32_t max, const char *variant,
                       struct pm_scalar *ret)
{
    pol_str literal;

    *ret = (struct pm_scalar){.at = node_of(item)};
    if (cJSON_IsString(item)) {
        ret->text = arena_str(load->arena, str_of(item->valuestring));
        ret->form = PM_TEXT;
        return ret->text.ptr ? POL_OK : POL_E_NOMEM;
    }
    if (!cJSON_IsNumber(item)) {
        diag_value(load->diags, POL_DIAG_TYPE, ret->at,
                   "invalid json: data did not match any variant of untagged enum %s: a string or "
                   "a number from 0 to %u is expected, not %s",
                   variant, (unsigned)max, type_name(item));
    } else if (scan_integer(load->scan, ret->at, max, &ret->number)) {
        ret->form = PM_NUMBER;
    } else {
        literal = scan_literal(load->scan, ret->at);
        diag_value(load->diags, POL_DIAG_VALUE, ret->at,
                   "invalid json: data did not match any variant of untagged enum %s: %.*s is not "
                   "an integer from 0 to %u",
                   variant, (int)literal.len, literal.ptr, (unsigned)max);
    }
    return POL_OK;
}

static int load_ports(struct load *load, const cJSON *item, const char *name,
                      struct pm_scalars *ret)
{
    const cJSON *child;
    size_t count;
    int rc;

    if (!open_array(load, item, name, NULL, &ret->at, &count))
        return POL_OK;
    ret->items = arena_array(load->arena, count, sizeof(*ret->items));
    if (!ret->items)
        return POL_E_NOMEM;
    cJSON_ArrayForEach(child, item)
    {
        rc = load_scalar(load, child, UINT16_MAX, "PortSpec", &ret->items[ret->count]);
        if (rc < 0)
            return rc;
        if (ret->items[ret->count].form != PM_ABSENT)
            ret->count++;
    }
    return POL_OK;
}

static bool load_integer(struct load *load, const cJSON *item, const char *name, uint32_t max,
                         uint32_t *ret)
{
    pol_str literal;

    if (!cJSON_IsNumber(item)) {
        wrong_type(load, item, name, "an integer");
        return false;
    }
    if (scan_integer(load->scan, node_of(item), max, ret))
        return true;
    literal = scan_literal(load->scan, node_of(item));
    diag_value(load->diags, POL_DIAG_VALUE, node_of(item),
               "invalid json: %s %.*s is not an integer from 0 to %u", name, (int)literal.len,
               literal.ptr, (unsigned)max);
    return false;
}

static int load_octets(struct load *load, const cJSON *item, const char *name,
                       struct pm_octets *ret)
{
    const cJSON *child;
    uint32_t value;
    size_t count;

    if (!open_array(load, item, name, NULL, &ret->at, &count))
        return POL_OK;
    ret->items = arena_array(load->arena, count, sizeof(*ret->items));
    if (!ret->items)
        return POL_E_NOMEM;
    cJSON_ArrayForEach(child, item)
    {
        if (load_integer(load, child, name, UINT8_MAX, &value))
            ret->items[ret->count++] = (uint8_t)value;
    }
    return POL_OK;
}

static void load_priority(struct load *load, const cJSON *item, uint32_t index, uint32_t *ret,
                          uint32_t *ret_at)
{
    *ret = index;
    *ret_at = POL_NONE;
    if (!is_absent(item) && load_integer(load, item, "priority", UINT32_MAX, ret))
        *ret_at = node_of(item);
}

static int load_name(struct load *load, const cJSON *item, const char *name, struct pm_name *ret)
{
    static const char *const names[] = {"exact", "regex"};
    const cJSON *members[COUNT(names)];
    int rc;

    ret->at = ret->exact.at = ret->regex.text.at = ret->regex.pattern = POL_NONE;
    if (is_absent(item))
        return POL_OK;
    ret->at = node_of(item);
    if (cJSON_IsString(item)) {
        ret->form = PM_NAME_PATTERN;
        return load_regex(load, item, name, NULL, &ret->regex);
    }
    if (cJSON_IsArray(item)) {
        ret->form = PM_NAME_LIST;
        return load_texts(load, item, name, &ret->broken, &ret->exact);
    }
    if (!cJSON_IsObject(item)) {
        wrong_type(load, item, name, "a pattern, an array of names or an object");
        return POL_OK;
    }
    ret->form = PM_NAME_OBJECT;
    ret->broken = !get_members(load, item, names, COUNT(names), members);
    rc = load_texts(load, members[0], "exact", &ret->broken, &ret->exact);
    if (rc < 0)
        return rc;
    return load_regex(load, members[1], "regex", &ret->broken, &ret->regex);
}

/* An object whose keys are the author's: {key: [values]} or {key: pattern}. */
static int load_pairs(struct load *load, const cJSON *item, const char *name, bool patterns,
                      bool *broken, struct pm_pairs *ret)
{
    const cJSON *child;
    size_t count = 0;

    ret->at = POL_NONE;
    if (!item)
        return POL_OK;
    if (!cJSON_IsObject(item)) {
        wrong_type(load, item, name, "an object");
        *broken = true;
        return POL_OK;
    }
    ret->at = node_of(item);
    cJSON_ArrayForEach(child, item) count++;
    ret->items = arena_array(load->arena, count ? count : 1, sizeof(*ret->items));
    if (!ret->items)
        return POL_E_NOMEM;
    cJSON_ArrayForEach(child, item)
    {
        struct pm_pair *pair = &ret->items[ret->count++];
        int rc;

        pair->key = (struct pm_text){arena_str(load->arena, str_of(child->string)), node_of(child)};
        if (!pair->key.text.ptr)
            return POL_E_NOMEM;
        pair->regex.text.at = pair->regex.pattern = POL_NONE;
        if (!patterns)
            rc = load_texts(load, child, name, broken, &pair->values);
        else if (cJSON_IsString(child))
            rc = load_regex(load, child, name, broken, &pair->regex);
        else {
            wrong_type(load, child, name, "an object of patterns");
            *broken = true;
            rc = POL_OK;
        }
        if (rc < 0)
            return rc;
    }
    return POL_OK;
}

/* `names`: presence, absence or NULL, exact values, patterns. */
static int load_fields(struct load *load, const cJSON *item, const char *name,
                       const char *const names[4], struct pm_fields *ret)
{
    const char *known[4];
    const cJSON *members[4];
    const cJSON *deny = NULL;
    size_t count = 0;
    int rc;

    if (is_absent(item))
        return POL_OK;
    for (size_t i = 0; i < 4; i++) {
        if (names[i])
            known[count++] = names[i];
    }
    ret->set = true;
    ret->at = node_of(item);
    ret->broken = !open_object(load, item, name, known, count, members);
    if (names[1])
        deny = members[1];
    rc = load_texts(load, members[0], names[0], &ret->broken, &ret->require);
    if (rc < 0)
        return rc;
    if (names[1]) {
        rc = load_texts(load, deny, names[1], &ret->broken, &ret->deny);
        if (rc < 0)
            return rc;
    }
    rc = load_pairs(load, members[count - 2], names[2], false, &ret->broken, &ret->exact);
    if (rc < 0)
        return rc;
    return load_pairs(load, members[count - 1], names[3], true, &ret->broken, &ret->regex);
}

static const char *const query_names[4] = {"keys_present", NULL, "key_values_exact",
                                           "key_values_regex"};
static const char *const header_names[4] = {"require_present", "deny_present", "exact", "regex"};

static int load_place(struct load *load, const cJSON *item, const char *name, bool with_prefix,
                      struct pm_place *ret)
{
    static const char *const names[] = {"exact", "regex", "prefix"};
    const cJSON *members[COUNT(names)] = {NULL};
    int rc;

    ret->regex.text.at = ret->regex.pattern = POL_NONE;
    if (is_absent(item))
        return POL_OK;
    ret->set = true;
    ret->at = node_of(item);
    ret->broken = !open_object(load, item, name, names, with_prefix ? 3 : 2, members);
    rc = load_texts(load, members[0], "exact", &ret->broken, &ret->exact);
    if (rc < 0)
        return rc;
    rc = load_texts(load, members[2], "prefix", &ret->broken, &ret->prefix);
    if (rc < 0)
        return rc;
    return load_regex(load, members[1], "regex", &ret->broken, &ret->regex);
}

static int load_request(struct load *load, const cJSON *item, struct pm_http *ret)
{
    enum { HOST, METHODS, PATH, QUERY, HEADERS };
    static const char *const names[] = {"host", "methods", "path", "query", "headers"};
    const cJSON *members[COUNT(names)];
    int rc;

    if (is_absent(item))
        return POL_OK;
    ret->has_request = true;
    if (!open_object(load, item, "request", names, COUNT(names), members))
        ret->broken = true;
    rc = load_place(load, members[HOST], "host", false, &ret->host);
    if (rc < 0)
        return rc;
    rc = load_texts(load, members[METHODS], "methods", NULL, &ret->methods);
    if (rc < 0)
        return rc;
    rc = load_place(load, members[PATH], "path", true, &ret->path);
    if (rc < 0)
        return rc;
    rc = load_fields(load, members[QUERY], "query", query_names, &ret->query);
    if (rc < 0)
        return rc;
    return load_fields(load, members[HEADERS], "headers", header_names, &ret->headers);
}

static int load_response(struct load *load, const cJSON *item, struct pm_http *ret)
{
    static const char *const names[] = {"headers"};
    const cJSON *members[COUNT(names)];

    if (is_absent(item))
        return POL_OK;
    ret->has_response = true;
    if (!open_object(load, item, "response", names, COUNT(names), members))
        ret->broken = true;
    return load_fields(load, members[0], "headers", header_names, &ret->response_headers);
}

static int load_http(struct load *load, const cJSON *item, struct pm_http **ret)
{
    static const char *const names[] = {"request", "response"};
    const cJSON *members[COUNT(names)];
    struct pm_http *http;
    int rc;

    if (is_absent(item))
        return POL_OK;
    http = arena_alloc(load->arena, sizeof(*http));
    if (!http)
        return POL_E_NOMEM;
    *ret = http;
    http->at = node_of(item);
    http->broken = !open_object(load, item, "http", names, COUNT(names), members);
    rc = load_request(load, members[0], http);
    if (rc < 0)
        return rc;
    return load_response(load, members[1], http);
}

static int load_tls_names(struct load *load, const cJSON *sni, const cJSON *san, const cJSON *cn,
                          struct pm_tls *tls)
{
    int rc;

    rc = load_name(load, sni, "sni", &tls->sni);
    if (rc < 0)
        return rc;
    rc = load_name(load, san, "server_san", &tls->server_san);
    if (rc < 0)
        return rc;
    return load_name(load, cn, "server_cn", &tls->server_cn);
}

static int load_tls(struct load *load, const cJSON *item, struct pm_tls **ret)
{
    enum { MODE, SNI, DN, SAN, CN, FINGERPRINT, ANCHORS, TLS13, HTTP };
    static const char *const names[] = {
        "mode",
        "sni",
        "server_dn",
        "server_san",
        "server_cn",
        "fingerprint_sha256",
        "trust_anchors_pem",
        "tls13_uninspectable",
        "http",
    };
    const cJSON *members[COUNT(names)];
    struct pm_tls *tls;
    int rc;

    if (is_absent(item))
        return POL_OK;
    tls = arena_alloc(load->arena, sizeof(*tls));
    if (!tls)
        return POL_E_NOMEM;
    *ret = tls;
    tls->at = node_of(item);
    tls->broken = !open_object(load, item, "tls", names, COUNT(names), members);
    rc = load_word(load, members[MODE], "mode", "metadata", "intercept", &tls->mode);
    if (rc < 0)
        return rc;
    tls->broken |= !is_absent(members[MODE]) && !tls->mode.text.ptr;
    rc = load_tls_names(load, members[SNI], members[SAN], members[CN], tls);
    if (rc < 0)
        return rc;
    rc = load_text(load, members[DN], "server_dn", NULL, &tls->server_dn);
    if (rc < 0)
        return rc;
    rc = load_texts(load, members[FINGERPRINT], "fingerprint_sha256", NULL, &tls->fingerprints);
    if (rc < 0)
        return rc;
    rc = load_texts(load, members[ANCHORS], "trust_anchors_pem", NULL, &tls->anchors);
    if (rc < 0)
        return rc;
    rc = load_word(load, members[TLS13], "tls13_uninspectable", "allow", "deny", &tls->tls13);
    if (rc < 0)
        return rc;
    return load_http(load, members[HTTP], &tls->http);
}

static int load_proto(struct load *load, const cJSON *item, struct pm_scalar *ret)
{
    *ret = (struct pm_scalar){.at = POL_NONE};
    if (is_absent(item))
        return POL_OK;
    return load_scalar(load, item, UINT8_MAX, "ProtoValue", ret);
}

static int load_match(struct load *load, const cJSON *item, struct pm_match *ret)
{
    enum { CIDRS, IPS, HOSTNAME, PROTO, SRC, DST, TYPES, CODES, TLS };
    static const char *const names[] = {"dst_cidrs",  "dst_ips",    "dns_hostname",
                                        "proto",      "src_ports",  "dst_ports",
                                        "icmp_types", "icmp_codes", "tls"};
    const cJSON *members[COUNT(names)];
    int rc;

    ret->at = node_of(item);
    open_object(load, item, "match", names, COUNT(names), members);
    rc = load_texts(load, members[CIDRS], "dst_cidrs", NULL, &ret->dst_cidrs);
    if (rc < 0)
        return rc;
    rc = load_texts(load, members[IPS], "dst_ips", NULL, &ret->dst_ips);
    if (rc < 0)
        return rc;
    rc = load_regex(load, members[HOSTNAME], "dns_hostname", NULL, &ret->hostname);
    if (rc < 0)
        return rc;
    rc = load_proto(load, members[PROTO], &ret->proto);
    if (rc < 0)
        return rc;
    rc = load_ports(load, members[SRC], "src_ports", &ret->src_ports);
    if (rc < 0)
        return rc;
    rc = load_ports(load, members[DST], "dst_ports", &ret->dst_ports);
    if (rc < 0)
        return rc;
    rc = load_octets(load, members[TYPES], "icmp_types", &ret->icmp_types);
    if (rc < 0)
        return rc;
    rc = load_octets(load, members[CODES], "icmp_codes", &ret->icmp_codes);
    if (rc < 0)
        return rc;
    return load_tls(load, members[TLS], &ret->tls);
}

/* A required string; reported when absent. */
static int load_required(struct load *load, const cJSON *object, const cJSON *item,
                         const char *name, struct pm_text *ret)
{
    ret->at = POL_NONE;
    if (!item)
        missing(load, object, name);
    else if (!cJSON_IsString(item))
        wrong_type(load, item, name, "a string");
    else
        return copy_text(load, item, ret);
    return POL_OK;
}

static int load_id(struct load *load, const cJSON *object, const cJSON *item, struct pm_text *ret)
{
    uint32_t limit = load->ctx->limits.id_bytes;
    int rc;

    rc = load_required(load, object, item, "id", ret);
    if (rc == POL_OK && ret->text.len > limit)
        diag_value(load->diags, POL_DIAG_LIMIT, ret->at,
                   "id \"%.*s\" has %zu octets; at most %u are allowed", DIAG_ECHO(ret->text),
                   ret->text.len, (unsigned)limit);
    return rc;
}

static int load_rule(struct load *load, const cJSON *item, uint32_t index, struct pm_rule *ret)
{
    enum { ID, PRIORITY, ACTION, MODE, MATCH };
    static const char *const names[] = {"id", "priority", "action", "mode", "match"};
    const cJSON *members[COUNT(names)];
    int rc;

    ret->at = node_of(item);
    ret->match.at = ret->match.hostname.pattern = ret->match.proto.at = POL_NONE;
    ret->id.at = ret->action.at = ret->mode.at = POL_NONE;
    if (!open_object(load, item, "rule", names, COUNT(names), members) && !cJSON_IsObject(item))
        return POL_OK;
    load_priority(load, members[PRIORITY], index, &ret->priority, &ret->priority_at);
    rc = load_id(load, item, members[ID], &ret->id);
    if (rc < 0)
        return rc;
    rc = load_required(load, item, members[ACTION], "action", &ret->action);
    if (rc < 0)
        return rc;
    rc = load_word(load, members[MODE], "mode", "audit", "enforce", &ret->mode);
    if (rc < 0)
        return rc;
    if (members[MATCH])
        return load_match(load, members[MATCH], &ret->match);
    missing(load, item, "match");
    return POL_OK;
}

static void refuse_rules(struct load *load, uint32_t at)
{
    if (!load->rules_refused)
        diag_value(load->diags, POL_DIAG_LIMIT, at, "the document has more than %u rules",
                   (unsigned)load->ctx->limits.rules);
    load->rules_refused = true;
}

static int load_rules(struct load *load, const cJSON *item, struct pm_group *ret)
{
    const cJSON *child;
    uint32_t at;
    size_t count;
    int rc;

    if (!open_array(load, item, "rules", NULL, &at, &count))
        return POL_OK;
    if (count > load->rules_left) {
        refuse_rules(load, at);
        return POL_OK;
    }
    load->rules_left -= (uint32_t)count;
    ret->rules = arena_array(load->arena, count, sizeof(*ret->rules));
    if (!ret->rules)
        return POL_E_NOMEM;
    cJSON_ArrayForEach(child, item)
    {
        rc = load_rule(load, child, ret->rule_count, &ret->rules[ret->rule_count]);
        if (rc < 0)
            return rc;
        ret->rule_count++;
    }
    return POL_OK;
}

static int load_sources(struct load *load, const cJSON *item, struct pm_group *ret)
{
    enum { CIDRS, IPS, KUBERNETES };
    static const char *const names[] = {"cidrs", "ips", "kubernetes"};
    const cJSON *members[COUNT(names)];
    size_t count;
    uint32_t at;
    int rc;

    ret->sources_at = node_of(item);
    ret->sources_broken = !open_object(load, item, "sources", names, COUNT(names), members);
    rc = load_texts(load, members[CIDRS], "cidrs", &ret->sources_broken, &ret->cidrs);
    if (rc < 0)
        return rc;
    rc = load_texts(load, members[IPS], "ips", &ret->sources_broken, &ret->ips);
    if (rc < 0)
        return rc;
    if (open_array(load, members[KUBERNETES], "kubernetes", &ret->sources_broken, &at, &count)) {
        ret->sources_broken = true;
        diag_value(load->diags, POL_DIAG_UNAVAILABLE, at,
                   "kubernetes sources are not available on this node");
    }
    return POL_OK;
}

static int load_group(struct load *load, const cJSON *item, uint32_t index, struct pm_group *ret)
{
    enum { ID, PRIORITY, MODE, SOURCES, RULES, DEFAULT };
    static const char *const names[] = {"id",      "priority", "mode",
                                        "sources", "rules",    "default_action"};
    const cJSON *members[COUNT(names)];
    int rc;

    ret->at = node_of(item);
    ret->id.at = ret->mode.at = ret->default_action.at = ret->sources_at = POL_NONE;
    ret->sources_broken = true;
    if (!open_object(load, item, "group", names, COUNT(names), members) && !cJSON_IsObject(item)) {
        ret->mode.at = ret->at; /* not missing */
        return POL_OK;
    }
    load_priority(load, members[PRIORITY], index, &ret->priority, &ret->priority_at);
    rc = load_id(load, item, members[ID], &ret->id);
    if (rc < 0)
        return rc;
    rc = load_word(load, members[MODE], "mode", "audit", "enforce", &ret->mode);
    if (rc < 0)
        return rc;
    if (members[SOURCES])
        rc = load_sources(load, members[SOURCES], ret);
    else
        missing(load, item, "sources");
    if (rc < 0)
        return rc;
    rc = load_rules(load, members[RULES], ret);
    if (rc < 0)
        return rc;
    return load_text(load, members[DEFAULT], "default_action", NULL, &ret->default_action);
}

static int load_groups(struct load *load, const cJSON *item, struct pm_policy *ret)
{
    const cJSON *child;
    size_t count;
    uint32_t at;
    int rc;

    if (!open_array(load, item, "source_groups", NULL, &at, &count))
        return POL_OK;
    if (count > load->ctx->limits.groups) {
        diag_value(load->diags, POL_DIAG_LIMIT, at,
                   "the document has %zu source groups; at most %u are allowed", count,
                   (unsigned)load->ctx->limits.groups);
        return POL_OK;
    }
    ret->groups = arena_array(load->arena, count, sizeof(*ret->groups));
    if (!ret->groups)
        return POL_E_NOMEM;
    cJSON_ArrayForEach(child, item)
    {
        rc = load_group(load, child, ret->group_count, &ret->groups[ret->group_count]);
        if (rc < 0)
            return rc;
        ret->group_count++;
    }
    return POL_OK;
}

static int load_top(struct load *load, const cJSON *root, struct pm_policy *ret)
{
    enum { DEFAULT, GROUPS, AUDIT_DENY, MODE, KNOWN = MODE };
    static const char *const names[] = {"default_policy", "source_groups", "audit_deny", "mode"};
    const cJSON *members[COUNT(names)];
    int rc;

    ret->default_policy.at = ret->audit_deny.at = POL_NONE;
    open_object(load, root, "the document", names, COUNT(names), members);
    if (!is_absent(members[MODE]))
        diag_key(load->diags, POL_DIAG_UNKNOWN_KEY, node_of(members[MODE]),
                 "invalid json: top-level policy mode is no longer supported; set \"mode\" on "
                 "every source group");
    rc = load_text(load, members[DEFAULT], "default_policy", NULL, &ret->default_policy);
    if (rc < 0)
        return rc;
    rc = load_word(load, members[AUDIT_DENY], "audit_deny", "terminal", "continue",
                   &ret->audit_deny);
    if (rc < 0)
        return rc;
    return load_groups(load, members[GROUPS], ret);
}

int load_json(const pol_ctx *ctx, const struct scan *scan, struct arena *arena,
              struct pol_diags *diags, struct pm_policy *ret_policy)
{
    struct load load = {ctx, scan, arena, diags, ctx->limits.rules, false};
    cJSON *root;
    int next = 0;
    int rc;

    root = cJSON_ParseWithLengthOpts(scan->text.ptr, scan->text.len, NULL, 0);
    if (!root)
        return POL_E_NOMEM;
    number_tree(root, &next);
    rc = load_top(&load, root, ret_policy);
    cJSON_Delete(root);
    return rc;
}
