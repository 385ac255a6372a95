/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/queries.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/proto.h"

int queries_init(struct queries *queries, const pol_mem *mem, uint32_t capacity,
                 const uint64_t seed[2])
{
    uint32_t heads = 16;

    while (heads < capacity)
        heads *= 2;
    *queries = (struct queries){
        .capacity = capacity,
        .mask = heads - 1,
        .free = POL_NONE,
        .oldest = POL_NONE,
        .newest = POL_NONE,
        .seed = {seed[0], seed[1]},
    };
    queries->entries = mem_array(mem, capacity, sizeof(*queries->entries));
    queries->heads = mem_array(mem, heads, sizeof(*queries->heads));
    if (!queries->entries || !queries->heads) {
        queries_fini(queries, mem);
        return POL_E_NOMEM;
    }
    memset(queries->heads, 0xff, heads * sizeof(*queries->heads));
    for (uint32_t i = capacity; i-- > 0;) {
        queries->entries[i].next = queries->free;
        queries->free = i;
    }
    return POL_OK;
}

void queries_fini(struct queries *queries, const pol_mem *mem)
{
    mem_free(mem, queries->entries, queries->capacity * sizeof(*queries->entries));
    mem_free(mem, queries->heads, ((size_t)queries->mask + 1) * sizeof(*queries->heads));
    *queries = (struct queries){.free = POL_NONE};
}

static uint32_t bucket_of(const struct queries *queries, const pol_tuple *tuple,
                          const pol_dns_query *dns)
{
    struct {
        uint8_t client[16], resolver[16];
        uint16_t port, id;
    } key = {.port = tuple->src_port, .id = dns->id};

    memcpy(key.client, tuple->src.bytes, sizeof(key.client));
    memcpy(key.resolver, tuple->dst.bytes, sizeof(key.resolver));
    return (uint32_t)hash_bytes(queries->seed, &key, sizeof(key)) & queries->mask;
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

    if (queries->count == 0)
        return POL_NONE;
    index = queries->heads[bucket_of(queries, tuple, dns)];
    while (index != POL_NONE && !same_query(&queries->entries[index], tuple, vlan, dns))
        index = queries->entries[index].next;
    return index;
}

static void append(struct queries *queries, uint32_t index)
{
    struct query *query = &queries->entries[index];

    query->older = queries->newest;
    query->newer = POL_NONE;
    if (queries->newest != POL_NONE)
        queries->entries[queries->newest].newer = index;
    else
        queries->oldest = index;
    queries->newest = index;
}

static void unlink_age(struct queries *queries, uint32_t index)
{
    struct query *query = &queries->entries[index];

    if (query->older != POL_NONE)
        queries->entries[query->older].newer = query->newer;
    else
        queries->oldest = query->newer;
    if (query->newer != POL_NONE)
        queries->entries[query->newer].older = query->older;
    else
        queries->newest = query->older;
}

uint32_t queries_open(struct queries *queries, const struct query *query)
{
    uint32_t index = queries->free, bucket;

    if (index == POL_NONE)
        return POL_NONE;
    queries->free = queries->entries[index].next;
    queries->entries[index] = *query;
    bucket = bucket_of(queries, &query->tuple, &query->dns);
    queries->entries[index].next = queries->heads[bucket];
    queries->heads[bucket] = index;
    append(queries, index);
    queries->count++;
    return index;
}

void queries_renew(struct queries *queries, uint32_t index, pol_mono now)
{
    queries->entries[index].asked = now;
    unlink_age(queries, index);
    append(queries, index);
}

void queries_close(struct queries *queries, uint32_t index)
{
    struct query *query = &queries->entries[index];
    uint32_t *link = &queries->heads[bucket_of(queries, &query->tuple, &query->dns)];

    while (*link != index)
        link = &queries->entries[*link].next;
    *link = query->next;
    unlink_age(queries, index);
    query->next = queries->free;
    queries->free = index;
    queries->count--;
}
