/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_RESPOND_H
#define HTTP_RESPOND_H

#include "http/message.h"

const char *respond_phrase(int status); /* "Not Found" */

/* Replaces what the reply held by {"error": "..."}. */
void respond_error(struct http_reply *reply, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The status line and headers of a reply, with the security headers the contract gives every
 * response, up to and including the empty line. `path` may be NULL when there was no usable one.
 */
void respond_head(const struct http_reply *reply, const char *path, struct text *out);

#endif
