/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MATCH_CLASSIFY_H
#define MATCH_CLASSIFY_H

/*
 * Packet classification with "next match from step i". The steps of a policy differ in sources only
 * by their group, so the source is resolved first: a trie over all source prefixes, whose nodes on
 * the path of an address each carry the groups that list exactly that prefix. Nodes with the same
 * list of groups share one cutting tree over destination, protocol and ports with all steps of
 * those groups in it. A lookup descends one tree per node on the path, so its cost depends on how
 * deeply source prefixes nest, not on how many groups or rules there are.
 */

#include <libpolicy/packet.h>

#include "base/arena.h"
#include "program/program.h"

struct classifier;

#define CLASSIFY_PATH_MAX 129 /* one node per prefix length */

/* Where a flow is in one classifier: computed once per new flow. */
struct classify_path {
    uint32_t dst; /* from classify_destination(); POL_NONE: each lookup searches for itself */
    uint16_t count;
    uint32_t nodes[CLASSIFY_PATH_MAX];
};

/* What the steps are matched against. For ICMP the ports are 0 and type and code are set. */
struct classify_key {
    pol_addr dst;
    uint16_t src_port, dst_port;
    uint8_t proto;
    bool has_ports;
    bool is_icmp; /* ICMP or ICMPv6: icmp_type and icmp_code are valid */
    uint8_t icmp_type, icmp_code;
};

/*
 * Builds a classifier over the steps for which `take` says yes. Steps, groups and their sets must
 * outlive it. All memory is the arena's. POL_OK or POL_E_NOMEM.
 */
int classify_build(struct arena *arena, const struct pp_step *steps, uint32_t step_count,
                   const struct pp_group *groups, uint32_t group_count,
                   bool (*take)(const struct pp_step *step), struct classifier **ret_classifier);

/* The path of a source, its destination not yet known. */
void classify_source(const struct classifier *classifier, const pol_addr *src,
                     struct classify_path *ret_path);

/* Adds the destination to a path, which from then on serves only keys with this dst. Worth it
 * before the first of several lookups; without it all of them give the same answers. */
void classify_destination(const struct classifier *classifier, const pol_addr *dst,
                          struct classify_path *path);

/* The first group at or after `from` whose sources contain the address of the path; POL_NONE. Holds
 * for all groups, whether or not any of their steps was taken. */
uint32_t classify_group(const struct classifier *classifier, const struct classify_path *path,
                        uint32_t from);

/* The first taken step at or after `from` whose selectors (everything but hostname and TLS) match
 * and whose group contains the source; the policy default counts as matching everything if taken.
 * POL_NONE when there is none. */
uint32_t classify_next(const struct classifier *classifier, const struct classify_path *path,
                       const struct classify_key *key, uint32_t from);

/* Brings the lines the next lookup touches first into the cache. */
void classify_prefetch(const struct classifier *classifier, const pol_addr *src);

#endif
