// SPDX-License-Identifier: Apache-2.0
#include "dataplane/attach.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "core/clock.h"
#include "dataplane/port_inline.h"
#include "link/link.h"

/* Every test has a network of its own: client -- lan, wan -- server. */

#define SECOND   UINT64_C(1000000000)
#define PATIENCE (10 * SECOND)
#define PORTS    2

static struct port *ports[PORTS];
static struct attach *attach;
static struct text error;

static bool __attribute__((format(printf, 1, 2))) ip(const char *format, ...)
{
    char command[256] = "ip ";
    va_list args;

    va_start(args, format);
    vsnprintf(command + 3, sizeof(command) - 3, format, args);
    va_end(args);
    return system(command) == 0;
}

static bool make_cable(const char *port, const char *peer)
{
    return ip("link add %s type veth peer name %s", port, peer) && ip("link set %s up", port) &&
           ip("link set %s up", peer);
}

static void setup(void)
{
    if (unshare(CLONE_NEWNET) < 0 || !make_cable("lan", "client") || !make_cable("wan", "server"))
        cr_skip_test("needs root, network namespaces and veth devices");
    for (size_t i = 0; i < PORTS; i++)
        cr_assert_eq(port_inline_new(&ports[i]), 0);
}

static void teardown(void)
{
    if (attach)
        attach_stop(attach);
    attach_free(attach);
    for (size_t i = 0; i < PORTS; i++)
        if (ports[i])
            port_close(ports[i]);
    text_fini(&error);
}

TestSuite(attach, .init = setup, .fini = teardown, .timeout = 60);

static int make(const char *inside, const char *outside, bool signal_loss)
{
    struct attach_options options = {
        .names = {inside, outside},
        .ports = ports,
        .port_count = PORTS,
        .ring_slots = 64,
        .signal_loss = signal_loss,
    };

    return attach_new(&options, &attach, &error);
}

static void begin(const char *inside, const char *outside, bool signal_loss)
{
    int rc = make(inside, outside, signal_loss);

    cr_assert_eq(rc, 0, "%s", error.ptr);
    cr_assert_eq(attach_start(attach), 0);
}

