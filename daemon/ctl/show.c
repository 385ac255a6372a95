/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool show_colours(FILE *file, bool forbidden)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return !forbidden && (!no_color || !no_color[0]) && isatty(fileno(file)) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

void show_paint(struct text *out, bool colours, enum show_colour colour, const char *piece)
{
    static const char *const codes[] = {
        [SHOW_PLAIN] = "0",   [SHOW_GOOD] = "32", [SHOW_BAD] = "31",
        [SHOW_NOTICE] = "33", [SHOW_DIM] = "2",
    };

    if (colours && colour != SHOW_PLAIN)
        text_addf(out, "\033[%sm%s\033[0m", codes[colour], piece);
    else
        text_add(out, piece);
}

void show_safely(struct text *out, pol_str piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        unsigned char octet = (unsigned char)piece.ptr[i];

        text_add_bytes(out, octet < 0x20 || octet == 0x7f ? "?" : piece.ptr + i, 1);
    }
}

void show_time(uint64_t ns, char ret_text[SHOW_TIME])
{
    time_t seconds = (time_t)(ns / POL_SECONDS);
    char day[SHOW_TIME];
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        day[0] = '\0';
    snprintf(ret_text, SHOW_TIME, "%.19s.%06uZ", day, (unsigned)(ns % POL_SECONDS / 1000));
}

void show_amount(uint64_t amount, char ret_text[SHOW_AMOUNT])
{
    static const char units[] = "kMGTPE";
    double scaled = (double)amount;
    size_t unit = 0;

    if (amount < 1000) {
        snprintf(ret_text, SHOW_AMOUNT, "%" PRIu64, amount);
        return;
    }

    /* 999.95 would print as 1000.0 */
    for (scaled /= 1000; scaled >= 999.95; scaled /= 1000)
        unit++;
    snprintf(ret_text, SHOW_AMOUNT, "%.1f%c", scaled, units[unit]);
}

void show_count(struct text *out, uint64_t count, const char *one, const char *many)
{
    text_addf(out, "%" PRIu64 " %s", count, count == 1 ? one : many);
}
