# SPDX-License-Identifier: Apache-2.0
foreach(file decide judge tlswatch walk)
  policy_unit_test(worker/${file}_test.c test_support)
endforeach()
