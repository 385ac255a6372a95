/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stddef.h>

struct http_field {
    const char *name, *value;
};

/* A request's head as the parser took it apart. */
struct http_head {
    const char *method;
    const char *target;  /* path and query as sent */
    const char *version; /* "1.1" */
    const struct http_field *fields;
    size_t field_count;
};

/*
 * Refuses what no honest client sends before anything else looks at it: the packaged parser has
 * known faults with some of these, and two readers of one request may disagree about its length
 * (RFC 9112 6.3).
 *
 * @return 0, or the status to answer with; *ret_reason is then set
 */
int head_check(const struct http_head *head, const char **ret_reason);

#endif
