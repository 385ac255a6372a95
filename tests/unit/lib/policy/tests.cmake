# SPDX-License-Identifier: Apache-2.0
policy_unit_test(policy/check_test.c)
policy_unit_test(policy/compile_test.c)
policy_unit_test(policy/load_json_test.c)
policy_unit_test(policy/policy_test.c)
policy_unit_test(policy/print_test.c)
policy_unit_test(policy/scan_test.c)
policy_unit_test(policy/sort_test.c)
policy_unit_test(policy/warn_test.c)
