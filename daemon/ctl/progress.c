/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "ctl/show.h"

#define INTERVAL_NS (POL_SECONDS / 5)
#define LOOK_EVERY  256 /* packets between two looks at the clock */
#define CLEAR_LINE  "\r\033[K"

void progress_start(struct progress *progress, bool quiet)
{
    *progress = (struct progress){.on = !quiet && isatty(STDERR_FILENO)};
    progress->started = clock_mono();
    progress->next = progress->started + INTERVAL_NS;
}

void progress_words(struct text *out, uint64_t packets, uint64_t position, uint64_t size,
                    uint64_t elapsed_ns)
{
    double elapsed = (double)elapsed_ns / (double)POL_SECONDS;
    char count[SHOW_AMOUNT], rate[SHOW_AMOUNT];

    if (elapsed <= 0)
        return;

    show_amount(packets, count);
    show_amount((uint64_t)((double)packets / elapsed), rate);
    text_addf(out, "%s packets", count);
    if (size)
        text_addf(out, ", %.0f%%", 100.0 * (double)position / (double)size);
    text_addf(out, ", %s packets/s", rate);
    if (size >= position && position)
        text_addf(out, ", %.0f s left", elapsed * (double)(size - position) / (double)position);
}

void progress_update(struct progress *progress, uint64_t packets, const struct capture *capture)
{
    uint64_t now;

    if (!progress->on || packets % LOOK_EVERY)
        return;

    now = clock_mono();
    if (now < progress->next)
        return;

    progress->next = now + INTERVAL_NS;
    progress->shown = true;
    text_clear(&progress->line);
    text_add(&progress->line, CLEAR_LINE);
    progress_words(&progress->line, packets, capture_position(capture), capture_size(capture),
                   now - progress->started);
    if (!progress->line.failed)
        fputs(progress->line.ptr, stderr);
}

void progress_stop(struct progress *progress)
{
    if (progress->shown)
        fputs(CLEAR_LINE, stderr);
    text_fini(&progress->line);
}
