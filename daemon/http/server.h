/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/text.h"
#include "http/message.h"

/*
 * The listener. It takes requests apart, refuses what the head check refuses, reads bodies when
 * `serve` asks for them, up to their limit and deadline, and sends what `serve` puts into the
 * reply; it knows no path. A connection carries one request: with a thread per connection an idle
 * one would hold a thread.
 */
struct server;

struct server_options {
    struct address address; /* loopback, IPv4 */
    unsigned threads;       /* at least; see CONNECTIONS_MIN in server.c */
    unsigned streams;       /* replies without an end at the same time: each keeps a thread */
    /*
     * Called in one of the server's threads; `reply` is zero-initialised, or has a status: then
     * the listener has refused the request, which may lack a path, and it needs only counting.
     */
    void (*serve)(void *user, const struct http_request *request, struct http_reply *reply);
    void *user;
};

/* Returns 0, or a negative errno with the reason in `ret_error`. */
int server_start(const struct server_options *options, struct server **ret_server,
                 struct text *ret_error);

uint16_t server_port(const struct server *server); /* the one taken when 0 was asked for */

/*
 * Ends streams, stops and frees. False when the listener's threads have not ended in time: they may
 * still run, nothing they use may be freed, and the process should end without cleaning up.
 */
bool server_stop(struct server *server, uint64_t timeout_ns);

#endif
