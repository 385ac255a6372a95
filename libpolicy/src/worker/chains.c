/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chains.h"

#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "wire/tls_server.h"

int chains_init(struct chains *chains, const pol_mem *mem, uint32_t count)
{
    *chains = (struct chains){.count = count, .leaf_of = POL_NONE};
    if (count == 0)
        return POL_OK;
    chains->items = mem_array(mem, count, sizeof(*chains->items));
    chains->data = mem_array(mem, count, TLS_FLIGHT_MAX);
    if (!chains->items || !chains->data) {
        chains_fini(chains, mem);
        return POL_E_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        chains->items[i].data = chains->data + (size_t)i * TLS_FLIGHT_MAX;
    return POL_OK;
}

void chains_fini(struct chains *chains, const pol_mem *mem)
{
    mem_free(mem, chains->items, chains->count * sizeof(*chains->items));
    mem_free(mem, chains->data, (size_t)chains->count * TLS_FLIGHT_MAX);
    *chains = (struct chains){.leaf_of = POL_NONE};
}

size_t chains_memory(const struct chains *chains)
{
    return (size_t)chains->count * (sizeof(struct chain) + TLS_FLIGHT_MAX);
}

/* Where the chain is, or else the place unused for longest. Looked for once in a flow that waits.
 */
static uint32_t place_of(const struct chains *chains, const uint8_t sha256[32])
{
    uint32_t oldest = 0;

    for (uint32_t i = 0; i < chains->count; i++) {
        const struct chain *chain = &chains->items[i];

        if (chain->version && memcmp(chain->sha256, sha256, sizeof(chain->sha256)) == 0)
            return i;
        if (chain->used < chains->items[oldest].used)
            oldest = i;
    }
    return oldest;
}

uint32_t chains_keep(struct chains *chains, pol_bytes octets)
{
    uint8_t sha256[32];
    struct chain *chain;
    uint32_t place;

    if (chains->count == 0 || crypto_sha256(octets, sha256) < 0)
        return POL_NONE;
    place = place_of(chains, sha256);
    chain = &chains->items[place];
    chain->used = ++chains->clock;
    if (chain->version && memcmp(chain->sha256, sha256, sizeof(sha256)) == 0)
        return place;
    memcpy(chain->sha256, sha256, sizeof(sha256));
    memcpy(chain->data, octets.ptr, octets.len);
    chain->len = (uint32_t)octets.len;
    chain->version++;
    chain->forgets = false;
    memset(chain->answers, 0, sizeof(chain->answers));
    return place;
}

bool chains_answered(const struct chains *chains, uint32_t place)
{
    bool answered = false;

    for (int i = 0; i < CHAIN_ANSWERS; i++)
        answered |= chains->items[place].answers[i].known;
    return answered && !chains->items[place].forgets;
}

bool chains_has(const struct chains *chains, uint32_t place, uint32_t version)
{
    return place < chains->count && version && chains->items[place].version == version;
}

/* The answer of these anchors, or room for it. */
static struct chain_answer *answer_of(struct chain *chain, uint64_t key)
{
    struct chain_answer *answer;

    for (int i = 0; i < CHAIN_ANSWERS; i++) {
        if (chain->answers[i].asked && chain->answers[i].key == key)
            return &chain->answers[i];
    }
    answer = &chain->answers[chain->next_answer++ % CHAIN_ANSWERS];
    chain->forgets |= answer->known;
    *answer = (struct chain_answer){.key = key, .asked = true};
    return answer;
}

static const struct chain_answer *ask(struct chains *chains, struct chain *chain,
                                      const struct x509_anchors *anchors)
{
    struct chain_answer *answer = answer_of(chain, anchors->key);
    uint32_t effort;
    int rc;

    if (answer->known)
        return answer;
    rc = x509_verify((pol_bytes){chain->data, chain->len}, anchors, &answer->window, &effort);
    chains->verifications++;
    chains->effort += effort;
    answer->verified = rc == POL_OK;
    /* Else another flow may have more luck. */
    answer->known = rc == POL_OK || rc == POL_E_FORMAT || (rc == POL_E_NOTFOUND && answer->refused);
    answer->refused |= rc == POL_E_NOTFOUND;
    return answer;
}

bool chains_verified(struct chains *chains, uint32_t place, const struct x509_anchors *anchors,
                     pol_wall wall)
{
    const struct chain_answer *answer = ask(chains, &chains->items[place], anchors);

    return answer->verified && wall && wall >= answer->window.from && wall <= answer->window.to;
}

const pol_certificate *chains_leaf(struct chains *chains, uint32_t place)
{
    const struct chain *chain = &chains->items[place];
    struct cursor list = cursor_of((pol_bytes){chain->data, chain->len});
    pol_bytes leaf;

    if (chains->leaf_of == place && chains->leaf_version == chain->version)
        return &chains->leaf;
    chains->leaf_of = POL_NONE;
    if (!tls_chain_next(&list, &leaf) || x509_read(leaf, &chains->leaf) < 0)
        return NULL;
    chains->leaf_of = place;
    chains->leaf_version = chain->version;
    return &chains->leaf;
}
