// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_live.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"

#define SNAPLEN       262144
#define BUFFER        (32 << 20)
#define BUFFER_MS     10
#define OPEN_AGAIN_NS UINT64_C(500000000)

struct port_live {
    struct port port; /* first, so that a port is one of these */
    char *name;
    pcap_t *pcap; /* NULL: the interface is away */
    enum pol_link link;
    uint64_t tried;   /* clock_mono() of the last opening */
    unsigned dropped; /* as libpcap counted last */
    char problem[PCAP_ERRBUF_SIZE + 64];
};

static struct port_live *self_of(struct port *port)
{
    return (struct port_live *)port;
}

static bool link_of(int type, enum pol_link *ret_link)
{
    static const struct {
        int type;
        enum pol_link link;
    } known[] = {{DLT_EN10MB, POL_LINK_ETHERNET},
                 {DLT_RAW, POL_LINK_RAW_IP},
                 {DLT_LINUX_SLL, POL_LINK_LINUX_SLL},
                 {DLT_LINUX_SLL2, POL_LINK_LINUX_SLL2}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].type == type) {
            *ret_link = known[i].link;
            return true;
        }
    }
    return false;
}

static int refuse(struct port_live *self, pcap_t *pcap, const char *reason)
{
    snprintf(self->problem, sizeof(self->problem), "%s: %s", self->name, reason);
    if (pcap)
        pcap_close(pcap);
    return -EIO;
}

static int activate(struct port_live *self, pcap_t *pcap)
{
    char reason[PCAP_ERRBUF_SIZE];

    pcap_set_snaplen(pcap, SNAPLEN);
    pcap_set_promisc(pcap, 1);
    pcap_set_buffer_size(pcap, BUFFER);
    pcap_set_timeout(pcap, BUFFER_MS);
    if (pcap_activate(pcap) < 0)
        return refuse(self, pcap, pcap_geterr(pcap));
    if (pcap_setnonblock(pcap, 1, reason) < 0)
        return refuse(self, pcap, reason);
    if (!link_of(pcap_datalink(pcap), &self->link))
        return refuse(self, pcap, "has frames of a link type that is not known here");

    self->pcap = pcap;
    self->dropped = 0;
    return 0;
}

static int open_interface(struct port_live *self)
{
    char reason[PCAP_ERRBUF_SIZE];
    pcap_t *pcap = pcap_create(self->name, reason);

    self->tried = clock_mono();
    return pcap ? activate(self, pcap) : refuse(self, NULL, reason);
}

static void lose(struct port_live *self)
{
    refuse(self, self->pcap, pcap_geterr(self->pcap));
    log_warn("%s; waiting for it", self->problem);
    self->pcap = NULL;
}

static int receive(struct port *port, struct port_frame ret_frames[PORT_BURST])
{
    struct port_live *self = self_of(port);
    struct pcap_pkthdr *header;
    const uint8_t *octets;
    int rc;

    if (!self->pcap && (clock_mono() - self->tried < OPEN_AGAIN_NS || open_interface(self) < 0))
        return 0;

    rc = pcap_next_ex(self->pcap, &header, &octets);
    if (rc < 0)
        lose(self);
    if (rc <= 0)
        return 0;

    ret_frames[0] = (struct port_frame){
        .octets = {octets, header->caplen},
        .wire_len = header->len,
        .link = (uint8_t)self->link,
        .side = POL_SIDE_UNKNOWN,
        .at = clock_steady(),
    };
    return 1;
}

static void wait_for_frames(struct port *port, int wake, int timeout_ms)
{
    struct port_live *self = self_of(port);
    struct pollfd fds[2] = {
        {.fd = wake, .events = POLLIN},
        {.fd = self->pcap ? pcap_get_selectable_fd(self->pcap) : -1, .events = POLLIN}};

    poll(fds, 2, timeout_ms);
}

static void flush(struct port *port)
{
    (void)port; /* libpcap takes the frame back at the next read */
}

static void account(struct port *port)
{
    struct port_live *self = self_of(port);
    struct pcap_stat stats;

    if (!self->pcap || pcap_stats(self->pcap, &stats) < 0)
        return;

    port_count(&port->counters.rx_dropped, stats.ps_drop - self->dropped);
    self->dropped = stats.ps_drop;
}

static void close_port(struct port *port)
{
    struct port_live *self = self_of(port);

    if (self->pcap)
        pcap_close(self->pcap);
    free(self->name);
    free(self);
}

static const struct port_kind live_kind = {
    .live = true,
    .receive = receive,
    .wait = wait_for_frames,
    .flush = flush,
    .account = account,
    .close = close_port,
};

int port_live_open(const char *name, struct port **ret_port, struct text *ret_error)
{
    struct port_live *self = calloc(1, sizeof(*self));
    int rc = -ENOMEM;

    if (self && (self->name = strdup(name))) {
        self->port.kind = &live_kind;
        rc = open_interface(self);
    }
    if (rc < 0) {
        text_add(ret_error, self && *self->problem ? self->problem : "out of memory");
        if (self)
            close_port(&self->port);
        return rc;
    }

    *ret_port = &self->port;
    return 0;
}
