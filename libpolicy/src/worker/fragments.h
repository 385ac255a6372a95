/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_FRAGMENTS_H
#define WORKER_FRAGMENTS_H

/*
 * Virtual reassembly: the verdict on the first fragment of a datagram, and which octets of it have
 * passed, so that later fragments follow it and none overlaps another (RFC 5722, RFC 3128).
 */

#include <libpolicy/worker.h>

#include "base/aged.h"

enum {
    FRAGMENT_PIECES = 48 /* ranges kept per datagram; a jumbo datagram in 1 280-octet pieces that
                            arrive in order is one range */
};

struct fragment_key {
    uint8_t src[16], dst[16];
    uint32_t id;
    uint16_t vlan[2];
    uint8_t proto, family;
    uint8_t zero[2];
};

struct fragment_piece {
    uint16_t from, to; /* octets of the datagram's payload; to is exclusive */
};

struct fragment {
    struct fragment_key key;
    pol_mono seen;
    pol_verdict verdict;
    uint8_t side;   /* of the wire it came from: enum pol_side */
    uint32_t flow;  /* index, valid while the flow's id is verdict.flow */
    uint32_t total; /* octets, once the last fragment has been seen; 0 before */
    uint32_t piece_count;
    struct fragment_piece pieces[FRAGMENT_PIECES];
};

struct fragments {
    struct fragment *entries;
    struct aged aged;
    uint64_t seed[2];
};

int fragments_init(struct fragments *fragments, const pol_mem *mem, uint32_t capacity,
                   const uint64_t seed[2]);
void fragments_fini(struct fragments *fragments, const pol_mem *mem);

/* The datagram a fragment belongs to, or NULL. One whose time is over is forgotten first. */
struct fragment *fragments_find(struct fragments *fragments, const pol_packet *packet,
                                pol_mono now);
/* When the oldest datagram will be too old; POL_NEVER without one. */
pol_mono fragments_deadline(const struct fragments *fragments);

/* Begins a datagram; takes the place of the oldest one when full. NULL only without capacity. */
struct fragment *fragments_begin(struct fragments *fragments, const pol_packet *packet,
                                 pol_mono now);

/* Notes the octets of one piece. False when they overlap others, lie behind the end or there are
 * too many pieces. */
bool fragment_note(struct fragment *fragment, const pol_packet *packet);

/* Forgets a datagram of which every octet has passed: its id may be used again at once. */
void fragments_end(struct fragments *fragments, struct fragment *fragment);
bool fragment_is_whole(const struct fragment *fragment);

/* Forgets datagrams older than the reassembly time. Returns how many. */
size_t fragments_expire(struct fragments *fragments, pol_mono now, size_t budget);

#endif
