/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_PORT_H
#define DATAPLANE_PORT_H

#include <libpolicy/packet.h>

#include "core/text.h"

/* What a port hands to its worker. The octets are valid until the next receive. */
struct port_frame {
    pol_bytes octets;
    uint32_t wire_len; /* octets the frame had on the wire */
    enum pol_link link;
    pol_mono at; /* on the port's clock, never backwards */
};

/*
 * Where frames come from. A port belongs to one thread, the worker's. Its clock is what `at` is
 * measured on: for a capture, the time of day of the recording.
 */
struct port {
    /*
     * @return 1 with a frame, -ENODATA when there will be no more, -EIO when the source is broken;
     *         `problem` then says how
     */
    int (*receive)(struct port *port, struct port_frame *ret_frame);
    const char *(*problem)(const struct port *port);
    void (*close)(struct port *port);
    pol_wall epoch; /* the time of day when the port's clock was at zero */
};

static inline void port_close(struct port *port)
{
    if (port)
        port->close(port);
}

/*
 * Opens a capture file, pcap or pcapng, of Ethernet, Linux cooked (v1, v2) or raw IP frames.
 *
 * @return 0, or a negative errno with the reason in `ret_error`
 */
int port_pcap_open(const char *path, struct port **ret_port, struct text *ret_error);

#endif
