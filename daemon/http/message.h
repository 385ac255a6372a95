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

/*
 * What follows a reply's body when its end is not known yet. All of it is called by the thread that
 * answers the request.
 */
struct http_stream {
    int wake; /* a descriptor, readable when there may be more */
    /* Appends what there is by now, also once a second without being woken; false: that is all. */
    bool (*more)(void *source, struct text *out);
    void (*close)(void *source); /* however it ends, and also when it never began */
    void *source;
};

/* What goes back. Zero-initialised it is an empty 200. */
struct http_reply {
    int status;
    const char *type;     /* Content-Type; NULL: application/json */
    char allow[64];       /* Allow header; empty: none */
    bool challenge;       /* say that a bearer token is wanted (RFC 9110 11.6.1) */
    unsigned retry_after; /* seconds, RFC 9110 10.2.3; 0: not said */
    struct text body;
    struct http_stream stream; /* `more` is NULL without one */
};

/* An error in place of a stream is an ordinary reply. */
static inline bool http_is_stream(const struct http_reply *reply)
{
    return reply->stream.more && reply->status == 200;
}

#endif
