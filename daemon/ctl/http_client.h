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
 * False, with a line on stderr that says what to look at, when no answer came.
 */
bool http_client_get(const char *url, const char *path, const char *token,
                     struct http_reply *ret_reply);

/* A GET whose answer has no end of its own. */
struct http_client_stream {
    const char *url, *path, *token;
    bool (*take)(void *user, const char *octets,
                 size_t len); /* of an answer of 200; false: enough */
    bool (*look)(void *user); /* several times a second; false: enough */
    void *user;
};

/*
 * Follows the stream until it ends, the connection is lost, nothing comes for 45 seconds (policyd
 * sends something every 15), or one of the functions has enough. An answer other than 200 is in
 * `ret_reply`, whole. False, with a text, when no answer came.
 */
bool http_client_follow(const struct http_client_stream *stream, struct http_reply *ret_reply,
                        struct text *error);

/*
 * Reads a token from a file: one line, blanks around it removed. The caller's to free().
 * False with a text on failure; without a file (NULL or "") it begins with `who`: "the stream
 * needs".
 */
bool http_client_read_token(const char *file, const char *who, char **ret_token,
                            struct text *error);

#endif
