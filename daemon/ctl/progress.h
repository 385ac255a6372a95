/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "core/text.h"

/* One line on a terminal's stderr that says how far a long replay is, at most five times a second.
 */
struct progress {
    bool on;
    bool shown;
    uint64_t started; /* on the monotonic clock */
    uint64_t next;    /* not before this moment */
    struct text line;
};

void progress_start(struct progress *progress, bool quiet);

/* To be called for every packet; looks at the clock once in a while only. */
void progress_update(struct progress *progress, uint64_t packets, const struct capture *capture);

/* Clears the line, so that what follows begins on an empty one. */
void progress_stop(struct progress *progress);

/* The words of the line: "1.2M packets, 34%, 400.0k packets/s, 5 s left". */
void progress_words(struct text *out, uint64_t packets, uint64_t position, uint64_t size,
                    uint64_t elapsed_ns);

#endif
