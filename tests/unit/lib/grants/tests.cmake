# SPDX-License-Identifier: Apache-2.0
policy_unit_test(grants/grants_test.c)

# Plain main(): Criterion does not start under ThreadSanitizer.
find_package(Threads REQUIRED)
add_executable(unit_grants_threads ${CMAKE_CURRENT_SOURCE_DIR}/grants/threads.c)
target_link_libraries(unit_grants_threads PRIVATE policy_inside policy_warnings Threads::Threads)
add_test(NAME unit/grants_threads COMMAND unit_grants_threads)
set_tests_properties(unit/grants_threads PROPERTIES LABELS unit TIMEOUT 120)
