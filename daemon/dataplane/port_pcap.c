// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port.h"

#include <errno.h>
#include <stdlib.h>

#include "capture/capture.h"

struct port_pcap {
    struct port port; /* first, so that a port is one of these */
    struct capture *capture;
    pol_mono newest; /* what later frames may not go behind */
    char problem[CAPTURE_ERROR_TEXT];
};

/*
 * The clock counts nanoseconds since 1970, so that records carry the recording's times. Where the
 * recording's clock was set back, the later time stays.
 */
static pol_mono advance(struct port_pcap *self, uint64_t time_ns)
{
    if (time_ns > self->newest)
        self->newest = time_ns;
    return self->newest;
}

static int receive(struct port *port, struct port_frame *ret_frame)
{
    struct port_pcap *self = (struct port_pcap *)port;
    struct capture_frame frame;

    switch (capture_next(self->capture, &frame, self->problem, sizeof(self->problem))) {
    case CAPTURE_FRAME:
        *ret_frame = (struct port_frame){
            .octets = frame.data,
            .wire_len = frame.wire_len,
            .link = capture_link(self->capture),
            .at = advance(self, frame.time_ns),
        };
        return 1;
    case CAPTURE_END:
        return -ENODATA;
    default:
        return -EIO;
    }
}

static const char *problem(const struct port *port)
{
    return ((const struct port_pcap *)port)->problem;
}

static void close_port(struct port *port)
{
    struct port_pcap *self = (struct port_pcap *)port;

    capture_close(self->capture);
    free(self);
}

int port_pcap_open(const char *path, struct port **ret_port, struct text *ret_error)
{
    struct port_pcap *self = calloc(1, sizeof(*self));

    if (!self) {
        text_add(ret_error, "out of memory");
        return -ENOMEM;
    }

    self->port = (struct port){.receive = receive, .problem = problem, .close = close_port};
    if (!capture_open(path, &self->capture, self->problem, sizeof(self->problem))) {
        text_add(ret_error, self->problem);
        free(self);
        return -EIO;
    }

    *ret_port = &self->port;
    return 0;
}
