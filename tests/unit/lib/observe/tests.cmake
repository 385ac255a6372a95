# SPDX-License-Identifier: Apache-2.0
policy_unit_test(observe/audit_test.c)
policy_unit_test(observe/counters_test.c)
policy_unit_test(observe/ready_test.c)
policy_unit_test(observe/tap_test.c)
policy_unit_test(observe/words_test.c)
