/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_JSON_H
#define LIBPOLICY_JSON_H

/*
 * The JSON shapes of findings, events, counters, readiness and diagnostics, so that the daemon, the
 * command line and other languages show the same. All write into the caller's buffer without a NUL:
 *
 *   POL_OK         *ret_len octets were written
 *   POL_E_NOSPACE  *ret_len octets are needed; the buffer holds nothing useful
 *
 * None of them allocates. 64-bit counters are JSON numbers.
 */

#include <libpolicy/audit.h>
#include <libpolicy/ready.h>
#include <libpolicy/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One finding, every key of the HTTP contract, then ours: audit, reason, rule, generation, names,
 *  src_ip. Times are whole seconds. @p node_id becomes the only entry of node_ids. */
POL_API int pol_json_finding(const pol_finding *finding, pol_str node_id, char *buf,
                             size_t capacity, size_t *ret_len);

/** One event as the wiretap shows a flow: the contract's keys, then ours (verdict, raw_verdict,
 *  group, rule, reason, vlan, sni, bytes, kind, generation; the end of a flow its cause; a query
 *  its type, rcode, answers and what was learned). @p policy is that of the event's generation and
 *  may be NULL; @p wall is the time of day of event->last. */
POL_API int pol_json_event(const pol_event *event, const pol_policy *policy, pol_str node_id,
                           pol_wall wall, char *buf, size_t capacity, size_t *ret_len);

/** {"ready":bool,"checks":[{"name":..,"ok":bool,"detail":text or null}]}; advisory checks carry
 *  "advisory":true besides. */
POL_API int pol_json_ready(const pol_ready *ready, char *buf, size_t capacity, size_t *ret_len);

/** The objects "dataplane", "dns" and "tls" of GET /api/v1/stats, as members without the braces
 *  around them, so that the caller adds "dhcp" and "cluster". */
POL_API int pol_json_stats(const pol_counters *counters, char *buf, size_t capacity,
                           size_t *ret_len);

/** {"error":"<first> (and N more)","errors":[{"severity","code","name","path","line","column",
 *  "text"}]}; warnings are left out. */
POL_API int pol_json_errors(const pol_diags *diags, char *buf, size_t capacity, size_t *ret_len);

/** All diagnostics as an array, errors and warnings. */
POL_API int pol_json_diags(const pol_diags *diags, char *buf, size_t capacity, size_t *ret_len);

/** All counters in the Prometheus text format, version 0.0.4. Values by group that are zero are
 *  left out. Not JSON, but of the same kind: the one place where a shape is decided. */
POL_API int pol_metrics_text(const pol_counters *counters, char *buf, size_t capacity,
                             size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