static void take_a_break(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* Waits until what is said contains `words`, or is nothing when they are empty. */
static void expect(void (*ask)(struct attach *, char *, size_t), const char *words)
{
    uint64_t end = clock_mono() + PATIENCE;
    char text[512];

    for (;;) {
        ask(attach, text, sizeof(text));
        if (*words ? strstr(text, words) != NULL : !*text)
            return;
        cr_assert_lt(clock_mono(), end, "\"%s\" is not said, but \"%s\"", words, text);
        take_a_break();
    }
}

static struct link_facts look(const char *name)
{
    struct link_facts facts = {0};

    cr_assert_eq(link_look(name, &facts), 0);
    return facts;
}

static void expect_up(const char *name, bool up)
{
    uint64_t end = clock_mono() + PATIENCE;

    while (look(name).up != up) {
        cr_assert_lt(clock_mono(), end, "%s does not go %s", name, up ? "up" : "down");
        take_a_break();
    }
}

/* For as long as a mistake would take to show. */
static void expect_to_stay_up(const char *name, uint64_t ns)
{
    for (uint64_t end = clock_mono() + ns; clock_mono() < end; take_a_break())
        cr_assert(look(name).up, "%s went down", name);
}

static uint32_t mtu_towards(enum pol_side side)
{
    return ports[0]->kind->mtu(ports[0], side);
}

Test(attach, guards_both_sides)
{
    begin("lan", "wan", false);
    cr_assert(look("lan").guarded && look("wan").guarded);
    expect(attach_missing, "");
    expect(attach_wrong, "");
    cr_assert_eq(mtu_towards(POL_SIDE_OUTSIDE), 1500);
}

Test(attach, a_taken_side_is_refused_and_the_other_one_left_alone)
{
    ip("addr add 192.0.2.1/24 dev wan");
    cr_assert_eq(make("lan", "wan", false), -EBUSY);
    cr_assert_str_eq(error.ptr, "port \"wan\" has the address 192.0.2.1/24; \"ip addr del "
                                "192.0.2.1/24 dev wan\" frees it\n");
    cr_assert_not(look("lan").guarded);
}

Test(attach, a_missing_side_is_waited_for)
{
    begin("lan", "wna", false);
    expect(attach_missing, "wna (outside): there is no such interface; there is \"wan\"; create it "
                           "or correct dataplane.inline");
    expect(attach_wrong, "wna (outside): there is no such interface");
    ip("link set wan down");
    ip("link set wan name wna");
    expect(attach_missing, "");
    cr_assert(look("wna").guarded && look("wna").up);
}

Test(attach, a_port_that_comes_back_is_guarded_before_it_counts)
{
    begin("lan", "wan", false);
    for (int i = 0; i < 3; i++) {
        ip("link del wan");
        expect(attach_missing, "wan (outside): there is no such interface");
        cr_assert(make_cable("wan", "server"));
        expect(attach_missing, "");
        cr_assert(look("wan").guarded);
        expect(attach_wrong, "");
    }
}

/* An MTU of 0 would answer every packet with "too big", and the sender would believe it. */
Test(attach, nothing_is_too_long_for_a_missing_side)
{
    begin("lan", "wan", false);
    ip("link del wan");
    expect(attach_missing, "wan");
    cr_assert_eq(mtu_towards(POL_SIDE_OUTSIDE), UINT32_MAX);
    cr_assert_eq(mtu_towards(POL_SIDE_INSIDE), 1500);
}

Test(attach, one_that_comes_back_taken_says_so)
{
    begin("lan", "wan", false);
    ip("link del wan");
    expect(attach_missing, "no such interface");
    ip("link add new type veth peer name server");
    ip("addr add 192.0.2.1/24 dev new");
    ip("link set new name wan");
    expect(attach_missing, "port \"wan\" has the address 192.0.2.1/24; \"ip addr del");
    ip("addr del 192.0.2.1/24 dev wan");
    expect(attach_missing, "");
}

Test(attach, a_removed_filter_is_put_back)
{
    begin("lan", "wan", false);
    cr_assert_eq(system("tc qdisc del dev lan clsact"), 0);
    for (uint64_t end = clock_mono() + PATIENCE; !look("lan").guarded; take_a_break())
        cr_assert_lt(clock_mono(), end);
    expect(attach_wrong, "");
}

Test(attach, a_side_that_is_taken_meanwhile_is_named_with_what_frees_it)
{
    begin("lan", "wan", false);
    ip("addr add 192.0.2.1/24 dev lan");
    expect(attach_wrong, "lan (inside) has the address 192.0.2.1/24; \"ip addr del 192.0.2.1/24 "
                         "dev lan\" frees it");
    expect(attach_missing, "");
    ip("addr del 192.0.2.1/24 dev lan");
    expect(attach_wrong, "");
}

Test(attach, a_side_that_is_taken_meanwhile_is_guarded_again_all_the_same)
{
    begin("lan", "wan", false);
    ip("addr add 192.0.2.1/24 dev lan");
    expect(attach_wrong, "lan (inside) has the address 192.0.2.1/24; \"ip addr del 192.0.2.1/24 "
                         "dev lan\" frees it");
    cr_assert_eq(system("tc qdisc del dev lan clsact"), 0);
    for (uint64_t end = clock_mono() + PATIENCE; !look("lan").guarded; take_a_break())
        cr_assert_lt(clock_mono(), end);
    expect(attach_wrong, "lan (inside) has the address 192.0.2.1/24; \"ip addr del 192.0.2.1/24 "
                         "dev lan\" frees it");
}

Test(attach, different_mtus_are_named_with_the_shorter_one)
{
    begin("lan", "wan", false);
    ip("link set lan mtu 9000");
    expect(attach_wrong, "lan has MTU 9000, wan 1500; longer packets are dropped or answered with "
                         "\"too big\"; ip link set wan mtu 9000");
    ip("link set wan mtu 9000");
    expect(attach_wrong, "");
    cr_assert_eq(mtu_towards(POL_SIDE_OUTSIDE), 9000);
}

Test(attach, down_and_without_carrier_are_told_apart)
{
    begin("lan", "wan", false);
    ip("link set lan down");
    expect(attach_missing, "lan (inside) is down; ip link set lan up");
    ip("link set lan up");
    expect(attach_missing, "");
    ip("link set server down");
    expect(attach_wrong, "wan (outside) has no carrier; see to the cable or the other end");
    expect(attach_missing, "");
    ip("link set server up");
    expect(attach_wrong, "");
    expect_to_stay_up("lan", SECOND / 2);
}

Test(attach, the_loss_of_a_side_is_handed_on_and_taken_back)
{
    static const char *const ends[][2] = {{"client", "wan"}, {"server", "lan"}};

    begin("lan", "wan", true);
    for (size_t i = 0; i < 2; i++) {
        ip("link set %s down", ends[i][0]);
        expect_up(ends[i][1], false);
        expect(attach_wrong, "has no carrier");
        expect(attach_missing, "");
        ip("link set %s up", ends[i][0]);
        expect_up(ends[i][1], true);
        expect(attach_wrong, "");
    }
}

/* Copper takes seconds to agree on a speed. */
Test(attach, a_carrier_that_comes_late_is_no_second_loss)
{
    begin("lan", "wan", true);
    ip("link set client down");
    expect_up("wan", false);
    ip("link set server down");
    ip("link set client up");
    expect_up("wan", true);
    expect_to_stay_up("lan", SECOND);
    ip("link set server up");
    expect(attach_wrong, "");
    expect_to_stay_up("lan", SECOND / 2);
    expect_to_stay_up("wan", SECOND / 2);
}

Test(attach, a_carrier_that_does_not_come_is_a_loss)
{
    begin("lan", "wan", true);
    ip("link set client down");
    expect_up("wan", false);
    ip("link set server down");
    ip("link set client up");
    expect_up("lan", false);
    expect(attach_wrong, "wan (outside) has no carrier");
    ip("link set server up");
    expect_up("lan", true);
    expect(attach_wrong, "");
}

Test(attach, who_sets_up_a_side_without_the_other_is_overruled)
{
    begin("lan", "wan", true);
    ip("link set client down");
    expect_up("wan", false);
    ip("link set wan up");
    expect_up("wan", false);
    ip("link set client up");
    expect_up("wan", true);
}

Test(attach, both_sides_flapping_end_well)
{
    begin("lan", "wan", true);
    for (int i = 0; i < 20; i++) {
        ip("link set %s %s", i % 3 ? "client" : "server", i % 2 ? "up" : "down");
        ip("link set %s %s", i % 5 ? "server" : "client", i % 4 ? "down" : "up");
    }
    ip("link set client up");
    ip("link set server up");
    expect_up("lan", true);
    expect_up("wan", true);
    expect(attach_wrong, "");
    cr_assert(look("lan").guarded && look("wan").guarded);
}

Test(attach, a_port_that_was_taken_down_and_deleted_comes_back)
{
    begin("lan", "wan", true);
    ip("link set client down");
    expect_up("wan", false);
    ip("link del wan");
    expect(attach_missing, "wan (outside): there is no such interface");
    make_cable("wan", "server");
    ip("link set client up");
    expect(attach_wrong, "");
    expect_up("wan", true);
    expect_to_stay_up("lan", SECOND / 2);
}

Test(attach, a_filter_that_went_while_its_side_was_down_is_there_before_it_is_up)
{
    begin("lan", "wan", true);
    ip("link set client down");
    expect_up("wan", false);
    cr_assert_eq(system("tc qdisc del dev wan clsact"), 0);
    ip("link set client up");
    expect_up("wan", true);
    cr_assert(look("wan").guarded);
}

Test(attach, what_was_seen_long_ago_is_not_claimed)
{
    cr_assert_eq(make("lan", "wan", false), 0);
    expect(attach_wrong, "");
    expect(attach_wrong, "the interfaces have not been looked at for 2");
}
