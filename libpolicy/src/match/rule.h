/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_RULE_H
#define MATCH_RULE_H

#include "match/classify.h"

/* Do the selectors of one step hold: destination, protocol, ports, ICMP? Source, hostname and TLS
 * are not looked at. */
bool rule_selects(const struct pp_step *step, const struct classify_key *key);

#endif
