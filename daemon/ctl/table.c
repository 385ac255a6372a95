/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/show.h"
#include "ctl/words.h"

enum column {
    COLUMN_TIME,
    COLUMN_PROTO,
    COLUMN_SOURCE,
    COLUMN_DESTINATION,
    COLUMN_NAME,
    COLUMN_WHAT,
    COLUMN_VERDICT,
    COLUMN_RULE,
    COLUMN_REASON,
    COLUMN_COUNT
};

#define CELL_SIZE  640 /* octets of the longest cell: two ids of 256 */
#define NAME_WIDTH 40
#define RULE_WIDTH 48

/* Columns are as wide as their widest cell, which is known after a first pass over the records. */
struct table {
    size_t widths[COLUMN_COUNT];
    size_t time_skip; /* octets of the date that all records have in common */
    char cells[COLUMN_COUNT][CELL_SIZE];
};

static const char *const titles[COLUMN_COUNT] = {
    "TIME", "PROTO", "SOURCE", "DESTINATION", "NAME", "WHAT", "VERDICT", "GROUP/RULE", "REASON",
};

/* The end of a name says most about it. */
static void fill_name(char *cell, const char *name, size_t others)
{
    size_t len = strlen(name), skip = len > NAME_WIDTH ? len - NAME_WIDTH + 2 : 0;
    int used = snprintf(cell, CELL_SIZE, "%s%s", skip ? ".." : "", name + skip);

    if (others)
        snprintf(cell + used, CELL_SIZE - (size_t)used, " +%zu", others);
}

static size_t count_names(const struct record *record)
{
    size_t count = 0;

    for (size_t at = 0; at < record->names_len; at += strlen(record->names + at) + 1)
        count++;
    return count;
}

static void fill_flow_name(char *cell, const struct record *record)
{
    size_t count = count_names(record);

    if (record->sni)
        fill_name(cell, record->sni, 0);
    else if (count)
        fill_name(cell, record->names, count - 1);
    else
        snprintf(cell, CELL_SIZE, "-");
}

static void fill_endpoint(char *cell, const pol_addr *addr, uint16_t port)
{
    char text[POL_ADDR_TEXT];

    pol_addr_format(addr, text);
    if (port == 0)
        snprintf(cell, CELL_SIZE, "%s", text);
    else
        snprintf(cell, CELL_SIZE, addr->family == 6 ? "[%s]:%u" : "%s:%u", text, port);
}

static void fill_flow(struct table *table, const struct record *record)
{
    bool icmp = record->tuple.proto == 1 || record->tuple.proto == 58;
    char packets[SHOW_AMOUNT], bytes[SHOW_AMOUNT], proto[WORD_SIZE];

    snprintf(table->cells[COLUMN_PROTO], CELL_SIZE, "%s", word_proto(record->tuple.proto, proto));
    fill_endpoint(table->cells[COLUMN_SOURCE], &record->tuple.src,
                  icmp ? 0 : record->tuple.src_port);
    fill_endpoint(table->cells[COLUMN_DESTINATION], &record->tuple.dst, record->tuple.dst_port);
    fill_flow_name(table->cells[COLUMN_NAME], record);
    show_amount(record->packets_out + record->packets_in, packets);
    show_amount(record->bytes_out + record->bytes_in, bytes);
    snprintf(table->cells[COLUMN_WHAT], CELL_SIZE, "%s pkt, %sB", packets, bytes);
}

static void fill_dns_outcome(char *cell, const struct record_dns *dns)
{
    char type[WORD_SIZE], rcode[WORD_SIZE];
    const char *query = word_dns_type(dns->qtype, type);

    if (dns->rcode == RECORD_NO_ANSWER)
        snprintf(cell, CELL_SIZE, "%s, no answer", query);
    else if (dns->rcode)
        snprintf(cell, CELL_SIZE, "%s, %s", query, word_dns_rcode(dns->rcode, rcode));
    else
        snprintf(cell, CELL_SIZE, "%s, %u addr, %u learned", query, dns->answer_count,
                 dns->learned);
}

static void fill_dns(struct table *table, const struct record *record)
{
    snprintf(table->cells[COLUMN_PROTO], CELL_SIZE, "dns");
    fill_endpoint(table->cells[COLUMN_SOURCE], &record->tuple.src, 0);
    fill_endpoint(table->cells[COLUMN_DESTINATION], &record->tuple.dst, 0);
    fill_name(table->cells[COLUMN_NAME], record->dns->name, 0);
    fill_dns_outcome(table->cells[COLUMN_WHAT], record->dns);
}

