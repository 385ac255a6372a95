# SPDX-License-Identifier: Apache-2.0
policy_unit_test(wire/dnsname_test.c)
policy_unit_test(wire/dns_test.c)
policy_unit_test(wire/dns_answer_test.c)
policy_unit_test(wire/dns_refuse_test.c)
policy_unit_test(wire/tls_record_test.c)
policy_unit_test(wire/tls_hello_test.c)

foreach(test dns dns_answer dns_refuse)
  target_sources(unit_wire_${test} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/dnsmsg.c)
endforeach()
foreach(test tls_record tls_hello)
  target_sources(unit_wire_${test} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/hello.c)
endforeach()
