/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_TAP_H
#define LIBPOLICY_TAP_H

/*
 * Which events somebody wants to see, live.
 */

#include <libpolicy/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A filter over events, for live confirmation.
 *
 * Thread class: One thread at a time (a hostname filter owns its match memory).
 */
typedef struct pol_tap pol_tap;

/** Ports from one to another. */
typedef struct pol_port_range {
    uint16_t first, last; /* inclusive */
} pol_port_range;

/** Lists are OR-ed inside and AND-ed with each other; an empty list lets everything pass. Borrowed
 *  for the call of pol_tap_new(). */
typedef struct pol_tap_filter {
    size_t size;                 /* set by pol_tap_filter_init() */
    const pol_prefix *src, *dst; /* opener and responder */
    size_t src_count, dst_count; /* of src and dst */
    const pol_str *hostnames;    /* regular expressions, searched caseless in the event's name and
                                    fqdn; an event without either never passes */
    size_t hostname_count;       /* of hostnames */
    const uint8_t *protos;       /* IANA numbers */
    size_t proto_count;          /* of protos */
    const pol_port_range *src_ports, *dst_ports; /* the opener's and the responder's */
    size_t src_port_count, dst_port_count; /* of src_ports and dst_ports */
} pol_tap_filter;

/** Makes a filter that every event passes. Call as pol_tap_filter_init(&filter, sizeof(filter)). */
POL_API void pol_tap_filter_init(pol_tap_filter *filter, size_t size);

/**
 * Makes a tap.
 *
 * @param reterr_index  with POL_E_FORMAT, which of the hostnames; may be NULL
 *
 * @return POL_OK, POL_E_NOMEM, POL_E_ABI, POL_E_FORMAT (a hostname is no regular expression),
 *         POL_E_INVALID (a prefix of no family, too long, or not zero behind its bits)
 *
 * Thread class: any thread.
 */
POL_API int pol_tap_new(pol_ctx *ctx, const pol_tap_filter *filter, pol_tap **ret_tap,
                        size_t *reterr_index);

/** Frees the tap. */
POL_API void pol_tap_free(pol_tap *tap);

/** Whether the event passes. Allocates nothing. */
POL_API bool pol_tap_match(pol_tap *tap, const pol_event *event);

#ifdef __cplusplus
}
#endif

#endif
