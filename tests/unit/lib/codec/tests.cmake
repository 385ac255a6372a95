# SPDX-License-Identifier: Apache-2.0
policy_unit_test(codec/json_diags_test.c)
policy_unit_test(codec/json_event_test.c)
policy_unit_test(codec/json_finding_test.c)
policy_unit_test(codec/json_out_test.c)
policy_unit_test(codec/json_ready_test.c)
policy_unit_test(codec/json_stats_test.c)
policy_unit_test(codec/metrics_text_test.c)
