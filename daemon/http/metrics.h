/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stdint.h>

#include "core/text.h"
#include "http/auth.h"

/*
 * What the API counts about itself. Paths are those of the route table, never as requested, so the
 * number of series has a bound. Any thread.
 */
struct http_metrics;

int http_metrics_new(struct http_metrics **ret_metrics);
void http_metrics_free(struct http_metrics *metrics);

/* `path` and `method` must live as long as the program. */
void http_metrics_request(struct http_metrics *metrics, const char *path, const char *method,
                          int status, uint64_t took_ns);
void http_metrics_auth(struct http_metrics *metrics, enum auth_outcome outcome);

void http_metrics_print(struct http_metrics *metrics, struct text *out);

#endif
