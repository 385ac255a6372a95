/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/summary.h"

#include <inttypes.h>

#include "capture/capture.h"
#include "ctl/show.h"

static void count_flow(struct summary *summary, const pol_verdict *verdict)
{
    summary->flows++;
    switch (verdict->action) {
    case POL_ALLOW:
        summary->allowed++;
        break;
    case POL_PENDING:
        summary->pending++;
        break;
    case POL_INTERCEPT:
        summary->intercepted++;
        break;
    default:
        summary->denied++;
    }
    if (verdict->flags & POL_V_AUDIT)
        summary->audited++;
}

void summary_count(struct summary *summary, const struct records *records)
{
    summary->totals = *records_totals(records);
    for (size_t i = 0; i < records_count(records); i++) {
        const struct record *record = records_at(records, i);

        if (record->kind == RECORD_FLOW) {
            count_flow(summary, &record->verdict);
            continue;
        }
        summary->queries++;
        summary->queries_denied += record->verdict.action != POL_ALLOW;
    }
}

/* The parts of the text that are zero are left out; these add one with a comma in front. */
static void add_part(struct text *out, uint64_t count, const char *what)
{
    if (count)
        text_addf(out, ", %" PRIu64 " %s", count, what);
}

static void add_packets(struct text *out, const struct summary *summary)
{
    const struct records_totals *totals = &summary->totals;

    show_count(out, summary->packets, "packet", "packets");
    text_addf(out, " in %.3f s: %" PRIu64 " in flows",
              (double)(summary->last - summary->first) / (double)POL_SECONDS, totals->in_flows);
    add_part(out, totals->arp, "ARP");
    add_part(out, totals->link_control, "link control");
    add_part(out, totals->not_ip, "not IP");
    add_part(out, totals->broken, "broken");
    text_addf(out, "; %" PRIu64 " forwarded, %" PRIu64 " dropped", totals->forwarded,
              totals->dropped);
    add_part(out, totals->intercepted, "to intercept");
    text_add(out, "\n");
}

static void add_flows(struct text *out, const struct summary *summary)
{
    show_count(out, summary->flows, "flow", "flows");
    text_addf(out, ": %" PRIu64 " allowed, %" PRIu64 " denied", summary->allowed, summary->denied);
    add_part(out, summary->pending, "pending");
    add_part(out, summary->intercepted, "to intercept");
    add_part(out, summary->audited, "let through by audit mode");
    text_add(out, "\n");
}

static void add_dns(struct text *out, const struct summary *summary)
{
    show_count(out, summary->queries, "DNS query", "DNS queries");
    text_addf(out, ": %" PRIu64 " denied; ", summary->queries_denied);
    show_count(out, summary->grants_learned, "name and address learned",
               "names and addresses learned");
    text_addf(out, ", %" PRIu64 " still good at the end\n", summary->grants_live);
}

void summary_text(struct text *out, const struct summary *summary)
{
    add_packets(out, summary);
    add_flows(out, summary);
    add_dns(out, summary);
    if (summary->incomplete)
        text_addf(out, "warning: %" PRIu64 " of %" PRIu64 " packets " CAPTURE_INCOMPLETE "\n",
                  summary->incomplete, summary->packets);
    if (summary->events_lost)
        text_addf(out, "%" PRIu64 " events were lost: the records are not complete\n",
                  summary->events_lost);
}

static void add_number(struct text *out, const char *key, uint64_t value)
{
    text_addf(out, ",\"%s\":%" PRIu64, key, value);
}

static void add_time(struct text *out, const char *key, uint64_t ns)
{
    char time[SHOW_TIME];

    show_time(ns, time);
    text_addf(out, ",\"%s\":\"%s\"", key, time);
}

static void add_totals(struct text *out, const struct records_totals *totals)
{
    add_number(out, "packets_in_flows", totals->in_flows);
    add_number(out, "packets_arp", totals->arp);
    add_number(out, "packets_link_control", totals->link_control);
    add_number(out, "packets_not_ip", totals->not_ip);
    add_number(out, "packets_broken", totals->broken);
    add_number(out, "packets_forwarded", totals->forwarded);
    add_number(out, "packets_dropped", totals->dropped);
    add_number(out, "packets_intercepted", totals->intercepted);
}

void summary_json(struct text *out, const struct summary *summary)
{
    text_addf(out, "{\"packets\":%" PRIu64, summary->packets);
    add_number(out, "packets_incomplete", summary->incomplete);
    add_totals(out, &summary->totals);
    add_number(out, "flows", summary->flows);
    add_number(out, "flows_allowed", summary->allowed);
    add_number(out, "flows_denied", summary->denied);
    add_number(out, "flows_pending", summary->pending);
    add_number(out, "flows_intercepted", summary->intercepted);
    add_number(out, "flows_audited", summary->audited);
    add_number(out, "dns_queries", summary->queries);
    add_number(out, "dns_queries_denied", summary->queries_denied);
    add_number(out, "grants_learned", summary->grants_learned);
    add_number(out, "grants_live", summary->grants_live);
    add_number(out, "events_lost", summary->events_lost);
    add_time(out, "first", summary->first);
    add_time(out, "last", summary->last);
    text_add(out, "}");
}
