/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/table.h"

#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/proto.h"

enum {
    WHEEL_SLOTS = 8192 /* seconds ahead the wheel can see; longer waits are put back on it */
};

enum { LINE = 64 };

static size_t block_bytes(const struct flow_table *table)
{
    return table->capacity * sizeof(*table->flows) + LINE;
}

int flow_table_init(struct flow_table *table, const pol_mem *mem, uint32_t capacity,
                    const uint64_t seed[2])
{
    uint32_t heads = 16;

    /* Two heads per flow: most chains have one entry, so a lookup touches one line of each. */
    while (heads < 2 * capacity)
        heads *= 2;
    *table = (struct flow_table){
        .capacity = capacity,
        .mask = heads - 1,
        .free = POL_NONE,
        .next_id = 1,
        .seed = {seed[0], seed[1]},
    };
    for (int list = 0; list < LIST_COUNT; list++)
        table->oldest[list] = table->newest[list] = POL_NONE;
    table->block = mem_zalloc(mem, block_bytes(table));
    table->flows = (struct flow *)(((uintptr_t)table->block + LINE - 1) & ~(uintptr_t)(LINE - 1));
    table->names = mem_array(mem, capacity, sizeof(*table->names));
    table->heads = mem_array(mem, heads, sizeof(*table->heads));
    table->wheel = mem_array(mem, WHEEL_SLOTS, sizeof(*table->wheel));
    if (!table->block || !table->names || !table->heads || !table->wheel) {
        flow_table_fini(table, mem);
        return POL_E_NOMEM;
    }
    memset(table->heads, 0xff, heads * sizeof(*table->heads)); /* POL_NONE everywhere */
    memset(table->wheel, 0xff, WHEEL_SLOTS * sizeof(*table->wheel));
    for (uint32_t i = capacity; i-- > 0;) {
        table->flows[i].next = table->free;
        table->free = i;
    }
    return POL_OK;
}

void flow_table_fini(struct flow_table *table, const pol_mem *mem)
{
    mem_free(mem, table->block, block_bytes(table));
    mem_free(mem, table->names, table->capacity * sizeof(*table->names));
    mem_free(mem, table->heads, ((size_t)table->mask + 1) * sizeof(*table->heads));
    mem_free(mem, table->wheel, WHEEL_SLOTS * sizeof(*table->wheel));
    *table = (struct flow_table){.free = POL_NONE};
}

size_t flow_table_memory(const struct flow_table *table)
{
    return block_bytes(table) + table->capacity * sizeof(*table->names) +
           ((size_t)table->mask + 1) * sizeof(*table->heads) + WHEEL_SLOTS * sizeof(*table->wheel);
}

static int end_order(const pol_addr *a, uint16_t a_port, const pol_addr *b, uint16_t b_port)
{
    int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

    return order ? order : (int)a_port - (int)b_port;
}

void flow_key_of(const pol_tuple *tuple, const uint16_t vlan[2], uint8_t vlan_count,
                 struct flow_key *ret_key, uint8_t *ret_end)
{
    uint16_t src_port = tuple->src_port, dst_port = tuple->dst_port;
    uint8_t src = 0;

    /* An ICMP identifier belongs to both ends. */
    if (tuple->proto == PROTO_ICMP || tuple->proto == PROTO_ICMPV6)
        dst_port = src_port;
    if (end_order(&tuple->src, src_port, &tuple->dst, dst_port) > 0)
        src = 1;
    *ret_key = (struct flow_key){
        .proto = tuple->proto,
        .family = tuple->src.family,
        .vlan = {vlan_count > 0 ? vlan[0] : 0, vlan_count > 1 ? vlan[1] : 0},
    };
    memcpy(ret_key->addr[src], tuple->src.bytes, 16);
    memcpy(ret_key->addr[!src], tuple->dst.bytes, 16);
    ret_key->port[src] = src_port;
    ret_key->port[!src] = dst_port;
    *ret_end = src;
}

