/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_ATTACH_H
#define DATAPLANE_ATTACH_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/port.h"
#include "link/link.h"

/*
 * Keeps the workers' ports attached to their interfaces, in a thread of its own: guards each
 * interface before anything is received from it, opens rings when it appears, again when it comes
 * back as another one, and knows what stands in the way. Workers go on meanwhile with what they
 * have; from an interface that is gone or has another name now, an inline port's rings are taken
 * away.
 */
struct attach;

enum { ATTACH_INSIDE, ATTACH_OUTSIDE, ATTACH_SIDES };

struct attach_options {
    /* Both: a bump in the wire, guarded; ports are port_inline's. The first alone: a monitor port,
     * left as it is; ports are port_monitor's. */
    const char *names[ATTACH_SIDES];
    struct port *const *ports; /* one for each worker; they must outlive the attachment.
                                None: the interface is only looked at */
    size_t port_count;
    uint32_t ring_slots;
    bool bypass_qdisc;
    /* A side without carrier takes the other one down until it is back. A side that is set up again
     * has 5 s for its own carrier before that counts as a loss. One that is down when policyd ends
     * stays down; the next start sets it up. */
    bool signal_loss;
};

/*
 * Attaches what is there. An interface that is missing is waited for; one that is taken is refused,
 * and then neither side is touched.
 *
 * @return 0, -EBUSY, or another negative errno with the reason and what helps in `ret_error`
 */
int attach_new(const struct attach_options *options, struct attach **ret_attach,
               struct text *ret_error);
int attach_start(struct attach *attach);
void attach_stop(struct attach *attach);
void attach_free(struct attach *attach);

/*
 * Any thread: what the newest look at the interfaces has found. A text is empty when there is
 * nothing to say; otherwise it names interface, cause and fix. What was seen more than 2 s ago is
 * wrong in itself.
 */
void attach_missing(struct attach *attach, char *ret_text, size_t capacity); /* no frames come */
void attach_wrong(struct attach *attach, char *ret_text, size_t capacity); /* first failing check */

#endif
