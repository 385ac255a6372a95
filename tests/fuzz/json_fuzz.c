/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an event, a finding, readiness, counters or diagnostics whose texts and numbers come from
 * the input; the first octet says which. Whatever they hold, what is written is JSON, text that is
 * UTF-8 comes back as it was, and a buffer that is too small is never overrun.
 */
#include <libpolicy/json.h>

#include <cjson/cJSON.h>
#include <stdio.h>

#include "base/buf.h"
#include "codec/json_out.h"
#include "fuzz.h"
#include "observe/counters.h"

enum shape { EVENT, FINDING, READY, COUNTERS, DIAGS, ERRORS, TEXTS, SHAPES };

/* What is written, and the room it is given. */
struct subject {
    enum shape shape;
    pol_ctx *ctx;
    pol_policy *policy;
    pol_diags *diags;
    pol_event event;
    pol_finding finding;
    pol_ready *ready;
    pol_counters *counters;
    pol_str node, texts[2];
    pol_wall wall;
};

static int write_texts(const struct subject *subject, char *buf, size_t capacity, size_t *ret_len)
{
    struct json json = json_of(buf, capacity);

    json_array(&json, NULL);
    json_str(&json, NULL, subject->texts[0]);
    json_str_begin(&json, NULL);
    json_str_part(&json, subject->texts[0]);
    json_str_part(&json, subject->texts[1]);
    json_str_end(&json);
    json_array_end(&json);
    return buf_finish(&json.out, ret_len);
}

/* The members of the counters stand without braces: they are put around them here. */
static int write_counters(const struct subject *subject, char *buf, size_t capacity,
                          size_t *ret_len)
{
    char *inner = malloc(capacity);
    size_t len;
    int rc;

    require(inner);
    rc = pol_json_stats(subject->counters, inner, capacity < 2 ? 0 : capacity - 2, &len);
    if (rc == POL_OK) {
        buf[0] = '{';
        memcpy(buf + 1, inner, len);
        buf[len + 1] = '}';
    }
    free(inner);
    *ret_len = len + 2;
    return rc;
}

static int write_subject(const struct subject *subject, char *buf, size_t capacity, size_t *ret_len)
{
    switch (subject->shape) {
    case EVENT:
        return pol_json_event(&subject->event, subject->policy, subject->node, subject->wall, buf,
                              capacity, ret_len);
    case FINDING:
        return pol_json_finding(&subject->finding, subject->node, buf, capacity, ret_len);
    case READY:
        return pol_json_ready(subject->ready, buf, capacity, ret_len);
    case COUNTERS:
        return write_counters(subject, buf, capacity, ret_len);
    case DIAGS:
        return pol_json_diags(subject->diags, buf, capacity, ret_len);
    case ERRORS:
        return pol_json_errors(subject->diags, buf, capacity, ret_len);
    default:
        return write_texts(subject, buf, capacity, ret_len);
    }
}

/* --- what is expected ------------------------------------------------------------------------ */

