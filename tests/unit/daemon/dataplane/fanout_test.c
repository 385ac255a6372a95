// SPDX-License-Identifier: Apache-2.0
#include "dataplane/fanout.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "frames.h"

/*
 * The program as the kernel runs it, on a cable (veth) in a network of the test's own: frames go in
 * at one end, sockets that share them stand at the other.
 */

enum { SOCKETS = 4, FLOWS = 64, MOST_TAGS = 2 };

static int sockets[SOCKETS], sender;

static int packet_socket(const char *device, int protocol)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons((uint16_t)protocol),
                                  .sll_ifindex = (int)if_nametoindex(device)};
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int listen_for(int timeout_ms, struct pollfd ret_fds[SOCKETS])
{
    for (int i = 0; i < SOCKETS; i++)
        ret_fds[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    return poll(ret_fds, SOCKETS, timeout_ms);
}

/* A cable whose ends are up carries frames a moment later. */
static void wait_for_cable(void)
{
    static const uint8_t probe[60] = {[12] = 0x88, 0xb5};
    struct pollfd fds[SOCKETS];
    uint8_t octets[FRAME_CAPACITY];

    do
        cr_assert_geq(send(sender, probe, sizeof(probe), 0), 0);
    while (listen_for(100, fds) == 0);
    while (listen_for(100, fds) > 0)
        for (int i = 0; i < SOCKETS; i++)
            while (recv(sockets[i], octets, sizeof(octets), MSG_DONTWAIT) > 0)
                continue;
}

static void setup(void)
{
    if (unshare(CLONE_NEWNET) < 0 || system("ip link add near type veth peer name far") != 0 ||
        system("for each in near far; do"
               " echo 1 >/proc/sys/net/ipv6/conf/$each/disable_ipv6; ip link set $each up;"
               " done") != 0)
        cr_skip_test("needs root, network namespaces and veth devices");

    sender = packet_socket("near", 0);
    for (int i = 0; i < SOCKETS; i++)
        sockets[i] = packet_socket("far", ETH_P_ALL);
    cr_assert_eq(fanout_join(sockets, SOCKETS, true), 0);
    wait_for_cable();
}

static void teardown(void)
{
    for (int i = 0; i < SOCKETS; i++)
        close(sockets[i]);
    close(sender);
}

TestSuite(fanout, .init = setup, .fini = teardown, .timeout = 60);

/* Which socket hears the frame; exactly one does. */
static int heard_by(const struct frame *frame)
{
    struct pollfd fds[SOCKETS];
    uint8_t octets[FRAME_CAPACITY];
    int by = -1;

    cr_assert_eq(send(sender, frame->bytes, frame->len, 0), (ssize_t)frame->len);
    cr_assert_eq(listen_for(5000, fds), 1);
    for (int i = 0; i < SOCKETS; i++)
        if (fds[i].revents)
            by = i;
    cr_assert_gt(recv(sockets[by], octets, sizeof(octets), MSG_DONTWAIT), 0);
    return by;
}

static int heard(const struct frame_spec *spec)
{
    struct frame frame = frame_build(spec);

    return heard_by(&frame);
}

static struct frame_spec flow_of(bool ipv6, unsigned number, unsigned tags)
{
    static char src[40], dst[40];

    snprintf(src, sizeof(src), ipv6 ? "2001:db8:1::%x" : "192.0.2.%u", number + 1);
    snprintf(dst, sizeof(dst), ipv6 ? "2001:db8:2::%x" : "198.51.100.%u", number * 3 % 200 + 1);
    return (struct frame_spec){.src = src,
                               .dst = dst,
                               .proto = 17,
                               .src_port = 40000,
                               .dst_port = 443,
                               .vlan_count = tags,
                               .vlan = {5, 10},
                               .payload = bytes_from("0123456789abcdef")};
}

static struct frame_spec turned(struct frame_spec spec)
{
    const char *src = spec.src;
    uint16_t port = spec.src_port;

    spec.src = spec.dst;
    spec.src_port = spec.dst_port;
    spec.dst = src;
    spec.dst_port = port;
    return spec;
}

/* The datagram behind the link header: what an ICMP error quotes. */
static pol_bytes datagram_of(const struct frame *frame, const struct frame_spec *spec)
{
    size_t at = 14 + 4 * spec->vlan_count;

    return (pol_bytes){frame->bytes + at, frame->len - at};
}

/* From a router between the two: the outer addresses are not those of the flow. */
static struct frame_spec error_about(const struct frame_spec *cause, const struct frame *quoted)
{
    bool ipv6 = strchr(cause->src, ':') != NULL;

    return (struct frame_spec){.src = ipv6 ? "2001:db8:9::1" : "203.0.113.9",
                               .dst = cause->src,
                               .proto = ipv6 ? 58 : 1,
                               .icmp_type = ipv6 ? 3 : 11,
                               .vlan_count = cause->vlan_count,
                               .vlan = {5, 10},
                               .payload = datagram_of(quoted, cause)};
}

static void check_flow(struct frame_spec spec, int expected)
{
    struct frame_spec back = turned(spec), piece = spec, error;
    struct frame frame;

    cr_assert_eq(heard(&back), expected, "the way back");
    piece.frag_id = 7;
    piece.frag_more = true;
    cr_assert_eq(heard(&piece), expected, "a first fragment");
    frame = frame_build(&piece);
    piece.frag_more = false;
    piece.frag_offset = 24;
    cr_assert_eq(heard(&piece), expected, "a later fragment");
    error = error_about(&spec, &frame);
    cr_assert_eq(heard(&error), expected, "an error about a fragment");

    frame = frame_build(&spec);
    error = error_about(&spec, &frame);
    cr_assert_eq(heard(&error), expected, "an error about it");
    frame = frame_build(&back);
    error = error_about(&back, &frame);
    cr_assert_eq(heard(&error), expected, "an error about the way back");
    spec.proto = 6;
    cr_assert_eq(heard(&spec), expected, "another protocol");
}

Test(fanout, all_of_a_flow_meets_and_flows_spread)
{
    for (unsigned ipv6 = 0; ipv6 <= 1; ipv6++) {
        for (unsigned tags = 0; tags <= MOST_TAGS; tags++) {
            unsigned share[SOCKETS] = {0};

            for (unsigned number = 0; number < FLOWS; number++) {
                struct frame_spec spec = flow_of(ipv6, number, tags);
                int by = heard(&spec);

                share[by]++;
                check_flow(spec, by);
            }
            for (int i = 0; i < SOCKETS; i++)
                cr_assert_gt(share[i], FLOWS / SOCKETS / 3, "socket %d has %u", i, share[i]);
        }
    }
}

Test(fanout, tags_do_not_move_a_flow)
{
    for (unsigned number = 0; number < FLOWS; number++) {
        struct frame_spec spec = flow_of(false, number, 0);
        int by = heard(&spec);

        for (spec.vlan_count = 1; spec.vlan_count <= MOST_TAGS; spec.vlan_count++)
            cr_assert_eq(heard(&spec), by);
    }
}

/* A client without an address, one with it, and a relay. */
Test(fanout, a_dhcp_exchange_meets)
{
    static const struct {
        const char *src, *dst;
        uint16_t src_port, dst_port;
    } cases[] = {
        {"0.0.0.0", "255.255.255.255", 68, 67},    {"192.0.2.1", "255.255.255.255", 67, 68},
        {"192.0.2.1", "192.0.2.105", 67, 68},      {"192.0.2.105", "192.0.2.1", 68, 67},
        {"192.0.2.2", "198.51.100.7", 67, 67},     {"198.51.100.7", "192.0.2.2", 67, 67},
        {"192.0.2.106", "198.51.100.7", 4011, 67}, {"198.51.100.7", "192.0.2.107", 67, 4011},
    };

    for (unsigned tags = 0; tags <= MOST_TAGS; tags++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct frame_spec spec = {.src = cases[i].src,
                                      .dst = cases[i].dst,
                                      .proto = 17,
                                      .src_port = cases[i].src_port,
                                      .dst_port = cases[i].dst_port,
                                      .vlan_count = tags};

            cr_assert_eq(heard(&spec), 0, "%s to %s", cases[i].src, cases[i].dst);
        }
    }
}

