/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/table.h"

#include <criterion/criterion.h>

#include <string.h>

#include "../base/counting_mem.h"
#include "base/mem.h"

#define S POL_SECONDS

static const uint64_t seed[2] = {1, 2};
static struct flow_table table;

static void setup(void)
{
    cr_assert_eq(flow_table_init(&table, &mem_libc, 4, seed), POL_OK);
}

static void teardown(void)
{
    flow_table_fini(&table, &mem_libc);
}

TestSuite(table, .init = setup, .fini = teardown);

static pol_tuple tuple_of(uint16_t src_port, uint8_t proto)
{
    return (pol_tuple){
        .src = {.family = 4, .bytes = {192, 0, 2, 9}},
        .dst = {.family = 4, .bytes = {10, 0, 0, 1}},
        .src_port = src_port,
        .dst_port = proto == 1 || proto == 58 ? 0 : 443,
        .proto = proto,
    };
}

static pol_tuple reply_of(const pol_tuple *tuple)
{
    bool icmp = tuple->proto == 1 || tuple->proto == 58;

    return (pol_tuple){
        .src = tuple->dst,
        .dst = tuple->src,
        .src_port = icmp ? tuple->src_port : tuple->dst_port,
        .dst_port = icmp ? 0 : tuple->src_port,
        .proto = tuple->proto,
    };
}

static struct flow_key key_of(const pol_tuple *tuple, uint8_t *ret_end)
{
    static const uint16_t vlan[2] = {0, 0};
    struct flow_key key;

    flow_key_of(tuple, vlan, 0, &key, ret_end);
    return key;
}

static uint32_t insert(uint16_t src_port)
{
    pol_tuple tuple = tuple_of(src_port, 6);
    uint8_t end;
    struct flow_key key = key_of(&tuple, &end);
    uint32_t index = flow_insert(&table, &key, flow_hash(&table, &key));

    if (index != POL_NONE)
        table.flows[index].opener = end;
    return index;
}

static uint32_t find(const pol_tuple *tuple)
{
    uint8_t end;
    struct flow_key key = key_of(tuple, &end);

    return flow_find(&table, &key, flow_hash(&table, &key));
}

Test(table, both_directions_have_one_key_and_two_ends)
{
    static const uint8_t protos[] = {1, 6, 17, 47, 58, 132};

    for (size_t i = 0; i < sizeof(protos); i++) {
        pol_tuple tuple = tuple_of(40000, protos[i]), reply = reply_of(&tuple);
        uint8_t end, reply_end;
        struct flow_key key = key_of(&tuple, &end), reply_key = key_of(&reply, &reply_end);

        cr_expect_eq(memcmp(&key, &reply_key, sizeof(key)), 0, "%u", protos[i]);
        cr_expect_neq(end, reply_end, "%u", protos[i]);
    }
}

Test(table, tags_are_part_of_the_key)
{
    static const uint16_t vlan[2] = {7, 9};
    pol_tuple tuple = tuple_of(1, 6);
    struct flow_key keys[3];
    uint8_t end;

    for (uint8_t count = 0; count < 3; count++)
        flow_key_of(&tuple, vlan, count, &keys[count], &end);
    cr_assert_neq(memcmp(&keys[0], &keys[1], sizeof(keys[0])), 0);
    cr_assert_neq(memcmp(&keys[1], &keys[2], sizeof(keys[0])), 0);
}

Test(table, flow_tells_the_tuple_it_was_opened_with)
{
    pol_tuple tuple = tuple_of(40000, 6), told;
    uint32_t index = insert(40000);

    flow_tuple(&table.flows[index], &told);
    cr_assert_eq(memcmp(&told.src, &tuple.src, sizeof(told.src)), 0);
    cr_assert_eq(memcmp(&told.dst, &tuple.dst, sizeof(told.dst)), 0);
    cr_assert_eq(told.src_port, 40000);
    cr_assert_eq(told.dst_port, 443);
}

Test(table, full_table_takes_no_more_until_one_goes)
{
    pol_tuple second = tuple_of(2, 6);
    uint32_t index;

    for (uint16_t port = 1; port <= 4; port++)
        cr_assert_neq(insert(port), POL_NONE);
    cr_assert_eq(insert(5), POL_NONE);
    index = find(&second);
    flow_remove(&table, index);
    cr_assert_eq(find(&second), POL_NONE);
    cr_assert_eq(insert(5), index);
    cr_assert_eq(table.flows[index].id, 5); /* never the id of the one before */
    cr_assert_eq(table.count, 4);
}

Test(table, table_without_capacity_finds_nothing)
{
    pol_tuple tuple = tuple_of(1, 6);
    struct flow_table none;
    uint8_t end;
    struct flow_key key = key_of(&tuple, &end);

    cr_assert_eq(flow_table_init(&none, &mem_libc, 0, seed), POL_OK);
    cr_assert_eq(flow_find(&none, &key, 0), POL_NONE);
    flow_prefetch_head(&none, 0);
    flow_prefetch_entry(&none, 0);
    flow_table_fini(&none, &mem_libc);
}

Test(table, half_open_flows_are_listed_oldest_first)
{
    uint32_t a = insert(1), b = insert(2), c = insert(3);

    cr_assert_eq(table.oldest[LIST_HALF_OPEN], a);
    flow_put_on(&table, a, LIST_NONE);
    flow_put_on(&table, a, LIST_NONE);
    cr_assert_eq(table.oldest[LIST_HALF_OPEN], b);
    flow_put_on(&table, a, LIST_HALF_OPEN);
    flow_remove(&table, b);
    cr_assert_eq(table.oldest[LIST_HALF_OPEN], c);
    flow_remove(&table, c);
    cr_assert_eq(table.oldest[LIST_HALF_OPEN], a);
    cr_assert_eq(table.newest[LIST_HALF_OPEN], a);
}

Test(table, flow_comes_up_once_its_second_has_passed)
{
    uint32_t index;

    flow_clock(&table, 1000 * S);
    index = insert(1);
    flow_schedule(&table, index, 1030 * S + 1);
    cr_assert_eq(flow_due(&table, 1030 * S + 2), POL_NONE);
    cr_assert_eq(flow_next_due(&table), 1031 * S);
    cr_assert_eq(flow_due(&table, 1031 * S), index);
    cr_assert_eq(flow_due(&table, 1031 * S), POL_NONE);
    cr_assert_eq(flow_next_due(&table), POL_NEVER);
}

Test(table, rescheduled_flow_comes_up_only_then)
{
    uint32_t index;

    flow_clock(&table, 1000 * S);
    index = insert(1);
    flow_schedule(&table, index, 1005 * S);
    flow_schedule(&table, index, 1050 * S);
    cr_assert_eq(flow_due(&table, 1049 * S), POL_NONE);
    cr_assert_eq(flow_due(&table, 1051 * S), index);
}

Test(table, long_silence_brings_everything_up)
{
    uint32_t index;

    flow_clock(&table, 0);
    index = insert(1);
    flow_schedule(&table, index, 7440 * S);
    cr_assert_eq(flow_due(&table, 10000000 * S), index);
}

Test(table, creation_survives_every_failing_allocation)
{
    for (size_t fail_at = 1; fail_at <= 4; fail_at++) {
        struct counting counting = {.fail_at = fail_at};
        pol_mem mem = counting_mem(&counting);
        struct flow_table failed;

        cr_assert_eq(flow_table_init(&failed, &mem, 4, seed), POL_E_NOMEM);
        cr_assert_eq(counting.blocks, 0);
    }
}