/* What would have been denied without audit mode is told as such. */
static void fill_verdict(char *cell, const pol_verdict *verdict)
{
    snprintf(cell, CELL_SIZE, "%s%s", record_verdict_word(verdict->action),
             verdict->flags & POL_V_AUDIT ? " (audit)" : "");
}

static void fill_rule(char *cell, const pol_verdict *verdict, const pol_policy *policy)
{
    pol_str group = pol_policy_group_id(policy, verdict->group);
    pol_str rule = pol_policy_rule_id(policy, verdict->rule);
    struct text text = {0};

    show_safely(&text, group);
    text_add(&text, rule.len ? "/" : "");
    show_safely(&text, rule);
    snprintf(cell, CELL_SIZE, "%.*s%s", RULE_WIDTH, text.ptr ? text.ptr : "",
             text.len > RULE_WIDTH ? ".." : "");
    text_fini(&text);
}

static void fill_cells(struct table *table, const struct record *record, const pol_policy *policy)
{
    char time[SHOW_TIME];

    show_time(record->first, time);
    snprintf(table->cells[COLUMN_TIME], CELL_SIZE, "%.*s", (int)(23 - table->time_skip),
             time + table->time_skip);
    if (record->kind == RECORD_DNS)
        fill_dns(table, record);
    else
        fill_flow(table, record);
    fill_verdict(table->cells[COLUMN_VERDICT], &record->verdict);
    fill_rule(table->cells[COLUMN_RULE], &record->verdict, policy);
    snprintf(table->cells[COLUMN_REASON], CELL_SIZE, "%s", pol_reason_word(record->verdict.reason));
}

static void measure(struct table *table, const struct records *records, const pol_policy *policy)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        table->widths[i] = strlen(titles[i]);

    for (size_t i = 0; i < records_count(records); i++) {
        fill_cells(table, records_at(records, i), policy);
        for (size_t j = 0; j < COLUMN_COUNT; j++) {
            size_t len = strlen(table->cells[j]);

            table->widths[j] = len > table->widths[j] ? len : table->widths[j];
        }
    }
}

static enum show_colour colour_of(const pol_verdict *verdict)
{
    if (verdict->flags & POL_V_AUDIT)
        return SHOW_NOTICE;
    if (verdict->action == POL_ALLOW)
        return SHOW_GOOD;
    return verdict->action == POL_PENDING || verdict->action == POL_INTERCEPT ? SHOW_NOTICE
                                                                              : SHOW_BAD;
}

static void add_cell(struct text *out, const struct table *table, size_t column, const char *cell,
                     bool colours, enum show_colour colour)
{
    size_t len = strlen(cell);

    show_paint(out, colours, colour, cell);
    if (column + 1 < COLUMN_COUNT)
        text_addf(out, "%*s", (int)(table->widths[column] - len + 2), "");
}

static void add_titles(struct text *out, const struct table *table, bool colours)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        add_cell(out, table, i, titles[i], colours, SHOW_DIM);
    text_add(out, "\n");
}

static void add_row(struct text *out, const struct table *table, const struct record *record,
                    bool colours)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        add_cell(out, table, i, table->cells[i], colours,
                 i == COLUMN_VERDICT ? colour_of(&record->verdict) : SHOW_PLAIN);
    text_add(out, "\n");
}

/* The date is shown only when the records are of several days. */
static size_t shared_date(const struct records *records)
{
    char first[SHOW_TIME], last[SHOW_TIME];

    show_time(records_at(records, 0)->first, first);
    show_time(records_at(records, records_count(records) - 1)->first, last);
    return memcmp(first, last, sizeof("2026-11-22") - 1) == 0 ? sizeof("2026-11-22T") - 1 : 0;
}

void table_show(struct text *out, const struct records *records, const pol_policy *policy,
                bool colours)
{
    struct table table;

    if (records_count(records) == 0)
        return;

    table.time_skip = shared_date(records);
    measure(&table, records, policy);
    add_titles(out, &table, colours);
    for (size_t i = 0; i < records_count(records); i++) {
        fill_cells(&table, records_at(records, i), policy);
        add_row(out, &table, records_at(records, i), colours);
    }
}
