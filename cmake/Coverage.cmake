# SPDX-License-Identifier: Apache-2.0
# policy_coverage: what the objects of the library are compiled with so that they count how often
# each line and branch ran. The tests that run them are not counted.
#
# NDEBUG, since an assertion's failing branch is one that no test can take: what is measured is the
# code that ships. The updates are atomic, since the oracle decides in several threads.
add_library(policy_coverage INTERFACE)
if(POLICY_COVERAGE)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
    message(FATAL_ERROR "POLICY_COVERAGE needs gcc; set CMAKE_C_COMPILER")
  endif()
  target_compile_options(policy_coverage INTERFACE --coverage -fprofile-update=atomic)
  target_compile_definitions(policy_coverage INTERFACE NDEBUG)
  add_link_options(--coverage)
endif()
