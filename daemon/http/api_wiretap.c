// SPDX-License-Identifier: Apache-2.0
#include "http/api.h"

#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "http/respond.h"
#include "http/tap_query.h"

#define KEEPALIVE_NS UINT64_C(15000000000)
#define RETRY_S      5

/* One reader, and when something was sent to it last. */
struct reader {
    struct tap_stream *stream;
    uint64_t spoke;
};

static bool more(void *source, struct text *out)
{
    struct reader *reader = source;
    bool goes_on = tap_stream_take(reader->stream, out);
    uint64_t now = clock_mono();

    if (out->len == 0 && now - reader->spoke >= KEEPALIVE_NS)
        text_add(out, ": keepalive\n\n");
    if (out->len)
        reader->spoke = now;
    return goes_on;
}

static void close_reader(void *source)
{
    struct reader *reader = source;

    tap_stream_close(reader->stream);
    free(reader);
}

static void refuse(int rc, struct http_reply *reply)
{
    if (rc == -EBUSY) {
        reply->retry_after = RETRY_S;
        respond_error(reply, 503,
                      "no wiretap stream is free (wiretap.max_streams); close another "
                      "one or try again");
    } else if (rc == -ESHUTDOWN) {
        respond_error(reply, 503, "wiretap unavailable");
    } else {
        reply->body.failed = true;
    }
}

/* A reader sees at once that it is connected, and how soon to come back. */
static void begin(struct reader *reader, struct http_reply *reply)
{
    reader->spoke = clock_mono();
    reply->type = "text/event-stream";
    reply->stream = (struct http_stream){.wake = tap_stream_wake(reader->stream),
                                         .more = more,
                                         .close = close_reader,
                                         .source = reader};
    text_add(&reply->body, "retry: 5000\n: connected\n\n");
}

void api_wiretap(struct api *api, const struct http_request *request, struct http_reply *reply)
{
    struct reader *reader = NULL;
    pol_tap *filter = NULL;
    uint32_t kinds;
    int rc = -ENOMEM;

    if (!performance_is_enabled(api->performance)) {
        respond_error(reply, 503, PERFORMANCE_NO_TAP);
        return;
    }
    if (!tap_query_read(api->ctx, request->query, &filter, &kinds, reply))
        return;

    reader = calloc(1, sizeof(*reader));
    if (reader)
        rc = tap_stream_open(api->tap, filter, kinds, &reader->stream);
    if (rc < 0) {
        free(reader);
        pol_tap_free(filter);
        refuse(rc, reply);
        return;
    }

    control_wake(api->control); /* it tells the workers what is wanted now */
    begin(reader, reply);
}
