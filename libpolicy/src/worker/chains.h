/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORKER_CHAINS_H
#define WORKER_CHAINS_H

/*
 * The certificates that servers have shown to flows which had to wait for them, by their octets:
 * many flows go to one server. A flow is judged again on them after a reload, and a chain that has
 * been verified once need not be again. When there is no room, the chain unused for longest goes;
 * flows that had it have none then.
 */

#include <libpolicy/tls.h>

#include "wire/x509.h"

enum { CHAIN_ANSWERS = 16 }; /* sets of anchors that the rules of a policy may well have */

/* Whether the chain ends in one set of anchors. */
struct chain_answer {
    uint64_t key; /* x509_anchors.key */
    bool asked, known, verified;
    bool refused; /* once: that memory was missing looks the same, so it is asked for again */
    struct x509_window window; /* if verified: when that counts */
};

struct chain {
    uint8_t sha256[32];
    uint32_t version; /* grows whenever another chain takes the place; 0: never used */
    uint32_t len;
    uint64_t used; /* higher is newer */
    uint8_t *data; /* as tls_server_read() gives it */
    uint8_t next_answer;
    bool forgets; /* an answer had to make room for another: any may be asked for again */
    struct chain_answer answers[CHAIN_ANSWERS];
};

struct chains {
    struct chain *items;
    uint8_t *data;
    uint32_t count;
    uint64_t clock;
    uint64_t verifications; /* so far, */
    uint64_t effort;        /* and what they have cost: see x509_verify() */
    pol_certificate leaf;   /* scratch: what can be asked of the chain below */
    uint32_t leaf_of, leaf_version;
};

int chains_init(struct chains *chains, const pol_mem *mem, uint32_t count);
void chains_fini(struct chains *chains, const pol_mem *mem);
size_t chains_memory(const struct chains *chains);

/* The place of a chain, now the newest; its version is that of items[place]. POL_NONE without room
 * for any. */
uint32_t chains_keep(struct chains *chains, pol_bytes chain);

/* Whether it is known if the chain can be verified, and need not be tried again under the same
 * anchors. */
bool chains_answered(const struct chains *chains, uint32_t place);

/* Whether the chain is still at its place. */
bool chains_has(const struct chains *chains, uint32_t place, uint32_t version);

/* Whether the chain ends in one of the anchors and all of it is valid at `wall`. */
bool chains_verified(struct chains *chains, uint32_t place, const struct x509_anchors *anchors,
                     pol_wall wall);

/* What can be asked of the chain's first certificate, valid until the next call; NULL if it cannot
 * be read. */
const pol_certificate *chains_leaf(struct chains *chains, uint32_t place);

#endif
