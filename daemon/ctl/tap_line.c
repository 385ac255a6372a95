/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/tap_line.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "ctl/show.h"
#include "ctl/words.h"

#define ENDPOINT_WIDTH 22
#define VERDICT_WIDTH  8
#define NAME_WIDTH     28
#define RULE_WIDTH     24

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return text ? text : "";
}

static uint64_t number_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 1e15
               ? (uint64_t)item->valuedouble
               : 0;
}

/* Adds a cell of at least `width` columns and a blank; what is empty shows as "-". */
static void add_cell(struct text *out, const char *text, size_t width)
{
    size_t before = out->len, len;

    show_safely(out, (pol_str){text, strlen(text)});
    if (!*text)
        text_add(out, "-");
    len = out->len - before;
    text_addf(out, "%*s", len < width ? (int)(width - len) + 1 : 1, "");
}

static void add_time(struct text *out, const cJSON *event)
{
    char time[SHOW_TIME];

    show_time(number_of(event, "last_seen") * UINT64_C(1000000000), time);
    text_addf(out, "%.8s ", time + strlen("2026-11-22T"));
}

static void add_endpoint(struct text *out, const cJSON *event, const char *addr, const char *port)
{
    const char *text = text_of(event, addr);
    bool v6 = strchr(text, ':') != NULL;
    char cell[80];

    snprintf(cell, sizeof(cell), "%s%.46s%s:%u", v6 ? "[" : "", text, v6 ? "]" : "",
             (unsigned)number_of(event, port) & 0xffff);
    add_cell(out, cell, ENDPOINT_WIDTH);
}

static void add_verdict(struct text *out, const cJSON *event, bool colours)
{
    const char *verdict = text_of(event, "verdict"), *raw = text_of(event, "raw_verdict");
    bool allowed = strcmp(verdict, "allow") == 0;
    bool softened = allowed && strcmp(raw, "allow") != 0;
    bool pending = strcmp(verdict, "pending") == 0;
    char cell[VERDICT_WIDTH + 2];

    snprintf(cell, sizeof(cell), "%-*.*s ", VERDICT_WIDTH, VERDICT_WIDTH,
             softened ? "audit" : verdict);
    show_paint(out, colours && *verdict,
               softened || pending ? SHOW_NOTICE
               : allowed           ? SHOW_GOOD
                                   : SHOW_BAD,
               cell);
}

static void add_name(struct text *out, const cJSON *event)
{
    const char *sni = text_of(event, "sni");

    add_cell(out, *sni ? sni : text_of(event, "hostname"), NAME_WIDTH);
}

static void add_rule(struct text *out, const cJSON *event)
{
    const char *rule = text_of(event, "rule");
    char cell[600];

    snprintf(cell, sizeof(cell), "%.256s%s%.256s", text_of(event, "group"), *rule ? "/" : "", rule);
    add_cell(out, cell, RULE_WIDTH);
}

static void add_amounts(struct text *out, const cJSON *event)
{
    const char *end = text_of(event, "end");
    char sent[SHOW_AMOUNT], received[SHOW_AMOUNT];

    show_amount(number_of(event, "packets_out"), sent);
    show_amount(number_of(event, "packets_in"), received);
    text_addf(out, "%s/%s ", sent, received);
    if (!*end)
        end = text_of(event, "reason");
    show_safely(out, (pol_str){end, strlen(end)});
    text_add(out, "\n");
}

void tap_line_head(struct text *out)
{
    text_addf(out, "%-8s %-11s %-6s %-*s %-*s %-*s %-*s %-*s %s\n", "TIME", "EVENT", "PROTO",
              ENDPOINT_WIDTH, "SOURCE", ENDPOINT_WIDTH, "DESTINATION", VERDICT_WIDTH, "VERDICT",
              NAME_WIDTH, "NAME", RULE_WIDTH, "GROUP/RULE", "OUT/IN WHY");
}

bool tap_line(struct text *out, const char *name, const char *data, bool colours)
{
    cJSON *event = cJSON_Parse(data);
    bool good = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(event, "flow_id"));
    char proto[WORD_SIZE];

    if (good) {
        add_time(out, event);
        add_cell(out, name, 11);
        add_cell(out, word_proto((uint8_t)number_of(event, "proto"), proto), 6);
        add_endpoint(out, event, "src_ip", "src_port");
        add_endpoint(out, event, "dst_ip", "dst_port");
        add_verdict(out, event, colours);
        add_name(out, event);
        add_rule(out, event);
        add_amounts(out, event);
    }
    cJSON_Delete(event);
    return good;
}
