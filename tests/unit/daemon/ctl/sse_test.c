// SPDX-License-Identifier: Apache-2.0
#include "ctl/sse.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static struct sse sse;
static struct text seen; /* "name=data;" for each event */
static int most;         /* events after which there is enough; 0: never */

static bool note(void *user, const char *name, const char *data)
{
    (void)user;
    text_addf(&seen, "%s=%s;", name, data);
    return --most != 0;
}

static void teardown(void)
{
    sse_fini(&sse);
    text_fini(&seen);
}

TestSuite(sse, .fini = teardown);

static bool feed(const char *octets)
{
    return sse_feed(&sse, octets, strlen(octets), note, NULL);
}

static const char stream[] =
    "retry: 5000\n: connected\n\nid: 1\nevent: flow\ndata: {\"a\":1}\n\n"
    ": keepalive\n\nevent: dropped\r\ndata:{}\r\n\r\ndata: one\ndata: two\n\n"
    "event: nothing\n\nunknown: x\ndata: last\n\n";
static const char expected[] = "flow={\"a\":1};dropped={};message=one\ntwo;message=last;";

Test(sse, events_come_out_whole_however_they_are_cut)
{
    for (size_t piece = 1; piece < sizeof(stream); piece++) {
        text_clear(&seen);
        for (size_t at = 0; at < sizeof(stream) - 1; at += piece) {
            size_t left = sizeof(stream) - 1 - at;

            cr_assert(sse_feed(&sse, stream + at, left < piece ? left : piece, note, NULL));
        }
        cr_assert_str_eq(seen.ptr, expected, "pieces of %zu: %s", piece, seen.ptr);
    }
}

Test(sse, whoever_has_enough_gets_no_more)
{
    most = 1;
    cr_assert_not(feed(stream));
    cr_assert_str_eq(seen.ptr, "flow={\"a\":1};");
}

Test(sse, a_line_without_an_end_is_refused)
{
    char *line = malloc(70001);

    memset(line, 'x', 70000);
    line[70000] = '\0';
    cr_assert_not(feed(line));
    free(line);
}

Test(sse, an_event_without_an_end_is_refused)
{
    int lines = 0;

    while (lines < 10000 && feed("data: 0123456789\n"))
        lines++;
    cr_assert_lt(lines, 10000);
    cr_assert_eq(seen.len, 0);
}

Test(sse, a_long_name_is_cut)
{
    cr_assert(feed("event: 0123456789012345678901234567890123456789\ndata: x\n\n"));
    cr_assert_str_eq(seen.ptr, "0123456789012345678901234567890=x;");
}
