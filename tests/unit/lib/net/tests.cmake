# SPDX-License-Identifier: Apache-2.0
policy_unit_test(net/addr_test.c)
policy_unit_test(net/checksum_test.c)
policy_unit_test(net/ipset_test.c test_support)
policy_unit_test(net/packet_test.c test_support)
policy_unit_test(net/portset_test.c)
policy_unit_test(net/proto_test.c)
policy_unit_test(net/reply_test.c test_support)
