# SPDX-License-Identifier: Apache-2.0
policy_unit_test(pattern/lint_test.c)
policy_unit_test(pattern/patterns_test.c)
policy_unit_test(pattern/regex_pcre2_test.c)
policy_unit_test(pattern/shape_test.c)
policy_unit_test(pattern/syntax_test.c)
