# SPDX-License-Identifier: Apache-2.0
policy_unit_test(flow/stream_test.c)
policy_unit_test(flow/table_test.c)
policy_unit_test(flow/tcp_test.c)
