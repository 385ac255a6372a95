/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLOW_TCP_H
#define FLOW_TCP_H

/*
 * How far a TCP connection has come (RFC 9293 3.3.2), as far as a bump in the wire needs to know: a
 * connection is established when its handshake is complete, half-closed connections stay so, and
 * it is closing after a FIN from both ends or a RST. Sequence numbers of RST segments are not
 * checked: closing only shortens the idle time, traffic goes on if it does.
 */

#include "flow/table.h"

/* Follows one segment; `reply` is true from the responder. Returns whether the phase has changed.
 */
bool tcp_follow(struct flow *flow, const pol_packet *packet, bool reply);

/* Whether this segment begins another connection in the place of the flow: a SYN of the opener,
 * without ACK and no repetition, on a flow that is opening, closing or denied. */
bool tcp_begins_anew(const struct flow *flow, const pol_packet *packet, bool reply);

/* Whether this SYN of the responder, without ACK, opens a connection of its own: the flow is
 * over. A SYN before that may be a simultaneous open (RFC 9293 3.5). */
bool tcp_opens_backwards(const struct flow *flow, const pol_packet *packet, bool reply);

/* Whether this SYN+ACK on an established flow answers a SYN of another connection: the responder
 * has forgotten this one. Without such a SYN it is forged or late, and changes nothing. Which SYN
 * it answers is not looked at: initial sequence numbers may be as near as the opener likes. */
bool tcp_answers_another(const struct flow *flow, const pol_packet *packet, bool reply);

#endif
