/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIBPOLICY_POLICY_H
#define LIBPOLICY_POLICY_H

/*
 * libpolicy: a DNS-aware egress policy engine. This header includes all the others.
 *
 * The library decides and remembers; it never acts. It opens no socket or file, starts no thread,
 * reads no clock and keeps no global state: packets, time, memory and randomness come in as
 * arguments, verdicts and events go out.
 *
 * Six nouns, each with one threading class:
 *
 *   pol_ctx      shareable    memory, log, hash seed, limits           context.h
 *   pol_policy   shareable    a compiled policy document                compile.h
 *   pol_grants   many/many    what DNS answers have opened              grants.h
 *   pol_worker   one thread   flows, decisions, events                  worker.h, dns.h
 *   pol_audit    one thread   findings                                  audit.h
 *   pol_ready    one thread   readiness checks                          ready.h
 *
 * besides pol_counters (stats.h), pol_tap (tap.h), pol_packet (packet.h), replies (reply.h) and the
 * JSON shapes (json.h). A whole program:
 *
 *   pol_ctx *ctx;
 *   pol_policy *policy;
 *   pol_grants *grants;
 *   pol_worker *worker;
 *   pol_worker_options opts;
 *   pol_packet packet;
 *   pol_verdict verdict;
 *
 *   pol_ctx_new(NULL, &ctx);
 *   pol_compile(ctx, text, NULL, &policy, NULL);
 *   pol_grants_new(ctx, NULL, &grants);
 *   pol_worker_options_init(&opts, sizeof(opts));
 *   opts.grants = grants;
 *   pol_worker_new(ctx, &opts, &worker);
 *   pol_worker_use(worker, policy, 1);
 *
 *   pol_packet_parse(frame, POL_LINK_ETHERNET, frame_len, &packet);
 *   if (pol_worker_decide(worker, &packet, now, &verdict) == POL_ALLOW)
 *       forward(frame);
 *
 * Reload: compile another policy and pol_worker_use() it under a higher generation, each worker
 * from its own thread, whenever it suits. Open flows are judged again at their next packet.
 *
 * docs/embedding.md leads from here to production; examples/ has a small program for each idea.
 */

#include <libpolicy/audit.h>
#include <libpolicy/base.h>
#include <libpolicy/compile.h>
#include <libpolicy/context.h>
#include <libpolicy/dns.h>
#include <libpolicy/grants.h>
#include <libpolicy/json.h>
#include <libpolicy/packet.h>
#include <libpolicy/ready.h>
#include <libpolicy/reply.h>
#include <libpolicy/stats.h>
#include <libpolicy/tap.h>
#include <libpolicy/tls.h>
#include <libpolicy/version.h>
#include <libpolicy/worker.h>

#endif
