# SPDX-License-Identifier: Apache-2.0
add_library(policy_warnings INTERFACE)
target_compile_options(policy_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef
  -Wno-sign-conversion # byte arithmetic on uint8_t promotes to int everywhere; -Wconversion keeps the narrowing half
  $<$<BOOL:${POLICY_WERROR}>:-Werror>)
