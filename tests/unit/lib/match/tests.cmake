# SPDX-License-Identifier: Apache-2.0
policy_unit_test(match/classify_test.c)
policy_unit_test(match/cuttree_test.c)
policy_unit_test(match/memo_test.c)
policy_unit_test(match/partition_test.c)
policy_unit_test(match/rule_test.c)
