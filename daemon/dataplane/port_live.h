/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_PORT_LIVE_H
#define DATAPLANE_PORT_LIVE_H

#include "dataplane/port.h"

/*
 * An interface listened to through libpcap: slower than a packet socket of our own, but for every
 * link type and kind of device libpcap knows, such as "any". An interface that goes away is opened
 * again when it is back.
 *
 * @return 0, or a negative errno with the reason in `ret_error`
 */
int port_live_open(const char *name, struct port **ret_port, struct text *ret_error);

#endif
