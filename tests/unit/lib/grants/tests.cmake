# SPDX-License-Identifier: Apache-2.0
policy_unit_test(grants/grants_test.c)
policy_unit_test(grants/learn_late_test.c)
