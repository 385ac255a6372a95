# SPDX-License-Identifier: Apache-2.0
policy_unit_test(worker/judge_test.c test_support)
policy_unit_test(worker/walk_test.c test_support)
