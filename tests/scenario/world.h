/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCENARIO_WORLD_H
#define SCENARIO_WORLD_H

/*
 * What a scenario plays in: a context, a policy, grants, one worker and the findings, all with
 * fixed seeds and the time of the script.
 *
 *   settings.c  option
 *   policy.c    policy, reload: documents and diagnostics
 *   packet.c    tcp, udp, proto, frame; sending
 *   icmp.c      icmp
 *   control.c   ether, group, dhcp, dhcp6: link control
 *   payload.c   what packets carry
 *   dns.c       dns, wire-dns, answer
 *   look.c      grant, names, finding, counter, and what every step shows
 *   world.c     making, restarting and releasing it; the list of verbs
 */

#include <libpolicy/policy.h>

#include "dnsmsg.h"
#include "facts.h"
#include "flight.h"
#include "payload.h"
#include "words.h"

enum { SETTING_ADDRESSES = 16 };

struct settings {
    pol_worker_options worker;
    pol_grants_options grants;
    pol_ctx_options ctx;
    uint8_t ports; /* 0: a pair; 1: one port */
    bool default_allow;
    uint32_t wall; /* seconds since 1970 at the moment 0; 0: the worker is not told */
    struct flight anchors;
    pol_addr trusted[SETTING_ADDRESSES], inside_resolvers[SETTING_ADDRESSES];
    pol_addr own[SETTING_ADDRESSES];
    pol_prefix inside[SETTING_ADDRESSES];
};

struct frame_spec;

/* One direction of a TCP connection, so that segments follow each other by themselves. */
struct sender {
    char from[POL_ADDR_TEXT], to[POL_ADDR_TEXT];
    uint16_t from_port, to_port;
    uint32_t isn, next;
};

/* A query that an answer can answer. */
struct question {
    const char *label; /* NULL without one */
    bool on_wire, tcp, usable;
    struct endpoint client, resolver;
    pol_dns_query judged; /* of the proxy */
    struct dnsmsg message;
};

struct world {
    const struct script *script;
    struct settings settings;
    pol_ctx *ctx;
    pol_grants *grants;
    pol_worker *worker; /* NULL until something needs it */
    pol_audit *audit;
    pol_policy **policies; /* by generation - 1; kept for the ids in later events */
    uint64_t generation;
    pol_str document; /* in force; borrowed from the script or `loaded` */
    char **loaded;    /* policy files */
    size_t loaded_count;
    struct sender *senders;
    size_t sender_count;
    struct question **questions;
    size_t question_count;
    struct payload payload; /* of the step */
    pol_mono now;
    struct facts facts; /* of the step */
};

/* What is printed of a step beside its failures. */
enum shown {
    SHOW_NOTHING,
    SHOW_STEP, /* the line, and what came of it */
    SHOW_TRACE /* what came of it, as JSON */
};

/* Plays all steps. False when an expectation failed or a step made no sense. */
bool world_play(const struct script *script, enum shown shown);

/* --- verbs: false when the step makes no sense, which has been printed --- */

bool play_option(struct world *world, struct args *args);
bool play_policy(struct world *world, struct args *args);
bool play_tcp(struct world *world, struct args *args);
bool play_udp(struct world *world, struct args *args);
bool play_icmp(struct world *world, struct args *args);
bool play_proto(struct world *world, struct args *args);
bool play_frame(struct world *world, struct args *args);
bool play_ether(struct world *world, struct args *args);
bool play_group(struct world *world, struct args *args);
bool play_dhcp(struct world *world, struct args *args);
bool play_dhcp6(struct world *world, struct args *args);
bool play_dns(struct world *world, struct args *args);
bool play_wire_dns(struct world *world, struct args *args);
bool play_answer(struct world *world, struct args *args);
bool play_grant(struct world *world, struct args *args);
bool play_names(struct world *world, struct args *args);
bool play_finding(struct world *world, struct args *args);
bool play_counter(struct world *world, struct args *args);

/* --- shared by verbs --- */

void settings_init(struct settings *settings);
/* Puts the newest policy in force. */
void world_use_policy(struct world *world);
/* The text of an id, for %.*s. */
#define STR(id) (int)(id).len, (id).ptr

/* Takes "A > B" or "A < B"; *ret_src sent the packet. */
bool take_ends(struct args *args, struct endpoint *ret_src, struct endpoint *ret_dst,
               bool *ret_from_inside);

/* How a packet travels, beside its tuple. */
struct packet_words {
    const char *from, *vlan, *part;
    uint8_t ttl;
    uint32_t frag;
    uint16_t off;
    bool more;
    uint32_t id;
    int64_t isn, at;
    uint8_t proto, tcp_flags;
};
void packet_words_init(struct packet_words *words, uint8_t proto);
enum word_taken packet_words_take(const struct word *word, struct packet_words *words);
/* Takes the rest of the words, which say what the packet carries and how it travels. */
bool take_packet(struct world *world, struct args *args, struct packet_words *words);
bool check_ports(const struct args *args, int proto, const struct endpoint *src,
                 const struct endpoint *dst);
/* Sends world->payload in the packet that `spec` describes, and adds the verdict to the facts. */
bool send_frame(struct world *world, const struct args *args, struct frame_spec *spec,
                bool from_inside, const struct packet_words *words);
/* The same between two ends, and only the part that was asked for. */
bool send_payload(struct world *world, const struct args *args, const struct endpoint *src,
                  const struct endpoint *dst, bool from_inside, const struct packet_words *words);
/* Sends world->payload, a whole Ethernet frame. */
bool send_octets(struct world *world, const struct args *args, bool from_inside,
                 const struct packet_words *words);
/* Reads "N,N" as tags. */
bool take_vlan(const char *text, struct frame_spec *spec);
void facts_verdict(struct world *world, const pol_verdict *verdict);
/* The policy of a generation, or NULL. */
const pol_policy *policy_of(const struct world *world, uint64_t generation);
/* A group's key, looked for in the newest policies first; "-" is the group of recorded names. */
bool group_key_of(const struct world *world, const char *id, uint64_t *ret_key);

/* What the step has changed, for every verb. */
struct before {
    pol_grants_stats stats;
};
struct before look_before(const struct world *world);
void look_after(struct world *world, const struct before *before);

#endif
