/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CTL_HTTP_CLIENT_H
#define CTL_HTTP_CLIENT_H

#include <stdbool.h>

#include "core/text.h"

#define HTTP_CLIENT_URL "http://127.0.0.1:8080" /* where policyd listens by default */

struct http_reply {
    long status;
    struct text body; /* the caller's to text_fini() */
};

/*
 * GET of `path` below `url`, within 5 seconds, without proxies and redirects. `token` may be NULL.
 * False, with a text that says what to look at, when no answer came.
 */
bool http_client_get(const char *url, const char *path, const char *token,
                     struct http_reply *ret_reply, struct text *error);

/*
 * Reads a token from a file: one line, blanks around it removed. The caller's to free().
 * False with a text on failure.
 */
bool http_client_read_token(const char *file, char **ret_token, struct text *error);

#endif
