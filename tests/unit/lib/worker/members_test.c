/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/members.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/mem.h"
#include "frames.h"

enum { CAPACITY = 80 };

static const uint64_t seed[2] = {1, 2};
static struct members members;

static void setup(void)
{
    cr_assert_eq(members_init(&members, &mem_libc, CAPACITY, seed), POL_OK);
}

static void teardown(void)
{
    members_fini(&members, &mem_libc);
}

TestSuite(members, .init = setup, .fini = teardown);

static struct member_key key(const char *what, unsigned who)
{
    return (struct member_key){
        .what = addr_from(what),
        .who = {.family = 4, .bytes = {10, 0, (uint8_t)(who >> 8), (uint8_t)who}},
    };
}

static bool put(const char *what, unsigned who, pol_mono until)
{
    struct member_key pair = key(what, who);

    return members_put(&members, &pair, until);
}

static bool has(const char *what, unsigned who, pol_mono now)
{
    struct member_key pair = key(what, who);

    return members_has(&members, &pair, now);
}

Test(members, a_pair_holds_until_its_time)
{
    put("239.1.1.1", 1, 100);
    cr_assert(has("239.1.1.1", 1, 99));
    cr_assert_not(has("239.1.1.1", 2, 99));
    cr_assert_not(has("239.1.1.2", 1, 99));
    cr_assert_not(has("239.1.1.1", 1, 100));
    cr_assert_eq(members.aged.count, 0, "what is over is forgotten when it is met");
}

Test(members, a_shorter_time_takes_nothing_away)
{
    put("239.1.1.1", 1, 100);
    put("239.1.1.1", 1, 50);
    cr_assert(has("239.1.1.1", 1, 99));
    put("239.1.1.1", 1, 200);
    cr_assert(has("239.1.1.1", 1, 199));
    cr_assert_eq(members.aged.count, 1);
}

Test(members, a_vlan_is_a_world_of_its_own)
{
    struct member_key tagged = key("239.1.1.1", 1);

    tagged.vlan[0] = 7;
    put("239.1.1.1", 1, 100);
    cr_assert_not(members_has(&members, &tagged, 1));
    cr_assert_eq(members_next(&members, &tagged, POL_NONE, 1), POL_NONE);
    members_put(&members, &tagged, 100);
    members_remove(&members, &tagged);
    cr_assert_not(members_has(&members, &tagged, 1));
    cr_assert(has("239.1.1.1", 1, 1));
}

Test(members, the_least_recently_used_pair_makes_room)
{
    char group[POL_ADDR_TEXT];

    for (unsigned i = 0; i < CAPACITY; i++) {
        snprintf(group, sizeof(group), "239.1.1.%u", i);
        cr_assert_not(put(group, 1, 100));
    }
    cr_assert(has("239.1.1.0", 1, 1));
    cr_assert(put("239.2.2.2", 1, 100));
    cr_assert(has("239.1.1.0", 1, 1), "used a moment ago");
    cr_assert_not(has("239.1.1.1", 1, 1));
    cr_assert_eq(members.aged.count, CAPACITY);
}

Test(members, one_group_holds_no_more_than_its_part)
{
    for (unsigned i = 0; i < MEMBERS_EACH; i++)
        cr_assert_not(put("239.1.1.1", i, 100));
    cr_assert(put("239.1.1.1", MEMBERS_EACH, 100));
    cr_assert_not(has("239.1.1.1", 0, 1));
    cr_assert(has("239.1.1.1", 1, 1));
    cr_assert_eq(members.aged.count, MEMBERS_EACH);
    cr_assert_not(put("239.1.1.2", 1, 100), "another has room of its own");
}

Test(members, those_of_one_group_come_newest_first)
{
    struct member_key any = key("239.1.1.1", 0);
    uint32_t first, second;

    put("239.1.1.1", 1, 100);
    put("239.1.1.2", 2, 100);
    put("239.1.1.1", 3, 10);
    put("239.1.1.1", 4, 100);
    first = members_next(&members, &any, POL_NONE, 50);
    cr_assert_eq(members.entries[first].key.who.bytes[3], 4);
    second = members_next(&members, &any, first, 50);
    cr_assert_eq(members.entries[second].key.who.bytes[3], 1, "3 has run out");
    cr_assert_eq(members_next(&members, &any, second, 50), POL_NONE);
    members_use(&members, second);
    cr_assert_eq(members_next(&members, &any, POL_NONE, 50), second);
}

Test(members, without_capacity_nothing_is_kept)
{
    struct members none;
    struct member_key pair = key("239.1.1.1", 1);

    cr_assert_eq(members_init(&none, &mem_libc, 0, seed), POL_OK);
    cr_assert_not(members_put(&none, &pair, 100));
    cr_assert_not(members_has(&none, &pair, 1));
    members_fini(&none, &mem_libc);
}

/* Every list stays whole, whatever happens in whatever order. */
Test(members, any_order_of_changes_keeps_the_lists_whole)
{
    uint32_t random = 1;

    for (unsigned i = 0; i < 20000; i++) {
        struct member_key pair;
        char group[POL_ADDR_TEXT];
        uint32_t forward = 0;

        random = random * 1103515245 + 12345;
        snprintf(group, sizeof(group), "239.1.1.%u", random >> 16 & 3);
        pair = key(group, random >> 18 & 0x7f);
        if (random >> 28 < 4)
            members_remove(&members, &pair);
        else if (random >> 28 < 6)
            (void)members_has(&members, &pair, i);
        else
            (void)members_put(&members, &pair, i + 1000);
        for (uint32_t at = members.aged.oldest; at != POL_NONE; at = members.aged.links[at].newer)
            forward++;
        cr_assert_eq(forward, members.aged.count, "after %u", i);
        cr_assert_leq(members.aged.count, CAPACITY);
    }
    cr_assert_gt(members.aged.count, MEMBERS_EACH / 2);
}
