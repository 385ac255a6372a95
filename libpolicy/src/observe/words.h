/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OBSERVE_WORDS_H
#define OBSERVE_WORDS_H

/* Words for enums of events; those for reasons, actions and findings are public. */

/* "flow_open", "flow_update", "flow_active", "flow_end", "deny", "dns". */
const char *event_kind_word(unsigned kind);

/* The `reason` of dp_flow_closes_total; NULL for POL_END_NONE. */
const char *event_end_word(unsigned end);

#endif