/* RFC 792, RFC 950, RFC 1256; RFC 4443 4. A kind of its own for every type without a reply. */
static uint8_t icmp_kind(uint8_t proto, uint8_t type, bool *is_reply)
{
    static const uint8_t pairs[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}, {10, 9}};
    static const uint8_t pairs6[][2] = {{128, 129}, {139, 140}};
    const uint8_t(*list)[2] = proto == PROTO_ICMP ? pairs : pairs6;
    size_t count = proto == PROTO_ICMP ? 5 : 2;

    for (size_t i = 0; i < count; i++) {
        *is_reply = type == list[i][1];
        if (*is_reply || type == list[i][0])
            return (uint8_t)(i + 1);
    }
    *is_reply = false;
    return UINT8_MAX;
}

bool flow_icmp_replies(uint8_t proto, uint8_t type)
{
    bool is_reply = false;

    if (proto == PROTO_ICMP || proto == PROTO_ICMPV6)
        icmp_kind(proto, type, &is_reply);
    return is_reply;
}

void flow_key_icmp(struct flow_key *key, uint8_t end, uint8_t type)
{
    uint8_t kind;
    bool is_reply;

    if (key->proto != PROTO_ICMP && key->proto != PROTO_ICMPV6)
        return;
    kind = icmp_kind(key->proto, type, &is_reply);
    key->icmp_kind[0] = (uint8_t)(2 * kind + (is_reply ? !end : end));
    key->icmp_kind[1] = kind == UINT8_MAX ? type : 0;
}

uint64_t flow_hash(const struct flow_table *table, const struct flow_key *key)
{
    return hash_bytes(table->seed, key, sizeof(*key));
}

uint32_t flow_find(const struct flow_table *table, const struct flow_key *key, uint64_t hash)
{
    uint32_t index;

    if (table->capacity == 0)
        return POL_NONE;
    index = table->heads[hash & table->mask];
    while (index != POL_NONE && memcmp(&table->flows[index].key, key, sizeof(*key)) != 0)
        index = table->flows[index].next;
    return index;
}

void flow_prefetch_head(const struct flow_table *table, uint64_t hash)
{
    if (table->capacity)
        __builtin_prefetch(&table->heads[hash & table->mask]);
}

void flow_prefetch_entry(const struct flow_table *table, uint64_t hash)
{
    uint32_t index;

    if (table->capacity == 0)
        return;
    index = table->heads[hash & table->mask];
    if (index == POL_NONE)
        return;
    for (size_t line = 0; line < offsetof(struct flow, first); line += 64)
        __builtin_prefetch((const char *)&table->flows[index] + line, 1);
}

void flow_clock(struct flow_table *table, pol_mono now)
{
    if (table->count == 0)
        table->wheel_second = now / POL_SECONDS;
}

uint32_t flow_insert(struct flow_table *table, const struct flow_key *key, uint64_t hash)
{
    uint32_t index = table->free;
    struct flow *flow;

    if (index == POL_NONE)
        return POL_NONE;
    flow = &table->flows[index];
    table->free = flow->next;
    *flow = (struct flow){
        .key = *key,
        .next = table->heads[hash & table->mask],
        .id = table->next_id++,
        .tls_deadline = POL_NEVER,
        .group = POL_NONE,
        .rule = POL_NONE,
        .resume = POL_NONE,
        .grant = POL_NONE,
        .stream = POL_NONE,
        .reply_stream = POL_NONE,
        .wheel_slot = POL_NONE,
        .list = LIST_NONE,
    };
    table->heads[hash & table->mask] = index;
    table->count++;
    flow_put_on(table, index, LIST_HALF_OPEN);
    return index;
}

static void list_remove(struct flow_table *table, uint32_t index)
{
    struct flow *flow = &table->flows[index];
    uint8_t list = flow->list;

    if (list == LIST_NONE)
        return;
    if (flow->list_prev != POL_NONE)
        table->flows[flow->list_prev].list_next = flow->list_next;
    else
        table->oldest[list] = flow->list_next;
    if (flow->list_next != POL_NONE)
        table->flows[flow->list_next].list_prev = flow->list_prev;
    else
        table->newest[list] = flow->list_prev;
    flow->list = LIST_NONE;
}

void flow_put_on(struct flow_table *table, uint32_t index, enum flow_list list)
{
    struct flow *flow = &table->flows[index];

    if (flow->list == list)
        return;
    list_remove(table, index);
    if (list == LIST_NONE)
        return;
    flow->list = (uint8_t)list;
    flow->list_prev = table->newest[list];
    flow->list_next = POL_NONE;
    if (flow->list_prev != POL_NONE)
        table->flows[flow->list_prev].list_next = index;
    else
        table->oldest[list] = index;
    table->newest[list] = index;
}

