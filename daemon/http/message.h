/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/text.h"

#define HTTP_BODY_LIMIT 2097152 /* octets of a request body */

struct http_reply;

/* A request as the handlers see it; the texts belong to the server. Absent ones are NULL. */
struct http_request {
    const char *method;
    const char *path;          /* as sent, without the query */
    const char *query;         /* behind the '?' */
    const char *authorization; /* header value */
    const char *cookie;        /* header value */
    const char *body;
    size_t body_len;
    /*
     * Reads the body into the request, which is nobody's wish before the sender's token is known.
     * NULL: there is none to read. False: the reply says why not.
     */
    bool (*receive)(void *receiver, struct http_request *request, struct http_reply *reply);
    void *receiver;
};

/* What goes back. Zero-initialised it is an empty 200. */
struct http_reply {
    int status;
    const char *type; /* Content-Type; NULL: application/json */
    char allow[64];   /* Allow header; empty: none */
    bool challenge;   /* say that a bearer token is wanted (RFC 9110 11.6.1) */
    struct text body;
};

#endif
