/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_SSE_H
#define CTL_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

#define SSE_NAME 32 /* longest name of an event and its NUL; longer ones are cut */

/*
 * Server-sent events, taken apart as they arrive in pieces (WHATWG HTML 9.2.6). Comments, `id` and
 * `retry` are passed over. Zero-initialised it stands at the beginning of a stream.
 */
struct sse {
    struct text line; /* so far */
    struct text data; /* of the event so far, NUL-terminated */
    char name[SSE_NAME];
};

/* False ends the reading. */
typedef bool (*sse_event)(void *user, const char *name, const char *data);

/* False when `event` said so, memory was short, or something was longer than any event of ours. */
bool sse_feed(struct sse *sse, const char *octets, size_t len, sse_event event, void *user);
void sse_fini(struct sse *sse); /* may be used again, for another stream */

#endif
