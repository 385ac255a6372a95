/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/fragments.h"

#include "../base/counting_mem.h"
#include "base/mem.h"
#include "rig.h"

static const uint64_t seed[2] = {1, 2};
static struct fragments fragments;
static struct rig rig;

static void setup(void)
{
    cr_assert_eq(fragments_init(&fragments, &mem_libc, 3, seed), POL_OK);
}

static void teardown(void)
{
    fragments_fini(&fragments, &mem_libc);
    rig_stop(&rig);
}

TestSuite(fragments, .init = setup, .fini = teardown);

static pol_packet piece(uint32_t id, uint16_t offset, uint16_t len, bool more)
{
    return (pol_packet){
        .tuple = {.src = {4, {10, 0, 0, 5}}, .dst = {4, {192, 0, 2, 1}}, .proto = 17},
        .kind = POL_PKT_IP,
        .frag_id = id,
        .frag_offset = offset,
        .frag_len = len,
        .frag_more = more,
    };
}

static struct fragment *begin(uint32_t id)
{
    pol_packet packet = piece(id, 0, 8, true);
    struct fragment *fragment = fragments_begin(&fragments, &packet, id * POL_SECONDS);

    cr_assert_not_null(fragment);
    return fragment;
}

#define PIECES 6

/* Each piece: offset, length, more follow, whether it is accepted. */
static const struct {
    struct {
        uint16_t offset, len;
        bool more, good;
    } pieces[PIECES];
    bool whole;
} datagrams[] = {
    {{{0, 8, true, true}, {8, 8, true, true}, {16, 4, false, true}}, true},
    {{{0, 8, true, true}, {16, 4, false, true}, {8, 8, true, true}}, true},
    {{{0, 8, true, true}, {24, 4, false, true}, {16, 8, true, true}, {8, 8, true, true}}, true},
    {{{0, 8, true, true}, {24, 4, false, true}, {16, 8, true, true}, {16, 8, true, false}}, false},
    {{{0, 8, true, true}, {16, 8, true, true}}, false},
    {{{0, 8, true, true}, {0, 8, true, false}}, false},   /* the same again */
    {{{0, 16, true, true}, {8, 16, true, false}}, false}, /* overlaps */
    {{{0, 8, true, true}, {16, 8, true, true}, {8, 16, true, false}},
     false},                                                                 /* overlaps the next */
    {{{0, 8, true, true}, {8, 4, false, true}, {16, 8, true, false}}, true}, /* behind the end */
    {{{0, 8, true, true}, {8, 4, false, true}, {8, 4, false, false}}, true}, /* two ends */
    {{{0, 8, true, true}, {24, 8, true, true}, {8, 8, false, false}},
     false},                                                 /* end before others */
    {{{0, 8, true, true}, {65528, 8, false, false}}, false}, /* ping of death */
};

Test(fragments, octets_pass_once)
{
    for (size_t i = 0; i < sizeof(datagrams) / sizeof(*datagrams); i++) {
        struct fragment *fragment = begin((uint32_t)i + 1);

        for (int p = 0; p < PIECES && datagrams[i].pieces[p].len; p++) {
            pol_packet packet = piece((uint32_t)i + 1, datagrams[i].pieces[p].offset,
                                      datagrams[i].pieces[p].len, datagrams[i].pieces[p].more);

            cr_expect_eq(fragment_note(fragment, &packet), datagrams[i].pieces[p].good,
                         "datagram %zu, piece %d", i, p);
        }
        cr_expect_eq(fragment_is_whole(fragment), datagrams[i].whole, "datagram %zu", i);
    }
}

Test(fragments, holes_are_limited)
{
    struct fragment *fragment = begin(1);
    uint16_t offset = 0;

    for (int i = 0; i < FRAGMENT_PIECES; i++, offset += 16) {
        pol_packet packet = piece(1, offset, 8, true);

        cr_assert(fragment_note(fragment, &packet));
    }
    pol_packet packet = piece(1, offset, 8, true);

    cr_assert_not(fragment_note(fragment, &packet));
}

Test(fragments, datagrams_are_told_apart)
{
    pol_packet packet = piece(1, 0, 8, true);
    struct fragment *fragment = begin(1);

    cr_assert_eq(fragments_find(&fragments, &packet, 0), fragment);
    packet.frag_id = 2;
    cr_assert_null(fragments_find(&fragments, &packet, 0));
    packet = piece(1, 0, 8, true);
    packet.tuple.proto = 6;
    cr_assert_null(fragments_find(&fragments, &packet, 0));
    packet = piece(1, 0, 8, true);
    packet.vlan_count = 1;
    packet.vlan[0] = 7;
    cr_assert_null(fragments_find(&fragments, &packet, 0));
}