uint32_t flow_victim(const struct flow_table *table)
{
    for (int list = 0; list < LIST_COUNT; list++) {
        if (table->oldest[list] != POL_NONE)
            return table->oldest[list];
    }
    return POL_NONE;
}

static void wheel_remove(struct flow_table *table, uint32_t index)
{
    struct flow *flow = &table->flows[index];

    if (flow->wheel_slot == POL_NONE)
        return;
    if (flow->wheel_prev != POL_NONE)
        table->flows[flow->wheel_prev].wheel_next = flow->wheel_next;
    else
        table->wheel[flow->wheel_slot] = flow->wheel_next;
    if (flow->wheel_next != POL_NONE)
        table->flows[flow->wheel_next].wheel_prev = flow->wheel_prev;
    flow->wheel_slot = POL_NONE;
}

void flow_remove(struct flow_table *table, uint32_t index)
{
    struct flow *flow = &table->flows[index];
    uint32_t *link = &table->heads[flow_hash(table, &flow->key) & table->mask];

    wheel_remove(table, index);
    list_remove(table, index);
    while (*link != index)
        link = &table->flows[*link].next;
    *link = flow->next;
    flow->id = 0; /* who kept the index finds nobody */
    flow->next = table->free;
    table->free = index;
    table->count--;
}

void flow_schedule(struct flow_table *table, uint32_t index, pol_mono deadline)
{
    struct flow *flow = &table->flows[index];
    uint64_t second = deadline / POL_SECONDS + 1; /* looked at once it has fully passed */
    uint32_t slot;

    if (second < table->wheel_second)
        second = table->wheel_second;
    if (second >= table->wheel_second + WHEEL_SLOTS)
        second = table->wheel_second + WHEEL_SLOTS - 1;
    slot = (uint32_t)(second % WHEEL_SLOTS);
    if (flow->wheel_slot == slot)
        return;
    wheel_remove(table, index);
    flow->wheel_slot = slot;
    flow->wheel_prev = POL_NONE;
    flow->wheel_next = table->wheel[slot];
    if (flow->wheel_next != POL_NONE)
        table->flows[flow->wheel_next].wheel_prev = index;
    table->wheel[slot] = index;
}

uint32_t flow_due(struct flow_table *table, pol_mono now)
{
    uint64_t second = now / POL_SECONDS;

    if (table->count == 0)
        return POL_NONE;
    /* After a long silence every slot is looked at once, not every second. */
    if (second > table->wheel_second + WHEEL_SLOTS)
        table->wheel_second = second - WHEEL_SLOTS;
    while (table->wheel_second <= second) {
        uint32_t index = table->wheel[table->wheel_second % WHEEL_SLOTS];

        if (index != POL_NONE) {
            wheel_remove(table, index);
            return index;
        }
        if (table->wheel_second == second)
            break;
        table->wheel_second++;
    }
    return POL_NONE;
}

pol_mono flow_next_due(const struct flow_table *table)
{
    if (table->count == 0)
        return POL_NEVER;
    for (uint64_t i = 0; i < WHEEL_SLOTS; i++) {
        uint64_t second = table->wheel_second + i;

        if (table->wheel[second % WHEEL_SLOTS] != POL_NONE)
            return second < POL_NEVER / POL_SECONDS ? second * POL_SECONDS : POL_NEVER;
    }
    return POL_NEVER;
}

void flow_tuple(const struct flow *flow, pol_tuple *ret_tuple)
{
    uint8_t from = flow->opener, to = !flow->opener;

    *ret_tuple = (pol_tuple){
        .src = {.family = flow->key.family},
        .dst = {.family = flow->key.family},
        .src_port = flow->key.port[from],
        .dst_port = flow->key.port[to],
        .proto = flow->key.proto,
    };
    memcpy(ret_tuple->src.bytes, flow->key.addr[from], 16);
    memcpy(ret_tuple->dst.bytes, flow->key.addr[to], 16);
    if (flow->key.proto == PROTO_ICMP || flow->key.proto == PROTO_ICMPV6)
        ret_tuple->dst_port = 0;
}
