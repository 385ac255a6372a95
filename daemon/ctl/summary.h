/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_SUMMARY_H
#define CTL_SUMMARY_H

#include <libpolicy/grants.h>

#include "core/text.h"
#include "ctl/records.h"

/* What a replay amounts to. Its packets add up: those in flows and those in none are all there are.
 */
struct summary {
    uint64_t packets;    /* read from the capture */
    uint64_t incomplete; /* of the packets: recorded with a snap length, or cut otherwise */
    pol_mono first, last;
    uint64_t flows, allowed, denied, pending, intercepted;
    uint64_t audited; /* of the allowed: denied but for audit mode */
    uint64_t queries, queries_denied;
    uint64_t grants_learned, grants_live;
    uint64_t events_lost; /* 0, or the records are not complete */
    struct records_totals totals;
};

/* Fills in what follows from the records. */
void summary_count(struct summary *summary, const struct records *records);

void summary_text(struct text *out, const struct summary *summary); /* some lines for people */
void summary_json(struct text *out, const struct summary *summary); /* one object */

#endif