/* RFC 3629 3, by decoding: octets of the character text begins with, or 0. */
static size_t character(pol_str text)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = (uint8_t)text.ptr[0];
    size_t len = lead < 0x80       ? 1
                 : lead >> 5 == 6  ? 2
                 : lead >> 4 == 14 ? 3
                 : lead >> 3 == 30 ? 4
                                   : 0;
    uint32_t value = len == 1 ? lead : lead & (0x7fu >> len);

    for (size_t i = 1; i < len; i++) {
        if (i >= text.len || ((uint8_t)text.ptr[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | ((uint8_t)text.ptr[i] & 0x3f);
    }
    if (len > 1 && (value < least[len] || value > 0x10ffff || (value >> 11) == 0x1b))
        return 0;
    return len;
}

/* Text with U+FFFD for every octet that is no part of a character. */
static char *repaired(pol_str text)
{
    char *out = malloc(3 * text.len + 1);
    size_t used = 0;

    require(out);
    for (size_t at = 0; at < text.len;) {
        size_t len = character((pol_str){text.ptr + at, text.len - at});

        memcpy(out + used, len ? text.ptr + at : "\xef\xbf\xbd", len ? len : 3);
        used += len ? len : 3;
        at += len ? len : 1;
    }
    out[used] = '\0';
    return out;
}

/* cJSON ends its strings with NUL, so a text is compared up to its first. */
static void check_text(const cJSON *item, pol_str text)
{
    char *expected = repaired(text);

    require(cJSON_IsString(item) && strcmp(item->valuestring, expected) == 0);
    free(expected);
}

static void check_name(const cJSON *item, pol_str text)
{
    if (text.len)
        check_text(item, text);
    else
        require(cJSON_IsNull(item));
}

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    require(item);
    return item;
}

#define FIELD(array) ((pol_str){array, strnlen(array, sizeof(array))})

static void check_event(const cJSON *tree, const struct subject *subject)
{
    const pol_event *event = &subject->event;
    bool dns = event->kind == POL_EV_DNS;

    check_text(member(tree, "node_id"), subject->node);
    check_name(member(tree, "hostname"), dns ? (pol_str){event->name, event->name_len}
                                             : (pol_str){event->fqdn, event->fqdn_len});
    if (!dns)
        check_name(member(tree, "sni"), (pol_str){event->name, event->name_len});
    if (subject->policy) {
        check_name(member(tree, "group"),
                   pol_policy_group_id(subject->policy, event->verdict.group));
        check_name(member(tree, "rule"), pol_policy_rule_id(subject->policy, event->verdict.rule));
    }
    require(member(tree, "src_port")->valuedouble == event->tuple.src_port);
}

static void check_finding(const cJSON *tree, const struct subject *subject)
{
    const pol_finding *finding = &subject->finding;
    const cJSON *names = member(tree, "names");
    unsigned count = finding->name_count;

    check_text(member(tree, "source_group"), FIELD(finding->group));
    check_name(member(tree, "rule"), FIELD(finding->rule));
    check_name(member(tree, "fqdn"), FIELD(finding->fqdn));
    check_text(cJSON_GetArrayItem(member(tree, "node_ids"), 0), subject->node);
    if (count > POL_FINDING_NAMES)
        count = POL_FINDING_NAMES;
    require(cJSON_GetArraySize(names) == (int)count);
    for (unsigned i = 0; i < count; i++)
        check_text(cJSON_GetArrayItem(names, (int)i), FIELD(finding->names[i]));
}

static void check_ready(const cJSON *tree, const struct subject *subject)
{
    const cJSON *checks = member(tree, "checks"), *check;
    pol_ready_line line;
    size_t at = 0;

    require(cJSON_IsTrue(member(tree, "ready")) == pol_ready_ok(subject->ready));
    cJSON_ArrayForEach(check, checks)
    {
        require(pol_ready_at(subject->ready, at++, &line));
        check_text(member(check, "name"), line.name);
        check_name(member(check, "detail"), line.detail);
        require(cJSON_IsTrue(member(check, "ok")) == line.ok);
    }
    require(at == pol_ready_count(subject->ready));
}

static void check_diag(const cJSON *item, const pol_diag *diag)
{
    check_text(member(item, "text"), diag->text);
    check_text(member(item, "path"), diag->path);
    require(member(item, "line")->valuedouble == diag->line);
    require(member(item, "code")->valuedouble == diag->code);
}

static void check_diags(const cJSON *items, const pol_diags *diags, bool warnings)
{
    const cJSON *item = items->child;
    const pol_diag *diag;

    for (size_t i = 0; (diag = pol_diags_at(diags, i)); i++) {
        if (diag->severity != POL_DIAG_ERROR && !warnings)
            continue;
        require(item);
        check_diag(item, diag);
        item = item->next;
    }
    require(!item);
}

static void check_texts(const cJSON *tree, const struct subject *subject)
{
    char *first = repaired(subject->texts[0]), *second = repaired(subject->texts[1]);
    const char *joined = cJSON_GetArrayItem(tree, 1)->valuestring;
    size_t len = strlen(first);

    check_text(cJSON_GetArrayItem(tree, 0), subject->texts[0]);
    require(strncmp(joined, first, len) == 0);
    require(
        memchr(subject->texts[0].ptr ? subject->texts[0].ptr : "", '\0', subject->texts[0].len) ||
        strcmp(joined + len, second) == 0);
    free(first);
    free(second);
}

static void check_tree(const cJSON *tree, const struct subject *subject)
{
    switch (subject->shape) {
    case EVENT:
        check_event(tree, subject);
        break;
    case FINDING:
        check_finding(tree, subject);
        break;
    case READY:
        check_ready(tree, subject);
        break;
    case COUNTERS:
        require(cJSON_IsObject(member(tree, "dataplane")) && cJSON_IsObject(member(tree, "tls")));
        break;
    case DIAGS:
        check_diags(tree, subject->diags, true);
        break;
    case ERRORS:
        require(cJSON_IsString(member(tree, "error")));
        check_diags(member(tree, "errors"), subject->diags, false);
        break;
    default:
        check_texts(tree, subject);
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static size_t needed(const struct subject *subject)
{
    char none;
    size_t len = 0;

    require(write_subject(subject, &none, 0, &len) == POL_E_NOSPACE && len > 0);
    return len;
}

/* In memory of exactly that size: the sanitizer sees the first octet behind it. */
static void check_small(const struct subject *subject, size_t capacity, size_t need)
{
    char *buf = malloc(capacity + !capacity);
    size_t len = 0;

    require(buf);
    require(write_subject(subject, buf, capacity, &len) == POL_E_NOSPACE && len == need);
    free(buf);
}

static void check_output(const struct subject *subject, uint16_t pick)
{
    size_t need = needed(subject), len = 0;
    char *buf = malloc(need);
    cJSON *tree;

    require(buf);
    check_small(subject, need - 1, need);
    check_small(subject, pick % need, need);
    require(write_subject(subject, buf, need, &len) == POL_OK && len == need);
    for (size_t i = 0; i < len; i++)
        require((uint8_t)buf[i] >= 0x20);
    for (size_t at = 0; at < len;) {
        size_t octets = character((pol_str){buf + at, len - at});

        require(octets);
        at += octets;
    }
    tree = cJSON_ParseWithLength(buf, len);
    require(tree);
    check_tree(tree, subject);
    cJSON_Delete(tree);
    free(buf);
}

/* A line of the metrics: "# HELP name text", "# TYPE name kind" or "name{labels} value". */
static void check_metrics(const pol_counters *counters)
{
    char *buf, none;
    size_t need, len;

    require(pol_metrics_text(counters, &none, 0, &need) == POL_E_NOSPACE);
    buf = malloc(need + 1);
    require(buf && pol_metrics_text(counters, buf, need, &len) == POL_OK && len == need);
    require(buf[len - 1] == '\n');
    buf[len] = '\0';
    for (char *line = buf; *line; line = strchr(line, '\n') + 1) {
        const char *value = memchr(line, '\n', need);

        while (value[-1] != ' ')
            value--;
        require(*line == '#' || (*value >= '0' && *value <= '9'));
        require(*line == '#' || strncmp(line, "dp_", 3) == 0 || strncmp(line, "dns_", 4) == 0 ||
                strncmp(line, "policyd_", 8) == 0);
    }
    free(buf);
}

/* --- reading the input ----------------------------------------------------------------------- */

static void fill(struct cursor *in, char *field, size_t size)
{
    pol_str text = input_text(in);

    if (text.len)
        memcpy(field, text.ptr, text.len < size ? text.len : size);
}

static void read_event(struct cursor *in, pol_event *event)
{
    event->kind = cursor_u8(in);
    event->end = cursor_u8(in);
    event->tuple.src = input_addr(in);
    event->tuple.dst = input_addr(in);
    event->tuple.dst.family = (uint8_t)(event->tuple.dst.family & cursor_u8(in));
    event->tuple.src_port = cursor_u16(in);
    event->tuple.proto = cursor_u8(in);
    event->verdict.action = cursor_u8(in);
    event->verdict.reason = cursor_u16(in);
    event->verdict.group = cursor_u8(in);
    event->verdict.rule = cursor_u8(in);
    event->packets_in = input_u64(in);
    event->rcode = cursor_u8(in);
    event->answer_count = cursor_u8(in);
    for (size_t i = 0; i < POL_EVENT_ADDRESSES && i < event->answer_count; i++)
        event->answers[i] = input_addr(in);
    event->name_len = input_name(in, event->name);
    event->fqdn_len = input_name(in, event->fqdn);
}

static void read_finding(struct cursor *in, pol_finding *finding)
{
    finding->type = cursor_u8(in);
    finding->dst = input_addr(in);
    finding->count = input_u64(in);
    finding->last_seen = input_u64(in);
    finding->reason = cursor_u16(in);
    finding->name_count = cursor_u8(in);
    fill(in, finding->group, sizeof(finding->group));
    fill(in, finding->rule, sizeof(finding->rule));
    fill(in, finding->name, sizeof(finding->name));
    fill(in, finding->fqdn, sizeof(finding->fqdn));
    for (size_t i = 0; i < POL_FINDING_NAMES; i++)
        fill(in, finding->names[i], sizeof(finding->names[i]));
}

static void read_ready(struct cursor *in, struct subject *subject)
{
    char names[2][256] = {"", ""}, detail[256];
    const char *list[2] = {names[0], names[1]};
    int rc;

    fill(in, names[0], 255);
    fill(in, names[1], 255);
    rc = pol_ready_new(subject->ctx, list, 2, &subject->ready);
    require((rc == POL_E_INVALID) == (!*names[0] || !*names[1] || strcmp(names[0], names[1]) == 0));
    for (size_t i = 0; rc == POL_OK && i < 2; i++) {
        uint8_t flags = cursor_u8(in);

        memset(detail, 0, sizeof(detail));
        fill(in, detail, 255);
        require(pol_ready_set(subject->ready, list[i], flags & 1, detail) == POL_OK);
        require(pol_ready_advise(subject->ready, list[i], flags & 2) == POL_OK);
    }
}

static void read_counters(struct cursor *in, struct subject *subject)
{
    static struct counters counters;
    static struct group_slots slots;

    memset(&counters, 0, sizeof(counters));
    memset(&slots, 0, sizeof(slots));
    slots.count = cursor_u8(in) % (GROUP_SLOTS_NAMED + 1);
    for (unsigned i = 0; i < slots.count; i++) {
        slots.keys[i] = i + 1;
        fill(in, slots.names[i], GROUP_NAME_MAX);
    }
    while (cursor_left(in))
        counter_set(&counters, cursor_u16(in) % COUNT_PLACES, input_u64(in));
    require(pol_counters_new(subject->ctx, &subject->counters) == POL_OK);
    counters_sum(subject->counters, &counters, &slots);
    check_metrics(subject->counters);
}

/* Group and rule with ids from the input. */
static void read_policy(struct cursor *in, struct subject *subject)
{
    char text[4096];
    struct json json = json_of(text, sizeof(text));
    size_t len;

    json_object(&json, NULL);
    json_array(&json, "source_groups");
    json_object(&json, NULL);
    json_str(&json, "id", input_text(in));
    json_text(&json, "mode", "enforce");
    json_object(&json, "sources");
    json_array(&json, "cidrs");
    json_text(&json, NULL, "10.0.0.0/8");
    json_array_end(&json);
    json_object_end(&json);
    json_array(&json, "rules");
    json_object(&json, NULL);
    json_str(&json, "id", input_text(in));
    json_text(&json, "action", "deny");
    json_object(&json, "match");
    json_object_end(&json);
    json_object_end(&json);
    json_array_end(&json);
    json_object_end(&json);
    json_array_end(&json);
    json_object_end(&json);
    require(buf_finish(&json.out, &len) == POL_OK);
    (void)pol_compile(subject->ctx, (pol_str){text, len}, NULL, &subject->policy, &subject->diags);
}

static void read_document(struct cursor *in, struct subject *subject)
{
    pol_bytes rest = cursor_take(in, cursor_left(in));
    int rc = pol_compile(subject->ctx, (pol_str){(const char *)rest.ptr, rest.len}, NULL,
                         &subject->policy, &subject->diags);

    require(rc == POL_OK || rc == POL_E_POLICY);
}

static void read_subject(struct cursor *in, struct subject *subject)
{
    subject->node = input_text(in);
    switch (subject->shape) {
    case EVENT:
        subject->wall = input_u64(in);
        read_event(in, &subject->event);
        read_policy(in, subject);
        break;
    case FINDING:
        read_finding(in, &subject->finding);
        break;
    case READY:
        read_ready(in, subject);
        break;
    case COUNTERS:
        read_counters(in, subject);
        break;
    case DIAGS:
    case ERRORS:
        read_document(in, subject);
        break;
    default:
        subject->texts[0] = input_text(in);
        subject->texts[1] = input_text(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct subject subject;
    struct cursor in = input_of(data, size);
    uint16_t pick;

    memset(&subject, 0, sizeof(subject));
    require(pol_ctx_new(NULL, &subject.ctx) == POL_OK);
    subject.shape = cursor_u8(&in) % SHAPES;
    pick = cursor_u16(&in);
    read_subject(&in, &subject);
    if (subject.shape != READY || subject.ready)
        check_output(&subject, pick);
    pol_counters_free(subject.counters);
    pol_ready_free(subject.ready);
    pol_diags_free(subject.diags);
    pol_policy_unref(subject.policy);
    pol_ctx_unref(subject.ctx);
    return 0;
}