/* A report goes to the routers or to the group, and what the group gets comes from anywhere. */
Test(fanout, a_group_and_its_members_meet)
{
    static const struct {
        const char *src, *dst;
        uint8_t proto;
    } cases[] = {
        {"192.0.2.10", "224.0.0.22", 2},    {"192.0.2.11", "239.1.2.3", 2},
        {"198.51.100.9", "239.1.2.3", 17},  {"fe80::1", "ff02::16", 58},
        {"2001:db8:2::9", "ff0e::123", 17}, {"2001:db8:2::a", "ff0e::123", 17},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame_spec spec = {.src = cases[i].src,
                                  .dst = cases[i].dst,
                                  .proto = cases[i].proto,
                                  .icmp_type = 143,
                                  .src_port = 5000,
                                  .dst_port = 5001};

        cr_assert_eq(heard(&spec), 0, "%s to %s", cases[i].src, cases[i].dst);
    }
}

Test(fanout, what_cannot_be_read_reaches_the_first_socket)
{
    static const uint8_t kinds[][2] = {{0x08, 0x00}, {0x86, 0xdd}, {0x81, 0x00}, {0x08, 0x06},
                                       {0x88, 0xb5}, {0x00, 0x10}, {0x91, 0x00}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct frame frame = {.bytes = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, .len = 24};

        memcpy(&frame.bytes[12], kinds[i], 2);
        cr_assert_eq(heard_by(&frame), 0, "EtherType %02x%02x", kinds[i][0], kinds[i][1]);
    }
}
