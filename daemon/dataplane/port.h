/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DATAPLANE_PORT_H
#define DATAPLANE_PORT_H

#include <stdatomic.h>
#include <stdbool.h>

#include <libpolicy/packet.h>

#include "core/text.h"

#define PORT_BURST 64 /* frames a receive hands out at most */

/* What a port hands to its worker. The octets are valid until the port is flushed. */
struct port_frame {
    pol_bytes octets;  /* from the link header on, VLAN tags where they were on the wire */
    uint32_t wire_len; /* octets the frame had on the wire */
    uint16_t segment;  /* of a super-frame: octets of payload in each datagram it will become; 0: it
                          is one datagram */
    /* Where two octets are still to be written on the way out, counted from the frame's first: the
     * checksum of all from checksum_from on; 0: nowhere. What the sender says, true or not. */
    uint32_t checksum_from, checksum_at;
    uint8_t link; /* enum pol_link */
    uint8_t side; /* enum pol_side */
    pol_mono at;  /* on the port's clock, never backwards */
};

/* What became of frames beside their verdict. The port's thread writes, any thread reads. */
#define PORT_COUNTERS(XX)                                                                          \
    XX(forwarded, "Frames handed to the other side's interface")                                   \
    XX(replies, "Frames of our own: refusals, resets, DNS answers")                                \
    XX(rx_dropped, "Frames the kernel had no room for in the receive ring")                        \
    XX(tx_dropped, "Frames the kernel did not take for sending")                                   \
    XX(oversized, "Frames longer than a ring slot or the other side's MTU")                        \
    XX(unreplied, "Refusals left out because too many were due")

struct port_counters {
#define XX(name, help) _Atomic(uint64_t) name;
    PORT_COUNTERS(XX)
#undef XX
};

static inline void port_count(_Atomic(uint64_t) *counter, uint64_t more)
{
    /* One writer: no atomic addition is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

struct port;

struct port_kind {
    /* What is not read in time is lost. The clock is clock_steady(); otherwise now(), which counts
     * nanoseconds since 1970 as well: those of a recording. */
    bool live;
    pol_mono (*now)(const struct port *port); /* NULL on live ports */

    /*
     * @return how many frames; 0: none now; -ENODATA when there will be no more; -EIO when the
     *         source is broken: `problem` then says how
     */
    int (*receive)(struct port *port, struct port_frame ret_frames[PORT_BURST]);
    const char *(*problem)(const struct port *port); /* NULL where receive never says -EIO */

    /* Until frames may have come, `wake` is readable, or the time is over. */
    void (*wait)(struct port *port, int wake, int timeout_ms);

    /* Where frames can go on; NULL where none ever does. */
    void (*forward)(struct port *port, size_t index); /* out of the other side; of those received */
    void (*send)(struct port *port, enum pol_side towards, pol_bytes frame); /* copied */
    uint32_t (*mtu)(const struct port *port, enum pol_side towards); /* octets of an IP datagram */

    /* What was forwarded and sent goes out, and the frames are the port's again. */
    void (*flush)(struct port *port);
    void (*account)(struct port *port); /* asks the kernel for its counters; once a second */
    void (*close)(struct port *port);
};

/*
 * Where frames come from, and on a live wire where they go. A port belongs to one thread, the
 * worker's; only its counters are read by others.
 */
struct port {
    const struct port_kind *kind;
    struct port_counters counters;
};

static inline void port_close(struct port *port)
{
    if (port)
        port->kind->close(port);
}

struct port_pcap_options {
    const char *path;
    bool paced; /* frames come when they came, counted from the first */
    bool loop;  /* behind the last comes the first again; the clock goes on */
};

/*
 * Opens a capture file, pcap or pcapng, of Ethernet, Linux cooked (v1, v2) or raw IP frames.
 *
 * @return 0, or a negative errno with the reason in `ret_error`
 */
int port_pcap_open(const struct port_pcap_options *options, struct port **ret_port,
                   struct text *ret_error);

#endif
