/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/queries.h"

#include <criterion/criterion.h>

#include <string.h>

#include "../base/counting_mem.h"
#include "base/mem.h"

static const uint64_t seed[2] = {1, 2};
static const uint16_t untagged[2] = {0, 0};
static struct queries queries;

static void setup(void)
{
    cr_assert_eq(queries_init(&queries, &mem_libc, 3, seed), POL_OK);
}

static void teardown(void)
{
    queries_fini(&queries, &mem_libc);
}

TestSuite(queries, .init = setup, .fini = teardown);

static struct query sample(uint16_t id)
{
    return (struct query){
        .tuple = {.src = {4, {10, 0, 0, 5}},
                  .dst = {4, {192, 0, 2, 53}},
                  .src_port = 5353,
                  .dst_port = 53,
                  .proto = 17},
        .dns = {.id = id, .qtype = 1, .qclass = 1, .name_len = 9, .name = "a.example"},
    };
}

static uint32_t find(const struct query *query)
{
    return queries_find(&queries, &query->tuple, query->vlan, &query->dns);
}

static uint32_t hash_of(const struct query *query)
{
    return queries.aged.links[find(query)].hash;
}

/* A client that chooses one port and one id makes no long chain with what it asks. */
Test(queries, what_is_asked_tells_queries_apart_before_they_are_compared)
{
    struct query first = sample(7), name = first, type = first;

    name.dns.name[0] = 'b';
    type.dns.qtype = 28;
    queries_open(&queries, &first);
    queries_open(&queries, &name);
    queries_open(&queries, &type);
    cr_expect_neq(hash_of(&first), hash_of(&name));
    cr_expect_neq(hash_of(&first), hash_of(&type));
    cr_expect_neq(hash_of(&name), hash_of(&type));
}

Test(queries, answer_must_fit_in_every_part)
{
    struct query query = sample(7), other;

    cr_assert_neq(queries_open(&queries, &query), POL_NONE);
    cr_assert_neq(find(&query), POL_NONE);
    other = query, other.dns.id++;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.dns.qtype = 28;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.dns.qclass = 3;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.dns.name[0] = 'b';
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.dns.name_len--;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.tuple.src_port++;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.tuple.dst.bytes[3]++;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.tuple.proto = 6;
    cr_expect_eq(find(&other), POL_NONE);
    other = query, other.vlan[0] = 7;
    cr_expect_eq(find(&other), POL_NONE);
}

Test(queries, closed_query_is_not_found)
{
    struct query a = sample(1), b = sample(2);

    queries_open(&queries, &a);
    queries_open(&queries, &b);
    queries_close(&queries, find(&a));
    cr_assert_eq(find(&a), POL_NONE);
    cr_assert_neq(find(&b), POL_NONE);
    cr_assert_eq(queries.aged.count, 1);
}

Test(queries, full_table_takes_no_more)
{
    struct query query;

    for (uint16_t id = 0; id < 3; id++) {
        query = sample(id);
        cr_assert_neq(queries_open(&queries, &query), POL_NONE);
    }
    query = sample(3);
    cr_assert_eq(queries_open(&queries, &query), POL_NONE);
    queries_close(&queries, queries.aged.oldest);
    cr_assert_neq(queries_open(&queries, &query), POL_NONE);
}

Test(queries, repeated_query_becomes_the_newest)
{
    struct query a = sample(1), b = sample(2);
    uint32_t first;

    queries_open(&queries, &a);
    queries_open(&queries, &b);
    first = queries.aged.oldest;
    queries_renew(&queries, first, 99);
    cr_assert_eq(queries.aged.newest, first);
    cr_assert_eq(queries.entries[first].asked, 99);
    cr_assert_eq(queries.aged.oldest, find(&b));
    queries_close(&queries, queries.aged.oldest);
    queries_close(&queries, queries.aged.oldest);
    cr_assert_eq(queries.aged.oldest, POL_NONE);
    cr_assert_eq(queries.aged.newest, POL_NONE);
}

Test(queries, table_without_capacity_finds_nothing)
{
    struct query query = sample(1);
    struct queries none;

    cr_assert_eq(queries_init(&none, &mem_libc, 0, seed), POL_OK);
    cr_assert_eq(queries_find(&none, &query.tuple, untagged, &query.dns), POL_NONE);
    cr_assert_eq(queries_open(&none, &query), POL_NONE);
    queries_fini(&none, &mem_libc);
}

Test(queries, creation_survives_every_failing_allocation)
{
    for (size_t fail_at = 1; fail_at <= 3; fail_at++) {
        struct counting counting = {.fail_at = fail_at};
        pol_mem mem = counting_mem(&counting);
        struct queries failed;

        cr_assert_eq(queries_init(&failed, &mem, 3, seed), POL_E_NOMEM);
        cr_assert_eq(counting.blocks, 0);
    }
}
