/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/queries.h"

#include <string.h>

#include "base/hash.h"
#include "net/proto.h"

int queries_init(struct queries *queries, const pol_mem *mem, uint32_t capacity,
                 const uint64_t seed[2])
{
    *queries = (struct queries){.seed = {seed[0], seed[1]}};
    queries->entries = aged_init(&queries->aged, mem, capacity, sizeof(*queries->entries));
    return queries->entries ? POL_OK : POL_E_NOMEM;
}

void queries_fini(struct queries *queries, const pol_mem *mem)
{
    aged_fini(&queries->aged, mem);
    queries->entries = NULL;
}

/* Of all that tells queries apart: a client chooses its port, its ids and what it asks, and must
 * not be able to make a chain of them. */
static uint64_t hash_of(const struct queries *queries, const pol_tuple *tuple,
                        const uint16_t vlan[2], const pol_dns_query *dns)
{
    struct {
        uint64_t name;
        uint8_t client[16], resolver[16];
        uint16_t port, id, qtype, qclass, vlan[2], proto, zero;
    } key = {
        .name = hash_bytes(queries->seed, dns->name, dns->name_len),
        .port = tuple->src_port,
        .id = dns->id,
        .qtype = dns->qtype,
        .qclass = dns->qclass,
        .vlan = {vlan[0], vlan[1]},
        .proto = tuple->proto,
    };

    memcpy(key.client, tuple->src.bytes, sizeof(key.client));
    memcpy(key.resolver, tuple->dst.bytes, sizeof(key.resolver));
    return hash_bytes(queries->seed, &key, sizeof(key));
}

static bool same_query(const struct query *query, const pol_tuple *tuple, const uint16_t vlan[2],
                       const pol_dns_query *dns)
{
    return query->dns.id == dns->id && query->dns.qtype == dns->qtype &&
           query->dns.qclass == dns->qclass && query->dns.name_len == dns->name_len &&
           tuple_equal(&query->tuple, tuple) &&
           memcmp(query->vlan, vlan, sizeof(query->vlan)) == 0 &&
           memcmp(query->dns.name, dns->name, dns->name_len) == 0;
}

uint32_t queries_find(const struct queries *queries, const pol_tuple *tuple, const uint16_t vlan[2],
                      const pol_dns_query *dns)
{
    uint32_t index;

    if (queries->aged.count == 0)
        return POL_NONE;
    index = aged_first(&queries->aged, hash_of(queries, tuple, vlan, dns));
    while (index != POL_NONE && !same_query(&queries->entries[index], tuple, vlan, dns))
        index = aged_after(&queries->aged, index);
    return index;
}

uint32_t queries_open(struct queries *queries, const struct query *query)
{
    uint32_t index =
        aged_add(&queries->aged, hash_of(queries, &query->tuple, query->vlan, &query->dns));

    if (index != POL_NONE)
        queries->entries[index] = *query;
    return index;
}

void queries_renew(struct queries *queries, uint32_t index, pol_mono now)
{
    queries->entries[index].asked = now;
    aged_renew(&queries->aged, index);
}

void queries_close(struct queries *queries, uint32_t index)
{
    aged_remove(&queries->aged, index);
}