Test(fragments, oldest_datagram_makes_room)
{
    pol_packet first = piece(1, 8, 8, true), second = piece(2, 8, 8, true);

    for (uint32_t id = 1; id <= 4; id++)
        begin(id);
    cr_assert_null(fragments_find(&fragments, &first, 0));
    cr_assert_not_null(fragments_find(&fragments, &second, 0));
}

Test(fragments, datagram_is_forgotten_after_a_minute)
{
    begin(1);
    begin(2);
    cr_assert_eq(fragments_expire(&fragments, 60 * POL_SECONDS, 10), 0);
    cr_assert_eq(fragments_expire(&fragments, 61 * POL_SECONDS, 10), 1);
    cr_assert_eq(fragments.aged.count, 1);
    cr_assert_eq(fragments_expire(&fragments, 1000 * POL_SECONDS, 0), 0);
}

Test(fragments, ended_datagrams_leave_the_others)
{
    struct fragment *a = begin(1), *b = begin(2), *c = begin(3);
    pol_packet third = piece(3, 0, 8, true);

    fragments_end(&fragments, b);
    fragments_end(&fragments, a);
    cr_assert_eq(fragments_find(&fragments, &third, 0), c);
    fragments_end(&fragments, c);
    cr_assert_eq(fragments.aged.oldest, POL_NONE);
    cr_assert_eq(fragments.aged.newest, POL_NONE);
}

Test(fragments, creation_survives_every_failing_allocation)
{
    for (size_t fail_at = 1; fail_at <= 3; fail_at++) {
        struct counting counting = {.fail_at = fail_at};
        pol_mem mem = counting_mem(&counting);
        struct fragments failed;

        cr_assert_eq(fragments_init(&failed, &mem, 3, seed), POL_E_NOMEM);
        cr_assert_eq(counting.blocks, 0);
    }
}

static const pol_bytes eight = {(const uint8_t *)"12345678", 8};

Test(fragments, first_one_decides_for_its_datagram)
{
    static const uint16_t ports[] = {123, 124};

    rig_start(&rig,
              "{'source_groups':[{'id':'g','mode':'enforce','sources':{'cidrs':['10.0.0.0/8']},"
              "'rules':[{'id':'ntp','action':'allow','match':{'dst_ports':[123]}}]}]}");
    for (int i = 0; i < 2; i++) {
        pol_packet whole = packet_udp("10.0.0.5", 40000, "192.0.2.1", ports[i], eight);
        pol_packet early = packet_fragment(&whole, (uint32_t)i, 16, false, eight);
        pol_packet first = packet_fragment(&whole, (uint32_t)i, 0, true, eight);
        pol_packet later = packet_fragment(&whole, (uint32_t)i, 16, false, eight);
        enum pol_action action = i == 0 ? POL_ALLOW : POL_DENY;

        cr_expect_eq(rig_judge(&rig, &early), POL_DENY);
        cr_expect_eq(rig.verdict.reason, POL_WHY_FRAGMENT);
        cr_expect_eq(rig_judge(&rig, &first), action);
        cr_expect_eq(rig_judge(&rig, &later), action);
    }
}

/* A datagram is remembered for longer than a flow that nobody answers. */
Test(fragments, later_one_does_not_revive_its_flow)
{
    pol_packet whole = packet_udp("10.0.0.5", 40000, "192.0.2.1", 123, eight);
    pol_packet first = packet_fragment(&whole, 1, 0, true, eight);
    pol_packet later = packet_fragment(&whole, 1, 16, true, eight);

    rig_start(&rig, "{'default_policy':'allow'}");
    cr_assert_eq(rig_judge(&rig, &first), POL_ALLOW);
    rig.now += 31 * POL_SECONDS;
    cr_assert_eq(rig_judge(&rig, &later), POL_ALLOW);
    cr_assert_eq(pol_worker_flow_count(rig.worker), 0);
    /* Nor does it touch the entry that the flow has left behind. */
    later.frag_offset += 8;
    cr_assert_eq(rig_judge(&rig, &later), POL_ALLOW);
    cr_assert_eq(rig_judge(&rig, &whole), POL_ALLOW);
    cr_assert(rig.verdict.flags & POL_V_OPENED);
}
