/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/sse.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 65536 /* octets of one line, and of one event */

void sse_fini(struct sse *sse)
{
    text_fini(&sse->line);
    text_fini(&sse->data);
    *sse = (struct sse){0};
}

/* "field: value" with at most one blank behind the colon; NULL: another field. */
static const char *value_of(const char *line, const char *field)
{
    size_t len = strlen(field);

    if (strncmp(line, field, len) != 0 || line[len] != ':')
        return NULL;
    return line + len + 1 + (line[len + 1] == ' ');
}

static bool finish_event(struct sse *sse, sse_event event, void *user)
{
    bool goes_on = true;

    if (sse->data.len)
        goes_on = event(user, sse->name[0] ? sse->name : "message", sse->data.ptr);
    text_clear(&sse->data);
    sse->name[0] = '\0';
    return goes_on;
}

static bool take_line(struct sse *sse, sse_event event, void *user)
{
    const char *line = sse->line.len ? sse->line.ptr : "", *value;

    if (!*line)
        return finish_event(sse, event, user);

    value = value_of(line, "event");
    if (value)
        snprintf(sse->name, sizeof(sse->name), "%s", value);
    value = value_of(line, "data");
    if (value && sse->data.len)
        text_add(&sse->data, "\n");
    if (value)
        text_add(&sse->data, value);
    return !sse->data.failed && sse->data.len <= LONGEST;
}

static bool end_line(struct sse *sse, sse_event event, void *user)
{
    bool goes_on;

    if (sse->line.len && sse->line.ptr[sse->line.len - 1] == '\r')
        sse->line.ptr[--sse->line.len] = '\0';
    goes_on = take_line(sse, event, user);
    text_clear(&sse->line);
    return goes_on;
}

bool sse_feed(struct sse *sse, const char *octets, size_t len, sse_event event, void *user)
{
    while (len) {
        const char *end = memchr(octets, '\n', len);
        size_t piece = end ? (size_t)(end - octets) : len;

        if (sse->line.len + piece > LONGEST)
            return false;
        text_add_bytes(&sse->line, octets, piece);
        if (sse->line.failed || (end && !end_line(sse, event, user)))
            return false;
        piece += end != NULL;
        octets += piece;
        len -= piece;
    }
    return true;
}
