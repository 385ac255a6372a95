// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture/capture.h"
#include "core/clock.h"

#define PER_MS   UINT64_C(1000000)
#define ROUND_NS PER_MS /* between the last frame of a round and the first of the next */

struct port_pcap {
    struct port port; /* first, so that a port is one of these */
    struct port_pcap_options options;
    struct capture *capture;
    struct capture_frame frame; /* read and not yet handed out, when `ahead` */
    bool ahead;
    bool began;
    uint64_t file_first; /* recorded time of the first frame */
    uint64_t shift;      /* from recorded times to the port's clock; grows with every round */
    pol_mono first;      /* moment of the first frame */
    pol_mono newest;     /* what later frames may not go behind */
    uint64_t started;    /* clock_mono() of the first frame, as it was handed out */
    char problem[CAPTURE_ERROR_TEXT];
};

static struct port_pcap *self_of(struct port *port)
{
    return (struct port_pcap *)port;
}

/* --- time ----------------------------------------------------------------------------------- */

/*
 * The clock counts nanoseconds since 1970, so that records carry the recording's times. Where the
 * recording's clock was set back, the later time stays.
 */
static pol_mono moment(const struct port_pcap *self)
{
    pol_mono at = self->frame.time_ns + self->shift;

    return at > self->newest ? at : self->newest;
}

static pol_mono paced_now(const struct port_pcap *self)
{
    return self->first + (clock_mono() - self->started);
}

/* Paced, time goes on between two frames, but not beyond the next one. */
static pol_mono now(const struct port *port)
{
    const struct port_pcap *self = (const struct port_pcap *)port;
    pol_mono at;

    if (!self->options.paced || !self->ahead)
        return self->newest;
    at = paced_now(self);
    return at < moment(self) ? at : moment(self);
}

/* How long until the frame that was read ahead is due, rounded down: a millisecond is no delay. */
static uint64_t ms_until_due(const struct port_pcap *self)
{
    pol_mono at = moment(self), elapsed = paced_now(self);

    return self->options.paced && at > elapsed ? (at - elapsed) / PER_MS : 0;
}

/* --- frames --------------------------------------------------------------------------------- */

static int read_frame(struct port_pcap *self)
{
    switch (capture_next(self->capture, &self->frame, self->problem, sizeof(self->problem))) {
    case CAPTURE_FRAME:
        return 1;
    case CAPTURE_END:
        return -ENODATA;
    default:
        return -EIO;
    }
}

static int begin_again(struct port_pcap *self)
{
    capture_close(self->capture);
    self->capture = NULL;
    if (!capture_open(self->options.path, &self->capture, self->problem, sizeof(self->problem)))
        return -EIO;

    self->shift = self->newest + ROUND_NS - self->file_first;
    return read_frame(self);
}

static int read_ahead(struct port_pcap *self)
{
    int rc = read_frame(self);

    if (rc == -ENODATA && self->options.loop && self->began)
        rc = begin_again(self);
    if (rc != 1)
        return rc;

    self->ahead = true;
    if (!self->began) {
        self->began = true;
        self->file_first = self->first = self->frame.time_ns;
        self->started = clock_mono();
    }
    return 1;
}

static int receive(struct port *port, struct port_frame ret_frames[PORT_BURST])
{
    struct port_pcap *self = self_of(port);
    int rc = self->ahead ? 1 : read_ahead(self);

    if (rc != 1)
        return rc;
    if (ms_until_due(self) > 0)
        return 0;

    self->newest = moment(self);
    self->ahead = false;
    ret_frames[0] = (struct port_frame){
        .octets = self->frame.data,
        .wire_len = self->frame.wire_len,
        .link = (uint8_t)capture_link(self->capture),
        .side = POL_SIDE_UNKNOWN,
        .at = self->newest,
    };
    return 1;
}

static void wait_until_due(struct port *port, int wake, int timeout_ms)
{
    struct pollfd fd = {.fd = wake, .events = POLLIN};
    uint64_t due = ms_until_due(self_of(port));

    poll(&fd, 1, due < (uint64_t)timeout_ms ? (int)due : timeout_ms);
}

static void flush(struct port *port)
{
    (void)port; /* a recorded frame goes nowhere */
}

static const char *problem(const struct port *port)
{
    return ((const struct port_pcap *)port)->problem;
}

static void close_port(struct port *port)
{
    struct port_pcap *self = self_of(port);

    capture_close(self->capture);
    free(self);
}

static const struct port_kind pcap_kind = {
    .now = now,
    .receive = receive,
    .problem = problem,
    .wait = wait_until_due,
    .flush = flush,
    .close = close_port,
};

/* What went through a pipe does not come again. */
static bool can_be_repeated(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

int port_pcap_open(const struct port_pcap_options *options, struct port **ret_port,
                   struct text *ret_error)
{
    struct port_pcap *self;

    if (options->loop && !can_be_repeated(options->path)) {
        text_addf(ret_error, "%s: only a file can be repeated (dataplane.loop)", options->path);
        return -EINVAL;
    }

    self = calloc(1, sizeof(*self));
    if (!self) {
        text_add(ret_error, "out of memory");
        return -ENOMEM;
    }

    self->port.kind = &pcap_kind;
    self->options = *options;
    if (!capture_open(options->path, &self->capture, self->problem, sizeof(self->problem))) {
        text_add(ret_error, self->problem);
        free(self);
        return -EIO;
    }

    *ret_port = &self->port;
    return 0;
}
