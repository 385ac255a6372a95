/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TAP_QUERY_H
#define HTTP_TAP_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include <libpolicy/context.h>
#include <libpolicy/tap.h>

#include "http/message.h"

/*
 * Makes a filter of the query of GET /api/v1/wiretap/stream: src_cidr, dst_cidr, hostname, proto,
 * src_port, dst_port and kind, each repeatable. Unknown keys are ignored, as the contract says.
 *
 * @param ret_kinds  enum tap_kind; flows when the query names none
 *
 * @return false: the reply names the parameter at fault (400), or memory is short
 */
bool tap_query_read(pol_ctx *ctx, const char *query, pol_tap **ret_tap, uint32_t *ret_kinds,
                    struct http_reply *reply);

#endif
