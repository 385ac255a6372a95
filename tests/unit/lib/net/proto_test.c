/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proto.h"

#include <stdio.h>

#include <criterion/criterion.h>

Test(proto, only_four_protocols_have_names)
{
    char number[8];

    for (unsigned proto = 0; proto < 256; proto++) {
        const char *name = proto_name((uint8_t)proto);

        snprintf(number, sizeof(number), "%u", proto);
        switch (proto) {
        case 1:
            cr_expect_str_eq(name, "icmp");
            break;
        case 6:
            cr_expect_str_eq(name, "tcp");
            break;
        case 17:
            cr_expect_str_eq(name, "udp");
            break;
        case 58:
            cr_expect_str_eq(name, "icmpv6");
            break;
        default:
            cr_expect_str_eq(name, number);
        }
    }
}

Test(proto, five_protocols_have_ports)
{
    unsigned count = 0;

    for (unsigned proto = 0; proto < 256; proto++)
        count += proto_has_ports((uint8_t)proto);
    cr_expect_eq(count, 5);
    cr_expect(proto_has_ports(6) && proto_has_ports(17) && proto_has_ports(33) &&
              proto_has_ports(132) && proto_has_ports(136));
}

Test(proto, tuples_differ_in_any_field)
{
    static const pol_tuple base = {.src = {4, {10, 0, 0, 1}},
                                   .dst = {4, {192, 0, 2, 1}},
                                   .src_port = 1,
                                   .dst_port = 2,
                                   .proto = 6};
    pol_tuple other[] = {base, base, base, base, base};

    cr_expect(tuple_equal(&base, &other[0]));
    other[0].src.bytes[3]++;
    other[1].dst.family = 6;
    other[2].src_port++;
    other[3].dst_port++;
    other[4].proto = 17;
    for (size_t i = 0; i < 5; i++)
        cr_expect(!tuple_equal(&base, &other[i]), "field %zu", i);
}
