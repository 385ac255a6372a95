# SPDX-License-Identifier: Apache-2.0
policy_unit_test(base/abi_test.c)
policy_unit_test(base/arena_test.c)
policy_unit_test(base/buf_test.c)
policy_unit_test(base/ctx_test.c)
policy_unit_test(base/hash_test.c)
policy_unit_test(base/mem_test.c)
policy_unit_test(base/slice_test.c)
policy_unit_test(base/status_test.c)
