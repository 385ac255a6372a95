/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/diags.h"

#include <inttypes.h>
#include <string.h>

#include "ctl/show.h"

#define WINDOW 96 /* octets of a line that are shown at most */

/* The text of a line, without its newline; empty when there is no such line. */
static pol_str line_of(pol_str source, uint32_t number)
{
    const char *at = source.ptr, *end = source.ptr + source.len;
    const char *newline;

    for (uint32_t line = 1; at && line < number; line++) {
        newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : NULL;
    }
    if (!at || number == 0)
        return (pol_str){0};

    newline = memchr(at, '\n', (size_t)(end - at));
    return (pol_str){at, (size_t)((newline ? newline : end) - at)};
}

static bool inside_character(const char *at)
{
    return ((unsigned char)*at & 0xc0) == 0x80;
}

/* Cuts a line to the window around an octet of it, between characters; moves the place along. */
static pol_str cut_line(pol_str line, size_t *place)
{
    size_t start = *place > WINDOW / 2 && line.len > WINDOW ? *place - WINDOW / 2 : 0;
    size_t end = line.len - start > WINDOW ? start + WINDOW : line.len;

    while (start < *place && inside_character(line.ptr + start))
        start++;
    while (end < line.len && end > *place && inside_character(line.ptr + end))
        end--;

    *place -= start;
    return (pol_str){line.ptr + start, end - start};
}

static void show_place(struct text *out, pol_str line, uint32_t column, uint32_t number,
                       bool colours)
{
    size_t place = column ? column - 1 : 0;

    if (place > line.len)
        place = line.len;
    line = cut_line(line, &place);

    text_addf(out, "%6" PRIu32 " | ", number);
    show_safely(out,
                line); /* a tab becomes one character, so that the caret stays below its place */
    text_add(out, "\n       | ");
    for (size_t i = 0; i < place; i++)
        text_add(out, inside_character(line.ptr + i) ? "" : " ");
    show_paint(out, colours, SHOW_GOOD, "^");
    text_add(out, "\n");
}

static void show_diag(struct text *out, const char *file, pol_str source, const pol_diag *diag,
                      bool colours)
{
    bool error = diag->severity == POL_DIAG_ERROR;
    pol_str line = line_of(source, diag->line);

    text_add(out, file);
    if (diag->line)
        text_addf(out, ":%" PRIu32 ":%" PRIu32, diag->line, diag->column);
    text_add(out, ": ");
    show_paint(out, colours, error ? SHOW_BAD : SHOW_NOTICE, error ? "error" : "warning");
    text_add(out, ": ");
    show_safely(out, diag->text);
    if (diag->path.len) {
        text_add(out, " (");
        show_safely(out, diag->path);
        text_add(out, ")");
    }
    text_add(out, "\n");
    if (line.len)
        show_place(out, line, diag->column, diag->line, colours);
}

void diags_show(struct text *out, const char *file, pol_str source, const pol_diags *diags,
                bool colours)
{
    for (size_t i = 0; i < pol_diags_count(diags); i++)
        show_diag(out, file, source, pol_diags_at(diags, i), colours);
}

static size_t count_warnings(const pol_diags *diags)
{
    size_t warnings = 0;

    for (size_t i = 0; i < pol_diags_count(diags); i++)
        warnings += pol_diags_at(diags, i)->severity == POL_DIAG_WARNING;
    return warnings;
}

void diags_count(struct text *out, const char *file, const pol_diags *diags)
{
    size_t errors = pol_diags_errors(diags), warnings = count_warnings(diags);

    if (errors + warnings == 0)
        return;

    text_addf(out, "%s: ", file);
    if (errors)
        show_count(out, errors, "error", "errors");
    text_add(out, errors && warnings ? ", " : "");
    if (warnings)
        show_count(out, warnings, "warning", "warnings");
    text_add(out, "\n");
}
