# SPDX-License-Identifier: Apache-2.0
foreach(file chains control decide dnsjudge dnswire events fragments judge members queries report tlswatch judge_stolen
    tlscert walk worker)
  policy_unit_test(worker/${file}_test.c test_support)
endforeach()
