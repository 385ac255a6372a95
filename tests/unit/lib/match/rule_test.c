/* SPDX-License-Identifier: Apache-2.0 */
#include "match/rule.h"

#include <criterion/criterion.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/slice.h"
#include "net/ipset.h"
#include "net/portset.h"
#include "net/proto.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, &mem_libc);
}

static void teardown(void)
{
    arena_fini(&arena);
}

TestSuite(rule, .init = setup, .fini = teardown);

static const struct ipset *addresses(const char *text)
{
    struct ipset *set;
    pol_prefix prefix;

    cr_assert_eq(pol_prefix_parse(str_of(text), &prefix), POL_OK);
    cr_assert_eq(ipset_build(&arena, &prefix, 1, &set), POL_OK);
    return set;
}

static const struct portset *ports(uint16_t first, uint16_t last)
{
    struct portrange range = {first, last};
    struct portset *set;

    cr_assert_eq(portset_build(&arena, &range, 1, &set), POL_OK);
    return set;
}

static struct classify_key packet(const char *dst, uint8_t proto, uint16_t src_port,
                                  uint16_t dst_port)
{
    struct classify_key key = {
        .src_port = src_port,
        .dst_port = dst_port,
        .proto = proto,
        .has_ports = proto_has_ports(proto),
    };

    cr_assert_eq(pol_addr_parse(str_of(dst), &key.dst), POL_OK);
    return key;
}

static struct classify_key ping(const char *dst, uint8_t proto, uint8_t type, uint8_t code)
{
    struct classify_key key = packet(dst, proto, 0, 0);

    key.is_icmp = true;
    key.icmp_type = type;
    key.icmp_code = code;
    return key;
}

static bool selects(const struct pp_step *step, struct classify_key key)
{
    return rule_selects(step, &key);
}

Test(rule, step_without_selectors_takes_everything)
{
    struct pp_step step = {.any_proto = true};

    cr_assert(selects(&step, packet("192.0.2.1", PROTO_TCP, 1, 2)));
    cr_assert(selects(&step, packet("2001:db8::1", PROTO_ESP, 0, 0)));
    cr_assert(selects(&step, ping("192.0.2.1", PROTO_ICMP, 8, 0)));
}

Test(rule, destination_is_looked_up_in_its_family)
{
    struct pp_step step = {.any_proto = true, .dst = addresses("0.0.0.0/0")};

    cr_assert(selects(&step, packet("255.255.255.255", PROTO_UDP, 0, 0)));
    cr_assert_not(selects(&step, packet("::", PROTO_UDP, 0, 0)));
    step.dst = addresses("198.51.100.0/24");
    cr_assert(selects(&step, packet("198.51.100.255", PROTO_UDP, 0, 0)));
    cr_assert_not(selects(&step, packet("198.51.101.0", PROTO_UDP, 0, 0)));
}

Test(rule, ports_select_only_packets_that_have_ports)
{
    struct pp_step step = {.any_proto = true, .dst_ports = ports(0, UINT16_MAX)};
    struct classify_key fragment = packet("192.0.2.1", PROTO_TCP, 0, 0);

    fragment.has_ports = false;
    cr_assert(selects(&step, packet("192.0.2.1", PROTO_TCP, 0, 0)));
    cr_assert(selects(&step, packet("192.0.2.1", PROTO_SCTP, 1, UINT16_MAX)));
    cr_assert_not(selects(&step, packet("192.0.2.1", PROTO_ESP, 0, 0)));
    cr_assert_not(selects(&step, ping("192.0.2.1", PROTO_ICMP, 0, 0)));
    cr_assert_not(selects(&step, fragment));
}

Test(rule, both_ports_and_the_protocol_must_hold)
{
    struct pp_step step = {
        .proto = PROTO_TCP,
        .src_ports = ports(1024, UINT16_MAX),
        .dst_ports = ports(443, 443),
    };

    cr_assert(selects(&step, packet("192.0.2.1", PROTO_TCP, 1024, 443)));
    cr_assert_not(selects(&step, packet("192.0.2.1", PROTO_UDP, 1024, 443)));
    cr_assert_not(selects(&step, packet("192.0.2.1", PROTO_TCP, 1023, 443)));
    cr_assert_not(selects(&step, packet("192.0.2.1", PROTO_TCP, 1024, 442)));
}

Test(rule, icmp_selectors_look_at_type_and_code)
{
    struct pp_icmp icmp = {.any_code = true, .types.bits[8 >> 5] = 1u << 8};
    struct pp_step step = {.proto = PROTO_ICMP, .icmp = &icmp};
    struct classify_key fragment = packet("192.0.2.1", PROTO_ICMP, 0, 0);

    cr_assert(selects(&step, ping("192.0.2.1", PROTO_ICMP, 8, 77)));
    cr_assert_not(selects(&step, ping("192.0.2.1", PROTO_ICMP, 0, 77)));
    cr_assert_not(selects(&step, fragment));
    icmp.any_code = false;
    icmp.codes.bits[0] = 1;
    cr_assert(selects(&step, ping("192.0.2.1", PROTO_ICMP, 8, 0)));
    cr_assert_not(selects(&step, ping("192.0.2.1", PROTO_ICMP, 8, 77)));
}

Test(rule, any_protocol_with_icmp_types_means_icmpv4)
{
    struct pp_icmp icmp = {.any_type = true, .any_code = true};
    struct pp_step step = {.any_proto = true, .icmp = &icmp};

    cr_assert(selects(&step, ping("192.0.2.1", PROTO_ICMP, 3, 1)));
    cr_assert_not(selects(&step, ping("2001:db8::1", PROTO_ICMPV6, 3, 1)));
    step.any_proto = false;
    step.proto = PROTO_ICMPV6;
    cr_assert(selects(&step, ping("2001:db8::1", PROTO_ICMPV6, 3, 1)));
}
